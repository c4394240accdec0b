package onepassword

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file looks whether a write would succeed, and changes nothing.

// Check implements [rotate.Checker].
func (f *Field) Check(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.look(ctx)
	if err != nil {
		return f.fault("check", err) // nothing else can be known
	}
	var errs []error
	if err := writable(now); err != nil {
		errs = append(errs, err)
	}
	if _, err := now.mark(); err != nil && !errors.Is(err, errByHand) {
		errs = append(errs, err)
	}
	if err := f.store.permitted(ctx, now.item); err != nil {
		errs = append(errs, err)
	}
	for i, err := range errs {
		errs[i] = f.fault("check", err)
	}
	return errors.Join(errs...)
}

// writable says what about an item forbids a write.
func writable(now *sight) error {
	var errs []error
	no := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{rotate.ErrConfig}, args...)...))
	}
	if now.archived {
		no("the item is archived or deleted; put it back, or name the one that consumers read")
	}
	switch now.field.kind {
	case kindText, kindConcealed, "URL", "EMAIL":
	default:
		no("the field is of the type %s, which holds no credential; make one of the type password", httpx.Clean(now.field.kind, 40))
	}
	switch now.marker.kind {
	case kindText, kindConcealed:
	default:
		no("the field %q, which is to be the marker, is of the type %s, not text", httpx.Clean(now.marker.title(), 80), httpx.Clean(now.marker.kind, 40))
	}
	if now.category == "PASSWORD" && !now.hasPassword() {
		no("it is a password item without its password, and 1Password refuses every change of such a one (Password item requires ps value): put anything into its password field, or make it an item of the category API Credential")
	}
	return errors.Join(errs...)
}

// hasPassword reports whether an item of the category Password has one, or gets one by the write.
func (s *sight) hasPassword() bool {
	for _, f := range s.fields {
		if f.password && (f.id == s.field.id || !f.value.IsZero()) {
			return true
		}
	}
	return false
}
