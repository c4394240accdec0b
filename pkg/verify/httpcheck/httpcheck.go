// Package httpcheck verifies a credential by a request that carries it. Its rules:
//
//   - The credential goes to the host of the URL and nowhere else: no redirect is followed, and plain http is for
//     loopback only.
//   - An answer decides: expected status and body pass, any other answer fails. No answer, 408, 429 and 5xx show nothing
//     about the credential; if it stays so, that is [rotate.ErrUnproven].
//   - A newborn credential may take a while to be known everywhere, so a GET is repeated until Within is over before
//     what it shows counts as a failure. A method that may change something is sent once.
//   - An answer's body may repeat the credential: it is matched and never shown.
package httpcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultTimeout  = 30 * time.Second
	defaultWithin   = 30 * time.Second
	defaultInterval = 3 * time.Second

	bodyLimit = 1 << 20 // bytes of an answer that the patterns see
)

// Request is a request that works only with a good credential. URL is needed. It is safe for concurrent
// use; its fields must not be changed after the first use.
type Request struct {
	URL      string        `yaml:"url" required:"true" scalar:"true" example:"https://api.example.com/whoami" doc:"What is asked for, by a request that fails without a good credential. Plain http is accepted for loopback only; a redirect is not followed and counts as a failure."`
	Method   string        `yaml:"method" default:"GET" enum:"GET,HEAD,POST,PUT,DELETE,OPTIONS" doc:"Method of the request, which has no body. GET and HEAD are repeated, the others are sent once."`
	Header   string        `yaml:"header" default:"Authorization" example:"Fastly-Key" doc:"Header that carries the credential."`
	Scheme   string        `yaml:"scheme" example:"token" doc:"Word before the credential, or none. By default Bearer in the header Authorization, unless the credential begins with a scheme of its own as Fly.io's do (FlyV1 …), and none in any other header."`
	Status   []string      `yaml:"status" example:"[200, 204]" doc:"Statuses that pass, such as 200 or 2xx. By default 2xx."`
	Body     string        `yaml:"body" example:"\"active\": *true" doc:"Pattern (RE2) that the first MiB of the answer must match."`
	Refuse   string        `yaml:"refuse" doc:"Pattern (RE2) that the first MiB of the answer must not match."`
	Timeout  time.Duration `yaml:"timeout" default:"30s" doc:"How long one request may take."`
	Within   time.Duration `yaml:"within" default:"30s" doc:"For how long the request is repeated until it passes, since a new credential may not be known everywhere at once."`
	Interval time.Duration `yaml:"interval" default:"3s" doc:"Time between two requests."`

	// Transport is the wire below; nil is the process's pool of connections.
	Transport http.RoundTripper `yaml:"-"`

	once sync.Once
	ready
	err error
}

// ready is what a Request comes to.
type ready struct {
	url          *url.URL
	client       *http.Client
	body, refuse *regexp.Regexp
}

var _ rotate.Verifier = (*Request)(nil)

// String names the request without its query, such as "http:https://api.example.com/whoami".
func (r *Request) String() string { return "http:" + r.at() }

func (r *Request) at() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "?"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

var (
	tokenRule  = pattern.New("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, section 5.6.2
	statusRule = pattern.New(`^[1-5](?:[0-9][0-9]|xx)$`)
	ownScheme  = pattern.New(`^[A-Za-z][A-Za-z0-9]* \S+$`)
)

// Validate implements the configuration's check; it calls nobody.
func (r *Request) Validate() error {
	_, err := r.prepare()
	return err
}

func (r *Request) prepare() (ready, error) {
	var x ready
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		bad("url", "not a URL with a host, such as https://api.example.com/whoami") // its text may hold a credential
	} else if u.User != nil {
		bad("url", "must not carry a user name or password")
	} else if t, err := httpx.New(u.Scheme+"://"+u.Host, r.Transport); err != nil {
		bad("url", "%w", err)
	} else {
		u.Fragment = ""
		x.url, x.client = u, t.Client()
	}
	if !slices.Contains([]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}, r.Method) {
		bad("method", "%q is not one of GET, HEAD, POST, PUT, DELETE, OPTIONS", r.Method)
	}
	if r.Header != "" && !tokenRule.MatchString(r.Header) {
		bad("header", "%q is not the name of a header", r.Header)
	}
	if strings.EqualFold(r.Header, "Host") {
		bad("header", "%s cannot carry a credential", r.Header)
	}
	if r.Scheme != "" && !tokenRule.MatchString(r.Scheme) {
		bad("scheme", "%q is not one word", r.Scheme)
	}
	for _, s := range r.Status {
		if !statusRule.MatchString(s) {
			bad("status", "%q is neither a status such as 200 nor a class such as 2xx", s)
		}
	}
	for _, p := range []struct {
		field, text string
		to          **regexp.Regexp
	}{{"body", r.Body, &x.body}, {"refuse", r.Refuse, &x.refuse}} {
		if p.text == "" {
			continue
		}
		if r.Method == http.MethodHead {
			bad(p.field, "the answer to HEAD has no body")
		}
		if *p.to, err = regexp.Compile(p.text); err != nil {
			bad(p.field, "not a pattern: %w", err)
		}
	}
	for field, d := range map[string]time.Duration{"timeout": r.Timeout, "within": r.Within, "interval": r.Interval} {
		if d < 0 {
			bad(field, "must not be negative")
		}
	}
	return x, errors.Join(errs...)
}

