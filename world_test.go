package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/pkg/config"
)

// world is what stands around a process under test: Fly.io, GitHub, Forgejo and AWS on loopback sockets, with one
// organisation, one repository and one secret each. Its rules:
//
//   - The process gets to it by its environment only, as it does in a workflow.
//   - What a place holds is looked up in the services, never asked of the process.
//   - Every request is written down, and so is every secret: what the process prints is searched for all of them.
type world struct {
	fly   *fly.Server
	hub   *github.Server
	forge *forgejo.Server
	aws   *aws.Server
	dir   string               // where the process runs
	old   string               // the token made by hand, if a test keeps it here
	after func(request string) // called when a request was served, if not nil; set before the first run

	mu      sync.Mutex
	later   time.Duration // how far the services' clocks are ahead, so that births of one second differ
	broken  string        // deploys fail with tokens whose name matches this
	log     []string      // requests since the last run began
	secrets map[string]bool
	stored  string // what AWS held when the last run began
}

const (
	repository = "example/web"
	secretName = "FLY_DEPLOY_TOKEN"
	awsSecret  = "example/web/fly"
)

// newWorld starts the services and returns the environment that leads to them.
func newWorld(dir string, cleanup func(func())) (*world, map[string]string) {
	w := &world{fly: fly.New(), hub: github.New(), forge: forgejo.New(forgejo.Forgejo), aws: aws.New("eu-west-1", "111111111111"), dir: dir, secrets: map[string]bool{}}
	now := func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return time.Now().Add(w.later)
	}
	w.fly.Now, w.hub.Now, w.forge.Now = now, now, now
	w.hub.Polls = -1

	w.fly.AddOrg("personal", "web", "api", "docs")
	env := map[string]string{
		"FLY_API_TOKEN":        w.fly.AddUser("bot@example.com", "personal"),
		"REMINT_GITHUB_TOKEN":  "github_pat_made_up_for_the_test",
		"REMINT_FORGEJO_TOKEN": "forgejo_token_made_up_for_the_test",
		"GITHUB_TOKEN":         "ghs_made_up_for_the_test",
		// Credentials that lack something, for scripts that want one.
		"PAT_WITHOUT_SECRETS":   "github_pat_that_may_not_write_secrets",
		"PAT_WITHOUT_VARIABLES": "github_pat_that_may_not_write_variables",
		"PAT_UNKNOWN":           "github_pat_that_nobody_issued",
	}
	_, env["FLY_ORG_TOKEN"] = w.fly.AddToken(fly.Row{Name: "an organisation token", Org: "personal", Profile: "deploy_organization"})

	w.hub.AddRepository(github.Repository{Name: repository})
	w.hub.AddOrg("example-org")
	w.hub.AddEnvironment(repository, github.Environment{Name: "production"})
	w.hub.AddWorkflow(repository, github.Workflow{File: "deploy.yml"})
	w.hub.AddToken(github.Token{Value: env["REMINT_GITHUB_TOKEN"]})
	w.hub.AddToken(github.Token{Value: env["GITHUB_TOKEN"], Kind: github.Job})
	w.hub.AddToken(github.Token{Value: env["PAT_WITHOUT_SECRETS"], Rights: map[string]string{"metadata": "read", "actions_variables": "write", "actions": "write"}})
	w.hub.AddToken(github.Token{Value: env["PAT_WITHOUT_VARIABLES"], Rights: map[string]string{"metadata": "read", "secrets": "write", "actions": "write"}})
	w.hub.OnRun = func(r *github.Run) string {
		if w.deploys(r.Secrets[secretName]) {
			return "success"
		}
		return "failure"
	}

	w.forge.AddUser("example")
	w.forge.AddRepository(repository)
	w.forge.AddWorkflow(repository, "deploy.yml", forgejo.Workflow{})
	w.forge.AddToken("example", env["REMINT_FORGEJO_TOKEN"], "all")
	w.forge.AddJobToken(repository, env["GITHUB_TOKEN"])
	w.forge.OnRun = func(r forgejo.Run) bool { return w.deploys(r.Secrets[secretName]) }

	w.aws.AddSecret(awsSecret, `{"user":"bot","token":"nothing yet","note":"kept"}`)
	w.aws.AddSecret(awsSecret+"/whole", "nothing yet")
	key, err := w.aws.Credentials().Retrieve(context.Background())
	if err != nil {
		panic(err)
	}
	for _, value := range env { // so far it has credentials only
		w.secrets[value] = true
	}
	w.secrets[key.SecretAccessKey] = true

	for name, h := range map[string]http.Handler{"fly": w.fly, "github": w.hub, "forgejo": w.forge, "aws": w.aws} {
		server := httptest.NewServer(w.front(name, h))
		cleanup(server.Close)
		env[strings.ToUpper(name)+"_URL"] = server.URL
	}
	env["FLY_API_BASE_URL"] = env["FLY_URL"]
	env["GITHUB_API_URL"] = env["GITHUB_URL"]
	env["FORGEJO_API_URL"] = env["FORGEJO_URL"] + "/api/v1"
	env["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = env["AWS_URL"]
	env["AWS_REGION"] = "eu-west-1"
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"] = key.AccessKeyID, key.SecretAccessKey
	env["AWS_EC2_METADATA_DISABLED"] = "true"
	env["GITHUB_REPOSITORY"], env["GITHUB_SERVER_URL"], env["GITHUB_REF_NAME"] = repository, "https://github.com", "main"
	env["HOME"], env["PATH"] = dir, os.Getenv("PATH")
	// Nobody listens here.
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	env["CLOSED_URL"] = closed.URL
	return w, env
}

