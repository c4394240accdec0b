package lab

import (
	"errors"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// What every failure leaves: never a consumer with a dead token, and as many live tokens as told.
func TestFail(t *testing.T) {
	const (
		old     = "old"
		newborn = "newborn"
	)
	for _, x := range []struct {
		config, step string
		outcome      rotate.Outcome
		holds        []string // by sink
		live         int
	}{
		{flagship, "mint", rotate.Failed, []string{old}, 1},
		{flagship, "mint-lost", rotate.Failed, []string{old}, 1},
		{flagship, "prove", rotate.Failed, []string{old}, 1},
		{flagship, "write", rotate.Failed, []string{old}, 2},
		{flagship, "write:1", rotate.Failed, []string{old}, 2},
		{flagship, "verify", rotate.Failed, []string{newborn}, 2}, // a secret that cannot be read back cannot be restored
		{flagship, "verify:1", rotate.Failed, []string{newborn}, 2},
		{flagship, "revoke", rotate.Failed, []string{newborn}, 2},

		{current, "write", rotate.Failed, []string{old}, 2},
		{current, "verify", rotate.Restored, []string{old}, 1},
		{current, "revoke", rotate.Failed, []string{newborn}, 2},

		{blumeops, "mint", rotate.Failed, []string{old, old}, 1},
		{blumeops, "mint-lost", rotate.Failed, []string{old, old}, 1},
		{blumeops, "prove", rotate.Failed, []string{old, old}, 1},
		{blumeops, "write", rotate.Failed, []string{newborn, old}, 2},
		{blumeops, "write:1", rotate.Failed, []string{old, newborn}, 2},
		{blumeops, "verify", rotate.Failed, []string{newborn, newborn}, 2},
		{blumeops, "revoke", rotate.Failed, []string{newborn, newborn}, 2},

		{undoable, "write", rotate.Failed, []string{newborn, newborn, old}, 2},
		{undoable, "write:1", rotate.Failed, []string{old, newborn, newborn}, 2},
		{undoable, "write:2", rotate.Failed, []string{newborn, old, newborn}, 2},
		{undoable, "verify", rotate.Restored, []string{old, old, old}, 1},
		{undoable, "revoke", rotate.Failed, []string{newborn, newborn, newborn}, 2},

		{strings.Replace(undoable, "dispatch: deploy.yml", "command: ./smoke-test", 1), "verify", rotate.Restored, []string{old, old, old}, 1},
		{strings.Replace(undoable, "dispatch: deploy.yml", "http: https://api.example/", 1), "verify", rotate.Restored, []string{old, old, old}, 1},
		{strings.Replace(undoable, "dispatch: deploy.yml", "http: https://api.example/}, {command: ./smoke-test", 1), "verify:2", rotate.Restored, []string{old, old, old}, 1},

		{parameters, "write:2", rotate.Failed, []string{newborn, old, newborn}, 2},
		{parameters, "verify", rotate.Restored, []string{old, old, old}, 1},
		{parameters, "revoke", rotate.Failed, []string{newborn, newborn, newborn}, 2},

		{wide, "write:1", rotate.Failed, []string{old, newborn, newborn, newborn, newborn, newborn, newborn}, 2},
		{wide, "write:3", rotate.Failed, []string{newborn, newborn, old, newborn, newborn, newborn, newborn}, 2},
		{wide, "write:6", rotate.Failed, []string{newborn, newborn, newborn, newborn, newborn, old, newborn}, 2},
		{wide, "write", rotate.Failed, []string{newborn, newborn, newborn, old, newborn, newborn, newborn}, 2},
		{wide, "prove", rotate.Failed, []string{old, old, old, old, old, old, old}, 1},
		{wide, "verify:5", rotate.Failed, []string{newborn, newborn, newborn, newborn, newborn, newborn, newborn}, 2},
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(x.config, "rotations:\n  - name: "), "\n")
		t.Run(name+" "+x.step, func(t *testing.T) {
			l, c := begin(t, x.config, nil)
			if err := l.Fail(x.step); err != nil {
				t.Fatal(err)
			}
			before := l.Holdings()
			res, err := runAll(t, c, rotate.Options{})
			if err == nil || res.Outcome != x.outcome {
				t.Errorf("outcome %q, want %q: %v", res.Outcome, x.outcome, err)
			}
			works(t, l)
			for i, h := range l.Holdings() {
				got := newborn
				if h.Token == before[i].Token {
					got = old
				}
				if got != x.holds[i] {
					t.Errorf("%s holds the %s, want the %s: %v", h.Sink, got, x.holds[i], err)
				}
			}
			if live := l.Tokens(); len(live) != x.live {
				t.Errorf("%d tokens live, want %d: %v", len(live), x.live, live)
			}
		})
	}
}

// Whatever fails, and in every configuration.
func TestFailNeverHarms(t *testing.T) {
	for name, text := range configurations(t) {
		if name == "matrix" { // sixty times the same
			continue
		}
		for _, step := range []string{"mint", "mint-lost", "prove", "write", "verify", "revoke"} {
			t.Run(name+" "+step, func(t *testing.T) {
				l, c := begin(t, text, nil)
				if err := l.Fail(step); err != nil {
					t.Fatal(err)
				}
				if _, err := runAll(t, c, rotate.Options{}); err == nil {
					t.Error("nothing failed")
				}
				works(t, l)
			})
		}
	}
}

func TestFailUnknown(t *testing.T) {
	l, _ := begin(t, flagship, nil)
	for _, step := range []string{"", "writ", "write:0", "write:2", "write:x", "mint:1", "verify:2", "verify:-1", "write:"} {
		err := l.Fail(step)
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), steps) {
			t.Errorf("%q: %v", step, err)
		}
	}
	l, _ = begin(t, strings.Replace(flagship, "verify: ", "prove: ", 1), nil)
	if err := l.Fail("verify"); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("verify without a verifier: %v", err)
	}
	if err := New(nil).Fail("mint"); err == nil {
		t.Error("a failure was planted before Prepare")
	}
}
