package fly

// Whose secret a secret is. Rules: Fly.io is asked with the secret itself, once; an answer of its viewer shows
// that the secret lives, and nothing but Fly.io's refusal shows that it is dead; Fly.io returns no id, so the
// id is settled by creation and expiry to the second against the list, and if several tokens fit, or none, by
// the nonce; what stays ambiguous has no id.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	// mail is the domain of the addresses that Fly.io gives to macaroons.
	mail = "@tokens.fly.io"
	// near is how far apart the expiry of a listed token and of a macaroon may be for their nonces to be compared.
	near = 5 * time.Minute
	// maxNonces is how many tokens are looked at for a nonce.
	maxNonces = 50
)

// Identify asks Fly.io with the secret who it is, and settles which listed token it is. Errors:
// [rotate.ErrDenied] if the secret is dead, revoked, or no deploy token of Fly.io at all;
// [rotate.ErrConflict] if it lives but the list of this app or organisation lacks it.
func (p *Provider) Identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	t, err := p.identify(ctx, s)
	return t, p.fail("identify", err)
}

func (p *Provider) identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	if err := p.open(); err != nil {
		return rotate.Token{}, err
	}
	m, err := decode(s.Reveal())
	if err != nil {
		return rotate.Token{}, fmt.Errorf("%w: not a Fly.io deploy token: %w", rotate.ErrDenied, err)
	}
	list, err := p.known(ctx)
	if err != nil {
		return rotate.Token{}, err
	}
	here := m.org == list.place.orgNumber && (p.App == "" || m.apps == nil || slices.Contains(m.apps, list.place.appNumber))
	if err := p.who(ctx, m, list.place, here); err != nil {
		return rotate.Token{}, err
	}
	if !here {
		return rotate.Token{}, fmt.Errorf("%w: the secret works, but is for %s of organisation number %d; nothing is revoked", rotate.ErrConflict, reach(m.apps), m.org)
	}
	r, err := p.settle(ctx, m, s, list)
	if err != nil {
		return rotate.Token{}, err
	}
	t := r.token()
	if t.Created.IsZero() {
		t.Created = m.from
	}
	t.Expires = sooner(t.Expires, m.ends)
	if r.revoked != "" {
		p.warnings.Add("%q was revoked at %s, and Fly.io still accepts it", r.name, r.revoked)
		return t, fmt.Errorf("%w: the token %q was revoked at %s, though Fly.io still accepts it for the moment", rotate.ErrDenied, r.name, r.revoked)
	}
	return t, nil
}

// who asks Fly.io with the token itself who it is, and if here, what it sees of its organisation or app. It
// returns nil if the token works.
func (p *Provider) who(ctx context.Context, m *passport, at place, here bool) error {
	c := call{query: queryWho, as: m.header}
	switch {
	case here && p.App != "":
		c.query, c.vars = queryWhoApp, map[string]any{"name": p.App}
	case here:
		c.query, c.vars = queryWhoOrg, map[string]any{"slug": at.slug}
	}
	a, err := p.ask(ctx, c)
	var r *refusal
	var w *severed
	switch {
	case err == nil:
	case errors.As(err, &w) && w.status == http.StatusForbidden:
		// Fly.io itself says no with status 200. A proxy's opinion is no reason to take a secret for dead.
		return fmt.Errorf("%w: not answered by Fly.io's API: %s", rotate.ErrTemporary, w.text)
	case a.Viewer != nil && errors.As(err, &r) && !r.dead && (r.kind == rotate.ErrDenied || r.kind == rotate.ErrNotFound):
		// It answered for itself, but may not see what its caveats allow it.
		return fmt.Errorf("%w: the secret is accepted, but may not see what it is for: %s", rotate.ErrUnproven, r.text)
	default:
		return err
	}
	switch v := a.Viewer; {
	case v == nil:
		return fmt.Errorf("%w: Fly.io answered without a viewer", rotate.ErrTemporary)
	case v.Type != "Macaroon" || !strings.HasSuffix(v.Email, mail):
		return fmt.Errorf("%w: the secret is accepted, but not as a deploy token (%s)", rotate.ErrConflict, kindOfViewer(v.Type))
	case v.Email != m.address:
		// That both are the same is deduced from macaroon/flyio.NonceEmail, and not promised by Fly.io.
		p.warnings.Add("Fly.io calls the bearer of a token by another address than its nonce gives")
	}
	if !here {
		return nil
	}
	org := a.Organization
	if p.App != "" && a.App != nil {
		org = a.App.Organization
		if uint64(a.App.Number) != at.appNumber {
			return fmt.Errorf("%w: the secret sees another app under the name %s", rotate.ErrConflict, p.App)
		}
	}
	switch {
	case org == nil:
		p.warnings.Add("a token is accepted, but Fly.io shows it neither its organisation nor its app")
	case uint64(org.Number) != at.orgNumber || org.ID != at.org:
		return fmt.Errorf("%w: the secret sees another organisation under the same name", rotate.ErrConflict)
	}
	return nil
}