// deploys says how a deploy ends that read this value.
func (w *world) deploys(value string) bool {
	w.mu.Lock()
	broken := w.broken
	w.mu.Unlock()
	row, _ := w.fly.Which(value)
	return w.fly.Live(value) && !config.Match(broken, row.Name)
}

var flyToken = regexp.MustCompile(`FlyV1 [A-Za-z0-9_+/=,.-]+`)

// front writes down every request to a service, and the tokens that it mints.
func (w *world) front(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		what := name + " " + r.Method + " " + r.URL.Path
		switch {
		case name == "fly" && bytes.Contains(body, []byte("createLimitedAccessToken")):
			what = "fly mint"
		case name == "fly" && bytes.Contains(body, []byte("deleteLimitedAccessToken")):
			what = "fly revoke"
		case name == "fly" && bytes.Contains(body, []byte("limitedAccessTokens")):
			what = "fly list"
		case name == "fly":
			what = "fly query"
		case name == "aws":
			_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
			what = "aws " + op
		}
		w.mu.Lock()
		w.log = append(w.log, what)
		w.mu.Unlock()
		if what == "fly mint" {
			rw = &listener{rw, w}
		}
		h.ServeHTTP(rw, r)
		if w.after != nil {
			w.after(what)
		}
	})
}

// listener overhears the tokens in an answer.
type listener struct {
	http.ResponseWriter
	w *world
}

func (l *listener) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	for _, token := range flyToken.FindAll(p, -1) {
		l.w.secrets[string(token)] = true
	}
	l.w.mu.Unlock()
	return l.ResponseWriter.Write(p)
}

// begin is called before each run of the process.
func (w *world) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log, w.stored = nil, w.versions()
	w.later += 2 * time.Second
}

// requests returns the requests since the last run began.
func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.log...)
}

// versions is what AWS holds. Requests alone do not tell: check asks for rights by writes that are sure to be refused.
func (w *world) versions() string {
	return fmt.Sprint(w.aws.Versions(awsSecret), w.aws.Stages(awsSecret), w.aws.Versions(awsSecret+"/whole"), w.aws.Stages(awsSecret+"/whole"))
}

var reading = regexp.MustCompile(`^(fly (list|query)|(github|forgejo) (GET|HEAD) .*|aws .*)$`)

