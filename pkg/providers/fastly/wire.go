package fastly

// How requests go out and errors come back. Rules:
//
//   - go-fastly makes requests and reads errors; it does not send. Its own sending knows no context, follows redirects
//     with the key, prints bodies if the environment says so, holds a lock over a whole call, and pages wrongly.
//   - Reads are repeated by httpx. Of what changes something only a revocation is.
//   - Of an answer to sudo and create nothing gets into an error but a short message, with whatever looks like a
//     credential blotted out. A body that is not in Fastly's form never does: go-fastly would repeat it whole.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	gofastly "github.com/fastly/go-fastly/v9/fastly"
	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultURL = "https://api.fastly.com"
	changeTime = time.Minute
	readTime   = 3 * time.Minute
	maxBody    = 64 << 20 // a list of services has every version of each
)

// agent guards go-fastly's variable UserAgent, which each new client makes longer if FASTLY_USER_AGENT is set.
var agent sync.Mutex

// client returns a client of go-fastly that makes requests without a key.
func client(base string) (*gofastly.Client, error) {
	agent.Lock()
	defer agent.Unlock()
	before := gofastly.UserAgent
	c, err := gofastly.NewClientForEndpoint("", base)
	gofastly.UserAgent = before
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", rotate.ErrConfig)
	}
	c.DebugMode = false
	return c, nil
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
		if p.sdk, p.openErr = client(p.wire.URL().String()); p.openErr == nil {
			p.sdk.HTTPClient = p.wire.Client()
		}
	})
	return p.openErr
}

// call is one request.
type call struct {
	method, path string
	query        map[string]string
	form         url.Values    // the body, or
	body         any           // the body, in JSON
	as           rotate.Secret // zero: the minting credential
	otp          string
	again        bool // may be repeated although it changes something
	confidential bool // the request or the answer holds a secret
}

// answer is what came of a call that succeeded.
type answer struct {
	body []byte
	next bool // a header says that there is a next page
}

// ask sends c and returns its answer, or an error that wraps a sentinel; a [*refusal] if Fastly itself said no.
func (p *Provider) ask(ctx context.Context, c call) (answer, error) {
	if err := p.open(); err != nil {
		return answer{}, err
	}
	limit := changeTime
	if c.method == http.MethodGet {
		limit = readTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch {
	case c.again:
		ctx = httpx.Repeatable(ctx)
	case c.method != http.MethodGet:
		ctx = httpx.Once(ctx)
	}
	r, err := p.request(ctx, c)
	if err != nil {
		return answer{}, err
	}
	resp, err := p.sdk.HTTPClient.Do(r)
	if err != nil {
		return answer{}, httpx.Wrap(err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
	default:
		return answer{}, p.refuse(c, resp)
	}
	body, err := httpx.Drain(resp)
	if err != nil {
		return answer{}, err
	}
	return answer{body, strings.Contains(strings.Join(resp.Header.Values("Link"), ","), `rel="next"`)}, nil
}

// request makes the request of c.
func (p *Provider) request(ctx context.Context, c call) (*http.Request, error) {
	o := &gofastly.RequestOptions{Params: c.query, Headers: map[string]string{"Accept": gofastly.JSONMimeType}}
	var body io.Reader
	switch {
	case c.form != nil:
		o.Headers["Content-Type"] = "application/x-www-form-urlencoded"
		body = strings.NewReader(c.form.Encode())
	case c.body != nil:
		b, err := json.Marshal(c.body)
		if err != nil {
			return nil, fmt.Errorf("%w: the request cannot be encoded", rotate.ErrConfig)
		}
		o.Headers["Content-Type"] = gofastly.JSONMimeType
		body = bytes.NewReader(b)
	}
	o.Body = body
	agent.Lock()
	r, err := p.sdk.RawRequest(c.method, c.path, o)
	agent.Unlock()
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s cannot be sent", rotate.ErrConfig, c.method, c.path)
	}
	key := c.as
	if key.IsZero() {
		key = p.Token
	}
	r.Header.Set(gofastly.APIKeyHeader, key.Reveal())
	r.Header.Set("User-Agent", httpx.UserAgent)
	if c.otp != "" {
		r.Header.Set("Fastly-OTP", c.otp)
	}
	return r.WithContext(ctx), nil
}

// refusal is an answer of Fastly that says no.
type refusal struct {
	err     error // wraps a sentinel, without a secret
	status  int
	title   string // Fastly's message, for comparing
	foreign bool   // the answer is not in the form of Fastly's API, but a proxy's, perhaps
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// messages that Fastly's clients know.
const (
	sudoNeeded = "You must POST /sudo to access this endpoint"
	otpNeeded  = "2fa.verify"
	otpWrong   = "Invalid one-time password"
)

func (r *refusal) is(status int, title string) bool { return r.status == status && r.title == title }

// otp reports whether a one-time code is missing, expired or wrong.
func (r *refusal) otp() bool { return r.title == otpNeeded || r.title == otpWrong }

// What may be a credential: IDs have 22 characters, and all recorded secrets 32. Where a secret is in play, what may be
// a part of one counts too.
var (
	opaque = pattern.New(`[A-Za-z0-9_+/=-]{28,}`)
	partly = pattern.New(`[A-Za-z0-9_+/=-]{16,}`)
)

// refuse reads an answer with an error.
func (p *Provider) refuse(c call, resp *http.Response) *refusal {
	e := gofastly.NewHTTPError(resp)
	r := &refusal{status: resp.StatusCode}
	detail := ""
	if len(e.Errors) > 0 && e.Errors[0] != nil {
		r.title, detail = e.Errors[0].Title, e.Errors[0].Detail
		if r.title == "Undefined error" {
			r.title, r.foreign, detail = "", detail != "", "" // the body, whatever it is
		}
	}
	text := httpx.Clean(p.blot(c, r.title), 200) // blotted first: a cut could leave a part of a credential
	if c.confidential {
		text = partly.ReplaceAllString(text, "[…]")
	} else if d := httpx.Clean(p.blot(c, detail), 200); d != "" {
		text = strings.TrimPrefix(text+": "+d, ": ")
	}
	if r.status == http.StatusTooManyRequests && e.RateLimitReset != nil {
		text = strings.TrimSpace(text + " (requests that change something are counted by the hour; the count begins anew at " +
			time.Unix(int64(*e.RateLimitReset), 0).UTC().Format(time.RFC3339) + ")")
	}
	text = opaque.ReplaceAllString(text, "[…]")
	r.err = httpx.Status(c.method, "/"+strings.TrimPrefix(c.path, "/"), resp, text)
	if r.err == nil || r.status < 400 {
		r.err = fmt.Errorf("%w: %s /%s: unexpected status %d", rotate.ErrTemporary, c.method, strings.TrimPrefix(c.path, "/"), r.status)
	}
	return r
}

// blot removes every credential that the request carried.
func (p *Provider) blot(c call, text string) string {
	for _, s := range []rotate.Secret{c.as, p.Token, p.Password, p.Username, p.OTP, p.TOTP, rotate.NewSecret(c.otp)} {
		if t := s.Reveal(); len(t) >= 4 {
			text = strings.ReplaceAll(text, t, "[secret]")
		}
	}
	return text
}

// read asks for something and decodes it.
func (p *Provider) read(ctx context.Context, c call, into any) (answer, error) {
	c.method = http.MethodGet
	a, err := p.ask(ctx, c)
	if err != nil {
		return a, err
	}
	if err := httpx.Decode(a.body, into); err != nil {
		return a, fmt.Errorf("%w: GET /%s: the answer is %w", rotate.ErrTemporary, c.path, err)
	}
	return a, nil
}
