package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/internal/emulate/vault"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// keep makes a sink keep what it replaces.
func keep(s *Secret) { s.Previous = "before" }

func value(id string) string { return credential(id).Secret.Reveal() }

// pair returns the value and the former value.
func (b *bed) pair() string { return b.value() + " | " + b.Text("secret", "ci/fly", "before") }

// tokens returns what a new process is told that the secret holds and keeps; ! marks what is verified.
func (b *bed) tokens(t *testing.T) string {
	t.Helper()
	h := held(t, b.sink(keep))
	if h.Secret.Reveal() != b.value() {
		t.Errorf("told of another value")
	}
	out := h.Mark.Token.ID
	if h.Mark.Verified {
		out += "!"
	}
	return out + " | " + h.Former.ID
}

func (b *bed) expect(t *testing.T, pair, tokens string) {
	t.Helper()
	if got := b.pair(); got != pair {
		t.Errorf("it holds %q, want %q", got, pair)
	}
	if got := b.tokens(t); got != tokens {
		t.Errorf("it says %q, want %q", got, tokens)
	}
}

// others returns all keys that are none of the sink's.
func (b *bed) others() string {
	data := b.Data("secret", "ci/fly")
	for _, k := range []string{"token", "before", "before_remint"} {
		delete(data, k)
	}
	return fmt.Sprint(data)
}

// TestKeeper: what is replaced stays beside, in one version each time; no metadata is touched, and no other key.
func TestKeeper(t *testing.T) {
	b := newBed()
	ctx, others := t.Context(), b.others()
	s := b.sink(keep)
	hold := func() error { _, err := s.Held(ctx); return err }
	must(t, s.Check(ctx))
	few := b.sink(keep, b.rights("read update", "")) // metadata is not needed
	must(t, few.Check(ctx))
	if w := few.Warnings(); len(w) != 0 {
		t.Errorf("%q", w)
	}
	b.expect(t, "old | ", "by-hand | ")
	for _, x := range []struct {
		name         string
		do           func() error
		took         string
		pair, tokens string
	}{
		{"look", hold, "read", "old | ", "by-hand | "},
		{"write", func() error { return s.Write(ctx, credential("a")) }, "write read", value("a") + " | old", "a | by-hand"},
		{"write again", func() error { return s.Write(ctx, credential("a")) }, "read", value("a") + " | old", "a | by-hand"},
		{"mark", func() error { return s.Mark(ctx, credential("a").Token) }, "write read", value("a") + " | old", "a! | by-hand"},
		{"mark again", func() error { return s.Mark(ctx, credential("a").Token) }, "read", value("a") + " | old", "a! | by-hand"},
		{"write what is verified", func() error { return s.Write(ctx, credential("a")) }, "read", value("a") + " | old", "a! | by-hand"},
		{"forget another", func() error { return s.Forget(ctx, credential("c").Token) }, "read", value("a") + " | old", "a! | by-hand"},
		{"forget", func() error { return s.Forget(ctx, rotate.Token{ID: "by-hand"}) }, "write read", value("a") + " | " + value("a"), "a! | "},
		{"forget again", func() error { return s.Forget(ctx, rotate.Token{ID: "by-hand"}) }, "read", value("a") + " | " + value("a"), "a! | "},
		{"look again", hold, "read", value("a") + " | " + value("a"), "a! | "},
		{"the next", func() error { return s.Write(ctx, credential("b")) }, "write read", value("b") + " | " + value("a"), "b | a"},
		{"undo", func() error { return s.Undo(ctx) }, "write read", value("a") + " | " + value("b"), "a | b"},
		{"a new process", func() error { return b.sink(keep).Write(ctx, credential("c")) }, "read write read", value("c") + " | " + value("a"), "c | a"},
	} {
		if got := b.took(t, x.do); got != x.took {
			t.Errorf("%s took %q, want %q", x.name, got, x.took)
		}
		b.expect(t, x.pair, x.tokens)
	}
	fails(t, s.Undo(ctx), rotate.ErrConflict)
	fails(t, s.Mark(ctx, credential("a").Token), rotate.ErrConflict)
	fails(t, s.Forget(ctx, credential("c").Token), rotate.ErrConflict)
	h := held(t, b.sink(keep))
	if c := credential("c"); h.Mark.Token.Name != c.Name || !h.Mark.Token.Created.Equal(c.Created) || h.Former.Name != credential("a").Name {
		t.Errorf("%+v, %+v", h.Mark, h.Former)
	}
	if got := b.others(); got != others {
		t.Errorf("%s became %s", others, got)
	}
	if got := b.Custom("secret", "ci/fly"); len(got) != 0 || strings.Contains(strings.Join(b.Operations(), " "), "metadata") {
		t.Errorf("metadata: %v", got)
	}
	if w := s.Warnings(); len(w) != 0 {
		t.Errorf("%q", w)
	}
	must(t, newBed().sink().Forget(ctx, credential("a").Token)) // a sink that keeps nothing
}

