package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Markdown returns the step summary: an overview, and for each rotation what it means, what is left to do, what
// consumers hold, the steps, and a timeline. Rotations with nothing to do are folded if there are others.
func Markdown(results []Entry) string {
	var b strings.Builder
	b.WriteString("## remint: " + tally(results) + "\n\n")
	if len(results) == 0 {
		return b.String()
	}
	if len(results) > 1 {
		overview(&b, results)
	}
	for _, e := range results {
		e.markdown(&b, len(results) > 1)
	}
	return b.String()
}

// tally counts outcomes, the worst first: "1 failed, 2 rotated".
func tally(results []Entry) string {
	type group struct {
		what string
		rank int
		n    int
	}
	var groups []group
	for _, e := range results {
		what := e.outcome()
		switch {
		case e.urgent():
			what = "in need of a person"
		case e.Result.Outcome == rotate.Idle:
			what = "with " + what
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.what == what })
		if i < 0 {
			rank := -e.status()*10 + slices.Index([]rotate.Outcome{rotate.Rotated, rotate.Retired, rotate.Waiting, rotate.Idle}, e.Result.Outcome)
			groups = append(groups, group{what, rank, 0})
			i = len(groups) - 1
		}
		groups[i].n++
	}
	if len(results) == 1 {
		return results[0].outcome()
	}
	slices.SortStableFunc(groups, func(a, b group) int { return a.rank - b.rank })
	parts := make([]string, len(groups))
	for i, g := range groups {
		parts[i] = fmt.Sprintf("%d %s", g.n, g.what)
	}
	if len(parts) == 0 {
		return "no rotations"
	}
	return strings.Join(parts, ", ")
}

func overview(b *strings.Builder, results []Entry) {
	rows := [][]string{{"", "Rotation", "Outcome", "Consumers hold", "Due"}}
	for _, e := range results {
		var held []string
		for _, h := range e.Result.Sinks {
			if text := holdingCode(h); !slices.Contains(held, text) {
				held = append(held, text)
			}
		}
		if len(held) > 3 {
			held = append(held[:3:3], fmt.Sprintf("… and %d more", len(held)-3))
		}
		rows = append(rows, []string{e.icon(), code(name(e.Result.Name)), markdown(e.outcome()), strings.Join(held, ", "), due(e.Result.Next, e.Result.Ended)})
	}
	table(b, rows)
}

func (e Entry) icon() string {
	switch e.status() {
	case Urgent:
		return "🚨"
	case Unwell:
		switch e.Result.Outcome {
		case rotate.OnHold:
			return "⏸️"
		case rotate.Restored:
			return "↩️"
		}
		return "❌"
	}
	switch e.Result.Outcome {
	case rotate.Idle:
		return "➖"
	case rotate.Waiting:
		return "⏳"
	}
	return "✅"
}

func (e Entry) markdown(b *strings.Builder, others bool) {
	res := e.Result
	folded := others && e.status() == Fine && (res.Outcome == rotate.Idle || res.Outcome == rotate.Waiting)
	if folded {
		fmt.Fprintf(b, "<details><summary>%s %s: %s</summary>\n\n", e.icon(), html(name(res.Name)), html(e.outcome()))
	} else {
		fmt.Fprintf(b, "### %s %s: %s\n\n", e.icon(), code(name(res.Name)), markdown(e.outcome()))
	}
	if e.urgent() {
		b.WriteString("> [!CAUTION]\n> ")
	}
	b.WriteString(markdown(e.verdict()))
	if next := nextDue(res.Next, res.Ended); next != "" {
		b.WriteString(" **" + next + ".**")
	}
	b.WriteString("\n\n")
	list(b, strings.ToUpper(e.why()[:1])+e.why()[1:], troubles(e.Err))
	list(b, "What is left to do", e.left())
	if len(res.HandIn) > 0 {
		b.WriteString("**How to make the token that is to be handed in**\n\n")
		for i, line := range prose(res.HandIn...) {
			fmt.Fprintf(b, "%d. %s\n", i+1, markdown(line))
		}
		b.WriteString("\n")
	}
	sinks(b, res.Sinks, res.Ended)
	steps(b, res)
	list(b, "Why it was due", prose(res.Reasons...))
	kept(b, res.Kept)
	list(b, "Warnings", prose(res.Warnings...))
	if chart := gantt(res); chart != "" {
		b.WriteString("**Generations**\n\n" + chart + "\n")
	}
	if folded {
		b.WriteString("</details>\n\n")
	}
}

func list(b *strings.Builder, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	b.WriteString("**" + heading + "**\n\n")
	for _, line := range lines {
		b.WriteString("- " + markdown(line) + "\n")
	}
	b.WriteString("\n")
}

func sinks(b *strings.Builder, all []rotate.Holds, now time.Time) {
	rows := [][]string{{"Where", "Holds", "Expires", "Verified"}}
	for _, h := range all {
		rows = append(rows, []string{code(name(h.Sink)), holdingCode(h), expiry(h, now), also(h.Verified, "✓")})
	}
	headed(b, "What consumers hold now", rows)
}

// holdingCode is holding, with the token's name set as one if that is all.
func holdingCode(h rotate.Holds) string {
	if h.State == stateHolds {
		return code(holding(h))
	}
	return markdown(holding(h))
}

func steps(b *strings.Builder, res rotate.Result) {
	rows := [][]string{{"Step", "What", "Took", "Result"}}
	for _, s := range res.Steps {
		what := code(name(s.At))
		if about := about(s.Step); about != "" {
			what += " " + markdown(about)
		}
		how := markDone
		switch s.Result {
		case rotate.Done:
		case rotate.Unsure:
			how = "⏸️ " + rotate.Unsure
		default:
			how = "❌ " + markdown(clean(s.Result, longestName))
		}
		if why := stepTrouble(s); len(why) > 0 && s.Result != rotate.Done {
			how += ": " + markdown(clean(why[0], 300)) + also(len(why) > 1, fmt.Sprintf(" (and %d more)", len(why)-1))
		}
		rows = append(rows, []string{markdown(clean(string(s.Do), longestName)), what, took(s.Took), how})
	}
	headed(b, "Steps", rows)
}

func kept(b *strings.Builder, all []rotate.Kept) {
	rows := [][]string{{"Token", "Why"}}
	for _, k := range all {
		rows = append(rows, []string{code(token(k.Token)), markdown(clean(k.Why, longestLine))})
	}
	headed(b, "Superseded, but alive", rows)
}

func headed(b *strings.Builder, heading string, rows [][]string) {
	if len(rows) > 1 {
		b.WriteString("**" + heading + "**\n\n")
		table(b, rows)
	}
}

// table writes rows of escaped cells; the first is the head.
func table(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			for _, head := range row {
				b.WriteString(map[bool]string{false: "| --- ", true: "| --: "}[head == "Took"])
			}
			b.WriteString("|\n")
		}
	}
	b.WriteString("\n")
}

// html escapes text for an HTML block, which Markdown does not look into.
func html(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(text)
}
