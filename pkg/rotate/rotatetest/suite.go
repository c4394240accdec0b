package rotatetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// ProviderUnderTest describes a provider for the suite.
type ProviderUnderTest struct {
	// New returns a provider as a new process would build it; all talk to the same service.
	New func(t *testing.T) rotate.Provider
	// Credentials are the texts that must never be printed: what the provider authenticates with.
	Credentials []string
	// Garbage is a secret that is none of the service's; "": the suite's own.
	Garbage string
}

// Provider checks the contracts of [rotate.Provider] and of the optional interfaces that it has.
func Provider(t *testing.T, u ProviderUnderTest) {
	ctx := context.Background()
	name := func(n int) string {
		return fmt.Sprintf("suite %s-aaaaaaaabbbbb%c", time.Now().UTC().Format("20060102T150405Z"), 'a'+n)
	}
	p := u.New(t)
	secrets := u.Credentials

	t.Run("check", func(t *testing.T) {
		if c, ok := p.(rotate.Checker); ok {
			if err := c.Check(ctx); err != nil {
				t.Errorf("Check of a provider that can work: %v", err)
			}
		}
	})
	one, err := p.Mint(ctx, name(0))
	if err != nil {
		t.Fatalf("Mint: %v", err)
	}
	two, err := p.Mint(ctx, name(1))
	if err != nil {
		t.Fatalf("second Mint: %v", err)
	}
	secrets = append(secrets, one.Secret.Reveal(), two.Secret.Reveal())
	t.Run("mint", func(t *testing.T) {
		if one.ID == "" || one.ID == two.ID {
			t.Errorf("IDs %q and %q", one.ID, two.ID)
		}
		if one.Secret.IsZero() || one.Secret.Equal(two.Secret) {
			t.Error("two tokens have one secret, or none")
		}
		if one.Name != name(0) && !strings.HasPrefix(one.Name, "suite ") {
			t.Errorf("name %q", one.Name)
		}
		if l, ok := p.(rotate.Lifetime); ok && l.Life() > 0 && !one.Expires.IsZero() {
			if off := one.Expires.Sub(one.Created) - l.Life(); off < -time.Hour || off > time.Hour {
				t.Errorf("lives %v, Life says %v", one.Expires.Sub(one.Created), l.Life())
			}
		}
	})
	t.Run("list", func(t *testing.T) {
		for _, q := range []rotate.Provider{p, u.New(t)} {
			listed, err := q.List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []rotate.Credential{one, two} {
				got, ok := find(listed, c.ID)
				if !ok {
					t.Fatalf("%s is not listed", c.Name)
				}
				if got.Name != c.Name || !got.Created.Equal(c.Created) {
					t.Errorf("listed as %+v, minted as %+v", got, c.Token)
				}
			}
		}
	})
	if who, ok := p.(rotate.Identifier); ok {
		t.Run("identify", func(t *testing.T) {
			for _, q := range []rotate.Identifier{who, u.New(t).(rotate.Identifier)} {
				got, err := q.Identify(ctx, two.Secret)
				if err != nil {
					t.Fatal(err)
				}
				if got.ID != "" && got.ID != two.ID {
					t.Errorf("identified as %s, is %s", got.ID, two.ID)
				}
			}
			garbage := u.Garbage
			if garbage == "" {
				garbage = "none-of-this-service"
			}
			if _, err := who.Identify(ctx, rotate.NewSecret(garbage)); !errors.Is(err, rotate.ErrDenied) {
				t.Errorf("a foreign secret: %v, want ErrDenied", err)
			}
		})
	}
	t.Run("revoke", func(t *testing.T) {
		for range 2 { // a token already gone is no error
			if err := p.Revoke(ctx, one.Token); err != nil {
				t.Fatal(err)
			}
		}
		listed, err := u.New(t).List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := find(listed, one.ID); ok {
			t.Error("a revoked token is listed")
		}
		if _, ok := find(listed, two.ID); !ok {
			t.Error("another token is gone")
		}
		if who, ok := p.(rotate.Identifier); ok {
			if _, err := who.Identify(ctx, one.Secret); !errors.Is(err, rotate.ErrDenied) {
				t.Errorf("the revoked secret: %v, want ErrDenied", err)
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		before, err := p.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Mint(ended, name(2)); err == nil {
			t.Error("Mint with a context that ended succeeded")
		}
		if after, err := p.List(ctx); err != nil || len(after) != len(before) {
			t.Errorf("%d tokens before a cancelled mint, %d after (%v)", len(before), len(after), err)
		}
	})
	if err := p.Revoke(ctx, two.Token); err != nil {
		t.Error(err)
	}
	Silent(t, p, secrets)
}

func find(ts []rotate.Token, id string) (rotate.Token, bool) {
	for _, t := range ts {
		if t.ID == id {
			return t, true
		}
	}
	return rotate.Token{}, false
}

// SinkUnderTest describes a sink for the suite.
type SinkUnderTest struct {
	// New returns a sink as a new process would build it; all write the same place.
	New func(t *testing.T) rotate.Sink
	// Content returns what a consumer reads there.
	Content func(t *testing.T) string
	// Old and New are two credentials, New the younger one; zero: the suite's own.
	Old, Newer rotate.Credential
	// Credentials are the texts that must never be printed: what the sink authenticates with.
	Credentials []string
}

// Sink checks the contracts of [rotate.Sink] and of the optional interfaces that it has.
func Sink(t *testing.T, u SinkUnderTest) {
	ctx := context.Background()
	now := time.Now().UTC().Truncate(time.Second)
	if u.Old.ID == "" {
		u.Old = rotate.Credential{Token: rotate.Token{ID: "suite-1", Name: "suite one", Created: now.Add(-75 * rotate.Tick), Expires: now.Add(15 * rotate.Tick)}, Secret: rotate.NewSecret("first-secret-of-the-suite")}
		u.Newer = rotate.Credential{Token: rotate.Token{ID: "suite-2", Name: "suite two", Created: now, Expires: now.Add(90 * rotate.Tick)}, Secret: rotate.NewSecret("second-secret-of-the-suite")}
	}
	older, newer := u.Old, u.Newer
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func(t *testing.T, s rotate.Sink, c rotate.Credential, verified bool) {
		t.Helper()
		if got := u.Content(t); got != c.Secret.Reveal() {
			t.Fatalf("a consumer does not read the secret of %s", c.Name)
		}
		h, ok := s.(rotate.Holder)
		if !ok {
			return
		}
		got, err := h.Held(ctx)
		must(t, err)
		other := newer
		if c.ID == newer.ID {
			other = older
		}
		switch {
		case got.Snapshot && got.Mark.Token.ID == "": // what the workflow handed in says nothing of what was written since
		case got.Mark.Token.ID != "":
			if got.Mark.Token.ID != c.ID || got.Mark.Verified != verified {
				t.Errorf("marked as %s, verified %t; want %s, %t", got.Mark.Token.ID, got.Mark.Verified, c.ID, verified)
			}
			if !got.Mark.Token.Created.Equal(c.Created) || !got.Mark.Token.Expires.Equal(c.Expires) || got.Mark.Token.Name != c.Name {
				t.Errorf("the mark says %+v of %+v", got.Mark.Token, c.Token)
			}
		case got.Is != nil:
			if !got.Is(c.Token) || got.Is(other.Token) {
				t.Errorf("Is(%s) = %t, Is(%s) = %t", c.ID, got.Is(c.Token), other.ID, got.Is(other.Token))
			}
			if got.Verified != verified {
				t.Errorf("verified %t, want %t", got.Verified, verified)
			}
		case !got.Secret.IsZero():
			if !got.Secret.Equal(c.Secret) {
				t.Error("Held returns another secret")
			}
		}
		if r, ok := s.(rotate.Reader); ok {
			secret, err := r.Read(ctx)
			must(t, err)
			if !secret.Equal(c.Secret) {
				t.Error("Read returns another secret")
			}
		}
	}
	t.Run("undo without a write", func(t *testing.T) {
		if un, ok := u.New(t).(rotate.Undoer); ok {
			if un.Undo(ctx) == nil {
				t.Error("Undo without a Write succeeded")
			}
		}
	})
	t.Run("check", func(t *testing.T) {
		if c, ok := u.New(t).(rotate.Checker); ok {
			must(t, c.Check(ctx))
		}
	})
	t.Run("write", func(t *testing.T) {
		s := u.New(t)
		must(t, s.Write(ctx, older))
		holds(t, s, older, false)
		holds(t, u.New(t), older, false)
		must(t, s.Write(ctx, newer))
		must(t, s.Write(ctx, newer)) // twice is once
		holds(t, s, newer, false)
		holds(t, u.New(t), newer, false)
	})
	t.Run("mark", func(t *testing.T) {
		s := u.New(t)
		m, ok := s.(rotate.Marker)
		if !ok {
			t.Skip("cannot")
		}
		if h, ok := s.(rotate.Holder); ok {
			if _, err := h.Held(ctx); err != nil {
				t.Fatal(err)
			}
		}
		must(t, m.Mark(ctx, newer.Token))
		holds(t, s, newer, true)
		holds(t, u.New(t), newer, true)
	})
	t.Run("back to an older one", func(t *testing.T) {
		s := u.New(t)
		must(t, s.Write(ctx, older))
		holds(t, u.New(t), older, false)
	})
	t.Run("undo", func(t *testing.T) {
		s := u.New(t)
		un, ok := s.(rotate.Undoer)
		if !ok {
			t.Skip("cannot")
		}
		must(t, s.Write(ctx, newer))
		must(t, un.Undo(ctx))
		holds(t, u.New(t), older, false)
		later := newer // a later attempt is not confused by what was undone
		later.ID, later.Created, later.Secret = later.ID+"-later", later.Created.Add(time.Hour), rotate.NewSecret("third-secret-of-the-suite")
		must(t, u.New(t).Write(ctx, later))
		holds(t, u.New(t), later, false)
	})
	t.Run("cancelled", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		before, other := u.Content(t), newer
		if before == newer.Secret.Reveal() {
			other = older
		}
		if u.New(t).Write(ended, other) == nil {
			t.Error("Write with a context that ended succeeded")
		}
		if u.Content(t) != before {
			t.Error("a cancelled Write wrote")
		}
	})
	Silent(t, u.New(t), append(u.Credentials, older.Secret.Reveal(), newer.Secret.Reveal()))
}

// VerifierUnderTest describes a verifier for the suite. A nil function is not tried.
type VerifierUnderTest struct {
	// Good, Bad and Open return a verifier in a world in which the credential works, does not, or in which it
	// cannot be said yet.
	Good, Bad, Open func(t *testing.T) rotate.Verifier
	Credential      rotate.Credential
	Credentials     []string // must never be printed
}

// Verifier checks the contract of [rotate.Verifier].
func Verifier(t *testing.T, u VerifierUnderTest) {
	ctx := context.Background()
	if u.Credential.ID == "" {
		u.Credential = rotate.Credential{Token: rotate.Token{ID: "suite-1", Name: "suite one", Created: time.Now()}, Secret: rotate.NewSecret("secret-of-the-suite")}
	}
	secrets := append(u.Credentials, u.Credential.Secret.Reveal())
	try := func(name string, build func(*testing.T) rotate.Verifier, right func(error) bool) {
		if build == nil {
			return
		}
		t.Run(name, func(t *testing.T) {
			v := build(t)
			err := v.Verify(ctx, u.Credential)
			if !right(err) {
				t.Errorf("Verify: %v", err)
			}
			if err != nil {
				silent(t, "the error", err.Error(), secrets)
			}
			Silent(t, v, secrets)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if build(t).Verify(ended, u.Credential) == nil {
				t.Error("Verify with a context that ended succeeded")
			}
		})
	}
	try("good", u.Good, func(err error) bool { return err == nil })
	try("bad", u.Bad, func(err error) bool { return err != nil && !errors.Is(err, rotate.ErrUnproven) })
	try("open", u.Open, func(err error) bool { return errors.Is(err, rotate.ErrUnproven) })
}

// Silent formats an adapter in every way and looks for texts that must not appear.
func Silent(t *testing.T, adapter any, secrets []string) {
	t.Helper()
	if s, ok := adapter.(fmt.Stringer); ok {
		if first := s.String(); first == "" || s.String() != first {
			t.Errorf("String() is %q, then %q", first, s)
		}
		silent(t, "String", s.String(), secrets)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		silent(t, verb, fmt.Sprintf(verb, adapter), secrets)
	}
	if b, err := json.Marshal(adapter); err == nil {
		silent(t, "JSON", string(b), secrets)
	}
}

func silent(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if s != "" && (strings.Contains(text, s) || strings.Contains(text, fmt.Sprintf("%x", s))) {
			t.Errorf("%s shows a secret", where)
		}
	}
}
