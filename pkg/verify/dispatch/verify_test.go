package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
)

var flavours = []string{"github", "ghes", "forgejo", "forgejo-old", "gitea"}

const posts = "POST repos/example/web/actions/workflows/deploy.yml/dispatches"

// bubble runs a test under a fake clock.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// each runs a test with every flavour.
func each(t *testing.T, f func(t *testing.T, f *fake)) {
	for _, flavour := range flavours {
		bubble(t, flavour, func(t *testing.T) { f(t, &fake{flavour: flavour, life: passes}) })
	}
}

// dispatches is how often a flavour is asked for one run: servers that refuse the wish for details are asked twice.
func dispatches(f *fake) int {
	if f.flavour == "ghes" {
		return 2
	}
	return 1
}

func TestPasses(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		f.add("deploy.yml", time.Second, ends("failure")) // somebody else's, a moment before
		f.add("other.yml", -time.Millisecond, ends("failure"))
		w := f.workflow()
		w.Inputs = map[string]string{"env": "production"}
		began := time.Now()
		if err := w.Verify(t.Context(), rotate.Credential{}); err != nil {
			f.log(t)
			t.Fatal(err)
		}
		if took := time.Since(began); took < 90*time.Second || took > 3*time.Minute {
			t.Errorf("followed for %s", took)
		}
		if n := f.count("POST"); n != dispatches(f) || len(f.runs) != 3 {
			t.Errorf("%d dispatches, %d runs", n, len(f.runs))
		}
		if want := `{"ref":"main","inputs":{"env":"production"}`; !strings.HasPrefix(f.bodies[0], want) {
			t.Errorf("sent %s", f.bodies[0])
		}
		if !strings.HasSuffix(f.auth, " dispatch-token-0123") {
			t.Errorf("authorised with %q", f.auth)
		}
		if got := w.Warnings(); got != nil {
			t.Errorf("warnings %q", got)
		}
	})
}

