package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// adapters are all that a rotation is made of.
func (r *Rotation) adapters() []any {
	out := []any{r.Provider}
	for _, v := range r.Prove {
		out = append(out, v)
	}
	for _, s := range r.Sinks {
		out = append(out, s)
	}
	for _, v := range r.Verify {
		out = append(out, v)
	}
	return out
}

// close collects what the adapters have to say, and lets them give back what they hold.
func (x *run) close() {
	x.res.Warnings = append(x.res.Warnings, x.Warnings()...)
	if err := x.Close(x.cleanup); err != nil {
		x.warn("%v", err)
	}
}

// Close lets every adapter give back what it holds. Run does so itself; it is for those who called Plan or
// the adapters' Check only.
func (r *Rotation) Close(ctx context.Context) error {
	var errs []error
	for _, a := range r.adapters() {
		if c, ok := a.(Closer); ok {
			errs = append(errs, c.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// finish completes the result: what consumers hold now, which generations live, what is next.
func (x *run) finish() {
	res := x.res
	res.Ended = time.Now()
	if x.obs == nil {
		return
	}
	for i, s := range x.Sinks {
		h := x.obs.held[i]
		if slices.Contains(x.begun, i) {
			h = x.now(i, h)
		}
		res.Sinks = append(res.Sinks, h.report(s))
	}
	for i, h := range x.obs.held {
		if h.state == dead && !x.written[i] && res.Outcome != Rotated {
			res.Person = true
			res.Left = append(res.Left, fmt.Sprintf("consumers of %s are broken: it holds a token that no longer works%s", x.Sinks[i], named(h.token)))
		}
	}
	res.Live = x.living()
	if x.minted && x.allWritten() {
		res.Next = earlier(x.limits(x.newborn.Token))
	}
	if x.minted && len(x.failed) > 0 && !x.allWritten() {
		for i, ok := range x.written {
			if !ok {
				res.Left = append(res.Left, fmt.Sprintf("%s may not hold the newborn; the next run repairs", x.Sinks[i]))
			}
		}
	}
	x.finishStrangers()
	x.finishEmergency()
}

// finishStrangers says what a sink held that this rotation may not revoke.
func (x *run) finishStrangers() {
	for i, h := range x.obs.held {
		if h.state != known && h.state != unclear || x.owns(h.token) || x.adopts(h.token) || !x.written[i] {
			continue
		}
		x.res.Left = append(x.res.Left, fmt.Sprintf("%s held %s, which lives on: it was not minted by this rotation; name it under adopt, or revoke it by hand", x.Sinks[i], label(h.token)))
		if h.token.Created.Before(x.plan.emergency) {
			x.res.Person = true
		}
	}
}

func (x *run) allWritten() bool { return !slices.Contains(x.written, false) }

// now is what a sink that was written holds at the end.
func (x *run) now(i int, before held) held {
	switch {
	case x.written[i]:
		return held{state: known, token: x.newborn.Token, verified: len(x.Verify) > 0 && x.passed == len(x.Verify) && (!x.Acknowledge || x.o.Acknowledged)}
	case x.res.Outcome == Restored:
		before.verified = before.verified && !x.listless() // see Keeper
		return before
	}
	return held{state: unknown, token: before.token}
}

// living are the live generations at the end.
func (x *run) living() []Token {
	out := slices.Clone(x.plan.Live)
	if x.minted && !x.taken && x.newborn.ID != "" {
		out = append(out, x.newborn.Token)
	}
	return slices.DeleteFunc(out, x.gone)
}

// gone reports whether this run revoked a token.
func (x *run) gone(t Token) bool {
	return slices.ContainsFunc(x.res.Revoked, func(r Token) bool { return r.ID == t.ID })
}

// finishEmergency says what an emergency left: compromised tokens that live on, and consumers that hold a dead one.
func (x *run) finishEmergency() {
	if x.plan.emergency.IsZero() {
		return
	}
	if h := x.obs.held[0]; x.listless() && h.state == mute {
		x.res.Person = true
		x.res.Left = append(x.res.Left, fmt.Sprintf("whether %s holds or keeps a compromised value is not known", x.Sinks[0]))
	}
	for _, t := range x.obs.listed {
		if t.Created.Before(x.plan.emergency) && (x.owns(t) || x.adopts(t)) && !x.gone(t) {
			x.res.Person = true
			x.res.Left = append(x.res.Left, fmt.Sprintf("%s is compromised and lives on", label(t)))
		}
	}
	if x.res.Outcome != Rotated && x.res.Outcome != Retired && slices.ContainsFunc(x.res.Revoked, func(t Token) bool { return t.Created.Before(x.plan.emergency) }) {
		x.res.Person = true
		x.res.Left = append(x.res.Left, "compromised tokens are revoked, but consumers were not seen to work with their successor")
	}
	for i, h := range x.obs.held {
		if h.state == known && x.gone(h.token) && !x.written[i] {
			x.res.Person = true
			x.res.Left = append(x.res.Left, fmt.Sprintf("consumers of %s break: it holds %s, which was revoked as compromised", x.Sinks[i], label(h.token)))
		}
	}
}
