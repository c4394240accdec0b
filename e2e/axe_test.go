//go:build e2e

package e2e

// The real program with the example for Forgejo, against the real Gitea and its real runner, and an axe. The emulations
// have the same in the root of the module. Its rules:
//
//   - Between the process and Gitea, Fly.io and AWS stands a proxy of the test. At one request, either before the service
//     has it or when the service has done its work and before it answers, the process is killed, told to stop, or loses its
//     network. Then it is run once more, and nothing happens to it.
//   - Gitea never shows a secret, so what consumers hold is told by what they do: the deploy, in a job of the runner, calls
//     Fly.io with it, past the proxy. Between two deploys the secret is what Gitea said that it had taken.
//   - Whatever consumers hold works, at every request of both runs.
//   - A newborn that nobody holds is dead when a process that was told to stop is gone. Once a write has begun, and be it
//     that the sink is only asked what it holds now, the next run revokes it.
//   - Looks at a run are one request here: how many there are is for the runner to say.
//   - Making a repository takes Gitea longer than a rotation, so a few are used again and again. At each point the rest is
//     new: Fly.io, AWS, the value of the secret, and there is no marker.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/aws"
)

// axe is one way to end a process.
type axe string

const (
	sigkill  axe = "SIGKILL"
	sigterm  axe = "SIGTERM"
	sigint   axe = "SIGINT"
	vanished axe = "no network"
)

var axes = []axe{sigkill, sigterm, sigint, vanished}

// blow is where the axe meets the process: at the nth request of a kind.
type blow struct {
	request string
	nth     int
	before  bool // before it reaches the service; else after that, and before the answer is passed on
	how     axe
}

func (b blow) String() string {
	side := "after"
	if b.before {
		side = "before"
	}
	return fmt.Sprintf("%s %s %s, no. %d", b.how, side, b.request, b.nth)
}

const (
	// patient is when a run ends itself on a machine that is busy, hasty when it does whose network is gone for good.
	patient, hasty = "5m", "1m"
	// lasting is longer.
	lasting = 6 * time.Minute
	// blocks is how many repositories there are, each with one process at a time; -parallel bounds it too.
	blocks = 12
	// noticed is how long a request waits after a signal, unless the process gives it up, so that the process has the
	// signal first.
	noticed = 300 * time.Millisecond

	axedExample   = "fly-forgejo.yaml"
	axedDeploy    = "deploy-fly.yaml"
	axedKey       = "deploy-token"
	axedSecret    = "blumeops/fly.io"
	axedNeighbour = "kept as it is"
	axedName      = "blumeops-proxy deploy"
	axedMarker    = secret + "_REMINT"

	look = "gitea GET /actions/runs/N"
	mint = "fly mutation CreateLimitedAccessToken"
)

// TestAxeGitea: whatever ends the process at whichever request, consumers hold what works, and one more run converges.
// Every request is met in one way, another for each, unless REMINT_AXE is "all".
func TestAxeGitea(t *testing.T) {
	t.Parallel()
	requests := undisturbed(t)
	t.Logf("%d requests: %q", len(requests), requests)
	all, began := blows(requests), time.Now()
	queue := make(chan blow, len(all))
	for _, b := range all {
		queue <- b
	}
	close(queue)
	var mu sync.Mutex
	points, good := map[axe]int{}, map[axe]int{}
	t.Cleanup(func() {
		var sums []string
		for _, how := range axes {
			sums = append(sums, fmt.Sprintf("%s %d/%d", how, good[how], points[how]))
		}
		t.Logf("points converged: %s; %s", strings.Join(sums, ", "), time.Since(began).Round(time.Second))
	})
	for i := range blocks {
		t.Run(fmt.Sprint("repository ", i+1), func(t *testing.T) {
			t.Parallel()
			var at *block
			for b := range queue {
				if at == nil {
					at = newBlock(t)
				}
				t.Run(b.String(), func(t *testing.T) {
					t.Cleanup(func() {
						mu.Lock()
						defer mu.Unlock()
						points[b.how]++
						if !t.Failed() {
							good[b.how]++
						}
					})
					axed(t, at, b)
				})
			}
		})
	}
}

// undisturbed rotates once without an axe, and returns the requests of it in order, each once.
func undisturbed(t *testing.T) []string {
	w := newChopped(t, newBlock(t))
	code, out := w.run(blow{}, patient)
	if code != 0 {
		t.Fatalf("a run that nobody ends: exit %d\n%s", code, out)
	}
	w.wantSettled()
	if t.Failed() {
		t.Fatalf("a run that nobody ends:\n%s", out)
	}
	return w.log
}

