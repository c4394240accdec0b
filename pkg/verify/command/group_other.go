//go:build !unix

package command

import (
	"os/exec"
	"time"
)

// group bounds the wait for a program's end; process groups are known on Unix only.
func group(cmd *exec.Cmd) (end func()) {
	cmd.WaitDelay = grace + time.Second
	return func() {}
}
