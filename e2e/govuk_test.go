//go:build e2e

package e2e

// The three environments of examples/govuk-fastly.yaml, each with its own account of AWS, its own namespace in the place
// of a cluster, its own exporter and its own Prometheus. The example is run as it is; only where the services are, and how
// long is waited, is put into it.

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/fastly"
)

// What the example names.
const (
	awsRegion   = "eu-west-1"
	awsRole     = "remint"
	awsSecret   = "govuk/fastly/api"
	tokenKey    = "fastly-api-token"
	kubeSecret  = "govuk-fastly-api"
	deployment  = "fastly-exporter-prometheus-fastly-exporter"
	neighbour   = "another-key"
	cronJob     = "smoke" // not of the example
	superuser   = "superuser@example.com"
	runnerToken = "the-bearer-token-of-the-job"
)

// govuk is the world of one test: Fastly, and the environments in the order of the example's matrix.
type govuk struct {
	t      *testing.T
	kube   *kube
	fastly *fastly.Server
	envs   []*environment
	config string
	env    []string // of the process
	hidden []string // texts that nothing printed may show

	mu      sync.Mutex
	asked   map[string]map[string]int // by environment and service
	strike  strike
	process *os.Process
}

// strike is when the process is killed: at the request that contains the last of these texts, after ones that contain the
// others in order. Requests are written as "Staging kube PATCH /path body".
type strike struct {
	at    []string
	after bool // the service does its work first
}

// environment is one of the three.
type environment struct {
	*exporter
	name, cluster, account, namespace string
	aws                               *aws.Server
	old                               fastly.Row // made by hand

	mu    sync.Mutex
	syncs int // of the External Secrets Operator
}

// wishes are what a test wants otherwise than the example.
type wishes struct {
	attempts int                                            // 0: as the example
	takes    func(env string, start int, newborn bool) bool // whether the exporter gets on with a token; nil: with any that is alive
	synced   func(k *kube, e *environment, newborn bool)    // called before External Secrets copies; nil: nothing
	job      bool                                           // after the rollout comes a Job
}

// newGovuk makes a world in which all is well, with tokens made by hand that are due. It is ready when every Prometheus
// shows them.
func newGovuk(t *testing.T, wish wishes) *govuk {
	t.Helper()
	w := &govuk{t: t, kube: newKube(t), fastly: fastly.New(), asked: map[string]map[string]int{}}
	w.kube.defineExternalSecret(t)
	password := "the password of the superuser"
	credential := w.fastly.AddUser(fastly.User{Login: superuser, Password: password})
	w.hidden = []string{credential, password, runnerToken}
	dir := t.TempDir()
	w.config = filepath.Join(dir, "govuk-fastly.yaml")
	w.env = []string{"HOME=" + dir, "PATH=" + dir, "FASTLY_API_TOKEN=" + credential, "FASTLY_USERNAME=" + superuser, "FASTLY_PASSWORD=" + password,
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + runnerToken}

	text, err := os.ReadFile("../examples/govuk-fastly.yaml")
	fatal(t, err)
	var doc map[string]any
	fatal(t, yaml.Unmarshal(text, &doc))
	rotation := doc["rotations"].([]any)[0].(map[string]any)
	for _, entry := range rotation["matrix"].([]any) {
		w.add(entry.(map[string]any), wish)
	}
	if len(w.envs) != 3 {
		t.Fatalf("the example has %d environments", len(w.envs))
	}
	w.relocate(rotation, wish)
	text, err = yaml.Marshal(doc)
	fatal(t, err)
	fatal(t, os.WriteFile(w.config, text, 0o600))
	for i, e := range w.envs {
		shownBy(t, rotation["matrix"].([]any)[i].(map[string]any)["prometheus"].(string), `fastly_rt_token_expiration{token_id="`+e.old.ID+`"}`)
	}
	return w
}