func TestEndings(t *testing.T) {
	for _, flavour := range []string{"github", "forgejo", "gitea"} {
		for _, c := range []struct {
			name     string
			life     []phase
			unproven bool
			says     string
			within   time.Duration
			only     string
		}{
			{"failure", ends("failure"), false, "ended with failure", 3 * time.Minute, ""},
			{"cancelled", ends("cancelled"), false, "ended with cancelled", 3 * time.Minute, ""},
			{"skipped", ends("skipped"), false, "ended with skipped", 3 * time.Minute, ""},
			{"timed out", ends("timed_out"), false, "ended with timed_out", 3 * time.Minute, "github"},
			{"startup failure", ends("startup_failure"), false, "ended with startup_failure", 3 * time.Minute, "github"},
			{"action required", ends("action_required"), true, "approve it", 3 * time.Minute, "github"},
			{"queued for ever", []phase{{0, "queued", ""}}, true, "still queued after 30m0s", 31 * time.Minute, ""},
			{"runs for ever", runsOn, true, "still running after 30m0s", 31 * time.Minute, ""},
			{"pending for ever", []phase{{0, "pending", ""}}, true, "still queued", 31 * time.Minute, "github"},
			{"waits for approval", []phase{{0, "waiting", ""}}, true, "waits for approval", 4 * time.Minute, "github forgejo"},
			{"approved in time", []phase{{0, "waiting", ""}, {time.Minute, "in_progress", ""}, {5 * time.Minute, "completed", "success"}}, false, "", 7 * time.Minute, ""},
			{"blocked by another run", []phase{{0, "waiting", ""}, {10 * time.Minute, "completed", "success"}}, false, "", 12 * time.Minute, "gitea"},
		} {
			if c.only != "" && !strings.Contains(c.only, flavour) {
				continue
			}
			bubble(t, flavour+"/"+c.name, func(t *testing.T) {
				f := &fake{flavour: flavour, life: c.life, tag: true}
				began := time.Now()
				err := f.workflow().Verify(t.Context(), rotate.Credential{})
				if took := time.Since(began); took > c.within {
					t.Errorf("took %s", took)
				}
				if c.says == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				if err == nil || errors.Is(err, rotate.ErrUnproven) != c.unproven {
					t.Fatalf("unproven %t wanted, got %v", c.unproven, err)
				}
				for _, want := range []string{"verify dispatch:example/web/deploy.yml: ", c.says, "https://git.example/example/web/actions/runs/100"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
			})
		}
	}
}

// The answer is lost after the run was made: it is found, and not made again.
func TestLostAnswer(t *testing.T) {
	for _, fault := range []emulate.Fault{{After: true}, {After: true, Status: 502}, {After: true, Status: 408}} {
		for _, correlation := range []string{"", "rotation_id"} {
			each(t, func(t *testing.T, f *fake) {
				if f.flavour == "ghes" && correlation == "" { // the first dispatch, with the wish for details, is refused all the same
					f.flavour = "github"
				}
				f.add("deploy.yml", time.Second, ends("failure")).attempt = 2
				f.faults.Plant("dispatch", fault)
				if f.flavour == "ghes" {
					f.faults.Clear()
				}
				w := f.workflow()
				w.Correlation = correlation
				if correlation != "" {
					f.life = passes
					go func() { // a rival's dispatch right after
						time.Sleep(3 * time.Second)
						f.add("deploy.yml", 0, ends("failure"))
					}()
				}
				if f.flavour == "github" && correlation == "" {
					time.Sleep(5 * time.Second) // GitHub names its runs, so the list before is not asked for
				}
				if err := w.Verify(t.Context(), rotate.Credential{}); err != nil {
					f.log(t)
					t.Fatal(err)
				}
				if n := f.count(posts); n != dispatches(f) {
					t.Errorf("dispatched %d times", n)
				}
			})
		}
	}
}

// The request never arrived, or its run cannot be told from another: unproven, and not sent again.
func TestNotFoundIsUnproven(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		if f.flavour == "ghes" {
			f.faults.Plant("dispatch", emulate.Fault{Status: 400, Body: `{"message":"return_run_details is unknown"}`})
		}
		f.faults.Plant("dispatch", emulate.Fault{Status: 504})
		f.add("deploy.yml", time.Hour, ends("success"))
		err := f.workflow().Verify(t.Context(), rotate.Credential{})
		if !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "its run was not found; it is not sent again") {
			t.Errorf("got %v", err)
		}
		if n := f.count(posts); n != dispatches(f) {
			t.Errorf("dispatched %d times", n)
		}
	})
	each(t, func(t *testing.T, f *fake) {
		w := f.workflow()
		w.Correlation = "rotation_id"
		f.faults.Plant("dispatch", emulate.Fault{}) // lost on the way there
		go func() {
			time.Sleep(time.Second)
			f.add("deploy.yml", 0, ends("success")) // not ours
		}()
		err := w.Verify(t.Context(), rotate.Credential{})
		if !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "run-name") {
			t.Errorf("got %v", err)
		}
		if n := f.count(posts); n != 1 {
			t.Errorf("dispatched %d times", n)
		}
	})
	each(t, func(t *testing.T, f *fake) {
		if f.flavour == "ghes" {
			f.faults.Plant("dispatch", emulate.Fault{Status: 400, Body: `{"message":"return_run_details is unknown"}`})
		}
		f.faults.Plant("dispatch", emulate.Fault{After: true})
		go func() {
			time.Sleep(time.Second)
			f.add("deploy.yml", 0, ends("success"))
		}()
		err := f.workflow().Verify(t.Context(), rotate.Credential{})
		if !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "2 runs can be its") || !strings.Contains(err.Error(), "/runs/100") || !strings.Contains(err.Error(), "/runs/101") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCan(t *testing.T) {
	sent := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	before := []run{{id: 7}, {id: 9}}
	byTime := run{id: 10, file: "deploy.yml", branch: "main", event: "workflow_dispatch", attempt: 1, created: sent.Add(time.Second)}
	byID := byTime
	byID.created = time.Time{}
	with := func(r run, change func(*run)) run { change(&r); return r }
	plain, correlated := look{ref: "main", sent: sent, listed: true, before: before}, look{id: "remint-x", ref: "main", sent: sent}
	for name, c := range map[string]struct {
		look look
		run  run
		want bool
	}{
		"after":                         {plain, byTime, true},
		"full ref":                      {look{ref: "refs/heads/main", sent: sent}, byTime, true},
		"greater id":                    {plain, byID, true},
		"smaller id, not on the page":   {plain, with(byID, func(r *run) { r.id = 3 }), false},
		"no time, nothing listed":       {look{ref: "main", sent: sent}, byID, false},
		"listed before":                 {plain, with(byTime, func(r *run) { r.id = 9 }), false},
		"created before":                {plain, with(byTime, func(r *run) { r.created = sent.Add(-time.Minute) }), false},
		"within the margin of clocks":   {plain, with(byTime, func(r *run) { r.created = sent.Add(-margin) }), true},
		"re-run":                        {plain, with(byTime, func(r *run) { r.attempt = 2 }), false},
		"other branch":                  {plain, with(byTime, func(r *run) { r.branch = "next" }), false},
		"other workflow":                {plain, with(byTime, func(r *run) { r.file = "other.yml" }), false},
		"other event":                   {plain, with(byTime, func(r *run) { r.event = "push" }), false},
		"correlated":                    {correlated, with(byTime, func(r *run) { r.text = "deploy remint-x" }), true},
		"correlated, of another":        {correlated, with(byTime, func(r *run) { r.text = "deploy remint-y" }), false},
		"correlated, of other workflow": {correlated, with(byTime, func(r *run) { r.text, r.file = "remint-x", "other.yml" }), false},
	} {
		if got := c.look.can(c.run, "deploy.yml", 0); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	// A clock ten minutes ahead, ours or theirs, is reckoned with.
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		r := with(byTime, func(r *run) { r.created = sent.Add(skew) })
		if !plain.can(r, "deploy.yml", skew) || skew < 0 && plain.can(r, "deploy.yml", 0) {
			t.Errorf("skew %s", skew)
		}
	}
}

// What is refused started nothing: unproven with its reason, and nobody looks for a run.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   error
	}{
		{422, `{"message":"Unexpected inputs provided: [\"x\"]"}`, rotate.ErrConfig},
		{403, `{"message":"Resource not accessible by integration"}`, rotate.ErrDenied},
		{404, `{"message":"Not Found"}`, rotate.ErrNotFound},
		{429, `{"message":"slow down"}`, rotate.ErrLimit},
		{401, `<html>proxy</html>`, rotate.ErrDenied},
	} {
		for _, flavour := range []string{"github", "forgejo", "gitea"} {
			bubble(t, fmt.Sprint(flavour, c.status), func(t *testing.T) {
				f := &fake{flavour: flavour, life: passes}
				f.faults.Plant("dispatch", emulate.Fault{Status: c.status, Body: c.body})
				err := f.workflow().Verify(t.Context(), rotate.Credential{})
				if !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, c.kind) || strings.Contains(err.Error(), "<html>") {
					t.Errorf("got %v", err)
				}
				if f.count("POST") != 1 || f.count("GET repos/example/web/actions/runs/") != 0 {
					f.log(t)
					t.Error("it was not left alone")
				}
			})
		}
	}
	bubble(t, "unreachable", func(t *testing.T) {
		f := &fake{flavour: "github"}
		w := f.workflow()
		w.Ref = "main"
		w.Transport = &emulate.Wire{Route: func(string) http.Handler { return nil }}
		if err := w.Verify(t.Context(), rotate.Credential{}); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrTemporary) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFollowSurvives(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		f.faults.Plant("run", emulate.Fault{Status: 404, Times: 2})
		f.faults.Plant("run", emulate.Fault{Status: 502, Times: 9})
		f.faults.Plant("run", emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}})
		f.faults.Plant("run", emulate.Fault{})
		if err := f.workflow().Verify(t.Context(), rotate.Credential{}); err != nil {
			t.Fatal(err)
		}
	})
	each(t, func(t *testing.T, f *fake) {
		f.faults.Plant("run", emulate.Fault{Status: 403, Times: -1})
		began := time.Now()
		err := f.workflow().Verify(t.Context(), rotate.Credential{})
		if !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrDenied) || time.Since(began) > 5*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
	each(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(25*time.Second, cancel)
		began := time.Now()
		err := f.workflow().Verify(ctx, rotate.Credential{})
		if f.flavour == "forgejo-old" || f.flavour == "ghes" { // still looking for the run
			if !errors.Is(err, rotate.ErrUnproven) {
				t.Errorf("got %v", err)
			}
		} else if !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "was running when remint was stopped") || time.Since(began) > 26*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestRerunIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{flavour: "github", life: passes}
		time.AfterFunc(30*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.runs[0].attempt = 2
		})
		w := f.workflow()
		if err := w.Verify(t.Context(), rotate.Credential{}); err != nil {
			t.Fatal(err)
		}
		if got := w.Warnings(); len(got) != 1 || !strings.Contains(got[0], "attempt 2") {
			t.Errorf("warnings %q", got)
		}
	})
}

