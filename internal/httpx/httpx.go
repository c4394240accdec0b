// Package httpx is the one HTTP transport under all adapters. Its rules:
//
//   - One host: a request for another scheme, host or port than the base's is refused before it is sent, and
//     no redirect is followed, so a credential reaches nobody else.
//   - Plain HTTP only to loopback; TLS 1.2 or later otherwise. Proxies come from the environment
//     (HTTPS_PROXY, NO_PROXY), additional roots from SSL_CERT_FILE.
//   - Only reads and requests marked with [Repeatable] are retried, on failures that can heal, bounded in
//     number and time, honouring Retry-After and rate-limit headers. Everything else is sent once.
//   - A body larger than MaxBody is an error, not memory.
//   - A status becomes one of package rotate's sentinels, see [Status].
package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// UserAgent is sent by every adapter that sets no other.
const UserAgent = "remint (+https://github.com/remint-dev/remint)"

// Transport is an [http.RoundTripper] bound to one base URL. Adapters make one with [New] and hand it to
// their SDK; it is safe for concurrent use. The fields may be changed before the first request only.
type Transport struct {
	// Authorize sets the credential of a request, which goes to the base's host. Nil: none. It is called once
	// per attempt with a request of its own.
	Authorize func(*http.Request) error
	// MaxBody is the largest answer in bytes; 0: 10 MiB.
	MaxBody int64
	// Attempts is how often a repeatable request is sent at the most; 0: 4.
	Attempts int
	// Backoff is the wait before the second attempt, doubled before each further one; 0: 500 ms.
	Backoff time.Duration
	// MaxWait bounds one wait. A service that asks for a longer one makes the request fail with
	// [rotate.ErrLimit]. 0: 2 minutes.
	MaxWait time.Duration
	// Gap is the least time between two requests that change something, as some services ask for; 0: none.
	Gap time.Duration

	base *url.URL
	wire http.RoundTripper

	mu      sync.Mutex
	changed time.Time // when the last changing request was sent
	skew    time.Duration
	seen    bool // a Date header was seen
}

// shared is the wire of every Transport that is given none: one pool of connections per process.
var shared = sync.OnceValue(func() http.RoundTripper { return Pool(nil) })

// Base parses the base URL of a service and refuses what no adapter should talk to: other schemes than
// https, plain http to anything but loopback, user information, a query or a fragment. The result ends
// in a slash.
func Base(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", rotate.ErrConfig) // the parser's text would repeat what may hold a credential
	}
	switch {
	case u.Host == "":
		return nil, fmt.Errorf("%w: %q is not a URL with a host, such as https://api.example.com", rotate.ErrConfig, text)
	case u.User != nil:
		return nil, fmt.Errorf("%w: a URL must not carry a user name or password (host %s)", rotate.ErrConfig, u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%w: a base URL has no query or fragment (host %s)", rotate.ErrConfig, u.Host)
	case u.Scheme == "https":
	case u.Scheme == "http" && Loopback(u.Hostname()):
	case u.Scheme == "http":
		return nil, fmt.Errorf("%w: plain http would send credentials unencrypted to %s; use https", rotate.ErrConfig, u.Host)
	default:
		return nil, fmt.Errorf("%w: scheme %q of %s is not https", rotate.ErrConfig, u.Scheme, u.Host)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}

// Loopback reports whether host names this machine: localhost, or an address of 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// New returns a Transport for the service at base (see [Base]). wire carries the requests; nil is the
// process's own pool of connections.
func New(base string, wire http.RoundTripper) (*Transport, error) {
	u, err := Base(base)
	if err != nil {
		return nil, err
	}
	if wire == nil {
		wire = shared()
	}
	return &Transport{base: u, wire: wire}, nil
}

// URL returns the base URL, with a trailing slash.
func (t *Transport) URL() *url.URL { u := *t.base; return &u }

// Client returns an [http.Client] over t that follows no redirect.
func (t *Transport) Client() *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Skew returns how far the service's clock was ahead of ours in its last answer, to the second; false
// if no answer carried a date.
func (t *Transport) Skew() (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.skew, t.seen
}

type contextKey int

const (
	repeatable contextKey = iota
	once
)

// Repeatable marks requests made with the context as safe to send again, such as a query sent by POST
// or a PUT that replaces the whole of something.
func Repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatable, true)
}

