package cloudflare

// How requests go out and errors come back. Rules: reads and deletions may be repeated, a create never is; of an answer
// nothing gets into an error but codes and messages, with whatever looks like a credential blotted out; an answer with 2xx
// that does not say that it is a success is none.

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
	maxBody    = 4 << 20 // a page has fifty tokens at the most
)

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

// tokens is the path of the tokens cared for, and of something below.
func (p *Provider) tokens(below ...string) string {
	at := "user/tokens"
	if p.Account != "" {
		at = "accounts/" + p.Account + "/tokens"
	}
	return strings.Join(append([]string{at}, below...), "/")
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	body         any
	as           rotate.Secret // zero: the credential
}

// refusal is an answer that says no.
type refusal struct {
	err     error // wraps a sentinel, without a secret
	status  int
	notes   []note
	foreign bool // the answer is not in the form of Cloudflare's API, but a proxy's, perhaps
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// has reports whether an error has this code, or one behind it has.
func (r *refusal) has(code int) bool {
	for _, n := range r.notes {
		if n.Code == code {
			return true
		}
		for _, c := range n.Chain {
			if c.Code == code {
				return true
			}
		}
	}
	return false
}

// malformed reports that what was presented is not in the form of a token.
func (r *refusal) malformed() bool {
	return !r.foreign && r.status == http.StatusBadRequest && (r.has(6003) || r.has(6111))
}

// elsewhere reports that a token exists and may not be used from here.
func (r *refusal) elsewhere() bool {
	if r.foreign || r.status != http.StatusForbidden || !r.has(9109) {
		return false
	}
	for _, n := range r.notes {
		if strings.Contains(strings.ToLower(n.Message), "from location") {
			return true
		}
	}
	return false
}

// unknown reports that Cloudflare itself does not accept a token.
func (r *refusal) unknown() bool {
	return !r.foreign && !r.elsewhere() && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden || r.malformed())
}

func asRefusal(err error) (*refusal, bool) {
	var r *refusal
	ok := errors.As(err, &r)
	return r, ok
}

// ask sends c and returns the answer, or an error that wraps a sentinel; a [*refusal] if there was an answer that says no.
func (p *Provider) ask(ctx context.Context, c call) (envelope, error) {
	var e envelope
	if err := p.open(); err != nil {
		return e, err
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
	u := p.wire.URL()
	u.Path += c.path
	u.RawQuery = c.query.Encode()
	var body io.Reader
	if c.body != nil {
		b, err := json.Marshal(c.body)
		if err != nil {
			return e, fmt.Errorf("%w: the request cannot be encoded", rotate.ErrConfig)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, u.String(), body)
	if err != nil {
		return e, fmt.Errorf("%w: %s /%s cannot be sent", rotate.ErrConfig, c.method, c.path)
	}
	key := c.as
	if key.IsZero() {
		key = p.Token
	}
	r.Header.Set("Authorization", "Bearer "+key.Reveal())
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return e, httpx.Wrap(err)
	}
	raw, err := httpx.Drain(resp)
	if err != nil {
		return e, err
	}
	known := httpx.Decode(raw, &e) == nil && e.Success != nil
	switch {
	case known && *e.Success && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated):
		return e, nil
	case known && !*e.Success:
		return e, p.refuse(c, resp, e.Errors, false)
	}
	return envelope{}, p.refuse(c, resp, nil, true)
}

// opaque is what may be a credential: a token has 40 characters or more, an ID 32.
var opaque = pattern.New(`[A-Za-z0-9_-]{33,}`)

// refuse makes the error of an answer that says no.
func (p *Provider) refuse(c call, resp *http.Response, notes []note, foreign bool) *refusal {
	r := &refusal{status: resp.StatusCode, notes: notes, foreign: foreign}
	var said []string
	for i, n := range notes {
		if i == 3 {
			break
		}
		text := n.Message
		for _, behind := range n.Chain {
			text += "; " + behind.Message
		}
		for _, s := range []rotate.Secret{c.as, p.Token} { // before the text is cut: that could leave a part
			if t := s.Reveal(); t != "" {
				text = strings.ReplaceAll(text, t, "[secret]")
			}
		}
		said = append(said, strings.TrimSpace(httpx.Clean(opaque.ReplaceAllString(text, "[…]"), 160)+fmt.Sprintf(" (code %d)", n.Code)))
	}
	r.err = httpx.Status(c.method, "/"+c.path, resp, strings.Join(said, "; "))
	if r.err == nil || r.status < 400 {
		r.err = fmt.Errorf("%w: %s /%s: %d: the answer is %w, or says that it is no success", rotate.ErrTemporary, c.method, c.path, r.status, httpx.ErrForm)
	}
	return r
}

// read asks for something and decodes it.
func (p *Provider) read(ctx context.Context, c call, into any) (envelope, error) {
	c.method = http.MethodGet
	e, err := p.ask(ctx, c)
	if err != nil {
		return e, err
	}
	if err := httpx.Decode(e.Result, into); err != nil {
		return e, fmt.Errorf("%w: GET /%s: the answer is %w", rotate.ErrTemporary, c.path, err)
	}
	return e, nil
}

// explain adds what to do to an error of a call with the credential itself.
func (p *Provider) explain(err error) error {
	r, ok := asRefusal(err)
	switch {
	case !ok || r.foreign:
		return err
	case r.elsewhere():
		return fmt.Errorf("%w; the credential (CLOUDFLARE_API_TOKEN) may not be used from this machine's address: change its client address filtering", err)
	case r.malformed():
		return fmt.Errorf("%w: the credential (CLOUDFLARE_API_TOKEN) is not in the form of an API token: %s", rotate.ErrDenied, r)
	case r.unknown():
		return fmt.Errorf("%w; the credential (CLOUDFLARE_API_TOKEN) is expired, deleted or mistyped, or lacks the permission %s", err, p.permission())
	}
	return err
}

// permission is what the credential needs.
func (p *Provider) permission() string {
	if p.Account != "" {
		return "Account API Tokens Write on the account"
	}
	return "API Tokens Write of the user"
}
