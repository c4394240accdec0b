package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// What is seen at this moment.
var at = began.Add(20 * day)

func seen(change func(s *rotate.Status)) Seen {
	s := rotate.Status{
		Name: "web deploy", Provider: fly, At: at, Next: mid.Created.Add(75 * day), Why: "what " + aws + " holds is then 75 days old",
		Sinks: []rotate.SinkStatus{
			{Holds: holds(aws, mid, true), Records: true, Works: true},
			{Holds: holds(github, mid, true), Records: true, Works: true},
		},
		Tokens: []rotate.TokenStatus{{Token: mid, Classes: []rotate.Class{rotate.ClassHeld, rotate.ClassNewest}, Sinks: []string{aws, github}}},
	}
	if change != nil {
		change(&s)
	}
	return Seen{Status: s}
}

// sights are what a status may have to show.
func sights() map[string][]Seen {
	grace := seen(func(s *rotate.Status) {
		superseded := rotate.TokenStatus{Token: old, Classes: []rotate.Class{rotate.ClassSuperseded}, Fate: "in grace until 2026-12-05T03:17:02Z, then the next run revokes it", Until: began.Add(30 * day)}
		superseded.LastUsed = at.Add(-3 * time.Hour)
		foreign := func(name, fate string) rotate.TokenStatus {
			return rotate.TokenStatus{Token: rotate.Token{ID: name, Name: name, Created: began}, Classes: []rotate.Class{rotate.ClassForeign}, Fate: fate}
		}
		s.Tokens = append([]rotate.TokenStatus{superseded, foreign("theirs", ""), foreign("web deploy 20260822T031500Z-zzzzzzzaqwerty", "left alone")}, s.Tokens...)
	})
	due := seen(func(s *rotate.Status) {
		s.Name, s.Due, s.Reasons, s.Overdue = "api deploy", true, []string{github + " holds " + mid.Name + ", which is 79 days old (every 75 days)"}, 4*day
		s.At, s.Steps = mid.Created.Add(79*day), []rotate.Step{{Do: rotate.Check, At: fly}, {Do: rotate.Minting, At: fly}, {Do: rotate.Writing, At: github}, {Do: rotate.Writing, At: aws}}
		s.Warnings = []string{"api deploy: the rotation is overdue by 4 days; are scheduled runs dropped or failing?"}
		s.Sinks[1].Verified = false
		s.Sinks[0].Records, s.Sinks[0].Verified = false, false
	})
	mute := seen(func(s *rotate.Status) {
		s.Name = "docs deploy"
		s.Sinks[0] = rotate.SinkStatus{Holds: rotate.Holds{Sink: aws, State: stateMute}, Err: errors.New("held " + aws + ": temporary failure: 502 Bad Gateway"), Works: true}
		s.Sinks = append(s.Sinks, rotate.SinkStatus{Holds: rotate.Holds{Sink: forgejo, State: stateUnknown}, Works: true}, rotate.SinkStatus{Holds: rotate.Holds{Sink: "file:token", State: stateUnclear}, Works: true})
		s.Tokens[0].Classes = []rotate.Class{rotate.ClassHeld, rotate.ClassNewest, rotate.ClassAdopted}
		s.Stop, s.Waiting = "not proven yet: due, and nothing that could be taken was handed in", true
		s.HandIn = []string{"open the console", "make a token named web"}
	})
	failed := Seen{Status: rotate.Status{Name: "shop deploy", Provider: "fly:app/shop"}, Err: errors.New("list fly:app/shop: permission denied: 401")}
	person := seen(func(s *rotate.Status) {
		s.Sinks[1] = rotate.SinkStatus{Holds: rotate.Holds{Sink: github, State: stateDead, Token: old}, Records: true}
		s.Tokens = append([]rotate.TokenStatus{{Token: old, Classes: []rotate.Class{rotate.ClassCompromised, rotate.ClassHeld}, Sinks: []string{github}}}, s.Tokens...)
		s.Emergency = mid.Created
		s.Alarms = []string{"consumers of " + github + " hold a token that does not work (" + old.Name + ")", old.Name + " is compromised and lives on"}
		s.Due, s.Stop = true, "limit reached: 10 generations are alive"
	})
	odd := seen(func(s *rotate.Status) {
		strange := rotate.Token{ID: nasty, Name: nasty, Created: time.Unix(1<<40, 0), Expires: time.Unix(1<<41, 0)}
		s.Name, s.Provider, s.Why, s.Reasons, s.Alarms, s.Warnings, s.HandIn, s.Stop = nasty, nasty, nasty, []string{nasty}, []string{nasty}, []string{nasty}, []string{nasty}, nasty
		s.Sinks = []rotate.SinkStatus{{Holds: holds(nasty, strange, true), Err: errors.New(nasty), Foreign: true}, {Holds: holds(nasty, strange, true)}}
		s.Tokens = []rotate.TokenStatus{{Token: strange, Classes: []rotate.Class{"x" + nasty}, Fate: nasty}, {Token: strange}}
	})
	return map[string][]Seen{
		"status":         {seen(nil)},
		"status-grace":   {grace},
		"status-mixed":   {grace, due, mute, failed},
		"status-person":  {person},
		"status-hostile": {odd},
		"status-none":    nil,
	}
}

