package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/remint-dev/remint/pkg/rotate"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares a text with a file in testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", path, got)
	}
}

func told(e Entry) string {
	var b strings.Builder
	for _, s := range e.Result.Steps {
		b.WriteString(Step(rotate.StepResult{Step: s.Step, Result: rotate.Begun}) + "\n" + Step(s) + "\n")
	}
	if err := Result(&b, e.Result, e.Err); err != nil {
		panic(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			var b strings.Builder
			for _, e := range s.entries {
				b.WriteString(told(e) + "\n")
			}
			out, err := JSON(s.entries)
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, out, "", " "); err != nil {
				t.Fatal(err)
			}
			golden(t, s.name+".txt", b.String())
			golden(t, s.name+".json", pretty.String()+"\n")
			golden(t, s.name+".md", Markdown(s.entries))
			if got := Exit(s.entries); got != s.exit {
				t.Errorf("exit %d, want %d", got, s.exit)
			}
		})
	}
}

func TestEveryOutcome(t *testing.T) {
	seen := map[rotate.Outcome]bool{}
	for _, s := range scenes() {
		for _, e := range s.entries {
			seen[e.Result.Outcome] = true
		}
	}
	for _, o := range []rotate.Outcome{rotate.Idle, rotate.Waiting, rotate.Rotated, rotate.Retired, rotate.OnHold, rotate.Restored, rotate.Failed} {
		if !seen[o] {
			t.Errorf("no scene with outcome %q", o)
		}
	}
}

func TestPlanGolden(t *testing.T) {
	steps := func(e Entry) []rotate.Step {
		var all []rotate.Step
		for _, s := range e.Result.Steps {
			all = append(all, s.Step)
		}
		return all
	}
	whole := rotation(nil)
	for name, p := range map[string]rotate.Plan{
		"plan-idle": {Name: "web deploy", Sinks: idle(nil).Result.Sinks, Live: []rotate.Token{mid}, Next: mid.Created.Add(75 * day)},
		"plan-due": {Name: "web deploy", Due: true, Reasons: whole.Result.Reasons, Steps: steps(whole), Live: []rotate.Token{old}, Next: old.Created.Add(75 * day),
			Sinks: []rotate.Holds{holds(aws, old, true), {Sink: github, State: stateUnclear}},
			OnFailure: []rotate.Step{{Do: rotate.Restore, At: github}, {Do: rotate.Restore, At: aws}, {Do: rotate.Verify, At: dispatch, What: "with what was restored"},
				{Do: rotate.Revoke, At: fly, What: "the newborn, if no sink may hold it"}},
			Kept: []rotate.Kept{{Token: old, Why: "in grace for 30 days after its successor's birth"}}},
		"plan-stop": {Name: "web deploy", Due: true, Stop: "limit reached: 10 generations are alive (max-revoke 10), so no further one is minted; find out why earlier runs failed, then revoke what no sink holds",
			Sinks: []rotate.Holds{{Sink: github, State: stateMute}, {Sink: aws}}, Warnings: []string{github + " could not be asked: 502"}},
		"plan-retire":  {Name: "web deploy", Steps: []rotate.Step{{Do: rotate.Revoke, At: fly, What: old.Name}}, Sinks: []rotate.Holds{holds(github, mid, true)}, Live: []rotate.Token{old, mid}},
		"plan-hostile": {Name: nasty, Due: true, Stop: nasty, Reasons: []string{nasty}, Steps: []rotate.Step{{Do: "x", At: nasty, What: nasty}}, Warnings: []string{nasty}},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Plan(&b, p, began); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.String())
			harmless(t, b.String())
		})
	}
}

// harmless fails if a text could steer a terminal or a runner.
func harmless(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			t.Errorf("a runner takes this for a command: %q", line)
		}
		if strings.ContainsFunc(line, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }) {
			t.Errorf("control characters: %q", line)
		}
	}
}