// writes returns the requests since the last run began that may have changed something.
func (w *world) writes() []string {
	var all []string
	for _, r := range w.requests() {
		if !reading.MatchString(r) {
			all = append(all, r)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.versions(); now != w.stored {
		all = append(all, "aws: "+now)
	}
	return all
}

// handmade makes a token as a person would, days ago, and puts it into places.
func (w *world) handmade(name string, days int, places ...string) (string, error) {
	age := time.Duration(days) * 24 * time.Hour
	_, text := w.fly.AddToken(fly.Row{Name: name, App: "web", Created: time.Now().Add(-age), Expires: time.Now().Add(100*24*time.Hour - age)})
	w.mu.Lock()
	w.secrets[text] = true
	w.mu.Unlock()
	for _, p := range places {
		if err := w.put(p, text); err != nil {
			return "", err
		}
	}
	return text, nil
}

// put makes a place hold a value. Places are github:NAME, forgejo:NAME, aws:SECRET and file:PATH.
func (w *world) put(place, value string) error {
	kind, at, _ := strings.Cut(place, ":")
	switch kind {
	case "github":
		w.hub.SetSecret(github.Place{Repository: repository}, at, value)
	case "forgejo":
		w.forge.SetSecret(repository, at, value, "")
	case "aws":
		w.aws.Overwrite(at, value)
	case "file":
		return os.WriteFile(filepath.Join(w.dir, at), []byte(value), 0o600)
	default:
		return fmt.Errorf("no place %q", place)
	}
	return nil
}

// value returns what a place holds now.
func (w *world) value(place string) (string, error) {
	kind, at, _ := strings.Cut(place, ":")
	switch kind {
	case "github":
		v, _ := w.hub.Secret(github.Place{Repository: repository}, at)
		return v, nil
	case "forgejo":
		v, _, _ := w.forge.Secret(repository, at)
		return v, nil
	case "aws":
		return w.aws.Current(at), nil
	case "file":
		b, err := os.ReadFile(filepath.Join(w.dir, at))
		return string(b), err
	}
	return "", fmt.Errorf("no place %q", place)
}

// check says why a place does not hold a token that works and has such a name.
func (w *world) check(place, glob string) error {
	value, err := w.value(place)
	if err != nil {
		return err
	}
	text := flyToken.FindString(value)
	row, ok := w.fly.Which(text)
	switch {
	case !ok:
		return fmt.Errorf("%s holds no token", place)
	case !config.Match(glob, row.Name):
		return fmt.Errorf("%s holds %q", place, row.Name)
	case !w.fly.Live(text):
		return fmt.Errorf("%s holds %q, which does not work", place, row.Name)
	}
	return nil
}

// live counts the tokens with such a name that were not revoked.
func (w *world) live(glob string) int {
	n := 0
	for _, row := range w.fly.Tokens() {
		if row.Revoked.IsZero() && config.Match(glob, row.Name) {
			n++
		}
	}
	return n
}

// minted counts the tokens that were minted through the API, revoked ones too.
func (w *world) minted() int { return w.fly.Served()["mint"] }

// plant makes a service fail.
func (w *world) plant(service, operation string, f emulate.Fault) error {
	faults := map[string]*emulate.Faults{"fly": &w.fly.Faults, "github": &w.hub.Faults, "forgejo": &w.forge.Faults, "aws": &w.aws.Faults}[service]
	if faults == nil {
		return fmt.Errorf("no service %q", service)
	}
	faults.Plant(operation, f)
	return nil
}

func (w *world) heal() {
	for _, f := range []*emulate.Faults{&w.fly.Faults, &w.hub.Faults, &w.forge.Faults, &w.aws.Faults} {
		f.Clear()
	}
}

// leaks returns which secrets show in a text, each with the form in which it does, and never the secret itself.
func (w *world) leaks(text string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for secret := range w.secrets {
		if form := shows(text, secret); form != "" {
			found = append(found, fmt.Sprintf("a secret of %d bytes shows, %s", len(secret), form))
		}
	}
	return found
}

// worldOf is newWorld for tests that are no scripts.
func worldOf(t *testing.T) (*world, map[string]string) {
	t.Helper()
	return newWorld(t.TempDir(), t.Cleanup)
}
