//go:build e2e

package e2e

// The binary in a job on the host of a real Gitea's runner.

import (
	"slices"
	"strings"
	"testing"
)

func TestGitea(t *testing.T) {
	t.Parallel()
	t.Run("rotate", func(t *testing.T) { t.Parallel(); rotate(t) })
	t.Run("failing deploy, marker only", func(t *testing.T) { t.Parallel(); failingMarker(t) })
	t.Run("failing deploy, current", func(t *testing.T) { t.Parallel(); failingCurrent(t, "") })
	t.Run("failing deploy, marker and current", func(t *testing.T) { t.Parallel(); failingCurrent(t, "FLY_DEPLOY_TOKEN_REMINT") })
	t.Run("two repositories of one name", func(t *testing.T) { t.Parallel(); twoRepositories(t) })
}

// want makes sure that a run ended so, and that its log says all of that.
func want(t *testing.T, x run, conclusion string, says ...string) {
	t.Helper()
	if x.conclusion != conclusion {
		t.Fatalf("run %d: %s, want %s; its log ends:\n%s", x.id, x.conclusion, conclusion, last(x.log, 60))
	}
	for _, s := range says {
		if !strings.Contains(x.log, s) {
			t.Errorf("run %d does not say %q; its log ends:\n%s", x.id, s, last(x.log, 60))
		}
	}
}

// wantDeploys makes sure that deploys came with these tokens, in this order.
func wantDeploys(t *testing.T, f *flyio, want ...string) {
	t.Helper()
	if got := f.deployed(); !slices.Equal(got, want) {
		t.Errorf("deploys came with %q, want %q", got, want)
	}
}

// first rotates the token made by hand and returns the name of its successor, which the deploy was seen to use.
func first(t *testing.T, r *repository, byHand, old string) string {
	t.Helper()
	f := r.fly
	before := len(f.deployed())
	want(t, r.dispatch("rotate.yml", nil), "success", "remint exits with 0")
	after := f.deployed()[before:]
	if len(after) != 1 {
		t.Fatalf("deploys came with %q, want one", after)
	}
	newborn := after[0]
	if newborn == byHand || !strings.HasPrefix(newborn, "web deploy ") {
		t.Fatalf("the deploy came with %q", newborn)
	}
	if f.Live(old) {
		t.Error("the old token still works")
	}
	if m := r.marker("FLY_DEPLOY_TOKEN_REMINT"); m != "" && !strings.Contains(m, newborn) {
		t.Errorf("the marker says %s", m)
	}
	return newborn
}

// The whole story, then a tick on which nothing is due.
func rotate(t *testing.T) {
	f := newFly(t)
	x := newTenant(t)
	r, old := consumer(t, x, f, "by hand", "forgejo: FLY_DEPLOY_TOKEN")
	want(t, r.dispatch("deploy.yml", nil), "success") // the world is in order
	newborn := first(t, r, "by hand", old)
	f.onlyLive(newborn)
	if m := r.marker("FLY_DEPLOY_TOKEN_REMINT"); !strings.Contains(m, newborn) {
		t.Errorf("the marker says %q", m)
	}

	served, deploys := f.Served(), len(f.deployed())
	want(t, r.dispatch("rotate.yml", nil), "success", "remint exits with 0", "nothing to do")
	if got := f.since(served); len(got) != 1 || got["list"] != 1 {
		t.Errorf("a tick with nothing to do asked Fly.io for %v, want one list", got)
	}
	if got := f.deployed(); len(got) != deploys {
		t.Errorf("a tick with nothing to do deployed: %q", got)
	}
	f.onlyLive(newborn)

	want(t, r.dispatch("deploy.yml", nil), "success")
	wantDeploys(t, f, "by hand", newborn, newborn)

	// The emergency: the inputs reach the program, and the compromised token is dead before the deploy comes.
	f.onDeploy(func(string) {
		if live := names(f.live()); slices.Contains(live, newborn) {
			t.Errorf("the compromised token was alive during the deploy: %q", live)
		}
	})
	want(t, r.dispatch("rotate.yml", map[string]string{"compromised": "now", "only": "web*", "alone": "true"}), "success", "compromised", "remint exits with 0")
	f.onlyLive(f.deployed()[3])
	if f.deployed()[3] == newborn {
		t.Error("the compromised token was not replaced")
	}
}

// Without a way to know the old secret the sinks keep the newborn: both generations live until the deploy is in
// order again.
func failingMarker(t *testing.T) {
	f := newFly(t)
	x := newTenant(t)
	r, old := consumer(t, x, f, "by hand", "forgejo: FLY_DEPLOY_TOKEN")
	one := first(t, r, "by hand", old)

	r.variable("DEPLOY_FAILS", "1")
	want(t, r.dispatch("rotate.yml", map[string]string{"force": "true", "alone": "true"}), "failure", "remint exits with 3", "nothing was restored")
	two := f.deployed()[1]
	f.onlyLive(one, two)
	if one == two {
		t.Errorf("nothing was minted: %q", f.deployed())
	}

	r.variable("DEPLOY_FAILS", "0")
	want(t, r.dispatch("deploy.yml", nil), "success")
	wantDeploys(t, f, one, two, two)

	// The next tick verifies again, and only then retires.
	want(t, r.dispatch("rotate.yml", map[string]string{"alone": "true"}), "success", "remint exits with 0")
	wantDeploys(t, f, one, two, two, two)
	f.onlyLive(two)
}

