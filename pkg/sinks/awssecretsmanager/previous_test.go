package awssecretsmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// siblings is what a person wrote, with keys that are none of the sink's.
const siblings = `{"a": 1.0,  "token":"old","b":[ ],"n":12345678901234567890,"c":"\u00e9<&>"}`

// keep makes a sink keep what it replaces.
func keep(s *Secret) { s.Key, s.Previous = "token", "before" }

func newKept() *bed {
	b := newBed()
	b.AddSecret(name, siblings)
	return b
}

// pair returns the value and the former value.
func (b *bed) pair() string {
	var all map[string]any
	_ = json.Unmarshal([]byte(b.Current(name)), &all)
	former, _ := all["before"].(string)
	return fmt.Sprint(all["token"], " | ", former)
}

// tokens returns what a new process is told that the secret holds and keeps; ! marks what is verified.
func (b *bed) tokens(t *testing.T) string {
	t.Helper()
	h, err := b.sink(keep).Held(t.Context())
	check(t, err)
	out := h.Mark.Token.ID
	if h.Mark.Verified {
		out += "!"
	}
	return out + " | " + h.Former.ID
}

// expect also looks for changes of other keys, and for labels that nobody needs.
func (b *bed) expect(t *testing.T, pair, tokens string) {
	t.Helper()
	if got := b.pair(); got != pair {
		t.Errorf("it holds %q, want %q", got, pair)
	}
	if got := b.tokens(t); got != tokens {
		t.Errorf("it says %q, want %q", got, tokens)
	}
	value, _, _ := strings.Cut(pair, " | ")
	if got, want := b.Current(name), strings.TrimSuffix(strings.Replace(siblings, `"old"`, `"`+value+`"`, 1), "}"); !strings.HasPrefix(got, want) {
		t.Errorf("other keys changed: %s", got)
	}
	for label := range b.Stages(name) {
		if label != current && label != replaced {
			t.Errorf("label %s is left", label)
		}
	}
}

// change does what a person does: another version, with another value under a key.
func (b *bed) change(t *testing.T, key, value string) {
	t.Helper()
	doc, err := splice(b.Current(name), key, value, true)
	check(t, err)
	b.Overwrite(name, doc)
}

func wants(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v, want %v", err, kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
	if strings.Contains(err.Error(), "secret-of") {
		t.Errorf("%v shows a secret", err)
	}
}

