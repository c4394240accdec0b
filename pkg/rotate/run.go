package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How long the engine waits for a provider's list to show a newborn, and for a revoked secret to be
// refused; and how long cleaning up may take once a run was cancelled (the host kills about ten seconds
// after its first signal).
const (
	appears  = 2 * time.Minute
	refused  = 2 * time.Minute
	cleaning = 5 * time.Second
	rounding = time.Hour // by which a life may be shorter than asked for
)

// run is one run of a rotation: it executes a plan step by step.
type run struct {
	*Rotation
	o    Options
	plan Plan
	obs  *observation
	res  *Result

	newborn   Credential
	minted    bool      // newborn is a live token of ours, or was taken
	taken     bool      // newborn was handed in
	lost      bool      // whether the mint took effect is not known
	begun     []int     // sinks whose write has begun, in order
	written   []bool    // by sink: the write was answered
	wrote     time.Time // when the last write was answered
	failed    []error   // writes that failed
	unrevoked []error   // revocations that failed
	phase     Verb      // of the step that was begun last

	fresh   []held          // what the sinks said when they were asked last; nil: to be asked
	drained bool            // consumers of older values were waited for
	passed  int             // verifiers that passed on what all sinks hold
	attempt int             // of the verification; 0: the first
	cleanup context.Context // outlives the run's by the time that cleaning up may take
}

// Run does what [Rotation.Plan] says. The result is valid even if there is an error. After a run that
// failed, was killed or lost its network, the next one recovers.
//
// When ctx ends, the run stops at the next boundary and revokes the newborn if no write has begun; that
// and giving back what adapters hold takes 5 more seconds at the most.
func (r *Rotation) Run(ctx context.Context, o Options) (Result, error) {
	res := &Result{Name: r.Name, Outcome: Failed, Begun: time.Now()}
	x := &run{Rotation: r, o: o, res: res, written: make([]bool, len(r.Sinks))}
	err := x.run(ctx)
	x.finish()
	return *res, err
}

func (x *run) run(parent context.Context) error {
	if err := x.validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(parent, x.deadline())
	defer cancel()
	cleanup, stop := context.WithCancel(context.WithoutCancel(parent))
	defer stop()
	x.cleanup = cleanup
	defer context.AfterFunc(ctx, func() { time.AfterFunc(cleaning, stop) })()
	defer x.close()
	x.plan.emergency = x.compromised(x.o) // what is left of it is told however far this run gets
	var err error
	if x.obs, err = x.survey(ctx, x.o); err != nil {
		return err
	}
	p := x.Rotation.plan(x.obs, x.o)
	x.plan, x.res.Plan = p, p
	x.res.Due, x.res.Reasons, x.res.Kept, x.res.Warnings, x.res.HandIn = p.Due, p.Reasons, p.Kept, p.Warnings, p.HandIn
	x.res.Next, x.res.Live, x.res.Overdue = p.Next, p.Live, p.overdue >= overdueTicks*Tick
	if p.stop != nil {
		if p.wait {
			x.res.Outcome = Waiting
			if p.HandIn == nil { // else it is a warning
				x.res.Left = append(x.res.Left, p.Stop)
			}
			return x.muted()
		}
		return &Error{"rotate", x.Name, p.stop}
	}
	if len(p.Steps) == 0 {
		x.res.Outcome = Idle
		if len(p.Kept) > 0 {
			x.res.Outcome = Waiting
		}
		return x.muted()
	}
	if err := x.check(ctx); err != nil {
		return err
	}
	if p.Due || slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Do == Verify }) {
		if err := x.read(ctx); err != nil {
			return err
		}
	}
	for i := 0; i < len(p.Steps); i++ {
		s := p.Steps[i]
		if s.Do == Check {
			continue
		}
		if err := x.boundary(ctx, s); err != nil {
			return x.abort(ctx, err)
		}
		x.phase = s.Do
		if err := x.do(ctx, s); err != nil {
			if s.Do == Verify && x.again(ctx, err) {
				i -= s.index + 1 // on to the first verifier
				continue
			}
			return x.abort(ctx, err)
		}
	}
	for _, t := range x.res.Revoked {
		x.confirm(ctx, t)
	}
	if err := x.incomplete(); err != nil {
		return err
	}
	x.res.Outcome = Retired
	if p.Due {
		x.res.Outcome = Rotated
	}
	return x.muted()
}

