package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Drill is the rehearsal of everything that can go wrong: each rotation meets every fault at every request, each time
// in a lab of its own. After the run that met it come a clean one, which is to put everything right, and another, which
// is to find nothing to do. All along the drill looks what consumers hold; it never asks an adapter. Its rules:
//
//   - The faults are met where a clean run went. One that a run never came to is no trial.
//   - The runs after a fault know that no other is alive (--alone): in a rehearsal no hour passes, after which they
//     would know it.
//   - Of rotations of one matrix that send the same requests, one is drilled: the others differ in names only.
//   - What it calls broken is what the promise forbids, and nothing else: that a run fails is no breach.
type Drill struct {
	// Load loads the configuration for a lab, with [Lab.Options]. It is called once for every trial.
	Load func(*Lab) (*config.Config, error)
	// Getenv reads the user's environment; nil: it is empty.
	Getenv func(string) string
	// Abreast is how many trials are carried out at a time; they wait as much as they work. 0: 8.
	Abreast int
	// Watch is told how many of the trials are done, first with 0. Nil: nobody is told.
	Watch func(done, all int)
	// Secrets is told every secret that may stand in a text of the result. Nil: nobody is told.
	Secrets func(rotate.Secret)

	// Sabotage changes what [Lab.Prepare] made of the configuration, before anything runs: a test shows by it that the
	// drill finds what is broken. Nil: nothing is changed.
	Sabotage func(*config.Config)

	invented map[string]rotate.Secret
	alone    sync.RWMutex
}

// Trial is a run that met one fault, and what came of it.
type Trial struct {
	Rotation string
	Nth      int    // number of the request in a clean run, from 1; 0: the fault is none of a request
	Step     string // what the run was doing, such as "write github:example/web/TOKEN"
	Request  string // method, host, path, operation; "": the adapter sends none
	Fault    Fault

	Ended  rotate.Outcome // how the run ended; "": it was killed
	Error  string         // of the run
	Person bool           // the run called for a person
	Held   Held           // what consumers held then
	Orphan bool           // a newborn lived that none of them held
	Next   rotate.Outcome // how the next run ended
	Broken []string       // what of the promise was broken; nil: nothing
}

// Held is what the consumers of a rotation hold.
type Held string

// What consumers hold.
const (
	Old     Held = "what they held before"
	Newborn Held = "a newborn"
	Both    Held = "some a newborn, some what they held before"
	Dead    Held = "something that does not work"
)

// Drilled is what came of a drill.
type Drilled struct {
	Trials   []Trial           // by rotation, request and fault
	Like     map[string]string // rotations that were not drilled, and the one of their matrix that stands for them
	Requests int               // at which a fault was met
	Took     time.Duration
}

// Broken returns the trials in which the promise was broken.
func (d Drilled) Broken() []Trial {
	return slices.DeleteFunc(slices.Clone(d.Trials), func(t Trial) bool { return len(t.Broken) == 0 })
}

// patient is how long one run may take. Faults make it wait a few seconds.
const patient = time.Minute

// same is at how many requests in a row that are alike faults are met; the others are polls.
const same = 2

// Run carries out the drill. An error means that it could not be: a configuration that cannot be emulated, or a
// clean rehearsal that fails, so that nothing could be said of a faulty one.
func (d *Drill) Run(ctx context.Context) (Drilled, error) {
	began := time.Now()
	first := New(d.Getenv)
	c, err := d.Load(first)
	if err != nil {
		return Drilled{}, err
	}
	d.invented = first.invented // making up a key of an App takes long
	out := Drilled{Like: map[string]string{}}
	seen := map[string]string{} // by shape
	for i, r := range c.Rotations {
		trials, shape, err := d.plan(ctx, i)
		if err != nil {
			return Drilled{}, err
		}
		shape = fmt.Sprint(r.Group) + shape
		if one, ok := seen[shape]; ok {
			out.Like[r.Name] = one
			continue
		}
		seen[shape] = r.Name
		out.Trials = append(out.Trials, trials...)
	}
	if err := d.all(ctx, out.Trials, rotations(c)); err != nil {
		return Drilled{}, err
	}
	out.Trials = slices.DeleteFunc(out.Trials, func(t Trial) bool { return t.Next == "" && t.Broken == nil })
	at := map[string]bool{}
	for _, t := range out.Trials {
		at[fmt.Sprint(t.Rotation, t.Nth)] = t.Nth > 0
	}
	for _, is := range at {
		if is {
			out.Requests++
		}
	}
	out.Took = time.Since(began)
	return out, nil
}

func rotations(c *config.Config) map[string]int {
	at := map[string]int{}
	for i, r := range c.Rotations {
		at[r.Name] = i
	}
	return at
}

// all carries out the trials. One that never met its fault is left without Next.
func (d *Drill) all(ctx context.Context, trials []Trial, at map[string]int) error {
	var (
		mu   sync.Mutex
		errs []error
		done int
	)
	tell := func() {
		if d.Watch != nil {
			d.Watch(done, len(trials))
		}
	}
	tell()
	var wg sync.WaitGroup
	slots := make(chan struct{}, cmp.Or(d.Abreast, 8))
	for i := range trials {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := d.try(ctx, &trials[i], at[trials[i].Rotation])
			mu.Lock()
			defer mu.Unlock()
			done++
			errs = append(errs, err)
			tell()
		})
	}
	wg.Wait()
	return errors.Join(append(errs, context.Cause(ctx))...)
}

