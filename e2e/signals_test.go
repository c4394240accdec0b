//go:build e2e

package e2e

// The binary is told to stop as runners do it: a signal, and the end about ten seconds later. What it leaves must harm
// nobody, and the next run must put it right.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/forgejo"
)

const (
	gone     = 8 * time.Second // how long the process may take to end after the signal
	forever  = time.Minute     // longer than that
	whole    = time.Minute     // how long it may take at all
	holder   = "acme/web"      // the repository whose secret is rotated
	secret   = "FLY_DEPLOY_TOKEN"
	lateness = time.Second // of a service that goes on although nobody waits for its answer
	giteaKey = "an-access-token-of-alice"
)

// act is what happens when a request comes in: the first to match after those of the acts before it.
type act struct {
	match  string // part of "POST /path body"
	before bool   // the signal is sent before the service does its work
	after  bool   // or after that, before it answers
	late   time.Duration
	hang   time.Duration // wait, before the work (late) and before the answer (hang), unless the client gives up
}

// stage is a rotation of one secret on an emulated Gitea, on real sockets.
type stage struct {
	t      *testing.T
	fly    *flyio
	gitea  *forgejo.Server
	config string
	env    []string
	sends  []syscall.Signal

	mu      sync.Mutex
	acts    []act
	process *os.Process
	sent    time.Time // when the signal was
}

func newStage(t *testing.T, acts []act, sends ...syscall.Signal) *stage {
	s := &stage{t: t, fly: newFly(t), gitea: forgejo.New(forgejo.Gitea), acts: acts, sends: sends}
	_, old := s.fly.byHand("by hand")
	s.gitea.AddOrg("acme", "alice")
	s.gitea.AddToken("alice", giteaKey, "write:repository")
	s.gitea.AddRepository(holder)
	s.gitea.AddWorkflow(holder, "deploy.yml", forgejo.Workflow{})
	s.gitea.SetSecret(holder, secret, old, "")
	s.gitea.OnRun = func(r forgejo.Run) bool { return s.fly.Live(r.Secrets[secret]) }

	dir := t.TempDir()
	s.config = filepath.Join(dir, "remint.yaml")
	fatal(t, os.WriteFile(s.config, []byte(strings.ReplaceAll(`rotations:
  - name: web deploy
    id: e2e/web
    provider: {fly: {org: acme, expiry: 90d}}
    adopt: ["by hand"]
    sinks: [{forgejo: {name: FLY_DEPLOY_TOKEN, repository: acme/web, url: "GITEA"}}]
    verify: [{dispatch: {workflow: deploy.yml, repository: acme/web, url: "GITEA/api/v1", interval: 1s}}]
`, "GITEA", s.serve(s.gitea))), 0o600))
	s.env = []string{"HOME=" + dir, "FLY_API_TOKEN=" + s.fly.bot, "FLY_API_BASE_URL=" + s.serve(s.fly), "REMINT_FORGEJO_TOKEN=" + giteaKey}
	return s
}

// serve puts a service on a socket, with the acts before it.
func (s *stage) serve(service http.Handler) string {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		a := s.meet(r.Method + " " + r.URL.Path + " " + string(body))
		if a.before {
			s.signal()
		}
		time.Sleep(a.late) // the service goes on although nobody waits
		service.ServeHTTP(w, r)
		if a.after {
			s.signal()
		}
		select {
		case <-time.After(a.hang):
		case <-r.Context().Done():
		}
	}))
	s.t.Cleanup(h.Close)
	return h.URL
}

// meet returns what happens at this request.
func (s *stage) meet(request string) act {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.acts) == 0 || !strings.Contains(request, s.acts[0].match) {
		return act{}
	}
	a := s.acts[0]
	s.acts = s.acts[1:]
	return a
}

func (s *stage) signal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = time.Now()
	for _, sig := range s.sends {
		if err := s.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) { // gone after the first already
			s.t.Error("signal:", err)
		}
	}
}

