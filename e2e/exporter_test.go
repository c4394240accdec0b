//go:build e2e

package e2e

// The whole example for the Fastly exporter, with the real binary, on a real Kubernetes API and a real Prometheus for each
// environment. See govuk_test.go for the world, cluster_test.go and metrics_test.go for what stands in it.

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// idleMost is how long a run over all environments may take that has nothing to do.
const idleMost = time.Second

func TestExporter(t *testing.T) {
	newKube(t)
	t.Parallel()
	t.Run("step 15: three environments", func(t *testing.T) { t.Parallel(); threeEnvironments(t) })
	t.Run("step 15: refused in the second", func(t *testing.T) { t.Parallel(); refusedInSecond(t) })
	t.Run("a Job that fails", func(t *testing.T) { t.Parallel(); failingJob(t) })
	t.Run("step 13: taken at the second restart", func(t *testing.T) { t.Parallel(); takenAtSecond(t) })
	const (
		put   = "Staging aws POST / secretsmanager.PutSecretValue" // the first is the check's
		stage = "Staging aws POST / secretsmanager.UpdateSecretVersionStage"
		patch = "Staging kube PATCH /apis/apps/v1/"
		look  = "Staging kube GET /apis/apps/v1/"
		gone  = "Staging fastly DELETE /tokens/"
	)
	for _, k := range []kill{
		{"before AWS serves the newborn", strike{[]string{put, put}, true}, oldOne, 2},
		{"as AWS serves the newborn", strike{[]string{put, put, stage}, true}, newborn, 2},
		{"during the rollout", strike{[]string{patch, look}, false}, newborn, 2},
		{"before the old one is revoked", strike{[]string{gone}, false}, newborn, 2},
		{"as the old one is revoked", strike{[]string{gone}, true}, newborn, 1},
	} {
		t.Run("killed "+k.when, func(t *testing.T) { t.Parallel(); killed(t, k) })
	}
}

// kill is a moment in Staging at which the process is killed, and what is there then.
type kill struct {
	when string
	strike
	aws   string // holds
	alive int    // tokens
}

// All three are rotated, one after the other; then nothing is to be done, which is quick.
func threeEnvironments(t *testing.T) {
	w := newGovuk(t, wishes{})
	r := w.action()
	if r.code != 0 {
		t.Fatalf("exit %d:\n%s", r.code, r.log)
	}
	w.wantState(newborn, newborn, newborn)
	w.wantHarmless()
	for _, e := range w.envs {
		if n := w.kube.restarts(t, e.namespace, deployment); n != 1 {
			t.Errorf("%s: %d restarts, want 1", e.name, n)
		}
	}
	if !strings.Contains(r.summary, "3 rotated") {
		t.Errorf("the summary:\n%s", r.summary)
	}
	w.figures("rotated", r)

	best := ended{took: time.Hour}
	for range 3 {
		r := w.run()
		if r.code != 0 || strings.Count(r.log, "nothing to do") < 3 {
			t.Fatalf("with nothing to do it exits with %d:\n%s", r.code, r.log)
		}
		for _, e := range w.envs {
			if got := r.asked[e.name]; got["fastly"] != 1 || got["kube"] > 0 || got["prometheus"] > 0 {
				t.Errorf("%s: with nothing to do it asks %v", e.name, got)
			}
		}
		if r.took < best.took {
			best = r
		}
	}
	w.figures("nothing to do", best)
	if best.took > idleMost {
		t.Errorf("with nothing to do it takes %s, want %s at the most", best.took, idleMost)
	}
	w.wantState(newborn, newborn, newborn)
	for _, e := range w.envs {
		if n := w.kube.restarts(t, e.namespace, deployment); n != 1 {
			t.Errorf("%s: %d restarts after runs with nothing to do", e.name, n)
		}
	}
}

// The exporter of Staging gets on with no newborn: Integration stays rotated, Staging works with its old token again,
// Production was not touched.
func refusedInSecond(t *testing.T) {
	w := newGovuk(t, wishes{attempts: 2, takes: func(env string, _ int, newborn bool) bool { return !newborn || env != "Staging" }})
	r := w.action()
	if r.code != 1 {
		t.Fatalf("exit %d:\n%s", r.code, r.log)
	}
	w.wantState(newborn, oldOne, oldOne)
	w.wantHarmless()
	staging := w.envs[1]
	if starts := staging.started(); len(starts) != 4 || starts[0] != staging.old.ID || starts[1] == staging.old.ID || starts[2] != starts[1] || starts[3] != staging.old.ID {
		t.Errorf("Staging's exporter was started with %q; want the old one, twice the newborn, and the old one again", starts)
	}
	if n := w.kube.restarts(t, staging.namespace, deployment); n != 3 {
		t.Errorf("%d restarts in Staging, want 3", n)
	}
	if n := staging.synced(); n < 4 { // the first of all, two of the newborn, one of the restored
		t.Errorf("%d syncs in Staging, want at least 4", n)
	}
	production := w.envs[2]
	if asked := r.asked[production.name]; len(asked) > 0 {
		t.Errorf("Production was asked: %v", asked)
	}
	if starts := production.started(); len(starts) != 1 {
		t.Errorf("Production's exporter was started with %q", starts)
	}
	for _, s := range []string{"1 restored", "1 rotated",
		"| ✅ | `GOV.UK prometheus-fastly-exporter token for Integration` | rotated |",
		"| ↩️ | `GOV.UK prometheus-fastly-exporter token for Staging` | restored | `GOV.UK prometheus-fastly-exporter token for Staging` |",
		"| ❌ | `GOV.UK prometheus-fastly-exporter token for Production` |",
		"the query has no sample", "not begun: an earlier rotation of the same matrix failed"} {
		if !strings.Contains(r.summary, s) {
			t.Errorf("the summary does not say %q:\n%s", s, r.summary)
		}
	}
}

