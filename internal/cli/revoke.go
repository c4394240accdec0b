package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file revokes one token because a person says so. Its rules, beside those of [rotate.Rotation.Withdraw]:
//
//   - All rotations are looked at first, not only the one whose token it is: another one's sink may hold it.
//   - A rotation that could not be looked at is an objection, unless --only leaves it aside.

func (c *command) revoke(ctx context.Context, o rotate.Options) int {
	if c.token == "" {
		return c.misused(errors.New("revoke needs --token ID; remint status lists the ids"))
	}
	cfg, ok := c.load(config.Options{Getenv: c.getenv})
	if !ok {
		return Misused
	}
	all := c.survey(ctx, cfg, o)
	mine, err := c.claimed(all)
	if err != nil {
		c.failed("revoke", err)
		return Failed
	}
	w := rotate.WithdrawOptions{Options: o, EvenIfHeld: c.evenIfHeld, DryRun: c.dryRun}
	outside := c.outside(all, mine)
	if len(outside) > 0 && !c.evenIfHeld {
		w.DryRun = true
	}
	r := cfg.Rotations[mine]
	done, err := r.Withdraw(ctx, c.token, w)
	done.Warnings = append(done.Warnings, r.Warnings()...)
	if gone := r.Close(context.WithoutCancel(ctx)); gone != nil {
		done.Warnings = append(done.Warnings, gone.Error())
	}
	done.Objections = append(done.Objections, outside...)
	if err == nil && len(outside) > 0 && !c.evenIfHeld {
		err = &rotate.Error{Op: "revoke", At: done.Provider, Err: fmt.Errorf("%w: not revoked: %s", rotate.ErrConflict, strings.Join(outside, "; "))}
	}
	out := report.Withdrawn{Withdrawal: done, Err: err, Dry: c.dryRun, At: c.started}
	if c.format == "json" {
		text, jsonErr := report.WithdrawnJSON(out)
		if jsonErr != nil {
			return c.misused(jsonErr)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	} else {
		c.print(func(b *strings.Builder) error { return report.Withdraw(b, out) })
	}
	return out.Exit()
}

// claimed returns the rotation whose token it is.
func (c *command) claimed(all []report.Seen) (int, error) {
	mine, foreign := -1, ""
	var silent []string
	for i, s := range all {
		if s.Err != nil {
			silent = append(silent, fmt.Sprintf("%s could not be looked at: %v", s.Status.Name, s.Err))
		}
		for _, t := range s.Status.Tokens {
			switch {
			case t.ID != c.token:
			case t.Is(rotate.ClassForeign):
				foreign = fmt.Sprintf("%s lists it as %q", s.Status.Provider, t.Name)
			case mine >= 0 && all[mine].Status.Provider != s.Status.Provider:
				return 0, fmt.Errorf("%w: both %s and %s have a token with the id %s; say with --only whose is meant; nothing was revoked",
					rotate.ErrConflict, all[mine].Status.Name, s.Status.Name, c.token)
			case mine < 0:
				mine = i
			}
		}
	}
	switch {
	case mine >= 0:
		return mine, nil
	case len(silent) > 0:
		return 0, fmt.Errorf("%w: no rotation that answered has the token %s; %s; nothing was revoked", rotate.ErrNotFound, c.token, strings.Join(silent, "; "))
	case foreign != "":
		return 0, fmt.Errorf("%w: %s, but no rotation here minted it, nor does an adopt name it; revoke it where it was made; nothing was revoked", rotate.ErrDenied, foreign)
	}
	return 0, fmt.Errorf("%w: no rotation here has a live token %s: it is revoked or has expired, or never was; remint status lists the ids", rotate.ErrNotFound, c.token)
}

// outside are the objections of the other rotations.
func (c *command) outside(all []report.Seen, mine int) []string {
	var out []string
	for i, s := range all {
		switch {
		case i == mine:
			continue
		case s.Err != nil:
			out = append(out, fmt.Sprintf("whether a sink of %s holds it is not known (%v); --only leaves that rotation aside", s.Status.Name, s.Err))
			continue
		}
		claims := false
		for _, t := range s.Status.Tokens {
			claims = claims || t.ID == c.token && !t.Is(rotate.ClassForeign)
		}
		for _, h := range s.Status.Sinks {
			switch {
			case h.Token.ID == c.token && h.State == "holds" && s.Status.Provider == all[mine].Status.Provider:
				out = append(out, fmt.Sprintf("%s of the rotation %s holds it", h.Sink, s.Status.Name))
			case claims && !h.Known():
				out = append(out, fmt.Sprintf("whether %s of the rotation %s holds it is not known", h.Sink, s.Status.Name))
			}
		}
	}
	return out
}
