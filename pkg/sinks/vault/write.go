package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file writes and takes back. Another key may change at any time; then the write is made anew for the version that
// is there now. A change of this very key is somebody's decision and ends the attempt.

const (
	// rounds is how often a write starts over because there is a later version each time.
	rounds = 4
	// looks is how often a reading that is still behind what was written is repeated (performance standbys).
	looks = 4
)

// change is what a write replaced, and with what.
type change struct {
	from *sight
	to   rotate.Secret
}

// Write implements [rotate.Sink]. The first request is the write itself if this process knows the secret, and a look
// otherwise.
func (s *Secret) Write(ctx context.Context, c rotate.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accept(c); err != nil {
		return s.fault("write", err)
	}
	if err := s.login(ctx); err != nil {
		return s.fault("write", err)
	}
	if s.Keeps() {
		return s.fault("write", s.kept().Write(ctx, c))
	}
	return s.fault("write", s.write(ctx, c))
}

func (s *Secret) write(ctx context.Context, c rotate.Credential) error {
	before, first := s.undo, s.last
	n, err := s.settle(ctx, c.Secret, true, func(n *sight) error {
		if first == nil {
			first = n
		}
		if _, err := s.mark(n); err != nil && !errors.Is(err, errByHand) {
			return refusal{err}
		}
		switch {
		case n.value.Equal(c.Secret):
			return nil
		case !n.same(first):
			return refusal{fmt.Errorf("%w: somebody else wrote this key after it was looked at; their value is left alone", rotate.ErrConflict)}
		case !n.has && !s.CreateKey:
			return refusal{s.noKey()}
		}
		s.undo = &change{n, c.Secret} // also if the answer gets lost
		return nil
	})
	if err != nil {
		if refused(err) {
			s.undo = before
		}
		return err
	}
	if s.names(n, c.ID) {
		return nil // if the marker says verified, that stays true
	}
	return s.note(ctx, n, s.markText(rotate.Mark{Token: c.Token}, c.Secret))
}

// noKey does not list the keys that there are: their names may be as private as what they hold.
func (s *Secret) noKey() error {
	return fmt.Errorf("%w: the secret has no key %q; check the spelling, put it there by hand once, or set create-key", rotate.ErrNotFound, s.Key)
}

// settle writes until the key is read to hold a value, or not to be there, and returns what was read. may is asked
// before each attempt.
func (s *Secret) settle(ctx context.Context, value rotate.Secret, has bool, may func(*sight) error) (*sight, error) {
	n, fresh := s.last, false
	var lost error
	for range rounds {
		if n == nil {
			var err error
			if n, err = s.look(ctx); err != nil {
				if lost != nil {
					return nil, fmt.Errorf("%w; and it cannot be read back: %w", lost, err)
				}
				return nil, err
			}
			fresh = true
		}
		if err := may(n); err != nil {
			return nil, err
		}
		if n.has == has && n.value.Equal(value) {
			if fresh {
				return n, nil
			}
			n = nil // that nothing need be done is seen, not remembered
			continue
		}
		version, err := s.put(ctx, n, value, has)
		switch {
		case err == nil:
			return s.readBack(ctx, version, value, has)
		case refused(err):
			return nil, err
		case errors.Is(err, errStale):
			lost = nil
		case ctx.Err() != nil:
			return nil, err
		default:
			lost = err // the version guards a second attempt
		}
		n = nil
	}
	if lost != nil {
		return nil, lost
	}
	return nil, fmt.Errorf("%w: later versions were written again and again meanwhile; see what writes this secret so often", rotate.ErrConflict)
}

// readBack reads what consumers read and compares. A version that somebody else made on top of ours is right too if it
// has the value.
func (s *Secret) readBack(ctx context.Context, version int64, value rotate.Secret, has bool) (*sight, error) {
	for k := 1; ; k++ {
		n, err := s.look(ctx)
		switch {
		case err != nil:
			if refused(err) { // the reading was, not the write
				err = fmt.Errorf("%w: version %d was written and cannot be read back: %v", rotate.ErrTemporary, version, err)
			}
			return nil, err
		case n.has == has && n.value.Equal(value):
			return n, nil
		case n.version > version:
			return nil, fmt.Errorf("%w: somebody else wrote version %d just after this was written as version %d", rotate.ErrConflict, n.version, version)
		case k == looks:
			return nil, fmt.Errorf("%w: what was written as version %d is not what is read back (version %d)", rotate.ErrTemporary, version, n.version)
		}
		if err := httpx.Sleep(ctx, s.interval()); err != nil {
			return nil, err
		}
	}
}

// interval is the wait before something is looked at again.
func (s *Secret) interval() time.Duration {
	if s.Interval > 0 {
		return s.Interval
	}
	return time.Second
}

// Undo implements [rotate.Undoer]: the key and the marker as they were in the version that the last write replaced, as a
// version of its own, unless somebody else wrote the key since. With previous, value and former value change places.
func (s *Secret) Undo(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		return s.fault("undo", s.kept().Undo(ctx))
	}
	return s.fault("undo", s.takeBack(ctx))
}

func (s *Secret) takeBack(ctx context.Context) error {
	u := s.undo
	if u == nil {
		return fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict)
	}
	if err := s.login(ctx); err != nil {
		return err
	}
	n, err := s.settle(ctx, u.from.value, u.from.has, func(n *sight) error {
		if !n.value.Equal(u.to) && !n.same(u.from) {
			return refusal{fmt.Errorf("%w: somebody else wrote this key since, so it was not put back", rotate.ErrConflict)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.note(ctx, n, u.from.marker); err != nil {
		return err
	}
	s.undo = nil
	return nil
}
