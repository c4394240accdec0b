package fastly

// Whose secret a secret is. Rules: Fastly is asked with the secret itself, since only that shows that it lives; it is
// dead if Fastly's API says 401 or 403, and not if a proxy does; no minting credential is needed.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Identify asks Fastly with the secret which token it is. It returns [rotate.ErrDenied] if the secret is expired,
// revoked or none of Fastly's. One request.
func (p *Provider) Identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	t, err := p.identify(ctx, s)
	return t.public(), p.fail("identify", err)
}

func (p *Provider) identify(ctx context.Context, s rotate.Secret) (token, error) {
	if err := p.open(); err != nil {
		return token{}, err
	}
	t, err := p.whoami(ctx, s)
	r, refused := asRefusal(err)
	switch {
	case err == nil:
		p.idle(t)
		return t, nil
	case !refused:
		return token{}, err
	case r.foreign && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden):
		// A proxy's opinion is no reason to take a secret for dead.
		return token{}, fmt.Errorf("%w: not answered by Fastly's API: %s", rotate.ErrTemporary, r.Error())
	case r.status == http.StatusForbidden && p.purgesOnly():
		return p.purger(ctx, s, err)
	}
	return token{}, err
}

// purger settles a secret that may not ask who it is, since its scope is to purge: only a newborn's ID is known.
func (p *Provider) purger(ctx context.Context, s rotate.Secret, refused error) (token, error) {
	p.mu.Lock()
	born := ""
	for id, mine := range p.newborns {
		if mine.Equal(s) {
			born = id
		}
	}
	p.mu.Unlock()
	if born == "" || p.kind() != automation {
		return token{}, fmt.Errorf("%w: Fastly does not say whose secret this is, as it may for tokens that only purge; use a sink that keeps a marker (%s)", rotate.ErrUnproven, refused.Error())
	}
	t, err := p.single(ctx, born)
	if errors.Is(err, rotate.ErrNotFound) {
		return token{}, fmt.Errorf("%w: Fastly no longer knows the token", rotate.ErrDenied)
	}
	return t, err
}

// whoami asks with a secret.
func (p *Provider) whoami(ctx context.Context, s rotate.Secret) (token, error) {
	if !httpx.Presentable(s.Reveal()) {
		return token{}, fmt.Errorf("%w: not a token of Fastly", rotate.ErrDenied)
	}
	var t token
	if _, err := p.read(ctx, call{path: "tokens/self", as: s}, &t); err != nil {
		return token{}, err
	}
	if !isID(t.ID) {
		return token{}, fmt.Errorf("%w: GET /tokens/self: the answer is %w", rotate.ErrTemporary, httpx.ErrForm)
	}
	return t, nil
}

// single reads one automation token with the minting credential.
func (p *Provider) single(ctx context.Context, id string) (token, error) {
	var t token
	_, err := p.read(ctx, call{path: "automation-tokens/" + id}, &t)
	return t, err
}

// Inspect looks whether a token that a person made is what this configuration would mint: its kind, role, scope,
// services, life and access to TLS. Two requests, besides the lists of tokens and services if they were not seen yet.
func (p *Provider) Inspect(ctx context.Context, s rotate.Secret) error {
	return p.fail("inspect", p.inspect(ctx, s))
}

