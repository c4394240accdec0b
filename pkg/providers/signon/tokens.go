package signon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file mints, lists and revokes.

// Mint implements [rotate.Provider]. The request is sent once; if its answer is lost, the token bears the name in
// Signon's event log, and List shows it.
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	c, err := p.mint(ctx, name)
	return c, p.fault("mint", err)
}

func (p *Provider) mint(ctx context.Context, name string) (rotate.Credential, error) {
	key, err := newSeal()
	if err != nil {
		return rotate.Credential{}, err
	}
	public, err := key.public()
	if err != nil {
		return rotate.Credential{}, err
	}
	s, err := p.ask(ctx, request{Verb: verbMint, Name: name, Key: public})
	if err != nil {
		return rotate.Credential{}, err
	}
	if len(s.rows) != 1 || s.rows[0].Name != name {
		return rotate.Credential{}, fmt.Errorf("%w: the script says that it minted %d tokens, or one of another name", rotate.ErrConflict, len(s.rows))
	}
	born := s.rows[0]
	c := rotate.Credential{Token: born.Token}
	if c.Secret, err = key.open(s.sealed); err != nil {
		return c, err
	}
	if digest(c.Secret) != born.digest {
		return rotate.Credential{Token: born.Token}, fmt.Errorf("%w: the value that was sealed is not that of token %s", rotate.ErrConflict, born.ID)
	}
	if lives := born.Expires.Sub(born.Created); born.Expires.IsZero() || lives != s.life {
		return c, fmt.Errorf("%w: token %s lives until %s, not for %s", rotate.ErrConflict, born.ID, born.Expires.Format(time.RFC3339), rotate.Days(s.life))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows[born.digest] = born
	p.newborns[born.digest] = true
	return c, nil
}

// List implements [rotate.Provider]: every live token of the pair. Those that remint did not mint have no name.
func (p *Provider) List(ctx context.Context) ([]rotate.Token, error) {
	rows, err := p.list(ctx)
	if err != nil {
		return nil, p.fault("list", err)
	}
	out := make([]rotate.Token, len(rows))
	for i, r := range rows {
		out[i] = r.Token
	}
	return out, nil
}

func (p *Provider) list(ctx context.Context) ([]row, error) {
	s, err := p.ask(ctx, request{Verb: verbList})
	if err != nil {
		return nil, err
	}
	p.keep(s.rows)
	return s.rows, nil
}

// keep makes what was listed what is known.
func (p *Provider) keep(rows []row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.rows)
	for _, r := range rows {
		p.rows[r.digest] = r
	}
}

// Revoke implements [rotate.Provider]. The row must still have the value that was listed: Signon's database is
// restored from that of another environment now and then, and numbers mean other tokens then.
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	return p.fault("revoke", p.revoke(ctx, t))
}

func (p *Provider) revoke(ctx context.Context, t rotate.Token) error {
	if !decimal.MatchString(t.ID) {
		return fmt.Errorf("%w: %q is no number of a token in Signon", rotate.ErrConfig, httpx.Clean(t.ID, 50))
	}
	if err := p.open(); err != nil {
		return err
	}
	r, ok := p.byNumber(t.ID)
	if !ok {
		if _, err := p.list(ctx); err != nil {
			return err
		}
		if r, ok = p.byNumber(t.ID); !ok {
			return nil // it is gone
		}
	}
	if !t.Created.IsZero() && !r.Created.Equal(t.Created) {
		return fmt.Errorf("%w: token %s was created %s, not %s: it is another one under the same number", rotate.ErrConflict, t.ID,
			r.Created.Format(time.RFC3339), t.Created.UTC().Format(time.RFC3339))
	}
	if _, err := p.ask(ctx, request{Verb: verbRevoke, Token: r.ID, SHA256: r.digest}); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.rows, r.digest)
	return nil
}

func (p *Provider) byNumber(id string) (row, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rows {
		if r.ID == id {
			return r, true
		}
	}
	return row{}, false
}

func (p *Provider) byDigest(d string) (row, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.rows[d]
	return r, ok
}

func digest(s rotate.Secret) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

// SecretName returns the name of the Secret that Signon copies the pair's token into. Signon makes it of its names of
// the API user and the application, so it is asked for, once.
func (p *Provider) SecretName(ctx context.Context) (string, error) {
	a, err := p.facts(ctx)
	if err != nil {
		return "", p.fault("list", err)
	}
	return a.secret, nil
}

// facts are what Signon says of the pair.
func (p *Provider) facts(ctx context.Context) (about, error) {
	if err := p.open(); err != nil {
		return about{}, err
	}
	known := func() *about {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.about
	}
	if a := known(); a != nil {
		return *a, nil
	}
	if _, err := p.list(ctx); err != nil {
		return about{}, err
	}
	return *known(), nil
}
