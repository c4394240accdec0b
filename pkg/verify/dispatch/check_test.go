package dispatch

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestCheck(t *testing.T) {
	answer := func(path string, status int, body string) func(*fake) {
		return func(f *fake) {
			f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, path) {
					return false
				}
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return true
			}
		}
	}
	for _, c := range []struct {
		name, flavours string
		prepare        func(*fake)
		change         func(*Workflow)
		kind           error
		says           string
		requests       int
	}{
		{name: "well", flavours: "github ghes", requests: 1},
		{name: "well", flavours: "gitea", requests: 3},
		{name: "well", flavours: "forgejo", requests: 6},
		{name: "no trigger", flavours: "forgejo", change: func(w *Workflow) { w.File = "push.yml" }, kind: rotate.ErrConfig, says: "no trigger workflow_dispatch"},
		{name: "a ref of its own", flavours: "github", change: func(w *Workflow) { w.Ref = "production" }, requests: 1},
		{name: "page of another form", flavours: "github", prepare: answer("/workflows/deploy.yml", 200, `{"state":"active","path":"x.yml","html_url":"https://example.com"}`), requests: 2},
		{name: "disabled", flavours: "github gitea", prepare: func(f *fake) { f.state = "disabled_inactivity" }, kind: rotate.ErrConfig, says: "disabled_inactivity"},
		{name: "no workflow", flavours: "github", change: func(w *Workflow) { w.File = "gone.yml" }, kind: rotate.ErrNotFound, says: "no workflow gone.yml"},
		{name: "no workflow", flavours: "forgejo gitea", change: func(w *Workflow) { w.File = "gone.yml" }, kind: rotate.ErrNotFound, says: "no gone.yml in .gitea/workflows"},
		{name: "no ref", flavours: "forgejo gitea", change: func(w *Workflow) { w.Ref = "gone" }, kind: rotate.ErrNotFound, says: "no such branch"},
		{name: "no repository", flavours: "github forgejo gitea", change: func(w *Workflow) { w.Repository = "example/gone" }, kind: rotate.ErrNotFound},
		{name: "no right", flavours: "github", prepare: answer("/workflows/deploy.yml", 403, `{"message":"Resource not accessible by integration"}`), kind: rotate.ErrDenied, says: "actions: write"},
		{name: "no right", flavours: "forgejo gitea", prepare: answer("/web", 200, `{"default_branch":"main","permissions":{"pull":true,"push":false}}`), kind: rotate.ErrDenied, says: "write to Actions"},
		{name: "switched off", flavours: "forgejo gitea", prepare: answer("/web", 200, `{"default_branch":"main","has_actions":false}`), kind: rotate.ErrConfig, says: "switched off"},
		{name: "archived", flavours: "forgejo gitea", prepare: answer("/web", 200, `{"default_branch":"main","archived":true}`), kind: rotate.ErrConfig, says: "archived"},
		{name: "token dead", flavours: "github forgejo gitea", prepare: answer("", 401, `{"message":"Bad credentials"}`), kind: rotate.ErrDenied, says: "Bad credentials"},
		{name: "narrow classic token", flavours: "github", prepare: func(f *fake) {
			f.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-OAuth-Scopes", "gist, read:org")
				return false
			}
		}, kind: rotate.ErrDenied, says: "scope repo"},
		{name: "classic token", flavours: "github", prepare: func(f *fake) {
			f.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-OAuth-Scopes", "gist, repo")
				return false
			}
		}, requests: 1},
	} {
		for flavour := range strings.FieldsSeq(c.flavours) {
			bubble(t, flavour+"/"+c.name, func(t *testing.T) {
				f := &fake{flavour: flavour}
				if c.prepare != nil {
					c.prepare(f)
				}
				w := f.workflow()
				if c.change != nil {
					c.change(w)
				}
				err := w.Check(t.Context())
				if !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("want %v, %q; got %v", c.kind, c.says, err)
				}
				if c.requests > 0 && len(f.requests) != c.requests {
					f.log(t)
					t.Errorf("%d requests, want %d", len(f.requests), c.requests)
				}
				for _, r := range f.requests {
					if !strings.HasPrefix(r, "GET ") {
						t.Errorf("a check must not change anything: %s", r)
					}
				}
				if err == nil && w.Ref == "" && w.branch != "main" {
					t.Errorf("default branch %q", w.branch)
				}
			})
		}
	}
}

