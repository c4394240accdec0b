package rotate

import (
	"errors"
	"fmt"
)

// Sentinels say what the operator does next. Adapters wrap one of them in an [*Error]; the engine and
// the command line ask with [errors.Is].
var (
	// ErrConfig: what was asked for cannot be right; correct the configuration. Nothing was called or changed.
	ErrConfig = errors.New("configuration error")
	// ErrDenied: the credential is dead, wrong, or lacks a right; replace it or grant the right.
	ErrDenied = errors.New("permission denied")
	// ErrNotFound: the named thing does not exist, or is hidden from this credential.
	ErrNotFound = errors.New("not found")
	// ErrLimit: a quota, size or count of the service (or of this package) is used up.
	ErrLimit = errors.New("limit reached")
	// ErrConflict: somebody else changed the thing meanwhile, or another run may be alive.
	ErrConflict = errors.New("conflict")
	// ErrTemporary: the service or the way to it failed; trying again later may work. The request may have taken effect.
	ErrTemporary = errors.New("temporary failure")
	// ErrUnproven: neither shown to work nor shown to fail (no replicas, approval pending); look again later.
	ErrUnproven = errors.New("not proven yet")
)

// Error is what adapters and the engine return. It reads as a sentence from the outside in:
//
//	write forgejo:example/app/FLY_DEPLOY_TOKEN: permission denied: PUT …: 403
//
// No Error carries a secret, the body of a mint's answer, or a URL with credentials.
type Error struct {
	Op  string // what was being done: "write", "mint", "list", …
	At  string // where: the String of the adapter, or the field of a configuration; may be empty
	Err error  // why; wraps one of the sentinels
}

// Error implements error.
func (e *Error) Error() string {
	if e.At == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.At, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Field reports a bad value of a configuration field, for Validate methods of adapters. The field is
// named as in YAML; pkg/config turns it into a line and column.
func Field(name, format string, args ...any) error {
	return &Error{Op: "field", At: name, Err: fmt.Errorf("%w: %w", ErrConfig, fmt.Errorf(format, args...))}
}