// blows returns the points that are tried, first those that take longest.
func blows(requests []string) []blow {
	all := os.Getenv("REMINT_AXE") == "all"
	var list []blow
	met := map[string]int{}
	for i, request := range requests {
		met[request]++
		for j, how := range axes {
			for k, before := range []bool{true, false} {
				// A neighbour is met in another way, and the same way on the other side four requests on.
				if all || i%len(axes) == j && i/len(axes)%2 == k {
					list = append(list, blow{request, met[request], before, how})
				}
			}
		}
	}
	last := func(b blow) int {
		if b.how == vanished {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b blow) int { return last(a) - last(b) })
	return list
}

// axed ends one process, looks at what it left, and runs another.
func axed(t *testing.T, at *block, b blow) {
	w := newChopped(t, at)
	deadline := patient
	if b.how == vanished {
		deadline = hasty
	}
	code, out := w.run(b, deadline)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("exit %d after:\n%s", code, out)
		}
	})
	if !w.hit {
		t.Fatalf("it never came to that request: %q", w.log)
	}
	switch {
	case b.how == sigkill && code != -1:
		t.Errorf("exit %d although it was killed", code)
	case b.how != sigkill && code != 1 && code != 0:
		t.Errorf("exit %d, want 1, or 0 if all was done", code)
	}
	if b.how == sigterm || b.how == sigint {
		if took := w.ended.Sub(w.sent); took > gone {
			t.Errorf("it went on for %s after the signal", took)
		}
		if live := w.born(); !w.begun && len(live) > 0 {
			t.Errorf("nobody holds the newborn, and it lives: %q", live)
		}
	}
	// Of two tokens of one second none is older: Fly.io's times have no finer parts.
	time.Sleep(time.Until(w.ended.Truncate(time.Second).Add(time.Second)))
	next, again := w.run(blow{}, patient, "--alone")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the next run, exit %d:\n%s", next, again)
		}
	})
	if next != 0 {
		t.Errorf("the next run: exit %d", next)
	}
	w.wantSettled()
}

// block is a repository with its deploy, for one point after the other.
type block struct {
	*repository
	access string // what remint has for Gitea

	mu   sync.Mutex
	fly  *flyio // of the point
	last int64  // run before the point
}

func newBlock(t *testing.T) *block {
	t.Helper()
	b := &block{fly: newFly(t)}
	deploys := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		f := b.fly
		b.mu.Unlock()
		f.ServeHTTP(out, r)
	}))
	t.Cleanup(deploys.Close)
	x := newTenant(t)
	b.repository = x.repository(x.org, true, map[string]string{".gitea/workflows/" + axedDeploy: deployYAML(deploys.URL)})
	b.access = x.accessToken("write:repository")
	b.secrets = append(b.secrets, b.access)
	return b
}

// deploys waits for the end of all deploys since the last time, which are returned, oldest first.
func (b *block) deploys() []run {
	b.t.Helper()
	var list struct {
		Runs []struct{ ID int64 } `json:"workflow_runs"`
	}
	b.admin("GET", "/repos/"+b.name+"/actions/runs?limit=20", nil, &list)
	var all []run
	for _, r := range slices.Backward(list.Runs) {
		if r.ID > b.last {
			all = append(all, b.wait(r.ID))
			b.last = r.ID
		}
	}
	return all
}

// chopped is where the process is put: the services, a proxy before them, and what consumers hold.
type chopped struct {
	t       *testing.T
	block   *block
	fly     *flyio
	aws     *aws.Server
	byHand  []string // names of the tokens that a person made; the last is not ours
	config  string   // but for DEADLINE
	environ []string

	serving sync.RWMutex // held to read for each request under way

	mu      sync.Mutex
	blow    blow
	log     []string // requests of the run
	hit     bool
	gone    bool      // the network
	begun   bool      // the first write has: a sink was asked for something after the mint
	sent    time.Time // when a signal was
	ended   time.Time // when the process was gone
	holds   string    // what Gitea has taken
	wrong   []string  // what consumers held that did not work
	process *os.Process
}