// TestKeeperSuite holds a sink that keeps to the contracts of every sink.
func TestKeeperSuite(t *testing.T) {
	b := newBed()
	others := b.others()
	rotatetest.Sink(t, rotatetest.SinkUnderTest{
		New:         func(*testing.T) rotate.Sink { return b.sink(keep) },
		Content:     func(*testing.T) string { return b.value() },
		Credentials: []string{root, sibling},
	})
	if got := b.others(); got != others {
		t.Errorf("%s became %s", others, got)
	}
}

// deeds are what changes a secret that holds a and keeps what a person wrote, and what is there after.
var deeds = []struct {
	name         string
	do           func(context.Context, *Secret) error
	pair, tokens string
}{
	{"write", func(ctx context.Context, s *Secret) error { return s.Write(ctx, credential("b")) }, value("b") + " | " + value("a"), "b | a"},
	{"mark", func(ctx context.Context, s *Secret) error { return s.Mark(ctx, credential("a").Token) }, value("a") + " | old", "a! | by-hand"},
	{"forget", func(ctx context.Context, s *Secret) error { return s.Forget(ctx, rotate.Token{ID: "by-hand"}) }, value("a") + " | " + value("a"), "a | "},
	{"undo", func(ctx context.Context, s *Secret) error { return s.Undo(ctx) }, "old | " + value("a"), "by-hand | a"},
}

// TestKeeperLost: an answer that gets lost is no lost change, and no second one; nobody sees half of one.
func TestKeeperLost(t *testing.T) {
	soon := http.Header{"Retry-After": {"0"}}
	for _, d := range deeds {
		prepare := func(t *testing.T) (*bed, *Secret) {
			b := newBed()
			s := b.sink(keep)
			must(t, s.Write(t.Context(), credential("a")))
			held(t, s)
			return b, s
		}
		for _, op := range []string{vault.Read, vault.Write} {
			for name, fault := range map[string]emulate.Fault{"before": {}, "after": {After: true}, "500": {Status: 500},
				"503 after": {Status: 503, After: true, Header: soon}, "429": {Status: 429, Header: soon}} {
				t.Run(d.name+" "+op+" "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b, s := prepare(t)
						versions := b.Versions("secret", "ci/fly")
						b.Faults.Plant(op, fault)
						must(t, d.do(t.Context(), s))
						b.expect(t, d.pair, d.tokens)
						if n := b.Versions("secret", "ci/fly") - versions; n != 1 {
							t.Errorf("%d new versions", n)
						}
					})
				})
			}
		}
		for name, after := range map[string]bool{"never": false, "never answered": true} {
			t.Run(d.name+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, s := prepare(t)
					for _, op := range []string{vault.Read, vault.Write} {
						b.Faults.Plant(op, emulate.Fault{Status: 503, After: after, Times: -1, Header: soon})
					}
					fails(t, d.do(t.Context(), s), rotate.ErrTemporary)
					b.Faults.Clear()
					if after {
						b.expect(t, d.pair, d.tokens)
					} else {
						b.expect(t, value("a")+" | old", "a | by-hand")
					}
					must(t, d.do(t.Context(), s)) // the same once more ends the same
					b.expect(t, d.pair, d.tokens)
				})
			})
		}
	}
}

