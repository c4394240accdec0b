package kubernetessecret

import (
	"context"
	"fmt"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is for values that no service revokes: with previous, the key, the key of the former value and the annotation
// are replaced by one patch, which names the resourceVersion that it was made for.

// Keeps implements [rotate.Keeper].
func (s *Secret) Keeps() bool { return s.Previous != "" }

// Forget implements [rotate.Keeper].
func (s *Secret) Forget(ctx context.Context, t rotate.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Keeps() {
		return nil
	}
	return s.fault("forget", s.kept().Forget(ctx, t))
}

// kept is the Secret as a place that keeps what is replaced.
func (s *Secret) kept() *keeping.Sink {
	if s.keeping.Store == nil {
		s.keeping = keeping.Sink{Store: pair{s}, Warn: s.warnings.Add}
	}
	return &s.keeping
}

// pair is the Secret as a [keeping.Store].
type pair struct{ s *Secret }

// Place implements [keeping.Store]. How the cluster is reached is no part of it.
func (p pair) Place() string {
	namespace, name, key := p.s.place()
	return namespace + "/" + name + "#" + key
}

// Load implements [keeping.Store].
func (p pair) Load(ctx context.Context) (keeping.Seen, error) {
	now, err := p.s.look(ctx)
	if err != nil {
		return keeping.Seen{}, err
	}
	return now.seen(), nil
}

func (a *sight) seen() keeping.Seen {
	return keeping.Seen{State: keeping.State{Value: string(a.value), Former: string(a.former), Note: a.marker}, Version: a}
}

// Swap implements [keeping.Store].
func (p pair) Swap(ctx context.Context, was keeping.Seen, to keeping.State) (keeping.Seen, error) {
	now := was.Version.(*sight)
	if !now.has && !p.s.CreateKey {
		return keeping.Seen{}, p.s.noKey(now)
	}
	_, _, key := p.s.place()
	got, err := p.s.send(ctx, now.version, map[string]any{key: []byte(to.Value), p.s.Previous: []byte(to.Former)}, to.Note)
	if err != nil {
		return keeping.Seen{}, err
	}
	if got.seen().State != to {
		return keeping.Seen{}, errAltered
	}
	return got.seen(), nil
}

// unsuited says why nothing can be kept beside what the Secret holds.
func (s *Secret) unsuited(now *sight) error {
	if !s.Keeps() {
		return nil
	}
	if err := s.kept().Check(now.seen().State); err != nil {
		return fmt.Errorf("key %s: %w", s.Previous, err)
	}
	return nil
}
