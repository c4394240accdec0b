//go:build !unix

package process

import (
	"os/exec"
	"time"
)

// Group bounds the wait for a program's end; process groups are known on Unix only.
func Group(cmd *exec.Cmd) (end func()) {
	cmd.WaitDelay = Grace + time.Second
	return func() {}
}
