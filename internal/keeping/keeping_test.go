package keeping

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// place is a store in memory that can lose answers.
type place struct {
	State
	version int
	calls   []string
	fail    func(call string) (before, after error)
}

func (p *place) Place() string { return "here" }

func (p *place) Load(context.Context) (Seen, error) {
	p.calls = append(p.calls, "load")
	return Seen{p.State, p.version}, nil
}

func (p *place) Swap(_ context.Context, was Seen, to State) (Seen, error) {
	p.calls = append(p.calls, "swap")
	var before, after error
	if p.fail != nil {
		before, after = p.fail("swap")
	}
	switch {
	case before != nil:
		return Seen{}, before
	case was.Version != p.version:
		return Seen{}, fmt.Errorf("%w: of another version", rotate.ErrConflict)
	}
	p.State = to
	p.version++
	return Seen{p.State, p.version}, after
}

func credential(id string) rotate.Credential {
	return rotate.Credential{Token: rotate.Token{ID: id, Name: "name " + id}, Secret: rotate.NewSecret("value of " + id)}
}

// says is what a fresh process sees: current, former, and whether it is verified.
func says(t *testing.T, p *place) string {
	t.Helper()
	h, err := (&Sink{Store: p}).Held(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s/%s", h.Mark.Token.ID, h.Former.ID)
	if h.Mark.Verified {
		text += " verified"
	}
	return text
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLife goes through a rotation, its retirement, one that is restored, and what people do in between.
func TestLife(t *testing.T) {
	ctx, p := t.Context(), &place{State: State{Value: "a person's"}}
	step := func(what, want, value, former string) {
		t.Helper()
		if got := says(t, p); got != want || p.Value != value || p.Former != former {
			t.Fatalf("%s: %s, %q and %q; want %s, %q and %q", what, got, p.Value, p.Former, want, value, former)
		}
	}
	step("first seen", "by-hand/", "a person's", "")
	must(t, (&Sink{Store: p}).Mark(ctx, rotate.Token{ID: ByHand}))
	step("verified as it is", "by-hand/ verified", "a person's", "a person's") // never an empty former value
	k := &Sink{Store: p}
	must(t, k.Write(ctx, credential("1")))
	step("adopted", "1/by-hand", "value of 1", "a person's")
	must(t, k.Mark(ctx, credential("1").Token))
	step("verified", "1/by-hand verified", "value of 1", "a person's")
	must(t, k.Forget(ctx, rotate.Token{ID: ByHand}))
	step("forgotten", "1/ verified", "value of 1", "value of 1")
	must(t, k.Forget(ctx, rotate.Token{ID: ByHand}))

	k = &Sink{Store: p}
	must(t, k.Write(ctx, credential("2")))
	must(t, k.Undo(ctx))
	step("put back", "1/2", "value of 1", "value of 2")
	must(t, k.Forget(ctx, credential("2").Token))
	step("put back and done", "1/", "value of 1", "value of 1")

	must(t, k.Write(ctx, credential("3")))
	p.Value = p.Former
	step("a person put the former value back", "1/", "value of 1", "value of 1")
	p.Value = "a person's"
	step("a person wrote another", "by-hand/1", "a person's", "value of 1")
	must(t, (&Sink{Store: p}).Mark(ctx, rotate.Token{ID: ByHand}))
	step("and that was verified", "by-hand/1 verified", "a person's", "value of 1")
	must(t, (&Sink{Store: p}).Forget(ctx, credential("1").Token))
	must(t, (&Sink{Store: p}).Write(ctx, credential("4")))
	was := *p
	p.Value = ""
	step("a person took the value away", "/by-hand", "", "a person's")
	must(t, (&Sink{Store: p}).Write(ctx, credential("5")))
	step("what is kept stays", "5/by-hand", "value of 5", "a person's")
	p.State = was.State
	p.Value = "a person's second"
	step("two of a person's", "by-hand-2/by-hand", "a person's second", "a person's")
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	written := func() (*place, *Sink) {
		p := &place{}
		k := &Sink{Store: p}
		must(t, k.Write(ctx, credential("1")))
		return p, k
	}
	for _, tt := range []struct {
		name string
		do   func() (*place, error)
		want string
	}{
		{"a rival wrote after the look", func() (*place, error) {
			p, _ := written()
			k := &Sink{Store: p}
			_, err := k.Held(ctx)
			must(t, err)
			must(t, (&Sink{Store: p}).Write(ctx, credential("2")))
			return p, k.Write(ctx, credential("3"))
		}, "somebody else wrote it after"},
		{"only what is kept changed after the look", func() (*place, error) {
			p, k := written()
			must(t, k.Write(ctx, credential("2")))
			other := &Sink{Store: p}
			_, err := other.Held(ctx)
			must(t, err)
			must(t, k.Forget(ctx, credential("1").Token))
			return p, other.Write(ctx, credential("3"))
		}, "somebody else wrote it after"},
		{"the former value is a person's", func() (*place, error) {
			p, _ := written()
			p.Former = "a person's"
			return p, (&Sink{Store: p}).Write(ctx, credential("2"))
		}, "was not put there by remint"},
		{"a note of somebody else", func() (*place, error) {
			p, _ := written()
			p.Note = `{"mine": 1}`
			return p, (&Sink{Store: p}).Write(ctx, credential("2"))
		}, "not one of remint"},
		{"what is held is to be forgotten", func() (*place, error) {
			p, k := written()
			return p, k.Forget(ctx, credential("1").Token)
		}, "it holds token 1"},
		{"undo after a rival's write", func() (*place, error) {
			p, k := written()
			must(t, k.Write(ctx, credential("2")))
			must(t, (&Sink{Store: p}).Write(ctx, credential("3")))
			return p, k.Undo(ctx)
		}, "somebody else wrote it since"},
		{"undo of the first value", func() (*place, error) { p, k := written(); return p, k.Undo(ctx) }, "held nothing before"},
		{"undo of nothing", func() (*place, error) { p, _ := written(); return p, (&Sink{Store: p}).Undo(ctx) }, "replaced nothing"},
		{"a mark of another token", func() (*place, error) { p, k := written(); return p, k.Mark(ctx, credential("2").Token) }, `holds token "1", not "2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tt.do()
			if !errors.Is(err, rotate.ErrConflict) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Fatalf("got %v, want it to say %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "value of") {
				t.Errorf("a value stands in %v", err)
			}
			if was := p.version; p.version != was {
				t.Error("it was changed all the same")
			}
		})
	}
}

// TestLostAnswers: the swap took effect, or did not, and its answer was lost.
func TestLostAnswers(t *testing.T) {
	lost := fmt.Errorf("%w: connection lost", rotate.ErrTemporary)
	for _, tt := range []struct {
		name          string
		before, after error
		times         int
		fails         bool
		want          string
	}{
		{"before the effect, once", lost, nil, 1, false, "2/1"},
		{"after the effect, once", nil, lost, 1, false, "2/1"},
		{"before the effect, always", lost, nil, 99, true, "1/"},
		{"denied", rotate.ErrDenied, nil, 1, true, "1/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &place{}
			must(t, (&Sink{Store: p}).Write(t.Context(), credential("1")))
			n := 0
			p.fail = func(string) (error, error) {
				if n++; n > tt.times {
					return nil, nil
				}
				return tt.before, tt.after
			}
			k := &Sink{Store: p}
			err := k.Write(t.Context(), credential("2"))
			p.fail = nil
			if tt.fails != (err != nil) {
				t.Fatalf("%v", err)
			}
			if got := says(t, p); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if undone := k.Undo(t.Context()); errors.Is(tt.before, rotate.ErrDenied) != (undone != nil) {
				t.Errorf("undo: %v", undone)
			}
			if tt.want == "2/1" {
				if got := says(t, p); got != "1/2" {
					t.Errorf("after the undo %s", got)
				}
			}
		})
	}
}

// TestRequests: what is known is not asked for again.
func TestRequests(t *testing.T) {
	p := &place{State: State{Value: "a person's"}}
	k := &Sink{Store: p}
	_, err := k.Held(t.Context())
	must(t, err)
	must(t, k.Write(t.Context(), credential("1")))
	must(t, k.Mark(t.Context(), credential("1").Token))
	must(t, k.Forget(t.Context(), rotate.Token{ID: ByHand}))
	if got := strings.Join(p.calls, " "); got != "load swap swap swap" {
		t.Error(got)
	}
}

// TestNote: a note of a plain marker is one of these too, and the other way round.
func TestNote(t *testing.T) {
	p := &place{}
	k := &Sink{Store: p}
	must(t, k.Write(t.Context(), credential("1")))
	must(t, k.Write(t.Context(), credential("2")))
	m, err := rotate.ParseMark(p.Note)
	if err != nil || m.Token.ID != "2" {
		t.Errorf("%+v, %v", m, err)
	}
	if c, f := Tokens(p.Note); c.ID != "2" || f.ID != "1" {
		t.Errorf("%v, %v", c, f)
	}
	p.Note = rotate.Mark{Token: credential("2").Token, Verified: true}.String()
	p.Former = p.Value
	if got := says(t, p); got != "by-hand/" { // it has no check of the value
		t.Error(got)
	}
}

func FuzzNote(f *testing.F) {
	p := &place{}
	k := &Sink{Store: p}
	if err := k.Write(context.Background(), credential("1")); err != nil {
		f.Fatal(err)
	}
	f.Add(p.Value, p.Former, p.Note)
	f.Add("a", "b", `{"remint":1,"id":"x","value":"00000000","former":{"remint":1,"id":"y"},"formerValue":"zz"}`)
	f.Fuzz(func(t *testing.T, value, former, note string) {
		p := &place{State: State{value, former, note}}
		k := &Sink{Store: p}
		h, err := k.Held(t.Context())
		if value == "" && h.Mark.Token.ID != "" {
			t.Errorf("nothing is held, and it is %q", h.Mark.Token.ID)
		}
		if err == nil && value != "" && (h.Mark.Token.ID == "" || h.Mark.Token.ID == h.Former.ID) {
			t.Errorf("%q and %q", h.Mark.Token.ID, h.Former.ID)
		}
		if err != nil || h.Former.ID != "" {
			return
		}
		must(t, k.Write(t.Context(), credential("new")))
		if p.Value != "value of new" || value != "" && p.Former != value {
			t.Errorf("%+v", p.State)
		}
	})
}
