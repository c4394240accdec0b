package cloudflare

// Whose secret a secret is. Rules: Cloudflare is asked with the secret itself, since only that shows that it lives; it is dead
// if Cloudflare's API says so, and not if a proxy does; that it may not be used from here says neither.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Identify asks Cloudflare with the secret which token it is. Errors: [rotate.ErrDenied] if it is disabled, expired, deleted
// or none of Cloudflare's; [rotate.ErrConflict] if it lives, but is a user's where tokens of an account are cared for;
// [rotate.ErrUnproven] if its conditions forbid to ask from here, unless it was minted by this process: then its ID is
// asked about. One request, one more to make sure that a token of an account is dead.
func (p *Provider) Identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	t, err := p.identify(ctx, s)
	return t.public(), p.fail("identify", err)
}

func (p *Provider) identify(ctx context.Context, s rotate.Secret) (token, error) {
	if err := p.open(); err != nil {
		return token{}, err
	}
	t, err := p.whoami(ctx, s, p.tokens("verify"))
	r, refused := asRefusal(err)
	switch {
	case refused && r.elsewhere():
		return p.away(ctx, s, r)
	case refused && r.foreign && errors.Is(err, rotate.ErrDenied):
		// A proxy's opinion is no reason to take a secret for dead.
		return token{}, fmt.Errorf("%w: not answered by Cloudflare's API: %s", rotate.ErrTemporary, r)
	case refused && r.unknown() && p.Account != "" && !r.malformed():
		if other, err := p.whoami(ctx, s, "user/tokens/verify"); err == nil && !other.dead() {
			return token{}, fmt.Errorf("%w: the secret works, but it is a token of a user, not of the account %s", rotate.ErrConflict, p.Account)
		}
	case err == nil && t.dead():
		return token{}, fmt.Errorf("%w: the token %s is %s", rotate.ErrDenied, t.ID, t.Status)
	}
	if refused && r.malformed() {
		return token{}, fmt.Errorf("%w: not a token of Cloudflare: %s", rotate.ErrDenied, r)
	}
	return t, err
}

// away settles a secret that may not be used from here.
func (p *Provider) away(ctx context.Context, s rotate.Secret, r *refusal) (token, error) {
	p.mu.Lock()
	born := ""
	for id, mine := range p.newborns {
		if mine.Equal(s) {
			born = id
		}
	}
	p.mu.Unlock()
	if born == "" {
		return token{}, fmt.Errorf("%w: the token may not be used from this machine's address, so whose it is cannot be asked (%s); use a sink that keeps a marker, or run where the token may be used", rotate.ErrUnproven, r)
	}
	t, err := p.single(ctx, born)
	switch {
	case errors.Is(err, rotate.ErrNotFound), err == nil && !p.live(t):
		return token{}, fmt.Errorf("%w: Cloudflare no longer knows the token", rotate.ErrDenied)
	case err != nil:
		return token{}, p.explain(err)
	}
	return t, nil
}

// whoami asks with a secret.
func (p *Provider) whoami(ctx context.Context, s rotate.Secret, path string) (token, error) {
	if !presentable(s) {
		return token{}, fmt.Errorf("%w: not a token of Cloudflare", rotate.ErrDenied)
	}
	var t token
	if _, err := p.read(ctx, call{path: path, as: s}, &t); err != nil {
		return token{}, err
	}
	if !isID(t.ID) || t.Status == "" {
		return token{}, fmt.Errorf("%w: GET /%s: the answer is %w", rotate.ErrTemporary, path, httpx.ErrForm)
	}
	return t, nil
}

// credential asks which token the credential in use is. Tokens of an account may be cared for by a user's too.
func (p *Provider) credential(ctx context.Context) (token, error) {
	t, err := p.whoami(ctx, p.Token, p.tokens("verify"))
	if r, refused := asRefusal(err); refused && r.unknown() && p.Account != "" {
		if other, oerr := p.whoami(ctx, p.Token, "user/tokens/verify"); oerr == nil {
			t, err = other, nil
		}
	}
	if err != nil {
		return token{}, p.explain(err)
	}
	p.mu.Lock()
	p.self = t.ID
	p.mu.Unlock()
	return t, nil
}

// me returns the ID of the credential in use.
func (p *Provider) me(ctx context.Context) (string, error) {
	p.mu.Lock()
	self := p.self
	p.mu.Unlock()
	if self != "" {
		return self, nil
	}
	t, err := p.credential(ctx)
	return t.ID, err
}

// Inspect looks whether a token that a person made is what this configuration would mint: its policies, conditions and life.
func (p *Provider) Inspect(ctx context.Context, s rotate.Secret) error {
	return p.fail("inspect", p.inspect(ctx, s))
}

func (p *Provider) inspect(ctx context.Context, s rotate.Secret) error {
	seen, err := p.identify(ctx, s)
	if err != nil {
		return err
	}
	self, err := p.me(ctx)
	if err != nil {
		return err
	}
	if seen.ID == self {
		return fmt.Errorf("%w: it is the credential in use (CLOUDFLARE_API_TOKEN) itself", rotate.ErrConflict)
	}
	t, err := p.single(ctx, seen.ID)
	if err != nil {
		return p.explain(err)
	}
	var want rights
	if p.Copy != "" {
		want, err = p.copied(ctx, t.Name, t.ID)
	} else {
		want, err = p.rights(ctx, t.Name)
	}
	if err != nil {
		return err
	}
	faults := want.differs(t)
	// A person picks a date, so its hour may be any.
	switch life := t.Expires.Sub(t.Created.Time); {
	case p.Expiry == 0 && !t.Expires.IsZero():
		faults = append(faults, "it expires "+when(t.Expires.Time)+", where no expiry was asked for")
	case p.Expiry > 0 && t.Expires.IsZero():
		faults = append(faults, "it never expires")
	case p.Expiry > 0 && (life-p.Expiry).Abs() > min(2*rotate.Tick, p.Expiry/10):
		faults = append(faults, fmt.Sprintf("it lives %s, not %s", rotate.Days(life), rotate.Days(p.Expiry)))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %q: %s", rotate.ErrConflict, httpx.Clean(t.Name, 120), strings.Join(faults, "; "))
	}
	return nil
}

// Instructions tell a person how to make a token with this name.
func (p *Provider) Instructions(name string) []string {
	where := "In the dashboard of Cloudflare open My Profile, API Tokens."
	if p.Account != "" {
		where = "In the dashboard of Cloudflare open the account " + p.Account + ", Manage Account, Account API Tokens."
	}
	what := "Give it the policies that the token " + p.Copy + " has, and its client address filtering."
	if p.Copy == "" {
		var each []string
		for _, x := range p.Policies {
			effect := ""
			if x.Effect == "deny" {
				effect = "not "
			}
			each = append(each, effect+strings.Join(x.Permissions, ", ")+" on "+strings.Join(x.Resources, ", "))
		}
		what = "Give it these permissions: " + strings.Join(each, "; ") + "."
		if len(p.IPs)+len(p.NotIPs) > 0 {
			what += fmt.Sprintf(" Client address filtering: in %v, not in %v.", p.IPs, p.NotIPs)
		}
	}
	ttl := "Give it no end (TTL)."
	if p.Expiry > 0 {
		ttl = "Let it end (TTL) in " + rotate.Days(p.Expiry) + "."
	}
	return []string{where, "Choose Create Token, then Create Custom Token, and give it the name " + name + ".", what, ttl, "Do not roll the old token: that would stop it at once."}
}