// Verify implements [rotate.Verifier].
func (r *Request) Verify(ctx context.Context, c rotate.Credential) error {
	r.once.Do(func() { r.ready, r.err = r.prepare() })
	err := r.err
	if err == nil {
		err = r.verify(ctx, c.Secret)
	} else {
		err = fmt.Errorf("%w: nothing was asked: %w", rotate.ErrUnproven, err)
	}
	if err != nil {
		return &rotate.Error{Op: "verify", At: r.String(), Err: err}
	}
	return nil
}

func (r *Request) verify(ctx context.Context, s rotate.Secret) error {
	if s.IsZero() {
		return fmt.Errorf("%w: the credential is not known in this run, since no sink could be read back", rotate.ErrUnproven)
	}
	value := r.value(s.Reveal())
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return fmt.Errorf("%w: the credential has control characters, which no header can carry", rotate.ErrConfig)
	}
	end := time.Now().Add(or(r.Within, defaultWithin))
	for {
		err := r.ask(ctx, value)
		again := r.Method == "" || r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", rotate.ErrUnproven, ctx.Err())
		case !again || !time.Now().Add(or(r.Interval, defaultInterval)).Before(end):
			if errors.Is(err, rotate.ErrTemporary) || errors.Is(err, rotate.ErrLimit) {
				return fmt.Errorf("%w: %w", rotate.ErrUnproven, err)
			}
			return err
		}
		if over := httpx.Sleep(ctx, or(r.Interval, defaultInterval)); over != nil {
			return fmt.Errorf("%w: %w; the last answer: %w", rotate.ErrUnproven, over, err)
		}
	}
}

// value returns what the header says.
func (r *Request) value(secret string) string {
	scheme := r.Scheme
	if scheme == "" && strings.EqualFold(r.header(), "Authorization") && !ownScheme.MatchString(secret) {
		scheme = "Bearer"
	}
	if scheme == "" || scheme == "none" {
		return secret
	}
	return scheme + " " + secret
}

func (r *Request) header() string {
	if r.Header == "" {
		return "Authorization"
	}
	return r.Header
}

func (r *Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

// ask sends one request. An error that wraps ErrTemporary or ErrLimit shows nothing; any other is a failure.
func (r *Request) ask(ctx context.Context, value string) error {
	// Once, since repeating is done here, with a verdict on every answer.
	ctx, cancel := context.WithTimeout(httpx.Once(ctx), or(r.Timeout, defaultTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method(), r.url.String(), nil)
	if err != nil {
		return fmt.Errorf("%w: the request cannot be made", rotate.ErrConfig)
	}
	req.Header.Set(r.header(), value)
	resp, err := r.client.Do(req)
	if err != nil {
		return httpx.Wrap(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if !r.passes(resp.StatusCode) {
		if err := httpx.Status(r.method(), r.at(), resp, ""); err != nil {
			return err
		}
		return fmt.Errorf("%s %s: status %d, which is not one that passes", r.method(), r.at(), resp.StatusCode)
	}
	if r.body == nil && r.refuse == nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	switch {
	case err != nil:
		return httpx.Wrap(err)
	case r.body != nil && !r.body.Match(text):
		return fmt.Errorf("%s %s: %d, but the answer does not match body (%s)", r.method(), r.at(), resp.StatusCode, httpx.Clean(r.Body, 80))
	case r.refuse != nil && r.refuse.Match(text):
		return fmt.Errorf("%s %s: %d, but the answer matches refuse (%s)", r.method(), r.at(), resp.StatusCode, httpx.Clean(r.Refuse, 80))
	}
	return nil
}

func (r *Request) passes(status int) bool {
	if len(r.Status) == 0 {
		return status/100 == 2
	}
	text := strconv.Itoa(status)
	return slices.Contains(r.Status, text) || slices.Contains(r.Status, text[:1]+"xx")
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