func TestValidate(t *testing.T) {
	many := map[string]string{}
	for i := range 26 {
		many["i"+strings.Repeat("x", i)] = "v"
	}
	for _, c := range []struct {
		name   string
		change func(*Workflow)
		field  string // "": no fault
	}{
		{"as it is", func(*Workflow) {}, ""},
		{"no file", func(w *Workflow) { w.File = "" }, "workflow"},
		{"path", func(w *Workflow) { w.File = ".github/workflows/deploy.yml" }, "workflow"},
		{"escape", func(w *Workflow) { w.File = "..%2f.yml" }, "workflow"},
		{"no YAML", func(w *Workflow) { w.File = "deploy" }, "workflow"},
		{"no repository", func(w *Workflow) { w.Repository = "" }, "repository"},
		{"dots", func(w *Workflow) { w.Repository = "../web" }, "repository"},
		{"three parts", func(w *Workflow) { w.Repository = "a/b/c" }, "repository"},
		{"commit", func(w *Workflow) { w.Ref = strings.Repeat("0a", 20) }, "ref"},
		{"bad ref", func(w *Workflow) { w.Ref = "a b" }, "ref"},
		{"branch with slash", func(w *Workflow) { w.Ref = "release/1.2" }, ""},
		{"many inputs", func(w *Workflow) { w.Inputs = many }, "inputs"},
		{"bad input", func(w *Workflow) { w.Inputs = map[string]string{"a b": "c"} }, "inputs"},
		{"correlation twice", func(w *Workflow) { w.Inputs = map[string]string{"id": "c"}; w.Correlation = "id" }, "correlation"},
		{"bad correlation", func(w *Workflow) { w.Correlation = "a b" }, "correlation"},
		{"negative", func(w *Workflow) { w.Interval = -1 }, "interval"},
		{"unknown forge", func(w *Workflow) { w.Forge = "gitlab" }, "forge"},
		{"plain http", func(w *Workflow) { w.URL = "http://git.example/api/v1" }, "url"},
		{"loopback", func(w *Workflow) { w.URL = "http://127.0.0.1:3000/api/v1" }, ""},
		{"forgejo without url", func(w *Workflow) { w.URL, w.Forge = "", "forgejo" }, "url"},
		{"forgejo at GitHub", func(w *Workflow) { w.URL, w.Forge = "https://api.github.com", "forgejo" }, "url"},
		{"forgejo called github", func(w *Workflow) { w.URL, w.Forge = "https://git.example/api/v1/", "github" }, "forge"},
		{"no token", func(w *Workflow) { w.Token = rotate.Secret{} }, "token"},
		{"itself", func(w *Workflow) {
			w.RunnerURL, w.RunnerWorkflow = w.URL, "example/web/.github/workflows/deploy.yml@refs/heads/main"
		}, "workflow"},
		{"its namesake", func(w *Workflow) {
			w.RunnerURL, w.RunnerWorkflow = w.URL, "example/infra/.github/workflows/deploy.yml@refs/heads/main"
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{flavour: "github"}
			w := f.workflow()
			c.change(w)
			err := w.Validate()
			defer func() {
				if c.field != "" && len(f.requests) > 0 {
					f.log(t)
					t.Error("somebody was called")
				}
			}()
			if c.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var field *rotate.Error
			if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("want a fault of %s, got %v", c.field, err)
			}
			// For library users who did not ask: nothing is called, and nothing shown.
			if err := w.Verify(t.Context(), rotate.Credential{}); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("verify: %v", err)
			}
			if err := w.Check(t.Context()); !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// The job's own token goes to its host only, and for its repository first.
func TestCredential(t *testing.T) {
	s := rotate.NewSecret
	const forge, hub = "https://git.example/api/v1", githubURL
	for _, c := range []struct {
		name, url, home, repository string
		token, want                 string
	}{
		{"given", hub, hub, "example/web", "given", "given"},
		{"at home", hub, hub, "example/web", "", "job"},
		{"outside a runner", "", "", "", "", "job"},
		{"at home, forgejo", forge, forge, "example/web", "", "job"},
		{"another repository", hub, hub, "example/infra", "", "github"},
		{"another repository, forgejo", forge, forge, "example/infra", "", "forgejo"},
		{"from GitHub to Forgejo", forge, hub, "example/web", "", "forgejo"},
		{"from Forgejo to GitHub", hub, forge, "example/web", "", "github"},
		{"forgejo from a laptop", forge, "", "", "", "forgejo"},
		{"no slash of difference", forge + "/", forge, "example/web", "", "job"},
	} {
		w := &Workflow{File: "deploy.yml", Repository: "example/web", URL: c.url, RunnerURL: c.home, RunnerRepository: c.repository,
			Token: s(c.token), RunnerToken: s("job"), GitHubToken: s("github"), ForgejoToken: s("forgejo")}
		if got := w.credential().Reveal(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		w.GitHubToken, w.ForgejoToken = rotate.Secret{}, rotate.Secret{}
		if w.atHome() != (c.want == "job" || c.repository == "example/infra" || c.name == "given") {
			t.Errorf("%s: at home %t", c.name, w.atHome())
		}
		if got := w.credential().Reveal(); !w.atHome() && got != c.token {
			t.Errorf("%s: %q leaves its host", c.name, got)
		}
	}
}

func TestAPIURL(t *testing.T) {
	for _, c := range []struct{ forge, url, want, kind string }{
		{"", "", "https://api.github.com", "github"},
		{"", "https://ghe.example/api/v3/", "https://ghe.example/api/v3", "github"},
		{"", "https://git.example/api/v1", "https://git.example/api/v1", "forgejo"},
		{"forgejo", "https://git.example", "https://git.example/api/v1", "forgejo"},
		{"forgejo", "https://git.example/git/", "https://git.example/git/api/v1", "forgejo"},
	} {
		w := &Workflow{Forge: c.forge, URL: c.url}
		if w.apiURL() != c.want || w.forge() != c.kind {
			t.Errorf("%q %q: %q %q", c.forge, c.url, w.apiURL(), w.forge())
		}
	}
}

// The defaults of the struct's tags are those of the code.
func TestDefaults(t *testing.T) {
	for field, want := range map[string]time.Duration{"Timeout": defaultTimeout, "Interval": defaultInterval, "Approval": defaultApproval} {
		f, _ := reflect.TypeFor[Workflow]().FieldByName(field)
		if got, err := time.ParseDuration(f.Tag.Get("default")); err != nil || got != want {
			t.Errorf("%s: tag %s, code %s", field, f.Tag.Get("default"), want)
		}
	}
}

func TestBranchIn(t *testing.T) {
	for _, c := range []struct{ page, path, want string }{
		{"https://github.com/o/r/blob/main/.github/workflows/d.yml", ".github/workflows/d.yml", "main"},
		{"https://github.com/o/r/blob/release%2F1/x/.github/workflows/d.yml", ".github/workflows/d.yml", "release/1/x"},
		{"https://github.com/o/r/blob/main/.github/workflows/d.yml", ".github/workflows/e.yml", ""},
		{"https://github.com/o/r", ".github/workflows/d.yml", ""},
		{"", "", ""},
	} {
		if got := branchIn(c.page, c.path); got != c.want {
			t.Errorf("%s: %q, want %q", c.page, got, c.want)
		}
	}
}
