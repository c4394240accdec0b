package rotate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

const day = Tick

type fakeSink string

func (s fakeSink) String() string { return string(s) }

type sinkStub struct{ fakeSink }

func (sinkStub) Write(ctx context.Context, c Credential) error { return nil }
func (sinkStub) Held(ctx context.Context) (Holding, error)     { return Holding{}, nil }
func (p providerStub) String() string                          { return "provider" }
func (p providerStub) List(context.Context) ([]Token, error)   { return nil, nil }
func (p providerStub) Revoke(context.Context, Token) error     { return nil }
func (p providerStub) Mint(context.Context, string) (Credential, error) {
	return Credential{}, nil
}

type providerStub struct{}

// gen is a generation of the rotation, born the given time ago, with a life of 90 days.
func gen(n int, age time.Duration) Token {
	return Token{ID: fmt.Sprint(n), Name: "web 20260101T000000Z-" + tail("id") + "aaaaa" + string(rune('a'+n)),
		Created: now.Add(-age), Expires: now.Add(90*day - age)}
}

func byHand(id, name string, age time.Duration) Token {
	return Token{ID: id, Name: name, Created: now.Add(-age), Expires: now.Add(400 * day)}
}

func TestDecide(t *testing.T) {
	holds := func(t Token) held { return held{state: known, token: t, says: true, verified: true} }
	unverified := func(t Token) held { return held{state: known, token: t, says: true} }
	ids := func(ts []Token) string {
		var out []string
		for _, t := range ts {
			out = append(out, t.ID)
		}
		return strings.Join(out, " ")
	}
	tests := []struct {
		name   string
		change func(*Rotation)
		o      Options
		listed []Token
		held   []held

		due        bool
		because    string // in a reason
		superseded string
		retire     string
		stop       error
		wait       bool
		verifies   bool
		next       time.Duration // from now
		overdue    time.Duration
	}{
		{name: "young enough", listed: []Token{gen(1, 74*day)}, held: []held{holds(gen(1, 74*day))}, next: day},
		{name: "old", listed: []Token{gen(1, 75*day)}, held: []held{holds(gen(1, 75*day))}, due: true, because: "75 days old", next: 0},
		{name: "overdue", listed: []Token{gen(1, 79*day)}, held: []held{holds(gen(1, 79*day))}, due: true, next: -4 * day, overdue: 4 * day},
		{name: "expires before it is old", listed: []Token{{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-10 * day), Expires: now.Add(47 * time.Hour)}},
			held: []held{holds(Token{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-10 * day), Expires: now.Add(47 * time.Hour)})}, due: true, because: "expires", next: -time.Hour, overdue: time.Hour},
		{name: "never expires", listed: []Token{{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-10 * day)}},
			held: []held{holds(Token{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-10 * day)})}, next: 65 * day},
		{name: "nothing known", listed: []Token{gen(1, 10*day)}, held: []held{{}}, due: true, because: "holds no token"},
		{name: "step 2: the first issue finds no token", held: []held{{}}, due: true, because: "holds no token"},
		{name: "dead", held: []held{{state: dead, token: gen(1, 10*day)}}, due: true, because: "no longer works"},
		{name: "not the newest", listed: []Token{gen(1, 10*day), gen(2, 5*day)}, held: []held{holds(gen(1, 10*day))}, due: true, because: "not the newest", next: 65 * day},
		{name: "sinks differ", listed: []Token{gen(1, 10*day), gen(2, 5*day)}, held: []held{holds(gen(2, 5*day)), holds(gen(1, 10*day))}, due: true, because: "b holds", next: 65 * day},
		{name: "a mute sink has no vote", listed: []Token{gen(1, 10*day)}, held: []held{holds(gen(1, 10*day)), {state: mute, err: ErrTemporary}}, next: 65 * day},
		{name: "a mute sink vetoes", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day)), {state: mute, err: ErrTemporary}}, next: 65 * day},
		{name: "superseded", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, superseded: "1", retire: "1", next: 65 * day},
		{name: "superseded, unverified", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{unverified(gen(2, 10*day))}, superseded: "1", retire: "1", verifies: true, next: 65 * day},
		{name: "one sink that says verified is enough", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{unverified(gen(2, 10*day)), holds(gen(2, 10*day))},
			superseded: "1", retire: "1", next: 65 * day},
		{name: "in grace", change: func(r *Rotation) { r.Grace = 20 * day }, listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, superseded: "1", next: 65 * day},
		{name: "past grace", change: func(r *Rotation) { r.Grace = 10 * day }, listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, superseded: "1", retire: "1", next: 65 * day},
		{name: "used since its grace ended", listed: []Token{func() Token { t := gen(1, 20*day); t.LastUsed = now.Add(-time.Hour); return t }(), gen(2, 10*day)},
			held: []held{holds(gen(2, 10*day))}, superseded: "1", next: 65 * day},
		{name: "used while it was superseded", listed: []Token{func() Token { t := gen(1, 20*day); t.LastUsed = now.Add(-10 * day).Add(30 * time.Minute); return t }(), gen(2, 10*day)},
			held: []held{holds(gen(2, 10*day))}, superseded: "1", retire: "1", next: 65 * day},
		{name: "same birth is not older", listed: []Token{gen(1, 10*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, next: 65 * day},
		{name: "a foreign fingerprint", listed: []Token{{ID: "9", Name: "web 20260101T000000Z-zzzzzzzzaaaaaa", Created: now.Add(-20 * day)}, gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, next: 65 * day},
		{name: "step 2: made by hand and not adopted", listed: []Token{byHand("9", "web", 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, next: 65 * day},
		{name: "by hand, adopted", change: adopt("web"), listed: []Token{byHand("9", "web", 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, superseded: "9", retire: "9", next: 65 * day},
		{name: "step 2: the newest is never chosen", change: adopt("web"), listed: []Token{gen(2, 10*day), byHand("9", "web", 5*day)}, held: []held{holds(gen(2, 10*day))}, next: 65 * day},
		{name: "adopt never takes a minted name", change: func(r *Rotation) { r.Adopt = func(Token) bool { return true } },
			listed: []Token{{ID: "9", Name: "web 20260101T000000Z-zzzzzzzzaaaaaa", Created: now.Add(-20 * day)}, gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, next: 65 * day},
		{name: "holds the adopted token", change: adopt("web"), listed: []Token{byHand("9", "web", 20*day)}, held: []held{holds(byHand("9", "web", 20*day))}, next: 55 * day},
		{name: "an older adopted token waits for a successor of ours", change: adopt("web*"), listed: []Token{byHand("8", "web1", 30*day), byHand("9", "web2", 20*day)}, held: []held{holds(byHand("9", "web2", 20*day))}, next: 55 * day},
		{name: "holds a token that is not ours", listed: []Token{byHand("9", "web", 20*day)}, held: []held{holds(byHand("9", "web", 20*day))}, due: true, because: "not of this rotation", next: 55 * day},
		{name: "unclear, of the newest's birth", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{{state: unclear, token: Token{Created: now.Add(-10 * day)}}}, next: 65 * day},
		{name: "unclear, older", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{{state: unclear, token: Token{Created: now.Add(-20 * day)}}}, due: true, because: "newest", next: 55 * day},
		{name: "forced", o: Options{Force: true}, listed: []Token{gen(1, 10*day)}, held: []held{holds(gen(1, 10*day))}, due: true, because: "forced", next: 65 * day},
		{name: "compromised", o: Options{Compromised: now.Add(-9 * day)}, listed: []Token{gen(1, 10*day)}, held: []held{holds(gen(1, 10*day))}, due: true, because: "compromised", next: 65 * day},
		{name: "compromised has no grace", change: func(r *Rotation) { r.Grace = 30 * day }, o: Options{Compromised: now.Add(-15 * day)},
			listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, superseded: "1", retire: "1", next: 65 * day},
		{name: "a run may be alive", o: Options{Force: true}, listed: []Token{gen(1, 30*time.Minute)}, held: []held{holds(gen(1, 30*time.Minute))}, due: true, stop: ErrConflict, next: 75*day - 30*time.Minute},
		{name: "alone", o: Options{Force: true, Alone: true}, listed: []Token{gen(1, 30*time.Minute)}, held: []held{holds(gen(1, 30*time.Minute))}, due: true, next: 75*day - 30*time.Minute},
		{name: "young, nothing to do", listed: []Token{gen(1, 30*time.Minute)}, held: []held{holds(gen(1, 30*time.Minute))}, next: 75*day - 30*time.Minute},
		{name: "young, only a retirement waits", listed: []Token{gen(1, 20*day), gen(2, 30*time.Minute)}, held: []held{holds(gen(2, 30*time.Minute))}, superseded: "1", retire: "1",
			stop: ErrConflict, wait: true, next: 75*day - 30*time.Minute},
		{name: "four generations wait two days", listed: []Token{gen(1, 80*day), gen(2, 4*day), gen(3, 3*day), gen(4, 47*time.Hour)}, held: []held{holds(gen(1, 80*day))}, due: true, stop: ErrLimit, next: -5 * day, overdue: 5 * day},
		{name: "four generations, two days later", listed: []Token{gen(1, 80*day), gen(2, 4*day), gen(3, 3*day), gen(4, 48*time.Hour)}, held: []held{holds(gen(1, 80*day))}, due: true, next: -5 * day, overdue: 5 * day},
		{name: "four generations, but a consumer is dead", listed: []Token{gen(2, 4*day), gen(3, 3*day), gen(4, 2*day), gen(5, day)}, held: []held{{state: dead}}, due: true},
		{name: "ten generations", listed: []Token{gen(1, 10*day), gen(2, 9*day), gen(3, 8*day), gen(4, 7*day), gen(5, 6*day), gen(6, 5*day), gen(7, 4*day), gen(8, 3*day), gen(9, 2*day), gen(10, day)},
			held: []held{{state: dead}}, due: true, stop: ErrLimit},
		{name: "step 2: more matches than the cap", change: func(r *Rotation) { adopt("web*")(r); r.MaxRevoke = 2 }, listed: []Token{byHand("7", "web7", 40*day), byHand("8", "web8", 30*day), byHand("9", "web9", 20*day), gen(1, 10*day)},
			held: []held{holds(gen(1, 10*day))}, superseded: "7 8 9", retire: "7 8 9", stop: ErrLimit, next: 65 * day},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Rotation{ID: "id", Name: "web", Every: 75 * day, Provider: providerStub{}}
			for i := range tt.held {
				r.Sinks = append(r.Sinks, sinkStub{fakeSink(rune('a' + i))})
			}
			if tt.change != nil {
				tt.change(r)
			}
			d := r.decide(&observation{now: now, listed: tt.listed, held: tt.held}, tt.o)
			if d.due != tt.due {
				t.Errorf("due = %t, want %t (%q)", d.due, tt.due, d.reasons)
			}
			if !strings.Contains(strings.Join(d.reasons, "; "), tt.because) {
				t.Errorf("reasons %q, want %q", d.reasons, tt.because)
			}
			if got := ids(d.superseded); got != tt.superseded {
				t.Errorf("superseded %q, want %q", got, tt.superseded)
			}
			if got := ids(d.retire); got != tt.retire {
				t.Errorf("retire %q, want %q", got, tt.retire)
			}
			if !errors.Is(d.stop, tt.stop) || (d.stop == nil) != (tt.stop == nil) {
				t.Errorf("stop %v, want %v", d.stop, tt.stop)
			}
			if d.wait != tt.wait {
				t.Errorf("wait = %t", d.wait)
			}
			if d.verifies() != tt.verifies {
				t.Errorf("verifies = %t", d.verifies())
			}
			if (tt.next != 0 || !d.next.IsZero()) && !d.next.Equal(now.Add(tt.next)) {
				t.Errorf("next %v, want %v", d.next, now.Add(tt.next))
			}
			if d.overdue != tt.overdue {
				t.Errorf("overdue %v, want %v", d.overdue, tt.overdue)
			}
		})
	}
}

func adopt(glob string) func(*Rotation) {
	prefix, wild := strings.CutSuffix(glob, "*")
	return func(r *Rotation) {
		r.Adopt = func(t Token) bool { return t.Name == glob || wild && strings.HasPrefix(t.Name, prefix) }
	}
}

// TestSpread shows that sixty rotations that were born together do not fall due together, and none later than every.
func TestSpread(t *testing.T) {
	days := map[int]int{}
	for i := range 60 {
		r := &Rotation{ID: fmt.Sprintf("forge/example/repo-%d/web", i), Every: 75 * day, Spread: 20 * day}
		off := r.offset()
		if off < 0 || off >= r.Spread {
			t.Fatalf("offset %v outside [0, %v)", off, r.Spread)
		}
		if off != r.offset() {
			t.Fatal("the offset changes from run to run")
		}
		days[int(off/day)]++
	}
	for d, n := range days {
		if n > 12 {
			t.Errorf("%d of 60 fall due on day %d", n, d)
		}
	}
	if len(days) < 12 {
		t.Errorf("only %d different days", len(days))
	}
}

func TestNames(t *testing.T) {
	name := mintName("id", "web deploy", now)
	if !owns("id", "web deploy", Token{Name: name}) {
		t.Errorf("%q is not ours", name)
	}
	for _, other := range []struct{ id, name string }{{"id2", "web deploy"}, {"id", "web"}, {"id", "deploy"}} {
		if owns(other.id, other.name, Token{Name: name}) {
			t.Errorf("%q belongs to %v", name, other)
		}
	}
	if birth, ok := Minted(Token{Name: name}); !ok || !birth.Equal(now) {
		t.Errorf("birth %v, %t", birth, ok)
	}
	if again := mintName("id", "web deploy", now); again == name {
		t.Error("two names of the same instant are equal")
	}
	for _, not := range []string{"web deploy", "web deploy 20260101", "web deploy 20260101T000000Z-short", "20260101T000000Z-aaaaaaaabbbbbb", name + "x", "web deploy 20269999T000000Z-aaaaaaaabbbbbb"} {
		if _, ok := Minted(Token{Name: not}); ok {
			t.Errorf("%q counts as minted", not)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	r := &Rotation{ID: "id", Name: "web", Every: 75 * day, Provider: providerStub{}, Sinks: []Sink{sinkStub{"a"}, sinkStub{"b"}}}
	var listed []Token
	for i := range 100 {
		listed = append(listed, byHand(fmt.Sprint("h", i), "somebody's", time.Duration(i)*day))
	}
	listed = append(listed, gen(1, 10*day))
	obs := &observation{now: now, listed: listed, held: []held{{state: known, token: gen(1, 10*day)}, {state: known, token: gen(1, 10*day)}}}
	b.ReportAllocs()
	for b.Loop() {
		r.decide(obs, Options{})
	}
}