// TestKeeperRival: what somebody else does between two requests.
func TestKeeperRival(t *testing.T) {
	set := func(b *bed, key, value string) func() {
		return func() { b.Set("secret", "ci/fly", key, value) }
	}
	lost := func(b *bed) { b.Faults.Plant(vault.Write, emulate.Fault{After: true}) }
	for _, x := range []struct {
		name   string
		key    string // that they change
		at     string // method of the request before which they do; "": between Held and Write
		lost   bool   // the answer to our write
		twice  bool   // they write twice
		theirs bool   // their value counts, and ours is refused
	}{
		{"the value after the look", "token", "", false, false, true},
		{"the former value after the look", "before", "", false, false, true},
		{"the note after the look", "before_remint", "", false, false, true},
		{"another key after the look", "user", "", false, false, false},
		{"the value at the same time", "token", http.MethodPost, false, false, true},
		{"the value at the same time, twice", "token", http.MethodPost, false, true, true},
		{"another key at the same time", "user", http.MethodPost, false, false, false},
		{"another key at the same time, twice", "user", http.MethodPost, false, true, false},
		{"the value just after", "token", http.MethodGet, false, false, true},
		{"another key just after", "user", http.MethodGet, false, false, false},
		{"the value after a lost answer", "token", http.MethodGet, true, false, true},
		{"another key after a lost answer", "user", http.MethodGet, true, true, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBed()
			s := b.sink(keep)
			held(t, s)
			if x.lost {
				lost(b)
			}
			act := set(b, x.key, "theirs")
			if x.twice {
				once := act
				act = func() { once(); once() }
			}
			if x.at == "" {
				act()
			} else {
				b.rival(x.at, 1, act)
			}
			err := s.Write(t.Context(), credential("a"))
			if b.Text("secret", "ci/fly", x.key) != "theirs" {
				t.Error("their change is gone")
			}
			if !x.theirs {
				must(t, err)
				b.expect(t, value("a")+" | old", "a | by-hand")
				return
			}
			fails(t, err, rotate.ErrConflict)
			if err := s.Undo(t.Context()); err == nil || b.Text("secret", "ci/fly", x.key) != "theirs" {
				t.Errorf("undo: %v", err)
			}
		})
	}
	t.Run("again and again", func(t *testing.T) {
		b := newBed()
		b.rival(http.MethodPost, 100, set(b, "user", "x"))
		fails(t, b.sink(keep).Write(t.Context(), credential("a")), rotate.ErrConflict, "again and again")
		if b.pair() != "old | " {
			t.Error(b.pair())
		}
	})
}

// TestKeeperSwap: what a swap that failed may have changed, its error says.
func TestKeeperSwap(t *testing.T) {
	lost := func(b *bed) { b.Faults.Plant(vault.Write, emulate.Fault{After: true}) }
	for _, x := range []struct {
		name  string
		harm  func(*bed)
		kind  error // nil: it succeeds
		holds string
	}{
		{"somebody else's version", func(b *bed) { b.Set("secret", "ci/fly", "token", "theirs") }, rotate.ErrConflict, "theirs | "},
		{"two of them, of which one may be ours", func(b *bed) { b.Set("secret", "ci/fly", "token", "x"); b.Set("secret", "ci/fly", "token", "theirs") }, rotate.ErrTemporary, "theirs | "},
		{"a lost answer", lost, nil, "new | old"},
		{"somebody else's version on top of a lost one", func(b *bed) {
			lost(b)
			b.rival(http.MethodGet, 1, func() { b.Set("secret", "ci/fly", "token", "theirs") })
		}, rotate.ErrTemporary, "theirs | old"},
		{"another key on top of a lost one", func(b *bed) {
			lost(b)
			b.rival(http.MethodGet, 1, func() { b.Set("secret", "ci/fly", "user", "theirs") })
		}, nil, "new | old"},
		{"may not write", func(b *bed) { b.Faults.Plant(vault.Write, emulate.Fault{Status: 403, Body: `{"errors":[]}`}) }, rotate.ErrDenied, "old | "},
		{"may not read back", func(b *bed) { b.Faults.Plant(vault.Read, emulate.Fault{Status: 403, Body: `{"errors":[]}`}) }, rotate.ErrTemporary, "new | old"},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed()
				p := trio{b.sink(keep)}
				was, err := p.Load(t.Context())
				must(t, err)
				x.harm(b)
				to := keeping.State{Value: "new", Former: "old", Note: "{}"}
				got, err := p.Swap(t.Context(), was, to)
				if x.kind != nil {
					fails(t, err, x.kind)
				} else if err != nil || got.State != to {
					t.Errorf("%+v, %v", got.State, err)
				}
				if b.pair() != x.holds {
					t.Errorf("it holds %s", b.pair())
				}
			})
		})
	}
}