// TestKeeper: what is replaced stays beside, in one version each time, and no other key changes.
func TestKeeper(t *testing.T) {
	b := newKept()
	ctx := t.Context()
	s := b.sink(keep)
	check(t, s.Check(ctx))
	b.expect(t, "old | ", "by-hand | ")
	s = b.sink(keep)
	hold := func() error { _, err := s.Held(ctx); return err }
	for _, x := range []struct {
		name         string
		do           func() error
		took         string
		versions     int
		pair, tokens string
	}{
		{"look", hold, "get", 0, "old | ", "by-hand | "},
		{"write", func() error { return s.Write(ctx, credential("a")) }, "put stage stage get describe", 1, "secret-of-a | old", "a | by-hand"},
		{"write again", func() error { return s.Write(ctx, credential("a")) }, "get", 0, "secret-of-a | old", "a | by-hand"},
		{"mark", func() error { return s.Mark(ctx, credential("a").Token) }, "put stage stage get", 1, "secret-of-a | old", "a! | by-hand"},
		{"mark again", func() error { return s.Mark(ctx, credential("a").Token) }, "get", 0, "secret-of-a | old", "a! | by-hand"},
		{"write what is verified", func() error { return s.Write(ctx, credential("a")) }, "get", 0, "secret-of-a | old", "a! | by-hand"},
		{"forget another", func() error { return s.Forget(ctx, credential("c").Token) }, "get", 0, "secret-of-a | old", "a! | by-hand"},
		{"forget", func() error { return s.Forget(ctx, rotate.Token{ID: "by-hand"}) }, "put stage stage get", 1, "secret-of-a | secret-of-a", "a! | "},
		{"forget again", func() error { return s.Forget(ctx, rotate.Token{ID: "by-hand"}) }, "get", 0, "secret-of-a | secret-of-a", "a! | "},
		{"look again", hold, "get", 0, "secret-of-a | secret-of-a", "a! | "},
		{"the next", func() error { return s.Write(ctx, credential("b")) }, "put stage stage get", 1, "secret-of-b | secret-of-a", "b | a"},
		{"undo", func() error { return s.Undo(ctx) }, "put stage stage get", 1, "secret-of-a | secret-of-b", "a | b"},
		{"a new process", func() error { return b.sink(keep).Write(ctx, credential("c")) }, "get put stage stage get describe", 1, "secret-of-c | secret-of-a", "c | a"},
	} {
		n, versions := len(b.Operations()), len(b.Versions(name))
		check(t, x.do())
		if got := b.since(n); got != x.took {
			t.Errorf("%s took %q, want %q", x.name, got, x.took)
		}
		if got := len(b.Versions(name)) - versions; got != x.versions {
			t.Errorf("%s made %d versions", x.name, got)
		}
		b.expect(t, x.pair, x.tokens)
	}
	wants(t, s.Undo(ctx), rotate.ErrConflict)
	wants(t, s.Mark(ctx, credential("a").Token), rotate.ErrConflict)
	wants(t, s.Forget(ctx, credential("c").Token), rotate.ErrConflict)
	got, err := s.Read(ctx)
	check(t, err)
	h, err := b.sink(keep).Held(ctx)
	check(t, err)
	if !got.Equal(credential("c").Secret) || !h.Secret.Equal(got) || h.Mark.Token.Name != "web c" || h.Former.Name != "web a" {
		t.Errorf("%+v, %+v", h.Mark, h.Former)
	}
	if w := s.Warnings(); len(w) != 0 {
		t.Errorf("%q", w)
	}
	check(t, s.Check(ctx))
	check(t, newBed().sink().Forget(ctx, credential("a").Token)) // a sink that keeps nothing
}

// TestKeeperSuite holds a sink that keeps to the contracts of every sink.
func TestKeeperSuite(t *testing.T) {
	b := newKept()
	rotatetest.Sink(t, rotatetest.SinkUnderTest{
		New: func(*testing.T) rotate.Sink { return b.sink(keep) },
		Content: func(*testing.T) string {
			value, _, _ := strings.Cut(b.pair(), " | ")
			return value
		},
	})
}

// deeds are what changes a secret that holds a and keeps what a person wrote, and what is there after.
var deeds = []struct {
	name         string
	do           func(context.Context, *Secret) error
	pair, tokens string
}{
	{"write", func(ctx context.Context, s *Secret) error { return s.Write(ctx, credential("b")) }, "secret-of-b | secret-of-a", "b | a"},
	{"mark", func(ctx context.Context, s *Secret) error { return s.Mark(ctx, credential("a").Token) }, "secret-of-a | old", "a! | by-hand"},
	{"forget", func(ctx context.Context, s *Secret) error { return s.Forget(ctx, rotate.Token{ID: "by-hand"}) }, "secret-of-a | secret-of-a", "a | "},
	{"undo", func(ctx context.Context, s *Secret) error { return s.Undo(ctx) }, "old | secret-of-a", "by-hand | a"},
}

