package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// largest is the size of a secret in bytes that GitHub takes at the most (docs.github.com, "Secrets
// reference": 48 KB).
const largest = 48 << 10

// wrote is what this process put into the secret.
type wrote struct {
	token    rotate.Token
	at       time.Time // by GitHub's clock
	verified bool
}

// Accept says, without a call, whether the secret could hold the value of c.
func (s *Secret) Accept(c rotate.Credential) error {
	if err := s.acceptable(c); err != nil {
		return s.failed("accept", err)
	}
	return nil
}

func (s *Secret) acceptable(c rotate.Credential) error {
	switch n := len(c.Secret.Reveal()); {
	case n == 0:
		return fmt.Errorf("%w: the value is empty", rotate.ErrConfig)
	case n > largest:
		return fmt.Errorf("%w: the value has %d bytes; an Actions secret holds %d at the most", rotate.ErrLimit, n, largest)
	case c.ID == "" && s.keepsMarker():
		return fmt.Errorf("%w: the token has no id, so no marker can name it", rotate.ErrConfig)
	}
	return nil
}

// Write makes the secret hold c. The marker may name an older token than the secret holds, never a newer one,
// at every point at which this can be cut off:
//
//	the marker names an older token, or none: the secret first, then the marker
//	it names c already:                       the secret only
//	it names a newer one (c is restored):     the marker first, then the secret
//	which of the two is newer is not known:   the marker is deleted, then as for none
func (s *Secret) Write(ctx context.Context, c rotate.Credential) error {
	if err := s.setup(); err != nil {
		return s.failed("write", err)
	}
	if err := s.acceptable(c); err != nil {
		return s.failed("write", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(ctx, c); err != nil {
		return s.failed("write", err)
	}
	return nil
}

func (s *Secret) write(ctx context.Context, c rotate.Credential) error {
	if !s.keepsMarker() {
		return s.put(ctx, c)
	}
	if !s.marker.seen {
		if err := s.readMarker(ctx); err != nil {
			return err
		}
	}
	mark := rotate.Mark{Token: c.Token}
	switch old := s.marker.mark.Token; {
	case !s.marker.set, older(old, c.Token):
	case old.ID == c.ID:
		return s.put(ctx, c) // the marker, and whether it says verified, stays true
	case older(c.Token, old):
		if err := s.writeMarker(ctx, mark); err != nil {
			return err
		}
		return s.put(ctx, c)
	default:
		if err := s.dropMarker(ctx); err != nil {
			return err
		}
	}
	if err := s.put(ctx, c); err != nil {
		return err
	}
	return s.writeMarker(ctx, mark)
}

// older reports that a is known to be older than b.
func older(a, b rotate.Token) bool {
	return a.ID != b.ID && !a.Created.IsZero() && !b.Created.IsZero() && a.Created.Before(b.Created)
}

// audience is who may read an organization's secret or variable. The library's types leave out an empty
// selection, which would be another selection.
type audience struct {
	Visibility string   `json:"visibility,omitempty"`
	Selected   *[]int64 `json:"selected_repository_ids,omitempty"`
}

// maxPages bounds the list of an organization's repositories that may read a secret.
const maxPages = 200

// readers returns who may read the organization's secret now.
func (s *Secret) readers(ctx context.Context) (audience, error) {
	var now github.Secret
	resp, err := s.call(ctx, http.MethodGet, s.secretPath(), nil, &now)
	if status(resp) == http.StatusNotFound {
		return audience{}, s.missing(err)
	}
	if err != nil {
		return audience{}, s.explain(err)
	}
	if now.Visibility == "" {
		return audience{}, fmt.Errorf("%w: GitHub did not say who may read the secret; it is not written, since that would choose anew", rotate.ErrTemporary)
	}
	who := audience{Visibility: now.Visibility}
	if now.Visibility != "selected" {
		return who, nil
	}
	ids := []int64{}
	for page, asked := 1, 0; page > 0; asked++ {
		if asked == maxPages {
			return audience{}, fmt.Errorf("%w: GitHub lists more than %d repositories that may read the secret; make its visibility all or private", rotate.ErrLimit, 100*maxPages)
		}
		var list struct { // the library's type has all of every repository, a thousand times as much
			Total        int `json:"total_count"`
			Repositories []struct {
				ID int64 `json:"id"`
			} `json:"repositories"`
		}
		resp, err := s.call(ctx, http.MethodGet, fmt.Sprintf("%s/repositories?per_page=100&page=%d", s.secretPath(), page), nil, &list)
		if err != nil {
			return audience{}, fmt.Errorf("the repositories that may read the secret: %w", s.explain(err))
		}
		for _, r := range list.Repositories {
			ids = append(ids, r.ID)
		}
		if page = resp.NextPage; page == 0 && list.Total != len(ids) {
			return audience{}, fmt.Errorf("%w: GitHub listed %d of the %d repositories that may read the secret; it is not written, since that would drop the others",
				rotate.ErrConflict, len(ids), list.Total)
		}
	}
	who.Selected = &ids
	return who, nil
}

// put seals the value and sends it. A refusal that a replaced public key could explain is tried once more, if
// the key was replaced.
func (s *Secret) put(ctx context.Context, c rotate.Credential) error {
	var who audience
	if s.Org != "" {
		var err error
		if who, err = s.readers(ctx); err != nil {
			return err
		}
		s.exists, s.marker.readers = true, who
	}
	if s.public.at.IsZero() || time.Since(s.public.at) > keyAge {
		if err := s.fetchKey(ctx); err != nil {
			return err
		}
	}
	resp, err := s.putSealed(ctx, c.Secret, who)
	if err != nil && errors.Is(s.explain(err), rotate.ErrConfig) {
		old := s.public.id
		if s.fetchKey(ctx) == nil && s.public.id != old {
			resp, err = s.putSealed(ctx, c.Secret, who)
		}
	}
	switch {
	case status(resp) == http.StatusNotFound:
		s.public = publicKey{} // the place went away meanwhile, and its key with it
		return s.explained(err, "%s is gone, or the credential may only read it: %s", s.place(), s.rights())
	case err != nil:
		return s.explain(err)
	}
	if resp.StatusCode == http.StatusCreated && (!s.Create || s.exists) {
		s.warnings.Add("the secret did not exist and was created, though it was expected to be there; consumers may read another one (name, environment or organization)")
	}
	s.exists = true
	at := time.Now()
	if skew, ok := s.wire.Skew(); ok {
		at = at.Add(skew)
	}
	s.wrote = &wrote{token: c.Token, at: at}
	return nil
}

func (s *Secret) putSealed(ctx context.Context, value rotate.Secret, who audience) (*github.Response, error) {
	sealed, err := s.public.seal(value)
	if err != nil {
		return nil, err
	}
	body := struct {
		Value string `json:"encrypted_value"`
		KeyID keyID  `json:"key_id"`
		audience
	}{sealed, s.public.id, who}
	return s.change(httpx.Repeatable(ctx), http.MethodPut, s.secretPath(), body, http.StatusCreated, http.StatusNoContent)
}

// missing reports a secret that is not there and must not be created.
func (s *Secret) missing(err error) error {
	return s.explained(err, "%s has no Actions secret %s: correct the name, create the secret, or (not for an organization) set create: true", s.place(), s.Name)
}
