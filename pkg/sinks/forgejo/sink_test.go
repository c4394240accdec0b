package forgejo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/remint-dev/remint/internal/emulate"
	emu "github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/pkg/rotate"
)

// A secret's whole life at each level on each kind of server.
func TestLevels(t *testing.T) {
	levels := map[string]struct {
		set   func(*Secret)
		where string
		name  string
	}{
		"repository":   {func(*Secret) {}, "alice/web", "forgejo:alice/web/FLY_DEPLOY_TOKEN"},
		"organization": {func(s *Secret) { s.Org = "acme" }, "acme", "forgejo:acme/FLY_DEPLOY_TOKEN"},
		"user":         {func(s *Secret) { s.User = true }, "alice", "forgejo:user/FLY_DEPLOY_TOKEN"},
	}
	for level, l := range levels {
		t.Run(level, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, f *forge) {
				const marker = "FLY_DEPLOY_TOKEN_REMINT"
				f.SetSecret(l.where, "FLY_DEPLOY_TOKEN", "by hand", "deploys the web")
				s := f.sink()
				l.set(s)
				if got := s.String(); got != l.name {
					t.Errorf("String: got %s, want %s", got, l.name)
				}
				must(t, s.Check(ctx))
				h, err := s.Held(ctx)
				must(t, err)
				if h.Mark.Token.ID != "" || !h.Secret.IsZero() {
					t.Fatalf("a sink never written holds %+v", h)
				}
				c := credential(1)
				for range 2 { // twice is once
					must(t, s.Write(ctx, c))
					if got := f.holds(t, l.where, "FLY_DEPLOY_TOKEN"); got != c.Secret.Reveal() {
						t.Fatalf("the server holds %q", got)
					}
					if m := f.marked(t, l.where, marker); m.Token.ID != "tok-1" || m.Verified {
						t.Fatalf("the marker says %s", m)
					}
				}
				must(t, s.Mark(ctx, c.Token))

				again := f.sink() // another process
				l.set(again)
				h, err = again.Held(ctx)
				must(t, err)
				if h.Mark.Token != c.Token || !h.Mark.Verified || h.Snapshot {
					t.Fatalf("held: %+v, want the verified %+v", h, c.Token)
				}
				must(t, again.Write(ctx, credential(2)))
				if m := f.marked(t, l.where, marker); m.Token.ID != "tok-2" || m.Verified {
					t.Fatalf("after the next write the marker says %s", m)
				}
				_, description, _ := f.Secret(l.where, "FLY_DEPLOY_TOKEN")
				if want := "deploys the web"; f.Kind == emu.Gitea && level != "user" && description != want {
					t.Errorf("the description became %q, want %q", description, want)
				}
				if w := append(s.Warnings(), again.Warnings()...); len(w) > 0 {
					t.Errorf("warnings: %q", w)
				}
			})
		})
	}
}

