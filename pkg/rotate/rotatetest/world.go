// Package rotatetest shows that the engine keeps its promise, and that adapters keep their contracts.
//
// A [World] is a provider, sinks and consumers in memory, in which any call across an interface can fail,
// lose its answer, be the last of its process, see stale state, or find that a rival run came first. Every
// effect of the engine crosses an interface, so the interface is the failpoint. The six promises are functions of
// their own (promise.go). [Provider], [Sink] and [Verifier] are suites for adapters.
package rotatetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// SinkKind is how a sink of a topology behaves.
type SinkKind string

// Kinds of sinks.
const (
	Marked   SinkKind = "marked"   // write-only, with a marker beside it: an Actions secret with a variable
	Digest   SinkKind = "digest"   // readable, can undo, keeps a digest of the token's ID: AWS Secrets Manager
	Readable SinkKind = "readable" // can be read back and written, nothing more
	File     SinkKind = "file"     // can be read back and undone, but says nothing of verification
	Current  SinkKind = "current"  // write-only, its value handed in by the workflow
	Both     SinkKind = "both"     // write-only, with a marker, and its value handed in
	Keeps    SinkKind = "keeps"    // readable, can undo, value and marker in one object, keeps what it replaces beside
)

// Topology is one arrangement of a world.
type Topology struct {
	Name        string
	Sinks       []SinkKind
	Grace       time.Duration
	Attempts    int           // of the verification
	Adopted     bool          // what the sinks hold at first was made by hand
	Unknown     bool          // the sinks hold at first what nobody can identify (markers are empty)
	HandIn      bool          // a person makes the tokens; the successor is handed in
	Compromised bool          // the first token is compromised
	Beside      bool          // another rotation of the same name, but another identity, shares the provider
	Careful     bool          // every adapter can be checked, the newborn is proven, sinks may refuse a value, uses are recorded
	Nameless    bool          // the provider gives no creation time
	Unnamed     bool          // the provider keeps no names
	Blind       bool          // the provider cannot identify secrets
	Listless    bool          // there is no service: what the sink holds or keeps is accepted
	Every, Life time.Duration // zero: 75 and 120 days
}

type token struct {
	rotate.Token
	secret   string
	revoked  bool
	byPerson bool      // a person revoked it
	stamp    time.Time // true creation, also if the provider does not say
	owner    string    // identity of the rotation that minted it or adopts it; "": nobody's
}

type place struct {
	kind    SinkKind
	owner   string // identity of the rotation
	content string // a secret
	version int
	mark    string
	digest  string // ID of the token that was written with content
	checked bool   // digest sinks: verified
	running string // what the consumers work with since they were verified last
	queued  string // what a run of the consumers carries that was queued before the last write; "": none
	former  string // what a sink that keeps it has beside
	stale   struct{ content, mark, digest, former string }
}

// World is one simulated provider with its sinks and consumers. It must be used inside a synctest bubble.
type World struct {
	Topology
	// Broken are the promises that were broken, in order.
	Broken []string

	tokens   []*token
	before   []rotate.Token // the list before its last change
	places   []*place
	verified map[string]bool // token IDs
	ever     map[string]bool // token IDs that some sink held
	skew     time.Duration   // of the provider's clock, in this tick
	handed   string          // secret of what a person handed in
	minted   int

	call       int // calls of faulty runs so far
	faults     map[int]Fault
	persistent map[string]Fault // by operation
	met        map[Fault]bool   // faults that were met
	ops        []string         // operation of each call
	ends       []int            // calls so far at the end of each tick
	emergency  time.Time
	main       *process // the run under test of this tick
}

// errLost is what every failing call answers.
var errLost = fmt.Errorf("%w: connection lost", rotate.ErrTemporary)

type crash struct{}

// Two rotations of one name. That each fingerprint is that of its identity is checked by TestIdentities.
const (
	identity    = "forge.example/example/web/web deploy"
	fingerprint = "zzby5dmk"
	neighbour   = "forge.example/example/shop/web deploy"
	neighbours  = "jjugb6z2"

	rotationName = "web deploy"
	handMade     = "web deploy made by hand"
)