func toldStatus(all []Seen) string {
	var b strings.Builder
	for _, s := range all {
		if err := Status(&b, s); err != nil {
			panic(err)
		}
	}
	return b.String() + StatusTally(all) + "\n"
}

func TestStatusGolden(t *testing.T) {
	exits := map[string]int{"status": Fine, "status-grace": Fine, "status-mixed": Unwell, "status-person": Urgent, "status-hostile": Urgent, "status-none": Fine}
	for name, all := range sights() {
		t.Run(name, func(t *testing.T) {
			out, err := StatusJSON(all, false)
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, out, "", " "); err != nil {
				t.Fatal(err)
			}
			text, md, om := toldStatus(all), StatusMarkdown(all), StatusMetrics(all, at)
			golden(t, name+".txt", text)
			golden(t, name+".json", pretty.String()+"\n")
			golden(t, name+".md", md)
			golden(t, name+".prom", om)
			if got := StatusExit(all); got != exits[name] {
				t.Errorf("exit %d, want %d", got, exits[name])
			}
			harmless(t, text)
			harmless(t, md)
			if err := openMetrics(om); err != nil {
				t.Errorf("%v\n%s", err, om)
			}
			promtool(t, om)
		})
	}
}

func TestStatusJSONStaysSmall(t *testing.T) {
	for _, n := range []int{1, 40, 1000} {
		var all []Seen
		for i := range n {
			all = append(all, seen(func(s *rotate.Status) {
				s.Name = fmt.Sprintf("rotation %d", i)
				if i == n-1 {
					s.Alarms = []string{"consumers hold a token that does not work"}
				}
			}))
		}
		b, err := StatusJSON(all, true)
		var out statusesJSON
		if err == nil {
			err = json.Unmarshal(b, &out)
		}
		if err != nil || len(b) >= mostJSON || len(out.Rotations)+out.LeftOut != n || out.Status != Urgent {
			t.Errorf("%d: %d bytes, %d rotations, %d left out, %v", n, len(b), len(out.Rotations), out.LeftOut, err)
		}
		if last := out.Rotations[len(out.Rotations)-1]; last.Status != Urgent {
			t.Errorf("%d: the one that needs a person was left out", n)
		}
	}
}

// promtool lints an exposition as Prometheus itself does, where it is installed.
func promtool(t *testing.T, text string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		return
	}
	cmd := exec.Command(path, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

var (
	metadata   = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?)$`)
	labelPair  = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)`)
)

