//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Canaries: credentials made up for one run of the real program, and what it mints, are looked for wherever a process can
// leave something. What each surface is:
//
//	stdout, stderr       all that the program printed but the commands that tell a runner what to hide; errors, result JSON and
//	                     the traceback of a process that was told to quit are in it
//	annotations          lines of both that a host shows beside the code
//	outputs, summary     the files of an action
//	files                everything else under the working directory, HOME and TMPDIR, cores too, but the file that is a sink
//	cmdline              of the program and of its children, while it runs
//	child                arguments and environment of a program that it starts, as that sees them
//	requests             URL, headers and body of every request, searched for what this service must not get
//	elsewhere            every byte that was sent to any other host
//
// Memory is not searched: a process that ended has none, and no core is left unless GOTRACEBACK=crash asks for one.
var surfaces = []string{"stdout", "stderr", "annotations", "outputs", "summary", "files", "cmdline", "child", "requests", "elsewhere"}

// cage watches everything that leaves one process. What is around the process is a world, or a lab (see canary_lab_test.go).
type cage struct {
	*world
	dir     string // where the process runs
	env     map[string]string
	finder  finder
	trapped func() string
	begin   func()                                // called before each run
	minted  func() map[string]int                 // the tokens there are, with how much of the beginning of each says nothing
	allowed func(r request) (head, body []string) // whose secrets the headers and the body of a request may have

	// tamper, if not nil, answers the nth request in place of the service.
	tamper func(n int, service string, w http.ResponseWriter, r *http.Request, body []byte) bool
	// at is called before the nth request is answered.
	at func(n int, p *os.Process)

	mu       sync.Mutex
	n        int
	process  *os.Process
	requests []request
	heard    map[string]bool // what services handed out on the way
	cmdlines strings.Builder
}

type request struct{ service, method, path, head, body, answer string }

// newCage makes the world and fills every credential with a canary.
func newCage(t *testing.T) *cage {
	t.Helper()
	w, env := worldOf(t)
	c := &cage{world: w, dir: w.dir, env: env, begin: w.begin, allowed: allowed}
	c.minted = c.ofWorld
	give := func(variable, name string) string {
		env[variable] = canary(name)
		c.finder.add(name, env[variable], 0)
		return env[variable]
	}
	w.fly.AddCredential(give("FLY_API_TOKEN", "fly"), "canary@example.com", "personal")
	pat, job := give("REMINT_GITHUB_TOKEN", "pat"), give("GITHUB_TOKEN", "job")
	w.hub.AddToken(hubToken(pat, false))
	w.hub.AddToken(hubToken(job, true))
	w.forge.AddToken("example", give("REMINT_FORGEJO_TOKEN", "forgejo"), "all")
	w.forge.AddJobToken(repository, job)
	give("PROGRAM_TOKEN", "program")
	c.finder.add("aws", env["AWS_SECRET_ACCESS_KEY"], 2)
	for _, name := range []string{"FLY_ORG_TOKEN", "PAT_WITHOUT_SECRETS", "PAT_WITHOUT_VARIABLES", "PAT_UNKNOWN"} {
		delete(env, name)
	}
	for name, h := range map[string]http.Handler{"fly": w.fly, "github": w.hub, "forgejo": w.forge, "aws": w.aws, "check": http.HandlerFunc(c.check)} {
		server := httptest.NewUnstartedServer(c.watch(name, w.front(name, h)))
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections to processes that were killed
		server.Start()
		t.Cleanup(server.Close)
		env[strings.ToUpper(name)+"_URL"] = server.URL
	}
	env["FLY_API_BASE_URL"], env["GITHUB_API_URL"] = env["FLY_URL"], env["GITHUB_URL"]
	env["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = env["AWS_URL"]
	var trap bytes.Buffer
	var mu sync.Mutex
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = r.Write(&trap)
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	c.trapped = func() string { mu.Lock(); defer mu.Unlock(); return trap.String() }
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		env[name] = proxy.URL
	}
	env["TMPDIR"] = filepath.Join(w.dir, "tmp")
	if err := os.Mkdir(env["TMPDIR"], 0o700); err != nil {
		t.Fatal(err)
	}
	env["GITHUB_OUTPUT"], env["GITHUB_STEP_SUMMARY"] = filepath.Join(w.dir, "output"), filepath.Join(w.dir, "summary")
	return c
}

