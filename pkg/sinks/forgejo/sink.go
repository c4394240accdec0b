package forgejo

// Reading what the secret holds and writing it. The order of writes is the point of this file: see [Secret.Write].

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"code.gitea.io/sdk/gitea"

	"github.com/remint-dev/remint/pkg/rotate"
)

func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// largest is the size of a secret in bytes that Gitea takes at the most (models/secret/secret.go). No limit
// of Forgejo is known; a token of that size is none.
const largest = 65536

// Accept says, without a call, whether the secret could hold the value of c.
func (s *Secret) Accept(c rotate.Credential) error {
	if err := acceptable(c.Secret.Reveal()); err != nil {
		return s.failed("write", err)
	}
	return nil
}

func acceptable(value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%w: the value is empty", rotate.ErrConfig)
	case len(value) > largest:
		return fmt.Errorf("%w: the value has %d bytes; an Actions secret holds %d at the most", rotate.ErrLimit, len(value), largest)
	case strings.ContainsRune(value, '\r'):
		return fmt.Errorf("%w: the value has CR line endings, which Forgejo turns into LF: consumers would read something else", rotate.ErrConfig)
	case !utf8.ValidString(value):
		return fmt.Errorf("%w: the value is not UTF-8, and would be changed on its way", rotate.ErrConfig)
	}
	return nil
}

// Held reads the marker, with one request. With Current it makes none: a secret has no time of change on
// these servers, so whether it changed since the workflow was started cannot be told.
func (s *Secret) Held(ctx context.Context) (rotate.Holding, error) {
	if err := s.setup(); err != nil {
		return rotate.Holding{}, s.failed("held", err)
	}
	if !s.keepsMarker() {
		return rotate.Holding{Secret: s.Current, Snapshot: true, Unmarked: true}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.readMarker(ctx)
	if err != nil {
		return rotate.Holding{}, s.failed("held", err)
	}
	return rotate.Holding{Mark: m, Secret: s.Current, Snapshot: !s.Current.IsZero()}, nil
}

// keepsMarker reports whether a marker variable stands beside the secret: unless current is handed in, or also
// then if the configuration names one. What is handed in then only serves to restore.
func (s *Secret) keepsMarker() bool { return s.Current.IsZero() || s.Marker != "" }

// Write makes the secret hold c. The marker may name an older token than the secret holds, never a newer one,
// at every point at which this can be cut off:
//
//	the marker names an older token, or none: the secret first, then the marker
//	it names a newer one (c is restored):     the marker first, then the secret
//	it names another of the same age or none: the marker is deleted, then as for none
func (s *Secret) Write(ctx context.Context, c rotate.Credential) error {
	if err := s.setup(); err != nil {
		return s.failed("write", err)
	}
	if err := acceptable(c.Secret.Reveal()); err != nil {
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
	if err := s.known(ctx); err != nil {
		return err
	}
	if !s.keepsMarker() {
		return s.put(ctx, c)
	}
	if c.ID == "" {
		return fmt.Errorf("%w: the token has no id, so no marker can name it", rotate.ErrConfig)
	}
	if !s.marker.seen {
		if _, err := s.readMarker(ctx); err != nil {
			return err
		}
	}
	mark := rotate.Mark{Token: c.Token}
	switch old := s.marker.mark.Token; {
	case s.marker.set && old.ID == c.ID:
		return s.put(ctx, c) // the marker, and whether it says verified, stays true
	case s.marker.set && c.Created.Before(old.Created) && !c.Created.IsZero():
		if err := s.writeMarker(ctx, mark); err != nil {
			return err
		}
		return s.put(ctx, c)
	case s.marker.set && (old.Created.IsZero() || !c.Created.After(old.Created)):
		if err := s.dropMarker(ctx); err != nil {
			return err
		}
	}
	if err := s.put(ctx, c); err != nil {
		return err
	}
	return s.writeMarker(ctx, mark)
}

// known makes sure that the list was looked at: for the description, which Gitea overwrites with what is
// sent, and so that a misspelt name creates nothing.
func (s *Secret) known(ctx context.Context) error {
	if s.where.user() {
		return nil
	}
	if !s.listed {
		if err := s.find(ctx); err != nil {
			return err
		}
	}
	return s.missing()
}

// missing reports a secret that is not in the list and must not be created.
func (s *Secret) missing() error {
	if s.exists || s.Create {
		return nil
	}
	return fmt.Errorf("%w: %s has no Actions secret %s; correct the name, create it, or set create: true",
		rotate.ErrNotFound, s.where, strings.ToUpper(s.Name))
}

// put sends the value.
func (s *Secret) put(ctx context.Context, c rotate.Credential) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	resp, err := s.where.putSecret(client, strings.ToUpper(s.Name), c.Secret.Reveal(), s.describe)
	if err != nil || resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		return s.explain(resp, err, c.Secret)
	}
	s.created(resp)
	s.listed, s.exists = true, true
	return nil
}

// created warns of a secret that came to be although it was thought to exist.
func (s *Secret) created(resp *gitea.Response) {
	if resp.StatusCode != http.StatusCreated || s.Create && !s.exists {
		return
	}
	if s.where.user() && !s.exists {
		s.warnings.Add("the secret did not exist and was created; if the name is misspelt, consumers still read another one")
		return
	}
	s.warnings.Add("the secret existed, was deleted meanwhile, and was created anew")
}

// Mark records that t was verified. If the marker says so already nothing is sent.
func (s *Secret) Mark(ctx context.Context, t rotate.Token) error {
	if err := s.setup(); err != nil {
		return s.failed("mark", err)
	}
	if !s.keepsMarker() {
		return nil // there is no marker to say it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.marker.seen {
		if _, err := s.readMarker(ctx); err != nil {
			return s.failed("mark", err)
		}
	}
	switch m := s.marker.mark; {
	case !s.marker.set:
		return s.failed("mark", fmt.Errorf("%w: variable %s is gone; it named what the secret holds", rotate.ErrConflict, s.markerName()))
	case m.Token.ID != t.ID:
		return s.failed("mark", fmt.Errorf("%w: variable %s names token %s, not %s", rotate.ErrConflict, s.markerName(), m.Token.ID, t.ID))
	case m.Verified:
		return nil
	}
	if err := s.writeMarker(ctx, rotate.Mark{Token: t, Verified: true}); err != nil {
		return s.failed("mark", err)
	}
	return nil
}
