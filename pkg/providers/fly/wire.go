package fly

// How requests go out and errors come back. Rules:
//
//   - fly-go repeats whatever was answered 502 or 503 or failed in a way that calls itself temporary, mutations
//     too. So neither such an answer nor such an error reaches it: guard turns every answer but 200, and every
//     error of the wire, into an error that nothing above takes for one to repeat. Queries are repeated
//     below guard, by httpx, and nowhere else.
//   - fly-go is given no Logger: it would write down bodies, secrets included.
//   - No text of an answer to a mutation gets into an error. Of an answer to a query only the message of a GraphQL
//     error does, with every part of the credential it was asked with blotted out.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	genqlient "github.com/Khan/genqlient/graphql"
	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/tokens"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// fly-go itself sets no limit to how long a call takes. A query may have to wait for a rate limit.
const (
	mutationTime = time.Minute
	queryTime    = 3 * time.Minute
)

type contextKey int

// mutating marks the context of a mutation, for guard.
const mutating contextKey = iota

// again is how often a query is asked again that Fly.io refused in a way that is known to heal.
const again = 3

// open makes the client on first use.
func (p *Provider) open() error {
	p.once.Do(func() {
		if p.openErr = p.Validate(); p.openErr != nil {
			return
		}
		base := p.URL
		if base == "" {
			base = defaultURL
		}
		if p.wire, p.openErr = httpx.New(base, p.Transport); p.openErr != nil {
			return
		}
		p.wire.Backoff = p.interval() / 10
		credential := tokens.Parse(p.Token.Reveal())
		p.mints = len(credential.GetUserTokens()) > 0
		off, nowhere := false, "" // else fly-go looks for both in the environment
		p.client = flygo.NewClientFromOptions(flygo.ClientOptions{
			Tokens:           credential,
			BaseURL:          strings.TrimSuffix(p.wire.URL().String(), "/"),
			EnableDebugTrace: &off,
			FlyForceRegion:   &nowhere,
			Transport:        &flygo.Transport{UnderlyingTransport: guard{p.wire}, UserAgent: httpx.UserAgent},
		})
	})
	return p.openErr
}

// call is one GraphQL request.
type call struct {
	query string
	vars  map[string]any
	as    string // Authorization other than the minting credential's
}

func (c call) mutates() bool { return strings.HasPrefix(c.query, "mutation") }

// name is the document's own name of the operation.
func (c call) name() string {
	_, rest, _ := strings.Cut(c.query, " ")
	return rest[:strings.IndexAny(rest, "( {")]
}

// ask sends c. What it returns beside an error is what came in spite of it, and may be empty.
func (p *Provider) ask(ctx context.Context, c call) (answer, error) {
	if err := p.open(); err != nil {
		return answer{}, err
	}
	if c.mutates() {
		return p.askOnce(context.WithValue(httpx.Once(ctx), mutating, true), c, mutationTime)
	}
	for n := 0; ; n++ {
		a, err := p.askOnce(httpx.Repeatable(ctx), c, queryTime)
		var r *refusal
		if n >= again || !errors.As(err, &r) || !r.heals {
			return a, err
		}
		if perr := httpx.Sleep(ctx, p.interval()); perr != nil {
			return a, errors.Join(err, perr)
		}
	}
}

func (p *Provider) askOnce(ctx context.Context, c call, limit time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	as := c.as
	if as == "" {
		as = tokens.Parse(p.Token.Reveal()).GraphQLHeader()
	} else {
		ctx = flygo.WithAuthorizationHeader(ctx, c.as)
	}
	var raw json.RawMessage
	err := p.client.GenqClient().MakeRequest(ctx,
		&genqlient.Request{Query: c.query, Variables: c.vars, OpName: c.name()}, &genqlient.Response{Data: &raw})
	var list gqlerror.List
	if err != nil && !errors.As(err, &list) {
		var s *severed
		if errors.As(err, &s) || ctx.Err() != nil {
			return answer{}, httpx.Wrap(err)
		}
		if errors.Is(err, rotate.ErrLimit) {
			return answer{}, err
		}
		// The decoder's own words may quote what it read.
		return answer{}, fmt.Errorf("%w: POST %sgraphql: the answer broke off, or is not what GraphQL answers", rotate.ErrTemporary, p.wire.URL())
	}
	var a answer
	if len(raw) > 0 {
		if derr := json.Unmarshal(raw, &a); derr != nil && len(list) == 0 {
			return a, fmt.Errorf("%w: POST %sgraphql: the answer does not have the form of Fly.io's schema", rotate.ErrTemporary, p.wire.URL())
		}
	}
	if len(list) > 0 {
		return a, refuse(list, c.mutates(), as)
	}
	return a, nil
}

// refusal is a GraphQL error of Fly.io.
type refusal struct {
	kind  error  // one of package rotate's sentinels
	text  string // without a secret
	dead  bool   // Fly.io does not know the credential
	heals bool   // known to pass by itself
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.text }
func (r *refusal) Unwrap() error { return r.kind }

