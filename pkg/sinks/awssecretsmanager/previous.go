package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is for values that no service revokes. With previous, three keys of the JSON object change in one version: the
// value, the former value, and a note about both. Its rules:
//
//   - The note says what the version holds, not the version's id, which is random: an id that others may see and that was
//     derived from the values would let them guess at those.
//   - A version that never became current, since an answer or the process was lost, is read by nobody. Our label on it goes
//     to the next version that is put.
//   - Whether a move of AWSCURRENT whose answer is no success took effect, the labels tell.

const (
	// replaced is the label that the service itself puts on the version that AWSCURRENT was taken from.
	replaced = "AWSPREVIOUS"
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
	return s.fault("forget", s.everywhere(ctx, s.kept().Forget(ctx, t)))
}

// everywhere waits for the replicas after a change that succeeded, or that was there already.
func (s *Secret) everywhere(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return s.replicas(ctx)
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

// Place implements [keeping.Store]. It is asked after something was read.
func (p trio) Place() string {
	arn := ""
	if p.s.last != nil {
		arn = p.s.last.Version.(sight).arn
	}
	return arn + "#" + p.s.Key
}

// Load implements [keeping.Store].
func (p trio) Load(ctx context.Context) (keeping.Seen, error) {
	now, err := p.s.look(ctx)
	if err != nil {
		return keeping.Seen{}, err
	}
	return p.s.see(now)
}

// see takes the JSON object apart. Keys that are missing are not an error here.
func (s *Secret) see(now sight) (keeping.Seen, error) {
	seen := keeping.Seen{Version: now}
	for _, x := range s.members(&seen.State) {
		if now.id == "" {
			break
		}
		text, err := pick(now.text, x.key)
		if err != nil && !errors.Is(err, errNoKey) {
			return keeping.Seen{}, err
		}
		*x.text = text
	}
	s.last = &seen
	return seen, nil
}

// member is one of the three keys, and what is under it.
type member struct {
	key  string
	text *string
}

func (s *Secret) members(of *keeping.State) []member {
	return []member{{s.Key, &of.Value}, {s.Previous, &of.Former}, {keeping.NoteKey(s.Previous), &of.Note}}
}

// weave returns the whole text that the secret is to hold.
func (s *Secret) weave(now sight, to keeping.State) (string, error) {
	if _, err := s.valueIn(now); err != nil { // such as a key that is not to be made
		return "", err
	}
	doc := now.text
	if now.id == "" {
		doc = "{}"
	}
	for _, x := range s.members(&to) {
		held, err := pick(doc, x.key)
		if held == *x.text && (err == nil || errors.Is(err, errNoKey)) {
			continue // it may be escaped in another manner than ours; and no key is made for nothing
		}
		if doc, err = splice(doc, x.key, *x.text, true); err != nil {
			return "", err
		}
	}
	return doc, fits(doc)
}

// Swap implements [keeping.Store].
func (p trio) Swap(ctx context.Context, was keeping.Seen, to keeping.State) (keeping.Seen, error) {
	s, now := p.s, was.Version.(sight)
	doc, err := s.weave(now, to)
	if err != nil {
		return keeping.Seen{}, err
	}
	id, labels, err := s.put(ctx, randomID(), doc)
	switch {
	case err != nil:
		return keeping.Seen{}, err
	case id == "":
		return keeping.Seen{}, fmt.Errorf("%w: PutSecretValue: there is a version with an id that was made up just now", rotate.ErrTemporary)
	}
	if !slices.Contains(labels, current) { // the first version of a secret gets it at once
		if err := s.move(ctx, current, id, now.id); err != nil {
			if err = s.moved(ctx, id, now.id, s.explain("UpdateSecretVersionStage", err)); err != nil {
				return keeping.Seen{}, err
			}
		}
	}
	if err := s.unlabel(ctx, id, labels); err != nil {
		return keeping.Seen{}, err
	}
	return s.seeAgain(ctx, to, id, now.id)
}

// moved returns nil if AWSCURRENT is on a version although moving it there failed, and why it is not there otherwise. A
// lost answer that the SDK repeated looks like somebody else's change.
func (s *Secret) moved(ctx context.Context, id, from string, failed error) error {
	if ctx.Err() != nil {
		return failed
	}
	out, err := s.describe(ctx)
	if err != nil {
		return fmt.Errorf("%w: %v; whether it took effect cannot be seen: %v", rotate.ErrTemporary, failed, err)
	}
	switch now, _ := currentVersion(out); {
	case now == id:
		return nil
	case now == from:
		return failed
	case slices.Contains(out.VersionIdsToStages[id], replaced):
		return overwritten(now)
	default:
		return fmt.Errorf("%w: somebody else wrote it meanwhile (version %s)", rotate.ErrConflict, now)
	}
}

// overwritten reports that what was written is not there any more.
func overwritten(by string) error {
	return fmt.Errorf("%w: somebody else wrote it just after this was written (version %s)", rotate.ErrTemporary, by)
}

// seeAgain reads what consumers read, until that is what was written. Whatever is wrong with it, the write took effect.
func (s *Secret) seeAgain(ctx context.Context, want keeping.State, id, from string) (keeping.Seen, error) {
	for n := 1; ; n++ {
		now, err := s.look(ctx)
		var seen keeping.Seen
		if err == nil {
			seen, err = s.see(now)
		}
		switch {
		case err != nil:
			return keeping.Seen{}, fmt.Errorf("%w: version %s was written and cannot be read back: %v", rotate.ErrTemporary, id, err)
		case seen.State == want:
			return seen, nil
		case now.id != from && now.id != id:
			return keeping.Seen{}, overwritten(now.id)
		case n == looks:
			return keeping.Seen{}, fmt.Errorf("%w: what was written is not what is read back (version %s)", rotate.ErrTemporary, now.id)
		}
		if err := httpx.Sleep(ctx, s.Wait()); err != nil {
			return keeping.Seen{}, err
		}
	}
}

// unsuited says why nothing can be kept beside what the secret holds.
func (s *Secret) unsuited(now sight) error {
	if !s.Keeps() {
		return nil
	}
	seen, err := s.see(now)
	if err != nil {
		return err
	}
	if err := s.kept().Check(seen.State); err != nil {
		return fmt.Errorf("key %s: %w", s.Previous, err)
	}
	return nil
}

// roomy refuses a credential that does not fit beside what is kept, as far as that is known.
func (s *Secret) roomy(c rotate.Credential) error {
	if !s.Keeps() || s.last == nil {
		return nil
	}
	to := s.last.State.Next(c.Secret.Reveal())
	_, err := s.weave(s.last.Version.(sight), to)
	return err
}
