package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// This file revokes what was superseded. Its rule: only what is older than what every sink says it holds, as asked
// again just before.

// settle asks every sink again what it holds, if that is not fresh. What this run wrote outranks a sink that
// knows nothing and a snapshot of the workflow; any other answer counts, so that a stale one or a rival's
// write keeps alive what it names.
func (x *run) settle(ctx context.Context) error {
	if x.fresh != nil {
		return nil
	}
	now := &observation{now: time.Now(), listed: x.obs.listed}
	if _, listed := now.find(x.newborn.ID); x.minted && !listed {
		now.listed = append(slices.Clone(now.listed), x.newborn.Token)
	}
	hs := make([]held, len(x.Sinks))
	var errs []error
	for i, s := range x.Sinks {
		h, err := x.askAgain(ctx, now, i, s)
		if err != nil {
			return err
		}
		if h.state == mute {
			errs = append(errs, h.err)
		}
		hs[i] = h
	}
	x.fresh = hs
	return errors.Join(errs...)
}

func (x *run) askAgain(ctx context.Context, now *observation, i int, s Sink) (held, error) {
	mine := held{state: known, token: x.newborn.Token}
	if !x.written[i] {
		return x.ask(ctx, now, s, x.o)
	}
	h, ok := s.(Holder)
	if !ok {
		return x.ask(ctx, now, s, x.o)
	}
	a, err := h.Held(ctx)
	switch {
	case err != nil:
		return held{state: mute, err: wrap("held", s, err)}, nil
	case a.Snapshot && a.Mark.Token.ID == "":
		return mine, nil
	case a.Mark.Token.ID == "" && a.Is == nil && a.Secret.IsZero():
		return mine, nil
	case a.Mark.Token.ID == x.newborn.ID, a.Is != nil && a.Is(x.newborn.Token), a.Mark.Token.ID == "" && !a.Secret.IsZero() && a.Secret.Equal(x.newborn.Secret):
		return mine, nil
	}
	return x.ask(ctx, now, s, x.o)
}

// revoke retires one superseded token, if the rule still allows it.
func (x *run) revoke(ctx context.Context, s Step) error {
	compromised := s.token.Created.Before(x.plan.emergency)
	if !compromised {
		if err := x.drain(ctx); err != nil {
			return err
		}
	}
	err := x.settle(ctx)
	if err != nil && !compromised {
		return x.unsettled(err)
	}
	if why := x.spare(s.token, compromised); why != "" {
		x.res.Kept = append(x.res.Kept, Kept{s.token, why})
		return nil
	}
	err = x.step(s, func() error { return x.revokes(ctx, s.token) })
	if errors.Is(err, ErrConflict) { // the provider knows a reason, such as that it is the credential in use
		x.res.Kept = append(x.res.Kept, Kept{s.token, err.Error()})
		return nil
	}
	if err != nil {
		x.res.Left = append(x.res.Left, fmt.Sprintf("revoke %s: the next run tries again", label(s.token)))
		x.unrevoked = append(x.unrevoked, err)
		return nil
	}
	x.res.Revoked = append(x.res.Revoked, s.token)
	return nil
}

// spare says why the rule forbids to revoke t now, or "". The rule: only what is older than what every
// sink holds. A compromised token is spared only while no sink is known to hold something better.
func (x *run) spare(t Token, compromised bool) string {
	if t.ID == "" || t.ID == x.newborn.ID || !x.owns(t) && !x.adopts(t) {
		return "not this rotation's to revoke"
	}
	if compromised {
		for i := range x.Sinks {
			if x.fresh == nil || x.fresh[i].state == mute {
				if x.written[i] {
					return ""
				}
			} else if x.fresh[i].state == known && !x.fresh[i].token.Created.Before(x.plan.emergency) {
				return ""
			}
		}
		return "no sink holds a successor"
	}
	low, ok := floor(x.fresh)
	if !ok {
		return "what every sink holds is not known"
	}
	if !t.Created.Before(low.Created) && !x.listless() || t.ID == low.ID {
		return "not older than what every sink holds (" + label(low) + ")"
	}
	return x.keep(t, low, time.Now(), x.plan.emergency)
}

// drain waits for consumers that still work with an older value.
func (x *run) drain(ctx context.Context) error {
	if x.drained {
		return nil
	}
	since := x.wrote
	if since.IsZero() {
		since = x.holding().Created.Add(x.deadline())
	}
	if err := x.drainSince(ctx, since); err != nil {
		return err
	}
	x.drained = true
	return nil
}

// drainsAtOnce reports whether nothing has to be waited for.
func (x *run) drainsAtOnce() bool {
	return !slices.ContainsFunc(x.Verify, func(v Verifier) bool { _, ok := v.(Drainer); return ok })
}

func (x *run) drainSince(ctx context.Context, since time.Time) error {
	for _, v := range x.Verify {
		d, ok := v.(Drainer)
		if !ok {
			continue
		}
		x.fresh = nil
		if err := d.Drain(ctx, since); err != nil {
			return wrap("drain", v, err)
		}
	}
	return nil
}

// confirm looks whether a revoked secret is refused, where it is known. That it is late is a warning.
func (x *run) confirm(ctx context.Context, t Token) {
	who, ok := x.Provider.(Identifier)
	if !ok {
		return
	}
	for _, h := range x.obs.held {
		if h.token.ID != t.ID || h.secret.IsZero() {
			continue
		}
		began := time.Now()
		for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
			_, err := who.Identify(ctx, h.secret)
			if errors.Is(err, ErrDenied) {
				return
			}
			if time.Since(began) >= refused || sleep(ctx, pause) != nil {
				x.warn("%s was revoked, but its secret was not yet seen to be refused; revocation may reach all servers late", label(t))
				return
			}
		}
	}
}
