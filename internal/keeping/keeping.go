// Package keeping is a sink that keeps the value which a write replaces: the rules of [rotate.Keeper], for any place that can
// be read and replaced in one step. A place has a value, a former value and a note about both. Its rules:
//
//   - Whoever checks a credential accepts the value and the former value. So they change together or not at all, and only if
//     the place is still as it was seen; one that somebody else changed is left alone.
//   - Where nothing is kept, the former value is the value itself: an empty one might be accepted by a consumer that compares
//     carelessly, and one that is missing might keep a consumer from starting.
//   - A value that the note does not know is a person's. It is a token like any other, named "by-hand", of unknown age; a
//     former value that the note does not know is left alone, and nothing is written beside it.
package keeping

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// State is what a place has.
type State struct {
	Value  string // what consumers present; "": nothing yet
	Former string // what those who check accept beside; "" or the value itself: nothing
	Note   string // which tokens these are; "": nothing is known
}

// Seen is a state, and the version of the place that had it, for the store's own use.
type Seen struct {
	State
	Version any
}

// Store is the place.
type Store interface {
	// Load reads it.
	Load(ctx context.Context) (Seen, error)
	// Swap replaces what was seen, in one step, and returns what is there then. It fails with [rotate.ErrConflict], and has
	// changed nothing, if the place is no longer of that version. After [rotate.ErrTemporary] it may have changed it.
	Swap(ctx context.Context, was Seen, to State) (Seen, error)
	// Place is part of the check by which a note knows its values, so that a note that was copied elsewhere is not believed.
	Place() string
}

// rounds is how often a place is looked at and changed before that is given up.
const rounds = 4

var (
	errBusy = fmt.Errorf("%w: it changed again and again while it was being written; see what writes it so often", rotate.ErrConflict)
	// ErrForeign says that the former value is not one that this package put there.
	ErrForeign = fmt.Errorf("%w: what stands in the place of the former value (previous) was not put there by remint; if no consumer presents it any more, make it equal to the value, or remove it", rotate.ErrConflict)
)

// Next is a state in which a value was put in place of what was there, with the note as it was. If a person took the value
// away, what is kept is all that consumers can work with, and stays.
func (s State) Next(value string) State {
	return State{Value: value, Former: cmp.Or(s.Value, s.Former, value), Note: s.Note}
}

// Sink is a place as one process uses it. Its methods are those of the interfaces of package rotate; they must not be called
// at the same time.
type Sink struct {
	Store Store
	Warn  func(format string, args ...any) // is told of a value that the note does not know; nil: nobody is

	last *Seen  // as it was last read or written; nil: not known
	told *State // as Held told it, or as this process left it
	undo *change
}

// change is what a write replaced, and with what.
type change struct {
	from, to State
	old, new rotate.Token
}

func (k *Sink) load(ctx context.Context) (*Seen, error) {
	k.last = nil
	seen, err := k.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	k.last = &seen
	return k.last, nil
}

// Held says what the place holds and keeps.
func (k *Sink) Held(ctx context.Context) (rotate.Holding, error) {
	now, err := k.load(ctx)
	if err != nil {
		return rotate.Holding{}, err
	}
	k.told = &now.State
	current, former, err := k.read(now.State)
	if err != nil {
		return rotate.Holding{}, err
	}
	if k.Warn != nil && now.Note != "" && IsByHand(current.Token) && !current.Verified {
		k.Warn("its value was changed by hand or by another tool; it counts as a token of unknown age")
	}
	return rotate.Holding{Mark: current, Secret: rotate.NewSecret(now.Value), Former: former.Token}, nil
}

// Read returns the value.
func (k *Sink) Read(ctx context.Context) (rotate.Secret, error) {
	now, err := k.load(ctx)
	if err != nil {
		return rotate.Secret{}, err
	}
	return rotate.NewSecret(now.Value), nil
}

// Check says why nothing can be written beside a state.
func (k *Sink) Check(now State) error {
	_, _, err := k.read(now)
	return err
}

