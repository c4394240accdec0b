package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/rotate"
)

// A message never repeats the value of a credential, nor more than maxQuoted runes of anything else.
const (
	maxQuoted   = 40
	maxProblems = 500 // a hostile configuration must not become a message larger than itself
)

// Problem is one thing wrong with a configuration, or one warning about it.
type Problem struct {
	Path         string // of the file; "inline" if there is none
	Line, Column int    // from 1, in characters
	Key          string // such as "rotations[0].provider.fly.expiry"; may be empty
	Message      string // one line; what is wrong and what to do
}

// String reads "remint.yaml:7:13: rotations[0].provider.fly.expirry: unknown key; did you mean expiry?".
func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", p.Path, p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.Path, p.Line, p.Column, p.Key, p.Message)
}

// Problems is the error of [Load]: all that is wrong, in the order of the text. It wraps
// [rotate.ErrConfig].
type Problems []Problem

// Error lists every problem on a line of its own.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns [rotate.ErrConfig].
func (ps Problems) Unwrap() error { return rotate.ErrConfig }

// notes collects problems or warnings. The same message at the same place counts once: a matrix and the
// defaults make the loader look at one place several times.
type notes struct {
	path string
	list []Problem
	seen map[note]int // → index in list
	more map[string]*again
}

type note struct {
	line, column int
	message      string
}

type again struct{ first, times int }

func (ns *notes) add(line, column int, key, message string) {
	n := note{max(line, 1), max(column, 1), message}
	if _, ok := ns.seen[n]; ok || ns.full() {
		return
	}
	if ns.seen == nil {
		ns.seen = map[note]int{}
	}
	ns.seen[n] = len(ns.list)
	ns.list = append(ns.list, Problem{ns.path, n.line, n.column, key, message})
}

func (ns *notes) full() bool { return len(ns.list) >= maxProblems }

// once adds a problem that many places share, such as a variable that is not set, at the first of them.
func (ns *notes) once(at *yaml.Node, key, message string) {
	if a := ns.more[message]; a != nil {
		if p := ns.list[a.first]; p.Line != at.Line || p.Column != at.Column {
			a.times++
		}
		return
	}
	before := len(ns.list)
	ns.add(at.Line, at.Column, key, message)
	if len(ns.list) > before {
		if ns.more == nil {
			ns.more = map[string]*again{}
		}
		ns.more[message] = &again{first: before}
	}
}

// sorted returns what was collected, in the order of the text.
func (ns *notes) sorted() []Problem {
	for _, a := range ns.more {
		switch {
		case a.times == 1:
			ns.list[a.first].Message += " (and at one other place)"
		case a.times > 1:
			ns.list[a.first].Message += fmt.Sprintf(" (and at %d other places)", a.times)
		}
	}
	ns.more = nil
	slices.SortStableFunc(ns.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ns.list
}

// quote makes a text from the configuration fit for a message.
func quote(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxQuoted {
			return fmt.Sprintf("%q…", text[:i])
		}
	}
	return fmt.Sprintf("%q", text)
}

// bare is quote without quotation marks for what looks like a name.
func bare(text string) string {
	if text == "" || len(text) > maxQuoted {
		return quote(text)
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) {
			return quote(text)
		}
	}
	return text
}

// meant ends a message about an unknown word with the known word that is nearest to it, or with all of them.
func meant(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; known: " + strings.Join(known, ", ")
}

// nearest returns the known word that a person probably meant, or "".
func nearest(word string, known []string) string {
	plain := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
	}
	if len(word) > maxQuoted {
		return ""
	}
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if plain(k) == plain(word) {
			return k
		}
		if d := edits(word, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// edits is the number of insertions, deletions, substitutions and swaps of neighbours between two words.
func edits(a, b string) int {
	var before []int // the row above the row above
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
