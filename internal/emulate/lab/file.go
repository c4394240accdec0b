package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/file"
)

// practice is a file sink that writes elsewhere. It keeps the name of the file it stands for; all optional
// interfaces are those of the sink.
type practice struct {
	*file.File
	name    string
	refused atomic.Bool
	gate    *gate // of the process that it belongs to, in a drill
}

func (p *practice) String() string { return p.name }

// Write implements [rotate.Sink].
func (p *practice) Write(ctx context.Context, c rotate.Credential) error {
	if p.refused.Load() {
		return &rotate.Error{Op: "write", At: p.name, Err: fmt.Errorf("%w: %w", rotate.ErrDenied, fs.ErrPermission)}
	}
	if p.gate != nil {
		return p.gate.work(p.name, func() error { return p.File.Write(ctx, c) })
	}
	return p.File.Write(ctx, c)
}

// fitFile lets a sink write a file in a temporary directory.
func (l *Lab) fitFile(s *file.File) (*sink, *practice, error) {
	p := &practice{File: s, name: s.String()}
	path, err := l.file(s.Path)
	if err != nil {
		return nil, nil, err
	}
	s.Path = path
	if s.Key != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, err
		}
		_, err = fmt.Fprintf(f, "%s=nothing-yet\n", s.Key)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, nil, err
		}
	}
	return &sink{
		look:   func() string { return contents(path, s.Key) },
		hold:   func(c rotate.Credential, _ bool) error { return write(twin(s), c) },
		refuse: func() { p.refused.Store(true) },
	}, p, nil
}

// file returns where a file of the user's is in the rehearsal.
func (l *Lab) file(path string) (string, error) {
	path = filepath.Clean(path)
	if at, ok := l.files[path]; ok {
		return at, nil
	}
	if l.dir == "" {
		dir, err := os.MkdirTemp("", "remint-rehearsal-")
		if err != nil {
			return "", fmt.Errorf("rehearse needs a temporary directory: %w", err)
		}
		l.dir = dir
	}
	at := filepath.Join(l.dir, fmt.Sprintf("%d-%s", len(l.files)+1, filepath.Base(path)))
	l.files[path] = at
	return at, nil
}

// contents reads a file, or one variable of a dotenv file.
func contents(path, key string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	text := string(b)
	if key == "" {
		return strings.TrimRight(text, "\r\n")
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if name == key {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
