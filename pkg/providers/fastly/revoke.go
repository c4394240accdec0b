package fastly

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Revoke deletes a token and returns once the list no longer has it. Refused with [rotate.ErrConflict]: the credential
// in use, the token "Global API Token", and browser sessions. Two requests, one more if the credential's own ID is not
// known yet.
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	return p.fail("revoke", p.revoke(ctx, t))
}

func (p *Provider) revoke(ctx context.Context, t rotate.Token) error {
	if err := p.open(); err != nil {
		return err
	}
	if !isID(t.ID) {
		return fmt.Errorf("%w: a token without an ID cannot be revoked", rotate.ErrConfig)
	}
	p.mu.Lock()
	listed, _ := p.last.find(t.ID)
	p.mu.Unlock()
	if untouchable(t.Name) || untouchable(listed.Name) {
		return fmt.Errorf("%w: refusing to revoke %q, which no rotation made", rotate.ErrConflict, httpx.Clean(t.Name, 120))
	}
	self, err := p.me(ctx)
	if err != nil {
		return fmt.Errorf("whether it is the credential in use could not be found out: %w", err)
	}
	if t.ID == self {
		return fmt.Errorf("%w: refusing to revoke the credential in use", rotate.ErrConflict)
	}
	if err := p.remove(ctx, t.ID); err != nil {
		return p.explain(err)
	}
	return p.confirm(ctx, t)
}

// me returns the ID of the credential in use.
func (p *Provider) me(ctx context.Context) (string, error) {
	p.mu.Lock()
	self := p.self
	p.mu.Unlock()
	if self != "" {
		return self, nil
	}
	t, err := p.whoami(ctx, p.Token)
	if err != nil {
		return "", p.explain(err)
	}
	p.mu.Lock()
	p.self = t.ID
	p.mu.Unlock()
	return t.ID, nil
}

// remove sends the deletion. One that is not there any more is deleted. A refusal is asked again twice, since Fastly's
// servers do not all know of a change at once.
func (p *Provider) remove(ctx context.Context, id string) error {
	for n := 0; ; n++ {
		// /automation-tokens/ID is documented for deletions too, and does not work; /tokens/ID does.
		_, err := p.ask(ctx, call{method: http.MethodDelete, path: "tokens/" + id, again: true})
		switch {
		case err == nil, errors.Is(err, rotate.ErrNotFound):
			return nil
		case n == 2 || !errors.Is(err, rotate.ErrDenied):
			return err
		}
		if perr := httpx.Sleep(ctx, p.interval()); perr != nil {
			return errors.Join(err, perr)
		}
	}
}

// confirm lists until the token is gone.
func (p *Provider) confirm(ctx context.Context, t rotate.Token) error {
	left := 24 * p.interval()
	for wait := p.interval(); ; wait = min(2*wait, 4*p.interval()) {
		s, err := p.fetch(ctx)
		switch {
		case err == nil:
			if row, listed := s.find(t.ID); !listed || !p.live(row) {
				return nil
			}
		case ctx.Err() != nil || !errors.Is(err, rotate.ErrTemporary):
			return fmt.Errorf("the revocation was accepted, but it could not be confirmed: %w", err)
		}
		if wait = min(wait, left); wait <= 0 {
			return errors.Join(fmt.Errorf("%w: Fastly accepted the revocation of %q, but the list still shows it after %s; look again later",
				rotate.ErrUnproven, httpx.Clean(t.Name, 120), 24*p.interval()), err)
		}
		left -= wait
		if perr := httpx.Sleep(ctx, wait); perr != nil {
			return fmt.Errorf("the revocation was accepted, but it could not be confirmed: %w", perr)
		}
	}
}
