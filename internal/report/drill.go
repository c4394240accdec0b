package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/internal/emulate/lab"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file tells of a drill: what was broken, if anything was, then one line for each step of a run with a column for
// each fault, then what the marks mean and how often each was met.

// Marks of what one fault came to; all but the last keep the promise.
const (
	wentOn   = "✓" // the run did all it set out to do
	keptOld  = "o" // it stopped; consumers hold what they held before
	keptBoth = "±" // some hold that, some the newborn
	keptNew  = "n" // all hold the newborn
	isBroken = "✗"
	none     = "·"
)

// The order of marks in a cell, and what they mean.
var drillMarks = []struct{ mark, means string }{
	{isBroken, "the promise was broken"},
	{wentOn, "the run went on and did what it set out to do"},
	{keptOld, "the run ended there; consumers held the old token, which worked; the next run rotated"},
	{keptBoth, "the run ended there; some held the old token, some the new one, and both worked; the next run finished it"},
	{keptNew, "the run ended there; consumers held the new token, which worked; the next run finished it"},
}

// drillColumns say what the columns are.
var drillColumns = []string{
	"403, 429, 503: the service answers one request so, and has done nothing",
	"answer lost: it has done what it was asked to, and the connection breaks; · where nothing is changed",
	"killed: the process ends after the request and before the next one, and cleans nothing up",
	"second run: another run begins and ends before the request is sent",
}

// DrillExit returns the status of a drill.
func DrillExit(d lab.Drilled) int {
	if len(d.Broken()) > 0 {
		return Urgent
	}
	return Fine
}

// DrillTally says in one line what a drill came to.
func DrillTally(d lab.Drilled) string {
	n, bad := len(d.Trials), len(d.Broken())
	return fmt.Sprintf("%s at %s: the promise held in %d of %d, %s", count(n, "fault", "faults"), count(d.Requests, "request", "requests"), n-bad, n, took(d.Took))
}

