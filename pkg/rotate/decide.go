package rotate

import (
	"fmt"
	"slices"
	"time"
)

// decision says what is to be done, and why. It is a pure function of an observation, the policy and the
// options.
type decision struct {
	due     bool
	reasons []string // why it is due
	urgent  bool     // a consumer holds a dead or compromised token: no back-off

	generations []Token // live tokens minted by this rotation, oldest first
	superseded  []Token // older than what every sink holds; ours and adopted, oldest first
	retire      []Token // of those, what may be revoked now
	kept        []Kept  // of those, what may not, and why
	unverified  bool    // a sink says that what it holds was not verified yet
	stop        error   // something is to be done, but not now
	wait        bool    // stop is no failure: it passes by itself

	veto    []string // why nothing may be revoked
	foreign []Token  // bear the rotation's name, but another rotation's fingerprint
	notes   []string // what else a person should know
	take    Token    // what was handed in and can be taken; zero: nothing
	ask     bool     // somebody is to make a token and hand it in
	next    time.Time
	overdue time.Duration // how long ago the held token was due; 0: not due
}

// Kept is a superseded token that is left alive, and why.
type Kept struct {
	Token Token
	Why   string
}

func (r *Rotation) decide(obs *observation, o Options) decision {
	var d decision
	compromised := r.compromised(o)
	for _, t := range obs.listed {
		switch {
		case r.owns(t):
			d.generations = append(d.generations, t)
		case sameName(r.Name, t):
			d.foreign = append(d.foreign, t)
		}
	}
	var newest Token
	if n := len(d.generations); n > 0 {
		newest = d.generations[n-1]
	}
	switch {
	case r.HandIn != nil:
		newest = d.judgeHandIn(obs, compromised)
	case r.listless():
		newest = Token{} // what the sink keeps is former, even if it was made later
		if h := obs.held[0]; h.state == known {
			newest = h.token
		}
	}

	d.judgeSinks(r, obs, newest, compromised)
	if o.Force {
		d.due = true
		d.reasons = append(d.reasons, "forced")
		d.urgent = true // a person decided; only the limit on live generations still holds
	}
	d.judgeSuperseded(r, obs, compromised)
	d.postpone(r, obs, compromised)
	d.judgeTime(r, obs, newest, o)
	return d
}

// judgeHandIn finds out whether what was handed in can be taken, and returns the newest token of the rotation:
// that, or else the newest that a sink holds. What lies unused at the provider is no generation while a person mints.
func (d *decision) judgeHandIn(obs *observation, compromised time.Time) Token {
	var newest Token
	for _, h := range obs.held {
		if h.state == known && (newest.ID == "" || older(newest, h.token)) {
			newest = h.token
		}
	}
	h := obs.handed
	switch {
	case h == nil:
	case h.state == dead:
		d.notes = append(d.notes, "what was handed in does not work; hand in a token that does")
	case h.token.Created.Before(compromised):
		d.notes = append(d.notes, fmt.Sprintf("what was handed in, %s, is itself compromised: it was born before %s", label(h.token), compromised.UTC().Format(time.RFC3339)))
	case newest.ID != "" && newest.ID != h.token.ID && !older(newest, h.token):
		d.notes = append(d.notes, fmt.Sprintf("what was handed in, %s, is older than %s, which a sink holds; it is not used", label(h.token), label(newest)))
	default:
		d.take, newest = h.token, h.token
	}
	if newest.ID != "" && !slices.ContainsFunc(d.generations, func(t Token) bool { return t.ID == newest.ID }) {
		d.generations = append(d.generations, newest)
	}
	return newest
}

