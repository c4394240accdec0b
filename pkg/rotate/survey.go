package rotate

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"
)

// state says what is known of a sink's content.
type state int

const (
	unknown state = iota // nothing that remint knows
	known                // a token that the provider lists
	dead                 // a token that no longer works
	unclear              // a secret that works, but which of several tokens it is cannot be told
	mute                 // the sink could not be asked
)

// held is what one sink holds, as settled.
type held struct {
	state    state
	token    Token  // known; as far as known otherwise
	verified bool   // the sink says that the token was verified
	says     bool   // the sink can say whether it was verified
	secret   Secret // the value, if it was read or handed in
	snapshot bool   // secret was handed in
	former   Token  // whose value the sink keeps beside
	err      error  // mute: why
}

// observation is all that a decision rests on, besides the policy.
type observation struct {
	now    time.Time
	listed []Token // every live token of this kind, oldest first
	held   []held  // one for each sink
	handed *held   // what a person handed in; nil: nothing
}

func (o *observation) find(id string) (Token, bool) {
	for _, t := range o.listed {
		if t.ID == id && id != "" {
			return t, true
		}
	}
	return Token{}, false
}

// survey lists, asks every sink, and settles what each holds. It changes nothing. An error means that
// nothing may be concluded from what was seen.
func (r *Rotation) survey(ctx context.Context, o Options) (*observation, error) {
	obs := &observation{}
	var err error
	if obs.listed, err = r.list(ctx); err != nil {
		return nil, err
	}
	obs.now = time.Now()
	if c, ok := r.Provider.(Clock); ok {
		if skew, ok := c.Skew(); ok && (skew > maxSkew || skew < -maxSkew) {
			return nil, r.clockError(skew)
		}
	}
	if err := r.timely(obs); err != nil {
		return nil, err
	}
	for _, s := range r.Sinks {
		h, err := r.ask(ctx, obs, s, o)
		if err != nil {
			return nil, err
		}
		obs.held = append(obs.held, h)
	}
	if r.listless() {
		obs.listed = r.accepted(obs.held)
		if err := r.timely(obs); err != nil {
			return nil, err
		}
	}
	if obs.handed, err = r.handed(ctx, obs, o); err != nil {
		return nil, err
	}
	return obs, ctx.Err()
}

// timely refuses a token of ours from the future: a clock runs behind, and ages and graces would be wrong.
func (r *Rotation) timely(obs *observation) error {
	for _, t := range obs.listed {
		if ahead := t.Created.Sub(obs.now); ahead > maxSkew && r.owns(t) {
			return r.clockError(ahead)
		}
	}
	return nil
}

func (r *Rotation) clockError(skew time.Duration) error {
	return &Error{"survey", r.Provider.String(), fmt.Errorf(
		"%w: the provider's clock is %s ahead of this machine's (negative: behind); set the clock, ages cannot be trusted", ErrConflict, skew.Round(time.Second))}
}

// list returns the live tokens, oldest first.
func (r *Rotation) list(ctx context.Context) ([]Token, error) {
	if r.listless() {
		return nil, nil // what the sink names is the list
	}
	all, err := r.Provider.List(ctx)
	if err != nil {
		return nil, wrap("list", r.Provider, err)
	}
	listed := make([]Token, len(all))
	for i, t := range all {
		if listed[i] = born(t); t.ID == "" && r.owns(t) {
			return nil, &Error{Op: "list", At: r.Provider.String(), Err: fmt.Errorf("%w: %s is listed without an ID, so it could never be revoked", ErrConflict, label(t))}
		}
	}
	sort.SliceStable(listed, func(i, j int) bool { return older(listed[i], listed[j]) })
	return listed, nil
}

