//go:build unix

package process

import (
	"os/exec"
	"syscall"
	"time"
)

// Group puts the program into a process group of its own, and makes the end of its context end the group:
// SIGTERM first, SIGKILL when [Grace] is over. The function it returns kills what the program left behind; call it after
// Wait.
func Group(cmd *exec.Cmd) (end func()) {
	var kill *time.Timer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		pid := cmd.Process.Pid
		kill = time.AfterFunc(Grace, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		return syscall.Kill(-pid, syscall.SIGTERM)
	}
	cmd.WaitDelay = Grace + time.Second
	return func() { // after Wait, which waits for Cancel
		if kill != nil {
			kill.Stop()
		}
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
}
