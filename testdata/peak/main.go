// Command peak runs a program and prints the peak of its memory, in KiB, on standard error.
//
// Linux counts towards a process what was in memory when it was forked, which is that of its parent. A test binary is
// large; this program is small.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, usage.Maxrss)
}