// synced returns how often the operator copied.
func (e *environment) synced() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.syncs
}

// Staging's exporter gets on with the newborn at the second restart, as if not every server of Fastly knew the token
// before: the retry loop of the procedure makes that a success.
func takenAtSecond(t *testing.T) {
	w := newGovuk(t, wishes{attempts: 2, takes: func(env string, start int, _ bool) bool { return env != "Staging" || start != 2 }})
	r := w.action()
	if r.code != 0 {
		t.Fatalf("exit %d:\n%s", r.code, r.log)
	}
	w.wantState(newborn, newborn, newborn)
	w.wantHarmless()
	if starts := w.envs[1].started(); len(starts) != 3 || starts[0] != w.envs[1].old.ID || starts[1] != starts[2] || starts[1] == starts[0] {
		t.Errorf("Staging's exporter was started with %q; want the old one, and twice the newborn", starts)
	}
	if n := w.envs[1].synced(); n < 3 {
		t.Errorf("%d syncs in Staging, want at least 3", n)
	}
	if w.envs[0].synced() > 2 || len(w.envs[0].started()) != 2 {
		t.Errorf("Integration was synced %d times, and its exporter started with %q", w.envs[0].synced(), w.envs[0].started())
	}
}

// A Job stands between the rollout and the metrics. Staging's fails with the newborn, and completes with what was restored.
func failingJob(t *testing.T) {
	w := newGovuk(t, wishes{job: true, attempts: 1, synced: func(k *kube, e *environment, newborn bool) {
		if e.name == "Staging" {
			code := 0
			if newborn {
				code = 3
			}
			if err := k.exit(t.Context(), e.namespace, cronJob, code); err != nil {
				t.Error(err)
			}
		}
	}})
	r := w.action()
	if r.code != 1 {
		t.Fatalf("exit %d:\n%s", r.code, r.log)
	}
	w.wantState(newborn, oldOne, oldOne)
	w.wantHarmless()
	for i, want := range [][2]int{{1, 0}, {1, 1}, {0, 0}} {
		e := w.envs[i]
		if complete, failed := w.kube.jobs(t, e.namespace); complete != want[0] || failed != want[1] {
			t.Errorf("%s: %d Jobs completed and %d failed, want %v", e.name, complete, failed, want)
		}
	}
	for _, s := range []string{"1 restored", "1 rotated", "fake pod log"} {
		if !strings.Contains(r.summary, s) {
			t.Errorf("the summary does not say %q:\n%s", s, r.summary)
		}
	}
}

// The process is killed in Staging. Consumers are unharmed, and the next run does the rest.
func killed(t *testing.T, k kill) {
	w := newGovuk(t, wishes{})
	w.strike = k.strike
	if r := w.run(); r.code != -1 {
		t.Fatalf("exit %d, although it was to be killed:\n%s", r.code, r.log)
	}
	for i, want := range []kill{{aws: newborn, alive: 1}, k, {aws: oldOne, alive: 1}} {
		e := w.envs[i]
		alive := w.alive(e)
		if held, _ := w.held(e); held != want.aws || len(alive) != want.alive {
			t.Errorf("%s: AWS holds %s, and %d tokens are alive; want %s and %d", e.name, held, len(alive), want.aws, want.alive)
		}
		if id := e.runs(); !slices.Contains(alive, id) {
			t.Errorf("%s: the exporter runs with %q, alive are %q", e.name, id, alive)
		}
	}
	integration := w.envs[0].started()
	r := w.run("--alone")
	if r.code != 0 {
		t.Fatalf("the next run exits with %d:\n%s", r.code, r.log)
	}
	w.wantState(newborn, newborn, newborn)
	w.wantHarmless()
	if again := w.envs[0].started(); !slices.Equal(integration, again) {
		t.Errorf("Integration, which was done, was started again: %q", again)
	}
	if starts := w.envs[2].started(); len(starts) != 2 {
		t.Errorf("Production's exporter was started with %q, want the old one and a newborn", starts)
	}
	if r := w.run("--alone"); r.code != 0 || strings.Count(r.log, "nothing to do") < 3 {
		t.Errorf("the run after it exits with %d:\n%s", r.code, r.log)
	}
}