func (p *Provider) inspect(ctx context.Context, s rotate.Secret) error {
	t, err := p.identify(ctx, s)
	if err != nil {
		return err
	}
	listed, ok, err := p.row(ctx, t.ID)
	if err != nil {
		return err
	}
	seen, err := p.resolve(ctx)
	if err != nil {
		return p.explain(err)
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	switch {
	case s.Equal(p.Token):
		fault("it is the credential in use (FASTLY_API_TOKEN) itself")
	case untouchable(t.Name):
		fault("%q is not made to be handed out", t.Name)
	}
	if !ok {
		fault("%s does not list it: it is not %s, or of another account", p, article(p.kind()))
	}
	merge(&t, listed)
	l, err := parseLife(p.Expiry)
	if err != nil {
		return fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	// A person picks a date, and Fastly decides at which hour of it the token ends.
	w := wish{ends: l.end(t.Created.Time), seen: seen}
	if slack := min(2*rotate.Tick, l.least()/10); !w.ends.IsZero() && t.Expires.Sub(w.ends).Abs() <= slack {
		w.ends = t.Expires.Time
	}
	if t.Expires.IsZero() && !w.ends.IsZero() {
		fault("it never expires, where %s was asked for", when(w.ends))
	}
	faults = append(faults, p.differs(t, w, false)...)
	if p.kind() == automation && !p.Services.All && (t.Services == nil || len(*t.Services) == 0) && !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, "every service") }) {
		fault("Fastly names no service that it is limited to, so it may see all of the account; %d are asked for", len(seen.set))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %s", rotate.ErrConflict, strings.Join(faults, "; "))
	}
	return nil
}

// merge completes what a token says of itself with what the list says of it.
func merge(t *token, listed token) {
	if listed.Role != "" {
		t.Role = listed.Role
	}
	if t.scope() == nil {
		t.Scope = listed.scope()
	}
	if t.Services == nil || len(*t.Services) == 0 && listed.Services != nil {
		t.Services = listed.Services
	}
	if t.Limited == nil {
		t.Limited = listed.Limited
	}
	if t.TLS == nil {
		t.TLS = listed.TLS
	}
	if t.Created.IsZero() {
		t.Created = listed.Created
	}
	if t.Expires.IsZero() {
		t.Expires = listed.Expires
	}
}

func article(kind string) string {
	if kind == user {
		return "a user token of the credential's user"
	}
	return "an automation token"
}

// scopeLabels are how the web interface calls the scopes.
var scopeLabels = map[string]string{
	"global":       "Global API access (global)",
	"global:read":  "Read-only access (global:read)",
	"purge_all":    "Purge full cache (purge_all)",
	"purge_select": "Purge select content (purge_select)",
}

// Instructions tell a person what to do in Fastly's web interface to make such a token.
func (p *Provider) Instructions(name string) []string {
	who := "Log in to https://manage.fastly.com as a superuser of the account"
	if p.kind() == user {
		who = "Log in to https://manage.fastly.com as the user to whom the token is to belong"
	}
	if p.Customer != "" {
		who += " with the customer ID " + p.Customer
	}
	steps := []string{
		who + ".",
		"Open Account, then API tokens, and click Create Token. Enter the password (and the one-time code) if asked.",
		fmt.Sprintf("Name: %s", httpx.Clean(name, longestName)),
	}
	if p.kind() == automation {
		steps = append(steps, "Type: Automation token, not User token.", "Role: "+strings.ToUpper(p.Role[:min(1, len(p.Role))])+p.Role[min(1, len(p.Role)):]+".")
	} else {
		steps = append(steps, "Type: User token, not Automation token.")
	}
	if p.TLSAccess {
		steps = append(steps, "TLS management: grant access.")
	} else if p.kind() == automation {
		steps = append(steps, "TLS management: no access.")
	}
	var labels []string
	for _, s := range p.scope() {
		labels = append(labels, scopeLabels[s])
	}
	steps = append(steps, "Scope: tick "+strings.Join(labels, " and ")+", and nothing else.", p.pick())
	if l, err := parseLife(p.Expiry); err == nil {
		if end := l.end(p.now()); end.IsZero() {
			steps = append(steps, "Expiration: Never expire.")
		} else {
			steps = append(steps, fmt.Sprintf("Expiration: set the date %s (%s from today).", end.Format(time.DateOnly), p.Expiry))
		}
	}
	return append(steps, "Click Create Token and copy the token: it is shown only once. Put it where hand-in reads it, and nowhere else.")
}

// pick says which services to tick.
func (p *Provider) pick() string {
	if p.Services.All {
		return "Access: All services on the account."
	}
	p.mu.Lock()
	seen := p.seen
	p.mu.Unlock()
	text := "Access: One or more services, namely " + p.Services.words()
	if seen != nil {
		text += ": " + seen.list(seen.ids())
	}
	return text + "."
}
