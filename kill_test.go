package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/internal/emulate/github"
)

// outside is the world around one real process: Fly.io and GitHub, emulated on loopback sockets, and a hand
// that kills the process at a given request.
type outside struct {
	t       *testing.T
	fly     *fly.Server
	hub     *github.Server
	user    string
	flyURL  string
	hubURL  string
	secret  github.Place
	dir     string
	environ []string

	mu     sync.Mutex
	later  time.Duration // the services' clock is ahead, so that births of one second differ
	seen   int           // requests
	killAt int           // 0: never
	after  bool          // kill once the service did its work
	victim *os.Process
	log    []string
}

const flagship = `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    adopt: ["web by hand"]
    sinks: [{github: FLY_DEPLOY_TOKEN}]
    verify: [{dispatch: {workflow: deploy.yml, interval: 1s}}]
`

func newOutside(t *testing.T) *outside {
	o := &outside{t: t, fly: fly.New(), hub: github.New(), secret: github.Place{Repository: "example/web"}, dir: t.TempDir()}
	now := func() time.Time {
		o.mu.Lock()
		defer o.mu.Unlock()
		return time.Now().Add(o.later)
	}
	o.fly.Now, o.hub.Now, o.hub.Polls = now, now, -1
	o.fly.AddOrg("personal", "web")
	o.user = o.fly.AddUser("bot@example.com", "personal")
	_, old := o.fly.AddToken(fly.Row{Name: "web by hand", App: "web", Created: time.Now().Add(-80 * 24 * time.Hour), Expires: time.Now().Add(30 * 24 * time.Hour)})
	o.hub.AddRepository(github.Repository{Name: "example/web"})
	o.hub.AddToken(github.Token{Value: "github_pat_made_up_for_the_test"})
	o.hub.AddToken(github.Token{Value: "ghs_made_up_for_the_test", Kind: github.Job})
	o.hub.AddWorkflow("example/web", github.Workflow{File: "deploy.yml"})
	o.hub.SetSecret(o.secret, "FLY_DEPLOY_TOKEN", old)
	o.hub.OnRun = func(r *github.Run) string {
		if o.fly.Live(r.Secrets["FLY_DEPLOY_TOKEN"]) {
			return "success"
		}
		return "failure"
	}
	for _, s := range []struct {
		url  *string
		name string
		h    http.Handler
	}{{&o.flyURL, "fly", o.fly}, {&o.hubURL, "github", o.hub}} {
		server := httptest.NewServer(o.front(s.name, s.h))
		t.Cleanup(server.Close)
		*s.url = server.URL
	}
	if err := os.WriteFile(filepath.Join(o.dir, "remint.yaml"), []byte(flagship), 0o600); err != nil {
		t.Fatal(err)
	}
	o.environ = []string{"FLY_API_BASE_URL=" + o.flyURL, "GITHUB_API_URL=" + o.hubURL, "GITHUB_REPOSITORY=example/web", "GITHUB_SERVER_URL=https://github.com",
		"GITHUB_REF_NAME=main", "FLY_API_TOKEN=" + o.user, "REMINT_GITHUB_TOKEN=github_pat_made_up_for_the_test", "GITHUB_TOKEN=ghs_made_up_for_the_test", "HOME=" + o.dir}
	return o
}

// front counts the requests to a service and kills the process at one of them.
func (o *outside) front(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.seen++
		hit := o.seen == o.killAt
		victim := o.victim
		o.log = append(o.log, fmt.Sprintf("%s %s %s", name, r.Method, r.URL.Path))
		o.mu.Unlock()
		if !hit {
			h.ServeHTTP(w, r)
			return
		}
		if o.after {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		_ = victim.Kill()
		panic(http.ErrAbortHandler)
	})
}

// run runs the program once and returns its exit code; -1: it was killed.
func (o *outside) run(binary string, args ...string) (int, string) {
	o.mu.Lock()
	o.seen, o.log = 0, nil
	o.later += 2 * time.Second
	o.mu.Unlock()
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = o.dir, o.environ
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	o.mu.Lock()
	err := cmd.Start()
	o.victim = cmd.Process
	o.mu.Unlock()
	if err != nil {
		o.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// holds says whether consumers read a token that works, and how many tokens live.
func (o *outside) holds() (works bool, live int) {
	value, _ := o.hub.Secret(o.secret, "FLY_DEPLOY_TOKEN")
	for _, r := range o.fly.Tokens() {
		if r.Revoked.IsZero() {
			live++
		}
	}
	return o.fly.Live(value), live
}

// binary builds the program once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "remint")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "remint")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", stripped, "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func build(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// atOnce is how many tests run at the same time, unless -parallel says: they wait for processes more than they compute.
const atOnce = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", atOnce)
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// TestKilled kills the real process at every request boundary of a rotation, before and after the service
// acted, and runs it again: at no time does a consumer hold a dead token, and the next run converges.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := build(t)
	o := newOutside(t)
	code, out := o.run(path, "run")
	works, live := o.holds()
	if code != 0 || !works || live != 1 {
		t.Fatalf("exit %d, works %t, %d live tokens\n%s", code, works, live, out)
	}
	requests := o.seen
	for i, r := range o.log {
		t.Logf("%2d %s", i+1, r)
	}
	for _, after := range []bool{false, true} {
		for n := 1; n <= requests; n++ {
			t.Run(fmt.Sprintf("request %d, after its effect %t", n, after), func(t *testing.T) {
				t.Parallel()
				o := newOutside(t)
				o.killAt, o.after = n, after
				code, out := o.run(path, "run")
				if code != -1 {
					t.Fatalf("exit %d although it was to be killed\n%s", code, out)
				}
				if works, _ := o.holds(); !works {
					t.Error("consumers hold a dead token")
				}
				o.killAt = 0
				code, out = o.run(path, "run", "--alone")
				if works, live := o.holds(); code != 0 || !works || live != 1 {
					t.Errorf("run again: exit %d, works %t, %d live tokens\n%s", code, works, live, out)
				}
			})
		}
	}
}
