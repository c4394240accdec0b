package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file sends requests and says what became of them. The caller holds mu.

// call sends one request with the credential of the configuration. path is relative to the API; body and
// into are JSON, nil for none.
func (s *Secret) call(ctx context.Context, method, path string, body, into any) (*github.Response, error) {
	credential, err := s.credential(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := s.send(ctx, credential, method, path, body, into)
	if resp != nil && resp.Response != nil {
		s.expiry = expiration(resp)
	}
	return resp, err
}

func (s *Secret) send(ctx context.Context, bearer rotate.Secret, method, path string, body, into any) (*github.Response, error) {
	// A client of v62 remembers the rate limit of its last answer and then refuses the next request by itself, with
	// an answer it makes up. So each request has a client of its own, and the limits are the transport's.
	gh := github.NewClient(s.wire.Client())
	gh.BaseURL, gh.UserAgent = s.wire.URL(), httpx.UserAgent
	req, err := gh.NewRequest(method, path, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	s.bearer = bearer
	return gh.Do(ctx, req, into)
}

// change sends a request that changes something. Any success but those that GitHub documents is an answer of somebody else,
// a proxy's page for instance, after which nobody knows whether something was changed.
func (s *Secret) change(ctx context.Context, method, path string, body any, due ...int) (*github.Response, error) {
	resp, err := s.call(ctx, method, path, body, nil)
	if err == nil && !slices.Contains(due, resp.StatusCode) {
		return resp, strange(resp)
	}
	return resp, err
}

// strange reports a success that is not what GitHub answers.
func strange(resp *github.Response) error {
	return fmt.Errorf("%w: %s %s: %d, which is not what GitHub answers; is url the address of its API, and does a proxy stand before it?",
		rotate.ErrTemporary, resp.Request.Method, resp.Request.URL.EscapedPath(), resp.StatusCode)
}

// expiration reads when the credential of the request expires. The library knows one of the two forms in
// which GitHub writes it as a time zone without offset, so both are read here.
func expiration(resp *github.Response) time.Time {
	text := resp.Header.Get("GitHub-Authentication-Token-Expiration")
	for _, form := range []string{"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"} {
		if t, err := time.Parse(form, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

// status is the status of GitHub's answer, or 0 if there was none.
func status(resp *github.Response) int {
	if resp == nil || resp.Response == nil {
		return 0
	}
	return resp.StatusCode
}

// explain turns what went wrong into an error with a sentinel, and says what to do.
func (s *Secret) explain(err error) error {
	var (
		rate   *github.RateLimitError
		abuse  *github.AbuseRateLimitError
		answer *github.ErrorResponse
		second *github.TwoFactorAuthError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &rate):
		return fmt.Errorf("%w: GitHub's rate limit for this credential is used up until %s", rotate.ErrLimit, rate.Rate.Reset.UTC().Format(time.RFC3339))
	case errors.As(err, &abuse):
		return fmt.Errorf("%w: GitHub's secondary rate limit: %s", rotate.ErrLimit, s.clean(abuse.Message))
	case errors.As(err, &second):
		return fmt.Errorf("%w: GitHub asks for a one-time password; use an access token", rotate.ErrDenied)
	case !errors.As(err, &answer):
		return httpx.Wrap(err)
	}
	message := answer.Message
	for _, e := range answer.Errors {
		message += "; " + strings.Join(strings.Fields(e.Resource+" "+e.Field+" "+e.Code+" "+e.Message), " ")
	}
	resp, req := answer.Response, answer.Response.Request
	if strings.HasPrefix(answer.Message, secondary) { // without the headers by which the transport knows a limit
		return fmt.Errorf("%w: GitHub's secondary rate limit: %s", rotate.ErrLimit, s.clean(message))
	}
	err = httpx.Status(req.Method, req.URL.EscapedPath(), resp, s.clean(message))
	if advice := s.advice(resp, answer.Message); advice != "" && errors.Is(err, rotate.ErrDenied) {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

// explained is explain with what the refusal means here.
func (s *Secret) explained(err error, format string, args ...any) error {
	return fmt.Errorf("%w; %s", s.explain(err), fmt.Sprintf(format, args...))
}

// secondary begins the message of a secondary rate limit (docs.github.com, "Troubleshooting the REST API").
const secondary = "You have exceeded a secondary rate limit"

// clean makes a foreign text fit for a message, without the credential if the server repeats it.
func (s *Secret) clean(text string) string {
	if t := s.bearer.Reveal(); t != "" {
		text = strings.ReplaceAll(text, t, s.bearer.String())
	}
	return httpx.Clean(text, 300)
}

// advice says what to do about a refusal.
func (s *Secret) advice(resp *http.Response, message string) string {
	switch {
	case resp.StatusCode == http.StatusUnauthorized && s.App != nil:
		return "the App's id and key do not belong together, the key was deleted, or this machine's clock is wrong"
	case resp.StatusCode == http.StatusUnauthorized:
		return "the token (REMINT_GITHUB_TOKEN) is expired, revoked or mistyped; make a new one"
	}
	text := s.rights()
	if asked := resp.Header.Get("X-Accepted-GitHub-Permissions"); asked != "" {
		text += " (GitHub asks here for " + httpx.Clean(asked, 100) + ")"
	}
	if message == "Resource not accessible by integration" && s.App == nil {
		text = "the job's own GITHUB_TOKEN can never write secrets or variables, whatever permissions the workflow gives it: put a token of your own, or an App's, into REMINT_GITHUB_TOKEN; " + text
	}
	return text
}

// rights says what the credential needs.
func (s *Secret) rights() string {
	fine, classic, on := `Secrets: write`, "repo", "repository "+s.Repository
	if s.keepsMarker() {
		fine += ` and Variables: write (or hand in current, then no variable is needed)`
	}
	switch {
	case s.Org != "":
		fine, classic, on = "the organization permissions "+fine, "admin:org", s.place()
	case s.Environment != "":
		fine = `Environments: write`
	}
	if s.App != nil {
		return "grant the App, and its installation, " + fine
	}
	return fmt.Sprintf("grant a fine-grained token %s on %s, or a classic token the scope %s", fine, on, classic)
}
