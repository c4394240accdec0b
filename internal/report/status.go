package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Seen is what was seen of one rotation, and the error if it could not be surveyed.
type Seen struct {
	Status rotate.Status
	Err    error
}

// StatusExit returns the worst exit status: [Urgent] if a consumer holds a token that does not work or a compromised
// token lives on, [Unwell] if a rotation or a sink could not be asked, else [Fine]. That something is due is fine.
func StatusExit(all []Seen) int {
	worst := Fine
	for _, s := range all {
		worst = max(worst, s.exit())
	}
	return worst
}

func (s Seen) exit() int {
	switch {
	case len(s.Status.Alarms) > 0:
		return Urgent
	case s.Err != nil:
		return Unwell
	}
	for _, h := range s.Status.Sinks {
		if h.Mute() {
			return Unwell
		}
	}
	return Fine
}

// StatusNames returns the names of the rotations that are not fine. It is never nil.
func StatusNames(all []Seen) []string {
	out := []string{}
	for _, s := range all {
		if s.exit() != Fine {
			out = append(out, s.Status.Name)
		}
	}
	return out
}

// StatusNext returns when the first of the rotations is due; it may be past. Zero: not known of any.
func StatusNext(all []Seen) time.Time {
	var first time.Time
	for _, s := range all {
		if at := s.Status.Next; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// headline is what stands beside the rotation's name.
func (s Seen) headline() string {
	st := s.Status
	switch {
	case len(st.Alarms) > 0:
		return "a person is needed now"
	case s.Err != nil:
		return "could not be looked at"
	case s.exit() != Fine:
		return "not all sinks could be asked"
	case st.Stop != "" && st.Waiting:
		return "in order; something waits"
	case st.Stop != "":
		return "to be done, but held up"
	case st.Due:
		return "due: the next run rotates"
	case len(st.Steps) > 0:
		return "in order; the next run tidies up"
	}
	return "in order"
}

func (s Seen) mark() string {
	st := s.Status
	switch {
	case s.exit() == Urgent:
		return markUrgent
	case s.exit() == Unwell:
		return markWrong
	case st.Stop != "":
		return markUnsure
	case st.Due || len(st.Steps) > 0:
		return markNext
	}
	return markDone
}

// Status writes what is there and what is to come, for a terminal.
func Status(w io.Writer, s Seen) error {
	st, now := s.Status, s.Status.At
	t := page{}
	t.title(s.mark(), st.Name, s.headline())
	t.list("what went wrong", troubles(s.Err))
	t.list("act now", bullets(prose(st.Alarms...)))
	if s.Err != nil {
		return t.to(w)
	}
	t.list("what consumers hold", columns(sinkRows(st, now)))
	t.list("what lives at "+name(st.Provider), columns(tokenRows(st, now)))
	t.list("what is to come", s.outlook())
	t.list("a person is to do", numbered(prose(st.HandIn...)))
	t.list("warnings", bullets(prose(st.Warnings...)))
	return t.to(w)
}

// StatusTally sums up all rotations in one line.
func StatusTally(all []Seen) string {
	n := map[int]int{}
	waiting := 0
	for _, s := range all {
		n[s.exit()]++
		if s.exit() == Fine && s.Status.Due {
			waiting++
		}
	}
	var parts []string
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, text))
		}
	}
	add(n[Urgent], "in need of a person")
	add(n[Unwell], "not fully seen")
	add(waiting, "due")
	add(n[Fine]-waiting, "in order")
	if len(parts) == 0 {
		return "no rotations"
	}
	return strings.Join(parts, ", ")
}

// outlook says what is due when and why, and what the next run does.
func (s Seen) outlook() []string {
	st := s.Status
	var out []string
	if at := due(st.Next, st.At); at != "" {
		out = append(out, "due "+at+also(st.Why != "" && !st.Due, ": "+clean(st.Why, longestLine)))
	} else if !st.Due {
		out = append(out, "when it is due is not known")
	}
	if st.Due {
		for _, why := range prose(st.Reasons...) {
			out = append(out, "due now: "+why)
		}
	}
	if st.Overdue >= rotate.Tick {
		out = append(out, "overdue by "+rotate.Days(st.Overdue))
	}
	switch done := planned(st.Steps); {
	case st.Stop != "":
		for _, why := range prose(st.Stop) {
			out = append(out, "the next run does nothing: "+why)
		}
	case len(done) == 0:
		out = append(out, "the next run has nothing to do")
	default:
		out = append(out, "the next run does "+count(len(done), "step", "steps")+": "+sums(st.Steps)+" (remint plan lists them)")
	}
	return out
}

// sums says in a few words what the steps of a plan are.
func sums(steps []rotate.Step) string {
	n := map[rotate.Verb]int{}
	var order []rotate.Verb
	for _, s := range steps {
		if n[s.Do] == 0 {
			order = append(order, s.Do)
		}
		n[s.Do]++
	}
	var parts []string
	for _, v := range order {
		parts = append(parts, fmt.Sprintf("%s %d", v, n[v]))
	}
	return strings.Join(parts, ", ")
}

