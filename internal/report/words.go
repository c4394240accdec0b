package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The most bytes of a name and of a line of prose, and the most lines of a list that grows with what went wrong.
const (
	longestName = 120
	longestLine = 600
	mostLines   = 25
)

// clean makes any text one line that is safe in a terminal and in a runner's log, where "##[", and "::" at the start
// of a line, begin a command.
func clean(text string, limit int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Cf, c) { // invisible, or turns the direction of what follows
			return -1
		}
		return c
	}, text)
	text = strings.ReplaceAll(httpx.Clean(text, limit), "##[", "## [")
	if rest, ok := strings.CutPrefix(text, "::"); ok {
		text = ": :" + rest
	}
	return text
}

func name(text string) string {
	if text = clean(text, longestName); text != "" {
		return text
	}
	return "(no name)"
}

// prose returns the lines of a text, cleaned, without empty and repeated ones.
func prose(texts ...string) []string {
	var all []string
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = clean(line, longestLine); line != "" && !slices.Contains(all, line) {
				all = append(all, line)
			}
		}
	}
	if n := len(all); n > mostLines {
		all = append(all[:mostLines:mostLines], fmt.Sprintf("… and %d more", n-mostLines))
	}
	return all
}

func troubles(err error) []string {
	if err == nil {
		return nil
	}
	return prose(err.Error())
}

// why is what stands above the run's error.
func (e Entry) why() string {
	if e.Result.Outcome == rotate.OnHold {
		return "what is not proven yet"
	}
	return "what went wrong"
}

// token names a token for a message.
func token(t rotate.Token) string {
	switch {
	case t.Name != "":
		return name(t.Name)
	case t.ID != "":
		return "token " + name(t.ID)
	}
	return "a token"
}

// outcome is how a run ended, in a few words.
func (e Entry) outcome() string {
	if e.urgent() {
		return "a person is needed now"
	}
	ended := clean(string(e.Result.Outcome), longestName)
	switch e.Result.Outcome {
	case rotate.Retired:
		ended = "retired what was superseded"
		if len(e.Result.Revoked) == 0 {
			ended = "verified"
		}
	case rotate.OnHold:
		return "on hold"
	case rotate.Idle, rotate.Waiting, rotate.Rotated:
	default:
		return cmp.Or(ended, string(rotate.Failed))
	}
	return ended + also(e.Err != nil, ", with an error")
}

// verdict says in whole sentences what the run did and what it means for consumers.
func (e Entry) verdict() string {
	res := e.Result
	var says []string
	say := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	newborn, superseded := 0, 0
	for _, t := range res.Revoked {
		if t.ID == res.Newborn.ID && t.Name == res.Newborn.Name {
			newborn++
		} else {
			superseded++
		}
	}
	if e.urgent() {
		say("A person is needed now.")
		for _, h := range e.broken() {
			say("Consumers of %s hold a token that does not work.", name(h.Sink))
		}
		if e.refuted() {
			say("Consumers hold a token whose verification failed, and nothing was put back.")
		}
	}
	switch {
	case res.Outcome == rotate.Rotated:
		say("Every sink holds %s%s.", token(res.Newborn), also(e.verified(), ", and it was verified"))
	case e.urgent():
	case res.Outcome == rotate.Idle:
		say("Nothing is due, and nothing was changed.")
	case res.Outcome == rotate.Waiting:
		say("Nothing was changed: what is left happens later by itself.")
	case res.Outcome == rotate.Retired && e.verified():
		say("Nothing was due; what consumers hold was verified.")
	case res.Outcome == rotate.Retired:
		say("Nothing was due.")
	case res.Outcome == rotate.OnHold && superseded > 0:
		say("Every sink holds the newborn, but that consumers work with it was not seen yet; the next run looks again.")
	case res.Outcome == rotate.OnHold && res.Newborn.ID != "":
		say("Not proven yet. Consumers are unharmed: both generations work, and the next run looks again.")
	case res.Outcome == rotate.OnHold:
		say("Not proven yet. Consumers are unharmed: nothing was revoked, and the next run looks again.")
	case res.Outcome == rotate.Restored:
		say("The verification failed, so every sink holds again what it held before. Consumers are unharmed.")
	case res.Outcome == rotate.NotBegun:
		say("It did not begin, and nothing was changed.")
	case e.untouched():
		say("It failed before anything was changed. Consumers are unharmed.")
	default:
		say("It failed, but consumers are unharmed: nothing that they hold was revoked.")
	}
	for _, h := range res.Sinks {
		if h.State == stateMute {
			say("%s could not be asked.", name(h.Sink))
		}
	}
	if newborn > 0 {
		say("The newborn was revoked.")
	}
	if superseded > 0 {
		say("%s revoked.", count(superseded, "superseded token was", "superseded tokens were"))
	}
	if n := len(res.Kept); n > 0 {
		say("%s on for now.", count(n, "superseded token lives", "superseded tokens live"))
	}
	return strings.Join(says, " ")
}