// TestKeeperLost: an answer that gets lost is no lost change, and no second one; nobody sees half of one.
func TestKeeperLost(t *testing.T) {
	for _, d := range deeds {
		prepare := func(t *testing.T) (*bed, *Secret) {
			b := newKept()
			s := b.sink(keep)
			check(t, s.Write(t.Context(), credential("a")))
			_, err := s.Held(t.Context())
			check(t, err)
			s.replicated = nil // so that it is asked for
			return b, s
		}
		for _, op := range []string{aws.Get, aws.Put, aws.Stage, aws.Describe} {
			for _, fault := range []emulate.Fault{{}, {After: true}, {Status: 500}, {Status: 503, After: true}, {Status: 429}} {
				for _, times := range []int{1, 3} { // as often as the SDK asks
					if times > 1 && fault.Status == http.StatusTooManyRequests {
						continue // that ends it
					}
					t.Run(fmt.Sprintf("%s %s %d after=%t times=%d", d.name, op, fault.Status, fault.After, times), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							b, s := prepare(t)
							versions := len(b.Versions(name))
							fault.Times = times
							b.Faults.Plant(op, fault)
							err := d.do(t.Context(), s)
							if times == 3 && op == aws.Describe && err != nil { // only the replicas were not seen
								wants(t, err, rotate.ErrTemporary)
								err = nil
							}
							check(t, err)
							if n := len(b.Versions(name)) - versions; n != 1 && times == 1 {
								t.Errorf("%d new versions", n)
							}
							b.expect(t, d.pair, d.tokens)
						})
					})
				}
			}
		}
		for _, x := range []struct {
			name string
			ops  []string
			done bool
		}{
			{"nothing is answered", []string{aws.Get, aws.Put, aws.Stage, aws.Describe}, false},
			{"nothing is answered after the put", []string{aws.Get, aws.Stage, aws.Describe}, true},
			{"nothing is read", []string{aws.Get, aws.Describe}, true},
			{"no move arrives", []string{aws.Stage}, false},
		} {
			t.Run(d.name+" "+x.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, s := prepare(t)
					for _, op := range x.ops {
						b.Faults.Plant(op, emulate.Fault{Status: 503, After: x.name != "no move arrives", Times: -1})
					}
					wants(t, d.do(t.Context(), s), rotate.ErrTemporary)
					b.Faults.Clear()
					pair, tokens := b.pair(), b.tokens(t)
					if x.done != (pair == d.pair && tokens == d.tokens) || !x.done && (pair != "secret-of-a | old" || tokens != "a | by-hand") {
						t.Errorf("%s, %s", pair, tokens)
					}
					check(t, d.do(t.Context(), s)) // the same once more ends the same
					if pair, tokens := b.pair(), b.tokens(t); pair != d.pair || tokens != d.tokens {
						t.Errorf("%s, %s", pair, tokens)
					}
				})
			})
		}
	}
}

// TestKeeperCrash kills a write at each of its requests, before and after the effect, and runs it again.
func TestKeeperCrash(t *testing.T) {
	for n := range 6 {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d after=%t", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newKept()
					before, route := b.wire.Before, b.wire.Route
					b.crash(n, after)
					_ = b.sink(keep).Write(t.Context(), credential("a"))
					b.wire.Before, b.wire.Route = before, route

					check(t, b.sink(keep).Write(t.Context(), credential("a")))
					if got := b.pair() + ", " + b.tokens(t); got != "secret-of-a | old, a | by-hand" {
						t.Error(got)
					}
					check(t, b.sink(keep).Mark(t.Context(), credential("a").Token)) // and takes a label that was left along
					b.expect(t, "secret-of-a | old", "a! | by-hand")
				})
			})
		}
	}
}

