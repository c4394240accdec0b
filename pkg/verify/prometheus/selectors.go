package prometheus

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file finds what a query reads. It is no parser of PromQL, which is the server's: it splits the text into words
// as PromQL's own lexer does and picks out the selectors with their windows and offsets. What cannot be told apart, or
// reads at other moments than the query's own (subqueries, @), is refused, so that no selector is overlooked.

// selector is one place of a query that reads samples.
type selector struct {
	text   string        // as written, with its offset, without its window
	name   string        // of the metric; "" if only labels select
	window time.Duration // 0: an instant selector
	offset time.Duration // of a window; an instant selector has it in its text
}

// reach is how far before the query's moment the samples may lie; for an instant selector no more than its offset,
// since the age of its samples can be asked.
func (s selector) reach() time.Duration { return s.window + s.offset }

// reachOf is the longest reach.
func reachOf(all []selector) time.Duration {
	var reach time.Duration
	for _, s := range all {
		reach = max(reach, s.reach())
	}
	return reach
}

// words of PromQL that are no metric. They are recognised in any case.
var (
	grouping = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	keywords = append([]string{"and", "or", "unless", "atan2", "bool", "inf", "nan", "offset"}, grouping...)
)

// scanner walks over a query. It works on bytes: whatever is not ASCII stands in strings and comments only.
type scanner struct {
	text string
	at   int
}

// scan returns the selectors of a query, at least one.
func scan(query string) ([]selector, error) {
	s := &scanner{text: query}
	var found []selector
	for s.space(); s.at < len(s.text); s.space() {
		sel, err := s.step()
		if err != nil {
			return nil, err
		}
		if sel != nil {
			found = append(found, *sel)
		}
	}
	if len(found) == 0 {
		return nil, refuse("reads no metric, so it shows nothing")
	}
	return found, nil
}

// step reads one word, and the selector that begins there.
func (s *scanner) step() (*selector, error) {
	switch c := s.text[s.at]; {
	case c == '{':
		return s.selector(s.at, "")
	case letter(c):
		return s.named()
	case c == '"' || c == '\'' || c == '`':
		_, err := s.quoted()
		return nil, err
	case c >= '0' && c <= '9' || c == '.':
		for s.at < len(s.text) && (letter(s.text[s.at]) || digit(s.text[s.at]) || s.text[s.at] == '.') {
			s.at++
		}
	case c == '$':
		p := placeholder.FindString(s.text[s.at:])
		if p == "" || !strings.HasPrefix(s.text[s.at:], p) || !strings.HasSuffix(p, ".unix}") {
			return nil, refuse("${token.…} stands between quotes, but for those that end in .unix")
		}
		s.at += len(p)
	case c == '[':
		return nil, refuse("a subquery reads at moments before the verification; leave it out and give for")
	case c == '@':
		return nil, refuse("@ reads at another moment than after the rollout")
	case strings.IndexByte("()+-*/%^=!<>~,", c) >= 0:
		s.at++
	default:
		return nil, refuse("%q at byte %d is not PromQL", rune(c), s.at)
	}
	return nil, nil
}

// named reads a word: a function, a keyword with its labels, or the name of a metric.
func (s *scanner) named() (*selector, error) {
	start := s.at
	word := s.word()
	end := s.at
	s.space()
	next := byte(0)
	if s.at < len(s.text) {
		next = s.text[s.at]
	}
	lower := strings.ToLower(word)
	switch {
	case next == '(' && slices.Contains(grouping, lower):
		return nil, s.labels()
	case next == '(' && strings.HasPrefix(lower, "absent"):
		return nil, refuse("%s() holds when nothing is scraped at all, so it shows nothing", word)
	case next == '(':
		return nil, nil
	case next != '{' && lower == "offset":
		return nil, refuse("an offset belongs to a selector")
	case next != '{' && slices.Contains(keywords, lower):
		return nil, nil
	case s.follows("by"), s.follows("without"):
		return nil, nil // an aggregation such as sum by (pod) (…)
	}
	s.at = end
	return s.selector(start, word)
}

// follows reports whether the next word is this one.
func (s *scanner) follows(word string) bool {
	peek := *s
	return strings.EqualFold(peek.word(), word)
}

// labels skips a list of labels in parentheses.
func (s *scanner) labels() error {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"', '\'', '`':
			if _, err := s.quoted(); err != nil {
				return err
			}
		case ')':
			s.at++
			return nil
		case '$':
			return refuse("${token.…} stands between quotes, but for those that end in .unix")
		default:
			s.at++
		}
	}
	return refuse("a parenthesis is not closed")
}

