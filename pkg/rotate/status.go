package rotate

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// This file says what is there, for a person who has to decide. Its rules:
//
//   - It surveys and decides exactly as a run does, so it sends the requests of a tick with nothing to do, and it
//     changes nothing.
//   - What it says of the future is what a run would do: it asks the same functions.

// Class is what a live token is to a rotation. A token may be of several classes at once.
type Class string

// Classes, in the order in which a token has them.
const (
	ClassCompromised Class = "compromised" // born before the instant of an emergency, and ours, adopted or held
	ClassHeld        Class = "held"        // a sink holds it
	ClassNewest      Class = "newest"      // the youngest generation
	ClassSuperseded  Class = "superseded"  // older than what every sink holds
	ClassOrphan      Class = "orphan"      // minted by this rotation, held by no sink, and not superseded
	ClassUncertain   Class = "uncertain"   // ours or adopted, and a sink that cannot say what it holds may hold it
	ClassAdopted     Class = "adopted"     // made by hand, and named under adopt
	ClassForeign     Class = "foreign"     // neither minted by this rotation nor adopted
)

var classes = [...]Class{ClassCompromised, ClassHeld, ClassNewest, ClassSuperseded, ClassOrphan, ClassUncertain, ClassAdopted, ClassForeign}

// Classes returns all classes, in order.
func Classes() []Class { return slices.Clone(classes[:]) }

// Status is what lives at the provider, what the sinks hold, and what is to come. It holds no secret.
type Status struct {
	Name     string
	Provider string
	At       time.Time // when it was seen, by this machine's clock; zero: it could not be

	Sinks  []SinkStatus  // in the order of the rotation
	Tokens []TokenStatus // all that the provider lists, oldest first

	Due     bool
	Reasons []string      // why it is due
	Next    time.Time     // when it is due next, or since when it is; zero: not known
	Why     string        // why then
	Overdue time.Duration // how long ago a token of this rotation was due; 0: it is not
	Stop    string        // why the next run does nothing although something is to be done
	Waiting bool          // Stop is no failure: it passes by itself
	Steps   []Step        // what the next run would do, as Plan says
	HandIn  []string      // what a person is to do: the steps that make a token to hand in

	Emergency time.Time // tokens born before it are compromised; zero: none
	Alarms    []string  // why a person is needed now, each a sentence
	Warnings  []string
}

// SinkStatus is what one sink holds.
type SinkStatus struct {
	Holds
	Records bool  // the sink can say whether what it holds was verified
	Err     error // why it could not be asked
	Works   bool  // false: its consumers hold a token that does not work
	Foreign bool  // what it holds is not this rotation's
}

// Known reports whether it is known which token the sink holds, dead or alive.
func (s SinkStatus) Known() bool { return s.State == "holds" || s.State == "dead" }

// Mute reports whether the sink could not be asked.
func (s SinkStatus) Mute() bool { return s.State == "could not be asked" }

// TokenStatus is a live token at the provider.
type TokenStatus struct {
	Token
	Classes []Class
	Sinks   []string  // that hold it
	Fate    string    // what will become of it; "": nothing is to
	Until   time.Time // of a superseded one: the first run after it may revoke it; zero: that is not known
}

// Is reports whether the token is of a class.
func (t TokenStatus) Is(c Class) bool { return slices.Contains(t.Classes, c) }

// Status surveys and says what is there. It changes nothing. A sink that could not be asked is no error, see
// [SinkStatus].Err.
func (r *Rotation) Status(ctx context.Context, o Options) (Status, error) {
	s := Status{Name: r.Name}
	if err := r.validate(); err != nil {
		return s, err
	}
	s.Provider = r.Provider.String()
	obs, err := r.survey(ctx, o)
	if err != nil {
		return s, err
	}
	return r.status(obs, o), nil
}

// status is pure, as decide and plan are.
func (r *Rotation) status(obs *observation, o Options) Status {
	d, p := r.decide(obs, o), r.plan(obs, o)
	s := Status{
		Name: r.Name, Provider: r.Provider.String(), At: obs.now,
		Due: d.due, Reasons: d.reasons, Next: d.next, Why: r.whyThen(obs, d.next), Overdue: d.overdue,
		Stop: p.Stop, Waiting: d.stop != nil && d.wait, Steps: p.Steps, HandIn: p.HandIn,
		Emergency: p.emergency, Warnings: p.Warnings,
	}
	for i, h := range obs.held {
		s.Sinks = append(s.Sinks, r.sinkStatus(i, h, obs.now))
	}
	newest := r.newest(obs, d)
	for _, t := range obs.listed {
		s.Tokens = append(s.Tokens, r.tokenStatus(t, newest, obs, d, p))
	}
	s.Alarms = alarms(s)
	return s
}

func (r *Rotation) sinkStatus(i int, h held, now time.Time) SinkStatus {
	s := SinkStatus{Holds: h.report(r.Sinks[i]), Records: h.says, Err: h.err}
	s.Works = h.state != dead && (h.token.Expires.IsZero() || h.state != known || h.token.Expires.After(now))
	s.Foreign = h.state == known && !r.owns(h.token) && !r.adopts(h.token)
	return s
}

