package fastly

// Minting. Rules: what can be refused beforehand is; sudo and create are sent once, or once more if Fastly asked for
// sudo; what came is returned even beside an error; a newborn that is other than asked for is revoked on the spot.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	// longestName is the longest name that is sent, in bytes. Fastly states no limit.
	longestName = 255
	// cleanupTime is how long the revocation of a newborn may take that must not live.
	cleanupTime = 30 * time.Second
)

// wish is what is asked of Fastly, and what a newborn is compared with.
type wish struct {
	name string
	ends time.Time // zero: never
	seen *sighting
}

// creation is the body of a create of an automation token. Without limit_services, newer versions of the API take
// services for no limit.
type creation struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Scope    string   `json:"scope"`
	Expires  *string  `json:"expires_at"` // null: never
	Services []string `json:"services"`
	Limited  bool     `json:"limit_services"`
	TLS      bool     `json:"tls_access"`
}

// Mint creates a token under this name, and asks Fastly with the newborn itself what it may do. A token that is other
// than asked for (role, scope, services, expiry, TLS) is revoked at once and comes with an error. It takes two requests
// and one for the look, besides the list of services if [Provider.Check] did not fetch it in the last ten minutes.
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	c, err := p.mint(ctx, name)
	return c, p.fail("mint", err)
}

func (p *Provider) mint(ctx context.Context, name string) (rotate.Credential, error) {
	if err := p.open(); err != nil {
		return rotate.Credential{}, err
	}
	if strings.TrimSpace(name) == "" || len(name) > longestName || name != httpx.Clean(name, len(name)) || untouchable(name) {
		return rotate.Credential{}, fmt.Errorf("%w: %q cannot be the name of a token (1 to %d bytes, without line breaks)", rotate.ErrConfig, httpx.Clean(name, 80), longestName)
	}
	if err := p.usable(); err != nil {
		return rotate.Credential{}, err
	}
	seen, err := p.resolve(ctx)
	if err != nil {
		return rotate.Credential{}, p.explain(err)
	}
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if old, ok := predecessor(last, name); ok {
		p.compare(old, seen)
	}
	t, w, err := p.create(ctx, wish{name: name, seen: seen})
	c := rotate.Credential{Token: t.public(), Secret: rotate.NewSecret(t.Text)}
	if err != nil {
		return c, err
	}
	if t.ID == "" || t.Text == "" {
		return c, fmt.Errorf("%w: Fastly answered without the token; it may have been created", rotate.ErrTemporary)
	}
	if c.Created.IsZero() {
		c.Created = p.now().UTC().Truncate(time.Second)
	}
	faults := p.differs(t, w, true)
	if t.Name != name {
		faults = append(faults, "it bears another name")
	}
	if len(faults) == 0 {
		if faults, err = p.look(ctx, t, c.Secret, w); err != nil {
			return c, p.discard(ctx, t, fmt.Errorf("what was minted could not be looked at: %w", err))
		}
	}
	if len(faults) > 0 {
		return c, p.discard(ctx, t, fmt.Errorf("%w: what was minted is not what was asked for: %s", rotate.ErrConflict, strings.Join(faults, "; ")))
	}
	p.mu.Lock()
	if p.newborns == nil {
		p.newborns = map[string]rotate.Secret{}
	}
	p.newborns[t.ID] = c.Secret
	p.mu.Unlock()
	return c, nil
}