// remint runs it to its end and returns its exit code and all that it printed.
func (s *stage) remint(args ...string) (int, string) {
	s.t.Helper()
	var text bytes.Buffer
	c := exec.Command(remint, append([]string{"run", "-c", s.config}, args...)...)
	c.Env, c.Stdout, c.Stderr = s.env, &text, &text
	s.mu.Lock()
	err := c.Start()
	s.process = c.Process
	s.mu.Unlock()
	fatal(s.t, err)
	timer := time.AfterFunc(whole, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	if exit := (*exec.ExitError)(nil); !errors.As(c.Wait(), &exit) && c.ProcessState == nil {
		s.t.Fatal("the process was not waited for")
	}
	return c.ProcessState.ExitCode(), text.String()
}

// holds returns the name of the token in the secret, and whether it works.
func (s *stage) holds() (string, bool) {
	s.t.Helper()
	text, _, _ := s.gitea.Secret(holder, secret)
	row, ok := s.fly.Which(text)
	if !ok {
		s.t.Fatal("the secret holds no token of Fly.io")
	}
	return row.Name, s.fly.Live(text)
}

// What became of the newborn when the process is gone.
const (
	unborn  = "was never minted"
	revoked = "was revoked, since nobody holds it"
	held    = "is held, and alive"
	orphan  = "is alive, since the service minted it after the run was over"
)

func TestSignals(t *testing.T) {
	t.Parallel()
	const (
		list     = "query OrgTokens"
		mint     = "mutation CreateLimitedAccessToken"
		who      = "query Who"
		revoke   = "mutation DeleteLimitedAccessToken"
		put      = "PUT /api/v1/repos/acme/web/actions/secrets/FLY_DEPLOY_TOKEN"
		marker   = "POST /api/v1/repos/acme/web/actions/variables/"
		dispatch = "POST /api/v1/repos/acme/web/actions/workflows/deploy.yml/dispatches"
		look     = "GET /api/v1/repos/acme/web/actions/runs/"
	)
	for _, test := range []struct {
		name    string
		newborn string
		acts    []act
	}{
		{"while the first list hangs", unborn, []act{{match: list, before: true, hang: forever}}},
		{"with the mint under way", orphan, []act{{match: mint, before: true, late: lateness}}},
		{"with the answer of the mint lost", revoked, []act{{match: mint, after: true, hang: forever}}},
		{"as the mint is answered", revoked, []act{{match: mint, after: true}}},
		{"directly after the mint", revoked, []act{{match: mint}, {match: list, before: true}}},
		{"while the newborn is proven", revoked, []act{{match: mint}, {match: who, before: true, hang: forever}}},
		{"when revoking the newborn takes long", revoked, []act{{match: mint, after: true}, {match: revoke, hang: 3 * time.Second}}},
		{"with the write under way", held, []act{{match: put, before: true, late: lateness}}},
		{"with the answer of the write lost", held, []act{{match: put, after: true, hang: forever}}},
		{"before the marker is written", held, []act{{match: put}, {match: marker, before: true, hang: forever}}},
		{"as the deploy is dispatched", held, []act{{match: dispatch, before: true}}},
		{deployRuns, held, []act{{match: dispatch}, {match: look, before: true}}},
		{"while the old one is revoked", held, []act{{match: dispatch}, {match: revoke, before: true, late: lateness}}},
	} {
		for _, sends := range [][]syscall.Signal{{syscall.SIGTERM}, {syscall.SIGINT, syscall.SIGTERM}} {
			t.Run(test.name+fmt.Sprint(sends), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, test.acts, sends...)
				if test.name == deployRuns {
					s.gitea.Work = -1 // it does not end
				}
				s.stopped(test.newborn)
				s.recovers()
			})
		}
	}
}

const deployRuns = "while the deploy runs"

// stopped runs remint, which gets the signal, and looks at what it leaves.
func (s *stage) stopped(newborn string) {
	t := s.t
	t.Helper()
	code, out := s.remint()
	s.mu.Lock()
	took, missed := time.Since(s.sent), s.sent.IsZero() || len(s.acts) > 0
	s.mu.Unlock()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it exited with %d after:\n%s", code, out)
		}
	})
	switch {
	case missed:
		t.Fatal("it ended before the signal was sent")
	case took > gone:
		t.Errorf("it went on for %s after the signal", took)
	}
	if code != 1 {
		t.Errorf("exit %d, want 1: stopped, and consumers are unharmed", code)
	}
	if !strings.Contains(out, "stopped") {
		t.Error("it does not say that it was stopped")
	}
	if strings.Contains(out, "fm2_") || strings.Contains(out, s.fly.bot) || strings.Contains(out, giteaKey) {
		t.Error("it printed a secret")
	}
	// What is late has happened then, and the next run mints in another second: Fly.io's times have no finer parts, and of two
	// tokens of one second none is older.
	time.Sleep(lateness + 1100*time.Millisecond)
	s.wantNewborn(newborn)
}

// recovers runs remint again, which puts everything right.
func (s *stage) recovers() {
	t := s.t
	t.Helper()
	for _, r := range s.gitea.Runs(holder) {
		s.gitea.Finish(r.ID, false)
	}
	s.gitea.Work = 0
	if code, out := s.remint("--alone"); code != 0 {
		t.Fatalf("the next run exits with %d:\n%s", code, out)
	}
	if name, works := s.holds(); !works || name == "by hand" {
		t.Errorf("after the next run the secret holds %q; it works: %t", name, works)
	} else {
		s.fly.onlyLive(name)
	}
}

// wantNewborn makes sure that consumers hold what works, and that of the newborn became what should.
func (s *stage) wantNewborn(want string) {
	s.t.Helper()
	name, works := s.holds()
	if !works {
		s.t.Errorf("the secret holds %q, which does not work", name)
	}
	minted := slices.DeleteFunc(s.fly.Tokens(), func(r row) bool { return r.Name == "by hand" })
	got := unborn
	switch {
	case len(minted) > 1:
		s.t.Fatalf("%d tokens were minted", len(minted))
	case len(minted) == 0:
	case name == minted[0].Name:
		got = held
	case minted[0].Revoked.IsZero():
		got = orphan
	default:
		got = revoked
	}
	if got != want {
		s.t.Errorf("the newborn %s; want: it %s", got, want)
	}
}
