package rotate

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// This file revokes one token because a person says so. Its rules:
//
//   - Only what this rotation minted or adopts is revoked, whatever the person says.
//   - Unless the person insists, only what the engine's own rule allows: what is older than what every sink says it
//     holds, as asked just before, and of which nothing speaks for consumers that still work with it. A grace is a
//     warning only: it is what a person shortens by hand.
//   - All objections are said at once, each with what it means for consumers.

// WithdrawOptions are what a person may ask of a withdrawal. Of Options, Alone, Secrets and Watch count.
type WithdrawOptions struct {
	Options
	EvenIfHeld bool // revoke although consumers hold the token, or may
	DryRun     bool // change nothing
}

// Withdrawal is what a withdrawal did, or would do.
type Withdrawal struct {
	Name       string
	Provider   string
	Token      TokenStatus
	Objections []string // why consumers may be harmed, each a sentence; without EvenIfHeld they forbid it
	Breaks     []string // the sinks whose consumers hold the token, and so break
	Warnings   []string
	Revoked    bool
}

// Withdraw revokes the token with this ID, which [Rotation.Status] tells. It fails with [ErrNotFound] if the provider
// does not list it, with [ErrDenied] if it is not this rotation's, and with [ErrConflict] if there are objections and
// the person does not insist, or if the provider knows a reason: that it is the credential in use. Nothing was revoked
// then. The Withdrawal is valid also with an error.
func (r *Rotation) Withdraw(parent context.Context, id string, o WithdrawOptions) (Withdrawal, error) {
	w := Withdrawal{Name: r.Name}
	if err := r.validate(); err != nil {
		return w, err
	}
	w.Provider = r.Provider.String()
	ctx, cancel := context.WithTimeout(parent, r.deadline())
	defer cancel()
	obs, err := r.survey(ctx, o.Options)
	if err != nil {
		return w, err
	}
	fail := func(err error) (Withdrawal, error) { return w, &Error{"revoke", w.Provider, err} }
	d, p := r.decide(obs, o.Options), r.plan(obs, o.Options)
	t, ok := obs.find(id)
	if !ok {
		return fail(fmt.Errorf("%w: there is no live token %q: it is revoked or has expired, or never was", ErrNotFound, id))
	}
	newest := r.newest(obs, d)
	w.Token = r.tokenStatus(t, newest, obs, d, p)
	if !r.owns(t) && !r.adopts(t) {
		return fail(fmt.Errorf("%w: %s was not minted by the rotation %s, nor does its adopt name it; revoke it where it was made", ErrDenied, label(t), r.Name))
	}
	w.Breaks = w.Token.Sinks
	w.Objections = r.objections(t, newest, obs, o)
	if why := w.warning(r, obs); why != "" {
		w.Warnings = append(w.Warnings, why)
	}
	x := &run{Rotation: r, o: o.Options, obs: obs, res: &Result{}, written: make([]bool, len(r.Sinks))}
	if len(w.Objections) == 0 && !o.DryRun {
		if err := x.drain(ctx); err != nil {
			w.Objections = append(w.Objections, fmt.Sprintf("consumers that began earlier may still work with it: %v", err))
		} else if !x.drainsAtOnce() { // that took a while: somebody may have put it back
			now, err := r.survey(ctx, o.Options)
			if err != nil {
				return fail(err)
			}
			w.Objections = r.objections(t, newest, now, o)
		}
	}
	if len(w.Objections) > 0 && !o.EvenIfHeld {
		return fail(fmt.Errorf("%w: %s is not revoked: %s", ErrConflict, label(t), strings.Join(w.Objections, "; ")))
	}
	if o.DryRun {
		return w, nil
	}
	err = x.step(r.revocation(t), func() error { return r.revokes(ctx, t) })
	if err != nil {
		return w, err
	}
	w.Revoked = true
	x.confirm(ctx, t)
	if listed, err := r.list(ctx); err != nil {
		x.warn("that the list no longer has %s could not be seen: %v", label(t), err)
	} else if _, still := (&observation{listed: listed}).find(id); still {
		x.warn("%s was revoked, but is still listed; look again with status", label(t))
	}
	w.Warnings = append(w.Warnings, x.res.Warnings...)
	return w, nil
}

// objections are all that speaks against revoking t, which is ours.
func (r *Rotation) objections(t, newest Token, obs *observation, o WithdrawOptions) []string {
	var out []string
	object := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	inSink := false
	for i, h := range obs.held {
		s := r.Sinks[i]
		says := h.state == known || h.state == dead && h.token.ID != ""
		switch {
		case h.state == known && h.token.ID == t.ID:
			inSink = true
			object("%s holds it", s)
		case h.state == mute:
			object("whether %s holds it is not known: it could not be asked (%v)", s, h.err)
		case h.state == unclear:
			object("whether %s holds it cannot be told: it holds one of several tokens of the same birth", s)
		case h.state == unknown:
			object("whether %s holds it is not known: it holds no token that remint knows", s)
		case !says || h.state == known && !h.says && !h.snapshot:
			// It was told by what it holds itself that this is another one.
		case t.Created.IsZero():
			object("when it was made is not known, so that nothing shows that %s does not hold it", s)
		case !t.Created.Before(h.token.Created):
			object("it is not older than what %s says it holds (%s), and a sink that was being written may hold a newer token than it says", s, label(h.token))
		}
	}
	if t.ID == newest.ID && !inSink {
		object("it is the newest generation: a run that is alive may be about to write it")
	}
	switch says, verified := r.marks(obs); {
	case r.Acknowledge && !verified && !o.Acknowledged:
		object("nobody has acknowledged yet that consumers took its successor up")
	case says && !verified && len(r.Verify) > 0:
		object("what the sinks hold is not verified yet, so consumers may still work with it")
	case !verified && !o.Alone && newest.ID != "" && r.HandIn == nil && obs.now.Before(newest.Created.Add(r.deadline()+maxSkew)):
		object("%s was minted %s ago, so another run may be alive and need it (--alone if you know that none is)", label(newest), max(obs.now.Sub(newest.Created), 0).Round(time.Second))
	}
	return out
}

// warning is what speaks against a withdrawal, but not strongly.
func (w Withdrawal) warning(r *Rotation, obs *observation) string {
	low, ok := floor(obs.held)
	if !ok || !w.Token.Is(ClassSuperseded) {
		return ""
	}
	if end := low.Created.Add(r.Grace); obs.now.Before(end) {
		return fmt.Sprintf("%s is in grace until %s: consumers that rely on that break", label(w.Token.Token), end.UTC().Format(time.RFC3339))
	}
	if used := w.Token.LastUsed; used.After(low.Created.Add(r.Grace + r.deadline())) {
		return fmt.Sprintf("%s is still in use (last used %s): whoever uses it breaks", label(w.Token.Token), used.UTC().Format(time.RFC3339))
	}
	return ""
}