// Write puts a credential in place of what is there, and keeps that.
func (k *Sink) Write(ctx context.Context, c rotate.Credential) error {
	before := k.undo
	err := k.change(ctx, func(now State) (State, error) {
		current, former, err := k.read(now)
		switch {
		case err != nil:
			return now, err
		case now.Value == c.Secret.Reveal() && current.Token.ID == c.ID:
			return now, nil // if it was verified, that stays true
		}
		if k.told == nil {
			k.told = &now
		}
		if now != *k.told {
			return now, fmt.Errorf("%w: somebody else wrote it after it was looked at; their value is left alone", rotate.ErrConflict)
		}
		to, replaced := now.Next(c.Secret.Reveal()), rotate.Mark{Token: current.Token}
		if now.Value == "" {
			replaced = former
		}
		to.Note = k.note(to, rotate.Mark{Token: c.Token}, replaced)
		k.undo = &change{now, to, current.Token, c.Token} // also if the answer gets lost
		return to, nil
	})
	if refused(err) {
		k.undo = before
	}
	return err
}

// Undo puts back what the last Write replaced, and keeps what that wrote: consumers may have it already.
func (k *Sink) Undo(ctx context.Context) error {
	u := k.undo
	switch {
	case u == nil:
		return fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict)
	case u.from.Value == "":
		return fmt.Errorf("%w: it held nothing before", rotate.ErrConflict)
	}
	back := State{Value: u.from.Value, Former: u.to.Value}
	back.Note = k.note(back, rotate.Mark{Token: u.old}, rotate.Mark{Token: u.new})
	err := k.change(ctx, func(now State) (State, error) {
		switch {
		case now == back || now == u.from: // or the write never arrived
			return now, nil
		case now.Value != u.to.Value:
			return now, fmt.Errorf("%w: somebody else wrote it since, so it was not put back", rotate.ErrConflict)
		}
		return back, nil
	})
	if err == nil {
		k.undo = nil
	}
	return err
}

// Mark notes that what the place holds was verified.
func (k *Sink) Mark(ctx context.Context, t rotate.Token) error {
	return k.change(ctx, func(now State) (State, error) {
		current, former, err := k.read(now)
		switch {
		case err != nil:
			return now, err
		case current.Token.ID != t.ID || t.ID == "":
			return now, fmt.Errorf("%w: it holds token %q, not %q", rotate.ErrConflict, current.Token.ID, t.ID)
		case current.Verified:
			return now, nil
		}
		if now.Former == "" {
			now.Former = now.Value
		}
		now.Note = k.note(now, rotate.Mark{Token: t, Verified: true}, former)
		return now, nil
	})
}

// Forget ends that a token is kept.
func (k *Sink) Forget(ctx context.Context, t rotate.Token) error {
	return k.change(ctx, func(now State) (State, error) {
		current, former, err := k.read(now)
		switch {
		case err != nil:
			return now, err
		case current.Token.ID == t.ID:
			return now, fmt.Errorf("%w: it holds token %s, so that can only be replaced: rotate instead", rotate.ErrConflict, t.ID)
		case former.Token.ID != t.ID || t.ID == "":
			return now, nil
		}
		now.Former = now.Value
		now.Note = k.note(now, current, rotate.Mark{})
		return now, nil
	})
}

// change replaces the state by what next makes of it. That nothing is to be done is seen, not remembered.
func (k *Sink) change(ctx context.Context, next func(State) (State, error)) error {
	now, fresh := k.last, false
	var lost error
	for range rounds {
		if now == nil {
			var err error
			if now, err = k.load(ctx); err != nil {
				return errors.Join(lost, err)
			}
			fresh = true
		}
		to, err := next(now.State)
		if err != nil {
			return err
		}
		if to == now.State {
			if fresh {
				k.told = &now.State
				return nil
			}
			now = nil
			continue
		}
		k.last = nil
		got, err := k.Store.Swap(ctx, *now, to)
		switch {
		case err == nil:
			k.last, k.told = &got, &got.State
			return nil
		case errors.Is(err, rotate.ErrConflict):
			lost = nil
		case refused(err), ctx.Err() != nil:
			return err
		default:
			lost = err // the version guards a second attempt
		}
		now = nil
	}
	if lost != nil {
		return lost
	}
	return errBusy
}

// refused reports that a change was not made.
func refused(err error) bool {
	for _, kind := range []error{rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrConfig, rotate.ErrLimit, rotate.ErrConflict} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
