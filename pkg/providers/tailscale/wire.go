package tailscale

// How requests go out and errors come back. Rules: reads, deletions and the exchange of an OAuth client for an access token
// may be repeated, the creation of a key never is; of an answer nothing gets into an error but its message, with whatever
// looks like a key blotted out; the client's secret goes to the same host as everything else.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	changeTime = time.Minute
	readTime   = 3 * time.Minute
	maxBody    = 4 << 20
	// spare is how long before its end an access token is replaced.
	spare = 5 * time.Minute
)

// grant is an access token that an OAuth client was given.
type grant struct {
	text rotate.Secret
	ends time.Time
}

// open makes the client on first use.
func (p *Provider) open() error {
	p.once.Do(func() {
		if p.openErr = p.Validate(); p.openErr != nil {
			return
		}
		if p.wire, p.openErr = httpx.New(cmp.Or(p.URL, defaultURL), p.Transport); p.openErr != nil {
			return
		}
		p.wire.Backoff = p.interval() / 10
		p.wire.MaxBody = maxBody
		p.client = p.wire.Client()
	})
	return p.openErr
}

// call is one request.
type call struct {
	method string
	below  string // what follows …/keys
	query  url.Values
	body   any
}

// refusal is an answer that says no.
type refusal struct {
	err     error // wraps a sentinel, without a secret
	status  int
	foreign bool // the answer is not in the form of Tailscale's API, but a proxy's, perhaps
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func asRefusal(err error) (*refusal, bool) {
	var r *refusal
	ok := errors.As(err, &r)
	return r, ok
}

// ask sends c and returns the answer's body, or an error that wraps a sentinel; a [*refusal] if there was an answer that says no.
func (p *Provider) ask(ctx context.Context, c call) ([]byte, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	credential, err := p.credential(ctx)
	if err != nil {
		return nil, err
	}
	limit := changeTime
	switch c.method {
	case http.MethodGet:
		limit = readTime
	case http.MethodDelete:
		ctx = httpx.Repeatable(ctx)
	default:
		ctx = httpx.Once(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var body []byte
	if c.body != nil {
		if body, err = json.Marshal(c.body); err != nil {
			return nil, fmt.Errorf("%w: the request cannot be encoded", rotate.ErrConfig)
		}
	}
	return p.send(ctx, c.method, "api/v2/tailnet/"+p.tailnet()+"/keys"+c.below, c.query, body, "application/json", credential)
}

// send sends one request.
func (p *Provider) send(ctx context.Context, method, path string, query url.Values, body []byte, kind string, credential rotate.Secret) ([]byte, error) {
	u := p.wire.URL()
	u.Path += path
	u.RawQuery = query.Encode()
	var from io.Reader
	if body != nil {
		from = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), from)
	if err != nil {
		return nil, fmt.Errorf("%w: %s /%s cannot be sent", rotate.ErrConfig, method, path)
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	if !credential.IsZero() {
		r.Header.Set("Authorization", "Bearer "+credential.Reveal())
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, httpx.Wrap(err)
	}
	raw, err := httpx.Drain(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		return raw, nil
	}
	var said struct{ Message *string }
	known := httpx.Decode(raw, &said) == nil && said.Message != nil
	text := ""
	if known {
		text = p.blot(*said.Message)
	}
	no := &refusal{status: resp.StatusCode, foreign: !known, err: httpx.Status(method, "/"+path, resp, text)}
	if no.err == nil || no.status < 400 {
		no.err = fmt.Errorf("%w: %s /%s: unexpected status %d", rotate.ErrTemporary, method, path, no.status)
	}
	return nil, no
}

// opaque is what may be a part of a key.
var opaque = pattern.New(`(?:tskey-)?[A-Za-z0-9_-]{20,}`)

// blot removes credentials, and what looks like one, from a text that is not cut yet.
func (p *Provider) blot(text string) string {
	p.mu.Lock()
	granted := p.granted.text
	p.mu.Unlock()
	for _, s := range []rotate.Secret{p.Token, p.ClientSecret, granted} {
		if t := s.Reveal(); t != "" {
			text = strings.ReplaceAll(text, t, "[secret]")
		}
	}
	return httpx.Clean(opaque.ReplaceAllString(text, "[…]"), 200)
}

// credential returns the access token to present. That of an OAuth client lives an hour (tailscale.com/kb/1215), and is asked
// for once and shared by all calls.
func (p *Provider) credential(ctx context.Context) (rotate.Secret, error) {
	if !p.Token.IsZero() {
		return p.Token, nil
	}
	p.granting.Lock()
	defer p.granting.Unlock()
	p.mu.Lock()
	have := p.granted
	p.mu.Unlock()
	if !have.text.IsZero() && time.Until(have.ends) > spare {
		return have.text, nil
	}
	ctx, cancel := context.WithTimeout(httpx.Repeatable(ctx), changeTime)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p.ClientID}, "client_secret": {p.ClientSecret.Reveal()}}
	raw, err := p.send(ctx, http.MethodPost, "api/v2/oauth/token", nil, []byte(form.Encode()), "application/x-www-form-urlencoded", rotate.Secret{})
	if r, ok := asRefusal(err); ok && !r.foreign && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden || r.status == http.StatusBadRequest) {
		return rotate.Secret{}, fmt.Errorf("%w: Tailscale gives the OAuth client no access token (TS_OAUTH_CLIENT_ID, TS_OAUTH_CLIENT_SECRET): it is deleted or mistyped: %s", rotate.ErrDenied, r)
	}
	if err != nil {
		return rotate.Secret{}, err
	}
	var said struct {
		Text    string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if httpx.Decode(raw, &said) != nil || !httpx.Presentable(said.Text) {
		return rotate.Secret{}, fmt.Errorf("%w: POST /api/v2/oauth/token: the answer is %w", rotate.ErrTemporary, httpx.ErrForm)
	}
	got := grant{rotate.NewSecret(said.Text), time.Now().Add(time.Duration(min(max(said.Seconds, 0), 3600)) * time.Second)}
	if p.OnSecret != nil {
		p.OnSecret(got.text)
	}
	p.mu.Lock()
	p.granted = got
	p.mu.Unlock()
	return got.text, nil
}

// read asks for something and decodes it.
func (p *Provider) read(ctx context.Context, below string, query url.Values, into any) error {
	raw, err := p.ask(ctx, call{method: http.MethodGet, below: below, query: query})
	if err != nil {
		return err
	}
	if err := httpx.Decode(raw, into); err != nil {
		return fmt.Errorf("%w: GET …/keys%s: the answer is %w", rotate.ErrTemporary, below, err)
	}
	return nil
}

// explain adds what to do to an error of a call.
func (p *Provider) explain(err error) error {
	r, ok := asRefusal(err)
	switch {
	case !ok || r.foreign:
		return err
	case r.status == http.StatusUnauthorized && p.Token.IsZero():
		return fmt.Errorf("%w; Tailscale does not accept the access token that it gave to the OAuth client", err)
	case r.status == http.StatusUnauthorized:
		return fmt.Errorf("%w; Tailscale does not accept the access token (TAILSCALE_API_KEY): it is expired, deleted or mistyped", err)
	case r.status == http.StatusForbidden:
		return fmt.Errorf("%w; the credential may not do this: an OAuth client needs the scope auth_keys (write), an access token an owner, admin, IT admin or network admin", err)
	}
	return err
}
