// Package rotatetest shows that the engine keeps its promise, and that adapters keep their contracts.
//
// A [World] is a provider, sinks and consumers in memory, in which any call across an interface can fail,
// lose its answer, be the last of its process, see stale state, or find that a rival run came first. Every
// effect of the engine crosses an interface, so the interface is the failpoint. [Provider], [Sink] and
// [Verifier] are suites for adapters.
package rotatetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Fault is what happens at one call.
type Fault string

// Faults.
const (
	FailBefore  Fault = "fail before"  // an error, no effect
	FailAfter   Fault = "fail after"   // the effect, but the answer is lost
	CrashBefore Fault = "crash before" // the process ends before the effect
	CrashAfter  Fault = "crash after"  // the process ends after the effect
	Cancel      Fault = "cancel"       // the host cancels the run; the call is not carried out
	Stale       Fault = "stale"        // a read sees the state before the last change
	Rival       Fault = "rival"        // another run begins and ends before the call
	Unproven    Fault = "unproven"     // a verifier cannot say yet
	Slow        Fault = "slow"         // the call takes longer than a run may last
	ByHand      Fault = "by hand"      // a person puts the first token back into a sink that can be read
	Duplicate   Fault = "duplicate"    // the service carries out the request twice
	ClockJump   Fault = "clock jump"   // from this call on, the provider's clock is ten minutes ahead
)

// Faults are all of them.
var Faults = []Fault{FailBefore, FailAfter, CrashBefore, CrashAfter, Cancel, Stale, Rival, Unproven, Slow, ByHand, Duplicate, ClockJump}

// fits reports whether a fault means anything at an operation.
func (f Fault) fits(op string) bool {
	read := op == "list" || op == "drain" || strings.HasPrefix(op, "held") || strings.HasPrefix(op, "read") || op == "identify"
	switch f {
	case Stale:
		return read && op != "identify" && op != "drain"
	case ClockJump:
		return op == "list" || op == "mint"
	case FailAfter, CrashBefore, CrashAfter, Duplicate:
		return !read // a read has no effect: its failure has one form, and a crash at it is one before the next effect
	case Unproven:
		return op == "verify" || op == "drain"
	case ByHand:
		// Between the last look at a sink and the revocation a person wins the race; that is not promised.
		return op == "mint" || strings.HasPrefix(op, "write") || op == "verify"
	case Rival, Slow, Cancel, FailBefore:
		return true
	}
	return false
}

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
)

// Topology is one arrangement of a world.
type Topology struct {
	Name        string
	Sinks       []SinkKind
	Grace       time.Duration
	Adopted     bool          // what the sinks hold at first was made by hand
	Unknown     bool          // the sinks hold at first what nobody can identify (markers are empty)
	Compromised bool          // what the sinks hold at first was disclosed
	Nameless    bool          // the provider gives no creation times
	Blind       bool          // the provider cannot identify secrets
	Every, Life time.Duration // zero: 75 and 120 days
}

type token struct {
	rotate.Token
	secret  string
	revoked bool
	stamp   time.Time // true creation, also if the provider does not say
	ours    bool      // minted by the rotation, or to be adopted
}

type place struct {
	kind    SinkKind
	content string // a secret
	version int
	mark    string
	digest  string // ID of the token that was written with content
	checked bool   // digest sinks: verified
	stale   struct{ content, mark, digest string }
}

// World is one simulated provider with its sinks and consumers. It must be used inside a synctest bubble.
type World struct {
	Topology
	// Broken are the promises that were broken, in order.
	Broken []string
	// Effects are the changes of the current run, in order.
	Effects []string

	tokens   []*token
	before   []rotate.Token // the list before its last change
	places   []*place
	verified map[string]bool // token IDs
	running  []string        // the secret that the consumers of each sink work with since they were verified last
	queued   string          // what a run carries that was queued before the last write of this tick; "": none
	skew     time.Duration   // of the provider's clock, in this tick
	mints    int             // calls of Mint in this tick
	ever     map[string]bool // token IDs that some sink held
	minted   int

	call       int // calls of faulty runs so far
	faults     map[int]Fault
	persistent map[string]Fault // by operation
	ops        []string         // operation of each call
	ends       []int            // calls so far at the end of each tick
	quiet      bool             // no faults now, calls are not counted
	cancel     context.CancelFunc
	emergency  time.Time
	rivals     int
}

