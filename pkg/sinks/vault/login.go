package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file gets a token for the run: the runner's OIDC token, which lives for minutes and is never kept, is shown to the
// auth method jwt, and the token that this gives is revoked when the run is over.

func (j *JWT) validate() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, rotate.Field("auth.jwt."+field, format, args...))
	}
	if j.Role == "" {
		bad("role", "give the role of the auth method")
	}
	if !plainPath(j.path()) {
		bad("path", "%q is not the path of an auth method", j.Path)
	}
	if j.OIDCURL != "" { // off a runner there is none, which is said when it is needed
		if u, err := url.Parse(j.OIDCURL); err != nil {
			bad("oidc-url", "not a URL")
		} else if _, err := httpx.Base(u.Scheme + "://" + u.Host); err != nil {
			bad("oidc-url", "%w", err)
		}
	}
	return errs
}

func (j *JWT) path() string {
	if j.Path == "" {
		return "jwt"
	}
	return strings.Trim(strings.TrimPrefix(strings.Trim(j.Path, "/"), "auth/"), "/")
}

// signedIn reports whether there is a token to show.
func (s *Secret) signedIn() bool { return s.Auth == nil || !s.session.IsZero() }

// login makes the connection, and gets a token if none is given.
func (s *Secret) login(ctx context.Context) error {
	if err := s.open(); err != nil {
		return err
	}
	if s.signedIn() {
		return nil
	}
	j := s.Auth.JWT
	text, err := s.identityToken(ctx, j)
	if err != nil {
		return err
	}
	at := path("auth", j.path(), "login")
	r, resp, err := s.call(httpx.Once(ctx), http.MethodPost, at, map[string]string{"role": j.Role, "jwt": text.Reveal()}, "application/json")
	if err != nil {
		return err
	}
	if r.status != http.StatusOK {
		said := strings.ReplaceAll(r.said(), text.Reveal(), "[secret]")
		err := explain(http.MethodPost, at, resp, said, fmt.Sprintf("see that role %s of auth/%s/ is bound to this repository and branch, and names the audience of the job's OIDC token", j.Role, j.path()))
		if resp.StatusCode == http.StatusBadRequest { // so it answers a token that the role does not take
			err = refusal{fmt.Errorf("%w: %w", rotate.ErrDenied, err)}
		}
		return err
	}
	var got struct {
		Token string `json:"client_token"`
	}
	if json.Unmarshal(r.Auth, &got) != nil || got.Token == "" || strings.ContainsAny(got.Token, " \t\r\n\x00") {
		return strange(http.MethodPost, at, r.status)
	}
	s.session = rotate.NewSecret(got.Token)
	s.tell(s.session)
	return nil
}

// identityToken asks the runner for the job's OIDC token.
func (s *Secret) identityToken(ctx context.Context, j *JWT) (rotate.Secret, error) {
	none := func(err error) (rotate.Secret, error) {
		if ctx.Err() != nil {
			return rotate.Secret{}, ctx.Err()
		}
		return rotate.Secret{}, fmt.Errorf("the runner gave no OIDC token: %w", err)
	}
	if j.OIDCURL == "" || j.OIDCBearer.IsZero() {
		return none(fmt.Errorf("%w: the job gets none: give it the permission id-token: write (on Forgejo and Gitea enable-openid-connect: true)", rotate.ErrConfig))
	}
	u, err := url.Parse(j.OIDCURL)
	if err != nil {
		return none(fmt.Errorf("%w: oidc-url is not a URL", rotate.ErrConfig))
	}
	if j.Audience != "" {
		q := u.Query()
		q.Set("audience", j.Audience)
		u.RawQuery = q.Encode()
	}
	t, err := httpx.New(u.Scheme+"://"+u.Host, s.Transport)
	if err != nil {
		return none(err)
	}
	t.MaxBody = 1 << 20
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+j.OIDCBearer.Reveal())
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return none(fmt.Errorf("%w: oidc-url is not a URL", rotate.ErrConfig))
	}
	resp, err := t.Client().Do(req)
	if err != nil {
		return none(httpx.Wrap(err))
	}
	body, err := httpx.Drain(resp)
	if err != nil {
		return none(err)
	}
	if err := httpx.Status(http.MethodGet, u.Path, resp, ""); err != nil {
		return none(err)
	}
	var answer struct{ Value string }
	if json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return none(fmt.Errorf("%w: its answer has no value", rotate.ErrTemporary))
	}
	jwt := rotate.NewSecret(answer.Value)
	s.tell(jwt)
	return jwt, nil
}

func (s *Secret) tell(secret rotate.Secret) {
	if s.OnSecret != nil {
		s.OnSecret(secret)
	}
}

// Close implements [rotate.Closer]: the token that a login gave is revoked.
func (s *Secret) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session.IsZero() {
		return nil
	}
	const at = "auth/token/revoke-self"
	r, resp, err := s.call(httpx.Repeatable(ctx), http.MethodPost, at, nil, "")
	s.session, s.last = rotate.Secret{}, nil
	switch {
	case err != nil:
		return s.fault("close", err)
	case r.status == http.StatusNoContent || r.status == http.StatusOK || r.status == http.StatusForbidden: // gone already
		return nil
	}
	return s.fault("close", explain(http.MethodPost, at, resp, r.said(), ""))
}
