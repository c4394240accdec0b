// Package report turns plans and results into what people and workflows read: text for terminals and logs, Markdown for
// the step summary, JSON for the action's output.
//
// Its rules:
//
//   - Everything is a pure function of what it is given; nothing reads the clock, so that the same run reads the same.
//   - Names and error texts may come from a server: they are cleaned, shortened, and escaped for where they stand.
//   - First what it means for consumers, then what is left to do, then how it came to that. Calm words: most
//     failures harm nobody, and the reader should see at once which is not of that kind.
package report

import (
	"slices"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Entry is the result of one rotation's run, and the error it returned.
type Entry struct {
	Result rotate.Result
	Err    error
}

// Exit statuses, as far as a result decides. 2, a configuration error, is the command line's.
const (
	Fine   = 0 // done, nothing to do, or waiting for something that happens by itself
	Unwell = 1 // failed, held or restored; consumers are unharmed
	Urgent = 3 // a person is needed now
)

// Exit returns the worst status of all results.
func Exit(results []Entry) int {
	worst := Fine
	for _, e := range results {
		worst = max(worst, e.status())
	}
	return worst
}

// Next returns when the first of the rotations is due; it may be past. Zero: not known of any.
func Next(results []Entry) time.Time {
	var first time.Time
	for _, e := range results {
		if at := e.Result.Next; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// Rotated returns the names of the rotations whose consumers hold a new, verified token. It is never nil: the action's
// output is "[]".
func Rotated(results []Entry) []string {
	return names(results, func(e Entry) bool { return e.Result.Outcome == rotate.Rotated })
}

// Failed returns the names of the rotations that make the run fail: failed, held and restored ones, and any that returned
// an error. It is never nil.
func Failed(results []Entry) []string {
	return names(results, func(e Entry) bool { return e.status() != Fine })
}

func names(results []Entry, which func(Entry) bool) []string {
	all := []string{}
	for _, e := range results {
		if which(e) {
			all = append(all, e.Result.Name)
		}
	}
	return all
}

func (e Entry) status() int {
	switch {
	case e.urgent():
		return Urgent
	case e.Err != nil:
		return Unwell
	}
	switch e.Result.Outcome {
	case rotate.Idle, rotate.Waiting, rotate.Rotated, rotate.Retired:
		return Fine
	}
	return Unwell
}

// urgent reports whether a person is needed now: the run says so, or consumers were left with a token that does
// not work.
func (e Entry) urgent() bool { return e.Result.Person || len(e.broken()) > 0 }

// broken are the sinks whose consumers hold a token that does not work.
func (e Entry) broken() []rotate.Holds {
	return slices.DeleteFunc(slices.Clone(e.Result.Sinks), func(h rotate.Holds) bool {
		return !dead(h, e.Result.Ended)
	})
}

// What rotate.Holds says of a sink.
const (
	stateHolds   = "holds"
	stateUnknown = "nothing known"
	stateDead    = "dead"
	stateUnclear = "unclear"
	stateMute    = "could not be asked"
)

func dead(h rotate.Holds, now time.Time) bool {
	return h.State == stateDead || h.State == stateHolds && !h.Token.Expires.IsZero() && !h.Token.Expires.After(now)
}