// codeForm is what a code of an error may look like to be repeated to the user.
var codeForm = pattern.New(`^[A-Za-z_]{1,40}$`)

// refuse makes one error of those in an answer. The first decides, unless one says that the credential is
// dead. as is the Authorization the request was sent with.
func refuse(list gqlerror.List, mutation bool, as string) *refusal {
	var first *refusal
	for _, e := range list {
		if e == nil {
			continue
		}
		r := classify(e, mutation, as)
		if first == nil || r.dead && !first.dead {
			first = r
		}
	}
	if first == nil {
		first = &refusal{kind: rotate.ErrTemporary, text: "Fly.io answered with an empty error"}
	}
	return first
}

// classify reads one error. The texts are matched since Fly.io sends no code with some of them; the codes are
// those that github.com/superfly/graphql and flyctl know.
func classify(e *gqlerror.Error, mutation bool, as string) *refusal {
	code, _ := e.Extensions["code"].(string)
	if !codeForm.MatchString(code) {
		code = ""
	}
	message := strings.ToLower(strings.TrimSpace(e.Message))
	r := &refusal{kind: rotate.ErrTemporary}
	var said string
	switch {
	case strings.HasPrefix(message, "not authorized"):
		r.kind, r.heals, said = rotate.ErrDenied, true, "not authorized"
	case code == "UNAUTHORIZED", strings.Contains(message, "must be authenticated"):
		r.kind, r.dead, said = rotate.ErrDenied, true, "the credential is not accepted: expired, revoked or mistyped"
	case code == "NOT_FOUND", strings.HasPrefix(message, "could not find"):
		r.kind, said = rotate.ErrNotFound, "something named in the request does not exist, or is hidden from this credential"
	case code == "INVALID", code == "UNPROCESSABLE", code == "INVALID_ARGUMENTS":
		r.kind, said = rotate.ErrConfig, "the request was found invalid"
	case code == "MAINTENANCE":
		said = "maintenance"
	case code == "SERVER_ERROR", code == "INTERNAL_SERVER_ERROR", code == "SERVICE_UNAVAILABLE",
		strings.Contains(message, "limitedaccesstokenconnection"): // how a list fails now and then
		r.heals, said = true, "the service failed"
	default:
		said = "refused"
	}
	r.text = "Fly.io: " + said
	if code != "" {
		r.text += " (" + code + ")"
	}
	if !mutation {
		if m := blot(httpx.Clean(e.Message, 200), as); m != "" {
			r.text += ": " + m
		}
	}
	return r
}

// tokenForm is what credentials of Fly.io look like.
var tokenForm = pattern.New(`\b(?:fm2|fm1r|fm1a|fo1)_[A-Za-z0-9+/=_-]*`)

// blot removes from text whatever looks like a credential, and each part of the Authorization as.
func blot(text, as string) string {
	for part := range strings.SplitSeq(tokens.StripAuthorizationScheme(as), ",") {
		if part = strings.TrimSpace(part); part != "" {
			text = strings.ReplaceAll(text, part, "[secret]")
		}
	}
	return tokenForm.ReplaceAllString(text, "[secret]")
}

// guard lets only answers with status 200 through.
type guard struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, sever(err, 0)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	message := ""
	if r.Context().Value(mutating) == nil {
		message = graphQLMessage(resp.Body, r.Header.Get("Authorization"))
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		message = strings.TrimSpace(message + " (Retry-After: " + httpx.Clean(after, 40) + ")")
	}
	err = httpx.Status(r.Method, r.URL.Path, resp, message)
	if err == nil {
		err = fmt.Errorf("%w: %s %s: unexpected status %d", rotate.ErrTemporary, r.Method, r.URL.Path, resp.StatusCode)
	}
	return nil, sever(err, resp.StatusCode)
}

// graphQLMessage returns the first GraphQL error in the body of a failed query, or "".
func graphQLMessage(body io.Reader, as string) string {
	var a struct {
		Errors []struct{ Message string }
	}
	if json.NewDecoder(io.LimitReader(body, 1<<16)).Decode(&a) != nil || len(a.Errors) == 0 {
		return ""
	}
	return blot(httpx.Clean(a.Errors[0].Message, 200), as)
}

// severed is an error of the wire that has lost whatever could make fly-go or rehttp send the request
// again: the method Temporary, which even the end of a context has, and the error number in it.
type severed struct {
	kind   error
	text   string
	status int // 0: there was no answer
}

func (s *severed) Error() string { return s.text }
func (s *severed) Unwrap() error { return s.kind }

func sever(err error, status int) error {
	for _, kind := range []error{context.Canceled, context.DeadlineExceeded, rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound,
		rotate.ErrLimit, rotate.ErrConflict, rotate.ErrTemporary} {
		if errors.Is(err, kind) {
			return &severed{kind, err.Error(), status}
		}
	}
	return &severed{rotate.ErrTemporary, rotate.ErrTemporary.Error() + ": " + err.Error(), status}
}
