package rotate

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// This file is about values that no service knows: passwords, HMAC and webhook keys. Its rules:
//
//   - Whoever reads the sink accepts what is in it, so a token lives as long as the sink holds it or keeps it beside. What
//     the sink names is the list, and to revoke a token is to make the sink forget it.
//   - There is exactly one sink: of two, nobody could say which of them a consumer accepts.
//   - The sink keeps one value beside the one it holds. While it keeps one that consumers may still present, nothing is
//     written, since that would drop it.
//   - Two runs cannot see what the other minted. The sink's Write keeps them apart: it fails if the sink changed since it was asked.

// Listless is a [Provider] without a service that could list or revoke. It needs exactly one sink, which is a [Keeper], a
// [Holder], a [Marker] and an [Undoer]. Its List is not asked; its Revoke only forgets what the process knows itself.
type Listless interface {
	Listless() bool
}

// Keeper is a [Sink] that can keep the value which a Write replaces beside the new one, for consumers that still present it
// or were not yet told of the new one. If it does,
//
//   - Held names what is kept as Holding.Former;
//   - Write, in one step, puts the new value in place and keeps the one that was there, whoever made it, and nothing else;
//     it fails with [ErrConflict] if the sink is not as Held last told this process;
//   - Undo, in one step, puts the old value back and keeps the one that it replaces; what it puts back is not verified.
type Keeper interface {
	// Keeps reports whether the sink was set up to keep what it replaces.
	Keeps() bool
	// Forget makes the sink keep nothing of t. That it does not keep t is no error; what it holds is not touched.
	Forget(ctx context.Context, t Token) error
}

func (r *Rotation) listless() bool {
	l, ok := r.Provider.(Listless)
	return ok && l.Listless()
}

// suits refuses sinks that a provider cannot do with. A service that revokes needs no second value beside; without one,
// nothing else keeps the old value working.
func (r *Rotation) suits(bad func(string, ...any)) {
	for _, s := range r.Sinks {
		k, ok := s.(Keeper)
		switch keeps := ok && k.Keeps(); {
		case r.listless() && !keeps:
			bad("sink %s does not keep the value that it replaces, so consumers that still present that would be refused at once: %s needs a sink with previous", s, r.Provider)
		case keeps && !r.listless():
			bad("sink %s keeps the value that it replaces (previous), which is only for values that no service revokes; %s revokes its tokens", s, r.Provider)
		case keeps:
			_, holds := s.(Holder)
			_, marks := s.(Marker)
			if _, undoes := s.(Undoer); !holds || !marks || !undoes {
				bad("sink %s keeps a former value, but is no Holder, Marker and Undoer", s)
			}
		}
	}
	if n := len(r.Sinks); r.listless() && n > 1 {
		bad("%s has %d sinks: no service says which value is accepted where, so there must be exactly one that all consumers read", r.Provider, n)
	}
}

// accepted are the tokens that the sinks hold and keep, oldest first.
func (r *Rotation) accepted(hs []held) []Token {
	var out []Token
	for _, h := range hs {
		for _, t := range []Token{h.token, h.former} {
			if t.ID != "" && !slices.ContainsFunc(out, func(x Token) bool { return x.ID == t.ID }) {
				out = append(out, born(t))
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return older(out[i], out[j]) })
	return out
}

// revokes kills a token: at the provider, and where no service does that, in the sink.
func (r *Rotation) revokes(ctx context.Context, t Token) error {
	err := wrap("revoke", r.Provider, r.Provider.Revoke(ctx, t))
	if err == nil && r.listless() {
		err = wrap("forget", r.Sinks[0], r.Sinks[0].(Keeper).Forget(ctx, t))
	}
	return err
}

// postpone holds a rotation back while the sink keeps a value that a write would drop. A compromised one is no loss.
func (d *decision) postpone(r *Rotation, obs *observation, compromised time.Time) {
	if !d.due || !r.listless() {
		return
	}
	for i, h := range obs.held {
		if h.former.ID == "" || h.former.Created.Before(compromised) {
			continue
		}
		why := fmt.Sprintf("due (%s), but %s still keeps %s", strings.Join(d.reasons, "; "), r.Sinks[i], label(h.former))
		d.due, d.reasons = false, nil
		switch {
		case h.state != known:
			d.stop = fmt.Errorf("%w: %s, and what it holds instead is not known, so nothing shows that no consumer presents that any more; make sure of it and revoke token %s",
				ErrConflict, why, h.former.ID)
		case len(d.retire) > 0 || d.verifies():
			d.notes = append(d.notes, why+"; that is retired first, and the run after rotates")
		default:
			d.wait = true
			d.stop = fmt.Errorf("%w: %s, which consumers may still present; nothing is changed until it is retired", ErrConflict, why)
		}
		return
	}
}
