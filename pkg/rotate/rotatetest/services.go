package rotatetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file plays the provider and the consumers, as one process sees them.

type provider struct{ x *process }

func (p provider) String() string { return "provider" }

func (p provider) Mint(ctx context.Context, name string) (c rotate.Credential, err error) {
	w := p.x.w
	if p.x.mints++; p.x.mints > 1 {
		w.breaks("one run asked for %d mints", p.x.mints)
	}
	err = p.x.at(ctx, "mint", func() {
		w.before = w.list()
		t := w.add(name, time.Now().Add(w.skew).Truncate(time.Second), p.x.owner)
		p.x.effect("mint %s", t.Name)
		c = rotate.Credential{Token: t.Token, Secret: rotate.NewSecret(t.secret)}
	})
	if err != nil {
		return rotate.Credential{}, err
	}
	return c, nil
}

// Skew implements rotate.Clock.
func (p provider) Skew() (time.Duration, bool) { return p.x.w.skew, true }

func (p provider) List(ctx context.Context) (out []rotate.Token, err error) {
	sees := p.x.sees("list")
	err = p.x.at(ctx, "list", func() {
		switch out = p.x.w.list(); sees {
		case Stale:
			out = slices.Clone(p.x.w.before)
		case BlindList:
			out = nil
		}
	})
	return out, err
}

func (p provider) Revoke(ctx context.Context, t rotate.Token) error {
	w := p.x.w
	return p.x.at(ctx, "revoke", func() {
		x := w.byID(t.ID)
		if x == nil || x.revoked {
			return
		}
		for _, why := range []string{NobodyElses(w, p.x, x), NoGapByRevoking(w, x)} {
			if why != "" {
				w.breaks("%s", why)
			}
		}
		w.before = w.list()
		x.revoked = true
		p.x.revokes++
		p.x.effect("revoke %s", cmp.Or(t.Name, "token "+t.ID))
	})
}

type identifier struct{ provider }

func (p identifier) Identify(ctx context.Context, s rotate.Secret) (t rotate.Token, err error) {
	denied := false
	sees := p.x.sees("identify")
	err = p.x.at(ctx, "identify", func() {
		x := p.x.w.bySecret(s.Reveal())
		if x == nil || !p.x.w.live(x) {
			denied = true
			return
		}
		if t = x.Token; sees == Unclear {
			t.ID, t.Name = "", ""
		}
	})
	if err == nil && denied {
		return rotate.Token{}, rotate.ErrDenied
	}
	return t, err
}

// unnamed is a provider that keeps no names.
type unnamed struct{ identifier }

func (p unnamed) Nameless() bool { return true }

func (p unnamed) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	c, err := p.identifier.Mint(ctx, name)
	if err == nil {
		p.x.named = c.ID
	}
	return c, err
}

func (p unnamed) List(ctx context.Context) ([]rotate.Token, error) {
	all, err := p.identifier.List(ctx)
	var out []rotate.Token
	for _, t := range all {
		if p.x.w.byID(t.ID).owner != p.x.owner {
			continue
		}
		if t.ID != p.x.named {
			t.Name = ""
		}
		out = append(out, t)
	}
	return out, err
}

func (p unnamed) Identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	t, err := p.identifier.Identify(ctx, s)
	t.Name = ""
	return t, err
}

// listless is a provider without a service.
type listless struct{ made provider }

func (p listless) String() string { return p.made.String() }
func (p listless) Listless() bool { return true }

func (p listless) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	return p.made.Mint(ctx, name)
}

func (p listless) List(context.Context) ([]rotate.Token, error) {
	p.made.x.w.breaks("a run asked for a list that nobody has")
	return nil, nil
}

func (p listless) Revoke(context.Context, rotate.Token) error { return nil }

// inspector is a provider that mints for nobody.
type inspector struct{ identifier }

func (p inspector) Mint(context.Context, string) (rotate.Credential, error) {
	p.x.w.breaks("a run minted where only a person may")
	return rotate.Credential{}, rotate.ErrDenied
}

func (p inspector) Inspect(ctx context.Context, s rotate.Secret) error {
	return p.x.at(ctx, "inspect", func() {})
}

func (p inspector) Instructions(name string) []string { return []string{"make " + name} }

// careful is a provider that can be checked, and knows how long its tokens live.
type careful struct{ identifier }

func (p careful) Check(ctx context.Context) error { return p.x.at(ctx, "check", func() {}) }
func (p careful) Life() time.Duration             { return p.x.w.Life }

// probe proves the newborn.
type probe struct{ x *process }

func (p probe) String() string { return "probe" }
func (p probe) Verify(ctx context.Context, c rotate.Credential) error {
	refused := false
	err := p.x.at(ctx, "prove", func() {
		t := p.x.w.bySecret(c.Secret.Reveal())
		refused = t == nil || !p.x.w.live(t)
	})
	if refused {
		err = rotate.ErrDenied
	}
	return err
}

// consumers are whoever reads the sinks: a deploy that fails if one of them holds a dead token.
type consumers struct{ x *process }

func (c consumers) String() string { return "consumers" }

func (c consumers) Repeatable() bool { return true }

func (c consumers) Verify(ctx context.Context, _ rotate.Credential) error {
	w := c.x.w
	var bad error
	err := c.x.at(ctx, "verify", func() {
		c.x.effect("verify")
		if len(w.met) == 0 && !c.x.quiet {
			for _, t := range w.tokens {
				if t.owner == identity && w.live(t) && t.stamp.Before(w.emergency) {
					w.breaks("a verification began while compromised %s lived on", t.ID)
				}
			}
		}
		holders := map[string]int{}
		places := w.of(c.x.owner)
		for i, p := range places {
			t := w.bySecret(p.content)
			if t == nil || !w.live(t) {
				bad = fmt.Errorf("%w: what sink %d holds was refused", rotate.ErrDenied, i)
				return
			}
			holders[t.ID]++
			if w.Careful {
				t.LastUsed = time.Now()
			}
		}
		for id, n := range holders {
			if n == len(places) {
				w.verified[id] = true
			}
		}
		for _, p := range places {
			p.running = p.content // a deploy: they take up what they read
		}
	})
	return errors.Join(err, bad)
}

// Drain waits for the run that was queued before the last write.
func (c consumers) Drain(ctx context.Context, _ time.Time) error {
	return c.x.at(ctx, "drain", func() {
		for _, p := range c.x.w.of(c.x.owner) {
			p.queued = ""
		}
	})
}