// TestKeeperRival: what somebody else does between two requests.
func TestKeeperRival(t *testing.T) {
	const move, read = "UpdateSecretVersionStage", "GetSecretValue"
	for _, x := range []struct {
		name, key string // that they change
		at        string // request before which they do; "": between Held and Write
		lost      bool   // the answer to our move, and they act before it is repeated
		theirs    bool   // their value counts, and ours is refused
	}{
		{"the value after the look", "token", "", false, true},
		{"the former value after the look", "before", "", false, true},
		{"the note after the look", "before_remint", "", false, true},
		{"another key after the look", "d", "", false, false},
		{"the value at the same time", "token", move, false, true},
		{"another key at the same time", "d", move, false, false},
		{"the value just after", "token", read, false, true},
		{"another key just after", "d", read, false, false},
		{"the value after a lost answer", "token", move, true, true},
		{"another key after a lost answer", "d", move, true, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newKept()
				s := b.sink(keep)
				_, err := s.Held(t.Context())
				check(t, err)
				act := func() { b.change(t, x.key, "theirs") }
				switch {
				case x.lost:
					b.Faults.Plant(aws.Stage, emulate.Fault{After: true})
					b.rival(x.at, 1, func() { b.rival(x.at, 1, act) })
				case x.at != "":
					b.rival(x.at, 1, act)
				default:
					act()
				}
				began := time.Now()
				err = s.Write(t.Context(), credential("a"))
				if !x.lost && time.Since(began) > 0 {
					t.Error("it waited for what cannot come any more")
				}
				if got, err := pick(b.Current(name), x.key); err != nil || got != "theirs" {
					t.Errorf("their change is gone: %v", err)
				}
				if !x.theirs {
					check(t, err)
					if got := b.pair() + ", " + b.tokens(t); got != "secret-of-a | old, a | by-hand" {
						t.Error(got)
					}
					return
				}
				wants(t, err, rotate.ErrConflict)
				now := b.Current(name)
				if err := s.Undo(t.Context()); err == nil || b.Current(name) != now {
					t.Errorf("undo: %v", err)
				}
			})
		})
	}
	t.Run("again and again", func(t *testing.T) {
		b := newKept()
		n := 0
		b.rival(move, 100, func() { n++; b.change(t, "d", fmt.Sprint(n)) })
		wants(t, b.sink(keep).Write(t.Context(), credential("a")), rotate.ErrConflict, "again and again")
		if len(b.Operations()) > 20 || b.pair() != "old | " {
			t.Errorf("%v, %s", b.Operations(), b.pair())
		}
	})
}

// TestKeeperSwap: what a swap that failed may have changed, its error says.
func TestKeeperSwap(t *testing.T) {
	const move = "UpdateSecretVersionStage"
	for _, x := range []struct {
		name   string
		harm   func(t *testing.T, b *bed)
		kind   error
		intact bool
	}{
		{"somebody else's version", func(t *testing.T, b *bed) { b.rival(move, 1, func() { b.change(t, "token", "theirs") }) }, rotate.ErrConflict, false},
		{"somebody else's version on top of a lost one", func(t *testing.T, b *bed) {
			b.Faults.Plant(aws.Stage, emulate.Fault{After: true})
			b.rival(move, 1, func() { b.rival(move, 1, func() { b.change(t, "token", "theirs") }) })
		}, rotate.ErrTemporary, false},
		{"may not put", func(_ *testing.T, b *bed) { b.Deny("secretsmanager:PutSecretValue") }, rotate.ErrDenied, true},
		{"may not move", func(_ *testing.T, b *bed) { b.Deny("secretsmanager:UpdateSecretVersionStage") }, rotate.ErrDenied, true},
		{"may neither move nor see", func(_ *testing.T, b *bed) {
			b.Deny("secretsmanager:UpdateSecretVersionStage")
			b.Deny("secretsmanager:DescribeSecret")
		}, rotate.ErrTemporary, true},
		{"a refusal that is no conflict", func(_ *testing.T, b *bed) {
			b.Faults.Plant(aws.Stage, emulate.Fault{Status: 400, Body: `{"__type":"InvalidParameterException","Message":"no such thing"}`, Times: -1})
		}, rotate.ErrConfig, true},
		{"may not read back", func(_ *testing.T, b *bed) { b.Deny("secretsmanager:GetSecretValue") }, rotate.ErrTemporary, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newKept()
				p := trio{b.sink(keep)}
				was, err := p.Load(t.Context())
				check(t, err)
				x.harm(t, b)
				_, err = p.Swap(t.Context(), was, keeping.State{Value: "new", Former: "old", Note: "{}"})
				wants(t, err, x.kind)
				if (b.Current(name) == siblings) != x.intact {
					t.Errorf("it holds %s", b.Current(name))
				}
			})
		})
	}
}

