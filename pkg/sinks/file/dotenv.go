package file

import (
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file finds and replaces one value in a dotenv file. Readers of such files (shells, docker, systemd,
// a library for every language) do not agree on quoting, so:
//
//   - every byte that is not the value stays: other lines, comments, order, line ends, the prefix export;
//   - quotes stay as they are where the new value allows; where it does not, single quotes, which all but
//     docker understand, and never an escape, since those differ most;
//   - where readers would disagree on what the variable is (twice, inside or behind a value of several lines,
//     glued together from parts), the file is refused.

// assignment is where a variable's value is: its bytes with quotes, and what they mean.
type assignment struct {
	start, end int
	style      style
	loose      bool // unquoted, with blanks inside
	value      string
}

type style byte

const (
	bare   style = 0
	single style = '\''
	double style = '"'
)

// errNoKey says that no line assigns the variable.
var errNoKey = errors.New("no line sets the variable")

var assigns = pattern.New(`^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=([ \t]*)`)

// locate finds the assignment of key.
func locate(doc, key string) (assignment, error) {
	refuse := func(format string, args ...any) (assignment, error) {
		return assignment{}, fmt.Errorf("%w: "+format, append([]any{rotate.ErrConfig}, args...)...)
	}
	var found *assignment
	var open byte // the quote of a value of several lines
	continued := false
	for at := 0; at < len(doc); {
		end, next := len(doc), len(doc)
		if i := strings.IndexByte(doc[at:], '\n'); i >= 0 {
			end, next = at+i, at+i+1
		}
		line := strings.TrimSuffix(doc[at:end], "\r")
		begin, was := at, continued
		at = next
		continued = strings.HasSuffix(line, `\`) && !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#")

		m := assigns.FindStringSubmatchIndex(line)
		ours := m != nil && line[m[2]:m[3]] == key
		if ours && (open != 0 || was) {
			return refuse("a line that sets %s is part of the value before it for some readers", key)
		}
		if open != 0 {
			if closing(line, 0, open) >= 0 {
				open = 0
			}
			continue
		}
		if m == nil {
			continue
		}
		a := assignment{start: begin + m[1]}
		rest := line[m[1]:]
		switch {
		case strings.HasPrefix(rest, `'`), strings.HasPrefix(rest, `"`):
			a.style = style(rest[0])
			i := closing(rest, 1, rest[0])
			if i < 0 {
				if ours {
					return refuse("the value of %s has several lines or an open quote", key)
				}
				if closing(doc[next:], 0, rest[0]) >= 0 {
					open = rest[0]
				}
				continue
			}
			if !ours {
				continue
			}
			if tail := strings.TrimLeft(rest[i+1:], " \t"); tail != "" && (tail == rest[i+1:] || tail[0] != '#') {
				return refuse("something stands behind the quoted value of %s", key)
			}
			a.end = a.start + i + 1
			a.value = rest[1:i]
			if a.style == double {
				a.value = unescape.Replace(a.value)
			}
		default:
			if !ours {
				continue
			}
			if rest != "" && rest[0] == '#' {
				if m[4] == m[5] {
					return refuse("for some readers the value of %s is a comment; quote it", key)
				}
				rest = ""
				a.start = begin + m[4] // before the blanks, which the comment needs
			}
			if i := comment(rest); i >= 0 {
				rest = rest[:i]
			}
			a.value = strings.TrimRight(rest, " \t")
			if strings.ContainsAny(a.value, `'"`+"\\`$") {
				return refuse("the unquoted value of %s has quotes, backslashes or $, which readers take differently; quote it", key)
			}
			a.loose = strings.ContainsAny(a.value, " \t")
			a.end = a.start + len(a.value)
		}
		if found != nil {
			return refuse("%s is set twice; readers disagree on which one counts, remove one", key)
		}
		found = &a
	}
	if found == nil {
		return assignment{}, errNoKey
	}
	return *found, nil
}

// unescape undoes what double quotes of a shell allow to be escaped. We write no escapes ourselves.
var unescape = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`")

// closing returns where the quote closes, from an offset on; -1: nowhere. Only double quotes know escapes.
func closing(text string, from int, quote byte) int {
	for i := from; i < len(text); i++ {
		switch text[i] {
		case quote:
			return i
		case '\\':
			if quote == '"' {
				i++
			}
		}
	}
	return -1
}

// comment returns where a comment begins behind an unquoted value: at blanks before #.
func comment(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && (text[i-1] == ' ' || text[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// plain are texts that mean themselves, unquoted, for every reader.
var plain = pattern.New(`^[A-Za-z0-9_./:=,@%+-]+$`)

// quote writes a value in the given style, or the next that can hold it without an escape. loose allows
// blanks without quotes, where they were before.
func quote(value string, s style, loose bool) (string, error) {
	if s == bare && (plain.MatchString(value) || loose && !strings.ContainsAny(value, `'"#\$`+"`") && strings.TrimSpace(value) == value) {
		return value, nil
	}
	canSingle := !strings.Contains(value, `'`)
	canDouble := !strings.ContainsAny(value, `"\$`+"`")
	switch {
	case s == double && canDouble, !canSingle && canDouble:
		return `"` + value + `"`, nil
	case canSingle:
		return `'` + value + `'`, nil
	}
	return "", fmt.Errorf("%w: the credential has both ' and one of \" \\ $ `, which no form of a dotenv line can hold for every reader", rotate.ErrConfig)
}

// splice returns doc with value assigned to key. A line that is missing is added at the end if create is
// set, unless what is before it would swallow it.
func splice(doc, key, value string, create bool) (string, error) {
	got, err := put(doc, key, value, create)
	if err != nil {
		return "", err
	}
	if a, err := locate(got, key); err != nil || a.value != value {
		return "", fmt.Errorf("%w: a line that sets %s would not be read as one (a quote or backslash before it?)", rotate.ErrConfig, key)
	}
	return got, nil
}

func put(doc, key, value string, create bool) (string, error) {
	a, err := locate(doc, key)
	switch {
	case errors.Is(err, errNoKey) && create:
		text, err := quote(value, bare, false)
		if err != nil {
			return "", err
		}
		eol := "\n"
		if strings.Contains(doc, "\r\n") {
			eol = "\r\n"
		}
		if doc != "" && !strings.HasSuffix(doc, "\n") {
			doc += eol
		}
		return doc + key + "=" + text + eol, nil
	case err != nil:
		return "", err
	}
	if a.value == value {
		return doc, nil
	}
	text, err := quote(value, a.style, a.loose)
	if err != nil {
		return "", err
	}
	return doc[:a.start] + text + doc[a.end:], nil
}
