package kubernetessecret

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file writes and takes back. The object changes often for reasons that are none of ours, such as a label; then the
// patch is made anew for what is there now. A change of this very key is somebody's decision and ends the attempt.

// rounds is how often the object is looked at and patched before that is given up.
const rounds = 4

var errBusy = fmt.Errorf("%w: the Secret changed again and again while it was being patched; see what writes it so often", rotate.ErrConflict)

// change is what a write replaced, and with what.
type change struct{ from, to *sight }

// Write implements [rotate.Sink]. The first request is the patch itself if this process knows the object, and a look
// otherwise.
func (s *Secret) Write(ctx context.Context, c rotate.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		if err := s.accept(c); err != nil {
			return s.fault("write", err)
		}
		return s.fault("write", s.kept().Write(ctx, c))
	}
	return s.fault("write", s.write(ctx, c))
}

func (s *Secret) write(ctx context.Context, c rotate.Credential) error {
	if err := s.accept(c); err != nil {
		return err
	}
	before, now, first, fresh := s.undo, s.last, s.last, false
	for range rounds {
		if now == nil {
			var err error
			if now, err = s.look(ctx); err != nil {
				return err
			}
			fresh = true
		}
		if first == nil {
			first = now
		}
		want := s.with(now, c)
		switch {
		case now.same(want) && s.names(now, c.ID):
			if fresh {
				return nil // if the marker says verified, that stays true
			}
			now = nil // that nothing need be done is seen, not remembered
			continue
		case !now.same(first) && !now.same(want):
			s.undo = before
			return fmt.Errorf("%w: somebody else wrote this key after it was looked at; their value is left alone", rotate.ErrConflict)
		case !now.has && !s.CreateKey:
			return s.noKey(now)
		}
		s.undo = &change{now, want} // also if the answer gets lost
		err := s.patch(ctx, now, want)
		switch {
		case errors.Is(err, rotate.ErrConflict):
			now = nil
			continue
		case errors.Is(err, errAltered):
			s.undo.to = s.last
		case errors.Is(err, rotate.ErrDenied), errors.Is(err, rotate.ErrNotFound), errors.Is(err, rotate.ErrConfig), errors.Is(err, rotate.ErrLimit):
			s.undo = before // refused, so nothing was replaced
		}
		return err
	}
	return errBusy
}

// with returns the object as it is to be when it holds c.
func (s *Secret) with(now *sight, c rotate.Credential) *sight {
	_, _, key := s.place()
	want := *now
	want.value, want.has = []byte(c.Secret.Reveal()), true
	want.marker = markText(rotate.Mark{Token: c.Token}, check(now, key, want.value))
	return &want
}

// names reports that the marker names a token and was written with the value that is there. Of a token without an id it
// is none at all.
func (s *Secret) names(now *sight, id string) bool {
	if id == "" {
		return now.marker == ""
	}
	m, err := s.mark(now)
	return err == nil && m.Token.ID == id
}

// Undo implements [rotate.Undoer]: value and marker as they were before the last write, byte for byte, unless somebody
// else wrote the key since.
func (s *Secret) Undo(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		return s.fault("undo", s.kept().Undo(ctx))
	}
	return s.fault("undo", s.takeBack(ctx))
}

func (s *Secret) takeBack(ctx context.Context) error {
	u, now, fresh := s.undo, s.last, false
	if u == nil {
		return fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict)
	}
	for range rounds {
		if now == nil {
			var err error
			if now, err = s.look(ctx); err != nil {
				return err
			}
			fresh = true
		}
		switch {
		case now.same(u.from) && now.marker == u.from.marker && fresh: // the write never arrived, or this is a second attempt
			s.undo = nil
			return nil
		case now.same(u.from) && now.marker == u.from.marker:
			now = nil
			continue
		case !now.same(u.to):
			return fmt.Errorf("%w: somebody else wrote this key since, so it was not put back", rotate.ErrConflict)
		}
		want := *now
		want.value, want.has, want.marker = u.from.value, u.from.has, u.from.marker
		err := s.patch(ctx, now, &want)
		if errors.Is(err, rotate.ErrConflict) {
			now = nil
			continue
		}
		if err == nil {
			s.undo = nil
		}
		return err
	}
	return errBusy
}
