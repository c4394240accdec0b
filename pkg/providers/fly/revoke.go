package fly

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/superfly/fly-go/tokens"
)

// Revoke deletes a token and returns once the list says when it was revoked, or no longer has it. It is sent
// once; if the answer is lost, the list decides. Tokens that flyctl minted for itself, and the minting
// credential, are refused.
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	return p.fail("revoke", p.revoke(ctx, t))
}

func (p *Provider) revoke(ctx context.Context, t rotate.Token) error {
	if err := p.open(); err != nil {
		return err
	}
	if t.ID == "" {
		return fmt.Errorf("%w: a token without an id cannot be revoked", rotate.ErrConfig)
	}
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	r := row{id: t.ID, name: t.Name, created: t.Created, expires: t.Expires}
	if last != nil {
		if seen, ok := last.find(t.ID); ok {
			r = seen
		}
	}
	switch {
	case own(t.Name) || own(r.name):
		return fmt.Errorf("%w: refusing to revoke a token that flyctl minted for itself", rotate.ErrConflict)
	case p.authenticates(r):
		return fmt.Errorf("%w: refusing to revoke the minting credential itself", rotate.ErrConflict)
	case r.revoked != "": // nothing takes that back
		return nil
	}
	p.Shared.change()
	_, sent := p.ask(ctx, call{query: mutationRevoke, vars: map[string]any{"input": map[string]any{"id": t.ID}}})
	p.Shared.change()
	if sent != nil && !errors.Is(sent, rotate.ErrTemporary) && !errors.Is(sent, rotate.ErrNotFound) {
		return sent
	}
	return p.confirm(ctx, t, sent)
}

// confirm lists until the token is shown as revoked, or not at all. sent is what came of the revocation.
func (p *Provider) confirm(ctx context.Context, t rotate.Token, sent error) error {
	left := 24 * p.interval()
	for wait := p.interval(); ; wait = min(2*wait, 4*p.interval()) {
		s, err := p.fetch(ctx)
		switch {
		case err == nil:
			r, listed := s.find(t.ID)
			if r.revoked != "" || !listed && (sent == nil || errors.Is(sent, rotate.ErrNotFound)) {
				return nil
			}
			if sent != nil { // it was not done; whoever asks next sends it again
				return sent
			}
		case ctx.Err() != nil || !errors.Is(err, rotate.ErrTemporary):
			return errors.Join(sent, fmt.Errorf("the revocation could not be confirmed: %w", err))
		}
		if wait = min(wait, left); wait <= 0 {
			return errors.Join(fmt.Errorf("%w: Fly.io accepted the revocation of %q, but the list does not show it after %s; look again later",
				rotate.ErrUnproven, httpx.Clean(t.Name, 120), 24*p.interval()), err)
		}
		left -= wait
		if perr := httpx.Sleep(ctx, wait); perr != nil {
			return errors.Join(sent, fmt.Errorf("the revocation could not be confirmed: %w", perr))
		}
	}
}

// authenticates reports whether r is a macaroon in the minting credential, which may carry some beside the
// user's token. In doubt it is.
func (p *Provider) authenticates(r row) bool {
	for _, part := range tokens.Parse(p.Token.Reveal()).GetMacaroonTokens() {
		m, err := decode(part)
		if err != nil || m.until.IsZero() {
			continue
		}
		if r.expires.Sub(m.until).Abs() <= time.Second && r.created.Sub(m.from).Abs() <= time.Second {
			return true
		}
	}
	return false
}
