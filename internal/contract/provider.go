package contract

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// ProviderCase describes a provider for the suite.
type ProviderCase struct {
	// New returns a provider as a new process would build it; all talk to the same service.
	New func(t T) rotate.Provider
	// Credentials are the texts that must never be printed: what the provider authenticates with.
	Credentials []string
	// Garbage is a secret that is none of the service's; "": the suite's own.
	Garbage string
}

// Provider checks the contracts of [rotate.Provider] and of the optional interfaces that it has.
func Provider(t T, u ProviderCase) {
	ctx := context.Background()
	name := func(n int) string {
		return fmt.Sprintf("suite %s-aaaaaaaabbbbb%c", time.Now().UTC().Format("20060102T150405Z"), 'a'+n)
	}
	p := u.New(t)
	secrets := u.Credentials

	t.Run("check", func(t T) {
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
	t.Run("mint", func(t T) {
		if one.ID == "" || one.ID == two.ID {
			t.Errorf("IDs %q and %q", one.ID, two.ID)
		}
		if one.Secret.IsZero() || one.Secret.Equal(two.Secret) {
			t.Errorf("two tokens have one secret, or none")
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
	t.Run("list", func(t T) {
		for _, q := range []rotate.Provider{p, u.New(t)} {
			listed, err := q.List(ctx)
			if err != nil {
				t.Fatalf("%v", err)
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
		t.Run("identify", func(t T) {
			for _, q := range []rotate.Identifier{who, u.New(t).(rotate.Identifier)} {
				got, err := q.Identify(ctx, two.Secret)
				if err != nil {
					t.Fatalf("%v", err)
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
	t.Run("revoke", func(t T) {
		for range 2 { // a token already gone is no error
			if err := p.Revoke(ctx, one.Token); err != nil {
				t.Fatalf("%v", err)
			}
		}
		listed, err := u.New(t).List(ctx)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if _, ok := find(listed, one.ID); ok {
			t.Errorf("a revoked token is listed")
		}
		if _, ok := find(listed, two.ID); !ok {
			t.Errorf("another token is gone")
		}
		if who, ok := p.(rotate.Identifier); ok {
			if _, err := who.Identify(ctx, one.Secret); !errors.Is(err, rotate.ErrDenied) {
				t.Errorf("the revoked secret: %v, want ErrDenied", err)
			}
		}
	})
	t.Run("cancelled", func(t T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		before, err := p.List(ctx)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if _, err := p.Mint(ended, name(2)); err == nil {
			t.Errorf("Mint with a context that ended succeeded")
		}
		if after, err := p.List(ctx); err != nil || len(after) != len(before) {
			t.Errorf("%d tokens before a cancelled mint, %d after (%v)", len(before), len(after), err)
		}
	})
	if err := p.Revoke(ctx, two.Token); err != nil {
		t.Errorf("%v", err)
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