// world is one lab in which one rotation runs.
type world struct {
	*Lab
	*rotation
	secrets []rotate.Secret
	broken  []string
	refuted bool // pods that run with the newborn do not come up
}

// bystanders is how many other rotations are there in a trial, to be left alone.
const bystanders = 1

// world makes a lab, and in it the nth rotation and those that it must leave alone.
func (d *Drill) world(nth int) (*world, error) {
	l := New(d.Getenv)
	maps.Copy(l.invented, d.invented)
	c, err := d.Load(l)
	if err != nil {
		return nil, err
	}
	if nth >= len(c.Rotations) {
		return nil, errors.New("the configuration changed in the middle of the drill")
	}
	all := slices.Concat(c.Rotations[nth:], c.Rotations[:nth])
	c.Rotations = all[:min(len(all), 1+bystanders)]
	if err := l.Prepare(c); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	w := &world{Lab: l, rotation: l.rotations[0]}
	if d.Sabotage != nil {
		d.Sabotage(c)
	}
	return w, nil
}

// plan carries out a clean run and returns the trials of a rotation, and what its requests have in common with those of
// others of its matrix.
func (d *Drill) plan(ctx context.Context, nth int) (trials []Trial, shape string, err error) {
	w, err := d.world(nth)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = w.Close() }()
	g := &gate{}
	name := w.rotation.Name
	if res, err := w.run(ctx, g, rotate.Options{}); err != nil && !errors.Is(err, rotate.ErrUnproven) {
		return nil, "", fmt.Errorf("%s: a rehearsal without any fault ends with %q, so what faults do to it cannot be told: %w", name, res.Outcome, err)
	}
	alike := 0
	for i, b := range g.log {
		if alike++; i == 0 || b != g.log[i-1] {
			alike = 0
		}
		if alike == 0 {
			shape += "\n" + kindOf(b.step) + " " + b.method()
		}
		if alike >= same {
			continue
		}
		for _, f := range Faults() {
			if f == Lost && reads(b) { // as if it had not been sent
				continue
			}
			if f == Killed && i == 0 {
				trials = append(trials, Trial{Rotation: name, Nth: 1, Step: b.step, Request: b.what, Fault: Unstarted})
			}
			trials = append(trials, Trial{Rotation: name, Nth: i + 1, Step: b.step, Request: b.what, Fault: f})
		}
	}
	for _, v := range w.Verify {
		trials = append(trials, Trial{Rotation: name, Step: "verify " + v.String(), Fault: Refuted})
	}
	return append(trials, Trial{Rotation: name, Step: "prove " + w.Provider.String(), Fault: Refuted}), shape, nil
}

// kindOf is a step without what only one rotation has: "write github".
func kindOf(step string) string {
	kind, _, _ := strings.Cut(step, ":")
	return kind
}

// method is the method and the operation of a request.
func (b boundary) method() string {
	words := strings.Fields(b.what)
	if len(words) > 3 {
		return words[0] + " " + words[3]
	}
	return strings.Join(words[:min(len(words), 1)], "")
}

// reads reports whether a request certainly changes nothing.
func reads(b boundary) bool { return strings.HasPrefix(b.what, "GET ") }

// changing are the steps whose requests may change what consumers hold, or whether it works.
var changing = []rotate.Verb{rotate.Minting, rotate.Writing, rotate.Marking, rotate.Verify, rotate.Revoke, rotate.Restore}

// changes reports whether a request may change what consumers hold, or whether it works.
func (b boundary) changes() bool {
	verb, _, _ := strings.Cut(b.step, " ")
	return slices.Contains(changing, rotate.Verb(verb)) && !reads(b)
}

// try carries out one trial. A run that waited in vain for something is not believed at once: many trials side by side
// may have made it wait for the processor. So the trial is carried out again, with no other beside.
func (d *Drill) try(ctx context.Context, t *Trial, nth int) error {
	again := *t
	d.alone.RLock()
	waited, err := d.once(ctx, t, nth)
	d.alone.RUnlock()
	if !waited || len(t.Broken) == 0 || err != nil {
		return err
	}
	d.alone.Lock()
	defer d.alone.Unlock()
	*t = again
	_, err = d.once(ctx, t, nth)
	return err
}

