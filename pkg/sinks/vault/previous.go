package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is for values that no service revokes. With previous, three keys of the secret change in one check-and-set: the
// value, the former value, and a note about both. Custom metadata, which could not change in the same step, is neither read
// nor written.

const (
	// maxEntry is what a secret may have in bytes, with all keys (integrated storage, max_entry_size).
	maxEntry = 1 << 20
)

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

// kept is the secret as a place that keeps what is replaced.
func (s *Secret) kept() *keeping.Sink {
	if s.keeping.Store == nil {
		s.keeping = keeping.Sink{Store: trio{s}, Warn: s.warnings.Add}
	}
	return &s.keeping
}

// trio is the secret as a [keeping.Store]. A version of the place is a [sight].
type trio struct{ s *Secret }

// Place implements [keeping.Store]. How Vault is reached is no part of it.
func (p trio) Place() string { return p.s.mount() + "/" + p.s.Path + "#" + p.s.Key }

// Load implements [keeping.Store].
func (p trio) Load(ctx context.Context) (keeping.Seen, error) {
	n, err := p.s.look(ctx)
	if err != nil {
		return keeping.Seen{}, err
	}
	return n.seen(), nil
}

func (n *sight) seen() keeping.Seen {
	return keeping.Seen{State: keeping.State{Value: n.value.Reveal(), Former: n.former, Note: n.note}, Version: n}
}

// weave returns what the secret is to hold under all of its keys.
func (s *Secret) weave(n *sight, to keeping.State) (map[string]json.RawMessage, error) {
	if !n.has && !s.CreateKey {
		return nil, s.noKey()
	}
	data := make(map[string]json.RawMessage, len(n.data)+3)
	maps.Copy(data, n.data)
	for key, want := range map[string]string{s.Key: to.Value, s.Previous: to.Former, keeping.NoteKey(s.Previous): to.Note} {
		if held, err := text(data, key); err != nil || held != want { // no key is made for nothing
			data[key], _ = json.Marshal(want) // a text always is JSON
		}
	}
	all, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("%w: what the secret holds is no JSON", rotate.ErrConfig)
	}
	if len(all) > maxEntry {
		return nil, fmt.Errorf("%w: with the new value and the former one the secret would have %d bytes, and %d are allowed", rotate.ErrLimit, len(all), maxEntry)
	}
	return data, nil
}

// Swap implements [keeping.Store].
func (p trio) Swap(ctx context.Context, was keeping.Seen, to keeping.State) (keeping.Seen, error) {
	s, n := p.s, was.Version.(*sight)
	data, err := s.weave(n, to)
	if err != nil {
		return keeping.Seen{}, err
	}
	if err := s.login(ctx); err != nil {
		return keeping.Seen{}, err
	}
	made, err := s.send(ctx, n.version, data)
	stale := errors.Is(err, errStale)
	if err != nil && !stale {
		return keeping.Seen{}, err
	}
	if stale { // or it took effect, its answer was lost, and it was repeated: then the next version is ours
		made = n.version + 1
	}
	for k := 1; ; k++ {
		now, err := s.look(ctx)
		switch {
		case err != nil:
			return keeping.Seen{}, fmt.Errorf("%w: what became of version %d cannot be read: %v", rotate.ErrTemporary, made, err)
		case now.seen().State == to:
			return now.seen(), nil
		case stale && now.version == made:
			return keeping.Seen{}, errStale
		case now.version > made:
			return keeping.Seen{}, fmt.Errorf("%w: somebody else wrote version %d just after version %d", rotate.ErrTemporary, now.version, made)
		case k == looks:
			return keeping.Seen{}, fmt.Errorf("%w: what was written as version %d is not what is read back (version %d)", rotate.ErrTemporary, made, now.version)
		}
		if err := httpx.Sleep(ctx, s.interval()); err != nil {
			return keeping.Seen{}, err
		}
	}
}

// unsuited says why nothing can be kept beside what the secret holds.
func (s *Secret) unsuited(n *sight) error {
	if err := s.kept().Check(n.seen().State); err != nil {
		return fmt.Errorf("key %s: %w", s.Previous, err)
	}
	return nil
}

// roomy refuses a credential that does not fit beside what is kept, as far as that is known.
func (s *Secret) roomy(c rotate.Credential) error {
	if !s.Keeps() || s.last == nil {
		return nil
	}
	to := s.last.seen().Next(c.Secret.Reveal())
	_, err := s.weave(s.last, to)
	return err
}
