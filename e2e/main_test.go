//go:build e2e

// Package e2e drives the real remint against servers that others wrote: a real Gitea with its real runner, docker for
// the container action, a real Kubernetes API and a real Prometheus. Fly.io, Fastly and AWS are emulated, on sockets of
// this machine. The rules of its tests:
//
//   - A Gitea that is missing is a failure. Only the tests against Kubernetes are skipped, where REMINT_KUBE_SERVER is not
//     set.
//   - Every test makes its own user, organisation and repositories under random names, and removes them.
//   - Every wait is bounded, and a wait that ran out shows the end of the log that would tell why.
//   - No secret stands in an argument of a process or in a file of a repository.
//   - What is claimed is seen from the outside: by which token the deploy called Fly.io, what Fly.io accepts, what the
//     runner logged.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// server are the coordinates that forge/forge.sh prints.
type server struct {
	base, api, token string // of the site's admin
	docker           string // DOCKER_HOST of the daemon that the runner uses
}

// What TestMain finds or makes, once, before any test.
var (
	forge  server
	remint string // path of the binary under test

	absent []string // variables of the forge that are not set
)

// needForge fails a test that has no Gitea to run against.
func needForge(t *testing.T) {
	t.Helper()
	if len(absent) > 0 {
		t.Fatalf("not set: %s; start the servers with forge/forge.sh and export what it prints (README.md)", strings.Join(absent, ", "))
	}
}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	for name, to := range map[string]*string{"BASE_URL": &forge.base, "API_URL": &forge.api, "ADMIN_TOKEN": &forge.token, "DOCKER_HOST": &forge.docker} {
		if *to = os.Getenv(name); *to == "" {
			absent = append(absent, name)
		}
	}
	dir, err := os.MkdirTemp("", "remint-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	remint = filepath.Join(dir, "remint")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", remint, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: go build: %v\n%s", err, out)
		return 1
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the runner's jobs read the binary
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	return m.Run()
}