// selector reads the rest of a selector that began at start: its labels, window and offset.
func (s *scanner) selector(start int, name string) (*selector, error) {
	sel := &selector{name: name}
	if s.space(); s.next('{') {
		if err := s.matchers(); err != nil {
			return nil, err
		}
	} else {
		s.at = start + len(name)
	}
	end := s.at
	if s.space(); s.next('[') {
		length, rest, err := s.window()
		if err != nil {
			return nil, err
		}
		sel.window, s.at = length, rest
		s.space()
	}
	if s.follows("offset") {
		s.word()
		offset, err := s.offset()
		if err != nil {
			return nil, err
		}
		if sel.offset = max(offset, 0); sel.window == 0 {
			end = s.at
		}
		s.space()
	}
	if s.next('@') {
		return nil, refuse("@ reads at another moment than after the rollout")
	}
	sel.text = s.text[start:end]
	return sel, nil
}

// matchers skips {…}. A regular expression must not hold a placeholder: its value would be read as one.
func (s *scanner) matchers() error {
	pattern := false
	for s.at++; s.at < len(s.text); {
		switch c := s.text[s.at]; c {
		case '"', '\'', '`':
			text, err := s.quoted()
			if err != nil {
				return err
			}
			if pattern && strings.Contains(text, "${") {
				return refuse("${token.…} in a regular expression would be read as one; match with = instead of =~")
			}
			pattern = false
		case '~':
			pattern = true
			s.at++
		case '#':
			s.space()
		case '}':
			s.at++
			return nil
		case '$':
			return refuse("${token.…} stands between quotes, but for those that end in .unix")
		default:
			s.at++
		}
	}
	return refuse("a { is not closed")
}

// window reads [5m] and returns where it ends.
func (s *scanner) window() (length time.Duration, end int, err error) {
	n := strings.IndexByte(s.text[s.at:], ']')
	if n < 0 {
		return 0, 0, refuse("a [ is not closed")
	}
	text := strings.TrimSpace(s.text[s.at+1 : s.at+n])
	if strings.Contains(text, ":") {
		return 0, 0, refuse("a subquery reads at moments before the verification; leave it out and give for")
	}
	length, ok := span(text)
	if !ok || length <= 0 {
		return 0, 0, refuse("%q is not the length of a window, such as 5m", text)
	}
	return length, s.at + n + 1, nil
}

// offset reads the duration after offset.
func (s *scanner) offset() (time.Duration, error) {
	s.space()
	sign := time.Duration(1)
	if s.next('-') {
		sign = -1
		s.at++
		s.space()
	}
	start := s.at
	for s.at < len(s.text) && (letter(s.text[s.at]) || digit(s.text[s.at])) {
		s.at++
	}
	d, ok := span(s.text[start:s.at])
	if !ok {
		return 0, refuse("%q is not an offset, such as 5m", s.text[start:s.at])
	}
	return sign * d, nil
}

// quoted reads a string literal and returns what is between its quotes, escapes as they are.
func (s *scanner) quoted() (string, error) {
	quote := s.text[s.at]
	start := s.at + 1
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == quote:
			s.at++
			return s.text[start : s.at-1], nil
		case c == '\\' && quote != '`':
			s.at++
		case c == '\n' && quote != '`':
			return "", refuse("a quote is not closed")
		}
	}
	return "", refuse("a quote is not closed")
}

// word reads an identifier; "" if there is none.
func (s *scanner) word() string {
	start := s.at
	for s.at < len(s.text) && (letter(s.text[s.at]) || s.at > start && digit(s.text[s.at])) {
		s.at++
	}
	return s.text[start:s.at]
}

// space skips white space and comments.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '#':
			if n := strings.IndexByte(s.text[s.at:], '\n'); n >= 0 {
				s.at += n
			} else {
				s.at = len(s.text)
			}
		default:
			return
		}
	}
}

func (s *scanner) next(c byte) bool { return s.at < len(s.text) && s.text[s.at] == c }

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// span reads a duration of PromQL: 1h30m, units from large to small, or a whole number of seconds.
func span(text string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	const day = 24 * time.Hour
	units := []struct {
		name string
		unit time.Duration
	}{{"y", 365 * day}, {"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
	var total time.Duration
	for text != "" {
		n := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
		if n <= 0 {
			return 0, false
		}
		count, err := strconv.ParseUint(text[:n], 10, 32)
		if err != nil {
			return 0, false
		}
		text = text[n:]
		m := strings.IndexFunc(text, func(r rune) bool { return r >= '0' && r <= '9' })
		if m < 0 {
			m = len(text)
		}
		u := -1
		for i := range units {
			if units[i].name == text[:m] {
				u = i
			}
		}
		if u < 0 || count > 0 && units[u].unit > (1<<62)/time.Duration(count) {
			return 0, false
		}
		total += time.Duration(count) * units[u].unit
		if total < 0 {
			return 0, false
		}
		units, text = units[u+1:], text[m:]
	}
	return total, total > 0
}

// refuse says what is wrong with a query.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", rotate.ErrConfig, fmt.Sprintf(format, args...))
}