// Once marks requests made with the context as never to be sent again, whatever their method.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, once, true) }

func mayRepeat(r *http.Request) bool {
	if r.Context().Value(once) != nil {
		return false
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	return r.Context().Value(repeatable) != nil && (r.Body == nil || r.Body == http.NoBody || r.GetBody != nil)
}

func (t *Transport) refuse(r *http.Request) error {
	if r.URL.Scheme != t.base.Scheme || r.URL.Host != t.base.Host {
		return fmt.Errorf("%w: refusing to send a request for %s to %s", rotate.ErrConfig, t.base.Host, r.URL.Host)
	}
	return nil
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.refuse(r); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	attempts := 1
	if mayRepeat(r) {
		if attempts = t.Attempts; attempts <= 0 {
			attempts = 4
		}
	}
	for n := 1; ; n++ {
		resp, err := t.send(r, n)
		wait, retry := t.wait(resp, err, n)
		if !retry || n >= attempts {
			return resp, err
		}
		if resp != nil {
			if wait > t.maxWait() {
				return resp, nil // the caller turns the status into ErrLimit; waiting that long helps nobody
			}
			_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
			_ = resp.Body.Close()
		}
		if err := Sleep(r.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// send sends one attempt of r. The first uses the body of r; later ones need GetBody.
func (t *Transport) send(r *http.Request, n int) (*http.Response, error) {
	ctx := r.Context()
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !read && !(r.Method == http.MethodPost && ctx.Value(repeatable) != nil) { // a repeatable POST is a query
		if err := t.pace(ctx); err != nil {
			return nil, err
		}
	}
	q := r.Clone(ctx) // a RoundTripper must not change the caller's request
	if n > 1 && r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		q.Body = body
	}
	if ctx.Value(repeatable) == nil && q.Method != http.MethodGet && q.Method != http.MethodHead {
		// net/http itself sends a request again on a stale connection if it can rewind the body, and has a header for
		// asking it to. Without GetBody it does not.
		q.GetBody = nil
		q.Header.Del("Idempotency-Key")
		q.Header.Del("X-Idempotency-Key")
	}
	if q.Header.Get("User-Agent") == "" {
		q.Header.Set("User-Agent", UserAgent)
	}
	if t.Authorize != nil {
		if err := t.Authorize(q); err != nil {
			if q.Body != nil {
				_ = q.Body.Close()
			}
			return nil, err
		}
	}
	resp, err := t.wire.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	t.clock(resp)
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%w: %s %s answered %d with a redirect%s; not followed, since it would take the credential along",
			rotate.ErrConfig, r.Method, r.URL.Path, resp.StatusCode, target(resp))
	}
	limit := t.MaxBody
	if limit <= 0 {
		limit = 10 << 20
	}
	resp.Body = &limited{body: resp.Body, left: limit, limit: limit}
	return resp, nil
}

// target names where a redirect points to, without its query, which may carry credentials.
func target(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return " to " + u.Scheme + "://" + u.Host + u.Path
}

// pace waits until Gap has passed since the last changing request.
func (t *Transport) pace(ctx context.Context) error {
	if t.Gap <= 0 {
		return ctx.Err()
	}
	t.mu.Lock()
	at := time.Now()
	if next := t.changed.Add(t.Gap); next.After(at) {
		at = next
	}
	t.changed = at
	t.mu.Unlock()
	return Sleep(ctx, time.Until(at))
}

func (t *Transport) clock(resp *http.Response) {
	d, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	t.mu.Lock()
	t.skew, t.seen = time.Until(d).Round(time.Second), true
	t.mu.Unlock()
}

func (t *Transport) maxWait() time.Duration {
	if t.MaxWait > 0 {
		return t.MaxWait
	}
	return 2 * time.Minute
}

// wait says whether an attempt may heal, and how long to wait before the next.
func (t *Transport) wait(resp *http.Response, err error, n int) (time.Duration, bool) {
	backoff := t.Backoff
	if backoff <= 0 {
		backoff = 500 * time.Millisecond
	}
	backoff <<= min(n-1, 10)
	backoff += rand.N(backoff/2 + 1) // #nosec G404 -- spreads requests, hides nothing
	if err != nil {
		// A refusal of our own and a cancelled context do not heal.
		if errors.Is(err, rotate.ErrConfig) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return 0, false
		}
		var cert *tls.CertificateVerificationError
		return backoff, !errors.As(err, &cert)
	}
	switch {
	case limitedBy(resp):
		if asked, ok := retryAfter(resp); ok {
			return asked, true
		}
		return max(backoff, 0), true
	case resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented:
		if asked, ok := retryAfter(resp); ok {
			return asked, true
		}
		return backoff, true
	}
	return 0, false
}