func also(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// verified reports whether a verification of what consumers hold succeeded in this run.
func (e Entry) verified() bool {
	ok := false
	for _, s := range e.Result.Steps {
		if s.Do == rotate.Verify {
			ok = s.Result == rotate.Done
		}
	}
	return ok
}

// refuted reports whether the last verification failed.
func (e Entry) refuted() bool {
	bad := false
	for _, s := range e.Result.Steps {
		if s.Do == rotate.Verify {
			bad = s.Result == rotate.Wrong
		}
	}
	return bad
}

// untouched reports whether the run began nothing that has an effect.
func (e Entry) untouched() bool {
	return !slices.ContainsFunc(e.Result.Steps, func(s rotate.StepResult) bool {
		return s.Do != rotate.Check && s.Do != rotate.Proving && s.Do != rotate.Verify
	})
}

// left is what remains to be done: what the run left, then what a person can do about its error.
func (e Entry) left() []string {
	all := prose(e.Result.Left...)
	if e.status() == Fine {
		return all
	}
	return append(all, e.advice()...)
}

// advices are what the operator does next, by kind of error; the first ones also when a person is needed.
var advices = []struct {
	kind   error
	text   string
	urgent bool
}{
	{rotate.ErrConfig, "Correct the configuration as the error says; remint check then reports whatever else is wrong, all at once.", true},
	{rotate.ErrDenied, "Replace the credential that was refused, or grant it the right that the error names; remint check tells whether it suffices.", true},
	{rotate.ErrNotFound, "Make sure that what the error names exists, and that the credential may see it.", true},
	{rotate.ErrLimit, "Make room as the error says; later runs try again.", true},
	{rotate.ErrConflict, "Somebody else changed something, or another run is alive; the next run looks again.", false},
	{rotate.ErrTemporary, "Nothing to do unless it lasts: the service or the way to it failed, and the next run tries again.", false},
	{rotate.ErrUnproven, "Nothing to do unless it lasts: the next run looks again. An approval that is pending is given by a person.", false},
}

// advice says what the operator does next. Several kinds of error may come together.
func (e Entry) advice() []string {
	var all []string
	for _, a := range advices {
		if errors.Is(e.Err, a.kind) && (a.urgent || !e.urgent()) {
			all = append(all, a.text)
		}
	}
	switch {
	case e.urgent() && e.refuted():
		return append(all, "Find out now why the verification failed; until then consumers may not work. Then run again: it verifies what they hold.")
	case e.urgent():
		return append(all, "When the cause is gone, run again at once instead of waiting for the schedule; a token that must not live on until then is revoked by hand at its provider.")
	case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded):
		all = append(all, "The run was stopped; the next one goes on from what it finds.")
	case e.Result.Outcome == rotate.Restored:
		all = append(all, "Find out why the verification failed; a later run tries again with a new token.")
	case len(all) == 0:
		all = append(all, "Look at the step that failed; the next run tries again.")
	}
	return all
}

// holding says what a sink holds, without the token's dates.
func holding(h rotate.Holds) string {
	switch h.State {
	case stateHolds:
		return token(h.Token)
	case stateUnknown:
		if h.Token.ID != "" || h.Token.Name != "" {
			return "not known; it held " + token(h.Token)
		}
		return "no token that remint knows"
	case stateDead:
		if h.Token.ID != "" || h.Token.Name != "" {
			return token(h.Token) + ", which does not work"
		}
		return "a token that does not work"
	case stateUnclear:
		return "one of several tokens of the same birth"
	case stateMute:
		return "it could not be asked"
	}
	return cmp.Or(clean(h.State, longestName), "not known")
}

// expiry says when a token that a sink holds expires.
func expiry(h rotate.Holds, now time.Time) string {
	switch {
	case h.State != stateHolds:
		return ""
	case h.Token.Expires.IsZero(), h.Token.Expires.Year() > 9999:
		return "never, or not known"
	case !h.Token.Expires.After(now):
		return date(h.Token.Expires) + ", expired"
	}
	return when(h.Token.Expires, now)
}

// nextDue says as much in a sentence.
func nextDue(at, now time.Time) string {
	switch text := due(at, now); {
	case text == "":
		return ""
	case at.After(now):
		return "Next due " + text
	default:
		return "Due " + text
	}
}

// due says when a rotation is due next; "" if that is not known.
func due(at, now time.Time) string {
	switch {
	case at.IsZero(), at.Year() > 9999:
		return ""
	case at.After(now):
		return when(at, now)
	}
	return "since " + date(at) + also(now.Sub(at) >= rotate.Tick, " ("+rotate.Days(now.Sub(at))+")")
}

// when prints a date with what it is from now: "2027-01-19 (in 75 days)".
func when(at, now time.Time) string {
	if now.IsZero() || !at.After(now) {
		return date(at)
	}
	if d := at.Sub(now); d >= rotate.Tick {
		return date(at) + " (in " + rotate.Days(d) + ")"
	}
	return at.UTC().Format("2006-01-02 15:04") + " UTC"
}

func date(at time.Time) string { return at.UTC().Format("2006-01-02") }

// took prints a duration as short as it is told apart by: "212ms", "4.1s", "2m10s".
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// did sums up the steps that succeeded: "4 check, 1 mint, 2 write".
func did(steps []rotate.StepResult) string {
	var parts []string
	for _, v := range []rotate.Verb{rotate.Check, rotate.Minting, rotate.Taking, rotate.Proving, rotate.Writing, rotate.Verify, rotate.Marking, rotate.Revoke, rotate.Restore} {
		n := 0
		for _, s := range steps {
			if s.Do == v && s.Result == rotate.Done {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", v, n))
		}
	}
	return strings.Join(parts, ", ")
}

// about is what a step is about, after its place.
func about(s rotate.Step) string { return clean(s.What, longestName) }

// stepTrouble is a step's error without the words that name the step again.
func stepTrouble(s rotate.StepResult) []string {
	text := s.Error
	if text == "" && s.Err != nil {
		text = s.Err.Error()
	}
	all := prose(text)
	prefix := clean(string(s.Do)+" "+s.At+": ", longestLine) + " "
	for i, line := range all {
		all[i] = strings.TrimPrefix(line, prefix)
	}
	return all
}
