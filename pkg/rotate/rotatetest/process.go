package rotatetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// process is one run in a process of its own: what its adapters remember dies with it.
type process struct {
	w       *World
	owner   string // identity of its rotation
	quiet   bool   // no faults, and its calls are not counted
	cancel  context.CancelFunc
	effects []string // changes, in order
	revokes int
	mints   int
	named   string // ID of the token that it minted; see unnamed
	turn    func() // waits until it is this process's turn; nil: it is always

	res   rotate.Result
	err   error
	lived bool // to its end
}

// start makes a process of the rotation with this identity.
func (w *World) start(owner string) *process { return &process{w: w, owner: owner} }

// run is the whole life of a process.
func (x *process) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x.cancel = cancel
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crash); !ok {
				panic(p)
			}
		}
	}()
	o := rotate.Options{}
	if x.owner == identity {
		o.Compromised = x.w.emergency
	}
	x.res, x.err = x.rotation().Run(ctx, o)
	x.lived = true
	x.w.mute(x.res, x.err)
}

// Tick is one run of each rotation, the neighbour's undisturbed.
func (w *World) Tick() *process {
	w.skew = 0
	for _, p := range w.places {
		p.queued = ""
	}
	w.hand()
	w.main = w.start(identity)
	w.main.run()
	if w.Beside {
		beside := w.start(neighbour)
		beside.quiet = true
		w.skew = 0
		beside.run()
	}
	return w.main
}

// hand is the person who makes tokens: he hands in another when the one that he handed in is dead.
func (w *World) hand() {
	if w.HandIn && !w.live(w.bySecret(w.handed)) {
		w.handIn()
	}
}

// handIn makes a token by hand, half a minute ago, and hands it in.
func (w *World) handIn() {
	w.handed = w.add(handMade, time.Now().Add(-30*time.Second).Truncate(time.Second), identity).secret
}

// rival runs another process to its end.
func (x *process) rival() {
	r := x.w.start(x.owner)
	r.quiet = true
	r.run()
}

// effect records a change.
func (x *process) effect(format string, args ...any) {
	x.effects = append(x.effects, fmt.Sprintf(format, args...))
}

// at is the failpoint: it carries out f, or meets the fault planted for this call.
func (x *process) at(ctx context.Context, op string, f func()) error {
	w := x.w
	if x.turn != nil {
		x.turn()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if x.quiet {
		f()
		return nil
	}
	n := w.call
	w.call++
	w.ops = append(w.ops, op)
	fault, ok := w.faults[n]
	if !ok {
		fault, ok = w.persistent[op]
	}
	if !ok || !fault.fits(op) {
		f()
		return nil
	}
	w.met[fault] = true
	switch fault {
	case FailBefore:
		return errLost
	case FailAfter:
		f()
		return errLost
	case Limited:
		return fmt.Errorf("%w: too many requests", rotate.ErrLimit)
	case CrashBefore:
		panic(crash{})
	case CrashAfter:
		f()
		panic(crash{})
	case Cancel:
		x.cancel()
		return context.Canceled
	case Slow:
		f()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(61 * time.Minute):
		}
	case Rival:
		x.rival()
		f()
	case Stale, BlindList, Unclear:
		f() // which asked [process.sees] before
	case Duplicate:
		f()
		once := len(x.effects)
		f()
		x.effects = x.effects[:once] // the run asked for it once
	case Lies:
		return nil
	case ClockJump:
		w.skew = 10 * time.Minute
		f()
	case ClockBack:
		w.skew = -10 * time.Minute
		f()
	case ByHand:
		w.byHand()
		f()
	case Revoked:
		w.revokeByHand()
		f()
	case Unproven:
		return fmt.Errorf("%w: approval is pending", rotate.ErrUnproven)
	case Refused:
		return fmt.Errorf("%w: consumers were seen to fail", rotate.ErrDenied)
	}
	return nil
}

// sees returns the fault that the read about to be made will meet.
func (x *process) sees(op string) Fault {
	if x.quiet {
		return ""
	}
	if f, ok := x.w.faults[x.w.call]; ok {
		return f
	}
	return x.w.persistent[op]
}