// Which requests are made, and in which order: a marker never names a newer token than the secret holds.
func TestRequests(t *testing.T) {
	const (
		list  = "GET repos/alice/web/actions/secrets"
		put   = "PUT repos/alice/web/actions/secrets/FLY_DEPLOY_TOKEN"
		probe = "PUT repos/alice/web/actions/secrets/0"
		get   = "GET repos/alice/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
		post  = "POST repos/alice/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
		mark  = "PUT repos/alice/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
		drop  = "DELETE repos/alice/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
	)
	held := func(ctx context.Context, s *Secret) error { _, err := s.Held(ctx); return err }
	write := func(n int) func(context.Context, *Secret) error {
		return func(ctx context.Context, s *Secret) error { return s.Write(ctx, credential(n)) }
	}
	ageless := func(ctx context.Context, s *Secret) error {
		c := credential(3)
		c.Created = c.Created.AddDate(-10, 0, 0).AddDate(10, 0, 0) // the same instant
		c.ID = "tok-3b"
		return s.Write(ctx, c)
	}
	verified := func(n int) func(context.Context, *Secret) error {
		return func(ctx context.Context, s *Secret) error { return s.Mark(ctx, credential(n).Token) }
	}
	type step struct {
		what string
		do   func(context.Context, *Secret) error
		want []string
	}
	tests := map[string]struct {
		marked int // the token that the marker names at first; 0: none
		steps  []step
	}{
		"nothing to do":     {3, []step{{"tick", held, []string{get}}}},
		"check alone":       {3, []step{{"check", func(ctx context.Context, s *Secret) error { return s.Check(ctx) }, []string{list, probe, get}}}},
		"first write":       {0, []step{{"write", write(1), []string{list, get, put, post}}, {"verified", verified(1), []string{mark}}, {"again", verified(1), nil}}},
		"twice is once":     {3, []step{{"write", write(4), []string{list, get, put, mark}}, {"again", write(4), []string{put}}}},
		"rotation":          {3, []step{{"survey", held, []string{get}}, {"check", func(ctx context.Context, s *Secret) error { return s.Check(ctx) }, []string{list, probe}}, {"write", write(4), []string{put, mark}}}},
		"restore":           {3, []step{{"write", write(4), []string{list, get, put, mark}}, {"restore", write(3), []string{mark, put}}}},
		"restore, fresh":    {3, []step{{"restore", write(2), []string{list, get, mark, put}}}},
		"no telling apart":  {3, []step{{"write", ageless, []string{list, get, drop, put, post}}}},
		"seen at the start": {3, []step{{"survey", held, []string{get}}, {"mark", verified(3), []string{mark}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, f *forge) {
				f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
				if test.marked > 0 {
					f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", rotate.Mark{Token: credential(test.marked).Token}.String())
				}
				s := f.sink()
				for _, step := range test.steps {
					must(t, step.do(ctx, s))
					if got, want := f.requests(), strings.Join(step.want, "\n"); got != want {
						t.Errorf("%s asked\n%s\nwant\n%s", step.what, got, want)
					}
				}
			})
		})
	}
}

// Cut off before or after any request of a write, up or down, the marker is never newer than the secret,
// and writing again gets both right.
func TestMarkerIsNeverNewer(t *testing.T) {
	age := func(t *testing.T, f *forge) (secret, marker int) {
		t.Helper()
		if _, err := fmt.Sscanf(f.holds(t, "alice/web", "FLY_DEPLOY_TOKEN"), "FlyV1 fm2_value-%d", &secret); err != nil {
			t.Fatal(err)
		}
		if m := f.marked(t, "alice/web", "FLY_DEPLOY_TOKEN_REMINT"); m.Token.ID != "" {
			if _, err := fmt.Sscanf(m.Token.ID, "tok-%d", &marker); err != nil {
				t.Fatal(err)
			}
		}
		return secret, marker
	}
	for _, from := range []int{1, 2, 3} {
		for _, operation := range []string{"list-secrets", "get-variable", "put-secret", "create-variable", "put-variable", "delete-variable"} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d to 2, %s, after=%t", from, operation, after), func(t *testing.T) {
					each(t, func(t *testing.T, ctx context.Context, f *forge) {
						old := credential(from)
						f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", old.Secret.Reveal(), "")
						f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", rotate.Mark{Token: old.Token, Verified: true}.String())
						f.Faults.Plant(operation, emulate.Fault{After: after, Times: -1})
						s := f.sink()
						err := s.Write(ctx, credential(2))
						if secret, marker := age(t, f); marker > secret {
							t.Errorf("the marker names %d while the secret holds %d", marker, secret)
						}
						if err != nil && !errors.Is(err, rotate.ErrTemporary) {
							t.Errorf("a broken connection is %v", err)
						}
						f.Faults.Clear()
						must(t, s.Write(ctx, credential(2)))
						if secret, marker := age(t, f); secret != 2 || marker != 2 {
							t.Errorf("written again, the secret holds %d and the marker names %d", secret, marker)
						}
					})
				})
			}
		}
	}
}