// relocate puts into the example where the services are, and shorter waits. It fails where the example is no longer what
// this knows.
func (w *govuk) relocate(rotation map[string]any, wish wishes) {
	put := func(into any, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			into.(map[string]any)[pairs[i]] = pairs[i+1]
		}
	}
	access := []string{"sts-endpoint", "${aws}", "oidc-url", "${aws}/oidc"}
	put(rotation["cluster"], append(access, "eks-endpoint", "${aws}", "namespace", "${namespace}")...)
	put(rotation["provider"].(map[string]any)["fastly"], "url", "${fastly}")
	put(rotation["sinks"].([]any)[0].(map[string]any)["aws-secrets-manager"], append(access, "endpoint", "${aws}")...)
	if wish.attempts > 0 {
		rotation["attempts"] = wish.attempts
	}
	var kinds []string
	for _, v := range rotation["verify"].([]any) {
		for kind, keys := range v.(map[string]any) {
			kinds = append(kinds, kind)
			put(keys, "interval", "1s")
			switch kind {
			case "prometheus": // the API server is a proxy for addresses in the cluster, never for loopback
				q := keys.(map[string]any)
				delete(q, "service")
				put(q, "url", "${prometheus}", "within", "15s", "query", strings.ReplaceAll(q["query"].(string), "[2m]", "[3s]"))
			default:
				put(keys, "timeout", "1m")
			}
		}
	}
	if wish.job {
		rotation["verify"] = slices.Insert(rotation["verify"].([]any), 2, any(map[string]any{
			"job-from-cronjob": map[string]any{"cronjob": cronJob, "interval": "1s", "timeout": "1m"}}))
	}
	if !slices.Equal(kinds, []string{"external-secret", "rollout", "prometheus", "prometheus"}) {
		w.t.Fatalf("the example verifies by %q; this test knows nothing of that", kinds)
	}
}

