package report

import (
	"fmt"
	"strings"
)

// Escaping for Markdown as GitHub, Gitea and Forgejo render it. Character references stand for themselves wherever
// they are put, table cells and headings included, and no reader takes them for markup; a backslash would not do, since
// tables and code read it each in its own way.

// markdown escapes prose. What is a plain web address stays one that can be clicked.
func markdown(text string) string {
	var b strings.Builder
	for i, word := range strings.Split(text, " ") {
		if i > 0 {
			b.WriteByte(' ')
		}
		if link := strings.TrimRight(word, ".,:?"); address(link) {
			b.WriteString("<" + link + ">" + word[len(link):])
			continue
		}
		escape(&b, word, i == 0)
	}
	return b.String()
}

// code shows a name or an identifier. Text between backticks is taken as it is, but for bars in a table.
func code(text string) string {
	if text == "" {
		return ""
	}
	if !strings.ContainsAny(text, "`|\\<>&$") {
		return "`" + text + "`"
	}
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune(marked+"_:", c) {
			reference(&b, c)
		} else {
			b.WriteRune(c)
		}
	}
	return "<code>" + b.String() + "</code>"
}

// marked are the characters that mean something to Markdown wherever they stand.
const marked = "\\`*[]<>&|~$#"

func escape(b *strings.Builder, word string, first bool) {
	runes := []rune(word)
	for i, c := range runes {
		switch {
		case strings.ContainsRune(marked, c),
			c == '_' && (i == 0 || i == len(runes)-1 || !alphanumeric(runes[i-1]) || !alphanumeric(runes[i+1])),
			first && i == 0 && begins(word):
			reference(b, c)
		default:
			b.WriteRune(c)
		}
	}
}

// begins reports whether a word at the beginning of a line would begin a list or a rule.
func begins(word string) bool {
	return strings.ContainsRune("-+=", rune(word[0])) || strings.Trim(word, "0123456789") == "." || strings.Trim(word, "0123456789") == ")"
}

func reference(b *strings.Builder, c rune) { fmt.Fprintf(b, "&#%d;", c) }

func alphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// address reports whether a word is a web address and nothing else, of characters that need no escaping.
func address(word string) bool {
	rest, ok := strings.CutPrefix(word, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(word, "http://")
	}
	return ok && rest != "" && alphanumeric(rune(rest[0])) && !strings.ContainsFunc(rest, func(c rune) bool {
		return !alphanumeric(c) && !strings.ContainsRune("-._~:/?=%+,", c)
	})
}