// errLost is what every failing call answers.
var errLost = fmt.Errorf("%w: connection lost", rotate.ErrTemporary)

type crash struct{}

// NewWorld builds the state that a run finds: every sink holds the first generation, which is due.
func NewWorld(t Topology) *World {
	if t.Every == 0 {
		t.Every = 75 * rotate.Tick
	}
	if t.Life == 0 {
		t.Life = 120 * rotate.Tick
	}
	w := &World{Topology: t, verified: map[string]bool{}, ever: map[string]bool{}, faults: map[int]Fault{}, persistent: map[string]Fault{}}
	age := t.Every + time.Hour
	if t.Compromised {
		age = 10 * rotate.Tick
	}
	born := time.Now().Add(-age)
	name := "web deploy made by hand"
	if !t.Adopted && !t.Unknown {
		name = fmt.Sprintf("web deploy %s-%saaaaaa", born.UTC().Format("20060102T150405Z"), fingerprint)
	}
	first := w.add(name, born, true)
	w.verified[first.ID] = true
	w.add("somebody else's", born.Add(-time.Hour), false)
	w.add(fmt.Sprintf("web deploy %s-zzzzzzzzaaaaaa", born.UTC().Format("20060102T150405Z")), born.Add(-time.Minute), false)
	for _, k := range t.Sinks {
		p := &place{kind: k, content: first.secret}
		if !t.Adopted && !t.Unknown {
			p.mark = rotate.Mark{Token: first.Token, Verified: true}.String()
			p.digest, p.checked = first.ID, true
		}
		if t.Unknown {
			p.content = "made elsewhere"
		}
		p.remember()
		w.places = append(w.places, p)
		w.running = append(w.running, p.content)
	}
	w.ever[first.ID] = true
	w.before = w.list()
	if t.Compromised {
		w.emergency = time.Now().Add(-time.Minute)
	}
	return w
}

// identity and fingerprint belong together; the latter is checked by TestWorld.
const (
	identity    = "forge.example/example/web/web deploy"
	fingerprint = "zzby5dmk"
)

func (w *World) add(name string, at time.Time, ours bool) *token {
	w.minted++
	id := fmt.Sprintf("t%d", w.minted)
	t := &token{Token: rotate.Token{ID: id, Name: name, Created: at, Expires: at.Add(w.Life)}, secret: "secret-of-" + id, stamp: at, ours: ours}
	if w.Nameless {
		t.Created = time.Time{}
	}
	w.tokens = append(w.tokens, t)
	return t
}

func (w *World) live(t *token) bool { return !t.revoked && time.Now().Before(t.Expires) }

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

func (p *place) remember() {
	p.stale.content, p.stale.mark, p.stale.digest = p.content, p.mark, p.digest
}

// breaks records a broken promise.
func (w *World) breaks(format string, args ...any) {
	w.Broken = append(w.Broken, fmt.Sprintf(format, args...))
}

// effect records a change and looks whether consumers are unharmed.
func (w *World) effect(format string, args ...any) {
	if w.quiet && w.rivals > 0 {
		return // the rival's effects are not those of the run under test
	}
	w.Effects = append(w.Effects, fmt.Sprintf(format, args...))
}