// ask asks one sink and settles its answer against the list. An error stops the run; a sink that
// cannot be asked is mute instead.
func (r *Rotation) ask(ctx context.Context, obs *observation, s Sink, o Options) (held, error) {
	var answer Holding
	if h, ok := s.(Holder); ok {
		var err error
		if answer, err = h.Held(ctx); err != nil {
			return held{state: mute, err: wrap("held", s, err)}, nil
		}
	}
	o.tell(answer.Secret)
	if id := answer.Mark.Token.ID; id != "" {
		h := held{state: dead, token: answer.Mark.Token, verified: answer.Mark.Verified, says: true, secret: answer.Secret, snapshot: answer.Snapshot}
		if t, ok := obs.find(id); ok {
			h.state, h.token = known, sooner(t, h.token)
		}
		if r.listless() {
			h.state, h.token, h.former = known, born(h.token), answer.Former // it works since it is held
		}
		return h, nil
	}
	if answer.Is != nil {
		for _, t := range obs.listed {
			if answer.Is(t) {
				return held{state: known, token: t, verified: answer.Verified, says: true, secret: answer.Secret}, nil
			}
		}
	}
	secret := answer.Secret
	if rd, ok := s.(Reader); ok && secret.IsZero() {
		var err error
		if secret, err = rd.Read(ctx); err != nil {
			return held{state: mute, err: wrap("read", s, err)}, nil
		}
		o.tell(secret)
	}
	if secret.IsZero() {
		return held{}, nil
	}
	if _, ok := r.Provider.(Identifier); !ok && answer.Is == nil {
		if _, ok := s.(Marker); !ok || answer.Unmarked {
			// Nothing would ever be known of it, and each run would rotate.
			return held{}, &Error{Op: "survey", At: s.String(), Err: fmt.Errorf("%w: it says only its secret, and %s cannot tell whose that is; use a sink that keeps a marker", ErrConfig, r.Provider)}
		}
	}
	return r.identify(ctx, obs, s, held{secret: secret, snapshot: answer.Snapshot, former: answer.Former})
}

// identify settles what a secret is by asking the provider.
func (r *Rotation) identify(ctx context.Context, obs *observation, s fmt.Stringer, h held) (held, error) {
	who, ok := r.Provider.(Identifier)
	if !ok {
		return h, nil
	}
	t, err := who.Identify(ctx, h.secret)
	switch {
	case errors.Is(err, ErrDenied):
		h.state = dead
		return h, nil
	case errors.Is(err, ErrConflict):
		return h, &Error{"survey", s.String(), err}
	case err != nil:
		h.state, h.err = mute, &Error{"identify", s.String(), err}
		return h, nil
	}
	h.token = born(t)
	if t.ID == "" {
		h.state = unclear
		return h, nil
	}
	listed, ok := obs.find(t.ID)
	if !ok {
		return h, &Error{"survey", s.String(), fmt.Errorf(
			"%w: it holds a secret that works (token %s), but %s does not list that token; the list cannot be trusted, so nothing is changed",
			ErrConflict, t.ID, r.Provider)}
	}
	h.state, h.token = known, sooner(listed, h.token)
	return h, nil
}

// handIn names what a person handed in, in errors.
type handIn struct{}

func (handIn) String() string { return "hand-in" }

// handed settles what a person handed in.
func (r *Rotation) handed(ctx context.Context, obs *observation, o Options) (*held, error) {
	if r.HandIn == nil || r.HandIn.Secret.IsZero() {
		return nil, nil
	}
	o.tell(r.HandIn.Secret)
	h, err := r.identify(ctx, obs, handIn{}, held{secret: r.HandIn.Secret})
	switch {
	case err != nil:
		return nil, err
	case h.state == mute:
		return nil, h.err
	case h.state == unclear || h.state == known && h.token.Created.IsZero():
		return nil, &Error{"survey", handIn{}.String(), fmt.Errorf("%w: it works, but which token of %s it is, and how old, cannot be told", ErrConflict, r.Provider)}
	}
	return &h, nil
}

// sooner is a listed token with the earlier of the two expiries: what a token carries may end before the token.
func sooner(listed, seen Token) Token {
	if e := seen.Expires; !e.IsZero() && (listed.Expires.IsZero() || e.Before(listed.Expires)) {
		listed.Expires = e
	}
	return listed
}

func (r *Rotation) owns(t Token) bool {
	if r.listless() {
		return true // nothing is listed but what the rotation's own sink names
	}
	if n, ok := r.Provider.(Nameless); ok && n.Nameless() {
		if _, minted := Minted(t); !minted {
			return r.Adopt != nil && r.Adopt(t)
		}
	}
	return owns(r.ID, r.Name, t)
}

// adopts reports whether a token made by hand belongs to the rotation.
func (r *Rotation) adopts(t Token) bool {
	if r.Adopt == nil {
		return false
	}
	_, minted := Minted(t)
	return !minted && r.Adopt(t)
}

func (o Options) tell(s Secret) {
	if o.Secrets != nil && !s.IsZero() {
		o.Secrets(s)
	}
}

// older orders tokens by birth; those of the same instant by ID, so that the order is the same for everybody.
func older(a, b Token) bool {
	if !a.Created.Equal(b.Created) {
		return a.Created.Before(b.Created)
	}
	return a.ID < b.ID
}

// wrap names the operation and the adapter of an error, unless the adapter did.
func wrap(op string, at fmt.Stringer, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) && e.At == at.String() {
		return err
	}
	return &Error{op, at.String(), err}
}
