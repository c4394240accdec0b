package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/remint-dev/remint/pkg/rotate"
)

// mostGenerations is how many a timeline shows, the newest ones.
const mostGenerations = 12

// generation is a token as the timeline shows it.
type generation struct {
	rotate.Token
	held, revoked bool
	due           time.Time // of a held one; zero: not known
}

// generations are the tokens that a result speaks of and whose birth is known, oldest first.
func generations(res rotate.Result) []generation {
	var all []generation
	find := func(t rotate.Token) *generation {
		for i := range all {
			if all[i].ID == t.ID && all[i].Name == t.Name {
				return &all[i]
			}
		}
		if t.Created.Year() < 1970 || t.Created.Year() > 9999 {
			return nil // not known, or not for a chart
		}
		if t.Expires.Year() > 9999 {
			t.Expires = time.Time{}
		}
		all = append(all, generation{Token: t})
		return &all[len(all)-1]
	}
	for _, t := range res.Live {
		find(t)
	}
	for _, k := range res.Kept {
		find(k.Token)
	}
	for _, h := range res.Sinks {
		if h.State != stateHolds {
			continue
		}
		if g := find(h.Token); g != nil {
			g.held = true
		}
	}
	for _, t := range res.Revoked {
		if g := find(t); g != nil {
			g.held, g.revoked = false, true
		}
	}
	slices.SortStableFunc(all, func(a, b generation) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	markDue(all, res)
	return all[max(0, len(all)-mostGenerations):]
}

// markDue says which generation the result's next due date is of: the newborn if consumers hold it, else the oldest that
// they hold.
func markDue(all []generation, res rotate.Result) {
	i := slices.IndexFunc(all, func(g generation) bool { return g.held && g.ID == res.Newborn.ID })
	if i < 0 {
		i = slices.IndexFunc(all, func(g generation) bool { return g.held })
	}
	if i >= 0 && res.Next.After(all[i].Created) && res.Next.Year() <= 9999 {
		all[i].due = res.Next
	}
}

// gantt draws the generations of a rotation as a Mermaid chart: born, due, expires. It is empty if there is nothing
// to draw. Of foreign text only letters, digits and a few signs get in, and only where a line cannot be anything else.
func gantt(res rotate.Result) string {
	all, now := generations(res), res.Ended
	if len(all) == 0 || now.IsZero() {
		return ""
	}
	first, last := all[0].Created, now
	var b strings.Builder
	for _, g := range all {
		fmt.Fprintf(&b, "    section %s\n", plain(token(g.Token)))
		bar := func(text, tag string, from, to time.Time) {
			if to.Before(from) {
				to = from
			}
			if to.After(last) {
				last = to
			}
			fmt.Fprintf(&b, "    %s :%s, %s, %s\n", text, tag, minute(from), minute(to))
		}
		g.bars(now, bar)
	}
	axis := "%d %b"
	if last.Sub(first) > 300*rotate.Tick {
		axis = "%b %Y"
	}
	if last.Sub(first) < 4*rotate.Tick {
		axis = "%d %b %H h"
	}
	return "```mermaid\ngantt\n    dateFormat YYYY-MM-DD HH:mm\n    axisFormat " + axis + "\n" + b.String() + "```\n"
}

// bars draws one generation.
func (g generation) bars(now time.Time, bar func(text, tag string, from, to time.Time)) {
	ends := g.Expires
	expired := !ends.IsZero() && !ends.After(now)
	switch {
	case g.revoked:
		bar("revoked", "done", g.Created, now)
	case expired:
		bar("expired "+date(ends), "done", g.Created, ends)
	case g.held && !g.due.IsZero() && (ends.IsZero() || g.due.Before(ends)):
		bar("held, due "+date(g.due), "active", g.Created, g.due)
		switch {
		case !ends.IsZero():
			bar("spare time, expires "+date(ends), "crit", g.due, ends)
		case g.due.Before(now):
			bar("overdue, never expires", "crit", g.due, now)
		}
	case g.held && !ends.IsZero():
		bar("held, expires "+date(ends), "active", g.Created, ends)
	case g.held:
		bar("held, never expires", "active", g.Created, now)
	case !ends.IsZero():
		bar("superseded or unused, expires "+date(ends), "done", g.Created, ends)
	default:
		bar("superseded or unused, never expires", "done", g.Created, now)
	}
}

// minute prints a time in the chart's dateFormat.
func minute(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }

// plain reduces a name to what is no syntax of Mermaid.
func plain(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("-_./", c) {
			return c
		}
		return ' '
	}, text)), " ")
}
