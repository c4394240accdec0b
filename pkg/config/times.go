package config

import (
	"fmt"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file holds the rules about time that no single key can break alone.

const (
	minDeadline = time.Minute
	maxDeadline = 12 * time.Hour
)

// times checks durations against the life of the token, and against each other.
func (d *decoder) times(r *loaded, k *rotationKeys) {
	if !d.bad["deadline"] && (k.Deadline < minDeadline || k.Deadline > maxDeadline) {
		d.report(d.place("deadline"), "deadline", "want from %s to %s, found %s", FormatDuration(minDeadline), FormatDuration(maxDeadline), FormatDuration(k.Deadline))
	}
	if !d.bad["max-revoke"] && (k.MaxRevoke < 2 || k.MaxRevoke > 1000) {
		d.report(d.place("max-revoke"), "max-revoke", "want a number from 2 (the old token and the new) to 1000, found %d", k.MaxRevoke)
	}
	if !d.bad["compromised"] && time.Until(k.Compromised) > 5*time.Minute {
		d.report(d.place("compromised"), "compromised", "lies in the future, so that every token would be replaced until then; write the time at which you learned of it")
	}
	if d.bad["every"] || !k.Provider.fine {
		return
	}
	life := time.Duration(0)
	if l, ok := r.Provider.(rotate.Lifetime); ok {
		life = l.Life()
	}
	if d.at["every"] == nil {
		if life <= 0 {
			d.report(d.where, "every", "missing; %s does not tell how long its tokens live, so say how often to replace them, such as every: 75d", k.Provider.entry.name)
			return
		}
		r.Every = usual(life)
		if r.Every < rotate.Tick {
			d.report(k.Provider.node, "every", "a token that lives %s is too short-lived for a program that looks once a day; at least 3d", FormatDuration(life))
			return
		}
	}
	every, at := r.Every, d.place("every")
	left := life - every
	switch {
	case every <= 0:
		d.report(at, "every", "must be longer than 0")
	case life > 0 && left < 2*rotate.Tick:
		d.report(at, "every", "a token lives %s, and %s", FormatDuration(life), tooLate(every, left))
	case life > 0 && left < life/10:
		d.warning(at, "every", "only %s of %s are left if a run fails, which is less than a tenth; replace it earlier", FormatDuration(left), FormatDuration(life))
	case every < rotate.Tick:
		d.warning(at, "every", "%s is shorter than a day (m is minutes); with a daily schedule every run replaces the token", FormatDuration(every))
	}
	if !d.bad["spread"] && k.Spread > 0 && k.Spread >= every {
		d.report(d.place("spread"), "spread", "%s is not shorter than every (%s): tokens would be due at their birth", FormatDuration(k.Spread), FormatDuration(every))
	}
	switch {
	case d.bad["grace"] || k.Grace == 0:
	case life > 0 && k.Grace >= life:
		d.warning(d.place("grace"), "grace", "%s is not shorter than the life of the token (%s): nothing is ever revoked, it only expires", FormatDuration(k.Grace), FormatDuration(life))
	case k.Grace >= every:
		d.warning(d.place("grace"), "grace", "%s is not shorter than every (%s): more than two tokens are alive at a time", FormatDuration(k.Grace), FormatDuration(every))
	}
}

// usual is when a token is replaced if nobody says: at 5/6 of its life, in whole hours, but two ticks before its
// end.
func usual(life time.Duration) time.Duration {
	return min((life / 6 * 5).Truncate(time.Hour), life-2*rotate.Tick)
}

func tooLate(every, left time.Duration) string {
	if left <= 0 {
		return fmt.Sprintf("would be replaced only after %s, when it is dead; replace it at least two days before its end", FormatDuration(every))
	}
	return fmt.Sprintf("would be replaced after %s, %s before its end; leave at least 2d, since a run looks once a day and may fail", FormatDuration(every), FormatDuration(left))
}
