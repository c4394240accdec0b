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

	"github.com/remint-dev/remint/pkg/rotate"
)

// soon is how long before the end of the credential itself Check warns.
const soon = 14 * 24 * time.Hour

// Check asks, without changing anything, whether the place, the secret and the marker are there and may be
// seen: with two requests, and one more if the marker was not read yet. That the credential may also write is
// known of classic tokens (by their scopes) and of Apps (by what they were lent) only.
func (s *Secret) Check(ctx context.Context) error {
	if err := s.setup(); err != nil {
		return s.failed("check", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	fault := func(err error) {
		if err != nil {
			errs = append(errs, s.failed("check", err))
		}
	}
	if err := s.fetchKey(ctx); err != nil {
		fault(err)
		if !errors.Is(err, rotate.ErrTemporary) && !errors.Is(err, rotate.ErrLimit) {
			return errors.Join(errs...) // the place cannot be seen, so nothing in it can
		}
	}
	fault(s.look(ctx))
	if s.keepsMarker() && !s.marker.seen {
		fault(s.readMarker(ctx))
	}
	s.expires()
	return errors.Join(errs...)
}

// look asks for the secret, and reads from the same answer what a classic token may do.
func (s *Secret) look(ctx context.Context) error {
	var now github.Secret
	resp, err := s.call(ctx, http.MethodGet, s.secretPath(), nil, &now)
	s.exists = err == nil
	switch {
	case status(resp) == http.StatusNotFound && s.Create:
	case status(resp) == http.StatusNotFound:
		return s.missing(err)
	case err != nil:
		return s.explain(err)
	}
	need := "repo"
	if s.Org != "" {
		need = "admin:org"
	}
	if scopes, classic := scopesOf(resp); classic && !slices.Contains(scopes, need) {
		return fmt.Errorf("%w: the classic token has the scopes %q; writing secrets of %s needs %s", rotate.ErrDenied, strings.Join(scopes, ", "), s.place(), need)
	}
	return nil
}

// scopesOf returns the scopes of a classic token; false for other credentials, whose answers have none.
func scopesOf(resp *github.Response) ([]string, bool) {
	list := resp.Header.Values("X-OAuth-Scopes")
	if len(list) == 0 {
		return nil, false
	}
	return strings.FieldsFunc(strings.Join(list, ","), func(r rune) bool { return r == ',' || r == ' ' }), true
}

// expires warns of the end of the credential itself.
func (s *Secret) expires() {
	if left := time.Until(s.expiry); !s.expiry.IsZero() && left < soon {
		s.warnings.Add("the token that writes this secret (REMINT_GITHUB_TOKEN) expires at %s, in %d days; renew it, remint cannot", s.expiry.UTC().Format(time.RFC3339), int(left.Hours()/24))
	}
}

// Warnings returns what came up since it was last called.
func (s *Secret) Warnings() []string { return s.warnings.Take() }