// add makes the environment of one entry of the matrix, and tells the entry where its services are.
func (w *govuk) add(entry map[string]any, wish wishes) {
	t := w.t
	t.Helper()
	e := &environment{name: entry["env"].(string), cluster: entry["cluster"].(string), account: entry["account"].(string)}
	w.envs = append(w.envs, e)
	w.asked[e.name] = map[string]int{}
	e.namespace = w.kube.namespace(t, "e2e-"+e.cluster)

	// Fastly: services with the environment's name somewhere, and a token made by hand that ends in twenty days.
	var services []string
	for _, name := range []string{e.name + " GOV.UK", "GOV.UK App mobile backend - " + strings.ToLower(e.name)} {
		services = append(services, w.fastly.AddService(fastly.Service{Name: name}))
	}
	now := time.Now()
	row, text := w.fastly.AddToken(fastly.Row{Name: "GOV.UK prometheus-fastly-exporter token for " + e.name, Automation: true, Role: "user",
		Scope: "global:read", Services: services, Created: now.AddDate(0, 0, -345), Expires: now.AddDate(0, 0, 20), LastUsed: now})
	e.old = row
	w.hidden = append(w.hidden, text)
	fastlyURL := w.serve(e, "fastly", w.fastly).URL
	entry["fastly"] = fastlyURL

	// AWS: the account's secret, a role for the job, and where the cluster is.
	e.aws = aws.New(awsRegion, e.account)
	e.aws.RunnerToken = runnerToken
	e.aws.AddRole(awsRole, aws.Role{Audience: "sts.amazonaws.com"})
	value, err := json.Marshal(map[string]string{neighbour: "kept as it is", tokenKey: text})
	fatal(t, err)
	e.aws.AddSecret(awsSecret, string(value))
	entry["aws"] = w.serve(e, "aws", e.aws).URL

	// The cluster, for whoever holds the role; with exactly the rights that the example says are needed.
	user := "remint@" + e.namespace
	api := w.serve(e, "kube", w.kube.authenticated(func(token string) (string, bool) {
		arn, ok := e.aws.WhoIs(e.cluster, token)
		return user, ok && strings.HasPrefix(arn, "arn:aws:sts::"+e.account+":assumed-role/"+awsRole+"/")
	}))
	e.aws.AddCluster(e.cluster, api.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
	entry["namespace"] = e.namespace
	rights := []object{
		rule("get,patch", externalGroup, externals),
		rule("get,patch", "apps", "deployments"),
		rule("get", "", "secrets", kubeSecret),
		rule("list", "", "pods"),
	}
	if wish.job {
		rights = append(rights, rule("get", "batch", "cronjobs"), rule("create,get,list", "batch", "jobs"), rule("get", "", "pods/log"))
		w.kube.schedule(t, e.namespace, cronJob)
	}
	w.kube.grant(t, e.namespace, user, rights...)

	// What runs in it.
	e.exporter = &exporter{fastly: fastlyURL, start: func(n int, id string) bool {
		return wish.takes == nil || wish.takes(e.name, n, id != e.old.ID)
	}}
	prometheus := newPrometheus(t, e.exporter)
	at, err := url.Parse(prometheus)
	fatal(t, err)
	entry["prometheus"] = w.serve(e, "prometheus", httputil.NewSingleHostReverseProxy(at)).URL
	ctx := t.Context()
	go w.kube.operator(ctx, e.namespace, func(key string) string {
		value := e.aws.Current(key)
		if wish.synced != nil {
			wish.synced(w.kube, e, keyIn(value) != text)
		}
		return value
	}, func() { e.mu.Lock(); e.syncs++; e.mu.Unlock() })
	go w.kube.pods(ctx, e.namespace, deployment, func() { e.restart(w.kube.holds(ctx, e.namespace, kubeSecret, tokenKey)) })
	w.kube.do(t, http.MethodPost, "/apis/"+externalGroup+"/v1/namespaces/"+e.namespace+"/"+externals, object{
		"apiVersion": externalGroup + "/v1", "kind": "ExternalSecret", "metadata": object{"name": kubeSecret},
		"spec": object{"refreshInterval": "1h", "target": object{"name": kubeSecret}, "dataFrom": []object{{"extract": object{"key": awsSecret}}}}}, nil)
	eventually(t, time.Minute, "first sync", func() bool { return w.kube.holds(ctx, e.namespace, kubeSecret, tokenKey) == text })
	w.kube.deploy(t, e.namespace, deployment, "FASTLY_API_TOKEN", kubeSecret, tokenKey)
	eventually(t, time.Minute, "pod", func() bool { return e.runs() == e.old.ID })
}

// serve puts a service of an environment on a socket, counts the requests of remint, and strikes. Only the API server
// speaks TLS.
func (w *govuk) serve(e *environment, service string, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("User-Agent"), "Go-http-client") { // the exporter, and this test
			h.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		strike, after := w.meet(e, service, r, body)
		if strike && !after {
			w.kill()
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(rw, r)
		if strike {
			w.kill()
			panic(http.ErrAbortHandler)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // connections of a process that was killed
	if service == "kube" {
		s.StartTLS()
	} else {
		s.Start()
	}
	w.t.Cleanup(s.Close)
	return s
}

// meet counts a request, and reports whether it is the one that is struck.
func (w *govuk) meet(e *environment, service string, r *http.Request, body []byte) (strike, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[e.name][service]++
	line := e.name + " " + service + " " + r.Method + " " + r.URL.Path + " " + r.Header.Get("X-Amz-Target") + " " + string(body)
	if len(w.strike.at) == 0 || !strings.Contains(line, w.strike.at[0]) {
		return false, false
	}
	w.strike.at = w.strike.at[1:]
	return len(w.strike.at) == 0, w.strike.after
}

func (w *govuk) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.process.Kill(); err != nil {
		w.t.Error(err)
	}
}

// ended is a run of remint that is over.
type ended struct {
	code    int // -1: killed
	log     string
	summary string // of the step; "": not run as an action
	took    time.Duration
	asked   map[string]map[string]int // by environment and service
}

// action runs remint as a runner does: without arguments, with files for what it reports.
func (w *govuk) action() ended {
	w.t.Helper()
	dir := w.t.TempDir()
	summary, outputs := filepath.Join(dir, "summary"), filepath.Join(dir, "outputs")
	for _, f := range []string{summary, outputs} {
		fatal(w.t, os.WriteFile(f, nil, 0o600))
	}
	r := w.start(nil, "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+summary, "GITHUB_OUTPUT="+outputs, "INPUT_CONFIG="+w.config)
	text, err := os.ReadFile(summary)
	fatal(w.t, err)
	r.summary = string(text)
	w.silent(r.summary)
	return r
}

// run runs remint on the command line.
func (w *govuk) run(args ...string) ended {
	w.t.Helper()
	return w.start(append([]string{"run", "-c", w.config}, args...))
}

func (w *govuk) start(args []string, env ...string) ended {
	t := w.t
	t.Helper()
	before := w.requests(nil)
	var text bytes.Buffer
	c := exec.Command(remint, args...)
	c.Env, c.Stdout, c.Stderr = append(slices.Clone(w.env), env...), &text, &text
	began := time.Now()
	w.mu.Lock()
	err := c.Start()
	w.process = c.Process
	w.mu.Unlock()
	fatal(t, err)
	timer := time.AfterFunc(3*time.Minute, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	if exit := (*exec.ExitError)(nil); !errors.As(c.Wait(), &exit) && c.ProcessState == nil {
		t.Fatal("the process was not waited for")
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "::add-mask::") { // what a runner hides
			lines = append(lines, line)
		}
	}
	r := ended{code: c.ProcessState.ExitCode(), log: strings.Join(lines, ""), took: time.Since(began), asked: w.requests(before)}
	w.silent(r.log)
	return r
}

// requests returns how many there were since before.
func (w *govuk) requests(before map[string]map[string]int) map[string]map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := map[string]map[string]int{}
	for env, services := range w.asked {
		since[env] = map[string]int{}
		for service, n := range services {
			if n -= before[env][service]; n > 0 {
				since[env][service] = n
			}
		}
	}
	return since
}

// silent makes sure that a text shows no piece of a secret.
func (w *govuk) silent(text string) {
	w.t.Helper()
	secrets := slices.Clone(w.hidden)
	for _, e := range w.envs {
		for _, id := range e.aws.Versions(awsSecret) {
			secrets = append(secrets, keyIn(e.aws.Value(awsSecret, id)))
		}
	}
	for _, s := range secrets {
		if at := shows(text, s); s != "" && at >= 0 {
			w.t.Errorf("a piece of a secret of %d bytes is shown in the line after: %s", len(s), last(text[:strings.LastIndex(text[:at], "\n")+1], 1))
		}
	}
}

// keyIn is the token in the JSON object that is the secret of AWS.
func keyIn(text string) string {
	var keys map[string]string
	_ = json.Unmarshal([]byte(text), &keys)
	return keys[tokenKey]
}

// wantState makes sure that AWS, the Secret and the exporter of each environment have one and the same token, which
// works; that it is the one made by hand or not; and that no other one is alive.
func (w *govuk) wantState(want ...string) {
	t := w.t
	t.Helper()
	for i, e := range w.envs {
		held, row := w.held(e)
		if held != want[i] {
			t.Errorf("%s: AWS holds %s, want %s", e.name, held, want[i])
		}
		text := keyIn(e.aws.Current(awsSecret))
		if !w.fastly.Live(text) {
			t.Errorf("%s: what AWS holds does not work", e.name)
		}
		if w.kube.holds(t.Context(), e.namespace, kubeSecret, tokenKey) != text {
			t.Errorf("%s: the Secret does not hold what AWS holds", e.name)
		}
		if id := e.runs(); id != row.ID {
			t.Errorf("%s: the exporter runs with %q, AWS holds %q", e.name, id, row.ID)
		}
		if alive := w.alive(e); !slices.Equal(alive, []string{row.ID}) {
			t.Errorf("%s: alive are %q, want only %q", e.name, alive, row.ID)
		}
		var keys map[string]string
		if json.Unmarshal([]byte(e.aws.Current(awsSecret)), &keys) != nil || keys[neighbour] != "kept as it is" || len(keys) != 2 {
			t.Errorf("%s: the neighbours of the key in AWS are not as they were", e.name)
		}
	}
}

// What AWS can hold.
const (
	oldOne  = "the old one"
	newborn = "a newborn"
)

// held returns what AWS holds.
func (w *govuk) held(e *environment) (string, fastly.Row) {
	row, known := w.fastly.Which(keyIn(e.aws.Current(awsSecret)))
	switch {
	case !known:
		return "no token", row
	case row.ID == e.old.ID:
		return oldOne, row
	}
	return newborn, row
}

// alive returns the IDs of the tokens of an environment that are not revoked.
func (w *govuk) alive(e *environment) []string {
	var ids []string
	for _, r := range w.fastly.Tokens() {
		if r.Automation && r.Revoked.IsZero() && strings.HasPrefix(r.Name, e.old.Name) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// wantHarmless makes sure that at no time an exporter was started with a token that Fastly refused.
func (w *govuk) wantHarmless() {
	w.t.Helper()
	for _, e := range w.envs {
		if slices.Contains(e.started(), "") {
			w.t.Errorf("%s: the exporter was started with a token that does not work: %q", e.name, e.started())
		}
	}
}

// figures prints the requests of a run.
func (w *govuk) figures(what string, r ended) {
	w.t.Logf("%s: %s", what, r.took.Round(time.Millisecond))
	for _, e := range w.envs {
		sum, parts := 0, []string{}
		for _, service := range []string{"fastly", "aws", "kube", "prometheus"} {
			n := r.asked[e.name][service]
			sum += n
			parts = append(parts, fmt.Sprintf("%s %d", service, n))
		}
		w.t.Logf("  %s: %d requests (%s)", e.name, sum, strings.Join(parts, ", "))
	}
}