// openMetrics checks the text by the rules of the OpenMetrics specification that can apply to gauges, and by ours: no
// timestamps, and a unit wherever the name ends in one.
func openMetrics(text string) error {
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok || strings.Contains("\n"+body, "\n# EOF\n") {
		return errors.New("does not end with the only # EOF")
	}
	family, told, series, families := "", map[string]string{}, map[string]bool{}, map[string]bool{}
	samples := 1
	for line := range strings.Lines(body) {
		line, ok := strings.CutSuffix(line, "\n")
		if !ok || line == "" {
			return fmt.Errorf("an empty or an open line: %q", line)
		}
		if m := metadata.FindStringSubmatch(line); m != nil {
			if m[1] == "TYPE" {
				if families[m[2]] || samples == 0 {
					return fmt.Errorf("%s comes twice, or a family without a sample before it", m[2])
				}
				family, told, samples = m[2], map[string]string{}, 0
				families[family] = true
			}
			if m[2] != family || samples > 0 || told[m[1]] != "" {
				return fmt.Errorf("out of place: %q", line)
			}
			told[m[1]] = m[3]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family {
			return fmt.Errorf("no sample of %s: %q", family, line)
		}
		if told["TYPE"] != "gauge" || told["HELP"] == "" || strings.HasSuffix(family, "_seconds") != (told["UNIT"] == "seconds") {
			return fmt.Errorf("%s: %v", family, told)
		}
		if regexp.MustCompile(`_(total|created|count|sum|bucket|info)$`).MatchString(family) {
			return fmt.Errorf("%s: a suffix of another type", family)
		}
		names, rest := map[string]bool{}, m[3]
		for rest != "" {
			p := labelPair.FindStringSubmatch(rest)
			if p == nil || names[p[1]] || p[3] == "," && len(rest) == len(p[0]) {
				return fmt.Errorf("labels: %q", line)
			}
			names[p[1]], rest = true, rest[len(p[0]):]
		}
		if key := m[1] + m[2]; series[key] {
			return fmt.Errorf("twice: %s", key)
		} else {
			series[key] = true
		}
		if v, err := strconv.ParseFloat(m[4], 64); err != nil || strings.HasSuffix(family, "_timestamp_seconds") && v <= 0 {
			return fmt.Errorf("value: %q", line)
		}
		samples++
	}
	if samples == 0 {
		return fmt.Errorf("%s has no sample", family)
	}
	return nil
}

// TestOpenMetrics: the check refuses what is wrong.
func TestOpenMetrics(t *testing.T) {
	const head = "# TYPE a gauge\n# HELP a b\n"
	for _, text := range []string{
		"", head + "a 1\n", "# EOF\n# EOF\n", "a 1\n# EOF\n", head + "# EOF\n", head + "a 1\n\n# EOF\n", head + "a 1\na 1\n# EOF\n", head + "b 1\n# EOF\n", head + "a{x=\"1\",x=\"2\"} 1\n# EOF\n",
		head + "a{x=\"1\",} 1\n# EOF\n", head + "a{x=\"\"\"} 1\n# EOF\n", head + "a{x=\"\\q\"} 1\n# EOF\n", head + "a 1 1700000000\n# EOF\n", head + "a one\n# EOF\n", head + "a 1\n" + head + "a{x=\"1\"} 1\n# EOF\n",
		"# TYPE a_seconds gauge\n# HELP a_seconds b\na_seconds 1\n# EOF\n", "# TYPE a counter\n# HELP a b\na 1\n# EOF\n", "# TYPE a gauge\na 1\n# EOF\n", "# TYPE a_total gauge\n# HELP a_total b\na_total 1\n# EOF\n", head + "a 1\n# HELP a b\n# EOF\n",
	} {
		if openMetrics(text) == nil {
			t.Errorf("accepted: %q", text)
		}
	}
	if err := openMetrics(head + "a{x=\"\\\\ \\\" \\n }\",y=\"\"} 1.5\na -2\n# EOF\n"); err != nil {
		t.Error(err)
	}
}

func FuzzStatus(f *testing.F) {
	f.Add(nasty, nasty, int64(0))
	f.Add("a\\", "\"}\n# EOF", int64(-1)<<40)
	f.Fuzz(func(t *testing.T, name, foreign string, seconds int64) {
		s := seen(func(s *rotate.Status) {
			x := rotate.Token{ID: foreign, Name: name, Created: time.Unix(seconds, 0), Expires: time.Unix(-seconds, 0)}
			s.Name, s.Provider, s.Next, s.Alarms = name, foreign, time.Unix(seconds, 0), []string{foreign}
			s.Sinks = []rotate.SinkStatus{{Holds: holds(foreign, x, true), Records: true}, {Holds: holds(name, x, false), Err: errors.New(foreign)}}
			s.Tokens = []rotate.TokenStatus{{Token: x, Fate: foreign, Classes: []rotate.Class{rotate.ClassHeld}}}
		})
		all := []Seen{s, s}
		harmless(t, toldStatus(all))
		harmless(t, StatusMarkdown(all))
		if err := openMetrics(StatusMetrics(all, at)); err != nil {
			t.Error(err)
		}
		if b, err := StatusJSON(all, true); err != nil || !json.Valid(b) {
			t.Errorf("%v: %s", err, b)
		}
	})
}

func TestWithdrawn(t *testing.T) {
	token := rotate.TokenStatus{Token: mid, Classes: []rotate.Class{rotate.ClassHeld, rotate.ClassNewest}, Sinks: []string{github}}
	free := rotate.TokenStatus{Token: old, Classes: []rotate.Class{rotate.ClassSuperseded}}
	refused := fmt.Errorf("%w: not revoked", rotate.ErrConflict)
	lost := fmt.Errorf("revoke %s: %w: 502", fly, rotate.ErrTemporary)
	objections := []string{github + " holds it"}
	for name, c := range map[string]struct {
		w    Withdrawn
		exit int
	}{
		"withdraw":         {Withdrawn{Withdrawal: rotate.Withdrawal{Token: free, Revoked: true, Warnings: []string{"in grace"}}}, Fine},
		"withdraw-dry":     {Withdrawn{Withdrawal: rotate.Withdrawal{Token: free}, Dry: true}, Fine},
		"withdraw-dry-no":  {Withdrawn{Withdrawal: rotate.Withdrawal{Token: token, Objections: objections, Breaks: []string{github}}, Dry: true, Err: refused}, Unwell},
		"withdraw-dry-yes": {Withdrawn{Withdrawal: rotate.Withdrawal{Token: token, Objections: objections, Breaks: []string{github}}, Dry: true}, Fine},
		"withdraw-refused": {Withdrawn{Withdrawal: rotate.Withdrawal{Token: token, Objections: objections, Breaks: []string{github}}, Err: refused}, Unwell},
		"withdraw-held":    {Withdrawn{Withdrawal: rotate.Withdrawal{Token: token, Objections: objections, Breaks: []string{github}, Revoked: true}}, Urgent},
		"withdraw-lost":    {Withdrawn{Withdrawal: rotate.Withdrawal{Token: free}, Err: lost}, Unwell},
		"withdraw-lost-3":  {Withdrawn{Withdrawal: rotate.Withdrawal{Token: token, Objections: objections, Breaks: []string{github}}, Err: lost}, Urgent},
		"withdraw-hostile": {Withdrawn{Withdrawal: rotate.Withdrawal{Name: nasty, Provider: nasty, Token: rotate.TokenStatus{Token: rotate.Token{ID: nasty, Name: nasty}, Fate: nasty},
			Objections: []string{nasty}, Breaks: []string{nasty}, Warnings: []string{nasty}}, Err: errors.New(nasty)}, Unwell},
	} {
		t.Run(name, func(t *testing.T) {
			if c.w.Name == "" {
				c.w.Name, c.w.Provider = "web's deploy", fly
			}
			c.w.At = at
			var b strings.Builder
			if err := Withdraw(&b, c.w); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.String())
			harmless(t, b.String())
			if got := c.w.Exit(); got != c.exit {
				t.Errorf("exit %d, want %d", got, c.exit)
			}
			if out, err := WithdrawnJSON(c.w); err != nil || !json.Valid(out) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestIdentified(t *testing.T) {
	whole := sights()["status-grace"]
	for name, c := range map[string]struct {
		f    Identified
		exit int
	}{
		"identify":         {Identified{Alive: true, Provider: fly, Token: mid, Asked: []Answer{{Provider: fly}}, Seen: whole}, Fine},
		"identify-old":     {Identified{Alive: true, Provider: fly, Token: old, Asked: []Answer{{Provider: fly}}, Seen: whole}, Fine},
		"identify-foreign": {Identified{Alive: true, Provider: fly, Token: rotate.Token{ID: "theirs", Name: "theirs"}, Asked: []Answer{{Provider: fly}}, Seen: whole}, Fine},
		"identify-unclear": {Identified{Alive: true, Provider: fly, Token: rotate.Token{Created: began}, Asked: []Answer{{Provider: fly}}, Seen: whole}, Fine},
		"identify-dead":    {Identified{Asked: []Answer{{fly, errors.New("identify " + fly + ": permission denied: 401")}}, Mute: []string{"random:x"}}, Unwell},
		"identify-alive":   {Identified{Alive: true, Asked: []Answer{{fly, errors.New("identify " + fly + ": conflict: the secret works, but is for another app")}}}, Unwell},
		"identify-partly":  {Identified{Alive: true, Provider: fly, Token: mid, Asked: []Answer{{Provider: fly}}, Seen: sights()["status-mixed"][3:]}, Fine},
		"identify-hostile": {Identified{Alive: true, Provider: nasty, Token: rotate.Token{ID: nasty, Name: nasty}, Asked: []Answer{{nasty, errors.New(nasty)}}, Mute: []string{nasty}, Seen: sights()["status-hostile"]}, Fine},
	} {
		t.Run(name, func(t *testing.T) {
			c.f.At = at
			var b strings.Builder
			if err := Identify(&b, c.f); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.String())
			harmless(t, b.String())
			if got := c.f.Exit(); got != c.exit {
				t.Errorf("exit %d, want %d", got, c.exit)
			}
			if out, err := IdentifiedJSON(c.f); err != nil || !json.Valid(out) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