// byHand is a person who rolls back one sink. Beside a marker that would make the marker lie, which is not
// promised to go well.
func (w *World) byHand() {
	first := w.tokens[0]
	for _, p := range w.of(identity) {
		if (p.kind == Digest || p.kind == Readable || p.kind == File || p.kind == Keeps) && w.live(first) && !first.stamp.Before(w.emergency) {
			p.content, p.digest, p.checked = first.secret, "", false
			p.version++
			p.remember() // a read that misses it looks just like one that no person disturbed
			return
		}
	}
}

// revokeByHand is a person who revokes the newest token of the rotation; where no service does that, who empties what a
// sink keeps beside.
func (w *World) revokeByHand() {
	if w.Listless {
		for _, p := range w.of(identity) {
			p.former = p.content
			p.version++
			p.remember()
		}
		return
	}
	for _, t := range slices.Backward(w.tokens) {
		if t.owner == identity && w.live(t) && w.Dead() == "" {
			w.before = w.list()
			t.revoked, t.byPerson = true, true
			return
		}
	}
}

// rotation builds the adapters of the process.
func (x *process) rotation() *rotate.Rotation {
	w := x.w
	r := &rotate.Rotation{ID: x.owner, Name: rotationName, Every: w.Every, Grace: w.Grace, Attempts: w.Attempts, Verify: []rotate.Verifier{consumers{x}}}
	switch {
	case w.Blind:
		r.Provider = provider{x}
	case w.Listless:
		r.Provider = listless{provider{x}}
	case w.Unnamed:
		r.Provider = unnamed{identifier{provider{x}}}
		r.Adopt = func(rotate.Token) bool { return true }
	case w.HandIn:
		r.Provider = inspector{identifier{provider{x}}}
		r.HandIn = &rotate.HandIn{Secret: rotate.NewSecret(w.handed)}
	case w.Careful:
		r.Provider = careful{identifier{provider{x}}}
		r.Prove = []rotate.Verifier{probe{x}}
	default:
		r.Provider = identifier{provider{x}}
	}
	if x.owner == identity && (w.Adopted || w.Unknown || w.HandIn) {
		r.Adopt = func(t rotate.Token) bool { return t.Name == handMade }
	}
	for i, p := range w.of(x.owner) {
		s := &sink{x: x, p: p, name: fmt.Sprintf("%s-%d", p.kind, i), snapshot: p.content, version: p.version}
		switch p.kind {
		case Marked:
			if w.Careful {
				r.Sinks = append(r.Sinks, choosy{marked{s}})
				continue
			}
			r.Sinks = append(r.Sinks, marked{s})
		case Digest:
			r.Sinks = append(r.Sinks, digest{s})
		case Readable:
			r.Sinks = append(r.Sinks, readable{s})
		case File:
			r.Sinks = append(r.Sinks, file{readable{s}})
		case Current:
			r.Sinks = append(r.Sinks, current{s})
		case Both:
			r.Sinks = append(r.Sinks, both{marked{s}})
		case Keeps:
			r.Sinks = append(r.Sinks, newKeeper(s))
		}
	}
	return r
}

// Race runs processes of one rotation side by side. Each number of order lets that process make one call; what is
// left then runs to its end, one process after the other.
func (w *World) Race(n int, order []int) []*process {
	w.skew = 0
	w.hand()
	for _, p := range w.places {
		p.queued = ""
	}
	type lane struct {
		*process
		waits chan bool // the process is at a call (true) or over (false)
		goes  chan struct{}
		over  bool
	}
	lanes := make([]*lane, n)
	var out []*process
	for i := range lanes {
		l := &lane{process: w.start(identity), waits: make(chan bool), goes: make(chan struct{})}
		l.turn = func() {
			l.waits <- true
			<-l.goes
		}
		go func() {
			<-l.goes
			l.run()
			l.waits <- false
		}()
		lanes[i] = l
		out = append(out, l.process)
	}
	step := func(l *lane) {
		if !l.over {
			l.goes <- struct{}{}
			l.over = !<-l.waits
		}
	}
	for _, i := range order {
		step(lanes[i])
	}
	for _, l := range lanes {
		for !l.over {
			step(l)
		}
	}
	return out
}

// mute makes sure that what a run tells holds no secret. It is what takes longest, and a text that leaks does so
// without a second fault.
func (w *World) mute(res rotate.Result, err error) {
	if len(w.faults) > 1 {
		return
	}
	if why := NoLeak(w, res, err); why != "" {
		w.breaks("%s", why)
	}
}
