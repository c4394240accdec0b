package rotate

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Tick is the time between two runs that the engine reckons with: a schedule runs once a day.
const Tick = 24 * time.Hour

const (
	defaultMaxRevoke = 10
	defaultDeadline  = time.Hour
	maxSkew          = 5 * time.Minute
	overdueTicks     = 3
)

// Rotation ties a provider, its sinks and its verifiers together. The zero values of the optional fields
// are useful; a Rotation must not be changed while one of its methods runs.
type Rotation struct {
	// ID is the identity: no two rotations that a provider account sees may share it. Its fingerprint is part
	// of every minted name, so changing it makes the rotation forget its tokens.
	ID string
	// Name begins the name of every token minted.
	Name string

	Provider Provider
	Prove    []Verifier // run on the newborn before any sink is touched
	Sinks    []Sink     // at least one
	Verify   []Verifier // run, in order, after all sinks are written
	// Attempts is how often Verify is run before its failure counts; 0: once. More than once needs verifiers that are
	// a [Repeater].
	Attempts int
	// Acknowledge says that consumers are not ours to see: what is written is held, and nothing is revoked, until a person
	// says that they took it up (Options.Acknowledged).
	Acknowledge bool
	// HandIn says that a person makes the tokens, since the provider forbids it to machines: nothing is minted.
	HandIn *HandIn

	// Every is the age at which a token is replaced.
	Every time.Duration
	// Grace is how long a superseded token goes on working after its successor's birth.
	Grace time.Duration
	// Spread moves the due date ahead by up to this much, by a hash of ID, so that many rotations do not
	// fall due together.
	Spread time.Duration
	// Adopt tells tokens that were made by hand and are to be replaced by this rotation. It is never asked about a
	// minted name. Nil: none.
	Adopt func(Token) bool
	// MaxRevoke is the most tokens that one run revokes, and the most live generations there may be; 0: 10.
	MaxRevoke int
	// Deadline ends a run. A generation younger than it may belong to a run that is still alive; 0: 1 hour.
	Deadline time.Duration
	// Compromised is the instant before which tokens are not to be trusted; zero: none. See Options.
	Compromised time.Time
	// Log gets one record for each step; nil: none.
	Log *slog.Logger
}

// HandIn is what a person gives to a rotation that cannot mint by itself. Its provider must be an [Identifier] and an
// [Inspector].
type HandIn struct {
	// Secret is that of the successor; zero: none was handed in yet. It may stay here when it is taken.
	Secret Secret
}

// Options are what a person may ask of one run.
type Options struct {
	// Force rotates although nothing is due.
	Force bool
	// Alone asserts that no other run is alive, so that a young generation does not stop this one.
	Alone bool
	// Acknowledged says that a person knows that consumers of a rotation with Acknowledge took up what the sinks hold.
	Acknowledged bool
	// Compromised, if later than the rotation's own, replaces it for this run. Tokens born before it are due, have
	// no grace, and are revoked before the verification; nothing is restored.
	Compromised time.Time
	// Secrets is told every secret that the run mints or reads, before anything is done with it: the place to
	// mask it. Nil: nobody is told.
	Secrets func(Secret)
	// Watch is told every step as it begins (with Result Begun) and as it ends. Nil: nobody is told.
	Watch func(StepResult)
}

func (r *Rotation) maxRevoke() int {
	if r.MaxRevoke > 0 {
		return r.MaxRevoke
	}
	return defaultMaxRevoke
}

func (r *Rotation) attempts() int { return max(r.Attempts, 1) }

func (r *Rotation) deadline() time.Duration {
	if r.Deadline > 0 {
		return r.Deadline
	}
	return defaultDeadline
}

func (r *Rotation) compromised(o Options) time.Time {
	if o.Compromised.After(r.Compromised) {
		return o.Compromised
	}
	return r.Compromised
}

// offset is how much earlier than Every this rotation is due.
func (r *Rotation) offset() time.Duration {
	if r.Spread <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.ID))
	return time.Duration(float64(r.Spread) * (float64(h.Sum64()>>11) / (1 << 53)))
}

// validate refuses a rotation that cannot keep the promise, before anything is called.
func (r *Rotation) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if r.ID == "" {
		bad("the rotation has no identity (ID)")
	}
	switch {
	case r.Name == "":
		bad("the rotation has no name")
	case strings.TrimSpace(r.Name) != r.Name, !owns(r.ID, r.Name, Token{Name: mintName(r.ID, r.Name, time.Now())}):
		bad("the name %q could not be found again at the provider: no line breaks, and no spaces at its ends", r.Name)
	}
	if r.Provider == nil {
		bad("the rotation has no provider")
	}
	if len(r.Sinks) == 0 {
		bad("the rotation has no sink")
	}
	if r.Every <= 0 {
		bad("every must be positive")
	}
	if r.Grace < 0 || r.Spread < 0 || r.Deadline < 0 || r.MaxRevoke < 0 || r.Attempts < 0 {
		bad("grace, spread, deadline, max-revoke and attempts must not be negative")
	}
	if r.Spread >= r.Every && r.Spread > 0 {
		bad("spread %v is not shorter than every %v: tokens would be due at once", r.Spread, r.Every)
	}
	if r.Grace > 0 && r.Grace >= r.Every-r.Spread {
		bad("grace %s is not shorter than every %s: what is superseded would never be revoked", Days(r.Grace), Days(r.Every-r.Spread))
	}
	if r.Compromised.After(time.Now().Add(maxSkew)) {
		bad("compromised %s is in the future: every token would be replaced again and again", r.Compromised.UTC().Format(time.RFC3339))
	}
	for _, vs := range [][]Verifier{r.Prove, r.Verify} {
		if slices.Contains(vs, nil) {
			bad("a verifier is nil")
		}
	}
	if r.Attempts > 1 {
		for _, v := range r.Verify {
			if a, ok := v.(Repeater); v != nil && (!ok || !a.Repeatable()) {
				bad("attempts %d: %s cannot be run again in one run", r.Attempts, v)
			}
		}
	}
	if r.HandIn != nil {
		_, identifies := r.Provider.(Identifier)
		if _, inspects := r.Provider.(Inspector); !identifies || !inspects {
			bad("hand-in: %s cannot tell whether a token made by a person is the right one", r.Provider)
		}
	}
	if slices.Contains(r.Sinks, nil) {
		bad("a sink is nil")
		return errors.Join(errs...)
	}
	if l, ok := r.Provider.(Lifetime); ok && l.Life() > 0 && l.Life()-r.Every < 2*Tick {
		bad("a token lives %s and is replaced every %s: less than two days are left if a run fails; lengthen expiry or shorten every",
			Days(l.Life()), Days(r.Every))
	}
	r.suits(bad)
	_, identifies := r.Provider.(Identifier)
	for i, s := range r.Sinks {
		_, holds := s.(Holder)
		_, reads := s.(Reader)
		if !holds && !(reads && identifies) {
			bad("sink %s (%d) cannot say what it holds: it has no marker, and nothing that the provider could identify", s, i+1)
		}
		for j := range i {
			if r.Sinks[j].String() == s.String() {
				bad("sink %s is listed twice", s)
			}
		}
	}
	return errors.Join(errs...)
}

// Days prints a duration as people say it: in days where it is whole days, else as Go does.
func Days(d time.Duration) string {
	if d >= Tick && d%Tick == 0 {
		if d == Tick {
			return "1 day"
		}
		return fmt.Sprintf("%d days", d/Tick)
	}
	if d >= 2*Tick {
		return fmt.Sprintf("%d days", d/Tick)
	}
	return d.Round(time.Second).String()
}