func numbered(lines []string) []string {
	for i := range lines {
		lines[i] = fmt.Sprintf("%d. %s", i+1, lines[i])
	}
	return lines
}

// row is a line of a table, and what is said below it.
type row struct {
	cells []string
	notes []string
}

// sinkRows are what the sinks hold; the first row is the head.
func sinkRows(st rotate.Status, now time.Time) []row {
	if len(st.Sinks) == 0 {
		return nil
	}
	rows := []row{{cells: []string{"sink", "holds", "verified", "expires"}}}
	for _, h := range st.Sinks {
		r := row{cells: []string{name(h.Sink), holding(h.Holds), verification(h), expiry(h.Holds, now)}}
		if h.Err != nil {
			r.notes = prose(h.Err.Error())
		}
		if h.Foreign {
			r.notes = append(r.notes, "not minted by this rotation, and adopt does not name it")
		}
		rows = append(rows, r)
	}
	return rows
}

// verification says whether what a sink holds was verified.
func verification(h rotate.SinkStatus) string {
	switch {
	case h.State != stateHolds:
		return "-"
	case h.Verified:
		return "yes"
	case h.Records:
		return "not yet"
	}
	return "not recorded"
}

// tokenRows are the tokens that concern a rotation; those of others are counted. The first row is the head.
func tokenRows(st rotate.Status, now time.Time) []row {
	rows := []row{{cells: []string{"what", "id", "born (UTC)", "expires", "last used", "name"}}}
	others, namesakes := 0, 0
	for _, t := range st.Tokens {
		if stranger(t) {
			if others++; t.Fate != "" {
				namesakes++
			}
			continue
		}
		r := row{cells: []string{classed(t), short(t.ID), born(t.Token), lives(t.Token, now), used(t.Token, now), name(t.Name)}}
		if t.Fate != "" {
			r.notes = prose(t.Fate)
		}
		rows = append(rows, r)
	}
	if len(rows) == 1 {
		rows = nil
	}
	if others > 0 {
		rows = append(rows, row{notes: []string{strangely(others, namesakes)}})
	}
	if rows == nil {
		rows = []row{{notes: []string{"no live token"}}}
	}
	return rows
}

// stranger reports whether a token is none of the rotation's business.
func stranger(t rotate.TokenStatus) bool {
	return t.Is(rotate.ClassForeign) && !t.Is(rotate.ClassHeld) && !t.Is(rotate.ClassNewest)
}

func strangely(others, namesakes int) string {
	text := "and " + count(others, "foreign token", "foreign tokens") + ", left alone"
	if namesakes > 0 {
		text += fmt.Sprintf("; %d of this rotation's name, minted by a rotation with another identity", namesakes)
	}
	return text
}

func classed(t rotate.TokenStatus) string {
	var all []string
	for _, c := range t.Classes {
		all = append(all, clean(string(c), longestName))
	}
	return strings.Join(all, ", ")
}

// short is an ID as a person needs it for revoke: whole, unless it is longer than any.
func short(id string) string {
	if id = clean(id, longestName); id != "" {
		return id
	}
	return "-"
}

func born(t rotate.Token) string {
	if t.Created.IsZero() {
		return "not known"
	}
	return t.Created.UTC().Format("2006-01-02 15:04")
}

func lives(t rotate.Token, now time.Time) string {
	if t.Expires.IsZero() || t.Expires.Year() > 9999 {
		return "never, or not known"
	}
	return when(t.Expires, now) + also(!t.Expires.After(now), ", expired")
}

func used(t rotate.Token, now time.Time) string {
	if t.LastUsed.IsZero() {
		return "-"
	}
	if d := now.Sub(t.LastUsed); d >= 0 && d < rotate.Tick {
		return t.LastUsed.UTC().Format("2006-01-02 15:04") + " UTC"
	}
	return date(t.LastUsed)
}

// widest is the widest column, in characters; what is longer pushes the rest of its line.
const widest = 80

// columns aligns rows. The last cell of a row is not padded; notes are indented below it.
func columns(rows []row) []string {
	var width []int
	for _, r := range rows {
		for i, c := range r.cells {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], min(utf8.RuneCountInString(c), widest))
		}
	}
	var out []string
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r.cells {
			if i+1 < len(r.cells) {
				c += strings.Repeat(" ", max(width[i]-utf8.RuneCountInString(c), 0)+2)
			}
			b.WriteString(c)
		}
		if len(r.cells) > 0 {
			out = append(out, strings.TrimRight(b.String(), " "))
		}
		for _, n := range r.notes {
			out = append(out, also(len(r.cells) > 0, "  ")+n)
		}
	}
	return out
}
