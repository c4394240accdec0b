//go:build unix

package command

import (
	"os/exec"
	"syscall"
	"time"
)

// group puts the program into a process group of its own, and makes the end of its context end the group:
// SIGTERM first, SIGKILL when the grace is over. The function it returns kills what the program left behind.
func group(cmd *exec.Cmd) (end func()) {
	var kill *time.Timer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		pid := cmd.Process.Pid
		kill = time.AfterFunc(grace, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		return syscall.Kill(-pid, syscall.SIGTERM)
	}
	cmd.WaitDelay = grace + time.Second
	return func() { // after Wait, which waits for Cancel
		if kill != nil {
			kill.Stop()
		}
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
}
