package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Verb is what a step does.
type Verb string

// The verbs of a plan, in the order in which they may come.
const (
	Check   Verb = "check"   // ask an adapter whether it could do its work
	Minting Verb = "mint"    // create the newborn
	Taking  Verb = "take"    // make sure that what a person handed in is what was asked for; it is the newborn then
	Proving Verb = "prove"   // identify the newborn and run verifiers on it
	Writing Verb = "write"   // make a sink hold the newborn
	Verify  Verb = "verify"  // run a verifier on what the sinks hold
	Marking Verb = "mark"    // record in a sink that its token was verified
	Revoke  Verb = "revoke"  // kill a superseded token
	Restore Verb = "restore" // put back into a sink what it held
)

// Step is one operation of a plan.
type Step struct {
	Do   Verb   `json:"do"`
	At   string `json:"at"`             // the adapter
	What string `json:"what,omitempty"` // the token, or what is special about the step

	index   int   // of the sink or verifier; see asked, works
	token   Token // Revoke: the token
	checker any   // Check: the adapter
}

// What a Proving step does if it runs no verifier.
const (
	asked = -1 // is the newborn what was asked for?
	works = -2 // does what the sinks hold work?

	person = -3 // of a Verify step: a person says so
)

// String reads as a sentence: "write github:example/web/TOKEN".
func (s Step) String() string {
	text := string(s.Do) + " " + s.At
	if s.What != "" {
		text += ": " + s.What
	}
	return text
}

// Plan is what a run would do now.
type Plan struct {
	Name      string    `json:"name"`
	Due       bool      `json:"due"`
	Reasons   []string  `json:"reasons,omitempty"`   // why it is due
	Steps     []Step    `json:"steps,omitempty"`     // in order; empty: nothing to do
	OnFailure []Step    `json:"onFailure,omitempty"` // what is done, as far as needed and possible, if a step after the mint fails
	Stop      string    `json:"stop,omitempty"`      // why nothing is done now although something is to be done
	Kept      []Kept    `json:"kept,omitempty"`      // superseded tokens that stay alive, and why
	Warnings  []string  `json:"warnings,omitempty"`
	HandIn    []string  `json:"handIn,omitempty"`  // what a person is to do: the steps that make a token
	Sinks     []Holds   `json:"sinks"`             // what consumers hold
	Live      []Token   `json:"live"`              // live generations of this rotation, oldest first
	Foreign   []Token   `json:"foreign,omitempty"` // of the same name, but minted by a rotation with another identity; left alone
	Next      time.Time `json:"next,omitzero"`

	acknowledged bool
	emergency    time.Time // tokens born before it are compromised
	urgent       bool      // there are such tokens
	stop         error
	wait         bool
	overdue      time.Duration
}

// Holds says what one sink holds.
type Holds struct {
	Sink     string `json:"sink"`
	Token    Token  `json:"token,omitzero"`
	State    string `json:"state"` // "holds", "nothing known", "dead", "unclear", "could not be asked"
	Verified bool   `json:"verified,omitempty"`
}

// Plan surveys and decides, and says what Run would do. It changes nothing.
func (r *Rotation) Plan(ctx context.Context, o Options) (Plan, error) {
	if err := r.validate(); err != nil {
		return Plan{Name: r.Name}, err
	}
	obs, err := r.survey(ctx, o)
	if err != nil {
		return Plan{Name: r.Name}, err
	}
	return r.plan(obs, o), nil
}

// plan is pure: it turns an observation into the operations of a run.
func (r *Rotation) plan(obs *observation, o Options) Plan {
	d := r.decide(obs, o)
	p := Plan{Name: r.Name, Due: d.due, Reasons: d.reasons, Kept: d.kept, Live: d.generations, Next: d.next,
		acknowledged: o.Acknowledged, emergency: r.compromised(o), stop: d.stop, wait: d.wait, overdue: d.overdue}
	p.urgent = r.endangers(obs, p.emergency)
	if p.Live == nil {
		p.Live = []Token{} // in JSON an empty list, not null
	}
	for i, h := range obs.held {
		p.Sinks = append(p.Sinks, h.report(r.Sinks[i]))
	}
	p.Warnings = append(p.Warnings, d.veto...)
	if d.overdue >= overdueTicks*Tick {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s: the rotation is overdue by %s; are scheduled runs dropped or failing?", r.Name, Days(d.overdue)))
	}
	p.Foreign = d.foreign
	for _, text := range d.notes {
		p.Warnings = append(p.Warnings, r.Name+": "+text)
	}
	if d.ask {
		p.HandIn = r.Provider.(Inspector).Instructions(mintName(r.ID, r.Name, obs.now))
		p.Warnings = append(p.Warnings, r.Name+": "+d.stop.Error())
	}
	if d.stop != nil {
		p.Stop = d.stop.Error()
		return p
	}
	switch {
	case d.due:
		r.planRotation(&p, obs, d.take)
		p.limit(r.maxRevoke())
	case len(d.retire) > 0 || d.verifies():
		r.planRetirement(&p, obs, d)
	}
	return p
}

