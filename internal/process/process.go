// Package process starts programs of the user's. Its rules: no shell; a process group of its own, which is gone when the
// program is over; and what it prints is kept short and made fit for a message.
package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Grace is the time between SIGTERM and SIGKILL; a cancelled job has about ten seconds in all.
const Grace = 3 * time.Second

// Keep is how many bytes of a program's output, the last ones, go into a message.
const Keep = 1500

var variable = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// IsVariable reports whether a text can be the name of an environment variable.
func IsVariable(name string) bool { return variable.MatchString(name) }

// Find makes sure that there is such a program, and its working directory ("": our own). The error wraps
// [rotate.ErrConfig].
func Find(name, dir string) error {
	if dir != "" {
		if at, err := os.Stat(dir); err != nil || !at.IsDir() {
			return fmt.Errorf("%w: there is no directory %s", rotate.ErrConfig, dir)
		}
	}
	if filepath.Base(name) != name && !filepath.IsAbs(name) {
		at, err := filepath.Abs(filepath.Join(dir, name)) // as exec.Cmd resolves it
		if err != nil {
			return fmt.Errorf("%w: %s: %w", rotate.ErrConfig, name, err)
		}
		name = at
	}
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%w: the program cannot be run: %w", rotate.ErrConfig, err)
	}
	return nil
}

// Tail keeps the last [Keep] bytes written to it.
type Tail struct {
	text []byte
	cut  bool
}

// Write implements [io.Writer].
func (t *Tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - Keep; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
		t.cut = true
	}
	return len(p), nil
}

// Last returns the last lines as one, fit for a message.
func (t *Tail) Last() string {
	text, before := t.text, ""
	if t.cut {
		before = "… "
		if _, rest, ok := bytes.Cut(text, []byte("\n")); ok && len(rest) > 0 {
			text = rest
		}
	}
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	if said := httpx.Clean(strings.Join(lines, " | "), 3*Keep); said != "" {
		return before + said
	}
	return ""
}
