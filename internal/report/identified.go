package report

import (
	"io"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Identified is what the providers say of a secret. It does not hold the secret.
type Identified struct {
	Alive    bool         // a provider accepts it
	Provider string       // which
	Token    rotate.Token // as far as that can be told; no ID: which of several it is cannot
	Asked    []Answer     // in order
	Mute     []string     // providers that cannot tell whose a secret is
	Seen     []Seen       // the rotations of that provider
	At       time.Time
}

// Answer is what one provider said.
type Answer struct {
	Provider string
	Err      error // nil: it is its
}

// Found reports whether a provider knows the token.
func (f Identified) Found() bool { return f.Provider != "" }

// Exit returns [Fine] if it was found, else [Unwell].
func (f Identified) Exit() int {
	if f.Found() {
		return Fine
	}
	return Unwell
}

// place is a rotation that knows the token.
type placed struct {
	rotation string
	token    *rotate.TokenStatus
	sinks    []rotate.SinkStatus
}

// places are the rotations that the token belongs to, or whose sinks hold it.
func (f Identified) places() []placed {
	var out []placed
	for _, s := range f.Seen {
		p := placed{rotation: s.Status.Name}
		for i, t := range s.Status.Tokens {
			if t.ID == f.Token.ID && t.ID != "" && !stranger(t) {
				p.token = &s.Status.Tokens[i]
			}
		}
		for _, h := range s.Status.Sinks {
			if h.State == stateHolds && h.Token.ID == f.Token.ID && f.Token.ID != "" {
				p.sinks = append(p.sinks, h)
			}
		}
		if p.token != nil || len(p.sinks) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// Identify writes whose the secret is and where it is held.
func Identify(w io.Writer, f Identified) error {
	t := page{}
	places := f.places()
	switch {
	case !f.Found() && f.Alive:
		t.title(markUrgent, "the secret", "it works, but it is no token of these rotations")
	case !f.Found():
		t.title(markWrong, "the secret", "no provider of this configuration knows it as one that works")
	case f.Token.ID == "":
		t.title(markUnsure, "the secret", "it works at "+name(f.Provider)+", but which of several tokens it is cannot be told")
	default:
		t.title(markDone, token(f.Token), "it works at "+name(f.Provider))
	}
	if f.Found() {
		t.list("the token", columns([]row{
			{cells: []string{"id", short(f.Token.ID)}}, {cells: []string{"name", name(f.Token.Name)}}, {cells: []string{"at", name(f.Provider)}},
			{cells: []string{"born (UTC)", born(f.Token)}}, {cells: []string{"expires", lives(f.Token, f.At)}}, {cells: []string{"last used", used(f.Token, f.At)}},
		}))
	}
	for _, p := range places {
		rows := []row{}
		if p.token != nil {
			r := row{cells: []string{"what", classed(*p.token)}}
			r.notes = prose(p.token.Fate)
			rows = append(rows, r)
		}
		for _, h := range p.sinks {
			rows = append(rows, row{cells: []string{"held by", name(h.Sink) + " (verified: " + verification(h) + ")"}})
		}
		if len(p.sinks) == 0 {
			rows = append(rows, row{cells: []string{"held by", "no sink of this rotation, as far as the sinks say"}})
		}
		t.list("in the rotation "+name(p.rotation), columns(rows))
	}
	if f.Found() && len(places) == 0 && f.Token.ID != "" {
		t.paragraph("no rotation of this configuration minted or adopts it, and no sink holds it")
	}
	for _, s := range f.Seen {
		if s.Err != nil {
			t.list("the rotation "+name(s.Status.Name)+" could not be looked at", troubles(s.Err))
		}
	}
	if !f.Found() {
		var rows []row
		for _, a := range f.Asked {
			if a.Err != nil {
				rows = append(rows, row{cells: []string{name(a.Provider), clean(a.Err.Error(), longestLine)}})
			}
		}
		t.list("what the providers say", columns(rows))
	}
	var mute []string
	for _, m := range f.Mute {
		mute = append(mute, name(m))
	}
	t.list("cannot tell whose a secret is", mute)
	return t.to(w)
}

// IdentifiedJSON returns the same for programs.
func IdentifiedJSON(f Identified) ([]byte, error) {
	type asked struct {
		Provider string `json:"provider"`
		Error    string `json:"error,omitempty"` // it is not its, or it could not be asked
	}
	type at struct {
		Rotation string           `json:"rotation"`
		Token    *tokenStatusJSON `json:"token,omitempty"`
		Sinks    []sinkStatusJSON `json:"sinks,omitempty"`
		Error    string           `json:"error,omitempty"` // the rotation could not be looked at
	}
	out := struct {
		Found     bool       `json:"found"`
		Alive     bool       `json:"alive"` // a provider accepts it, if perhaps not as one of its tokens
		Provider  string     `json:"provider,omitempty"`
		Token     *tokenJSON `json:"token,omitempty"`
		Rotations []at       `json:"rotations"`
		Asked     []asked    `json:"asked"`
		Mute      []string   `json:"cannotTell,omitempty"`
	}{Found: f.Found(), Alive: f.Alive, Provider: clean(f.Provider, longestName), Rotations: []at{}, Asked: []asked{}, Mute: cleaned(f.Mute, longestName)}
	if f.Found() {
		t := tokenOf(f.Token)
		out.Token = &t
	}
	for _, p := range f.places() {
		a := at{Rotation: clean(p.rotation, longestName)}
		if p.token != nil {
			t := tokenStatusOf(*p.token)
			a.Token = &t
		}
		for _, h := range p.sinks {
			a.Sinks = append(a.Sinks, sinkStatusOf(h))
		}
		out.Rotations = append(out.Rotations, a)
	}
	for _, s := range f.Seen {
		if s.Err != nil {
			out.Rotations = append(out.Rotations, at{Rotation: clean(s.Status.Name, longestName), Error: clean(s.Err.Error(), longestLine)})
		}
	}
	for _, a := range f.Asked {
		x := asked{Provider: clean(a.Provider, longestName)}
		if a.Err != nil {
			x.Error = clean(a.Err.Error(), longestLine)
		}
		out.Asked = append(out.Asked, x)
	}
	return encode(out)
}