// Drill writes what came of a drill.
func Drill(w io.Writer, d lab.Drilled) error {
	t := page{}
	mark := markDone
	if DrillExit(d) != Fine {
		mark = markUrgent
	}
	t.WriteString(mark + " " + DrillTally(d) + "\n")
	for _, line := range breaches(d) {
		t.WriteString("\n" + line[0] + "\n")
		t.paragraph(line[1:]...)
	}
	for _, g := range grids(d) {
		t.WriteString("\n" + name(g.rotation) + "\n")
		width := 0
		for _, r := range g.rows {
			width = max(width, utf8.RuneCountInString(r.step))
		}
		head := "  " + pad("", width-3)
		for _, f := range g.columns {
			head += "  " + f
		}
		t.WriteString(strings.TrimRight(head, " ") + "\n")
		for _, r := range g.rows {
			line := "  " + r.step + strings.Repeat(" ", width-utf8.RuneCountInString(r.step))
			for i, c := range r.cells {
				line += "  " + c + strings.Repeat(" ", max(utf8.RuneCountInString(g.columns[i])-utf8.RuneCountInString(c), 0))
			}
			t.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		t.list("a verifier refuses the newborn", g.refuted)
		if len(g.like) > 0 {
			t.line("the same requests, and so the same faults: " + strings.Join(g.like, "; "))
		}
	}
	t.WriteString("\n")
	for _, l := range legend(d) {
		t.WriteString(fmt.Sprintf("  %s %5d  %s\n", l.mark, l.n, l.means))
	}
	t.list("and of these", remarks(d))
	t.list("the faults", drillColumns)
	return t.to(w)
}

// DrillMarkdown returns the step summary of a drill.
func DrillMarkdown(d lab.Drilled) string {
	var b strings.Builder
	icon := "✅"
	if DrillExit(d) != Fine {
		icon = "🚨"
	}
	fmt.Fprintf(&b, "## remint: every fault at every step\n\n%s **%s**\n\n", icon, markdown(DrillTally(d)))
	for _, line := range breaches(d) {
		b.WriteString("> [!CAUTION]\n> " + markdown(line[0]) + "\n")
		for _, more := range line[1:] {
			b.WriteString(">\n> " + markdown(more) + "\n")
		}
		b.WriteString("\n")
	}
	for _, g := range grids(d) {
		fmt.Fprintf(&b, "### %s\n\n", code(name(g.rotation)))
		rows := [][]string{append([]string{"Step"}, g.columns...)}
		for _, r := range g.rows {
			verb, at, _ := strings.Cut(r.step, " ")
			rows = append(rows, append([]string{verb + " " + code(at)}, r.cells...))
		}
		table(&b, rows)
		list(&b, "A verifier refuses the newborn", g.refuted)
		if len(g.like) > 0 {
			b.WriteString("The same requests, and so the same faults: " + markdown(strings.Join(g.like, "; ")) + "\n\n")
		}
	}
	rows := [][]string{{"", "Faults", "What came of it"}}
	for _, l := range legend(d) {
		rows = append(rows, []string{l.mark, fmt.Sprint(l.n), markdown(l.means)})
	}
	table(&b, rows)
	list(&b, "Of these", remarks(d))
	list(&b, "The faults", drillColumns)
	return b.String()
}

// breaches says for each kind of breach where it was met: what was broken, then where.
func breaches(d lab.Drilled) [][]string {
	var all [][]string
	at := map[string]int{}
	for _, t := range d.Broken() {
		where := drillStep(t.Step) + also(t.Request != "", " ("+clean(t.Request, longestLine)+")") + ": " + string(t.Fault)
		what := "✗ " + name(t.Rotation) + ": " + strings.Join(prose(t.Broken...), "; ")
		i, ok := at[what]
		if !ok {
			i = len(all)
			at[what] = i
			all = append(all, []string{what})
		}
		all[i] = append(all[i], where)
	}
	for i, lines := range all {
		if more := len(lines) - 1 - 5; more > 1 {
			all[i] = append(lines[:6:6], fmt.Sprintf("… and at %d more", more))
		}
	}
	if more := len(all) - mostLines; more > 0 {
		all = append(all[:mostLines:mostLines], []string{fmt.Sprintf("… and %d more", more)})
	}
	return all
}

// drillStep is a step as a table shows it.
func drillStep(text string) string { return name(text) }

// mark is what came of one fault.
func drillMark(t lab.Trial) string {
	switch {
	case len(t.Broken) > 0, t.Held == lab.Dead:
		return isBroken
	case t.Ended == rotate.Rotated || t.Ended == rotate.Retired:
		return wentOn
	case t.Held == lab.Old:
		return keptOld
	case t.Held == lab.Both:
		return keptBoth
	}
	return keptNew
}

// grid is the table of one rotation.
type grid struct {
	rotation string
	columns  []string
	rows     []gridRow
	refuted  []string
	like     []string
}

type gridRow struct {
	step  string
	cells []string
}

// grids makes the tables. A cell has every mark that the requests of its step came to.
func grids(d lab.Drilled) []grid {
	var all []grid
	columns := lab.Faults()
	for _, t := range d.Trials {
		if len(all) == 0 || all[len(all)-1].rotation != t.Rotation {
			g := grid{rotation: t.Rotation}
			for _, f := range columns {
				g.columns = append(g.columns, string(f))
			}
			for _, like := range slices.Sorted(maps.Keys(d.Like)) {
				if d.Like[like] == t.Rotation {
					g.like = append(g.like, name(like))
				}
			}
			all = append(all, g)
		}
		g := &all[len(all)-1]
		if t.Nth == 0 {
			g.refuted = append(g.refuted, refuted(t))
			continue
		}
		step := drillStep(t.Step)
		i := slices.IndexFunc(g.rows, func(r gridRow) bool { return r.step == step })
		if i < 0 {
			i = len(g.rows)
			g.rows = append(g.rows, gridRow{step, make([]string, len(columns))})
		}
		f := t.Fault
		if f == lab.Unstarted {
			f = lab.Killed
		}
		if j := slices.Index(columns, f); j >= 0 {
			g.rows[i].cells[j] += drillMark(t)
		}
	}
	for _, g := range all {
		for _, r := range g.rows {
			for i, c := range r.cells {
				r.cells[i] = none
				var kept strings.Builder
				for _, m := range drillMarks {
					if strings.Contains(c, m.mark) {
						kept.WriteString(m.mark)
					}
				}
				r.cells[i] = cmp.Or(kept.String(), none)
			}
		}
	}
	return all
}

// refuted says what came of a verifier that refused the newborn.
func refuted(t lab.Trial) string {
	if len(t.Broken) > 0 {
		return drillStep(t.Step) + ": " + isBroken + " the promise was broken"
	}
	return fmt.Sprintf("%s: the run ended with %q%s; consumers held %s; the next run ended with %q", drillStep(t.Step), clean(string(t.Ended), longestName),
		also(t.Person, " and called for a person"), t.Held, clean(string(t.Next), longestName))
}

type drillLine struct {
	mark  string
	n     int
	means string
}

// legend counts the marks that were met.
func legend(d lab.Drilled) []drillLine {
	var all []drillLine
	for _, m := range drillMarks {
		l := drillLine{m.mark, 0, m.means}
		for _, t := range d.Trials {
			if drillMark(t) == m.mark {
				l.n++
			}
		}
		if l.n > 0 {
			all = append(all, l)
		}
	}
	return all
}

// remarks are what of the trials is worth a sentence.
func remarks(d lab.Drilled) []string {
	var all []string
	say := func(which func(lab.Trial) bool, text string) {
		n := 0
		for _, t := range d.Trials {
			if len(t.Broken) == 0 && which(t) {
				n++
			}
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("%d  %s", n, text))
		}
	}
	say(func(t lab.Trial) bool { return t.Orphan }, "left a newborn alive that nobody held; the next run revoked it")
	say(func(t lab.Trial) bool {
		return t.Held == lab.Newborn && t.Ended != rotate.Rotated && t.Next == rotate.Rotated
	},
		"left the newborn in place without a record of it; the next run could not tell, and rotated once more")
	say(func(t lab.Trial) bool { return t.Person && t.Held != lab.Dead }, "called for a person, since consumers held a token whose verification failed")
	return all
}

