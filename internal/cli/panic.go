package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
)

// A panic that nobody catches is printed by the runtime itself, past the redactor, with the text of whatever was thrown.
// So what runs the code of adapters catches it. The next run is the recovery, as after any other end.

// errInternal is the error of what panicked.
var errInternal = errors.New("internal error, please report it")

// rescue turns a panic into an error, and prints where it came from. It is to be deferred.
func (c *command) rescue(err *error) {
	p := recover()
	if p == nil {
		return
	}
	*err = fmt.Errorf("%w: %s", errInternal, httpx.Clean(fmt.Sprint(p), 300))
	for line := range strings.Lines(string(debug.Stack())) {
		line = strings.TrimRight(line, "\n")
		if c.runner.Present() {
			c.runner.Line(line)
			continue
		}
		fmt.Fprintln(c.err, line)
	}
}

// guarded is main, whatever it runs into.
func (c *command) guarded(ctx context.Context, args []string) (code int) {
	err := func() (err error) {
		defer c.rescue(&err)
		code = c.main(ctx, args)
		return nil
	}()
	if err == nil {
		return code
	}
	c.misused(err)
	if c.owed {
		return c.outputs(nil, Failed)
	}
	return Failed
}
