package protocol

import (
	"errors"
	"fmt"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Unsupported is the kind of error by which a program says that it does not know a verb.
const Unsupported = "unsupported"

// Kind is a word for what went wrong.
type Kind struct {
	Word  string
	Means string // for the documents
	Is    error  // the sentinel
}

// Kinds are all words that a [Failure] may have.
var Kinds = []Kind{
	{"config", "What was asked for cannot be right; nothing was changed.", rotate.ErrConfig},
	{"denied", "The program's own credential is dead, wrong or lacks a right. To identify: the secret is dead, or none of this service.", rotate.ErrDenied},
	{"not-found", "The named thing does not exist. To revoke it is as good as done.", rotate.ErrNotFound},
	{"limit", "A quota, size or count is used up.", rotate.ErrLimit},
	{"conflict", "Somebody else changed the thing meanwhile, or the service refuses for a reason of its own.", rotate.ErrConflict},
	{"temporary", "The service or the way to it failed; the request may have taken effect.", rotate.ErrTemporary},
	{"unproven", "verify: neither shown to work nor shown to fail; look again later.", rotate.ErrUnproven},
	{Unsupported, "The program does not know the verb, or is no program of this kind.", errors.Join(rotate.ErrConfig, errors.ErrUnsupported)},
}

const maxMessage = 400 // bytes of a program's message that are repeated

// err turns the failure into an error; clean hides secrets.
func (f *Failure) err(clean func(string) string) error {
	message := httpx.Clean(clean(f.Message), maxMessage)
	if message == "" {
		message = "the program gives no reason"
	}
	for _, k := range Kinds {
		switch {
		case k.Word != f.Kind:
		case k.Word == Unsupported:
			return fmt.Errorf("%w: %w: %s", rotate.ErrConfig, errors.ErrUnsupported, message)
		default:
			return fmt.Errorf("%w: %s", k.Is, message)
		}
	}
	return fmt.Errorf("%w: the program answered with an error of the unknown kind %q: %s", rotate.ErrTemporary, httpx.Clean(clean(f.Kind), 40), message)
}
