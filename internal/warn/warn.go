// Package warn keeps what an adapter has to say that is no error, until its caller asks. Its rule: in the life of an
// adapter each text is said once, however often it comes up.
package warn

import (
	"fmt"
	"slices"
	"sync"
)

// List is the warnings of one adapter. The zero value is ready; it is safe for concurrent use. A text does not begin
// with the adapter's name: who asks knows it.
type List struct {
	mu   sync.Mutex
	said []string // all texts ever, in order
	told int      // how many of them Take has returned
}

// Add says something, unless it was said before.
func (l *List) Add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.said, text) {
		l.said = append(l.said, text)
	}
}

// Take returns what came up since it was last called; nil: nothing.
func (l *List) Take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := append([]string(nil), l.said[l.told:]...)
	l.told = len(l.said)
	return fresh
}
