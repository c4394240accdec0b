package lab

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// drill carries one out.
func drill(t *testing.T, text string, sabotage func(*config.Config)) Drilled {
	t.Helper()
	d := &Drill{Sabotage: sabotage, Load: func(l *Lab) (*config.Config, error) { return config.Load([]byte(text), l.Options(config.Options{})) }}
	out, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d faults at %d requests, %s", len(out.Trials), out.Requests, out.Took.Round(time.Millisecond))
	return out
}

// The promise holds whatever fails at whichever request. The others of the examples take longer: `remint rehearse
// --all-faults` drills them.
func TestDrill(t *testing.T) {
	all := configurations(t)
	for _, x := range []struct {
		name   string
		faults int // at the least
	}{{"flagship", 100}, {"current", 100}, {"blumeops", 200}, {"undoable", 150}} {
		t.Run(x.name, func(t *testing.T) {
			if testing.Short() && x.name != "flagship" {
				t.Skip("a drill of the flagship is enough")
			}
			out := drill(t, all[x.name], nil)
			for _, b := range out.Broken() {
				t.Errorf("%s, %s (%s): %s: %q", b.Rotation, b.Step, b.Request, b.Fault, b.Broken)
			}
			if len(out.Trials) < x.faults {
				t.Errorf("%d faults, at least %d are expected", len(out.Trials), x.faults)
			}
			met := map[Fault]int{}
			held := map[Held]int{}
			for _, tr := range out.Trials {
				met[tr.Fault]++
				held[tr.Held]++
			}
			for _, f := range append(Faults(), Unstarted, Refuted) {
				if met[f] == 0 {
					t.Errorf("no run met %q", f)
				}
			}
			if held[Old] == 0 || held[Newborn] == 0 || held[Dead] > 0 {
				t.Errorf("held: %v", held)
			}
		})
	}
}

// What a fault comes to, at the requests that matter.
func TestDrillOutcomes(t *testing.T) {
	out := drill(t, flagship, nil)
	for _, x := range []struct {
		step, request string
		fault         Fault
		held          Held
		orphan        bool
		next          rotate.Outcome
	}{
		{"mint", "createToken", Killed, Old, true, rotate.Rotated},
		{"write", "PUT", Killed, Newborn, false, rotate.Rotated},   // no marker tells
		{"write", "PATCH", Killed, Newborn, false, rotate.Retired}, // the marker does
		{"write", "PUT", Refused, Old, true, rotate.Rotated},
		{"verify", "", Refuted, Newborn, false, rotate.Retired},
		{"prove", "", Refuted, Old, false, rotate.Rotated},
	} {
		found := false
		for _, tr := range out.Trials {
			mint := strings.Contains(strings.ToLower(tr.Request), "createlimitedaccesstoken")
			if strings.HasPrefix(tr.Step, x.step+" ") && tr.Fault == x.fault && (x.request == "createToken" && mint || x.request != "createToken" && strings.HasPrefix(tr.Request, x.request)) {
				found = true
				if tr.Held != x.held || tr.Orphan && !x.orphan || tr.Next != x.next {
					t.Errorf("%s %s %s: held %q, orphan %t, next %q", tr.Step, tr.Request, tr.Fault, tr.Held, tr.Orphan, tr.Next)
				}
			}
		}
		if !found {
			t.Errorf("no trial %s %s %s", x.step, x.request, x.fault)
		}
	}
}

// liar answers some requests as if they had been carried out.
type liar struct {
	to   http.RoundTripper
	lies func(r *http.Request, body string) (status int, answer string)
}

func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(strings.NewReader(body))
	}
	status, answer := l.lies(r, body)
	if status == 0 {
		return l.to.RoundTrip(r)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(answer)), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// A drill finds what is broken.
func TestDrillFinds(t *testing.T) {
	for _, x := range []struct {
		name, want string
		sabotage   func(*config.Config)
	}{
		{"a sink that says it wrote and did not", "which does not work", func(c *config.Config) {
			s := c.Rotations[0].Sinks[0].(*github.Secret)
			s.Transport = &liar{s.Transport, func(r *http.Request, _ string) (int, string) {
				if r.Method == http.MethodPut {
					return http.StatusNoContent, ""
				}
				return 0, ""
			}}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := &Drill{Sabotage: x.sabotage, Load: func(l *Lab) (*config.Config, error) {
				return config.Load([]byte(flagship), l.Options(config.Options{}))
			}}
			out, err := d.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			broken := out.Broken()
			if len(broken) == 0 {
				t.Fatal("nothing was found")
			}
			if !strings.Contains(strings.Join(broken[0].Broken, "; "), x.want) {
				t.Errorf("%q", broken[0].Broken)
			}
			t.Logf("%d of %d: %q", len(broken), len(out.Trials), broken[0].Broken)
		})
	}
}
