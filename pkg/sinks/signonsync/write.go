package signonsync

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Write implements [rotate.Sink]: it runs the sync Job unless the Secret holds the credential already, which the nightly
// one may have seen to.
func (s *Sync) Write(ctx context.Context, c rotate.Credential) error {
	return s.fault("write", s.write(ctx, c))
}

func (s *Sync) write(ctx context.Context, c rotate.Credential) error {
	if err := s.ready(); err != nil {
		return err
	}
	if c.Secret.IsZero() {
		return fmt.Errorf("%w: there is no secret to look for in what Signon writes", rotate.ErrConfig)
	}
	before, err := s.read(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.last == nil || s.last.newborn.ID != c.ID { // written again, it replaces nothing
		s.last = &write{c, before}
	}
	s.mu.Unlock()
	if before.Equal(c.Secret) {
		return nil
	}
	now, err := s.sync(ctx, c)
	switch {
	case err != nil:
		return err
	case now.Equal(c.Secret):
		return nil
	case now.Equal(before):
		return fmt.Errorf("%w: Signon's sync Job completed, but the Secret holds what it held: another token of the pair lives longer, or the Job ran before the newborn was made", rotate.ErrConflict)
	}
	return fmt.Errorf("%w: Signon's sync Job completed, but the Secret holds another token: one that lives longer, or another pair's whose names make the same Secret", rotate.ErrConflict)
}

// sync runs the Job, again if it failed, and returns what the Secret holds then.
func (s *Sync) sync(ctx context.Context, c rotate.Credential) (rotate.Secret, error) {
	var err error
	for range attempts {
		// That a Job failed says nothing of the newborn: it was not handed out.
		if err = s.run().Verify(ctx, c); err == nil || errors.Is(err, rotate.ErrUnproven) {
			break
		}
	}
	if err != nil {
		return rotate.Secret{}, err
	}
	return s.read(ctx)
}

// Undo implements [rotate.Undoer]: it revokes what was written last, since Signon would write it again, and syncs.
func (s *Sync) Undo(ctx context.Context) error { return s.fault("undo", s.undo(ctx)) }

func (s *Sync) undo(ctx context.Context) error {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return fmt.Errorf("%w: nothing was written that could be undone", rotate.ErrConfig)
	}
	if err := s.ready(); err != nil {
		return err
	}
	if last.before.IsZero() {
		return fmt.Errorf("%w: the Secret held nothing before, so there is nothing to put back", rotate.ErrConflict)
	}
	if last.before.Equal(last.newborn.Secret) {
		return fmt.Errorf("%w: Signon had handed the newborn out before it was written, so what the Secret held before is not known", rotate.ErrConflict)
	}
	if err := s.Signon.Revoke(ctx, last.newborn.Token); err != nil {
		return err
	}
	now, err := s.sync(ctx, rotate.Credential{Token: rotate.Token{Name: "what the Secret held before"}, Secret: last.before})
	if err != nil {
		return fmt.Errorf("the newborn is revoked, and the Secret still holds it: run Signon's sync Job by hand: %w", err)
	}
	if !now.Equal(last.before) {
		return fmt.Errorf("%w: Signon's sync Job completed after the newborn was revoked, but the Secret does not hold what it held before", rotate.ErrConflict)
	}
	s.mu.Lock()
	s.last = nil
	s.mu.Unlock()
	return nil
}