// limitedBy reports whether an answer is a rate limit: 429, or GitHub's 403 with its headers
// (docs.github.com, "Rate limits for the REST API").
func limitedBy(resp *http.Response) bool {
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	return resp.StatusCode == http.StatusForbidden &&
		(resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-Ratelimit-Remaining") == "0")
}

// retryAfter returns how long the service asks to wait: Retry-After in seconds or as a date, else the
// reset of a used-up rate limit.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if v := resp.Header.Get("Retry-After"); v != "" {
		if s, err := strconv.Atoi(v); err == nil && s >= 0 {
			return min(time.Duration(s), 86400) * time.Second, true
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(time.Until(at), 0), true
		}
	}
	if resp.Header.Get("X-Ratelimit-Remaining") == "0" {
		if s, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			return max(time.Until(time.Unix(s, 0)), 0), true
		}
	}
	return 0, false
}

// limited is a body that fails when it is longer than allowed.
type limited struct {
	body        io.ReadCloser
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		if n, err := l.body.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("%w: the answer is larger than %d bytes", rotate.ErrLimit, l.limit)
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.body.Read(p)
	l.left -= int64(n)
	return n, err
}

func (l *limited) Close() error { return l.body.Close() }

// Status turns an HTTP status into an error that wraps the fitting sentinel, or nil for 2xx:
//
//	401, 403        ErrDenied       404, 410   ErrNotFound
//	409, 412        ErrConflict     413, 429   ErrLimit (also 403 with rate-limit headers)
//	400, 405, 415, 422 and other 4xx           ErrConfig
//	408, 5xx and anything else                 ErrTemporary
//
// message is the service's own explanation. What the headers of the request carried is blotted out of it; that
// it holds no secret of the body, the caller knows. It is cleaned and cut. The text is "PUT /path: 403: message".
func Status(method, path string, resp *http.Response, message string) error {
	code := resp.StatusCode
	var kind error
	switch {
	case code >= 200 && code < 300:
		return nil
	case limitedBy(resp), code == 413:
		kind = rotate.ErrLimit
	case code == 401, code == 403:
		kind = rotate.ErrDenied
	case code == 404, code == 410:
		kind = rotate.ErrNotFound
	case code == 409, code == 412:
		kind = rotate.ErrConflict
	case code == 408:
		kind = rotate.ErrTemporary
	case code >= 400 && code < 500:
		kind = rotate.ErrConfig
	default:
		kind = rotate.ErrTemporary
	}
	text := fmt.Sprintf("%s %s: %d", method, path, code)
	if m := Clean(Blot(message, resp.Request), 300); m != "" {
		text += ": " + m
	}
	return fmt.Errorf("%w: %s", kind, text)
}

// Wrap gives an error of the transport the fitting sentinel: ErrTemporary, unless it has one or the
// context ended. The URL that net/http puts into its errors is kept without its query.
func Wrap(err error) error {
	if err == nil {
		return nil
	}
	var u *url.Error
	if errors.As(err, &u) {
		at := u.URL
		if p, perr := url.Parse(u.URL); perr == nil {
			p.RawQuery, p.User = "", nil
			at = p.String()
		}
		err = fmt.Errorf("%s %s: %w", strings.ToUpper(u.Op), at, u.Err)
	}
	for _, s := range []error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict,
		rotate.ErrTemporary, rotate.ErrUnproven, context.Canceled} {
		if errors.Is(err, s) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", rotate.ErrTemporary, err)
}

// Clean makes a foreign text fit for a one-line message: control characters and line breaks become
// spaces, runs of spaces become one, and more than limit bytes are cut at a rune.
func Clean(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// Drain reads the whole body of an answer and closes it.
func Drain(resp *http.Response) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	_, err := b.ReadFrom(resp.Body)
	return b.Bytes(), Wrap(err)
}
