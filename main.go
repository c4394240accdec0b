// Command remint rotates API tokens without a gap: it mints a successor, proves it, writes it to every
// sink, verifies by use that consumers took it up, and only then revokes what it replaced.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/remint-dev/remint/internal/cli"
)

func main() {
	// The host sends SIGINT, then SIGTERM, then kills, all within about ten seconds: the first one counts.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, cli.Process{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(code)
}