// at is the failpoint: it carries out f, or meets the fault planted for this call.
func (w *World) at(ctx context.Context, op string, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.quiet {
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
	switch fault {
	case FailBefore:
		return errLost
	case FailAfter:
		f()
		return errLost
	case CrashBefore:
		panic(crash{})
	case CrashAfter:
		f()
		panic(crash{})
	case Cancel:
		w.cancel()
		return context.Canceled
	case Slow:
		f()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(61 * time.Minute):
		}
	case Rival:
		w.rival()
		f()
	case Stale:
		f() // which asked [World.stale] before
	case Duplicate:
		f()
		once := len(w.Effects)
		f()
		w.Effects = w.Effects[:once] // the run asked for it once
	case ClockJump:
		w.skew = 10 * time.Minute
		f()
	case ByHand:
		w.byHand()
		f()
	case Unproven:
		return fmt.Errorf("%w: approval is pending", rotate.ErrUnproven)
	}
	return nil
}

// stale reports whether the call about to be made sees old state.
func (w *World) stale(op string) bool {
	if w.quiet {
		return false
	}
	if f, ok := w.faults[w.call]; ok {
		return f == Stale
	}
	return w.persistent[op] == Stale
}

// byHand is a person who rolls back one sink. Beside a marker that would make the marker lie, which is not
// promised to go well.
func (w *World) byHand() {
	first := w.bySecret("secret-of-t1")
	for _, p := range w.places {
		if (p.kind == Digest || p.kind == Readable || p.kind == File) && w.live(first) && !first.stamp.Before(w.emergency) {
			p.content, p.digest, p.checked = first.secret, "", false
			p.version++
			p.remember() // a read that misses it looks just like one that no person disturbed
			return
		}
	}
}

// rival runs another process to its end.
func (w *World) rival() {
	quiet, cancel := w.quiet, w.cancel
	w.quiet = true
	w.rivals++
	_, _ = w.rotation().Run(context.Background(), rotate.Options{Compromised: w.emergency})
	w.rivals--
	w.quiet, w.cancel = quiet, cancel
}

// Tick is one run of a process of its own. It reports whether the process lived to its end.
func (w *World) Tick() (res rotate.Result, err error, lived bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.cancel = cancel
	w.Effects = nil
	w.skew, w.mints, w.queued = 0, 0, ""
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crash); !ok {
				panic(p)
			}
			lived = false
		}
	}()
	res, err = w.rotation().Run(ctx, rotate.Options{Compromised: w.emergency})
	return res, err, true
}

// rotation builds the adapters of one process: what they remember dies with it.
func (w *World) rotation() *rotate.Rotation {
	r := &rotate.Rotation{ID: identity, Name: "web deploy", Every: w.Every, Grace: w.Grace, Verify: []rotate.Verifier{consumers{w}}}
	r.Provider = provider{w}
	if !w.Blind {
		r.Provider = identifier{provider{w}}
	}
	if w.Adopted || w.Unknown {
		r.Adopt = func(t rotate.Token) bool { return t.Name == "web deploy made by hand" }
	}
	for i, p := range w.places {
		s := &sink{w: w, p: p, name: fmt.Sprintf("%s-%d", p.kind, i), snapshot: p.content, version: p.version}
		switch p.kind {
		case Marked:
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
		}
	}
	return r
}

// Settled says what is wrong with a world in which everything should be as it must be, or "".
func (w *World) Settled() string {
	var ours []*token
	for _, t := range w.tokens {
		if t.ours && w.live(t) {
			ours = append(ours, t)
		}
	}
	if len(ours) != 1 {
		return fmt.Sprintf("%d live tokens of ours", len(ours))
	}
	for i, p := range w.places {
		if p.content != ours[0].secret {
			return fmt.Sprintf("sink %d does not hold %s", i, ours[0].ID)
		}
	}
	says := slices.ContainsFunc(w.places, func(p *place) bool { return p.kind == Marked || p.kind == Digest || p.kind == Both })
	if says && !w.verified[ours[0].ID] {
		return ours[0].ID + " was never verified"
	}
	return ""
}

