package rotatetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file plays the sinks, as one process sees them.

// sink is what all kinds share: the place, and what one process remembers of it.
type sink struct {
	x        *process
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

// reads reports whether the sink can be read back.
func (s *sink) reads() bool {
	return s.p.kind == Digest || s.p.kind == Readable || s.p.kind == File || s.p.kind == Keeps
}

// put changes the content, as one call.
func (s *sink) put(ctx context.Context, op, content, digest string, checked bool) error {
	w := s.x.w
	at := op
	if !s.reads() {
		at = "write only"
	}
	return s.x.at(ctx, at, func() {
		if why := NoGapByWriting(w, s.p, content); why != "" {
			w.breaks("%s", why)
		}
		if t := w.bySecret(content); t != nil {
			w.ever[t.ID] = true
		}
		s.p.remember()
		if s.p.content != content {
			s.p.queued = s.p.content
		}
		s.p.content, s.p.digest, s.p.checked = content, digest, checked
		s.p.version++
		s.x.effect("%s %s", op, s.name)
	})
}

func (s *sink) get(ctx context.Context, op string) (rotate.Secret, error) {
	old := s.x.sees(op) == Stale
	var text string
	err := s.x.at(ctx, op, func() {
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
	old := s.x.sees("held digest") == Stale
	err = s.x.at(ctx, "held digest", func() {
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
	return errors.Join(s.x.at(ctx, "mark", func() {
		if s.p.digest != t.ID {
			err = rotate.ErrConflict
			return
		}
		s.p.checked = true
		s.x.effect("mark %s", s.name)
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
	old := s.x.sees("held mark") == Stale
	err = s.x.at(ctx, "held mark", func() {
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
	return s.x.at(ctx, "write mark", func() {
		s.p.remember()
		s.p.mark = m.String()
		s.marker = m
		s.x.effect("write mark %s", s.name)
	})
}

func (s marked) Mark(ctx context.Context, t rotate.Token) error {
	if !s.seen || s.marker.Token.ID != t.ID {
		return fmt.Errorf("%w: the marker does not name %s", rotate.ErrConflict, t.ID)
	}
	return s.x.at(ctx, "mark", func() {
		s.p.mark = rotate.Mark{Token: t, Verified: true}.String()
		s.x.effect("mark %s", s.name)
	})
}

// choosy is a marked sink that can be checked and may refuse a value.
type choosy struct{ marked }

func (s choosy) Check(ctx context.Context) error { return s.x.at(ctx, "check", func() {}) }
func (s choosy) Accept(c rotate.Credential) error {
	if c.Secret.IsZero() {
		return rotate.ErrConfig
	}
	return nil
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
	err = s.x.at(ctx, "held current", func() {
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
