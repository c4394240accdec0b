package kubernetessecret

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Held implements [rotate.Holder] with one request. The value comes along, since it was read anyway.
func (s *Secret) Held(ctx context.Context) (rotate.Holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		h, err := s.kept().Held(ctx)
		return h, s.fault("held", err)
	}
	now, err := s.look(ctx)
	if err != nil {
		return rotate.Holding{}, s.fault("held", err)
	}
	if len(now.value) == 0 {
		return rotate.Holding{}, nil
	}
	m, err := s.mark(now)
	switch {
	case errors.Is(err, errByHand):
		s.warnings.Add("it was changed after its marker was written, by hand or by another tool; its value says what it holds")
		return rotate.Holding{Secret: now.secret()}, nil
	case err != nil:
		return rotate.Holding{}, s.fault("held", err)
	}
	return rotate.Holding{Mark: m, Secret: now.secret()}, nil
}

// Read implements [rotate.Reader].
func (s *Secret) Read(ctx context.Context) (rotate.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.look(ctx)
	if err != nil {
		return rotate.Secret{}, s.fault("read", err)
	}
	return now.secret(), nil
}

// Mark implements [rotate.Marker]. If no marker names what the Secret holds, the value must be the one that this process
// last saw there.
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
	now, seen := s.last, s.last
	for range rounds {
		if now == nil {
			var err error
			if now, err = s.look(ctx); err != nil {
				return err
			}
		}
		m, err := s.mark(now)
		unknown := errors.Is(err, errByHand) || m.Token.ID == ""
		switch {
		case err != nil && !unknown:
			return err
		case len(now.value) == 0 || unknown && (seen == nil || !now.same(seen)):
			return fmt.Errorf("%w: its marker does not name token %s, and its value is not known to be that token's", rotate.ErrConflict, t.ID)
		case !unknown && m.Token.ID != t.ID:
			return fmt.Errorf("%w: its marker names token %s, not %s", rotate.ErrConflict, m.Token.ID, t.ID)
		case !unknown && m.Verified:
			return nil
		}
		_, _, key := s.place()
		want := *now
		want.marker = markText(rotate.Mark{Token: t, Verified: true}, check(now, key, now.value))
		if err := s.patch(ctx, now, &want); !errors.Is(err, rotate.ErrConflict) {
			return err
		}
		now = nil
	}
	return errBusy
}
