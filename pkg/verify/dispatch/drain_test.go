package dispatch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
)

var over = []phase{{0, "queued", ""}, {time.Second, "in_progress", ""}, {2 * time.Second, "completed", "success"}}

func TestDrainWaitsForOlderRuns(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		f.add("old.yml", 50*time.Hour, over)
		f.add("push.yml", 10*time.Minute, []phase{{0, "queued", ""}, {time.Minute, "in_progress", ""}, {15 * time.Minute, "completed", "failure"}})
		f.add("cron.yml", 5*time.Minute, []phase{{0, "queued", ""}, {12 * time.Minute, "in_progress", ""}, {14 * time.Minute, "completed", "success"}})
		since := time.Now().Add(-time.Minute)
		time.Sleep(5 * time.Second)
		f.add("new.yml", 0, runsOn) // queued after the write: carries the new value
		began := time.Now()
		if err := f.workflow().Drain(t.Context(), since); err != nil {
			t.Fatal(err)
		}
		// The push run ends in five minutes. The cron run, queued before and started later, ends in nine: GitHub gave it its
		// secrets when it was queued, the others do so when it starts.
		want := 5 * time.Minute
		if f.flavour == "github" || f.flavour == "ghes" {
			want = 9 * time.Minute
		}
		if took := time.Since(began); took < want-10*time.Second || took > want+time.Minute {
			f.log(t)
			t.Errorf("drained after %s, want %s", took, want)
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		f.add("push.yml", 10*time.Minute, []phase{{0, "in_progress", ""}, {12 * time.Minute, "completed", "success"}})
		f.add("push.yml", 10*time.Minute, runsOn)
		w := f.workflow()
		w.Timeout = 5 * time.Minute
		err := w.Drain(t.Context(), time.Now())
		if !errors.Is(err, rotate.ErrUnproven) || strings.Contains(err.Error(), "/runs/100") || !strings.Contains(err.Error(), "/runs/101") {
			t.Errorf("got %v", err)
		}
		w.SkipDrain = true
		n := len(f.requests)
		if err := w.Drain(t.Context(), time.Now()); err != nil || len(f.requests) != n {
			t.Errorf("skipped: %v", err)
		}
	})
}

func TestDrainLeavesItselfOut(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		for _, c := range []struct {
			workflow, run string
			waits         bool
		}{
			{"example/web/.github/workflows/rotate.yml@refs/heads/main", "100", false},
			{"example/web/.github/workflows/rotate.yml@refs/heads/main", "", false},
			{"", "100", false}, // some runners do not say the workflow; the run says it
			{"example/infra/.github/workflows/rotate.yml@refs/heads/main", "100", true},
			{"", "", true},
		} {
			f.runs = nil
			f.add("rotate.yml", time.Minute, runsOn)    // this run
			f.add("rotate.yml", 20*time.Second, runsOn) // the next, which waits for this one
			w := f.workflow()
			w.RunnerURL, w.RunnerRepository, w.RunnerWorkflow, w.RunnerRun = w.URL, "example/web", c.workflow, c.run
			w.Timeout = time.Minute
			if err := w.Drain(t.Context(), time.Now()); (err != nil) != c.waits {
				t.Errorf("workflow %q, run %q: %v", c.workflow, c.run, err)
			}
			// On another host the same ids mean other runs.
			w = f.workflow()
			w.RunnerURL, w.RunnerRepository, w.RunnerWorkflow, w.RunnerRun, w.Timeout = "https://elsewhere.example/api/v1", "example/web", c.workflow, c.run, time.Minute
			if err := w.Drain(t.Context(), time.Now()); err == nil {
				t.Errorf("elsewhere: workflow %q, run %q is left out", c.workflow, c.run)
			}
		}
	})
}

// A repository with more runs than a page has: the old one is found by its state.
func TestDrainBusyRepository(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		f.add("slow.yml", 20*24*time.Hour, runsOn)
		for range 250 {
			f.add("push.yml", 24*time.Hour, over)
		}
		w := f.workflow()
		w.Timeout = time.Minute
		if err := w.Drain(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "/runs/100") {
			t.Errorf("got %v", err)
		}
		if n := f.count("GET repos/example/web/actions/runs?"); n > 6 {
			t.Errorf("%d lists", n)
		}
		if f.flavour == "github" {
			n := len(f.requests)
			if err := w.Drain(t.Context(), time.Now().Add(-36*24*time.Hour)); err != nil || len(f.requests) != n {
				t.Errorf("no run is as old as that: %v", err)
			}
		}
	})
}

func TestDrainTrouble(t *testing.T) {
	each(t, func(t *testing.T, f *fake) {
		f.faults.Plant("list", emulate.Fault{Status: 403, Times: -1})
		err := f.workflow().Drain(t.Context(), time.Now())
		if !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrDenied) {
			t.Errorf("got %v", err)
		}
	})
	each(t, func(t *testing.T, f *fake) { // trouble on the way, and a run that somebody deletes
		f.add("push.yml", 10*time.Minute, []phase{{0, "in_progress", ""}, {12 * time.Minute, "completed", "success"}})
		f.add("push.yml", 10*time.Minute, runsOn)
		f.faults.Plant("run", emulate.Fault{Status: 502, Times: 8})
		time.AfterFunc(time.Minute, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.runs = f.runs[:1]
		})
		if err := f.workflow().Drain(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "no such API", func(t *testing.T) { // Forgejo 11
		f := &fake{flavour: "forgejo"}
		f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/actions/runs") {
				f.refuse(w, 404, "")
				return true
			}
			return false
		}
		w := f.workflow()
		for _, err := range []error{w.Drain(t.Context(), time.Now()), w.Verify(t.Context(), rotate.Credential{}), w.Check(t.Context())} {
			if !errors.Is(err, rotate.ErrNotFound) || !strings.Contains(err.Error(), "Forgejo 12") {
				t.Errorf("got %v", err)
			}
		}
		if f.count("POST") != 0 {
			t.Error("dispatched a run that cannot be followed")
		}
	})
}