// create gives the password and creates the token. Beside an error it returns what came in spite of it.
func (p *Provider) create(ctx context.Context, w wish) (token, wish, error) {
	l, err := parseLife(p.Expiry)
	if err != nil {
		return token{}, w, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	for again := false; ; again = true {
		if err := p.sudo(ctx); err != nil {
			return token{}, w, err
		}
		w.ends = l.end(p.now())
		a, err := p.ask(ctx, p.creation(w))
		r, refused := asRefusal(err)
		if refused && r.is(http.StatusForbidden, sudoNeeded) && !again {
			// Sudo may show late. Fastly says that it created nothing.
			if err := httpx.Sleep(ctx, p.interval()); err != nil {
				return token{}, w, err
			}
			continue
		}
		if err != nil {
			return token{}, w, p.refused(err)
		}
		var t token
		if err := httpx.Decode(a.body, &t); err != nil {
			return token{ID: t.ID, Name: t.Name, Text: t.Text}, w, fmt.Errorf("%w: the answer to the create is %w; the token may have been created", rotate.ErrTemporary, err)
		}
		return t, w, nil
	}
}

// creation is the request that creates the token.
func (p *Provider) creation(w wish) call {
	var ends *string
	if !w.ends.IsZero() {
		text := w.ends.Format(time.RFC3339)
		ends = &text
	}
	scope, ids := strings.Join(p.scope(), " "), w.seen.ids()
	if p.kind() == user {
		form := url.Values{
			"name": {w.name}, "scope": {scope}, "username": {p.Username.Reveal()}, "password": {p.Password.Reveal()},
		}
		if ends != nil {
			form.Set("expires_at", *ends)
		}
		if !p.Services.All {
			form["services[]"] = ids
			form.Set("limit_services", "true")
		}
		return call{method: http.MethodPost, path: "tokens", form: form, otp: p.otp(), confidential: true}
	}
	return call{method: http.MethodPost, path: "automation-tokens", otp: p.otp(), confidential: true, body: creation{
		Name: w.name, Role: p.Role, Scope: scope, Expires: ends, Services: append([]string{}, ids...), Limited: !p.Services.All, TLS: p.TLSAccess,
	}}
}

// refused explains an error of a create.
func (p *Provider) refused(err error) error {
	r, ok := asRefusal(err)
	switch {
	case !ok || r.foreign || r.status >= 500 || r.status == http.StatusTooManyRequests:
		return err
	case r.is(http.StatusForbidden, sudoNeeded):
		return fmt.Errorf("%w; the password was accepted just before, and given once more: try again in some minutes, and if that does not help: %s", err, handIn)
	case r.title == "invalid_grant" || r.title == "account_locked":
		return p.password(err)
	case r.otp():
		return fmt.Errorf("%w: Fastly asks for a one-time code: give totp (FASTLY_TOTP_SECRET) or a fresh otp (%s)", rotate.ErrDenied, r)
	case errors.Is(err, rotate.ErrDenied):
		return fmt.Errorf("%w; the credential must be a user token of %s, with scope global; %s", err, p.owner(), handIn)
	case errors.Is(err, rotate.ErrConfig):
		return fmt.Errorf("%w; Fastly does not accept what is asked for: compare role, scope, services and expiry, and the number of live tokens (a user may have %d); %s", err, mostTokens, handIn)
	}
	return err
}

// look asks Fastly with a newborn what it is and may do.
func (p *Provider) look(ctx context.Context, t token, s rotate.Secret, w wish) (faults []string, err error) {
	var got token
	for n := 0; ; n++ {
		got, err = p.whoami(ctx, s)
		r, refused := asRefusal(err)
		if !refused || r.foreign || r.status != http.StatusUnauthorized && r.status != http.StatusForbidden {
			break
		}
		if r.status == http.StatusForbidden && p.purgesOnly() && p.kind() == automation {
			got, err = p.single(ctx, t.ID) // it may purge, and perhaps not ask
			break
		}
		if n == 3 {
			break
		}
		if err := httpx.Sleep(ctx, p.interval()); err != nil { // not every server knows it yet
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if got.ID != t.ID {
		return []string{"its secret is that of another token"}, nil
	}
	return p.differs(got, w, false), nil
}

// discard revokes a newborn that must not live, whatever became of ctx. The engine does so too.
func (p *Provider) discard(ctx context.Context, t token, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	p.mu.Lock()
	self := p.self
	p.mu.Unlock()
	if t.ID != "" && t.ID == self {
		return fmt.Errorf("%w; Fastly answered with the ID of the credential in use, which is not revoked", why)
	}
	if !isID(t.ID) {
		return fmt.Errorf("%w; it has no ID by which it could be revoked: revoke %q by hand", why, httpx.Clean(t.Name, 120))
	}
	if err := p.remove(ctx, t.ID); err != nil {
		return fmt.Errorf("%w; it could not be revoked (%w): revoke %q by hand unless a later run does", why, err, httpx.Clean(t.Name, 120))
	}
	return fmt.Errorf("%w; it was revoked", why)
}

// differs says what of a token is other than asked for. strict says that t is the answer to the create, which says
// all there is; elsewhere what is not said is not compared.
func (p *Provider) differs(t token, w wish, strict bool) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if p.kind() == automation && t.Role != p.Role && (strict || t.Role != "") {
		fault("its role is %q, not %s", httpx.Clean(t.Role, 40), p.Role)
	}
	if got := t.scope(); !slices.Equal(got, p.scope()) && (strict || got != nil) {
		fault("its scope is %q, not %q", httpx.Clean(strings.Join(got, " "), 80), strings.Join(p.scope(), " "))
	}
	faults = append(faults, p.reach(t, w.seen, strict)...)
	if off := t.Expires.Sub(w.ends).Abs(); t.Expires.IsZero() != w.ends.IsZero() && (strict || !t.Expires.IsZero()) || !t.Expires.IsZero() && off > time.Second {
		fault("it expires %s, not %s", when(t.Expires.Time), when(w.ends))
	}
	if t.TLS != nil && *t.TLS != p.TLSAccess {
		fault("its access to TLS certificates is %t, not %t", *t.TLS, p.TLSAccess)
	}
	return faults
}

// reach compares which services a token sees with those that are meant.
func (p *Provider) reach(t token, seen *sighting, strict bool) []string {
	var got []string
	if t.Services != nil {
		got = set(*t.Services)
	}
	want := seen.ids()
	switch {
	case p.Services.All && len(got) > 0:
		return []string{fmt.Sprintf("it sees %d services only, not all", len(got))}
	case p.Services.All:
		return nil
	case t.Limited != nil && !*t.Limited, len(got) == 0 && (strict || t.Services != nil):
		return []string{fmt.Sprintf("it sees every service of the account, not only %d: Fastly ignored the limit", len(want))}
	case len(got) > 0 && !slices.Equal(got, want):
		return []string{fmt.Sprintf("it sees the services %s, not %s", seen.list(got), seen.list(want))}
	}
	return nil
}

// purgesOnly reports whether tokens of this kind can read nothing.
func (p *Provider) purgesOnly() bool {
	return !slices.ContainsFunc(p.scope(), func(s string) bool { return strings.HasPrefix(s, "global") })
}

// asRefusal finds what Fastly itself said.
func asRefusal(err error) (*refusal, bool) {
	var r *refusal
	ok := errors.As(err, &r)
	return r, ok
}
