package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	providercommand "github.com/remint-dev/remint/pkg/providers/command"
	"github.com/remint-dev/remint/pkg/rotate"
	sinkcommand "github.com/remint-dev/remint/pkg/sinks/command"
)

// This file stands in for providers and sinks that are programs of the user's: those are not run in a rehearsal, since they
// may do anything. What takes their place keeps their names and has their optional verbs.

const notRun = " (not run in a rehearsal)"

// mintIn is a provider in memory.
type mintIn struct {
	l    *Lab
	nth  int // of the rotations, so that no two tokens of a lab have one id
	name string
	life time.Duration

	mu     sync.Mutex
	minted []rotate.Credential
	dead   map[string]bool // by id
	failed string          // the step that fails
}

// knowing is a provider in memory that can identify.
type knowing struct{ *mintIn }

// fitProvider puts a provider in memory into the place of a program.
func (l *Lab) fitProvider(r *rotation, p *providercommand.Provider) mint {
	m := &mintIn{l: l, nth: len(l.rotations) + 1, name: p.String() + notRun, life: p.Expiry, dead: map[string]bool{}}
	instead := rotate.Provider(m)
	if _, ok := r.Provider.(rotate.Identifier); ok {
		instead = &knowing{m}
	}
	replace(r.Rotation, r.Provider, instead)
	r.Provider = instead
	return m
}

func (m *mintIn) String() string      { return m.name }
func (m *mintIn) Life() time.Duration { return m.life }

func (m *mintIn) add(name string, born time.Time) rotate.Credential {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := fmt.Sprintf("%d-%d", m.nth, len(m.minted)+1)
	c := rotate.Credential{Token: rotate.Token{ID: id, Name: name, Created: born}, Secret: m.l.invent(m.name, "token "+id)}
	if m.life > 0 {
		c.Expires = born.Add(m.life)
	}
	m.minted = append(m.minted, c)
	return c
}

func (m *mintIn) fails(step string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed == step
}

func (m *mintIn) fault(op string, err error) error {
	return &rotate.Error{Op: op, At: m.name, Err: err}
}

// Mint implements [rotate.Provider].
func (m *mintIn) Mint(_ context.Context, name string) (rotate.Credential, error) {
	if m.fails("mint") {
		return rotate.Credential{}, m.fault("mint", fmt.Errorf("%w: the program would have refused", rotate.ErrDenied))
	}
	c := m.add(name, time.Now().UTC().Truncate(time.Second))
	if m.fails("mint-lost") {
		return rotate.Credential{}, m.fault("mint", fmt.Errorf("%w: the program's answer was lost", rotate.ErrTemporary))
	}
	return c, nil
}

// List implements [rotate.Provider].
func (m *mintIn) List(context.Context) ([]rotate.Token, error) { return m.tokens(), nil }

// Revoke implements [rotate.Provider].
func (m *mintIn) Revoke(_ context.Context, t rotate.Token) error {
	if m.fails("revoke") {
		return m.fault("revoke", fmt.Errorf("%w: the program would have refused", rotate.ErrDenied))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead[t.ID] = true
	return nil
}

// Identify implements [rotate.Identifier].
func (k *knowing) Identify(_ context.Context, s rotate.Secret) (rotate.Token, error) {
	k.l.mu.Lock()
	refused := k.l.unproven
	k.l.mu.Unlock()
	t, live, _ := k.whose(s.Reveal())
	if !live || refused && k.l.newborn(k, s.Reveal()) {
		return rotate.Token{}, k.fault("identify", fmt.Errorf("%w: no live token has this secret", rotate.ErrDenied))
	}
	return t, nil
}

func (m *mintIn) past(name string, born time.Time) rotate.Credential { return m.add(name, born) }

func (m *mintIn) whose(text string) (rotate.Token, bool, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.minted {
		if c.Secret.Reveal() == text {
			return c.Token, !m.dead[c.ID], true
		}
	}
	return rotate.Token{}, false, false
}

func (m *mintIn) tokens() []rotate.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	var live []rotate.Token
	for _, c := range m.minted {
		if !m.dead[c.ID] {
			live = append(live, c.Token)
		}
	}
	return live
}

func (m *mintIn) fail(step string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = step
}

// place is a sink in memory.
type place struct {
	name string

	mu          sync.Mutex
	now, before rotate.Credential
	verified    bool
	refused     bool
}

// The optional interfaces of a place, as the program has them.
type (
	placeHolder struct{ p *place }
	placeReader struct{ p *place }
	placeUndoer struct{ p *place }
)

// fitSink puts a sink in memory into the place of a program.
func (l *Lab) fitSink(r *rotation, nth int, s *sinkcommand.Sink) *sink {
	p := &place{name: s.String() + notRun}
	h, rd, u := placeHolder{p}, placeReader{p}, placeUndoer{p}
	can := func(verb string) bool { return slices.Contains(s.Can, verb) }
	var instead rotate.Sink
	switch [3]bool{can("held"), can("read"), can("undo")} {
	case [3]bool{true, true, true}:
		instead = &struct {
			*place
			placeHolder
			placeReader
			placeUndoer
		}{p, h, rd, u}
	case [3]bool{true, true, false}:
		instead = &struct {
			*place
			placeHolder
			placeReader
		}{p, h, rd}
	case [3]bool{true, false, true}:
		instead = &struct {
			*place
			placeHolder
			placeUndoer
		}{p, h, u}
	case [3]bool{true, false, false}:
		instead = &struct {
			*place
			placeHolder
		}{p, h}
	case [3]bool{false, true, true}:
		instead = &struct {
			*place
			placeReader
			placeUndoer
		}{p, rd, u}
	default:
		instead = &struct {
			*place
			placeReader
		}{p, rd}
	}
	replace(r.Rotation, r.Sinks[nth], instead)
	r.Sinks[nth] = instead
	return &sink{
		look: func() string { p.mu.Lock(); defer p.mu.Unlock(); return p.now.Secret.Reveal() },
		hold: func(c rotate.Credential, byHand bool) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.now, p.verified = c, true; byHand {
				p.now.Token = rotate.Token{} // nobody noted which it is
			}
			return nil
		},
		refuse: func() { p.mu.Lock(); defer p.mu.Unlock(); p.refused = true },
	}
}

func (p *place) String() string { return p.name }

// Write implements [rotate.Sink].
func (p *place) Write(_ context.Context, c rotate.Credential) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused {
		return &rotate.Error{Op: "write", At: p.name, Err: fmt.Errorf("%w: the program would have refused", rotate.ErrDenied)}
	}
	if p.now.ID != c.ID {
		p.before = p.now
	}
	p.now, p.verified = c, false
	return nil
}

// Held implements [rotate.Holder].
func (h placeHolder) Held(context.Context) (rotate.Holding, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return rotate.Holding{Mark: rotate.Mark{Token: h.p.now.Token, Verified: h.p.verified}}, nil
}

// Mark implements [rotate.Marker].
func (h placeHolder) Mark(context.Context, rotate.Token) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	h.p.verified = true
	return nil
}

// Read implements [rotate.Reader].
func (r placeReader) Read(context.Context) (rotate.Secret, error) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.now.Secret, nil
}

// Undo implements [rotate.Undoer].
func (u placeUndoer) Undo(context.Context) error {
	u.p.mu.Lock()
	defer u.p.mu.Unlock()
	u.p.now, u.p.verified = u.p.before, true
	return nil
}
