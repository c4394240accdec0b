package prometheus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Verify implements [rotate.Verifier]. It needs no secret: what a consumer reports is asked for, by the token's
// description.
func (q *Query) Verify(ctx context.Context, c rotate.Credential) error {
	if err := q.verify(ctx, c.Token); err != nil {
		return q.fault("verify", err)
	}
	return nil
}

func (q *Query) verify(ctx context.Context, t rotate.Token) error {
	if err := q.connect(); err != nil {
		return unproven("nothing was asked: %w", err)
	}
	p, err := q.prepare(t)
	if err != nil {
		return unproven("nothing was asked: %w", err)
	}
	var (
		within, interval = or(q.Within, defaultWithin), or(q.Interval, defaultInterval)
		end              = time.Now().Add(within)
		server           clock
		since            time.Time // of the first of the passes in a row, by the server's clock
	)
	for {
		s, final, err := state(silent), false, error(nil)
		if p.beginning.IsZero() {
			if server, err = q.clock(ctx); err == nil {
				p.beginning = server.server
			}
			final = lasting(err)
		}
		if err == nil {
			at := server.now()
			if s, final, err = q.look(ctx, p, at); s != passes {
				since = time.Time{}
			} else if since.IsZero() {
				since = at
			}
			if s == passes && at.Sub(since) >= q.For {
				return nil
			}
		} else {
			since = time.Time{}
		}
		if s == passes {
			err = fmt.Errorf("it passes, and has to for %s", q.For)
		}
		switch {
		case ctx.Err() != nil:
			return unproven("%w; the last look: %w", ctx.Err(), err)
		case final:
			return unproven("%w", err)
		case !time.Now().Add(interval).Before(end):
			return q.over(within, s, err)
		}
		if over := httpx.Sleep(ctx, interval); over != nil {
			return unproven("%w; the last look: %w", over, err)
		}
	}
}

// over says what the last look means when the time is up.
func (q *Query) over(within time.Duration, s state, why error) error {
	switch {
	case s == fails:
		return fmt.Errorf("after %s: %w", within, why)
	case s == empty && q.Empty != "hold":
		return fmt.Errorf("after %s: %w; the consumer does not report what it should", within, why)
	case errors.Is(why, errExecution):
		return unproven("after %s: %w", within, why)
	}
	return unproven("after %s: %w; this says nothing about the credential", within, why)
}

// unproven says that nothing was shown, and why.
func unproven(format string, args ...any) error {
	return fmt.Errorf("%w: %w", rotate.ErrUnproven, fmt.Errorf(format, args...))
}