// TestKeeperByHand: what a person changes is seen.
func TestKeeperByHand(t *testing.T) {
	b := newKept()
	ctx := t.Context()
	s := b.sink(keep)
	check(t, s.Write(ctx, credential("a")))
	check(t, s.Forget(ctx, rotate.Token{ID: "by-hand"}))
	b.change(t, "token", "theirs")
	b.change(t, "before", "theirs")
	b.expect(t, "theirs | theirs", "by-hand | ")
	s = b.sink(keep)
	_, err := s.Held(ctx)
	check(t, err)
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "by hand") {
		t.Errorf("%q", w)
	}
	check(t, s.Check(ctx))
	check(t, s.Write(ctx, credential("b")))
	b.expect(t, "secret-of-b | theirs", "b | by-hand")

	b.change(t, "before", "not ours")
	now := b.Current(name)
	s = b.sink(keep)
	_, err = s.Held(ctx)
	for what, err := range map[string]error{"held": err, "check": s.Check(ctx), "write": s.Write(ctx, credential("c")), "mark": s.Mark(ctx, credential("b").Token), "forget": s.Forget(ctx, rotate.Token{ID: "by-hand"})} {
		if !errors.Is(err, keeping.ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if b.Current(name) != now {
		t.Error(b.pair())
	}
	b.change(t, "before", "secret-of-b")
	b.expect(t, "secret-of-b | secret-of-b", "b | ")
	b.change(t, "before_remint", "mine")
	wants(t, b.sink(keep).Check(ctx), rotate.ErrConflict, "note")
}

// TestKeeperPlaces: secrets and keys that are not there, or that hold something else.
func TestKeeperPlaces(t *testing.T) {
	create := func(s *Secret) { s.CreateKey = true }
	for _, x := range []struct {
		name, value string
		change      func(*Secret)
		kind        error // of the write; nil: it succeeds
		says        string
	}{
		{"no value yet", "", create, nil, ""},
		{"an empty object", "{}", create, nil, ""},
		{"null", `{"token":null,"before":null}`, nil, nil, ""},
		{"no value yet, and no key to be made", "", nil, rotate.ErrNotFound, "create-key"},
		{"no key", "{}", nil, rotate.ErrNotFound, "create-key"},
		{"no object", "[]", nil, rotate.ErrConfig, "not an object"},
		{"former value of another kind", `{"token":"old","before":1}`, nil, rotate.ErrConfig, `"before" holds a number`},
		{"note of another kind", `{"token":"old","before_remint":[]}`, nil, rotate.ErrConfig, `"before_remint" holds a list`},
		{"the former value twice", `{"token":"old","before":"old","before":"x"}`, nil, rotate.ErrConfig, "twice"},
		{"too large", `{"token":"` + strings.Repeat("x", 33000) + `","pad":"` + strings.Repeat("x", 32500) + `"}`, nil, rotate.ErrLimit, "are allowed"},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBed()
			if x.value == "" {
				b.AddSecret(name)
			} else {
				b.AddSecret(name, x.value)
			}
			ctx := t.Context()
			s := b.sink(keep)
			if x.change != nil {
				x.change(s)
			}
			checked, accepted := s.Check(ctx), s.Accept(credential("a"))
			err := s.Write(ctx, credential("a"))
			if x.kind != nil {
				wants(t, err, x.kind, x.says)
				if x.kind == rotate.ErrLimit {
					wants(t, accepted, x.kind, x.says)
				} else {
					wants(t, checked, x.kind, x.says)
				}
				if b.Current(name) != x.value || len(b.Versions(name)) > 1 {
					t.Error("it was written")
				}
				return
			}
			check(t, checked)
			check(t, accepted)
			check(t, err)
			if got := b.pair(); got != "secret-of-a | secret-of-a" {
				t.Error(got)
			}
			if got := b.tokens(t); got != "a | " {
				t.Error(got)
			}
			wants(t, s.Undo(ctx), rotate.ErrConflict, "held nothing")
		})
	}
	t.Run("escaped by hand, and nothing to keep", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, `{"token":"\u006fld"}`)
		check(t, b.sink(keep).Mark(t.Context(), rotate.Token{ID: "by-hand"}))
		if got := b.Current(name); !strings.HasPrefix(got, `{"token":"\u006fld",`) || strings.Contains(got, `""`) || b.tokens(t) != "by-hand! | " {
			t.Error(got) // an empty former value might be accepted by somebody
		}
	})
	t.Run("another rotator", func(t *testing.T) {
		b := newKept()
		b.Change(name, func(m *aws.Meta) { m.RotationEnabled = true })
		wants(t, b.sink(keep).Check(t.Context()), rotate.ErrConfig, "own rotation")
	})
	t.Run("another secret's document", func(t *testing.T) {
		b := newKept()
		check(t, b.sink(keep).Write(t.Context(), credential("a")))
		b.AddSecret("copy", b.Current(name))
		s := b.sink(keep, func(s *Secret) { s.Secret = "copy" })
		_, err := s.Held(t.Context())
		wants(t, err, keeping.ErrForeign)
	})
}

