package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/remint-dev/remint/internal/process"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file runs a program on this machine.

// over is what is known of a program when it is over.
type over struct {
	never   error  // it was not started; wraps a sentinel
	lost    error  // the way to it broke
	flood   error  // it printed too much
	exit    string // how it ended, if not well
	held    bool   // a process it left behind held its output
	printed []byte // on standard output
	said    string // on standard error
}

// clean reports whether the program's own word can be taken.
func (o over) clean() bool { return !o.held && o.lost == nil }

// start runs the program, wherever it is, until it is over.
func (p *Program) start(ctx context.Context, request []byte) over {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var o over
	var once sync.Once
	bound := func(what string) *bounded {
		return &bounded{left: MaxAnswer, full: func() {
			once.Do(func() {
				o.flood = fmt.Errorf("it printed more than %d MiB on standard %s and was killed", MaxAnswer>>20, what)
			})
			stop(nil)
		}}
	}
	out, errs := bound("output"), bound("error")
	if p.Remote() {
		p.inPod(ctx, request, out, errs, &o)
	} else {
		p.here(ctx, request, out, errs, &o)
	}
	once.Do(func() {}) // whoever still writes is too late
	o.printed, o.said = out.bytes(), string(errs.bytes())
	return o
}

// here runs the program on this machine.
func (p *Program) here(ctx context.Context, request []byte, out, errs io.Writer, o *over) {
	cmd := exec.CommandContext(ctx, p.Run[0], p.Run[1:]...) // #nosec G204 -- the program that the configuration names
	cmd.Dir, cmd.Env = p.Dir, p.environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), out, errs
	if p.OpenInput {
		input, feed, err := os.Pipe()
		if err != nil {
			o.never = fmt.Errorf("%w: nothing was run: %w", rotate.ErrTemporary, err)
			return
		}
		defer func() { _, _ = input.Close(), feed.Close() }()
		go func() { _, _ = feed.Write(request) }()
		cmd.Stdin = input
	}
	end := process.Group(cmd)
	err := cmd.Run()
	end()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.Is(err, exec.ErrWaitDelay):
		o.held = true
	case errors.As(err, &exit):
		o.exit = "it ended with " + exit.ProcessState.String()
	case cmd.Process == nil:
		o.never = fmt.Errorf("%w: the program cannot be run: %w", rotate.ErrConfig, err)
	case errors.Is(err, errFull), ctx.Err() != nil: // said otherwise
	default:
		o.lost = fmt.Errorf("the pipes to it broke: %w", err)
	}
}

var errFull = errors.New("too much output")

// bounded keeps what is written to it, up to a limit.
type bounded struct {
	mu   sync.Mutex
	text bytes.Buffer
	left int
	full func() // is called when there is more
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(p), b.left)
	b.text.Write(p[:n])
	if b.left -= n; n < len(p) {
		b.full()
		return n, errFull
	}
	return n, nil
}

func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}
