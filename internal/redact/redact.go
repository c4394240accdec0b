// Package redact keeps registered secrets out of text on its way to a log. It is the second line of
// defence: the first is that secrets sit in rotate.Secret and nobody prints them. Its rules:
//
//   - A secret is hidden in every form of [Forms]: as it is, and in the encodings in which tools print things.
//   - Not only a whole form is hidden, but every run of 12 or more bytes of one: a token that is cut short, or
//     split over two lines, is a token still. Forms of 8 to 11 bytes are hidden whole; shorter text is no secret.
//   - Everything else passes unchanged, byte for byte, and a line is written when it ends.
//   - What was written before a secret was registered cannot be taken back: register before first use.
package redact

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"sync"
)

const (
	least = 8  // bytes of the shortest text that is taken for a secret: hiding "main" or "1" would garble every line
	run   = 12 // bytes of a form that give it away
)

// masks are what can stand in place of a secret. The first is taken whose ends occur in no form, so that
// a mask and the text beside it never spell a secret.
var masks = []string{"[secret]", "***", "<secret>", "#secret#"}

// gram is a run of bytes of a form.
type gram struct {
	head uint64 // its first 8 bytes
	tail uint32 // the rest
}

// Set is a set of registered secrets. The zero value is empty and ready; it is safe for concurrent use.
// It must not be copied after first use.
type Set struct {
	mu     sync.RWMutex
	grams  map[gram]struct{}
	short  map[uint64][]string // forms too short for a gram, by their first 8 bytes
	filter []uint64            // bits by hash of the first 8 bytes: says "no" to most text without a look at the maps
	shift  uint                // of the hash, so that it fits the filter
	lines  bool                // a form spans lines
	used   [256]bool           // bytes that occur in a form
	mask   string
}

// Add registers a secret with all its [Forms]. Text shorter than 8 bytes is ignored.
func (s *Set) Add(text string) {
	forms := Forms(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grams == nil {
		s.grams, s.short = map[gram]struct{}{}, map[uint64][]string{}
	}
	for _, f := range forms {
		s.add(f)
	}
	s.mask = s.chooseMask()
}

func (s *Set) chooseMask() string {
	for _, m := range masks {
		if !s.used[m[0]] && !s.used[m[len(m)-1]] {
			return m
		}
	}
	for b := byte('~'); b > ' '; b-- {
		if !s.used[b] {
			return string([]byte{b, b, b})
		}
	}
	return "\uFFFD"
}

func (s *Set) add(form string) {
	for i := range len(form) {
		s.used[form[i]] = true
	}
	s.lines = s.lines || strings.Contains(form, "\n")
	if len(form) < run {
		head := binary.LittleEndian.Uint64([]byte(form[:8]))
		for _, f := range s.short[head] {
			if f == form {
				return
			}
		}
		s.short[head] = append(s.short[head], form)
		s.note(head)
		return
	}
	b := []byte(form)
	for i := 0; i+run <= len(b); i++ {
		g := gramAt(b[i:])
		if _, ok := s.grams[g]; !ok {
			s.grams[g] = struct{}{}
			s.note(g.head)
		}
	}
}

// note enters the first 8 bytes of something into the filter, which grows so that it stays mostly empty.
func (s *Set) note(head uint64) {
	if n := len(s.grams) + len(s.short); n*16 > len(s.filter)*64 {
		bits := uint(12)
		for n*32 > 1<<bits {
			bits++
		}
		s.filter, s.shift = make([]uint64, 1<<bits/64), 64-bits
		for g := range s.grams {
			s.set(g.head)
		}
		for h := range s.short {
			s.set(h)
		}
	}
	s.set(head)
}

func (s *Set) set(head uint64) {
	h := head * 0x9e3779b97f4a7c15 >> s.shift
	s.filter[h/64] |= 1 << (h % 64)
}

func gramAt(b []byte) gram {
	return gram{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:run])}
}

// may reports whether something may begin with head; it is quick, and wrong only by saying yes.
func (s *Set) may(head uint64) bool {
	h := head * 0x9e3779b97f4a7c15 >> s.shift
	return s.filter[h/64]&(1<<(h%64)) != 0
}

// matchAt returns how many bytes at the start of b, which begins with head, belong to a form; 0: none do.
func (s *Set) matchAt(head uint64, b []byte) int {
	if len(b) >= run {
		if _, ok := s.grams[gramAt(b)]; ok {
			return run
		}
	}
	n := 0
	for _, f := range s.short[head] {
		if len(f) > n && len(f) <= len(b) && string(b[:len(f)]) == f {
			n = len(f)
		}
	}
	return n
}

// cursor is how far a text was worked on: what lies ahead is not yet decided.
type cursor struct {
	hidden int  // bytes ahead that belong to a match seen already
	masked bool // the mask was the last thing written
}

// redact appends to dst what may be shown of src. Without final, it stops where more text could complete
// a match, and returns how much of src it used.
func (s *Set) redact(dst, src []byte, c *cursor, final bool) ([]byte, int) {
	end := len(src)
	if !final {
		end = max(len(src)-run+1, 0)
	}
	if len(s.filter) == 0 { // nothing registered
		return append(dst, src...), len(src)
	}
	from := 0 // of the text that is shown
	for i := range end {
		if i+least <= len(src) {
			if head := binary.LittleEndian.Uint64(src[i:]); s.may(head) {
				c.hidden = max(c.hidden, s.matchAt(head, src[i:]))
			}
		}
		if c.hidden == 0 {
			c.masked = false
			continue
		}
		dst = append(dst, src[from:i]...)
		if !c.masked {
			dst = append(dst, s.mask...)
		}
		c.hidden, c.masked, from = c.hidden-1, true, i+1
	}
	return append(dst, src[from:end]...), end
}

// String returns text with every registered secret hidden.
func (s *Set) String(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var c cursor
	out, _ := s.redact(make([]byte, 0, len(text)), []byte(text), &c, true)
	return string(out)
}

// Writer hides registered secrets in what passes through it, across the boundaries of writes. It is safe
// for concurrent use. Make one with [Set.Writer].
type Writer struct {
	set *Set
	mu  sync.Mutex
	to  io.Writer
	cursor
	held []byte // not decided yet: shorter than a run, unless a registered secret spans lines
}

// Writer returns a Writer that passes text on to w. The end of a text that does not end its line waits
// for more, until Flush or Close.
func (s *Set) Writer(w io.Writer) *Writer { return &Writer{set: s, to: w} }

// Write implements [io.Writer]. After an error of the writer below, what was held back is lost.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	if err := w.pass(false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was held back. A secret of which one part was written before and one after it is
// hidden only as far as each part is 12 bytes or longer.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(true)
}

// Close flushes. It does not close the writer below.
func (w *Writer) Close() error { return w.Flush() }

func (w *Writer) pass(final bool) error {
	w.set.mu.RLock()
	ends := 0 // what cannot be the beginning of a match any more
	switch {
	case final:
		ends = len(w.held)
	case !w.set.lines:
		ends = bytes.LastIndexByte(w.held, '\n') + 1
	}
	out, n := w.set.redact(nil, w.held[:ends], &w.cursor, true)
	out, more := w.set.redact(out, w.held[n:], &w.cursor, false)
	n += more
	w.set.mu.RUnlock()
	w.held = append(w.held[:0], w.held[n:]...)
	if len(out) == 0 {
		return nil
	}
	if _, err := w.to.Write(out); err != nil {
		w.held = w.held[:0]
		return err
	}
	return nil
}