// kindOfViewer repeats only types that the schema has.
func kindOfViewer(t string) string {
	if t == "User" || t == "Macaroon" {
		return t
	}
	return "another kind"
}

// settle finds the row of a live token. A row without an id means that several fit. A token that no row fits
// is an error that wraps ErrConflict.
func (p *Provider) settle(ctx context.Context, m *passport, s rotate.Secret, list *snapshot) (row, error) {
	if r, ok := p.newborn(s, list); ok {
		return r, nil
	}
	for fetched := false; ; fetched = true {
		r, found, err := p.match(ctx, m, list)
		if err != nil || found {
			return r, err
		}
		if fetched {
			return row{}, fmt.Errorf("%w: the secret works, but the list of %s does not show it: it belongs to another app or profile, or the "+
				"minting credential may not see it; nothing is revoked", rotate.ErrConflict, p)
		}
		if list, err = p.fetch(ctx); err != nil {
			return row{}, err
		}
	}
}

// newborn returns the row of a token that this Provider minted itself.
func (p *Provider) newborn(s rotate.Secret, list *snapshot) (row, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		list = p.last
	}
	for _, c := range p.newborns {
		if c.Secret.Equal(s) {
			if r, ok := list.find(c.ID); ok {
				return r, true
			}
			return row{id: c.ID, name: c.Name, created: c.Created, expires: c.Expires}, true
		}
	}
	return row{}, false
}

// match looks for the token in list. Found without an id means that it cannot be told which.
func (p *Provider) match(ctx context.Context, m *passport, list *snapshot) (r row, found bool, err error) {
	exact, close := candidates(m, list.rows)
	switch {
	case len(exact) == 1:
		return exact[0], true, nil
	case len(exact) > 1:
		close = exact
	case len(close) == 0:
		return row{}, false, nil
	}
	ambiguous := row{created: m.from, expires: m.until}
	if len(close) > maxNonces {
		p.warnings.Add("%d listed tokens fit a secret; it cannot be told which it is", len(close))
		return ambiguous, true, nil
	}
	r, all, err := p.compare(ctx, m, close)
	switch {
	case err != nil:
		if ctx.Err() != nil {
			return row{}, false, err
		}
		p.warnings.Add("%d listed tokens fit a secret, and Fly.io does not show their nonces; it cannot be told which it is: %v", len(close), err)
		return ambiguous, true, nil
	case r.id != "":
		return r, true, nil
	case all:
		return row{}, false, nil
	}
	p.warnings.Add("%d listed tokens fit a secret; it cannot be told which it is", len(close))
	return ambiguous, true, nil
}

// candidates returns the rows whose creation and expiry are those of m to the second, and those that expire
// about then or might.
func candidates(m *passport, rows []row) (exact, close []row) {
	to := func(a, b time.Time, d time.Duration) bool {
		return !a.IsZero() && !b.IsZero() && a.Sub(b).Abs() <= d
	}
	for _, r := range rows {
		if !r.kind() {
			continue
		}
		if to(r.created, m.from, time.Second) && to(r.expires, m.until, time.Second) {
			exact = append(exact, r)
		}
		if r.expires.IsZero() || m.until.IsZero() || to(r.expires, m.until, near) {
			close = append(close, r)
		}
	}
	return exact, close
}

// compare asks for the tokens of rows and returns the one with the nonce of m, or a row without an id. all
// says that every nonce was seen.
func (p *Provider) compare(ctx context.Context, m *passport, rows []row) (r row, all bool, err error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	a, err := p.ask(ctx, call{query: queryNonces, vars: map[string]any{"ids": ids}})
	if err != nil && len(a.Nodes) == 0 {
		return row{}, false, err
	}
	seen := 0
	for _, n := range a.Nodes {
		if n == nil {
			continue
		}
		c, err := decode(n.Token)
		if err != nil {
			continue
		}
		for _, r := range rows {
			if r.id != n.ID {
				continue
			}
			if seen++; c.nonce.UUID() == m.nonce.UUID() {
				return r, true, nil
			}
		}
	}
	return row{}, seen == len(rows), nil
}