// endangers reports whether a plan replaces compromised tokens.
func (r *Rotation) endangers(obs *observation, compromised time.Time) bool {
	for _, t := range obs.listed {
		if t.Created.Before(compromised) && (r.owns(t) || r.adopts(t)) {
			return true
		}
	}
	for _, h := range obs.held {
		if h.state == known && h.token.Created.Before(compromised) {
			return true
		}
	}
	return false
}

func (r *Rotation) planRotation(p *Plan, obs *observation, take Token) {
	p.Kept = nil // of what superseded them until now
	r.planChecks(p, true)
	if r.HandIn != nil {
		p.add(Step{Do: Taking, At: r.Provider.String(), What: label(take), token: take})
	} else {
		p.add(Step{Do: Minting, At: r.Provider.String(), What: r.Name + " …"})
	}
	p.add(Step{Do: Proving, At: r.Provider.String(), What: "the newborn is what was asked for", index: asked})
	for i, v := range r.Prove {
		p.add(Step{Do: Proving, At: v.String(), index: i})
	}
	order := r.order()
	for _, i := range order {
		p.add(Step{Do: Writing, At: r.Sinks[i].String(), index: i})
	}
	for _, t := range p.superseded(r, obs, take, true) {
		p.add(r.revocation(t))
	}
	r.planVerify(p)
	r.planMarks(p)
	for _, t := range p.superseded(r, obs, take, false) {
		p.add(r.revocation(t))
	}

	if p.urgent {
		if r.HandIn == nil {
			p.OnFailure = []Step{{Do: Revoke, At: r.Provider.String(), What: "the newborn, if no write has begun"}}
		}
		return
	}
	for _, i := range slices.Backward(order) {
		p.OnFailure = append(p.OnFailure, Step{Do: Restore, At: r.Sinks[i].String(), index: i})
	}
	for i, v := range r.Verify {
		p.OnFailure = append(p.OnFailure, Step{Do: Verify, At: v.String(), What: "with what was restored", index: i})
	}
	if r.HandIn == nil {
		p.OnFailure = append(p.OnFailure, Step{Do: Revoke, At: r.Provider.String(), What: "the newborn, if no sink may hold it"})
	}
}

// planVerify adds the verifiers, which show what all sinks hold at work.
func (r *Rotation) planVerify(p *Plan) {
	what := ""
	if n := r.attempts(); n > 1 {
		what = fmt.Sprintf("up to %d attempts", n)
	}
	for i, v := range r.Verify {
		p.add(Step{Do: Verify, At: v.String(), What: what, index: i})
	}
	if r.Acknowledge && !p.acknowledged {
		p.add(Step{Do: Verify, At: "a person", What: "acknowledges that consumers took it up", index: person})
	}
}

// superseded are the tokens that the newborn will make superfluous: the compromised ones, which go before
// the verification, or the others.
func (p *Plan) superseded(r *Rotation, obs *observation, take Token, compromised bool) []Token {
	var out []Token
	for _, t := range obs.listed {
		if take.ID != "" && !older(t, take) { // it was there when this run began
			continue
		}
		if t.ID == "" || !r.owns(t) && !r.adopts(t) || t.Created.Before(p.emergency) != compromised {
			continue
		}
		if !compromised && r.Grace > 0 {
			p.Kept = append(p.Kept, Kept{t, "in grace for " + Days(r.Grace) + " after its successor's birth"})
			continue
		}
		out = append(out, t)
	}
	return out
}

func (r *Rotation) revocation(t Token) Step {
	return Step{Do: Revoke, At: r.Provider.String(), What: label(t), token: t}
}

func (r *Rotation) planRetirement(p *Plan, obs *observation, d decision) {
	r.planChecks(p, false)
	if r.readable(obs) {
		p.add(Step{Do: Proving, At: r.Provider.String(), What: "what the sinks hold works", index: works})
	}
	for _, t := range d.retire {
		if t.Created.Before(p.emergency) {
			p.add(r.revocation(t))
		}
	}
	says, verified := r.marks(obs)
	if says && !verified || !says && len(d.retire) > 0 {
		r.planVerify(p)
	}
	if says && !verified {
		r.planMarks(p)
	}
	for _, t := range d.retire {
		if !t.Created.Before(p.emergency) {
			p.add(r.revocation(t))
		}
	}
}

