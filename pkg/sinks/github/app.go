package github

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file lends an installation token from a GitHub App. The App's own JSON web token is used for that only;
// the lent token can do what this one secret needs, and ends with [Secret.Close].

// installed is the token of an installation.
type installed struct {
	token rotate.Secret
	ends  time.Time
}

// credential returns what requests carry.
func (s *Secret) credential(ctx context.Context) (rotate.Secret, error) {
	if s.App == nil {
		return s.Token, nil
	}
	if s.lent.token.IsZero() || time.Until(s.lent.ends) < time.Minute {
		var err error
		if s.lent, err = s.lend(ctx); err != nil {
			return rotate.Secret{}, err
		}
	}
	return s.lent.token, nil
}

// permissions is what the lent token is to have. v62's type for them lacks those of variables.
func (s *Secret) permissions() map[string]string {
	var names []string
	switch {
	case s.Org != "":
		names = []string{"organization_secrets", "organization_actions_variables"}
	case s.Environment != "":
		names = []string{"environments", "environments"}
	default:
		names = []string{"secrets", "actions_variables"}
	}
	if !s.keepsMarker() {
		names = names[:1]
	}
	out := map[string]string{}
	for _, n := range names {
		out[n] = "write"
	}
	return out
}

func (s *Secret) lend(ctx context.Context) (installed, error) {
	jwt, err := s.jwt(time.Now())
	if err != nil {
		return installed{}, err
	}
	number := int64(s.App.Installation)
	if number == 0 {
		if number, err = s.installation(ctx, jwt); err != nil {
			return installed{}, err
		}
	}
	in := struct {
		Repositories []string          `json:"repositories,omitempty"`
		Permissions  map[string]string `json:"permissions"`
	}{Permissions: s.permissions()}
	if s.Org == "" {
		_, name, _ := strings.Cut(s.Repository, "/")
		in.Repositories = []string{name}
	}
	var out struct {
		Token       string            `json:"token"`
		Ends        time.Time         `json:"expires_at"`
		Permissions map[string]string `json:"permissions"`
	}
	resp, err := s.send(ctx, jwt, http.MethodPost, fmt.Sprintf("app/installations/%d/access_tokens", number), in, &out)
	switch {
	case status(resp) == http.StatusUnprocessableEntity:
		return installed{}, fmt.Errorf("%w: the App may not do what is needed here: %s (%v)", rotate.ErrDenied, s.rights(), s.explain(err))
	case status(resp) == http.StatusNotFound:
		return installed{}, s.explained(err, "the App has no installation %d", number)
	case err != nil:
		return installed{}, s.explain(err)
	case out.Token == "":
		return installed{}, fmt.Errorf("%w: GitHub answered without a token for the App's installation", rotate.ErrTemporary)
	}
	lent := installed{rotate.NewSecret(out.Token), out.Ends}
	if s.OnSecret != nil {
		s.OnSecret(lent.token)
	}
	for name, level := range in.Permissions {
		if have, said := out.Permissions[name]; out.Permissions != nil && (!said || have != level) {
			_ = s.giveBack(ctx, lent) // it can do less than asked for, and ends by itself within the hour
			return installed{}, fmt.Errorf("%w: the App's token came without %s: %s; %s", rotate.ErrDenied, name, level, s.rights())
		}
	}
	return lent, nil
}

// installation asks which installation of the App sees the place.
func (s *Secret) installation(ctx context.Context, jwt rotate.Secret) (int64, error) {
	at := "repos/" + s.Repository
	if s.Org != "" {
		at = "orgs/" + s.Org
	}
	var out struct {
		ID int64 `json:"id"`
	}
	resp, err := s.send(ctx, jwt, http.MethodGet, at+"/installation", nil, &out)
	if status(resp) == http.StatusNotFound {
		return 0, s.explained(err, "the App is not installed where it could see %s: install it there", s.place())
	}
	return out.ID, s.explain(err)
}

// jwt makes the token by which the App shows itself (docs.github.com, "Generating a JSON Web Token (JWT) for
// a GitHub App"): good for nine minutes, and made a minute ago for clocks that differ.
func (s *Secret) jwt(now time.Time) (rotate.Secret, error) {
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-time.Minute).Unix(),
		"exp": now.Add(9 * time.Minute).Unix(),
		"iss": s.App.ID,
	})
	if err != nil {
		return rotate.Secret{}, err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return rotate.Secret{}, fmt.Errorf("%w: the App's private key cannot sign: %w", rotate.ErrConfig, err)
	}
	jwt := rotate.NewSecret(text + "." + base64.RawURLEncoding.EncodeToString(sig))
	if s.OnSecret != nil {
		s.OnSecret(jwt)
	}
	return jwt, nil
}

// giveBack ends a lent token. One that is dead already is no error.
func (s *Secret) giveBack(ctx context.Context, lent installed) error {
	resp, err := s.send(httpx.Repeatable(ctx), lent.token, http.MethodDelete, "installation/token", nil, nil)
	if status(resp) == http.StatusUnauthorized {
		return nil
	}
	return s.explain(err)
}

// Close ends the token that the App was lent, if there is one.
func (s *Secret) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	lent := s.lent
	s.lent = installed{}
	if lent.token.IsZero() {
		return nil
	}
	if err := s.giveBack(ctx, lent); err != nil {
		return s.failed("close", fmt.Errorf("the App's token lives on until %s: %w", lent.ends.UTC().Format(time.RFC3339), err))
	}
	return nil
}
