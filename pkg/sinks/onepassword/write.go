package onepassword

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file writes and takes back. Each change is one request that is sent once; what became of it is seen by reading the
// item again, whether it was answered or not.

const (
	// rounds is how often a change is begun, if the item changes between reading and writing each time.
	rounds = 4
	// looks is how often the item is read after a change until that is seen.
	looks = 4
)

// change is what a write replaced, and with what.
type change struct {
	from *sight
	to   rotate.Secret
}

// Write implements [rotate.Sink].
func (f *Field) Write(ctx context.Context, c rotate.Credential) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := accept(c); err != nil {
		return f.fault("write", err)
	}
	return f.fault("write", f.write(ctx, c))
}

func (f *Field) write(ctx context.Context, c rotate.Credential) error {
	before, first := f.undo, f.last
	err := f.settle(ctx, func(now *sight) (edits []edit) {
		if now.field.value.Equal(c.Secret) && now.names(c.ID) {
			return nil // if the marker says verified, that stays true
		}
		edits = now.valued(edits, c.Secret)
		return now.marked(edits, markText(now, rotate.Mark{Token: c.Token}, c.Secret))
	}, func(now *sight) error {
		if first == nil {
			first = now
		}
		if !now.same(first) && !now.field.value.Equal(c.Secret) {
			return refusal{fmt.Errorf("%w: somebody else wrote this field after it was looked at; their value is left alone", rotate.ErrConflict)}
		}
		if err := writable(now); err != nil {
			return refusal{err}
		}
		if _, err := now.mark(); err != nil && !errors.Is(err, errByHand) {
			return refusal{err}
		}
		if !now.field.value.Equal(c.Secret) {
			f.undo = &change{now, c.Secret} // also if the answer gets lost
		}
		return nil
	})
	if refused(err) {
		f.undo = before
	}
	return err
}

// names reports that the marker names a token and was written with the value that is there. Of a token without an id it
// is none at all.
func (s *sight) names(id string) bool {
	if id == "" {
		return s.marker.value.IsZero()
	}
	m, err := s.mark()
	return err == nil && m.Token.ID == id
}

// settle changes the item until it is seen to need no more edits. may is asked before each attempt.
func (f *Field) settle(ctx context.Context, edits func(*sight) []edit, may func(*sight) error) error {
	for range rounds {
		now, err := f.look(ctx)
		if err != nil {
			return err
		}
		todo := edits(now)
		if len(todo) == 0 {
			return nil
		}
		if err := may(now); err != nil {
			return err
		}
		err = f.save(ctx, now, todo)
		switch {
		case errors.Is(err, errStale):
			continue
		case refused(err):
			return err
		}
		return f.seen(ctx, edits, err)
	}
	return fmt.Errorf("%w: the item changed again and again while it was written; see what writes it so often", rotate.ErrConflict)
}

// errStale says that the item was changed after it was read, so that nothing was written.
var errStale = fmt.Errorf("%w: the item was changed meanwhile", rotate.ErrConflict)

// refused reports whether an error says that nothing was changed.
func refused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// seen reads the item until what was sent is there. It is not sent again: a field that is added twice is there twice.
func (f *Field) seen(ctx context.Context, edits func(*sight) []edit, sent error) error {
	for n := range looks {
		if n > 0 {
			if err := httpx.Sleep(ctx, f.interval()); err != nil {
				return cmp.Or(sent, err)
			}
		}
		now, err := f.look(ctx)
		switch {
		case err != nil && sent != nil:
			return fmt.Errorf("%w; and it cannot be read back: %w", sent, err)
		case err != nil:
			return fmt.Errorf("what was written cannot be read back: %w", err)
		case len(edits(now)) == 0:
			return nil
		}
	}
	if sent != nil {
		return sent
	}
	return fmt.Errorf("%w: what was written is not what is read back", rotate.ErrTemporary)
}

// save sends edits, and says if the version went further than by them.
func (f *Field) save(ctx context.Context, now *sight, edits []edit) error {
	version, err := f.store.save(ctx, now.item, edits)
	if err == nil && version > now.version+1 {
		f.warnings.Add("the item went from version %d to %d while it was written in one step: somebody else changed it at the same time; if that was this field, what they wrote is in the item's history only", now.version, version)
	}
	return err
}

// interval is the wait before the item is looked at again.
func (f *Field) interval() time.Duration {
	if f.Interval > 0 {
		return f.Interval
	}
	return time.Second
}

// Undo implements [rotate.Undoer]: value and marker as they were before the last write, unless somebody else wrote the
// field since.
func (f *Field) Undo(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault("undo", f.takeBack(ctx))
}

func (f *Field) takeBack(ctx context.Context) error {
	u := f.undo
	if u == nil {
		return fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict)
	}
	err := f.settle(ctx, func(now *sight) (edits []edit) {
		edits = now.valued(edits, u.from.field.value)
		switch {
		case u.from.marker.id != "":
			edits = now.marked(edits, u.from.marker.value.Reveal())
		case now.marker.id != "":
			edits = append(edits, edit{do: remove, field: now.marker})
		}
		return edits
	}, func(now *sight) error {
		if !now.field.value.Equal(u.to) && !now.same(u.from) {
			return fmt.Errorf("%w: somebody else wrote this field since, so it was not put back", rotate.ErrConflict)
		}
		return nil
	})
	if err == nil {
		f.undo = nil
	}
	return err
}