func (d *Drill) once(ctx context.Context, t *Trial, nth int) (waited bool, err error) {
	w, err := d.world(nth)
	if err != nil {
		return false, err
	}
	defer func() {
		if len(t.Broken) > 0 && d.Secrets != nil {
			for _, s := range w.secrets {
				d.Secrets(s)
			}
		}
		err = errors.Join(err, w.Close())
	}()
	g := &gate{fault: t.Fault, at: t.Nth}
	g.rival = func() { _, _ = w.run(ctx, &gate{}, rotate.Options{}) }
	undo := w.doubt(t)
	res, err := w.run(ctx, g, rotate.Options{})
	if t.Nth > 0 && !g.hit {
		return false, nil // it went another way
	}
	undo()
	if t.Ended = res.Outcome; g.dead {
		t.Ended = ""
	}
	if t.Person = res.Person; err != nil {
		t.Error = err.Error()
	}
	t.Held, t.Orphan = w.look()
	if res, err = w.run(ctx, &gate{}, rotate.Options{Alone: true}); err != nil {
		w.breach("the next run ended with %q: %v", res.Outcome, err)
		waited = vain(err)
	}
	t.Next = res.Outcome
	w.settled(res)
	if res, err = w.run(ctx, &gate{}, rotate.Options{Alone: true}); err != nil || len(res.Steps) > 0 {
		w.breach("the run after the next still found something to do: %s %v", did(res), err)
	}
	t.Broken = w.broken
	return waited || vain(err), ctx.Err()
}

func vain(err error) bool {
	return errors.Is(err, rotate.ErrUnproven) || errors.Is(err, context.DeadlineExceeded)
}

// did lists the steps of a run.
func did(res rotate.Result) []string {
	var all []string
	for _, s := range res.Steps {
		all = append(all, string(s.Do)+" "+s.At)
	}
	return all
}

// doubt lets newborns be refused, if that is the fault, until undo is called.
func (w *world) doubt(t *Trial) (undo func()) {
	if t.Fault != Refuted {
		return func() {}
	}
	if t.Step == "prove "+w.Provider.String() {
		set := func(yes bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.unproven = yes
		}
		set(true)
		return func() { set(false) }
	}
	for i, v := range w.Verify {
		if t.Step == "verify "+v.String() {
			w.refuted = true
			w.rotation.verify[i].fails.Store(true)
			return func() { w.refuted = false; w.rotation.verify[i].fails.Store(false) }
		}
	}
	return func() {}
}

// run is one process. The gate may be that of another, which is killed.
func (w *world) run(ctx context.Context, g *gate, o rotate.Options) (rotate.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	g.kill = cancel
	g.watch = func(b boundary) {
		if b.changes() {
			w.watch(b)
		}
	}
	o.Watch = g.follow
	var mu sync.Mutex
	o.Secrets = func(s rotate.Secret) {
		mu.Lock()
		defer mu.Unlock()
		w.secrets = append(w.secrets, s)
	}
	res, err := process(w.rotation, g).Run(ctx, o)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		w.breach("a run did not end within %s", patient)
	}
	w.watch(boundary{step: "the end of the run"})
	return res, err
}

// watch looks whether every consumer has what works.
func (w *world) watch(b boundary) {
	if len(w.broken) > 0 {
		return
	}
	for _, h := range w.Holdings() {
		if w.refuted && b.what != "" && h.Token != w.past.Name && strings.HasPrefix(h.Sink, podsOf) {
			continue // they never came up; those that serve are the old ones
		}
		if h.Token == "" || !h.Works {
			w.breach("%s held %s after %v", h.Sink, cmp.Or(h.Token, "no token of the provider")+", which does not work,", b)
		}
	}
}

func (w *world) breach(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// mine are the holdings of the rotation.
func (w *world) mine() []Holding {
	return slices.DeleteFunc(w.Holdings(), func(h Holding) bool { return h.Rotation != w.rotation.Name })
}

// look says what consumers hold, and whether a newborn lives that none of them does.
func (w *world) look() (held Held, orphan bool) {
	for _, t := range w.mint.tokens() {
		if !w.seeded[t.ID] && !slices.ContainsFunc(w.mine(), func(h Holding) bool { return h.Token == t.Name }) {
			orphan = true
		}
	}
	for _, h := range w.mine() {
		now := Newborn
		switch {
		case h.Token == "" || !h.Works:
			return Dead, orphan
		case h.Token == w.past.Name:
			now = Old
		}
		if held == "" {
			held = now
		} else if held != now {
			held = Both
		}
	}
	return held, orphan
}

// settled looks whether everything is as it should be after a clean run.
func (w *world) settled(res rotate.Result) {
	kept := map[string]bool{}
	for _, k := range res.Kept {
		kept[k.Token.ID] = true
	}
	mine := w.mine()
	for _, h := range mine {
		if h.Token == w.past.Name {
			w.breach("after the next run %s still held %s", h.Sink, h.Token)
		} else if h.Token != mine[0].Token {
			w.breach("after the next run %s held %s, and %s held %s", h.Sink, h.Token, mine[0].Sink, mine[0].Token)
		}
	}
	for _, t := range w.mint.tokens() {
		if (!w.seeded[t.ID] || t.ID == w.past.ID) && t.Name != mine[0].Token && !kept[t.ID] {
			w.breach("after the next run %s lived, which nobody held", t.Name)
		}
	}
	for _, h := range w.Holdings() {
		for _, r := range w.rotations[1:] {
			if h.Rotation == r.Name && h.Token != r.past.Name {
				w.breach("%s of another rotation, %s, held %s", h.Sink, r.Name, cmp.Or(h.Token, "nothing known"))
			}
		}
	}
}