func (r *Rotation) planMarks(p *Plan) {
	for i, s := range r.Sinks {
		if _, ok := s.(Marker); ok {
			p.add(Step{Do: Marking, At: s.String(), What: "verified", index: i})
		}
	}
}

// readable reports whether the secret that is held can be had and asked about.
func (r *Rotation) readable(obs *observation) bool {
	if _, ok := r.Provider.(Identifier); !ok {
		return false
	}
	for i, h := range obs.held {
		if _, ok := r.Sinks[i].(Reader); ok || !h.secret.IsZero() {
			return true
		}
	}
	return false
}

// marks reports whether any sink can say that what it holds was verified, and whether one does.
func (r *Rotation) marks(obs *observation) (says, verified bool) {
	for _, h := range obs.held {
		says = says || h.state == known && h.says
		verified = verified || h.state == known && h.verified
	}
	return says, verified
}

// planChecks adds a check of the provider, and, if the whole rotation is ahead, of every other adapter.
func (r *Rotation) planChecks(p *Plan, all bool) {
	add := func(a any, at string) {
		if _, ok := a.(Checker); ok {
			p.add(Step{Do: Check, At: at, checker: a})
		}
	}
	if r.HandIn == nil { // what it would complain about is why a person mints
		add(r.Provider, r.Provider.String())
	}
	if !all {
		return
	}
	for _, v := range r.Prove {
		add(v, v.String())
	}
	for _, s := range r.Sinks {
		add(s, s.String())
	}
	for _, v := range r.Verify {
		add(v, v.String())
	}
}

// order is the order of writing: what can be undone first, so that a failure finds the write-only sinks untouched.
func (r *Rotation) order() []int {
	var undo, rest []int
	for i, s := range r.Sinks {
		if _, ok := s.(Undoer); ok {
			undo = append(undo, i)
		} else {
			rest = append(rest, i)
		}
	}
	return append(undo, rest...)
}

func (p *Plan) add(s Step) { p.Steps = append(p.Steps, s) }

// limit keeps a rotation from revoking more than it may. It rotates all the same: consumers need the newborn. What
// is not compromised stays for a later run, which says that there is too much.
func (p *Plan) limit(most int) {
	n := 0
	for _, s := range p.Steps {
		if s.Do == Revoke {
			n++
		}
	}
	if n <= most {
		return
	}
	p.Warnings = append(p.Warnings, fmt.Sprintf("%s: %v", p.Name, tooMany(n, most)))
	left := most
	p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool {
		if s.Do != Revoke {
			return false
		}
		if s.token.Created.Before(p.emergency) && left > 0 {
			left--
			return false
		}
		p.Kept = append(p.Kept, Kept{s.token, "more than max-revoke are to be revoked"})
		return true
	})
}

func (h held) report(s Sink) Holds {
	out := Holds{Sink: s.String(), Token: h.token, Verified: h.verified}
	switch h.state {
	case known:
		out.State = "holds"
	case dead:
		out.State = "dead"
	case unclear:
		out.State = "unclear"
	case mute:
		out.State = "could not be asked"
	default:
		out.State = "nothing known"
	}
	return out
}

// Check says whether a run could do its work, whatever is due: it validates the rotation, surveys, and asks
// every Checker. It changes nothing and returns all that is wrong at once, joined.
func (r *Rotation) Check(ctx context.Context, o Options) error {
	if err := r.validate(); err != nil {
		return err
	}
	obs, err := r.survey(ctx, o)
	errs := []error{err}
	if obs != nil {
		for _, h := range obs.held {
			errs = append(errs, h.err)
		}
	}
	for i, a := range r.adapters() {
		if i == 0 && r.HandIn != nil {
			continue
		}
		if c, ok := a.(Checker); ok {
			errs = append(errs, wrap("check", a.(fmt.Stringer), c.Check(ctx)))
		}
	}
	return errors.Join(errs...)
}

// Warnings returns what the adapters have to say that is no error, each behind its adapter's name.
func (r *Rotation) Warnings() []string {
	var out []string
	for _, a := range r.adapters() {
		if w, ok := a.(Warner); ok {
			for _, text := range w.Warnings() {
				out = append(out, fmt.Sprintf("%s: %s", a, text))
			}
		}
	}
	return out
}
