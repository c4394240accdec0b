package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Held implements [rotate.Holder] with one request, after a login where one is needed. The value comes along, since it
// was read anyway.
func (s *Secret) Held(ctx context.Context) (rotate.Holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		h, err := s.kept().Held(ctx)
		return h, s.fault("held", err)
	}
	n, err := s.look(ctx)
	if err != nil {
		return rotate.Holding{}, s.fault("held", err)
	}
	if n.value.IsZero() {
		return rotate.Holding{}, nil
	}
	m, err := s.mark(n)
	switch {
	case errors.Is(err, errByHand):
		if !s.unmarked {
			s.warnings.Add("it was changed after its marker was written: by hand, by another tool, or by a run that was not allowed to write the marker; its value says what it holds")
		}
		return rotate.Holding{Secret: n.value}, nil
	case err != nil:
		return rotate.Holding{}, s.fault("held", err)
	}
	return rotate.Holding{Mark: m, Secret: n.value}, nil
}

// Read implements [rotate.Reader].
func (s *Secret) Read(ctx context.Context) (rotate.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.look(ctx)
	if err != nil {
		return rotate.Secret{}, s.fault("read", err)
	}
	return n.value, nil
}

// Mark implements [rotate.Marker]. If no marker names what the secret holds, the value must be the one that this process
// last saw there. A value that is written meanwhile is not marked: the marker has a check of its value.
func (s *Secret) Mark(ctx context.Context, t rotate.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		return s.fault("mark", s.kept().Mark(ctx, t))
	}
	return s.fault("mark", s.verified(ctx, t))
}

func (s *Secret) verified(ctx context.Context, t rotate.Token) error {
	if t.ID == "" {
		return fmt.Errorf("%w: the token has no id, so no marker can name it", rotate.ErrConfig)
	}
	if s.unmarked {
		return nil
	}
	seen := s.last
	n, err := s.look(ctx)
	if err != nil {
		return err
	}
	m, err := s.mark(n)
	unknown := errors.Is(err, errByHand) || m.Token.ID == ""
	switch {
	case err != nil && !unknown:
		return err
	case n.value.IsZero() || unknown && (seen == nil || !n.same(seen)):
		return fmt.Errorf("%w: its marker does not name token %s, and its value is not known to be that token's", rotate.ErrConflict, t.ID)
	case !unknown && m.Token.ID != t.ID:
		return fmt.Errorf("%w: its marker names token %s, not %s", rotate.ErrConflict, m.Token.ID, t.ID)
	case !unknown && m.Verified:
		return nil
	}
	return s.note(ctx, n, s.markText(rotate.Mark{Token: t, Verified: true}, n.value))
}
