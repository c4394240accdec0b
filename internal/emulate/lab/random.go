package lab

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/providers/random"
	"github.com/remint-dev/remint/pkg/rotate"
)

// randomMint are the values of one rotation that no service knows. Whoever checks one accepts what the sink holds or keeps
// beside, which is looked up in the emulated service.
type randomMint struct {
	*random.Provider
	r       *rotation
	refuses sync.Map // the steps that fail

	mu   sync.Mutex
	now  map[string]rotate.Token // by value: what works
	seen map[string]rotate.Token // by value: what worked once
}

// fitRandom puts a provider in place that can be told to fail.
func (l *Lab) fitRandom(x *rotation, p *random.Provider) mint {
	m := &randomMint{Provider: p, r: x, seen: map[string]rotate.Token{}}
	replace(x.Rotation, p, m)
	x.Rotation.Provider = m
	return m
}

var errRefused = fmt.Errorf("%w: the rehearsal was told to let this fail", rotate.ErrDenied)

// Mint implements [rotate.Provider].
func (m *randomMint) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	for step, err := range map[string]error{"mint": errRefused, "mint-lost": rotate.ErrTemporary} {
		if _, ok := m.refuses.Load(step); ok {
			return rotate.Credential{}, &rotate.Error{Op: "mint", At: m.String(), Err: err}
		}
	}
	return m.Provider.Mint(ctx, name)
}

// Revoke implements [rotate.Provider].
func (m *randomMint) Revoke(ctx context.Context, t rotate.Token) error {
	if _, ok := m.refuses.Load("revoke"); ok {
		return &rotate.Error{Op: "revoke", At: m.String(), Err: errRefused}
	}
	return m.Provider.Revoke(ctx, t)
}

func (m *randomMint) past(name string, born time.Time) rotate.Credential {
	c, err := twin(m.Provider).Mint(context.Background(), name)
	if err != nil {
		panic(err) // the configuration was validated
	}
	c.Created = born
	return c
}

// changed looks what works, after a request that may have changed it: later an emulation may ask in the middle of its work.
func (l *Lab) changed() {
	for _, r := range l.rotations {
		if m, ok := r.mint.(*randomMint); ok {
			m.look()
		}
	}
}

func (m *randomMint) look() {
	out := map[string]rotate.Token{}
	for _, s := range m.r.sinks {
		if s.beside == nil {
			continue
		}
		former, note := s.beside()
		current, before := keeping.Tokens(note)
		if before.ID != "" {
			out[former] = before
		}
		if current.ID != "" {
			out[s.look()] = current
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = out
	for value, t := range out {
		m.seen[value] = t
	}
}

func (m *randomMint) whose(text string) (rotate.Token, bool, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, live := m.now[text]
	t, ok := m.seen[text]
	return t, live, ok
}

func (m *randomMint) tokens() []rotate.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []rotate.Token
	for _, t := range m.now {
		out = append(out, t)
	}
	byBirth(out)
	return out
}

func (m *randomMint) fail(step string) { m.refuses.Store(step, true) }