func newChopped(t *testing.T, at *block) *chopped {
	t.Helper()
	all := at.t
	at.t = t
	t.Cleanup(func() { at.t = all })
	at.deploys() // of a point that failed

	w := &chopped{t: t, block: at, fly: newFly(t), aws: aws.New(awsRegion, "111111111111"), byHand: []string{axedName + " token", "somebody else's"}}
	_, old := w.fly.byHand(w.byHand[0])
	w.fly.byHand(w.byHand[1])
	w.fly.onDeploy(func(token string) {
		if !slices.Contains(names(w.fly.live()), token) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wrong = append(w.wrong, fmt.Sprintf("a deploy came with %q, which does not work", token))
		}
	})
	at.mu.Lock()
	at.fly = w.fly
	at.mu.Unlock()
	t.Cleanup(func() { at.secrets = append(at.secrets, w.fly.texts()...) })
	value, err := json.Marshal(map[string]string{axedKey: old, "neighbour": axedNeighbour})
	fatal(t, err)
	w.aws.AddSecret(axedSecret, string(value))
	w.holds = old
	at.secret(secret, old)
	if at.marker(axedMarker) != "" {
		at.admin("DELETE", "/repos/"+at.name+"/actions/variables/"+axedMarker, nil, nil)
	}

	to, err := url.Parse(forge.base)
	fatal(t, err)
	gitea := w.serve(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}, w.ofGitea)
	text, err := os.ReadFile(filepath.Join("..", "examples", axedExample))
	fatal(t, err)
	w.config = string(text)
	for _, e := range [][2]string{ // where things are, and how often and for how long a run is looked at
		{"org: personal", "org: " + flyOrg},
		{"repository: example/blumeops", "repository: " + at.name},
		{"https://forge.example\"", gitea + "\""},
		{"every: 75d", "every: 75d\n    deadline: DEADLINE"},
		{"forge: forgejo}", "forge: forgejo, interval: 1s}"},
	} {
		if !strings.Contains(w.config, e[0]) {
			t.Fatalf("%s does not say %q", axedExample, e[0])
		}
		w.config = strings.ReplaceAll(w.config, e[0], e[1])
	}
	keys, err := w.aws.Credentials().Retrieve(t.Context())
	fatal(t, err)
	at.secrets = append(at.secrets, w.fly.bot, keys.SecretAccessKey)
	w.environ = []string{"HOME=" + t.TempDir(), "FLY_API_TOKEN=" + w.fly.bot, "FLY_API_BASE_URL=" + w.serve(w.fly, ofFly), "REMINT_FORGEJO_TOKEN=" + at.access,
		"AWS_ENDPOINT_URL=" + w.serve(w.aws, ofAWS), "AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey, "AWS_EC2_METADATA_DISABLED=true"}
	return w
}

// Kinds of requests, by service.

var (
	operations = regexp.MustCompile(`\b(?:query|mutation) \w+`)
	numbers    = regexp.MustCompile(`/\d+\b`)
)

func ofFly(_ *http.Request, body []byte) string { return "fly " + string(operations.Find(body)) }

func ofAWS(r *http.Request, _ []byte) string {
	return "aws " + strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
}

func (w *chopped) ofGitea(r *http.Request, _ []byte) string {
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/repos/"+w.block.name)
	return "gitea " + r.Method + " " + numbers.ReplaceAllString(path, "/N")
}

// serve puts a service behind the proxy, and returns the address.
func (w *chopped) serve(service http.Handler, kind func(*http.Request, []byte) string) string {
	s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.serving.RLock()
		defer w.serving.RUnlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		request := kind(r, body)
		before, after := w.meets(request)
		if before && !w.swing(r) || w.away() {
			reset(out)
			return
		}
		// What has reached a service is done, whoever waits for the answer.
		q := r.Clone(context.WithoutCancel(r.Context()))
		q.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		service.ServeHTTP(answer, q)
		w.note(request, body, answer.Code)
		if after && !w.swing(r) || w.away() {
			reset(out)
			return
		}
		for name, values := range answer.Header() {
			out.Header()[name] = values
		}
		out.WriteHeader(answer.Code)
		_, _ = out.Write(answer.Body.Bytes())
	}))
	w.t.Cleanup(s.Close)
	return s.URL
}