// fromProgram is what tokens of the provider that is a program look like: see examples/providers/provider.py.
var fromProgram = regexp.MustCompile(`py_[0-9a-f]{40}`)

// ofWorld returns what was minted, or made by hand.
func (c *cage) ofWorld() map[string]int {
	all := map[string]int{}
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	for text := range c.secrets {
		if strings.HasPrefix(text, "FlyV1 ") {
			all[text] = len("FlyV1 fm2_")
		}
	}
	for _, file := range []string{"store", "place"} {
		b, _ := os.ReadFile(filepath.Join(c.dir, file))
		for _, text := range fromProgram.FindAllString(string(b), -1) {
			all[text] = len("py_")
		}
	}
	return all
}

// check is a service that knows the tokens that live.
func (c *cage) check(w http.ResponseWriter, r *http.Request) {
	if !c.fly.Live(r.Header.Get("Authorization")) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// watch writes down what arrives at a service, and lets the scenario have its way.
func (c *cage) watch(service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var head bytes.Buffer
		_ = r.Header.Write(&head)
		c.mu.Lock()
		c.n++
		n, p := c.n, c.process
		c.requests = append(c.requests, request{service, r.Method, r.URL.String(), strings.ReplaceAll(head.String(), "\r\n", "\n"), string(body), ""})
		if p != nil {
			c.cmdlines.WriteString(cmdlines(p.Pid))
		}
		c.mu.Unlock()
		if c.at != nil && p != nil {
			c.at(n, p)
		}
		if c.tamper != nil && c.tamper(n, service, w, r, body) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cmdlines returns the command lines of a process and of its children.
func cmdlines(pid int) string {
	read := func(path string) string { b, _ := os.ReadFile(path); return string(b) }
	all := read(fmt.Sprintf("/proc/%d/cmdline", pid))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		for _, child := range strings.Fields(read(t)) {
			all += "\n" + read("/proc/"+child+"/cmdline")
		}
	}
	return all + "\n"
}

// run runs a program once and returns what was left on every surface.
func (c *cage) run(t *testing.T, path string, args ...string) (code int, left map[string]string) {
	t.Helper()
	c.begin()
	cmd := exec.Command(path, args...)
	cmd.Dir = c.dir
	for name, value := range c.env {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for _, f := range []string{"output", "summary"} {
		if err := os.WriteFile(filepath.Join(c.dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	c.mu.Lock()
	err := cmd.Start()
	c.process = cmd.Process
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	timer.Stop()
	left = map[string]string{"stdout": unmasked(out.String()), "stderr": unmasked(errs.String()), "elsewhere": c.trapped()}
	for line := range strings.Lines(left["stdout"] + left["stderr"]) {
		if strings.HasPrefix(line, "::") {
			left["annotations"] += line
		}
	}
	err = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch name, _ := filepath.Rel(c.dir, path); name {
		case "held", "store", "place", "remint.yaml": // sinks, what the program keeps that mints, and what the user wrote
		case "output":
			left["outputs"] += string(b)
		case "child":
			left["child"] += string(b)
		case "summary":
			left[name] += string(b)
		default:
			left["files"] += path + "\n" + string(b) + "\n"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	left["cmdline"] = c.cmdlines.String()
	return cmd.ProcessState.ExitCode(), left
}

// hits returns what shows where it must not.
func (c *cage) hits(left map[string]string) (all []string, found map[string]map[needle]bool) {
	c.mu.Lock() // a service may still answer
	f := c.finder
	f.grams, f.heads, f.names = maps.Clone(f.grams), maps.Clone(f.heads), maps.Clone(f.names)
	c.mu.Unlock()
	for text, public := range c.minted() {
		f.add("token", text, public)
	}
	found = map[string]map[needle]bool{}
	note := func(surface string, n needle, at string) {
		if found[surface] == nil {
			found[surface] = map[needle]bool{}
		}
		if !found[surface][n] {
			all = append(all, fmt.Sprintf("%s shows %s, %s%s", surface, n.secret, n.form, at))
		}
		found[surface][n] = true
	}
	for _, surface := range surfaces {
		for n := range f.find(left[surface]) {
			note(surface, n, "")
		}
	}
	if left["elsewhere"] != "" {
		all = append(all, "a request went elsewhere")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		head, body := c.allowed(r)
		for part, may := range map[string][]string{r.path: nil, r.head: head, r.body: body} {
			for n := range f.find(part) {
				if !slices.Contains(may, n.secret) {
					note("requests", n, " in "+r.service+" "+r.method)
				}
			}
		}
	}
	return all, found
}

// allowed is [cage.allowed] in a world.
func allowed(r request) (head, body []string) {
	switch r.service {
	case "fly":
		return []string{"fly", "token"}, nil
	case "check":
		return []string{"token"}, nil
	case "github":
		return []string{"pat", "job"}, nil // the value leaves sealed
	case "forgejo":
		if r.method == http.MethodPut && strings.Contains(r.path, "/actions/secrets/") {
			body = []string{"token"}
		}
		return []string{"forgejo", "job"}, body
	case "aws":
		if strings.Contains(r.head, "PutSecretValue") {
			body = []string{"token"}
		}
	}
	return nil, body
}

// configurations returns what is run, by name: the examples, and one with every kind of adapter that the examples lack.
func (c *cage) configurations(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"programs": `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    adopt: ["web by hand"]
    prove: [{http: {url: "` + c.env["CHECK_URL"] + `/whoami", within: 1s}}]
    sinks: [{file: held}, {github: FLY_DEPLOY_TOKEN}]
    verify: [{command: {run: [sh, -c, "cat /proc/$$/cmdline /proc/$$/environ >> child; cat; echo; cat >&2; sleep 0.1"], stdin: true}}]
`}
	all["protocol"] = protocol(c.env["CHECK_URL"], `exec "$0" "$1"`, `exec "$0" "$1"`)
	for _, name := range []string{"fly-github", "fly-forgejo"} {
		b, err := os.ReadFile("examples/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		all[name] = strings.NewReplacer("https://forge.example", c.env["FORGEJO_URL"], "example/blumeops", repository, "blumeops/fly.io", awsSecret, "deploy-token", "token",
			"deploy-fly.yaml", "deploy.yml", "forge: forgejo}", "forge: forgejo, interval: 1s}", "dispatch: deploy.yml", "dispatch: {workflow: deploy.yml, interval: 1s}").Replace(string(b))
	}
	return all
}

// protocol is a rotation whose provider, sink and verifier are programs that speak the protocol; it needs python3. The first
// two are what shells run that are told how, after they left what they were given.
func protocol(check, mints, writes string) string {
	run := func(kind, how string) string {
		at, _ := filepath.Abs("examples")
		return fmt.Sprintf("run: [sh, -c, %q, %q, %q]", "cat /proc/$$/cmdline /proc/$$/environ >> child; "+how, interpreter(), filepath.Join(at, kind+"s", kind+".py"))
	}
	return `rotations:
  - name: web deploy
    provider: {command: {` + run("provider", mints) + `, with: {store: store}, secrets: {api: {env: PROGRAM_TOKEN}}, can: [identify], expiry: 90d}}
    sinks: [{command: {` + run("sink", writes) + `, with: {file: place}, secrets: {api: {env: PROGRAM_TOKEN}}, can: [held, mark, read, undo]}}]
    verify:
      - command: {protocol: true, run: [sh, -c, 'read -r line; echo "$line" >&2; echo "{\"remint\": 1}"'], secrets: {api: {env: PROGRAM_TOKEN}}}
      - http: {url: "` + check + `/whoami", status: [401], within: 1s}
`
}

// interpreter is where python3 is, without what stands before it in some places; "": nowhere.
var interpreter = sync.OnceValue(func() string {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
})

// echo answers with everything that was sent, where clients look for messages. One service does not say it where its answer
// is the token of the job: that goes to another host, whatever it is.
func echo(status int, service string, w http.ResponseWriter, r *http.Request, body []byte) {
	sent := string(body)
	for k, v := range r.Header {
		sent += " " + k + ": " + strings.Join(v, " ")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	answer := map[string]any{"message": sent, "Message": sent, "__type": "X", "errors": []any{map[string]any{"message": sent}}, "data": sent, "html_url": sent, "value": sent}
	if service == "oidc.example" {
		delete(answer, "value")
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// scenario is one run under a circumstance.
type scenario struct {
	name   string
	config string // of configurations
	action bool
	args   []string
	change func(c *cage, config string) string
}

// scenarios returns all. requests are those that each configuration makes if nothing goes wrong; those of the configurations
// under brief are not tried at each.
func scenarios(requests map[string][]request, brief []string) []scenario {
	var all []scenario
	for _, config := range slices.Sorted(maps.Keys(requests)) {
		full := !slices.Contains(brief, config) || os.Getenv("REMINT_AXE") == "all"
		if full {
			for _, args := range [][]string{{"plan"}, {"check"}, {"run", "--format", "json"}, {"rehearse"}, {"egress"}} {
				all = append(all, scenario{name: strings.Join(args, " "), config: config, args: args})
			}
			all = append(all, scenario{name: "as an action", config: config, action: true})
		}
		at := points(requests[config], full)
		for i, n := range at {
			statuses := []int{403, 500, 422, 200, 401, 404}
			fault := func(name string, f func(c *cage)) {
				all = append(all, scenario{name: fmt.Sprintf("%s at request %d", name, n), config: config, action: n%2 == 0, args: []string{"run"},
					change: func(c *cage, text string) string { f(c); return text }})
			}
			status := statuses[n%len(statuses)]
			fault(fmt.Sprint("an answer that repeats the request with ", status), func(c *cage) {
				c.tamper = func(m int, service string, w http.ResponseWriter, r *http.Request, body []byte) bool {
					if m != n {
						return false
					}
					echo(status, service, w, r, body)
					return true
				}
			})
			for j, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGQUIT, 0} {
				if full && n%4 != j || !full && (i != len(at)/2 || signal != syscall.SIGKILL && signal != syscall.SIGQUIT) {
					continue
				}
				if signal == 0 {
					fault("a lost answer", func(c *cage) {
						c.tamper = func(m int, _ string, w http.ResponseWriter, r *http.Request, body []byte) bool {
							if m == n {
								panic(http.ErrAbortHandler)
							}
							return false
						}
					})
					continue
				}
				fault(signal.String(), func(c *cage) {
					c.at = func(m int, p *os.Process) {
						if m == n {
							_ = p.Signal(signal)
							time.Sleep(50 * time.Millisecond)
						}
					}
				})
			}
		}
	}
	// Programs that say and complain of all that they were told.
	const parrot = `import json, sys; q = sys.stdin.readline(); sys.stderr.write(q); print(q); print(json.dumps({"remint": 1, "error": {"kind": "temporary", "message": q}, "id": q}))`
	for name, how := range map[string][2]string{"that mints": {parrot, ""}, "that writes": {"", parrot}, "that writes nonsense": {"", "import sys; q = sys.stdin.readline(); print(q * 3); sys.exit(q)"}} {
		if len(requests["protocol"]) == 0 {
			continue
		}
		for _, action := range []bool{false, true} {
			all = append(all, scenario{name: "a program " + name + " and is a parrot", config: "protocol", action: action, args: []string{"run"}, change: func(c *cage, _ string) string {
				var runs [2]string
				for i, script := range how {
					if runs[i] = `exec "$0" "$1"`; script != "" {
						runs[i] = `exec "$0" -c '` + script + `'`
					}
				}
				return protocol(c.env["CHECK_URL"], runs[0], runs[1])
			}})
		}
	}
	// Credentials where none belong. They are the process's own as well, as after a slip of the hand.
	for place, yaml := range map[string]string{
		"the credential itself":  "provider: {fly: {app: web, expiry: 90d, token: %s}}",
		"name of a variable":     "provider: {fly: {app: web, expiry: 90d, token: {env: %s}}}",
		"path of a credential":   "provider: {fly: {app: web, expiry: 90d, token: {file: %s}}}",
		"app":                    "provider: {fly: {app: %s, expiry: 90d}}",
		"unknown key":            "provider: {fly: {app: web, expiry: 90d, tokne: %s}}",
		"key":                    "provider: {fly: {app: web, expiry: 90d, %s: x}}",
		"duration":               "provider: {fly: {app: web, expiry: %s}}",
		"adapter":                "provider: {%s: {app: web}}",
		"host":                   "provider: {fly: {app: web, expiry: 90d, url: %s}}",
		"name":                   "name: %s",
		"list where text is due": "provider: {fly: {app: [%s], expiry: 90d}}",
		"anchor":                 "provider: *%s",
	} {
		for _, action := range []bool{false, true} {
			all = append(all, scenario{name: "a credential as " + place, config: "fly-github", action: action, args: []string{"run"}, change: func(c *cage, _ string) string {
				quoted, _ := json.Marshal(c.env["REMINT_GITHUB_TOKEN"])
				return "rotations:\n  - " + fmt.Sprintf(yaml, quoted) + "\n    sinks: [{github: " + string(quoted) + "}]\n    verify: [{dispatch: {workflow: " + string(quoted) + ", repository: " + string(quoted) + "}}]\n"
			}})
		}
	}
	for name, args := range map[string][]string{"of --only": {"run", "--only"}, "of -c": {"run", "-c"}, "of --compromised": {"run", "--only", "*", "--compromised"}, "of --format": {"run", "--format"}, "for a command": {}} {
		all = append(all, scenario{name: "a credential in place " + name, config: "fly-github", args: append(slices.Clone(args), "$PAT")})
	}
	return all
}

// TestCanaries: zero hits.
func TestCanaries(t *testing.T) {
	t.Parallel()
	path := build(t)
	began := time.Now()
	pens := inLab(t)
	prepare := func(t *testing.T, s scenario) *cage {
		var c *cage
		text := pens[s.config]
		if text != "" {
			c = newPen(t, text)
		} else {
			c = newCage(t)
			if _, err := c.handmade("web by hand", 80, "github:"+secretName, "forgejo:"+secretName, "file:held"); err != nil {
				t.Fatal(err)
			}
			text = c.configurations(t)[s.config]
		}
		if s.change != nil {
			text = s.change(c, text)
		}
		if err := os.WriteFile(filepath.Join(c.dir, "remint.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.action {
			c.env["GITHUB_ACTIONS"] = "true"
		}
		return c
	}
	// What a configuration requests when nothing is wrong.
	names := slices.Concat([]string{"fly-github", "fly-forgejo", "programs"}, slices.Sorted(maps.Keys(pens)))
	if interpreter() != "" {
		names = append(names, "protocol")
	}
	requests := map[string][]request{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, 16) // most of a run is waiting
	for _, config := range names {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			t.Run(config, func(t *testing.T) {
				c := prepare(t, scenario{config: config})
				code, left := c.run(t, path, "run")
				if code != 0 || len(c.requests) < 8 && config != "protocol" {
					t.Errorf("exit code %d, %d requests\n%s%s", code, len(c.requests), left["stdout"], left["stderr"])
				}
				all, _ := c.hits(left)
				for _, hit := range all {
					t.Error(hit)
				}
				if (config == "programs" || config == "protocol") && !strings.Contains(left["child"], "PATH=") {
					t.Errorf("the program left nothing: %q", left["child"])
				}
				least := 2 // the old one and the newborn
				if config == "protocol" {
					least = 1
				}
				if known := len(c.minted()); known < least {
					t.Errorf("%d tokens are known", known)
				}
				mu.Lock()
				defer mu.Unlock()
				requests[config] = c.requests
			})
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	runs, codes := len(requests), map[int]int{}
	for _, s := range scenarios(requests, slices.Concat(slices.Collect(maps.Keys(pens)), []string{"protocol"})) {
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			t.Run(s.config+", "+s.name, func(t *testing.T) {
				c := prepare(t, s)
				args := s.args
				if s.action {
					args = nil
				}
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "$PAT", c.env["REMINT_GITHUB_TOKEN"])
				}
				code, left := c.run(t, path, args...)
				if slices.Contains(args, c.env["REMINT_GITHUB_TOKEN"]) {
					left["cmdline"] = "" // it was the user who put it there
				}
				all, _ := c.hits(left)
				for _, hit := range all {
					t.Error(hit)
				}
				mu.Lock()
				defer mu.Unlock()
				runs++
				codes[code]++
			})
		}()
	}
	wait.Wait()
	t.Logf("%d runs, exit codes %v; %d surfaces × %d forms; %s", runs, codes, len(surfaces), forms(), time.Since(began).Round(time.Second))
}

// TestCanariesSing: each surface and each form is really looked at. A program that leaks on purpose is this test binary.
func TestCanariesSing(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	try := func(name, surface string, around func(t *testing.T) *cage) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := around(t)
			c.env["REMINT_TEST_LEAK"] = surface
			code, left := c.run(t, self, "-test.run=^TestLeaks$")
			all, found := c.hits(left)
			if code != 0 || len(all) < forms() {
				t.Errorf("exit code %d, %d hits\n%.2000s", code, len(all), left["stderr"])
			}
			for form := range planted("x23456789 and more of it") {
				if !found[surface][needle{"pat", form}] {
					t.Errorf("%s is not found", form)
				}
			}
		})
	}
	for _, surface := range surfaces {
		try(surface, surface, newCage)
	}
	pens := inLab(t)
	for _, surface := range []string{"cmdline", "requests", "elsewhere"} { // the others are the same
		try(surface+" of a lab", surface, func(t *testing.T) *cage { return newPen(t, pens["govuk-fastly"]) })
	}
}

// TestLeaks is the program that leaks; by itself it does nothing.
func TestLeaks(t *testing.T) {
	surface := os.Getenv("REMINT_TEST_LEAK")
	if surface == "" {
		return
	}
	var text []string
	for _, form := range slices.Sorted(maps.Keys(planted(os.Getenv("REMINT_GITHUB_TOKEN")))) {
		text = append(text, planted(os.Getenv("REMINT_GITHUB_TOKEN"))[form])
	}
	all := strings.Join(text, "\n")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	post := func(url, body string) {
		resp, err := http.Post(url, "text/plain", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
	}
	switch surface {
	case "stdout":
		fmt.Println(all)
	case "stderr":
		fmt.Fprintln(os.Stderr, all)
	case "annotations":
		for _, x := range text {
			if strings.Contains(x, "\n") { // a command is one line: here the pieces are each in one
				x = strings.ReplaceAll(x, "\n", "\n::error::")
				x = strings.ReplaceAll(x, "::error::", "")
				fmt.Println("::error::" + strings.ReplaceAll(x, "\n", "\r"))
				continue
			}
			fmt.Println("::error::" + x)
		}
	case "outputs":
		write(os.Getenv("GITHUB_OUTPUT"), all)
	case "summary":
		write(os.Getenv("GITHUB_STEP_SUMMARY"), all)
	case "files":
		write(filepath.Join(os.Getenv("TMPDIR"), "core."+strconv.Itoa(os.Getpid())), all)
	case "child":
		write("child", all)
	case "cmdline":
		cmd := exec.Command("sh", "-c", "sleep 5", all)
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		time.Sleep(100 * time.Millisecond) // until it is that program
		post(os.Getenv("CHECK_URL"), "")
		_ = cmd.Process.Kill()
	case "requests":
		post(os.Getenv("FLY_URL")+"/graphql", all)
	case "elsewhere":
		post("http://elsewhere.invalid/", all)
	}
	os.Exit(0)
}
