package rotate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/providers/random"
	"github.com/remint-dev/remint/pkg/rotate"
)

// object is a place in memory.
type object struct {
	keeping.State
	version int
	writes  int
	refuses bool
}

func (o *object) Place() string { return "here" }
func (o *object) Load(context.Context) (keeping.Seen, error) {
	return keeping.Seen{State: o.State, Version: o.version}, nil
}
func (o *object) Swap(_ context.Context, was keeping.Seen, to keeping.State) (keeping.Seen, error) {
	if o.refuses || was.Version != o.version {
		return keeping.Seen{}, rotate.ErrConflict
	}
	o.State, o.version, o.writes = to, o.version+1, o.writes+1
	return keeping.Seen{State: to, Version: o.version}, nil
}

// keeper is a sink that keeps what it replaces.
type keeper struct {
	keeping.Sink
	keeps bool
	name  string
}

func (k *keeper) String() string { return "place " + k.name }
func (k *keeper) Keeps() bool    { return k.keeps }

type verdict struct{ err error }

func (v *verdict) Verify(context.Context, rotate.Credential) error { return v.err }
func (v *verdict) String() string                                  { return "verdict" }

// TestListless leads a value that no service knows through its life, a process a day.
func TestListless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, v := &object{State: keeping.State{Value: "made by hand"}}, &verdict{}
		rotation := func() *rotate.Rotation {
			return &rotate.Rotation{ID: "x", Name: "hmac", Provider: &random.Provider{}, Sinks: []rotate.Sink{&keeper{Sink: keeping.Sink{Store: o}, keeps: true, name: "a"}},
				Verify: []rotate.Verifier{v}, Every: 30 * rotate.Tick, Grace: 2 * rotate.Tick}
		}
		day := func(what string, want rotate.Outcome, options rotate.Options) rotate.Result {
			t.Helper()
			time.Sleep(rotate.Tick)
			res, err := rotation().Run(t.Context(), options)
			if err != nil && want != rotate.Failed && want != rotate.Restored || res.Outcome != want {
				t.Fatalf("%s: %s, want %s: %v; %q %q %q", what, res.Outcome, want, err, res.Reasons, res.Left, res.Warnings)
			}
			return res
		}
		kept := func(what, want string) {
			t.Helper()
			if got := o.Former; got != want && !(want == "" && got == o.Value) {
				t.Fatalf("%s: kept the wrong value", what)
			}
		}
		day("a value made by hand is replaced", rotate.Rotated, rotate.Options{})
		first := o.Value
		kept("adopted", "made by hand")
		day("in grace", rotate.Waiting, rotate.Options{})
		if day("after the grace", rotate.Retired, rotate.Options{}).Revoked[0].ID != keeping.ByHand {
			t.Error("retired something else")
		}
		kept("retired", "")
		writes := o.writes
		day("nothing to do", rotate.Idle, rotate.Options{})
		if o.writes != writes {
			t.Error("an idle day wrote")
		}

		time.Sleep(30 * rotate.Tick)
		day("due", rotate.Rotated, rotate.Options{})
		second := o.Value
		kept("rotated", first)
		res := day("forced within the grace", rotate.Waiting, rotate.Options{Force: true, Alone: true})
		if o.Value != second || !strings.Contains(strings.Join(res.Left, " "), "still keeps hmac ") {
			t.Errorf("%q", res.Left)
		}
		time.Sleep(2 * rotate.Tick)
		day("after the grace", rotate.Retired, rotate.Options{})

		time.Sleep(30 * rotate.Tick)
		v.err = rotate.ErrDenied
		day("a verification fails, and so does that of what was put back", rotate.Restored, rotate.Options{})
		if o.Value != second || o.Former == second {
			t.Fatal("not put back, or the newborn is not kept, which consumers may have")
		}
		newborn := o.Former
		v.err = nil
		res = day("first the newborn is retired", rotate.Retired, rotate.Options{})
		if o.Value != second || o.Former == newborn || !strings.Contains(strings.Join(res.Warnings, " "), "that is retired first") {
			t.Errorf("%q", res.Warnings)
		}
		day("then it rotates", rotate.Rotated, rotate.Options{})
		kept("rotated", second)

		third := o.Value
		day("an emergency keeps nothing", rotate.Rotated, rotate.Options{Compromised: time.Now().Add(time.Minute), Alone: true})
		if o.Value == third {
			t.Error("a compromised value is held")
		}
		kept("an emergency", "")

		w, err := rotation().Withdraw(t.Context(), mark(t, o).ID, rotate.WithdrawOptions{EvenIfHeld: true})
		if !errors.Is(err, rotate.ErrConflict) || w.Revoked {
			t.Errorf("what is held was withdrawn: %v", err)
		}
	})
}

func mark(t *testing.T, o *object) rotate.Token {
	m, err := rotate.ParseMark(o.Note)
	if err != nil {
		t.Fatal(err)
	}
	return m.Token
}

// TestListlessNeeds: what such a provider cannot do without, and what no other may have.
func TestListlessNeeds(t *testing.T) {
	place := func(name string, keeps bool) rotate.Sink {
		return &keeper{Sink: keeping.Sink{Store: &object{}}, keeps: keeps, name: name}
	}
	for _, tt := range []struct {
		name  string
		of    rotate.Provider
		sinks []rotate.Sink
		want  string // "": fine
	}{
		{"one that keeps", &random.Provider{}, []rotate.Sink{place("a", true)}, ""},
		{"one that does not", &random.Provider{}, []rotate.Sink{place("a", false)}, "needs a sink with previous"},
		{"two", &random.Provider{}, []rotate.Sink{place("a", true), place("b", true)}, "exactly one"},
		{"a service that revokes", listed{}, []rotate.Sink{place("a", true)}, "only for values that no service revokes"},
		{"the same without", listed{}, []rotate.Sink{place("a", false)}, ""},
	} {
		r := &rotate.Rotation{ID: "x", Name: "hmac", Provider: tt.of, Sinks: tt.sinks, Every: 30 * rotate.Tick}
		_, err := r.Plan(t.Context(), rotate.Options{})
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// listed is a provider with a service.
type listed struct{}

func (listed) String() string { return "listed" }
func (listed) Mint(context.Context, string) (rotate.Credential, error) {
	return rotate.Credential{}, rotate.ErrDenied
}
func (listed) List(context.Context) ([]rotate.Token, error) { return nil, nil }
func (listed) Revoke(context.Context, rotate.Token) error   { return nil }
