package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// This file puts back what was there when the verification failed: into all sinks or into none.

// restore puts back into all sinks what they held, or into none.
func (x *run) restore(ctx context.Context, cause error) error {
	if why := x.restorable(ctx); why != nil {
		x.res.Person = true
		x.res.Left = append(x.res.Left, "all sinks keep the newborn, whose verification failed; a later run only verifies again")
		return errors.Join(cause, fmt.Errorf("nothing was restored: %w", why))
	}
	var errs []error
	order := slices.Clone(x.begun)
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b int) int { return x.feed(a) - x.feed(b) })
	for _, i := range order {
		s := x.Sinks[i]
		if x.feed(i) > 0 && errors.Join(errs...) != nil {
			errs = append(errs, &Error{"restore", s.String(), fmt.Errorf("%w: putting it back would revoke the newborn, which another sink may hold; left as it is", ErrConflict)})
			continue
		}
		old := Credential{x.obs.held[i].token, x.obs.held[i].secret}
		errs = append(errs, x.step(Step{Do: Restore, At: s.String(), What: label(old.Token), index: i}, func() error {
			if u, ok := s.(Undoer); ok {
				return wrap("restore", s, u.Undo(ctx))
			}
			return wrap("restore", s, s.Write(ctx, old))
		}))
		x.written[i] = false
	}
	if err := errors.Join(errs...); err != nil {
		x.res.Person = true
		x.res.Left = append(x.res.Left, "some sinks hold the newborn, whose verification failed, and some what they held before; both are alive, and the next run repairs")
		return errors.Join(cause, err)
	}
	x.res.Outcome = Restored
	restored := time.Now()
	old := x.holding()
	x.attempt = 0
	for i := 0; i < len(x.Verify); i++ {
		v := x.Verify[i]
		s := Step{Do: Verify, At: v.String(), What: "with what was restored", index: i}
		if err := x.step(s, func() error { return wrap("verify", v, v.Verify(ctx, old)) }); err != nil {
			if x.again(ctx, err) {
				i = -1
				continue
			}
			// Consumers may still work with the newborn: it is kept alive until a later run has superseded it.
			x.leave(x.newborn.Name)
			return errors.Join(cause, fmt.Errorf("the sinks hold what they held before, but that consumers took it up again was not seen, so the newborn is left alive: %w", err))
		}
	}
	if err := x.drainSince(ctx, restored); err != nil {
		x.leave(x.newborn.Name)
		return errors.Join(cause, err)
	}
	// A rival may have written the newborn's successor, or the newborn, meanwhile.
	if err := x.nobodyHolds(ctx); err != nil {
		x.leave(x.newborn.Name)
		return errors.Join(cause, err)
	}
	return errors.Join(cause, x.revokeNewborn())
}

// feed is 1 for a sink whose Undo revokes the newborn.
func (x *run) feed(i int) int {
	if f, ok := x.Sinks[i].(Feed); ok && f.Feeds() {
		return 1
	}
	return 0
}

// nobodyHolds makes sure that no sink says that it holds the newborn.
func (x *run) nobodyHolds(ctx context.Context) error {
	x.fresh = nil
	if err := x.settle(ctx); err != nil {
		return x.unsettled(err)
	}
	for i, h := range x.fresh {
		if h.token.ID == x.newborn.ID || h.state == unclear {
			return &Error{"restore", x.Sinks[i].String(), fmt.Errorf("%w: it holds the newborn again", ErrConflict)}
		}
	}
	return nil
}

// restorable says why restoring cannot be safe: the old secret must be known and alive beyond two ticks, and
// every sink must still hold what this run wrote.
func (x *run) restorable(ctx context.Context) error {
	if len(x.failed) > 0 {
		return errors.Join(x.failed...)
	}
	listed, err := x.list(ctx)
	if err != nil {
		return err
	}
	if x.listless() {
		listed = x.obs.listed // what the process remembers can be put back
	}
	now := &observation{now: time.Now(), listed: listed}
	for i, s := range x.Sinks {
		h := x.obs.held[i]
		if h.state != known {
			return &Error{"restore", s.String(), fmt.Errorf("%w: what it held before is not known to work", ErrConflict)}
		}
		if h.token.ID == x.newborn.ID {
			return &Error{"restore", s.String(), fmt.Errorf("%w: it held %s before this run, so there is nothing to put back", ErrConflict, label(h.token))}
		}
		t, ok := now.find(h.token.ID)
		if !ok || !t.Expires.IsZero() && t.Expires.Before(now.now.Add(2*Tick)) {
			return &Error{"restore", s.String(), fmt.Errorf("%w: %s, which it held before, is dead or about to expire", ErrConflict, label(h.token))}
		}
		if _, ok := s.(Undoer); ok {
			continue
		}
		if h.secret.IsZero() {
			return &Error{"restore", s.String(), fmt.Errorf("%w: it can only be written, and the secret it held before is not known", ErrConflict)}
		}
		if who, ok := x.Provider.(Identifier); ok {
			t, err := who.Identify(ctx, h.secret)
			if err != nil {
				return &Error{"restore", s.String(), err}
			}
			if t.ID != "" && t.ID != h.token.ID {
				return &Error{"restore", s.String(), fmt.Errorf("%w: the secret at hand is not that of %s", ErrConflict, label(h.token))}
			}
		}
	}
	x.fresh = nil
	if err := x.settle(ctx); err != nil {
		return err
	}
	for i, h := range x.fresh {
		if h.state != known || h.token.ID != x.newborn.ID {
			return &Error{"restore", x.Sinks[i].String(), fmt.Errorf("%w: it no longer holds the newborn", ErrConflict)}
		}
	}
	return nil
}