// newest is the newest generation as decide sees it.
func (r *Rotation) newest(obs *observation, d decision) Token {
	var t Token
	switch n := len(d.generations); {
	case d.take.ID != "":
		return d.take
	case r.listless():
		return obs.held[0].token
	case r.HandIn == nil && n > 0:
		return d.generations[n-1]
	case r.HandIn != nil:
		for _, h := range obs.held {
			if h.state == known && (t.ID == "" || older(t, h.token)) {
				t = h.token
			}
		}
	}
	return t
}

// tokenStatus classes one listed token and says what will become of it.
func (r *Rotation) tokenStatus(t, newest Token, obs *observation, d decision, p Plan) TokenStatus {
	s := TokenStatus{Token: t}
	certain := true // it is known whether a sink holds it
	for i, h := range obs.held {
		switch {
		case h.state == known && h.token.ID == t.ID && t.ID != "":
			s.Sinks = append(s.Sinks, r.Sinks[i].String())
		case h.state != known && h.state != dead:
			certain = false
		}
	}
	in := func(all []Token) bool {
		return slices.ContainsFunc(all, func(x Token) bool { return x.ID == t.ID && t.ID != "" })
	}
	minted, adopted := r.owns(t), r.adopts(t)
	superseded, isHeld := in(d.superseded), len(s.Sinks) > 0
	open := (minted || adopted) && !isHeld && !superseded
	compromised := t.Created.Before(p.emergency) && (minted || adopted || isHeld)
	for _, c := range classes {
		if map[Class]bool{
			ClassCompromised: compromised,
			ClassHeld:        isHeld,
			ClassNewest:      newest.ID != "" && newest.ID == t.ID,
			ClassSuperseded:  superseded,
			ClassOrphan:      open && minted && certain,
			ClassUncertain:   open && !certain,
			ClassAdopted:     adopted,
			ClassForeign:     !minted && !adopted,
		}[c] {
			s.Classes = append(s.Classes, c)
		}
	}
	s.Fate, s.Until = r.fate(s, obs, d, newest, p)
	return s
}

// fate says what will become of a token, and from when a run may revoke it. What the plan says comes first.
func (r *Rotation) fate(t TokenStatus, obs *observation, d decision, newest Token, p Plan) (string, time.Time) {
	planned := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Do == Revoke && s.token.ID == t.ID && t.ID != "" })
	switch {
	case t.Is(ClassForeign) && t.Is(ClassHeld):
		return "not this rotation's: the next rotation replaces it and leaves it alive; name it under adopt, or revoke it where it was made", time.Time{}
	case t.Is(ClassForeign) && sameName(r.Name, t.Token):
		return "left alone: it bears this rotation's name, but another rotation minted it (the identity differs)", time.Time{}
	case t.Is(ClassForeign):
		return "", time.Time{}
	case planned && t.Is(ClassCompromised):
		return "the next run revokes it as soon as a sink holds its successor", obs.now
	case planned && d.due:
		return "the next run revokes it when its successor is verified", obs.now
	case planned:
		return "the next run revokes it", obs.now
	}
	for _, k := range p.Kept {
		if k.Token.ID != t.ID || t.ID == "" {
			continue
		}
		if low, ok := floor(obs.held); ok && t.Is(ClassSuperseded) && obs.now.Before(low.Created.Add(r.Grace)) {
			return k.Why + ", then the next run revokes it", low.Created.Add(r.Grace)
		}
		return "kept: " + k.Why, time.Time{}
	}
	switch young := newest.Created.Add(r.deadline() + maxSkew); {
	case t.Is(ClassHeld):
		return "", time.Time{}
	case t.Is(ClassSuperseded) && d.wait && obs.now.Before(young):
		return "revoked by the first run after " + young.UTC().Format(time.RFC3339), young
	case t.Is(ClassSuperseded) && d.stop != nil:
		return "not revoked: the next run does nothing", time.Time{}
	case t.Is(ClassUncertain):
		return "kept while a sink cannot say what it holds", time.Time{}
	case t.Is(ClassOrphan):
		return "no sink says that it holds it; the next run that succeeds revokes it", time.Time{}
	case t.Is(ClassAdopted) && t.Created.IsZero():
		return "left alone until the next rotation: when it was made is not known", time.Time{}
	case t.Is(ClassAdopted):
		return "left alone until the next rotation", time.Time{}
	}
	return "", time.Time{}
}

// whyThen says why a rotation is due at a time.
func (r *Rotation) whyThen(obs *observation, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	for i, h := range obs.held {
		if h.state != known && h.state != unclear {
			continue
		}
		switch old, dying := r.limits(h.token); {
		case dying.Equal(at):
			return fmt.Sprintf("what %s holds expires two days later", r.Sinks[i])
		case old.Equal(at) && r.offset() > 0:
			return fmt.Sprintf("what %s holds is then %s old (every %s, less a spread of %s)", r.Sinks[i], Days(r.Every-r.offset()), Days(r.Every), Days(r.offset()))
		case old.Equal(at):
			return fmt.Sprintf("what %s holds is then %s old", r.Sinks[i], Days(r.Every))
		}
	}
	return ""
}

// alarms says why a person is needed now.
func alarms(s Status) []string {
	var out []string
	for _, h := range s.Sinks {
		if !h.Works {
			out = append(out, fmt.Sprintf("consumers of %s hold a token that does not work%s", h.Sink, named(h.Token)))
		}
	}
	for _, t := range s.Tokens {
		if t.Is(ClassCompromised) {
			out = append(out, fmt.Sprintf("%s is compromised and lives on", label(t.Token)))
		}
	}
	return out
}