func TestTextIsHarmless(t *testing.T) {
	for _, s := range scenes() {
		for _, e := range s.entries {
			harmless(t, told(e))
		}
		harmless(t, Markdown(s.entries))
		for line := range strings.Lines(told(hostile())) {
			if len(line) > 2*longestLine {
				t.Errorf("%d bytes in a line", len(line))
			}
		}
	}
}

// What Markdown may hold outside code and character references.
var ourHTML = regexp.MustCompile(`^(</?code>|</?details>|</?summary>|<https?://[A-Za-z0-9._~:/?=%+,-]+>)`)

func TestMarkdownIsEscaped(t *testing.T) {
	for _, s := range scenes() {
		columns, chart := 0, false
		for line := range strings.Lines(Markdown(s.entries)) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "```") {
				chart = line == "```mermaid"
				columns = 0
				continue
			}
			if chart {
				if strings.ContainsAny(strings.TrimPrefix(line, "    dateFormat"), "#;`|<>{}\"'") {
					t.Errorf("%s: chart: %q", s.name, line)
				}
				continue
			}
			for i := range line {
				if line[i] == '<' && !ourHTML.MatchString(line[i:]) {
					t.Errorf("%s: HTML in %q", s.name, line)
				}
			}
			if n := strings.Count(line, "|"); n == 0 {
				columns = 0
			} else if columns == 0 {
				columns = n
			} else if n != columns {
				t.Errorf("%s: %d bars in a table with %d: %q", s.name, n, columns, line)
			}
			if strings.Count(line, "`")%2 != 0 || strings.Contains(line, "``") && !strings.HasPrefix(line, "```") {
				t.Errorf("%s: backticks in %q", s.name, line)
			}
		}
		if chart {
			t.Errorf("%s: a chart is not closed", s.name)
		}
	}
}