// judgeSinks finds out whether a sink makes the rotation due, and when it would.
func (d *decision) judgeSinks(r *Rotation, obs *observation, newest Token, compromised time.Time) {
	because := func(i int, format string, args ...any) {
		d.due = true
		d.reasons = append(d.reasons, r.Sinks[i].String()+" "+fmt.Sprintf(format, args...))
	}
	var first Token // what the first sink that can say holds, while nothing was minted
	for i, h := range obs.held {
		switch h.state {
		case mute:
			d.veto = append(d.veto, fmt.Sprintf("%s could not be asked: %v", r.Sinks[i], h.err))
			continue
		case unknown:
			because(i, "holds no token that remint knows")
			continue
		case dead:
			because(i, "holds a token that no longer works%s", named(h.token))
			d.urgent = true
			continue
		case unclear:
			d.veto = append(d.veto, fmt.Sprintf("which token %s holds cannot be told from others of the same birth", r.Sinks[i]))
			if newest.ID != "" && !h.token.Created.Equal(newest.Created) {
				because(i, "does not hold the newest generation %s", newest.Name)
			}
		case known:
			switch {
			case newest.ID != "" && h.token.ID != newest.ID:
				because(i, "holds %s, not the newest generation %s", label(h.token), newest.Name)
			case newest.ID == "" && !r.adopts(h.token):
				because(i, "holds %s, which is not of this rotation", label(h.token))
			case newest.ID == "" && first.ID != "" && first.ID != h.token.ID:
				because(i, "holds %s, another sink holds %s", label(h.token), label(first))
			}
			if first.ID == "" {
				first = h.token
			}
			if h.says && !h.verified {
				d.unverified = true
			}
		}
		d.judgeAge(r, i, h.token, obs.now, compromised, because)
	}
	// One sink that says so is enough: a token is verified as a whole.
	for _, h := range obs.held {
		if h.state == known && h.verified {
			d.unverified = false
		}
	}
}

// judgeAge finds out whether a live token is due for its own sake.
func (d *decision) judgeAge(r *Rotation, i int, t Token, now, compromised time.Time, because func(int, string, ...any)) {
	if t.Created.Before(compromised) {
		because(i, "holds %s, born before %s: compromised", label(t), compromised.UTC().Format(time.RFC3339))
		d.urgent = true
	}
	old, dying := r.limits(t)
	switch {
	case old.IsZero():
		because(i, "holds %s, whose age is not known", label(t))
	case !now.Before(old):
		because(i, "holds %s, which is %s old (every %s)", label(t), Days(now.Sub(t.Created)), Days(r.Every))
	}
	if !dying.IsZero() && !now.Before(dying) {
		because(i, "holds %s, which expires %s", label(t), t.Expires.UTC().Format(time.RFC3339))
	}
	at := earlier(old, dying)
	if at.IsZero() {
		return
	}
	d.next = earlier(d.next, at)
	// A token that was made by hand was not under this rotation's care, so it is not overdue.
	if r.owns(t) && now.Sub(at) > d.overdue {
		d.overdue = now.Sub(at)
	}
}

// limits are the instants from which a token is due, for its age and for its coming end; zero: never for that.
func (r *Rotation) limits(t Token) (old, dying time.Time) {
	if !t.Created.IsZero() {
		old = t.Created.Add(r.Every - r.offset())
	}
	if !t.Expires.IsZero() {
		dying = t.Expires.Add(-2 * Tick)
	}
	return old, dying
}

// earlier is the earlier of two instants, of which either may be unknown.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// floor is what every sink holds, or the oldest of it. It is false while that is not known of every sink.
func floor(hs []held) (Token, bool) {
	var low Token
	for i, h := range hs {
		if h.state != known {
			return Token{}, false
		}
		if i == 0 || older(h.token, low) {
			low = h.token
		}
	}
	return low, len(hs) > 0
}

// judgeSuperseded finds what may be revoked if nothing is due.
func (d *decision) judgeSuperseded(r *Rotation, obs *observation, compromised time.Time) {
	low, ok := floor(obs.held)
	_, verified := r.marks(obs)
	if taken := r.HandIn != nil && (verified || low.ID == d.take.ID); !ok || !r.owns(low) && !taken {
		// What a person made is no successor of ours: nobody verified it.
		return
	}
	d.superseded = r.olderThan(obs.listed, low)
	for _, t := range d.superseded {
		if why := r.keep(t, low, obs.now, compromised); why != "" {
			d.kept = append(d.kept, Kept{t, why})
		} else {
			d.retire = append(d.retire, t)
		}
	}
}

// olderThan returns the tokens of this rotation, minted or adopted, that were created before low. What a sink keeps beside
// low is superseded by it whenever it was made: it was put back in its place.
func (r *Rotation) olderThan(listed []Token, low Token) []Token {
	var out []Token
	for _, t := range listed {
		// A token made by hand that has no date may be younger than what is held.
		ours := r.owns(t) || r.adopts(t) && !t.Created.IsZero()
		if ours && t.ID != "" && t.ID != low.ID && (t.Created.Before(low.Created) || r.listless()) {
			out = append(out, t)
		}
	}
	return out
}