// reset ends a connection as a network does that breaks.
func reset(out http.ResponseWriter) {
	conn, _, err := out.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// meets notes a request of the process, and says whether the axe is swung before or after it.
func (w *chopped) meets(request string) (before, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone || request == look && slices.Contains(w.log, look) {
		return false, false
	}
	w.log = append(w.log, request)
	w.begun = w.begun || !strings.HasPrefix(request, "fly ") && slices.Contains(w.log, mint)
	n := 0
	for _, r := range w.log {
		if r == request {
			n++
		}
	}
	hit := request == w.blow.request && n == w.blow.nth
	w.hit = w.hit || hit
	return hit && w.blow.before, hit && !w.blow.before
}

func (w *chopped) away() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// swing ends the process. False: the request goes no further, or nobody waits for its answer.
func (w *chopped) swing(r *http.Request) bool {
	w.mu.Lock()
	w.sent = time.Now()
	sig := map[axe]syscall.Signal{sigkill: syscall.SIGKILL, sigterm: syscall.SIGTERM, sigint: syscall.SIGINT}[w.blow.how]
	w.gone = sig == 0
	if sig != 0 {
		if err := w.process.Signal(sig); err != nil {
			w.t.Errorf("%s: %v", w.blow.how, err)
		}
	}
	w.mu.Unlock()
	if sig == 0 || sig == syscall.SIGKILL {
		return false
	}
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(noticed):
		return true
	}
}

// note keeps what Gitea has taken, and looks at what consumers hold now.
func (w *chopped) note(request string, body []byte, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if request == "gitea PUT /actions/secrets/"+secret && status < 300 {
		var in struct{ Data string }
		if err := json.Unmarshal(body, &in); err != nil {
			w.t.Error(request, err)
		}
		w.holds = in.Data
	}
	for sink, text := range map[string]string{"AWS": w.kept(axedKey), "Gitea": w.holds} {
		if !w.fly.Live(text) {
			row, _ := w.fly.Which(text)
			w.wrong = append(w.wrong, fmt.Sprintf("%s holds %q, which does not work, after %s", sink, row.Name, request))
		}
	}
}

// kept is one value of the secret at AWS.
func (w *chopped) kept(key string) string {
	var keys map[string]string
	if err := json.Unmarshal([]byte(w.aws.Current(axedSecret)), &keys); err != nil {
		w.t.Errorf("the secret at AWS is no JSON: %v", err)
	}
	return keys[key]
}

// born are the names of live tokens that no person made.
func (w *chopped) born() []string {
	return slices.DeleteFunc(names(w.fly.live()), func(n string) bool { return slices.Contains(w.byHand, n) })
}

// run runs the program to its end, and returns its exit code and what it printed. No request is under way then.
func (w *chopped) run(b blow, deadline string, args ...string) (int, string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "remint.yaml")
	fatal(w.t, os.WriteFile(path, []byte(strings.Replace(w.config, "DEADLINE", deadline, 1)), 0o600))
	var out bytes.Buffer
	c := exec.Command(remint, append([]string{"run", "-c", path}, args...)...)
	c.Env, c.Stdout, c.Stderr = w.environ, &out, &out
	w.mu.Lock()
	w.blow, w.log, w.begun, w.hit, w.gone = b, nil, false, false, false
	err := c.Start()
	w.process = c.Process
	w.mu.Unlock()
	fatal(w.t, err)
	timer := time.AfterFunc(lasting, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	if exit := (*exec.ExitError)(nil); !errors.As(c.Wait(), &exit) && c.ProcessState == nil {
		w.t.Fatal("the process was not waited for")
	}
	w.ended = time.Now()
	w.serving.Lock()
	defer w.serving.Unlock()
	return c.ProcessState.ExitCode(), out.String()
}

// wantSettled makes sure that all consumers hold one token, the only one of ours that lives, and never held another that
// did not work.
func (w *chopped) wantSettled() {
	w.t.Helper()
	t := w.t
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, wrong := range w.wrong {
			t.Error(wrong)
		}
	}()
	live := w.born()
	if len(live) != 1 {
		t.Errorf("%d newborns live, want one: %q", len(live), live)
		return
	}
	one := live[0]
	w.fly.onlyLive(one, w.byHand[1])
	for sink, text := range map[string]string{"AWS": w.kept(axedKey), "Gitea": w.holds} {
		if row, _ := w.fly.Which(text); row.Name != one {
			t.Errorf("%s holds %q, want %q", sink, row.Name, one)
		}
	}
	if got := w.kept("neighbour"); got != axedNeighbour {
		t.Errorf("the key beside it at AWS is %q", got)
	}
	if m := w.block.marker(axedMarker); !strings.Contains(m, one) {
		t.Errorf("the marker says %q, want %q", m, one)
	}
	// The deploys of a process that is gone come to an end too, and none of them is harmed.
	runs := w.block.deploys()
	for _, r := range runs {
		want(t, r, "success")
	}
	if all := w.fly.deployed(); len(all) != len(runs) || len(all) == 0 || all[len(all)-1] != one {
		t.Errorf("%d runs deployed with %q; the last should come with %q", len(runs), all, one)
	}
}