// With the old secret at hand it is put back, consumers are made to take it up, and the newborn is revoked. There is a
// marker beside it, or none.
func failingCurrent(t *testing.T, marker string) {
	sink := "current: {env: FLY_DEPLOY_TOKEN}}"
	if marker != "" {
		sink = "marker: " + marker + ", " + sink
	}
	f := newFly(t)
	x := newTenant(t)
	r, old := consumer(t, x, f, "by hand", "forgejo: {name: FLY_DEPLOY_TOKEN, "+sink, "FLY_DEPLOY_TOKEN: ${{ secrets.FLY_DEPLOY_TOKEN }}")
	one := first(t, r, "by hand", old)
	f.onlyLive(one)
	if m := r.marker("FLY_DEPLOY_TOKEN_REMINT"); (m != "") != (marker != "") {
		t.Errorf("the marker is %q", m)
	}

	// The first deploy of the forced rotation fails, the one after the restore does not.
	r.variable("DEPLOY_FAILS", "1")
	f.onDeploy(func(string) { r.variable("DEPLOY_FAILS", "0") })
	want(t, r.dispatch("rotate.yml", map[string]string{"force": "true", "alone": "true"}), "failure", "remint exits with 1", "restore")
	f.onDeploy(nil)
	got := f.deployed()
	if len(got) != 3 || got[1] == one || got[2] != one {
		t.Fatalf("deploys came with %q, want %q, its successor, and %[2]q again", got, one)
	}
	f.onlyLive(one)
	if m := r.marker("FLY_DEPLOY_TOKEN_REMINT"); marker != "" && !strings.Contains(m, one) {
		t.Errorf("after the restore the marker says %s", m)
	}

	// It fails for good: consumers hold the old token, and the newborn, which they might have, lives on.
	r.variable("DEPLOY_FAILS", "1")
	want(t, r.dispatch("rotate.yml", map[string]string{"force": "true", "alone": "true"}), "failure", "restore")
	got = f.deployed()
	if len(got) != 5 || got[3] == one || got[4] != one {
		t.Fatalf("deploys came with %q", got)
	}
	three := got[3]
	f.onlyLive(one, three)
	r.variable("DEPLOY_FAILS", "0")
	want(t, r.dispatch("deploy.yml", nil), "success")
	if got = f.deployed(); got[5] != one {
		t.Errorf("consumers hold %q, want %q", got[5], one)
	}

	// The next tick converges.
	want(t, r.dispatch("rotate.yml", map[string]string{"alone": "true"}), "success", "remint exits with 0")
	if live := f.live(); len(live) != 1 {
		t.Errorf("alive are %q, want one", names(live))
	}
	want(t, r.dispatch("deploy.yml", nil), "success")
}

// The same README copied into two repositories of one organisation, at one organisation of Fly.io: neither touches the
// other's tokens, even when both run at a time.
func twoRepositories(t *testing.T) {
	f := newFly(t)
	x := newTenant(t)
	a, oldA := consumer(t, x, f, "a by hand", "forgejo: FLY_DEPLOY_TOKEN")
	b, oldB := consumer(t, x, f, "b by hand", "forgejo: FLY_DEPLOY_TOKEN")
	oneA := first(t, a, "a by hand", oldA)
	if !f.Live(oldB) {
		t.Fatal("the first repository revoked the token of the second")
	}
	f.onlyLive(oneA, "b by hand")
	oneB := first(t, b, "b by hand", oldB)
	f.onlyLive(oneA, oneB)

	inputs := map[string]string{"force": "true", "alone": "true"}
	runA, runB := a.start("rotate.yml", inputs), b.start("rotate.yml", inputs)
	want(t, a.wait(runA), "success", "remint exits with 0")
	want(t, b.wait(runB), "success", "remint exits with 0")
	live := names(f.live())
	if len(live) != 2 || slices.Contains(live, oneA) || slices.Contains(live, oneB) {
		t.Errorf("alive are %q; want a successor of each of %q", live, []string{oneA, oneB})
	}
	want(t, a.dispatch("deploy.yml", nil), "success")
	want(t, b.dispatch("deploy.yml", nil), "success")
	got := f.deployed()
	if n := len(got); n != 6 || got[4] == got[5] || !slices.Contains(live, got[4]) || !slices.Contains(live, got[5]) {
		t.Errorf("deploys came with %q; alive are %q", got, live)
	}
	if !strings.HasPrefix(oneA, "web deploy ") || !strings.HasPrefix(oneB, "web deploy ") || oneA == oneB {
		t.Errorf("%q, %q", oneA, oneB)
	}
}
