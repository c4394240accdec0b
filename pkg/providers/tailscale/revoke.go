package tailscale

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Revoke deletes an auth key and returns once it is read as invalid, or not at all. It is read first, so that nothing but an
// auth key is deleted; anything else is refused with [rotate.ErrConflict]. Devices that registered with it stay. Three requests.
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	return p.fail("revoke", p.revoke(ctx, t))
}

func (p *Provider) revoke(ctx context.Context, t rotate.Token) error {
	if err := p.open(); err != nil {
		return err
	}
	switch {
	case !keyID.MatchString(t.ID):
		return fmt.Errorf("%w: %q is not the ID of a key, so nothing can be deleted", rotate.ErrConfig, httpx.Clean(t.ID, 40))
	case p.untouchable(t.ID):
		return fmt.Errorf("%w: refusing to delete the credential in use", rotate.ErrConflict)
	}
	k, err := p.single(ctx, t.ID)
	switch r, refused := asRefusal(err); {
	case refused && !r.foreign && errors.Is(err, rotate.ErrNotFound):
		return p.absent(ctx, t)
	case err != nil:
		return p.explain(err)
	case !k.auth():
		return fmt.Errorf("%w: refusing to delete %s, which is no auth key", rotate.ErrConflict, t.ID)
	case k.Invalid || !k.Revoked.IsZero():
		return nil
	}
	_, sent := p.ask(ctx, call{method: http.MethodDelete, below: "/" + t.ID})
	if r, ok := asRefusal(sent); ok && !r.foreign && !errors.Is(sent, rotate.ErrNotFound) && !errors.Is(sent, rotate.ErrTemporary) {
		return p.explain(sent)
	}
	return p.confirm(ctx, t, sent)
}

// absent makes sure that a key which cannot be read is not listed either: 404 is also the answer for another tailnet.
func (p *Provider) absent(ctx context.Context, t rotate.Token) error {
	listed, err := p.list(ctx)
	if err != nil {
		return err
	}
	for _, l := range listed {
		if l.ID == t.ID {
			return fmt.Errorf("%w: GET …/keys/%s: 404, though it is listed", rotate.ErrTemporary, t.ID)
		}
	}
	return nil
}

// confirm reads the key until it is gone. sent is what came of the deletion.
func (p *Provider) confirm(ctx context.Context, t rotate.Token, sent error) error {
	left := 24 * p.interval()
	for wait := p.interval(); ; wait = min(2*wait, 4*p.interval()) {
		k, err := p.single(ctx, t.ID)
		r, refused := asRefusal(err)
		switch {
		case refused && !r.foreign && errors.Is(err, rotate.ErrNotFound), err == nil && (k.Invalid || !k.Revoked.IsZero()):
			p.mu.Lock()
			delete(p.keys, t.ID)
			p.mu.Unlock()
			return nil
		case err == nil && sent != nil && !errors.Is(sent, rotate.ErrNotFound): // it was not done; whoever asks next sends it again
			return sent
		case err != nil && (ctx.Err() != nil || !errors.Is(err, rotate.ErrTemporary)):
			return errors.Join(sent, fmt.Errorf("the deletion could not be confirmed: %w", err))
		}
		if wait = min(wait, left); wait <= 0 {
			return errors.Join(fmt.Errorf("%w: Tailscale accepted the deletion of %q, but the key still reads as valid after %s; look again later",
				rotate.ErrUnproven, httpx.Clean(t.Name, 120), 24*p.interval()), err)
		}
		left -= wait
		if perr := httpx.Sleep(ctx, wait); perr != nil {
			return errors.Join(sent, fmt.Errorf("the deletion could not be confirmed: %w", perr))
		}
	}
}