// DrillJSON returns a drill as one JSON document.
func DrillJSON(d lab.Drilled) ([]byte, error) {
	type trial struct {
		Rotation string   `json:"rotation"`
		Request  int      `json:"request,omitempty"`
		Step     string   `json:"step"`
		What     string   `json:"what,omitempty"`
		Fault    string   `json:"fault"`
		Ended    string   `json:"ended,omitempty"`
		Held     string   `json:"held"`
		Orphan   bool     `json:"orphan,omitempty"`
		Person   bool     `json:"personNeeded,omitempty"`
		Next     string   `json:"next"`
		Broken   []string `json:"broken,omitempty"`
	}
	doc := struct {
		Faults   int               `json:"faults"`
		Broken   int               `json:"broken"`
		Requests int               `json:"requests"`
		Took     time.Duration     `json:"tookMilliseconds"`
		Like     map[string]string `json:"sameRequests,omitempty"`
		Trials   []trial           `json:"trials"`
	}{len(d.Trials), len(d.Broken()), d.Requests, time.Duration(d.Took.Milliseconds()), d.Like, []trial{}}
	for _, t := range slices.Concat(d.Broken(), slices.DeleteFunc(slices.Clone(d.Trials), func(t lab.Trial) bool { return len(t.Broken) > 0 })) {
		doc.Trials = append(doc.Trials, trial{name(t.Rotation), t.Nth, drillStep(t.Step), clean(t.Request, longestLine), string(t.Fault), clean(string(t.Ended), longestName),
			string(t.Held), t.Orphan, t.Person, clean(string(t.Next), longestName), prose(t.Broken...)})
	}
	return encode(doc)
}