// TestKeeperByHand: what a person changes is seen.
func TestKeeperByHand(t *testing.T) {
	b := newBed()
	ctx := t.Context()
	s := b.sink(keep)
	must(t, s.Write(ctx, credential("a")))
	must(t, s.Forget(ctx, rotate.Token{ID: "by-hand"}))
	b.Set("secret", "ci/fly", "token", "theirs")
	b.Set("secret", "ci/fly", "before", "theirs")
	b.expect(t, "theirs | theirs", "by-hand | ")
	s = b.sink(keep)
	held(t, s)
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "by hand") {
		t.Errorf("%q", w)
	}
	must(t, s.Check(ctx))
	must(t, s.Write(ctx, credential("b")))
	b.expect(t, value("b")+" | theirs", "b | by-hand")

	b.Set("secret", "ci/fly", "before", "not ours")
	s = b.sink(keep)
	_, err := s.Held(ctx)
	fails(t, err, rotate.ErrConflict, "previous")
	for what, err := range map[string]error{"check": s.Check(ctx), "write": s.Write(ctx, credential("c")), "mark": s.Mark(ctx, credential("b").Token), "forget": s.Forget(ctx, rotate.Token{ID: "by-hand"})} {
		if !errors.Is(err, keeping.ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if b.pair() != value("b")+" | not ours" {
		t.Error(b.pair())
	}
	b.Set("secret", "ci/fly", "before", value("b"))
	b.expect(t, value("b")+" | "+value("b"), "b | ")
	b.Set("secret", "ci/fly", "before_remint", "mine")
	fails(t, b.sink(keep).Check(ctx), rotate.ErrConflict, "note")
}

// TestKeeperPlaces: keys that are not there, or that hold something else.
func TestKeeperPlaces(t *testing.T) {
	created := func(s *Secret) { s.Key, s.CreateKey = "new", true }
	b := newBed()
	ctx := t.Context()
	s := b.sink(keep, created)
	must(t, s.Check(ctx))
	if h := held(t, s); !h.Secret.IsZero() || h.Mark.Token.ID != "" || h.Former.ID != "" {
		t.Errorf("%+v", h)
	}
	must(t, s.Write(ctx, credential("a")))
	if b.Text("secret", "ci/fly", "new") != value("a") || b.Text("secret", "ci/fly", "before") != value("a") || b.value() != "old" {
		t.Errorf("%v", b.Data("secret", "ci/fly"))
	}
	fails(t, s.Undo(ctx), rotate.ErrConflict, "held nothing")
	b = newBed()
	must(t, b.sink(keep).Mark(ctx, rotate.Token{ID: "by-hand"}))
	if former, ok := b.Data("secret", "ci/fly")["before"]; ok && former == "" { // somebody might accept that
		t.Error("there is an empty former value")
	}
	if got := b.tokens(t); got != "by-hand! | " {
		t.Error(got)
	}
	for _, x := range []struct {
		name   string
		change func(*bed, *Secret)
		kind   error
		says   string
	}{
		{"no key", func(_ *bed, s *Secret) { s.Key = "tokne" }, rotate.ErrNotFound, "create-key"},
		{"former value of another kind", func(b *bed, _ *Secret) { b.Set("secret", "ci/fly", "before", 1) }, rotate.ErrConfig, `key "before" is no text`},
		{"note of another kind", func(b *bed, _ *Secret) { b.Set("secret", "ci/fly", "before_remint", []any{}) }, rotate.ErrConfig, `key "before_remint" is no text`},
		{"too large", func(b *bed, _ *Secret) { b.Set("secret", "ci/fly", "blob", strings.Repeat("x", maxEntry-200)) }, rotate.ErrLimit, "are allowed"},
	} {
		b := newBed()
		s := b.sink(keep)
		x.change(b, s)
		fails(t, s.Write(ctx, credential("a")), x.kind, x.says)
		if n := b.Versions("secret", "ci/fly"); n > 2 || b.pair() == value("a")+" | old" {
			t.Errorf("%s: it was written", x.name)
		}
		if x.kind != rotate.ErrLimit {
			fails(t, s.Check(ctx), x.kind, x.says)
		} else if _, err := s.Held(ctx); err != nil || !errors.Is(s.Accept(rotate.Credential{Secret: rotate.NewSecret(strings.Repeat("y", 200))}), rotate.ErrLimit) {
			t.Error("what has no room is accepted")
		}
	}
}

func TestKeeperValidate(t *testing.T) {
	for previous, says := range map[string]string{"before": "", "token_remint": "", "token": "the key itself", "a\xff": "no text", strings.Repeat("x", 501): "too long"} {
		err := newBed().sink(func(s *Secret) { s.Previous = previous }).Validate()
		if says == "" {
			must(t, err)
		} else {
			fails(t, err, rotate.ErrConfig, "field previous:", says)
		}
	}
	fails(t, newBed().sink(func(s *Secret) { s.Key, s.Previous = "a_remint", "a" }).Validate(), rotate.ErrConfig, "field previous:", "note")
}

// TestKeeperHostile: whatever is answered in place of Vault.
func TestKeeperHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		b := newBed()
		must(t, b.sink(keep).Write(context.Background(), credential("a")))
		s := b.sink(keep, func(s *Secret) { s.Transport = wrap(b.wire) })
		d := deeds[0]
		calls := []hostile.Call{{Name: "held", Do: func(ctx context.Context) error { _, err := s.Held(ctx); return err }},
			{Name: d.name, Do: func(ctx context.Context) error { return d.do(ctx, s) }, Wrong: func() string {
				if b.pair() != d.pair {
					return "it holds something else"
				}
				return ""
			}}}
		return hostile.Bench{Secrets: func() []string { return []string{root, sibling, value("a"), value("b")} }, Calls: calls}
	}})
}
