package onepassword

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads, and records that what was read was verified.

// look reads the item and finds the field in it.
func (f *Field) look(ctx context.Context) (*sight, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	r, err := parse(f.Reference)
	if err != nil {
		return nil, err
	}
	if f.vault == "" {
		if f.vault, f.item, err = f.store.find(ctx, r); err != nil {
			f.vault = ""
			return nil, err
		}
	}
	it, err := f.store.load(ctx, f.vault, f.item)
	if err != nil {
		f.last = nil
		if errors.Is(err, rotate.ErrNotFound) {
			f.vault = "" // another may have the name now
		}
		return nil, err
	}
	now, err := r.locate(it, f.Marker)
	if err != nil {
		return nil, err
	}
	f.last = now
	return now, nil
}

// Held implements [rotate.Holder] with one request, and two more at the first use if vault or item are given by name.
// The value comes along, since it was read anyway.
func (f *Field) Held(ctx context.Context) (rotate.Holding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.look(ctx)
	if err != nil {
		return rotate.Holding{}, f.fault("held", err)
	}
	if now.field.value.IsZero() {
		return rotate.Holding{}, nil
	}
	m, err := now.mark()
	switch {
	case errors.Is(err, errByHand):
		f.warnings.Add("it was changed after its marker was written, by hand or by another tool; its value says what it holds")
		return rotate.Holding{Secret: now.field.value}, nil
	case err != nil:
		return rotate.Holding{}, f.fault("held", err)
	}
	return rotate.Holding{Mark: m, Secret: now.field.value}, nil
}

// Read implements [rotate.Reader].
func (f *Field) Read(ctx context.Context) (rotate.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.look(ctx)
	if err != nil {
		return rotate.Secret{}, f.fault("read", err)
	}
	return now.field.value, nil
}

// Mark implements [rotate.Marker]. If no marker names what the field holds, the value must be the one that this process
// last saw there.
func (f *Field) Mark(ctx context.Context, t rotate.Token) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault("mark", f.verified(ctx, t))
}

func (f *Field) verified(ctx context.Context, t rotate.Token) error {
	if t.ID == "" {
		return fmt.Errorf("%w: the token has no id, so no marker can name it", rotate.ErrConfig)
	}
	seen := f.last
	known := func(now *sight) (m rotate.Mark, err error) {
		m, err = now.mark()
		unknown := errors.Is(err, errByHand) || m.Token.ID == ""
		switch {
		case err != nil && !unknown:
			return m, err
		case now.field.value.IsZero() || unknown && (seen == nil || !now.same(seen)):
			return m, fmt.Errorf("%w: its marker does not name token %s, and its value is not known to be that token's", rotate.ErrConflict, t.ID)
		case !unknown && m.Token.ID != t.ID:
			return m, fmt.Errorf("%w: its marker names token %s, not %s", rotate.ErrConflict, m.Token.ID, t.ID)
		}
		m.Verified = m.Verified && !unknown
		return m, nil
	}
	return f.settle(ctx, func(now *sight) []edit {
		if m, err := known(now); err == nil && m.Verified {
			return nil
		}
		return now.marked(nil, markText(now, rotate.Mark{Token: t, Verified: true}, now.field.value))
	}, func(now *sight) error {
		_, err := known(now)
		return err
	})
}
