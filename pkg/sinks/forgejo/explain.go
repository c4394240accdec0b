package forgejo

// From a status and a message to an error that says what to do. No body of an answer is repeated, only the
// message in it, and not even that if it holds a secret.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"code.gitea.io/sdk/gitea"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// explain turns the outcome of an SDK call that went wrong into an error with a sentinel and with what to
// do. The SDK gives no response when the request itself failed, and otherwise an error that is only the
// server's message. secrets are texts that must not be repeated, should the answer hold them.
func (s *Secret) explain(resp *gitea.Response, err error, secrets ...rotate.Secret) error {
	if resp == nil || resp.Response == nil {
		if err == nil {
			err = errors.New("no answer")
		}
		return httpx.Wrap(err)
	}
	if resp.StatusCode < 300 {
		return s.strange(resp.Response, err)
	}
	message := ""
	if err != nil {
		message = err.Error()
	}
	if strings.HasPrefix(message, "unknown API error") {
		message = "" // a page of some proxy, or nothing: the SDK repeats the whole body
	}
	return s.refused(resp.Response, message, secrets...)
}

// strange reports a success that is not what this API answers.
func (s *Secret) strange(resp *http.Response, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &syntax) && !errors.As(err, &kind) {
		return httpx.Wrap(err) // the connection broke within the body
	}
	return fmt.Errorf("%w: %s: %d, but not what the API of Forgejo or Gitea answers; is url the address of the server?",
		rotate.ErrConfig, request(resp), resp.StatusCode)
}

func request(resp *http.Response) string { return resp.Request.Method + " " + resp.Request.URL.Path }

// refused reports an answer that is no success.
func (s *Secret) refused(resp *http.Response, message string, secrets ...rotate.Secret) error {
	for _, x := range append(secrets, s.Token, s.Current) {
		if !x.IsZero() && strings.Contains(message, x.Reveal()) {
			message = "" // no server is known to repeat what it was sent
		}
	}
	err := httpx.Status(resp.Request.Method, resp.Request.URL.Path, resp, message)
	if hint := s.hint(resp.StatusCode, message); hint != "" {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}

// hint says what the operator does about a refusal.
func (s *Secret) hint(status int, message string) string {
	switch status {
	case http.StatusUnauthorized:
		return "the access token is not valid (any more): make a new one and give it in REMINT_FORGEJO_TOKEN (or token)"
	case http.StatusForbidden:
		if strings.Contains(message, "scope") {
			return "give the access token the scope " + s.where.scope()
		}
		return s.who()
	case http.StatusNotFound:
		switch {
		case s.where.user():
			return "this server has no Actions secrets of users, or Actions are switched off"
		case s.where.org != "":
			return fmt.Sprintf("there is no organization %s on %s, or the access token may not see it", s.where.org, s.wire.URL().Host)
		}
		return fmt.Sprintf("there is no repository %s on %s, or the access token may not see it", s.where, s.wire.URL().Host)
	}
	return ""
}

// who says who may write secrets here (reqOwner and reqOrgOwnership in routers/api/v1/api.go of both servers).
func (s *Secret) who() string {
	switch {
	case s.where.user():
		return "only a user writes their own secrets: give an access token of that user with the scope write:user; a job's own token belongs to none"
	case s.where.org != "":
		return fmt.Sprintf("only an owner of the organization %s (or a site admin) may write its secrets; a job's own token never can: give an access token of an owner with the scope %s",
			s.where.org, s.where.scope())
	}
	return fmt.Sprintf("only the owner of the repository (the user %[1]s, or an owner of the organization %[1]s) or a site admin may write its secrets; a collaborator cannot, even with admin rights, and a job's own token never can: give an access token of an owner with the scope %[2]s, not limited to single repositories",
		s.where.owner, s.where.scope())
}