// Dead says which sink holds a token that does not work, or "".
func (w *World) Dead() string {
	for i, p := range w.places {
		if t := w.bySecret(p.content); t != nil && !w.live(t) {
			return fmt.Sprintf("sink %d holds dead %s", i, t.ID)
		}
	}
	return ""
}

// Generations counts the live tokens that the rotation minted.
func (w *World) Generations() int {
	n := 0
	for _, t := range w.tokens {
		if _, minted := rotate.Minted(t.Token); minted && t.ours && w.live(t) {
			n++
		}
	}
	return n
}

// revoked looks whether a revocation kept the promise.
func (w *World) revoked(t *token) {
	if !t.ours {
		w.breaks("revoked %s (%s), which is not ours", t.ID, t.Name)
		return
	}
	compromised := t.stamp.Before(w.emergency)
	better := 0
	for i, p := range w.places {
		holds := w.bySecret(p.content)
		if holds != nil && w.live(holds) && holds != t && !holds.stamp.Before(w.emergency) {
			better++
		}
		if p.content == t.secret && !compromised {
			w.breaks("revoked %s while sink %d holds it", t.ID, i)
		}
		if w.queued == t.secret && !compromised {
			w.breaks("revoked %s while a run that carries it is queued", t.ID)
		}
		if w.running[i] == t.secret && !compromised {
			w.breaks("revoked %s while the consumers of sink %d still work with it", t.ID, i)
		}
		if !compromised && w.ever[t.ID] && holds != nil && holds != t && holds.stamp.After(t.stamp) {
			if !w.verified[holds.ID] {
				w.breaks("revoked %s before %s, which sink %d holds, was verified", t.ID, holds.ID, i)
			}
			if w.Grace > 0 && time.Now().Before(holds.stamp.Add(w.Grace)) {
				w.breaks("revoked %s in its grace", t.ID)
			}
		}
	}
	if compromised && better == 0 {
		w.breaks("revoked compromised %s although no sink holds anything better", t.ID)
	}
}

type provider struct{ w *World }

func (p provider) String() string { return "provider" }

func (p provider) Mint(ctx context.Context, name string) (c rotate.Credential, err error) {
	if !p.w.quiet {
		if p.w.mints++; p.w.mints > 1 {
			p.w.breaks("one run asked for %d mints", p.w.mints)
		}
	}
	err = p.w.at(ctx, "mint", func() {
		p.w.before = p.w.list()
		t := p.w.add(name, time.Now().Add(p.w.skew).Truncate(time.Second), true)
		p.w.effect("mint %s", t.ID)
		c = rotate.Credential{Token: t.Token, Secret: rotate.NewSecret(t.secret)}
	})
	if err != nil {
		return rotate.Credential{}, err
	}
	return c, nil
}

// Skew implements rotate.Clock.
func (p provider) Skew() (time.Duration, bool) { return p.w.skew, true }

func (p provider) List(ctx context.Context) (out []rotate.Token, err error) {
	old := p.w.stale("list")
	err = p.w.at(ctx, "list", func() {
		if out = p.w.list(); old {
			out = slices.Clone(p.w.before)
		}
	})
	return out, err
}

func (p provider) Revoke(ctx context.Context, t rotate.Token) error {
	return p.w.at(ctx, "revoke", func() {
		if x := p.w.byID(t.ID); x != nil && !x.revoked {
			p.w.revoked(x)
			p.w.before = p.w.list()
			x.revoked = true
			p.w.effect("revoke %s", t.ID)
		}
	})
}

type identifier struct{ provider }

func (p identifier) Identify(ctx context.Context, s rotate.Secret) (t rotate.Token, err error) {
	denied := false
	err = p.w.at(ctx, "identify", func() {
		x := p.w.bySecret(s.Reveal())
		if x == nil || !p.w.live(x) {
			denied = true
			return
		}
		t = x.Token
	})
	if err == nil && denied {
		return rotate.Token{}, rotate.ErrDenied
	}
	return t, err
}

