package signon

import (
	"bytes"
	"context"
	"encoding/json"
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

// This file asks Signon's OAuth endpoints. To the engine ErrDenied means that a secret is dead, so nothing else here
// may end in it: that our own credentials are refused is a mistake in the configuration.

// client is how the application itself authenticates, as Signon keeps it in the Secret signon-app-<application>.
type client struct {
	id     string
	secret rotate.Secret
}

// Identify implements [rotate.Identifier]. What was minted by this Provider is also used once, as the application
// would use it.
func (p *Provider) Identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	t, err := p.identify(ctx, s)
	return t, p.fault("identify", err)
}

func (p *Provider) identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	if !httpx.Presentable(s.Reveal()) {
		return rotate.Token{}, fmt.Errorf("%w: no token of Signon: it is empty, or has spaces or control characters", rotate.ErrDenied)
	}
	c, err := p.credentials(ctx)
	if err != nil {
		return rotate.Token{}, alive(err)
	}
	active, expires, err := p.introspect(ctx, c, s)
	if err != nil {
		return rotate.Token{}, alive(err)
	}
	d := digest(s)
	r, listed := p.byDigest(d)
	if listed != active { // what is known may be old
		if _, err := p.list(ctx); err != nil {
			return rotate.Token{}, alive(err)
		}
		r, listed = p.byDigest(d)
	}
	switch {
	case !active && listed:
		return rotate.Token{}, fmt.Errorf("%w: token %s lives in Signon's database, but %s says that it does not; see that url is the address of the Signon in this cluster", rotate.ErrConflict, r.ID, p.URL)
	case !active:
		return rotate.Token{}, fmt.Errorf("%w: %s says that it is not active", rotate.ErrDenied, p.URL)
	case !listed:
		return rotate.Token{}, fmt.Errorf("%w: it works for %s, but is not a token of %s: another API user's, whose tokens go into the same Secret, or of another environment", rotate.ErrConflict, p.Application, p.User)
	case !expires.Equal(r.Expires):
		return rotate.Token{}, fmt.Errorf("%w: %s says that it expires %s, and the database of this cluster says %s; see that url is the address of the Signon in this cluster",
			rotate.ErrConflict, p.URL, expires.Format(time.RFC3339), r.Expires.Format(time.RFC3339))
	}
	return r.Token, p.use(ctx, c, s, d)
}

// alive keeps an error from saying that a secret is dead.
func alive(err error) error {
	if errors.Is(err, rotate.ErrDenied) {
		return fmt.Errorf("%w: whether it works could not be asked: %v", rotate.ErrConfig, err)
	}
	return err
}

// appSecret is the Secret with the application's credentials.
func (p *Provider) appSecret() string { return "signon-app-" + p.Application }

// credentials reads them, once, and makes sure that they are this application's.
func (p *Provider) credentials(ctx context.Context) (client, error) {
	a, err := p.facts(ctx)
	if err != nil {
		return client{}, err
	}
	p.mu.Lock()
	known := p.client
	p.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	o, err := get[struct{ Data map[string][]byte }](ctx, p, "/api/v1", "secrets", p.appSecret(), nil)
	if err != nil {
		return client{}, err
	}
	c := client{string(o.Data["oauth_id"]), rotate.NewSecret(string(o.Data["oauth_secret"]))}
	switch {
	case c.id == "" || c.secret.IsZero():
		return client{}, fmt.Errorf("%w: the Secret %s has no oauth_id and oauth_secret", rotate.ErrConfig, p.appSecret())
	case c.id != a.client:
		// With these every token would look dead.
		return client{}, fmt.Errorf("%w: the oauth_id in the Secret %s is not that of %s in Signon; let Signon write the Secret anew (kubernetes:sync_app_secrets)", rotate.ErrConfig, p.appSecret(), p.Application)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.client = &c
	return c, nil
}

// introspect asks whether a secret works (RFC 7662). It is a query, whatever its method.
func (p *Provider) introspect(ctx context.Context, c client, s rotate.Secret) (active bool, expires time.Time, err error) {
	form := url.Values{"token": {s.Reveal()}}.Encode()
	text, err := p.call(httpx.Repeatable(ctx), http.MethodPost, "oauth/introspect", form, func(r *http.Request) {
		r.SetBasicAuth(c.id, c.secret.Reveal()) // as they are: Doorkeeper decodes nothing
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if err != nil {
		return false, time.Time{}, err
	}
	var told struct {
		Active *bool
		Exp    int64
		Client string `json:"client_id"`
	}
	switch {
	case json.Unmarshal(text, &told) != nil, told.Active == nil, told.Exp != 0 && !sane(told.Exp):
		return false, time.Time{}, fmt.Errorf("%w: the answer of %soauth/introspect is not understood; see that url is the address of Signon", rotate.ErrTemporary, p.wire.URL())
	case *told.Active && told.Client != "" && told.Client != c.id:
		return false, time.Time{}, fmt.Errorf("%w: introspection speaks of another application", rotate.ErrConflict)
	}
	if told.Exp != 0 { // left out for one that never expires
		expires = time.Unix(told.Exp, 0).UTC()
	}
	return *told.Active, expires, nil
}

// use does with a newborn what the application does with each token that it is sent (gds-sso).
func (p *Provider) use(ctx context.Context, c client, s rotate.Secret, d string) error {
	p.mu.Lock()
	newborn := p.newborns[d]
	p.mu.Unlock()
	if !newborn {
		return nil
	}
	text, err := p.call(ctx, http.MethodGet, "user.json?client_id="+url.QueryEscape(c.id), "", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+s.Reveal())
	})
	if err != nil {
		return fmt.Errorf("the newborn was used as %s would use it: %w", p.Application, alive(err))
	}
	var told struct {
		User struct {
			Email       string
			Permissions []string
			Disabled    bool
		}
	}
	if json.Unmarshal(text, &told) != nil {
		return fmt.Errorf("%w: the answer of %suser.json is not understood", rotate.ErrTemporary, p.wire.URL())
	}
	switch u := told.User; {
	case !strings.EqualFold(u.Email, p.User):
		return fmt.Errorf("%w: the newborn is a token of %s", rotate.ErrConflict, httpx.Clean(u.Email, 100))
	case u.Disabled:
		return fmt.Errorf("%w: the API user is disabled", rotate.ErrConfig)
	case !slices.Contains(u.Permissions, "signin"):
		return fmt.Errorf("%w: the API user may not sign in to %s", rotate.ErrConfig, p.Application)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.newborns, d)
	return nil
}

// call sends one request and returns the body of an answer that is no error.
func (p *Provider) call(ctx context.Context, method, path, body string, prepare func(*http.Request)) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.wire.URL().String()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no request", rotate.ErrConfig, method)
	}
	r.Header.Set("Accept", "application/json")
	prepare(r)
	resp, err := p.wire.RoundTrip(r)
	if err != nil {
		return nil, httpx.Wrap(err)
	}
	text, err := httpx.Drain(resp)
	if err != nil {
		return nil, httpx.Wrap(err)
	}
	if resp.StatusCode != http.StatusOK {
		var told struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(text, &told)
		path, _, _ = strings.Cut(path, "?")
		if err := httpx.Status(method, "/"+path, resp, httpx.Clean(told.Error, 100)); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s /%s answered %d", rotate.ErrTemporary, method, path, resp.StatusCode)
	}
	return text, nil
}