func TestMarkdownWords(t *testing.T) {
	for text, want := range map[string]string{
		"FLY_DEPLOY_TOKEN is 75 days old": "FLY_DEPLOY_TOKEN is 75 days old",
		"_x_ *y* a|b <z> `c`":             "&#95;x&#95; &#42;y&#42; a&#124;b &#60;z&#62; &#96;c&#96;",
		"run https://x.example/a_b?c=1 x": "run <https://x.example/a_b?c=1> x",
		"https://x.example/a|b":           "https://x.example/a&#124;b",
		"PUT https://x.example/a: 403":    "PUT <https://x.example/a>: 403",
		"javascript:x https://":           "javascript:x https://",
		"1. one":                          "&#49;. one",
		"10 generations":                  "10 generations",
		"- x":                             "&#45; x",
		"a & b":                           "a &#38; b",
	} {
		if got := markdown(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for text, want := range map[string]string{
		"web deploy 1": "`web deploy 1`",
		"a|b`":         "<code>a&#124;b&#96;</code>",
		"":             "",
	} {
		if got := code(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestExitNextNames(t *testing.T) {
	var all []Entry
	for _, s := range scenes() {
		all = append(all, s.entries...)
	}
	if got := Exit(all); got != Urgent {
		t.Errorf("exit %d", got)
	}
	mixed := scenes()[len(scenes())-1].entries
	if got := Rotated(mixed); !slices.Equal(got, []string{"web deploy"}) {
		t.Errorf("rotated %q", got)
	}
	if got := Failed(mixed); !slices.Equal(got, []string{"docs deploy"}) {
		t.Errorf("failed %q", got)
	}
	if got := Next(mixed); !got.Equal(old.Created.Add(75 * day)) {
		t.Errorf("next %s", got)
	}
	if Rotated(nil) == nil || Failed(nil) == nil || !Next(nil).IsZero() || Exit(nil) != Fine {
		t.Error("nothing is not nothing")
	}
	if got := Exit([]Entry{{Result: rotate.Result{Outcome: rotate.Idle}, Err: errors.New("x")}}); got != Unwell {
		t.Errorf("an error with outcome idle exits %d", got)
	}
	if got := Exit([]Entry{{}}); got != Unwell {
		t.Errorf("no outcome exits %d", got)
	}
}

func TestJSONStaysSmall(t *testing.T) {
	bad := func(i int) Entry {
		return rotation(func(e *Entry) {
			e.Result.Name = fmt.Sprintf("rotation %d", i)
			e.Result.Outcome, e.Err = rotate.Failed, errors.New(strings.Repeat("long ", 400))
		})
	}
	for _, c := range []struct {
		name  string
		all   []Entry
		keeps int  // rotations
		short bool // something is left out
	}{
		{"one", []Entry{rotation(nil)}, 1, false},
		{"hostile", []Entry{hostile()}, 1, false},
		{"ten", slices.Repeat([]Entry{rotation(nil)}, 10), 10, false},
		{"thirty", slices.Repeat([]Entry{rotation(nil)}, 30), 30, true},
		{"sixty", slices.Repeat([]Entry{rotation(nil)}, 60), 60, true},
		{"many", append(slices.Repeat([]Entry{rotation(nil)}, 500), bad(1), bad(2)), 0, true},
		{"hostile crowd", slices.Repeat([]Entry{hostile()}, 200), 0, true},
	} {
		b, err := JSON(c.all)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) >= mostJSON || bytes.ContainsAny(b, "\n\r") || len(c.all) > 100 && len(b) < mostJSON*8/10 {
			t.Errorf("%s: %d bytes", c.name, len(b))
		}
		var out rotationsJSON
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Rotations)+out.LeftOut != len(c.all) || c.keeps > 0 && len(out.Rotations) != c.keeps {
			t.Errorf("%s: %d rotations, %d left out", c.name, len(out.Rotations), out.LeftOut)
		}
		if out.Rotations[0].Shortened != c.short {
			t.Errorf("%s: shortened %t", c.name, out.Rotations[0].Shortened)
		}
		if c.name == "many" && out.Rotations[len(out.Rotations)-1].Name != "rotation 2" {
			t.Error("what failed was left out before what is fine")
		}
	}
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 212400 * time.Microsecond: "212ms", 4140 * time.Millisecond: "4.1s", 130 * time.Second: "2m10s", 999600 * time.Microsecond: "1s"} {
		if got := took(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
	for d, want := range map[time.Duration]string{75 * day: "2027-01-19 (in 75 days)", day: "2026-11-06 (in 1 day)", time.Hour: "2026-11-05 04:17 UTC", -time.Hour: "since 2026-11-05", -3 * day: "since 2026-11-02 (3 days)"} {
		if got := due(began.Add(d), began); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add(nasty, nasty, int64(0))
	f.Add("web", "x\n| y |\n```\n</details>", int64(1)<<40)
	f.Fuzz(func(t *testing.T, name, foreign string, seconds int64) {
		tok := rotate.Token{ID: foreign, Name: name, Created: began, Expires: time.Unix(seconds, 0)}
		e := Entry{Err: errors.New(foreign), Result: rotate.Result{Name: name, Outcome: rotate.Failed, Begun: began, Ended: ended, Next: time.Unix(seconds, 0),
			Sinks: []rotate.Holds{holds(foreign, tok, true)}, Live: []rotate.Token{tok}, Left: []string{foreign},
			Steps: []rotate.StepResult{wrong(step(rotate.Writing, foreign, name, time.Second), errors.New(foreign))}}}
		harmless(t, told(e))
		md := Markdown([]Entry{e, e})
		harmless(t, md)
		if strings.Count(md, "```mermaid\n") != strings.Count(md, "\n```\n") {
			t.Errorf("fences: %s", md)
		}
		if b, err := JSON([]Entry{e}); err != nil || !json.Valid(b) || bytes.ContainsAny(b, "\n\r") {
			t.Errorf("%v: %s", err, b)
		}
	})
}