// NewWorld builds the state that a run finds: every sink holds the first generation, which is due.
func NewWorld(t Topology) *World {
	if t.Every == 0 {
		t.Every = 75 * rotate.Tick
	}
	if t.Life == 0 {
		t.Life = 120 * rotate.Tick
	}
	w := &World{Topology: t, verified: map[string]bool{}, ever: map[string]bool{}, faults: map[int]Fault{}, persistent: map[string]Fault{}, met: map[Fault]bool{}}
	age := t.Every + time.Hour
	if t.Compromised {
		age = 10 * rotate.Tick
	}
	born := time.Now().Add(-age)
	manual := t.Adopted || t.Unknown || t.HandIn || t.Unnamed
	name := handMade
	if !manual {
		name = fmt.Sprintf("%s %s-%saaaaaa", rotationName, born.UTC().Format("20060102T150405Z"), fingerprint)
	}
	first := w.add(name, born, identity)
	w.verified[first.ID] = true
	w.add("somebody else's", born.Add(-time.Hour), "")
	w.add(fmt.Sprintf("%s %s-zzzzzzzzaaaaaa", rotationName, born.UTC().Format("20060102T150405Z")), born.Add(-time.Minute), "")
	for _, k := range t.Sinks {
		p := w.place(k, identity, first)
		if manual {
			p.mark, p.digest, p.checked = "", "", false
		}
		if t.Unknown {
			p.content, p.running = "made elsewhere", "made elsewhere"
		}
		p.remember()
	}
	if t.HandIn {
		w.handIn()
	}
	if t.Beside {
		its := w.add(fmt.Sprintf("%s %s-%saaaaaa", rotationName, born.UTC().Format("20060102T150405Z"), neighbours), born.Add(time.Minute), neighbour)
		w.verified[its.ID] = true
		w.place(Marked, neighbour, its)
	}
	w.before = w.list()
	if t.Compromised {
		w.emergency = time.Now().Add(-time.Minute)
	}
	return w
}

// place makes a sink that holds a verified token.
func (w *World) place(k SinkKind, owner string, t *token) *place {
	p := &place{kind: k, owner: owner, content: t.secret, running: t.secret, digest: t.ID, checked: true}
	p.mark = rotate.Mark{Token: t.Token, Verified: true}.String()
	if k == Keeps {
		p.mark = ""
		k := newKeeper(&sink{x: &process{w: w, quiet: true}, p: p})
		if err := k.noted(t.Token); err != nil {
			panic(err)
		}
	}
	p.remember()
	w.places = append(w.places, p)
	w.ever[t.ID] = true
	return p
}

func (w *World) add(name string, at time.Time, owner string) *token {
	w.minted++
	id := fmt.Sprintf("t%d", w.minted)
	t := &token{Token: rotate.Token{ID: id, Name: name, Created: at, Expires: at.Add(w.Life)}, secret: "secret-of-" + id, stamp: at.Add(-w.skew), owner: owner}
	if w.Nameless {
		t.Created = time.Time{}
	}
	if w.Listless {
		t.Created, t.Expires = at.Add(-w.skew), time.Time{} // by this machine's clock
	}
	w.tokens = append(w.tokens, t)
	return t
}

func (w *World) live(t *token) bool {
	if w.Listless && t.owner != "" {
		return slices.ContainsFunc(w.of(t.owner), func(p *place) bool { return p.content == t.secret || p.former == t.secret })
	}
	return !t.revoked && time.Now().Before(t.Expires)
}

func (w *World) list() []rotate.Token {
	var out []rotate.Token
	for _, t := range w.tokens {
		if w.live(t) {
			out = append(out, t.Token)
		}
	}
	return out
}

func (w *World) bySecret(s string) *token {
	for _, t := range w.tokens {
		if t.secret == s {
			return t
		}
	}
	return nil
}

func (w *World) byID(id string) *token {
	for _, t := range w.tokens {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// of are the sinks of one rotation.
func (w *World) of(owner string) (out []*place) {
	for _, p := range w.places {
		if p.owner == owner {
			out = append(out, p)
		}
	}
	return out
}

func (p *place) remember() {
	p.stale.content, p.stale.mark, p.stale.digest, p.stale.former = p.content, p.mark, p.digest, p.former
}

// breaks records a broken promise.
func (w *World) breaks(format string, args ...any) {
	w.Broken = append(w.Broken, fmt.Sprintf(format, args...))
}

// disturbed reports whether a person or another run interfered.
func (w *World) disturbed() bool {
	for f := range w.met {
		if f.person() {
			return true
		}
	}
	return false
}
