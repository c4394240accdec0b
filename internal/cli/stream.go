package cli

import (
	"errors"
	"io"
	"sync"

	"github.com/remint-dev/remint/internal/redact"
)

// stream is standard output or standard error. Text passes the redactor. The commands that tell a runner what to
// hide cannot: they have to name the secret, and each has to begin a line, or the runner would print it instead.
type stream struct {
	mu   sync.Mutex
	text *redact.Writer // to raw
	raw  *tail
}

func newStream(set *redact.Set, w io.Writer) *stream {
	raw := &tail{to: w}
	return &stream{text: set.Writer(raw), raw: raw}
}

// Write implements [io.Writer].
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// Close writes what the redactor held back, and returns the first error that any write met.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.text.Close(), s.raw.err)
}

// masks is a stream without its redactor.
type masks struct{ *stream }

// Write implements [io.Writer].
func (m masks) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.text.Flush(); err != nil {
		return 0, err
	}
	if m.raw.midline {
		if _, err := m.raw.Write([]byte("\n")); err != nil {
			return 0, err
		}
	}
	return m.raw.Write(p)
}

// tail remembers how a stream ended so far.
type tail struct {
	to      io.Writer
	midline bool
	err     error // the first
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	n, err := t.to.Write(p)
	if n > 0 {
		t.midline = p[n-1] != '\n'
	}
	if t.err == nil {
		t.err = err
	}
	return n, err
}