// consumers are whoever reads the sinks: a deploy that fails if one of them holds a dead token.
type consumers struct{ w *World }

func (c consumers) String() string { return "consumers" }

func (c consumers) Verify(ctx context.Context, _ rotate.Credential) error {
	var bad error
	err := c.w.at(ctx, "verify", func() {
		c.w.effect("verify")
		holders := map[string]int{}
		for i, p := range c.w.places {
			t := c.w.bySecret(p.content)
			if t == nil || !c.w.live(t) {
				bad = fmt.Errorf("%w: what sink %d holds was refused", rotate.ErrDenied, i)
				return
			}
			holders[t.ID]++
		}
		for id, n := range holders {
			if n == len(c.w.places) {
				c.w.verified[id] = true
			}
		}
		for i, p := range c.w.places {
			c.w.running[i] = p.content // a deploy: they take up what they read
		}
	})
	return errors.Join(err, bad)
}

// Drain waits for the run that was queued before the last write.
func (c consumers) Drain(ctx context.Context, _ time.Time) error {
	return c.w.at(ctx, "drain", func() { c.w.queued = "" })
}

// sink is what all kinds share: the place, and what one process remembers of it.
type sink struct {
	w        *World
	p        *place
	name     string
	snapshot string // content when the process began
	version  int
	seen     bool // the marker was read
	marker   rotate.Mark
	replaced struct {
		content, mark, digest string
		checked, ok           bool
	}
	wrote string
}

func (s *sink) String() string { return s.name }

// put changes the content, as one call.
func (s *sink) put(ctx context.Context, op, content, digest string, checked bool) error {
	return s.w.at(ctx, op, func() {
		if t := s.w.bySecret(content); t != nil {
			s.w.ever[t.ID] = true
			if !s.w.live(t) {
				s.w.breaks("wrote dead %s to %s", t.ID, s.name)
			}
			if now := s.w.bySecret(s.p.content); now != nil && t.stamp.Before(now.stamp) && time.Until(t.Expires) < 2*rotate.Tick {
				s.w.breaks("put %s, which is about to expire, back into %s", t.ID, s.name)
			}
		}
		s.p.remember()
		if s.p.content != content {
			s.w.queued = s.p.content
		}
		s.p.content, s.p.digest, s.p.checked = content, digest, checked
		s.p.version++
		s.w.effect("%s %s", op, s.name)
	})
}

func (s *sink) get(ctx context.Context, op string) (rotate.Secret, error) {
	old := s.w.stale(op)
	var text string
	err := s.w.at(ctx, op, func() {
		if text = s.p.content; old {
			text = s.p.stale.content
		}
	})
	return rotate.NewSecret(text), err
}

type readable struct{ *sink }

func (s readable) Write(ctx context.Context, c rotate.Credential) error {
	s.replaced.content, s.replaced.ok = s.p.content, true
	return s.put(ctx, "write", c.Secret.Reveal(), "", false)
}
func (s readable) Read(ctx context.Context) (rotate.Secret, error) { return s.get(ctx, "read") }

type file struct{ readable }

func (s file) Undo(ctx context.Context) error {
	if !s.replaced.ok {
		return errors.New("nothing to undo")
	}
	return s.put(ctx, "undo", s.replaced.content, "", false)
}

type digest struct{ *sink }

