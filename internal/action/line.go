package action

import (
	"strings"
	"unicode"
)

// Line prints text to the log, each of its lines on one of its own, so that no runner takes any of it for a
// command. Control characters become spaces and invisible ones go; indentation stays.
func (r *Runner) Line(text string) {
	r.print(strings.Join(lines(text), "\n") + "\n")
}

// lines splits a text at line breaks and makes every line safe to print. There is at least one.
func lines(text string) []string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range all {
		all[i] = neutral(line)
	}
	return all
}

// neutral makes one line safe to print. Commands are "::name …::" after leading space, and "##[name …]" anywhere in
// a line (actions/runner, ActionCommand.cs); both get a space that breaks them. Invisible format characters are
// dropped first: comparisons that follow a culture do not see them.
func neutral(line string) string {
	line = strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Cf, c):
			return -1
		case unicode.IsControl(c), c == '\u2028', c == '\u2029':
			return ' '
		}
		return c
	}, strings.ToValidUTF8(line, "\uFFFD"))
	line = strings.ReplaceAll(line, "##[", "## [")
	rest := strings.TrimLeftFunc(line, unicode.IsSpace)
	if strings.HasPrefix(rest, "::") {
		line = line[:len(line)-len(rest)] + ": :" + rest[2:]
	}
	return line
}
