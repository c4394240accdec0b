package rotate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Expand replaces what a text says of the token: ${token.id}, ${token.name}, ${token.created} and
// ${token.expires} (RFC 3339, UTC), ${token.created.unix} and ${token.expires.unix} (seconds). It fails with
// [ErrConfig] on any other name that begins with "token.", and with [ErrUnproven] on what is not known of this token.
func (t Token) Expand(text string) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${token.")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		b.WriteString(text[:i])
		name, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			return "", fmt.Errorf("%w: ${ without } in %q", ErrConfig, text[i:])
		}
		value, known := t.word(name)
		switch {
		case !known:
			return "", fmt.Errorf("%w: unknown ${%s}; known: ${token.id}, ${token.name}, ${token.created}, ${token.created.unix}, ${token.expires}, ${token.expires.unix}", ErrConfig, name)
		case value == "":
			return "", fmt.Errorf("%w: ${%s} of the token %q is not known", ErrUnproven, name, t.Name)
		}
		b.WriteString(value)
		text = rest
	}
}

// word is what one name stands for; "" if that is not known.
func (t Token) word(name string) (value string, known bool) {
	date := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(time.RFC3339)
	}
	unix := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return strconv.FormatInt(at.Unix(), 10)
	}
	switch name {
	case "token.id":
		return t.ID, true
	case "token.name":
		return t.Name, true
	case "token.created":
		return date(t.Created), true
	case "token.created.unix":
		return unix(t.Created), true
	case "token.expires":
		return date(t.Expires), true
	case "token.expires.unix":
		return unix(t.Expires), true
	}
	return "", false
}