// One lost answer heals by itself.
func TestLostAnswers(t *testing.T) {
	for _, operation := range []string{"list-secrets", "get-variable", "put-secret", "create-variable"} {
		for _, fault := range []emulate.Fault{{After: true}, {}, {Status: 502, Body: "<html>bad gateway</html>"}, {Status: 500, After: true}, {Status: 429}} {
			t.Run(fmt.Sprintf("%s %d after=%t", operation, fault.Status, fault.After), func(t *testing.T) {
				each(t, func(t *testing.T, ctx context.Context, f *forge) {
					f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
					f.Faults.Plant(operation, fault)
					must(t, f.sink().Write(ctx, credential(1)))
					if m := f.marked(t, "alice/web", "FLY_DEPLOY_TOKEN_REMINT"); m.Token.ID != "tok-1" {
						t.Errorf("the marker says %s", m)
					}
				})
			})
		}
	}
}

// The marker may be made or deleted by somebody else between our look and our write.
func TestMarkerChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
		s := f.sink()
		_, err := s.Held(ctx)
		must(t, err)
		f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", rotate.Mark{Token: credential(1).Token}.String())
		must(t, s.Write(ctx, credential(2))) // 409, then PUT
		if m := f.marked(t, "alice/web", "FLY_DEPLOY_TOKEN_REMINT"); m.Token.ID != "tok-2" {
			t.Errorf("the marker says %s", m)
		}
		f.RemoveVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT")
		must(t, s.Mark(ctx, credential(2).Token)) // 404, then POST
		if m := f.marked(t, "alice/web", "FLY_DEPLOY_TOKEN_REMINT"); m.Token.ID != "tok-2" || !m.Verified {
			t.Errorf("the marker says %s", m)
		}
	})
}

func TestMarkRefuses(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
		if err := f.sink().Mark(ctx, credential(1).Token); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("without a marker: %v", err)
		}
		f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", rotate.Mark{Token: credential(1).Token}.String())
		if err := f.sink().Mark(ctx, credential(2).Token); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("with the marker of another token: %v", err)
		}
		if m := f.marked(t, "alice/web", "FLY_DEPLOY_TOKEN_REMINT"); m.Token.ID != "tok-1" || m.Verified {
			t.Errorf("the marker says %s", m)
		}
	})
}

func TestCurrent(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "handed in", "")
		s := f.sink()
		s.Current = rotate.NewSecret("handed in")
		h, err := s.Held(ctx)
		must(t, err)
		if !h.Snapshot || h.Secret.Reveal() != "handed in" || h.Mark.Token.ID != "" {
			t.Errorf("held: %+v", h)
		}
		if got := f.requests(); got != "" {
			t.Errorf("Held asked %s", got)
		}
		must(t, s.Check(ctx))
		c := credential(1)
		c.ID = "" // no marker needs it
		must(t, s.Write(ctx, c))
		must(t, s.Mark(ctx, c.Token))
		if _, ok := f.Variable("alice/web", "FLY_DEPLOY_TOKEN_REMINT"); ok {
			t.Error("a marker was written")
		}
		if got := f.holds(t, "alice/web", "FLY_DEPLOY_TOKEN"); got != c.Secret.Reveal() {
			t.Errorf("the server holds %q", got)
		}
	})
}

func TestAccept(t *testing.T) {
	tests := map[string]struct {
		value string
		ok    bool
	}{
		"a token":       {"FlyV1 fm2_abc,fm2_def", true},
		"lines":         {"a\nb\n", true},
		"the largest":   {strings.Repeat("a", 65536), true},
		"one too large": {strings.Repeat("a", 65537), false},
		"empty":         {"", false},
		"CRLF":          {"a\r\nb", false},
		"not UTF-8":     {"a\xff", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, f *forge) {
				f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
				c := credential(1)
				c.Secret = rotate.NewSecret(test.value)
				err := f.sink().Accept(c)
				if got := f.requests(); got != "" {
					t.Errorf("Accept asked %s", got)
				}
				if (err == nil) != test.ok || err != nil && !errors.Is(err, rotate.ErrConfig) && !errors.Is(err, rotate.ErrLimit) {
					t.Errorf("Accept: %v", err)
				}
				err = f.sink().Write(ctx, c)
				if (err == nil) != test.ok {
					t.Errorf("Write: %v", err)
				}
				if got := f.holds(t, "alice/web", "FLY_DEPLOY_TOKEN"); test.ok && got != test.value || !test.ok && got != "x" {
					t.Errorf("the server holds %d bytes", len(got))
				}
			})
		})
	}
}

