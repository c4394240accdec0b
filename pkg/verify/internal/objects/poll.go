package objects

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Look is one look at a thing that is waited for. A final look is the end: its error, or nil, is the verdict. Else
// progress says in a few words how far it is ("1 of 3 replicas updated"), and err is a call that failed.
type Look func(ctx context.Context) (final bool, progress string, err error)

// Poll looks every interval until a look is final or the time is over, which shows nothing: [rotate.ErrUnproven].
// Calls that fail for the moment are looked over; those that fail for good, such as a right that is missing, end it,
// and show nothing either.
func Poll(ctx context.Context, timeout, interval time.Duration, look Look) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var progress string
	var last error
	for {
		final, now, err := look(bounded)
		switch {
		case final:
			return err
		case bounded.Err() != nil: // what it said is the end of the time, not of the thing
		case err == nil, errors.Is(err, rotate.ErrTemporary), errors.Is(err, rotate.ErrLimit):
			last = err
			if now != "" {
				progress = now
			}
		default:
			return Unproven(err)
		}
		if httpx.Sleep(bounded, interval) == nil {
			continue
		}
		switch {
		case ctx.Err() != nil && progress != "":
			return Unproven(fmt.Errorf("%w; %s", context.Cause(ctx), progress))
		case ctx.Err() != nil:
			return Unproven(context.Cause(ctx))
		case last != nil:
			return Unproven(fmt.Errorf("after %s: %w", timeout, last))
		case progress == "":
			progress = "the API server did not answer"
		}
		return Unproven(fmt.Errorf("after %s: %s", timeout, progress))
	}
}

// Or returns d, or what it is by default.
func Or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