// muted makes a sink that could not be asked an error also where nothing was to be done.
func (x *run) muted() error {
	var errs []error
	for i, h := range x.obs.held {
		if h.state == mute && !x.written[i] {
			errs = append(errs, h.err)
		}
	}
	return errors.Join(errs...)
}

// boundary stops a run between two steps: because it was cancelled, or because a write failed.
func (x *run) boundary(ctx context.Context, next Step) error {
	if ctx.Err() != nil {
		stopped := &Error{string(next.Do), next.At, fmt.Errorf("the run was stopped before this step: %w", context.Cause(ctx))}
		return errors.Join(append(slices.Clone(x.failed), stopped)...)
	}
	if next.Do != Writing && len(x.failed) > 0 && (!x.urgent() || !slices.Contains(x.written, true)) {
		return errors.Join(x.failed...)
	}
	return nil
}

// urgent reports whether compromised tokens are being replaced.
func (x *run) urgent() bool { return x.plan.urgent }

// step records what becomes of a step, and tells whoever watches.
func (x *run) step(s Step, f func() error) error {
	began := time.Now()
	tell := func(res StepResult) {
		if x.o.Watch != nil {
			x.o.Watch(res)
		}
	}
	tell(StepResult{Step: s, Result: Begun})
	err := f()
	res := StepResult{Step: s, Result: Done, Took: time.Since(began), Err: err}
	if err != nil {
		res.Result, res.Error = Wrong, err.Error()
		if errors.Is(err, ErrUnproven) {
			res.Result = Unsure
		}
	}
	x.res.Steps = append(x.res.Steps, res)
	tell(res)
	if x.Log != nil {
		if err != nil {
			x.Log.Warn("step", "rotation", x.Name, "do", s.Do, "at", s.At, "result", res.Result, "took", res.Took, "error", err)
		} else {
			x.Log.Info("step", "rotation", x.Name, "do", s.Do, "at", s.At, "result", res.Result, "took", res.Took)
		}
	}
	return err
}

func (x *run) do(ctx context.Context, s Step) error {
	switch s.Do {
	case Minting:
		return x.mint(ctx, s)
	case Taking:
		return x.take(ctx, s)
	case Proving:
		return x.step(s, func() error { return x.prove(ctx, s) })
	case Writing:
		x.write(ctx, s)
		return nil
	case Verify:
		return x.verify(ctx, s)
	case Marking:
		return x.mark(ctx, s)
	case Revoke:
		return x.revoke(ctx, s)
	}
	return fmt.Errorf("no such step: %s", s.Do)
}

// read reads what the sinks hold: what will be overwritten must be known to be restored and, once revoked, to be seen
// refused; and a verifier may need the secret that it is to see at work.
func (x *run) read(ctx context.Context) error {
	for i, s := range x.Sinks {
		rd, ok := s.(Reader)
		if h := &x.obs.held[i]; ok && h.secret.IsZero() && h.state == known {
			secret, err := rd.Read(ctx)
			if err != nil && x.urgent() { // an emergency restores nothing, and one sink must not hold it up
				x.warn("%v", wrap("read", s, err))
				continue
			}
			if err != nil {
				return wrap("read", s, err)
			}
			x.o.tell(secret)
			h.secret = secret
		}
	}
	return nil
}