// TestKeeperReplicas: a change is made when every region has it, even if an earlier attempt made it.
func TestKeeperReplicas(t *testing.T) {
	for _, d := range deeds {
		if d.name == "mark" { // consumers need not see that
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newKept()
				s := b.sink(keep)
				check(t, s.Write(t.Context(), credential("a")))
				_, err := s.Held(t.Context())
				check(t, err)
				s.replicated = nil
				b.Change(name, func(m *aws.Meta) {
					m.PrimaryRegion, m.Replicas = region, []aws.Replica{{Region: "us-east-1", Status: "InSync", Lag: 1000}}
				})
				wants(t, d.do(t.Context(), s), rotate.ErrTemporary, "not in sync")
				if b.pair() != d.pair {
					t.Error(b.pair())
				}
				if d.name != "undo" { // which was made
					wants(t, d.do(t.Context(), s), rotate.ErrTemporary, "not in sync")
				}
				b.Change(name, func(m *aws.Meta) { m.Replicas[0].Lag = 2 })
				start := time.Now()
				if d.name == "write" {
					check(t, b.sink(keep).Write(t.Context(), credential("b")))
					if time.Since(start) == 0 {
						t.Error("it was not waited for")
					}
				}
			})
		})
	}
}

func TestKeeperValidate(t *testing.T) {
	for _, x := range []struct{ key, previous, says string }{
		{"token", "before", ""},
		{"token", "token_remint", ""},
		{"", "before", "say with key"},
		{"token", "token", "the key itself"},
		{"a_remint", "a", "note"},
		{"token", "a\xff", "not valid UTF-8"},
	} {
		s := &Secret{Secret: name, Key: x.key, Previous: x.previous, Access: awsaccess.Access{Region: region}}
		err := s.Validate()
		if x.says == "" {
			check(t, err)
			continue
		}
		wants(t, err, rotate.ErrConfig, x.says)
		if !slices.Equal(fields(err), []string{"previous"}) {
			t.Errorf("%q", fields(err))
		}
		wants(t, s.Write(t.Context(), credential("a")), rotate.ErrConfig)
	}
}

// TestKeeperHostile: whatever is answered in place of Secrets Manager.
func TestKeeperHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{Requests: 6, New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		b := newKept()
		check(t, b.sink(keep).Write(context.Background(), credential("a")))
		s := b.sink(keep, func(s *Secret) { s.Transport = wrap(b.wire) })
		d := deeds[0]
		calls := []hostile.Call{{Name: "held", Do: func(ctx context.Context) error { _, err := s.Held(ctx); return err }},
			{Name: d.name, Do: func(ctx context.Context) error { return d.do(ctx, s) }, Wrong: func() string {
				if b.pair() != d.pair {
					return "it holds something else"
				}
				return ""
			}}}
		return hostile.Bench{Secrets: func() []string { return []string{"secret-of-a", "secret-of-b"} }, Calls: calls}
	}})
}