// keep says why a token that low superseded stays alive, or "".
func (r *Rotation) keep(t, low Token, now, compromised time.Time) string {
	if t.Created.Before(compromised) {
		return ""
	}
	end := low.Created.Add(r.Grace)
	// Without a grace nothing is compared: the provider's clock may be a little ahead of this one.
	if r.Grace > 0 && now.Before(end) {
		return "in grace until " + end.UTC().Format(time.RFC3339)
	}
	// Until the run that superseded it was over, consumers used it rightly.
	if t.LastUsed.After(end.Add(r.deadline())) {
		return "still in use: last used " + t.LastUsed.UTC().Format(time.RFC3339)
	}
	return ""
}

// judgeTime finds out whether what is to be done may be done now.
func (d *decision) judgeTime(r *Rotation, obs *observation, newest Token, o Options) {
	if d.stop != nil || !d.due && len(d.retire) == 0 && !d.verifies() {
		return
	}
	// Births are by the provider's clock, which may be as far behind as survey allows. What a person minted was
	// perhaps not even taken yet.
	if n := len(d.generations); r.listless() && n > 0 {
		newest = d.generations[n-1] // a run that puts the older value back may be alive
	}
	alive := newest.Created.Add(r.deadline() + maxSkew)
	begun := r.HandIn == nil || slices.ContainsFunc(obs.held, func(h held) bool { return h.state == known && h.token.ID == newest.ID })
	if !o.Alone && newest.ID != "" && begun && obs.now.Before(alive) {
		d.wait = !d.due
		d.stop = fmt.Errorf("%w: %s was minted %s ago, so another run may be alive; nothing was changed. Run again after %s, or with --alone if you know that no other run is alive",
			ErrConflict, newest.Name, max(obs.now.Sub(newest.Created), 0).Round(time.Second), alive.UTC().Format(time.RFC3339))
		return
	}
	if !d.due {
		if n := len(d.retire); n > r.maxRevoke() {
			d.stop = tooMany(n, r.maxRevoke())
		}
		return
	}
	n := len(d.generations)
	switch {
	case r.HandIn != nil:
		d.judgePerson(obs, newest)
	case n >= r.maxRevoke():
		d.stop = fmt.Errorf("%w: %d generations are alive (max-revoke %d), so no further one is minted; find out why earlier runs failed, then revoke what no sink holds",
			ErrLimit, n, r.maxRevoke())
	case n >= 4 && !d.urgent:
		until := newest.Created.Add(Tick << (n - 3))
		if obs.now.Before(until) {
			d.stop = fmt.Errorf("%w: %d generations are alive since earlier runs failed; the next one is minted after %s (or with --force)",
				ErrLimit, n, until.UTC().Format(time.RFC3339))
		}
	}
}

// judgePerson stops a rotation that waits for a person. That is no failure before the last tenth of a token's life.
func (d *decision) judgePerson(obs *observation, newest Token) {
	// What is handed in still, and held everywhere already, is no successor.
	if d.take.ID != "" && slices.ContainsFunc(obs.held, func(h held) bool { return h.state != known || h.token.ID != d.take.ID }) {
		return
	}
	d.ask = true
	d.wait = !d.urgent
	for _, h := range obs.held {
		if t := h.token; h.state == known && !t.Expires.IsZero() && t.Expires.Sub(obs.now) < t.Expires.Sub(t.Created)/10 {
			d.wait = false
		}
	}
	if d.wait {
		d.overdue = 0 // a person may choose the day
	}
	what := "make a token and hand it in"
	if newest.ID != "" && slices.ContainsFunc(obs.held, func(h held) bool { return h.state != known || h.token.ID != newest.ID }) {
		what = "hand in " + label(newest) + " again, or make a new token and hand that in"
	}
	d.stop = fmt.Errorf("%w: due, and nothing that could be taken was handed in: %s", ErrUnproven, what)
}

func tooMany(n, most int) error {
	return fmt.Errorf("%w: %d tokens are to be revoked, more than max-revoke %d; none was revoked. Narrow adopt, revoke by hand, or raise max-revoke", ErrLimit, n, most)
}

// verifies reports whether a verification that was held up, failed or never begun is to be made up for.
func (d *decision) verifies() bool {
	return d.unverified && len(d.veto) == 0
}

func sameName(name string, t Token) bool {
	its, _, _, ok := parts(t.Name)
	return ok && its == name
}

// label names a token for a message.
func label(t Token) string {
	switch {
	case t.Name != "":
		return t.Name
	case t.ID != "":
		return "token " + t.ID
	}
	return "a token"
}

func named(t Token) string {
	if t.Name == "" && t.ID == "" {
		return ""
	}
	return " (" + label(t) + ")"
}
