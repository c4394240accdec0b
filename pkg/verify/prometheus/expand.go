package prometheus

import (
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file puts what is known of a token into a query. PromQL has no parameters, so a value that could end the quotes
// it stands in is refused; where it stands is scan's concern (selectors.go).

var placeholder = pattern.New(`\$\{token\.[^}]*\}?`)

// expand replaces ${token.…} in a query.
func expand(query string, t rotate.Token) (string, error) {
	for _, p := range placeholder.FindAllString(query, -1) {
		value, err := t.Expand(p)
		if err != nil {
			return "", err
		}
		if strings.ContainsFunc(value, unsafe) {
			return "", fmt.Errorf("%w: %s holds a quote, a backslash or a control character, which no query may", rotate.ErrConfig, p)
		}
	}
	return t.Expand(query)
}

// unsafe reports whether a rune could end a string literal of PromQL or mean something else within it.
func unsafe(r rune) bool {
	return strings.ContainsRune("\"'`\\", r) || r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}