func (s digest) Held(ctx context.Context) (h rotate.Holding, err error) {
	old := s.w.stale("held digest")
	err = s.w.at(ctx, "held digest", func() {
		id := s.p.digest
		if old {
			id = s.p.stale.digest
		}
		h = rotate.Holding{Is: func(t rotate.Token) bool { return id != "" && t.ID == id }, Verified: s.p.checked && !old}
	})
	return h, err
}
func (s digest) Read(ctx context.Context) (rotate.Secret, error) { return s.get(ctx, "read") }
func (s digest) Write(ctx context.Context, c rotate.Credential) error {
	s.replaced.content, s.replaced.digest, s.replaced.checked, s.replaced.ok = s.p.content, s.p.digest, s.p.checked, true
	s.wrote = c.ID
	return s.put(ctx, "write", c.Secret.Reveal(), c.ID, false)
}
func (s digest) Mark(ctx context.Context, t rotate.Token) error {
	var err error
	return errors.Join(s.w.at(ctx, "mark", func() {
		if s.p.digest != t.ID {
			err = rotate.ErrConflict
			return
		}
		s.p.checked = true
		s.w.effect("mark %s", s.name)
	}), err)
}

// Undo swaps only if the version is the one this process wrote.
func (s digest) Undo(ctx context.Context) error {
	if !s.replaced.ok {
		return errors.New("nothing to undo")
	}
	if s.p.digest != s.wrote {
		return rotate.ErrConflict
	}
	return s.put(ctx, "undo", s.replaced.content, s.replaced.digest, s.replaced.checked)
}

type marked struct{ *sink }

func (s marked) Held(ctx context.Context) (h rotate.Holding, err error) {
	old := s.w.stale("held mark")
	err = s.w.at(ctx, "held mark", func() {
		text := s.p.mark
		if old {
			text = s.p.stale.mark
		}
		s.marker, s.seen = rotate.Mark{}, true
		if text != "" {
			s.marker, _ = rotate.ParseMark(text)
		}
		h.Mark = s.marker
	})
	return h, err
}

func (s marked) Write(ctx context.Context, c rotate.Credential) error {
	if !s.seen {
		if _, err := s.Held(ctx); err != nil {
			return err
		}
	}
	secret := func() error { return s.put(ctx, "write", c.Secret.Reveal(), c.ID, false) }
	mark := func() error { return s.setMark(ctx, rotate.Mark{Token: c.Token}) }
	if s.marker.Token.ID != "" && s.marker.Token.Created.After(c.Created) {
		if err := mark(); err != nil {
			return err
		}
		return secret()
	}
	if err := secret(); err != nil {
		return err
	}
	return mark()
}

func (s marked) setMark(ctx context.Context, m rotate.Mark) error {
	return s.w.at(ctx, "write mark", func() {
		s.p.remember()
		s.p.mark = m.String()
		s.marker = m
		s.w.effect("write mark %s", s.name)
	})
}

func (s marked) Mark(ctx context.Context, t rotate.Token) error {
	if !s.seen || s.marker.Token.ID != t.ID {
		return fmt.Errorf("%w: the marker does not name %s", rotate.ErrConflict, t.ID)
	}
	return s.w.at(ctx, "mark", func() {
		s.p.mark = rotate.Mark{Token: t, Verified: true}.String()
		s.w.effect("mark %s", s.name)
	})
}

type both struct{ marked }

func (s both) Held(ctx context.Context) (rotate.Holding, error) {
	h, err := s.marked.Held(ctx)
	if err != nil {
		return rotate.Holding{}, err
	}
	h.Secret, h.Snapshot = rotate.NewSecret(s.snapshot), true
	return h, nil
}

type current struct{ *sink }

func (s current) Held(ctx context.Context) (h rotate.Holding, err error) {
	changed := false
	err = s.w.at(ctx, "held current", func() {
		changed = s.p.version != s.version
		h = rotate.Holding{Secret: rotate.NewSecret(s.snapshot), Snapshot: true}
	})
	if err == nil && changed && s.wrote == "" {
		return rotate.Holding{}, fmt.Errorf("%w: changed since this run was queued", rotate.ErrConflict)
	}
	return h, err
}

func (s current) Write(ctx context.Context, c rotate.Credential) error {
	s.wrote = c.ID
	return s.put(ctx, "write", c.Secret.Reveal(), c.ID, false)
}
