package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Revoke deletes a token and returns once the list no longer has it. The credential in use is refused with
// [rotate.ErrConflict]. Two requests, one or two more if the credential's own ID is not known yet.
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	return p.fail("revoke", p.revoke(ctx, t))
}

func (p *Provider) revoke(ctx context.Context, t rotate.Token) error {
	if err := p.open(); err != nil {
		return err
	}
	if !isID(t.ID) {
		return fmt.Errorf("%w: %q is not the ID of a token, so nothing can be deleted", rotate.ErrConfig, httpx.Clean(t.ID, 40))
	}
	self, err := p.me(ctx)
	if err != nil {
		return fmt.Errorf("whether it is the credential in use could not be found out: %w", err)
	}
	if t.ID == self {
		return fmt.Errorf("%w: refusing to delete the credential in use", rotate.ErrConflict)
	}
	sent := p.remove(ctx, t.ID)
	// What Cloudflare answers to the deletion of a token that is gone is not documented, so the list decides.
	if r, ok := asRefusal(sent); ok && !r.foreign && (errors.Is(sent, rotate.ErrDenied) || errors.Is(sent, rotate.ErrLimit)) {
		return p.explain(sent)
	}
	return p.confirm(ctx, t, sent)
}

// remove sends the deletion.
func (p *Provider) remove(ctx context.Context, id string) error {
	_, err := p.ask(ctx, call{method: http.MethodDelete, path: p.tokens(id)})
	return err
}

// confirm lists until the token is gone. sent is what came of the deletion.
func (p *Provider) confirm(ctx context.Context, t rotate.Token, sent error) error {
	left := 24 * p.interval()
	for wait := p.interval(); ; wait = min(2*wait, 4*p.interval()) {
		s, err := p.fetch(ctx)
		switch {
		case err == nil:
			if _, listed := s.find(t.ID); !listed {
				return nil
			}
			if sent != nil && !errors.Is(sent, rotate.ErrNotFound) { // it was not done; whoever asks next sends it again
				return sent
			}
		case ctx.Err() != nil || !errors.Is(err, rotate.ErrTemporary):
			return errors.Join(sent, fmt.Errorf("the deletion could not be confirmed: %w", err))
		}
		if wait = min(wait, left); wait <= 0 {
			return errors.Join(fmt.Errorf("%w: Cloudflare accepted the deletion of %q, but the list still shows it after %s; look again later",
				rotate.ErrUnproven, httpx.Clean(t.Name, 120), 24*p.interval()), err)
		}
		left -= wait
		if perr := httpx.Sleep(ctx, wait); perr != nil {
			return errors.Join(sent, fmt.Errorf("the deletion could not be confirmed: %w", perr))
		}
	}
}
