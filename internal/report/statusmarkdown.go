package report

import (
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// StatusMarkdown returns a status for the step summary. Rotations that are in order are folded if there are others.
func StatusMarkdown(all []Seen) string {
	var b strings.Builder
	b.WriteString("## remint status: " + StatusTally(all) + "\n\n")
	if len(all) > 1 {
		rows := [][]string{{"", "Rotation", "State", "Consumers hold", "Due"}}
		for _, s := range all {
			var held []string
			for _, h := range first(s.Status.Sinks) {
				held = append(held, holdingCode(h.Holds))
			}
			if len(held) > 3 {
				held = append(held[:3:3], "…")
			}
			rows = append(rows, []string{s.icon(), code(name(s.Status.Name)), markdown(s.headline()), strings.Join(held, ", "), due(s.Status.Next, s.Status.At)})
		}
		table(&b, rows)
	}
	for _, s := range all {
		s.markdown(&b, len(all) > 1)
	}
	return b.String()
}

func (s Seen) icon() string {
	return map[string]string{markUrgent: "🚨", markWrong: "❌", markUnsure: "⏳", markNext: "➡️", markDone: "✅"}[s.mark()]
}

func (s Seen) markdown(b *strings.Builder, others bool) {
	st := s.Status
	folded := others && s.mark() == markDone
	if folded {
		b.WriteString("<details><summary>" + s.icon() + " " + html(name(st.Name)) + ": " + html(s.headline()) + "</summary>\n\n")
	} else {
		b.WriteString("### " + s.icon() + " " + code(name(st.Name)) + ": " + markdown(s.headline()) + "\n\n")
	}
	list(b, "What went wrong", troubles(s.Err))
	list(b, "Act now", prose(st.Alarms...))
	if s.Err == nil {
		rows := [][]string{{"Where", "Holds", "Expires", "Verified"}}
		for _, h := range st.Sinks {
			holds := holdingCode(h.Holds)
			if h.Err != nil {
				if why := prose(h.Err.Error()); len(why) > 0 {
					holds += ": " + markdown(clean(why[0], 300))
				}
			}
			rows = append(rows, []string{code(name(h.Sink)), holds, expiry(h.Holds, st.At), verification(h)})
		}
		headed(b, "What consumers hold", rows)
		s.tokens(b)
		list(b, "What is to come", s.outlook())
		list(b, "A person is to do", prose(st.HandIn...))
		list(b, "Warnings", prose(st.Warnings...))
	}
	if folded {
		b.WriteString("</details>\n\n")
	}
}

func (s Seen) tokens(b *strings.Builder) {
	rows := [][]string{{"What", "Name", "ID", "Born (UTC)", "Expires", "Last used", "Then"}}
	others, namesakes := 0, 0
	for _, t := range s.Status.Tokens {
		if stranger(t) {
			if others++; t.Fate != "" {
				namesakes++
			}
			continue
		}
		what := markdown(classed(t))
		if t.Is(rotate.ClassCompromised) {
			what = "**" + what + "**"
		}
		rows = append(rows, []string{what, code(name(t.Name)), code(clean(t.ID, longestName)), born(t.Token), lives(t.Token, s.Status.At),
			used(t.Token, s.Status.At), markdown(clean(t.Fate, longestLine))})
	}
	b.WriteString("**What lives at " + code(name(s.Status.Provider)) + "**\n\n")
	if len(rows) > 1 {
		table(b, rows)
	}
	switch {
	case others > 0:
		b.WriteString(markdown(strangely(others, namesakes)) + ".\n\n")
	case len(rows) == 1:
		b.WriteString("No live token.\n\n")
	}
}