func TestWriteNeedsAnID(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
		c := credential(1)
		c.ID = ""
		if err := f.sink().Write(ctx, c); !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("got %v", err)
		}
		if got := f.holds(t, "alice/web", "FLY_DEPLOY_TOKEN"); got != "x" {
			t.Errorf("the server holds %q", got)
		}
	})
}

func TestCreation(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		s := f.sink()
		for what, err := range map[string]error{"check": s.Check(ctx), "write": f.sink().Write(ctx, credential(1))} {
			if !errors.Is(err, rotate.ErrNotFound) || !strings.Contains(err.Error(), "create: true") {
				t.Errorf("%s of a missing secret: %v", what, err)
			}
		}
		if names := f.Names("alice/web"); len(names) > 0 {
			t.Errorf("it made %q", names)
		}
		s = f.sink()
		s.Create = true
		must(t, s.Check(ctx))
		must(t, s.Write(ctx, credential(1)))
		if w := s.Warnings(); len(w) > 0 {
			t.Errorf("wanted and warned of: %q", w)
		}
		f.RemoveSecret("alice/web", "FLY_DEPLOY_TOKEN")
		must(t, s.Write(ctx, credential(2)))
		if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "deleted meanwhile") {
			t.Errorf("warnings: %q", w)
		}
		if w := s.Warnings(); len(w) > 0 {
			t.Errorf("said twice: %q", w)
		}

		user := f.sink()
		user.User = true
		must(t, user.Check(ctx))
		must(t, user.Write(ctx, credential(1)))
		if w := user.Warnings(); len(w) != 1 || !strings.Contains(w[0], "misspelt") {
			t.Errorf("warnings: %q", w)
		}
	})
}

// A secret on a later page is found, and names are compared without case.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		for i := range 120 {
			f.SetSecret("alice/web", fmt.Sprintf("A_%03d", i), "x", "")
		}
		f.SetSecret("alice/web", "ZEBRA", "x", "stripes")
		s := f.sink()
		s.Name = "zebra"
		must(t, s.Write(ctx, credential(1)))
		if _, description, _ := f.Secret("alice/web", "ZEBRA"); f.Kind == emu.Gitea && description != "stripes" {
			t.Errorf("the description became %q", description)
		}
		if got := strings.Count(f.requests(), "GET repos/alice/web/actions/secrets"); got != 3 {
			t.Errorf("%d pages were read, want 3", got)
		}
	})
}

// A write that is given up stops at once and says so.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(emu.Gitea)
		f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
		ctx, cancel := context.WithCancel(t.Context())
		f.wire.Before = func(r *http.Request) error {
			if r.Method == http.MethodPut {
				cancel()
			}
			return nil
		}
		if err := f.sink().Write(ctx, credential(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// After a marker whose writing failed, what it says is looked up again: here it was written in fact, and
// would otherwise stay newer than the secret that is put back.
func TestMarkerIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
		s := f.sink()
		must(t, s.Write(ctx, credential(1)))
		f.Faults.Plant("put-variable", emulate.Fault{After: true, Times: -1})
		if err := s.Write(ctx, credential(2)); !errors.Is(err, rotate.ErrTemporary) {
			t.Fatalf("got %v", err)
		}
		f.Faults.Clear()
		must(t, s.Write(ctx, credential(1)))
		if m := f.marked(t, "alice/web", "FLY_DEPLOY_TOKEN_REMINT"); m.Token.ID != "tok-1" {
			t.Errorf("the secret holds tok-1, the marker says %s", m)
		}
	})
}