// The budget of GitHub: one request to check, one to dispatch, and polls that answer 304 while nothing changes.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{flavour: "github", life: passes, tag: true}
		w := f.workflow()
		if err := errors.Join(w.Check(t.Context()), w.Verify(t.Context(), rotate.Credential{}), w.Drain(t.Context(), time.Now().Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
		polls := f.count("GET repos/example/web/actions/runs/")
		if rest := len(f.requests) - polls; rest != 3 || polls < 4 || polls > 12 {
			f.log(t)
			t.Errorf("%d requests and %d polls", rest, polls)
		}
	})
}

// Polls of a run send the ETag of the last answer.
func TestConditional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{flavour: "github", life: passes, tag: true}
		unchanged := 0
		f.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") != "" {
				unchanged++
			}
			return false
		}
		if err := f.workflow().Verify(t.Context(), rotate.Credential{}); err != nil {
			t.Fatal(err)
		}
		if unchanged < 2 {
			t.Errorf("%d conditional requests", unchanged)
		}
	})
}

// No message, and no way of printing the verifier, shows the token.
func TestKeepsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{flavour: "github", life: ends("failure")}
		w := f.workflow()
		err := w.Verify(t.Context(), rotate.Credential{Secret: rotate.NewSecret("newborn-0123456789")})
		text, _ := json.Marshal([]any{w.Token, w.RunnerToken})
		for _, shown := range []string{err.Error(), fmt.Sprintf("%v %+v %#v", w.Token, w.RunnerToken, w.GitHubToken), string(text), strings.Join(f.bodies, "")} {
			if strings.Contains(shown, "dispatch-token") || strings.Contains(shown, "newborn") {
				t.Errorf("shown in %q", shown)
			}
		}
	})
}
