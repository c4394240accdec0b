package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Marks of a step's or a rotation's end.
const (
	markBegun  = "…"
	markDone   = "✓"
	markUnsure = "~"
	markWrong  = "✗"
	markUrgent = "!"
	markIdle   = "-"
	markNext   = "→"
)

// Plan writes what a run would do now, and why.
func Plan(w io.Writer, p rotate.Plan, now time.Time) error {
	t := page{}
	switch {
	case p.Stop != "":
		t.title(markUnsure, p.Name, "nothing is done now")
		t.paragraph(prose(p.Stop)...)
	case p.Due:
		t.title(markNext, p.Name, "would be rotated")
	case len(p.Steps) > 0:
		t.title(markNext, p.Name, "nothing is due, but superseded tokens are to be retired")
	default:
		t.title(markIdle, p.Name, "nothing to do")
	}
	t.list("why it is due", prose(p.Reasons...))
	t.holds(p.Sinks, now)
	t.live(p.Live, now)
	t.list("would do, in this order", planned(p.Steps))
	t.list("if a step after the mint fails, as far as needed and possible", planned(p.OnFailure))
	t.kept(p.Kept)
	t.list("left alone", strangers(p.Foreign))
	t.list("warnings", prose(p.Warnings...))
	if next := nextDue(p.Next, now); next != "" {
		t.line(next)
	}
	return t.to(w)
}

func planned(steps []rotate.Step) []string {
	var all []string
	for i, s := range steps {
		all = append(all, fmt.Sprintf("%2d  %-7s %s", i+1, s.Do, place(s)))
	}
	return all
}

// place is where a step happens, and what is special about it.
func place(s rotate.Step) string {
	at := name(s.At)
	if what := about(s); what != "" {
		at += ": " + what
	}
	return at
}

// Step returns the line that says that a step began or how it ended, without a line break at the end. A failed step has
// further lines that say why.
func Step(res rotate.StepResult) string {
	mark := map[string]string{rotate.Begun: markBegun, rotate.Done: markDone, rotate.Unsure: markUnsure}[res.Result]
	if mark == "" {
		mark = markWrong
	}
	line := fmt.Sprintf("  %s %-7s %s", mark, clean(string(res.Do), longestName), place(res.Step))
	if res.Result == rotate.Begun {
		return line
	}
	line = pad(line, 64) + took(res.Took)
	if res.Result != rotate.Done {
		line += "  " + clean(res.Result, longestName)
		for _, why := range stepTrouble(res) {
			line += "\n      " + why
		}
	}
	return line
}

// pad fills a line to a width in characters, and ends it with three spaces at least.
func pad(line string, width int) string {
	return line + strings.Repeat(" ", max(width-utf8.RuneCountInString(line), 3))
}

// Result writes what a run did, what consumers hold now, what is left to do and when the rotation is due next.
// The err is what the run returned.
func Result(w io.Writer, res rotate.Result, err error) error {
	e := Entry{res, err}
	t := page{}
	t.title(e.mark(), res.Name, e.outcome()+also(len(res.Steps) > 0, " ("+took(res.Ended.Sub(res.Begun))+")"))
	t.paragraph(e.verdict())
	t.list(e.why(), troubles(err))
	t.list("what is left to do", bullets(e.left()))
	t.list("how to make the token that is to be handed in", numbered(prose(res.HandIn...)))
	t.list("why it was due", prose(res.Reasons...))
	if done := did(res.Steps); done != "" {
		t.list("what was done", []string{done})
	}
	t.holds(res.Sinks, res.Ended)
	t.list("revoked", tokens(res.Revoked))
	t.kept(res.Kept)
	t.list("left alone", strangers(res.Plan.Foreign))
	t.list("warnings", prose(res.Warnings...))
	if next := nextDue(res.Next, res.Ended); next != "" {
		t.line(next)
	}
	return t.to(w)
}

func (e Entry) mark() string {
	switch e.status() {
	case Urgent:
		return markUrgent
	case Unwell:
		if e.Result.Outcome == rotate.OnHold {
			return markUnsure
		}
		return markWrong
	}
	switch e.Result.Outcome {
	case rotate.Idle:
		return markIdle
	case rotate.Waiting:
		return markUnsure
	}
	return markDone
}

func bullets(all []string) []string {
	out := make([]string, len(all))
	for i, line := range all {
		out[i] = "- " + line
	}
	return out
}

func tokens(all []rotate.Token) []string {
	var out []string
	for _, t := range all {
		out = append(out, token(t))
	}
	return out
}

// page collects the lines of a report: a title, and what is indented under it.
// strangers says in one line how many tokens bear the rotation's name but another identity's fingerprint: with many
// repositories that copied one configuration there are many, and nothing is wrong.
func strangers(all []rotate.Token) []string {
	if len(all) == 0 {
		return nil
	}
	return []string{count(len(all), "token", "tokens") + " of this name, minted by another rotation (the identity differs), such as " + token(all[0])}
}

type page struct{ strings.Builder }

func (t *page) title(mark, name_, what string) {
	t.WriteString(mark + " " + name(name_) + ": " + what + "\n")
}

func (t *page) line(line string) { t.WriteString("  " + line + "\n") }

func (t *page) paragraph(lines ...string) {
	for _, line := range lines {
		t.line(line)
	}
}

func (t *page) list(heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	t.line(heading)
	for _, line := range lines {
		t.WriteString("    " + line + "\n")
	}
}

func (t *page) holds(sinks []rotate.Holds, now time.Time) {
	width := 0
	for _, h := range sinks {
		width = max(width, utf8.RuneCountInString(name(h.Sink)))
	}
	var lines []string
	for _, h := range sinks {
		line := pad(name(h.Sink), min(width, 60)+3) + holding(h)
		if at := expiry(h, now); at != "" {
			line += "; expires " + at
		}
		lines = append(lines, line+also(h.Verified, "; verified"))
	}
	t.list("what consumers hold now", lines)
}

func (t *page) live(all []rotate.Token, now time.Time) {
	var lines []string
	for _, x := range all {
		line := token(x)
		if !x.Created.IsZero() {
			line += "; born " + date(x.Created)
		}
		if !x.Expires.IsZero() {
			line += "; expires " + when(x.Expires, now)
		}
		lines = append(lines, line)
	}
	t.list("live generations", lines)
}

func (t *page) kept(all []rotate.Kept) {
	var lines []string
	for _, k := range all {
		lines = append(lines, token(k.Token)+": "+clean(k.Why, longestLine))
	}
	t.list("superseded, but alive", lines)
}

func (t *page) to(w io.Writer) error {
	_, err := io.WriteString(w, t.String())
	return err
}