// check runs every check of the plan and reports all faults at once.
func (x *run) check(ctx context.Context) error {
	var errs []error
	for _, s := range x.plan.Steps {
		if s.Do != Check {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		errs = append(errs, x.step(s, func() error {
			return wrap("check", s.checker.(fmt.Stringer), s.checker.(Checker).Check(ctx))
		}))
	}
	return errors.Join(errs...)
}

// mint mints, and makes sure that the newborn is listed and alone. It is never repeated.
func (x *run) mint(ctx context.Context, s Step) error {
	at := time.Now()
	for _, t := range x.obs.listed {
		// Without creation times the order of generations is that of the stamps in their names.
		if birth, ok := Minted(t); ok && x.owns(t) && !at.Truncate(time.Second).After(birth) {
			at = birth.Add(time.Second)
		}
	}
	if err := x.apart(ctx); err != nil {
		return err
	}
	name := mintName(x.ID, x.Name, at)
	s.What = name
	err := x.step(s, func() error {
		c, err := x.Provider.Mint(ctx, name)
		x.o.tell(c.Secret)
		x.newborn, x.minted = c, err == nil || c.ID != ""
		x.newborn.Token = born(x.newborn.Token)
		if x.newborn.Name == "" {
			x.newborn.Name = name
		}
		if err == nil && c.Secret.IsZero() {
			err = fmt.Errorf("%w: the provider answered without a secret", ErrConflict)
		}
		if err != nil {
			return wrap("mint", x.Provider, err)
		}
		x.res.Newborn = x.newborn.Token
		if x.listless() {
			return nil // no list would show it
		}
		return x.await(ctx, name)
	})
	if err == nil {
		x.res.Newborn = x.newborn.Token
		return nil
	}
	if !x.minted {
		// The answer may have been lost: look for the name.
		x.newborn.Name, x.minted = name, true
		x.lost = errors.Is(err, ErrTemporary) || ctx.Err() != nil
	}
	return err
}

// take makes what a person handed in the newborn, if it is what was asked for. The person made it and may use it
// elsewhere, so it is never revoked by this run.
func (x *run) take(ctx context.Context, s Step) error {
	return x.step(s, func() error {
		if err := x.Provider.(Inspector).Inspect(ctx, x.obs.handed.secret); err != nil {
			return &Error{"take", handIn{}.String(), fmt.Errorf("%s is not what was asked for: %w", label(s.token), err)}
		}
		x.newborn = Credential{s.token, x.obs.handed.secret}
		x.minted, x.taken = true, true
		x.res.Newborn = x.newborn.Token
		return nil
	})
}

// apart waits until the newborn will not share its birth, which providers give in whole seconds, with what it is to
// supersede: of two tokens of one second neither is older.
func (x *run) apart(ctx context.Context) error {
	for _, t := range x.obs.listed {
		if wait := time.Until(t.Created.Add(time.Second)); x.owns(t) && wait > 0 && wait <= 2*time.Second {
			return sleep(ctx, wait)
		}
	}
	return nil
}

// await lists until the newborn shows, and stops if another run minted meanwhile.
func (x *run) await(ctx context.Context, name string) error {
	began := time.Now()
	for pause := time.Second; ; pause *= 2 {
		listed, err := x.list(ctx)
		if err != nil {
			return err
		}
		found := false
		for _, t := range listed {
			if _, before := x.obs.find(t.ID); x.owns(t) && !before && t.Name != name {
				return &Error{"mint", x.Provider.String(), fmt.Errorf("%w: another run minted %s at the same time; this run steps back", ErrConflict, t.Name)}
			}
			if t.Name == name {
				found = true
				if x.newborn.ID == "" {
					x.newborn.ID = t.ID
				}
				if t.ID != x.newborn.ID {
					return &Error{"mint", x.Provider.String(), fmt.Errorf("%w: the list shows %s as token %s, the mint answered %s", ErrConflict, name, t.ID, x.newborn.ID)}
				}
				x.newborn.Token = t
			}
		}
		if found {
			if off := x.newborn.Created.Sub(began); off > maxSkew+pause || off < -maxSkew-time.Since(x.res.Begun) {
				return x.clockError(off)
			}
			return nil
		}
		if time.Since(began) >= appears {
			return &Error{"mint", x.Provider.String(), fmt.Errorf("%w: the list does not show %s after %s", ErrTemporary, name, appears)}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// prove shows that a credential is what it should be before anything depends on it.
func (x *run) prove(ctx context.Context, s Step) error {
	switch {
	case s.index >= 0:
		return wrap("prove", x.Prove[s.index], x.Prove[s.index].Verify(ctx, x.newborn))
	case s.index == works:
		return x.proveHeld(ctx)
	}
	if who, ok := x.Provider.(Identifier); ok {
		t, err := who.Identify(ctx, x.newborn.Secret)
		if err != nil {
			return wrap("identify", x.Provider, err)
		}
		if t.ID != "" && t.ID != x.newborn.ID {
			return &Error{"identify", x.Provider.String(), fmt.Errorf("%w: the newborn's secret is that of token %s, not of %s", ErrConflict, t.ID, x.newborn.ID)}
		}
		if e := x.newborn.Expires; !t.Expires.IsZero() && (e.IsZero() || t.Expires.Before(e)) {
			x.newborn.Expires = t.Expires
			x.res.Newborn = x.newborn.Token
		}
	}
	if e := x.newborn.Expires; !e.IsZero() && e.Before(x.newborn.Created.Add(x.Every+2*Tick-rounding)) {
		return &Error{"prove", x.Provider.String(), fmt.Errorf("%w: the newborn expires %s, less than two days after it would be replaced (every %s)",
			ErrConfig, e.UTC().Format(time.RFC3339), Days(x.Every))}
	}
	var errs []error
	for _, sink := range x.Sinks {
		if a, ok := sink.(Accepter); ok {
			errs = append(errs, wrap("write", sink, a.Accept(x.newborn)))
		}
	}
	return errors.Join(errs...)
}

// proveHeld asks the provider about what the sinks hold, before anything that it superseded is revoked.
func (x *run) proveHeld(ctx context.Context) error {
	who := x.Provider.(Identifier)
	for i, s := range x.Sinks {
		h := &x.obs.held[i]
		if rd, ok := s.(Reader); ok && h.secret.IsZero() {
			secret, err := rd.Read(ctx)
			if err != nil {
				return wrap("read", s, err)
			}
			x.o.tell(secret)
			h.secret = secret
		}
		if h.secret.IsZero() || h.snapshot {
			continue
		}
		t, err := who.Identify(ctx, h.secret)
		if err != nil {
			return &Error{"identify", s.String(), err}
		}
		if t.ID != "" && t.ID != h.token.ID {
			return &Error{"identify", s.String(), fmt.Errorf("%w: it says that it holds %s, but the secret in it is that of token %s", ErrConflict, label(h.token), t.ID)}
		}
	}
	return nil
}

// write writes one sink. A failure does not stop the others: each that holds the newborn is one the
// next run need not worry about, and both generations are alive.
func (x *run) write(ctx context.Context, s Step) {
	x.begun = append(x.begun, s.index)
	x.fresh = nil
	sink := x.Sinks[s.index]
	if err := x.step(s, func() error { return wrap("write", sink, sink.Write(ctx, x.newborn)) }); err != nil {
		x.failed = append(x.failed, err)
		return
	}
	x.written[s.index] = true
	x.wrote = time.Now()
}

// verify runs one verifier on what the sinks hold.
func (x *run) verify(ctx context.Context, s Step) error {
	if s.index == person {
		return x.step(s, func() error {
			return &Error{"verify", s.At, fmt.Errorf("%w: nobody has acknowledged yet that consumers took it up; run again with --acknowledge when you know", ErrUnproven)}
		})
	}
	v := x.Verify[s.index]
	if s.What = ""; x.attempt > 0 {
		s.What = fmt.Sprintf("attempt %d of %d", x.attempt+1, x.attempts())
	}
	c := x.newborn
	if !x.minted {
		c = x.holding()
	}
	x.fresh = nil
	err := x.step(s, func() error { return wrap("verify", v, v.Verify(ctx, c)) })
	if err == nil {
		x.passed++
	}
	return err
}

// again reports whether the verification, which failed, is begun once more. What is left of the run must do for
// putting back what the sinks held.
func (x *run) again(ctx context.Context, err error) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < x.deadline()/2 {
		return false
	}
	if errors.Is(err, ErrUnproven) || ctx.Err() != nil || x.attempt+1 >= x.attempts() {
		return false
	}
	x.attempt++
	x.passed = 0
	return true
}

// holding is the credential that all sinks hold when nothing was minted; its secret only if one could be read.
func (x *run) holding() Credential {
	low, _ := floor(x.obs.held)
	c := Credential{Token: low}
	for _, h := range x.obs.held {
		if h.token.ID == low.ID && !h.secret.IsZero() && !h.snapshot {
			c.Secret = h.secret
		}
	}
	return c
}

// mark records in a sink that what it holds was verified. That it fails is no harm: a later tick verifies again.
func (x *run) mark(ctx context.Context, s Step) error {
	if err := x.settle(ctx); err != nil {
		return x.unsettled(err)
	}
	h := x.fresh[s.index]
	want := x.newborn.Token
	if !x.minted {
		want = x.holding().Token
	}
	if h.state != known || h.token.ID != want.ID {
		return &Error{"mark", s.At, fmt.Errorf("%w: it no longer holds %s; nothing is revoked", ErrConflict, label(want))}
	}
	if err := x.step(s, func() error { return wrap("mark", x.Sinks[s.index], x.Sinks[s.index].(Marker).Mark(ctx, want)) }); err != nil {
		if ctx.Err() != nil {
			return err
		}
		x.warn("%v; a later run verifies again before it revokes anything", err)
		return nil
	}
	if !x.written[s.index] {
		x.obs.held[s.index].verified = true
	}
	return nil
}

func (x *run) unsettled(err error) error {
	return fmt.Errorf("what the sinks hold could not be made sure of, so nothing is revoked: %w", err)
}

// abort ends a run at a failed step by the plan's failure branch.
func (x *run) abort(ctx context.Context, err error) error {
	switch {
	case !x.minted:
		x.judge(ctx, err)
		return err
	case len(x.begun) == 0:
		return errors.Join(err, x.revokeNewborn())
	case x.phase != Verify, errors.Is(err, ErrUnproven), ctx.Err() != nil, x.urgent():
		x.judge(ctx, err)
		return err
	}
	return x.restore(ctx, err)
}

// judge says how a run that stopped without a failure branch ended.
func (x *run) judge(ctx context.Context, err error) {
	if errors.Is(err, ErrUnproven) {
		x.res.Outcome = OnHold
		text := "not proven yet; both generations are alive, and the next run looks again"
		if x.urgent() {
			text = "not proven yet; the compromised tokens are revoked, and the next run verifies again"
		}
		x.res.Left = append(x.res.Left, text)
		return
	}
	if ctx.Err() != nil && len(x.begun) > 0 {
		x.res.Left = append(x.res.Left, "the run was stopped before the newborn was verified; the next run looks what the sinks hold and goes on from there")
	}
	if x.phase == Verify && ctx.Err() == nil {
		x.res.Person = true
		x.res.Left = append(x.res.Left, "consumers hold a token whose verification failed: look at the failed step; a later run only verifies again")
	}
}

// revokeNewborn kills a newborn that no sink holds. If the mint's answer was lost, it is found by its name.
func (x *run) revokeNewborn() error {
	if x.taken {
		x.res.Left = append(x.res.Left, fmt.Sprintf("%s, which was handed in, lives on and is held by no sink; a later run takes it again while it is handed in", label(x.newborn.Token)))
		return nil
	}
	ctx := x.cleanup
	s := Step{Do: Revoke, At: x.Provider.String(), What: "the newborn " + x.newborn.Name}
	t := x.newborn.Token
	if t.ID == "" {
		listed, err := x.list(ctx)
		if err != nil {
			x.leave(x.newborn.Name)
			return fmt.Errorf("whether %s was minted could not be found out: %w", x.newborn.Name, err)
		}
		i := slices.IndexFunc(listed, func(t Token) bool { return t.Name == x.newborn.Name })
		if i < 0 {
			x.minted = false
			if x.lost {
				x.res.Left = append(x.res.Left, fmt.Sprintf("%s is not listed; should it appear, the next run that succeeds revokes it", x.newborn.Name))
			}
			return nil
		}
		t = listed[i]
		x.newborn.Token = t
	}
	for i := range x.Sinks {
		if x.feed(i) > 0 && len(x.begun) == 0 {
			if err := x.nobodyHolds(ctx); err != nil {
				x.leave(x.newborn.Name)
				return err
			}
		}
	}
	if err := x.step(s, func() error { return x.revokes(ctx, t) }); err != nil {
		x.leave(x.newborn.Name)
		return err
	}
	x.minted = false
	x.res.Newborn = t
	x.res.Revoked = append(x.res.Revoked, t)
	return nil
}

func (x *run) leave(name string) {
	if x.taken {
		x.res.Left = append(x.res.Left, fmt.Sprintf("%s, which was handed in, lives on; consumers may still work with it", name))
		return
	}
	x.res.Left = append(x.res.Left, fmt.Sprintf("%s may be alive although no sink holds it; the next run that succeeds revokes it", name))
}

// incomplete reports what failed without stopping the run.
func (x *run) incomplete() error {
	return errors.Join(append(slices.Clone(x.failed), x.unrevoked...)...)
}

func (x *run) warn(format string, args ...any) {
	x.res.Warnings = append(x.res.Warnings, fmt.Sprintf(format, args...))
}
