package github_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/internal/emulate/github/contract"
)

const (
	token = "github_pat_token"
	file  = "/repos/example/web/actions/workflows/deploy.yml"
)

var web = github.Place{Repository: "example/web"}

// client asks an emulation behind the contract.
type client struct {
	*testing.T
	*github.Server
	h     http.Handler
	token string
	extra http.Header
}

func start(t *testing.T) *client {
	s := github.New()
	s.AddRepository(github.Repository{Name: "example/web", Branches: []string{"main", "next"}})
	s.AddEnvironment("example/web", github.Environment{Name: "production"})
	s.AddWorkflow("example/web", github.Workflow{File: "deploy.yml", Name: "Deploy", Inputs: []string{"rotation"}, RunName: "Deploy ${{ inputs.rotation }}"})
	s.AddToken(github.Token{Value: token})
	return &client{T: t, Server: s, h: contract.Wrap(t, s), token: token, extra: http.Header{}}
}

// ask sends a request and expects a status; it returns the answer's object and headers.
func (c *client) ask(status int, method, path, body string) (map[string]any, http.Header) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, "https://api.github.com"+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.extra {
		r.Header[k] = v
	}
	resp, err := (&emulate.Wire{Route: func(string) http.Handler { return c.h }}).RoundTrip(r)
	if err != nil {
		c.Fatal(err)
	}
	out := map[string]any{}
	_ = json.NewDecoder(resp.Body).Decode(&out)
	if resp.StatusCode != status {
		c.Errorf("%s %s: %d %v, want %d", method, path, resp.StatusCode, out["message"], status)
	}
	return out, resp.Header
}

// run returns the path of a run that was dispatched.
func (c *client) run() string {
	c.Helper()
	out, _ := c.ask(200, "POST", file+"/dispatches", `{"ref":"main","return_run_details":true}`)
	return fmt.Sprintf("/repos/example/web/actions/runs/%.0f", out["workflow_run_id"])
}

func TestReads(t *testing.T) {
	c := start(t)
	_, h := c.ask(200, "GET", "/user", "")
	for _, k := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Used", "X-Ratelimit-Reset", "X-Ratelimit-Resource", "X-Github-Request-Id", "Date"} {
		if h.Get(k) == "" {
			t.Errorf("no header %s", k)
		}
	}
	c.ask(200, "GET", "/repos/example/web", "")
	c.ask(200, "GET", "/repos/example/web/environments/production", "")
	c.ask(404, "GET", "/repos/example/web/environments/none", "")
	c.ask(404, "GET", "/repos/example/none", "")
	out, _ := c.ask(200, "GET", file, "")
	c.ask(200, "GET", fmt.Sprintf("/repos/example/web/actions/workflows/%.0f", out["id"]), "")
	c.ask(404, "GET", "/repos/example/web/actions/workflows/none.yml", "")
	c.token = "unknown"
	c.ask(401, "GET", "/user", "")
	c.token = ""
	c.ask(401, "GET", "/user", "")
}

func TestDispatch(t *testing.T) {
	for _, x := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"with details", `{"ref":"main","return_run_details":true}`, 200, ""},
		{"without", `{"ref":"refs/heads/next","inputs":{"rotation":"1"}}`, 204, ""},
		{"unknown ref", `{"ref":"none"}`, 422, "No ref found for: none"},
		{"undeclared input", `{"ref":"main","inputs":{"k":"v"}}`, 422, `Unexpected inputs provided: ["k"]`},
		{"input that is no text", `{"ref":"main","inputs":{"rotation":{}}}`, 422, "is not a string"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := start(t)
			out, _ := c.ask(x.status, "POST", file+"/dispatches", x.body)
			if m, _ := out["message"].(string); !strings.Contains(m, x.says) {
				t.Errorf("says %q, want %q", m, x.says)
			}
			if n := len(c.Runs("example/web")); (n == 1) != (x.status < 300) {
				t.Errorf("%d runs", n)
			}
		})
	}
	c := start(t)
	c.AddWorkflow("example/web", github.Workflow{File: "manual.yml", State: "disabled_inactivity"})
	c.AddWorkflow("example/web", github.Workflow{File: "push.yml", NoDispatch: true})
	c.AddWorkflow("example/web", github.Workflow{File: "branch.yml", Refs: []string{"next"}})
	const at = "/repos/example/web/actions/workflows/"
	c.ask(422, "POST", at+"manual.yml/dispatches", `{"ref":"main"}`)
	c.ask(204, "PUT", at+"manual.yml/enable", "")
	c.ask(204, "POST", at+"manual.yml/dispatches", `{"ref":"main"}`)
	c.ask(422, "POST", at+"push.yml/dispatches", `{"ref":"main"}`)
	c.ask(422, "POST", at+"branch.yml/dispatches", `{"ref":"main"}`)
	c.ask(204, "POST", at+"branch.yml/dispatches", `{"ref":"next"}`)
	c.ask(404, "POST", at+"none.yml/dispatches", `{"ref":"main"}`)
	c.extra.Set("X-GitHub-Api-Version", "2026-03-10")
	c.ask(200, "POST", file+"/dispatches", `{"ref":"main"}`)

	c = start(t)
	c.GHES = true
	c.ask(400, "POST", file+"/dispatches", `{"ref":"main","return_run_details":true}`)
	c.ask(204, "POST", file+"/dispatches", `{"ref":"main"}`)
}

// Organization and repository secrets are those of the queueing, an environment's those of the start.
func TestRunReadsSecrets(t *testing.T) {
	c := start(t)
	production := github.Place{Repository: "example/web", Environment: "production"}
	c.AddWorkflow("example/web", github.Workflow{File: "deploy.yml", Environment: "production"})
	c.AddOrg("example")
	for p, name := range map[github.Place]string{{Org: "example"}: "O", web: "R", production: "E"} {
		c.SetSecret(p, name, "1")
	}
	c.SetSecret(web, "E", "hidden by the environment's")
	var saw map[string]string
	c.OnRun = func(r *github.Run) string { saw = r.Secrets; return "failure" }
	run := c.run()
	for p, name := range map[github.Place]string{{Org: "example"}: "O", web: "R", production: "E"} {
		c.SetSecret(p, name, "2")
	}
	for _, want := range []string{"queued", "in_progress", "completed", "completed"} {
		out, _ := c.ask(200, "GET", run, "")
		if out["status"] != want || (out["conclusion"] != nil) != (want == "completed") {
			t.Errorf("status %v, conclusion %v, want %s", out["status"], out["conclusion"], want)
		}
		c.SetSecret(production, "E", "3") // after the start
	}
	if saw["O"] != "1" || saw["R"] != "1" || saw["E"] != "2" {
		t.Errorf("the run read %v", saw)
	}
	if r := c.Runs("example/web")[0]; r.Conclusion != "failure" {
		t.Errorf("ended with %s", r.Conclusion)
	}
}

func TestRunLife(t *testing.T) {
	c := start(t)
	c.AddEnvironment("example/web", github.Environment{Name: "production", Approval: true})
	c.AddWorkflow("example/web", github.Workflow{File: "deploy.yml", Environment: "production"})
	run := c.run()
	see := func(want string) {
		t.Helper()
		if out, _ := c.ask(200, "GET", run, ""); out["status"] != want {
			t.Errorf("status %v, want %s", out["status"], want)
		}
	}
	see("queued")
	see("waiting")
	see("waiting")
	c.Approve(c.Runs("example/web")[0].ID)
	see("queued")
	see("in_progress")
	see("completed")
	c.ask(409, "POST", run+"/cancel", "")

	run = c.run()
	c.ask(202, "POST", run+"/cancel", "")
	see("completed")
	id := c.AddRun(github.Run{Repository: "example/web", Workflow: "deploy.yml", Event: "push", Stuck: true, Created: time.Now().Add(-time.Hour)})
	run = fmt.Sprintf("/repos/example/web/actions/runs/%d", id)
	for range 5 {
		see("queued")
	}
	c.Finish(id, "success")
	see("completed")
	c.ask(404, "GET", "/repos/example/web/actions/runs/1", "")

	c = start(t)
	c.Polls = -1
	c.run()
	if r := c.Runs("example/web")[0]; r.Conclusion != "success" || !strings.HasPrefix(r.Title, "Deploy") {
		t.Errorf("%+v", r)
	}
}

func TestNotModified(t *testing.T) {
	c := start(t)
	run := c.run()
	c.Finish(c.Runs("example/web")[0].ID, "success")
	_, h := c.ask(200, "GET", run, "")
	c.extra.Set("If-None-Match", h.Get("ETag"))
	c.ask(304, "GET", run, "")
	_, after := c.ask(304, "GET", run, "")
	if a, b := h.Get("X-Ratelimit-Used"), after.Get("X-Ratelimit-Used"); a == "" || b != "3" {
		t.Errorf("used %s, after two 304s %s: the first must have cost nothing", a, b)
	}
}

func TestListRuns(t *testing.T) {
	c := start(t)
	c.AddWorkflow("example/web", github.Workflow{File: "test.yml"})
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		c.AddRun(github.Run{Repository: "example/web", Workflow: "deploy.yml", Event: "push", Stuck: true, Created: noon.Add(time.Duration(i) * time.Hour)})
	}
	c.AddRun(github.Run{Repository: "example/web", Workflow: "test.yml", Branch: "next", Status: "completed", Conclusion: "success", Created: noon})
	for query, want := range map[string]int{
		"":                                 6,
		"event=push":                       5,
		"event=workflow_dispatch":          1,
		"branch=next":                      1,
		"status=queued":                    5,
		"status=success":                   1,
		"created=>=2026-05-01T14:00:00Z":   3,
		"created=>2026-05-01T14:00:00Z":    2,
		"created=<2026-05-01T14:00:00Z":    3,
		"created=<=2026-05-01T14:00:00Z":   4,
		"created=2026-05-01T13:00:00Z..*":  4,
		"created=2026-05-01":               6,
		"created=>=2026-05-02":             0,
		"event=push&created=>=2026-05-01":  5,
		"status=queued&per_page=2&page=2":  5,
		"status=queued&per_page=2&page=99": 5,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		out, h := c.ask(200, "GET", "/repos/example/web/actions/runs?"+q.Encode(), "")
		if out["total_count"] != float64(want) {
			t.Errorf("%s: %v runs, want %d", query, out["total_count"], want)
		}
		if strings.HasSuffix(query, "page=2") && (len(out["workflow_runs"].([]any)) != 2 || !strings.Contains(h.Get("Link"), `rel="next"`)) {
			t.Errorf("%s: %d on the page, Link %q", query, len(out["workflow_runs"].([]any)), h.Get("Link"))
		}
	}
	out, _ := c.ask(200, "GET", file+"/runs", "")
	if out["total_count"] != 5.0 {
		t.Errorf("of one workflow: %v", out["total_count"])
	}
	c.Lag = 2
	c.run()
	for _, want := range []float64{5, 5, 6} {
		if out, _ := c.ask(200, "GET", file+"/runs", ""); out["total_count"] != want {
			t.Errorf("%v runs, want %v while the list lags", out["total_count"], want)
		}
	}
}

// What a job's own token can do: dispatch and read, never secrets or variables.
func TestJobToken(t *testing.T) {
	c := start(t)
	c.SetSecret(web, "N", "v")
	c.AddToken(github.Token{Value: "ghs_job", Kind: github.Job, Repositories: []string{"example/web"}})
	c.token = "ghs_job"
	run := c.run()
	c.ask(200, "GET", run, "")
	for _, path := range []string{"/actions/secrets/public-key", "/actions/secrets/N", "/actions/variables/N", "/environments/production/secrets/public-key"} {
		if out, _ := c.ask(403, "GET", "/repos/example/web"+path, ""); out["message"] != "Resource not accessible by integration" {
			t.Errorf("%s: %v", path, out["message"])
		}
	}
	c.AddRepository(github.Repository{Name: "example/other"})
	c.ask(404, "GET", "/repos/example/other", "")
}

func TestSecretsRefused(t *testing.T) {
	c := start(t)
	const at = "/repos/example/web/actions/secrets/"
	out, _ := c.ask(200, "GET", at+"public-key", "")
	for body, path := range map[string]string{
		`{"encrypted_value":"QUJD","key_id":"1"}`:                              at + "N",
		`{"encrypted_value":"QUJD","key_id":"` + out["key_id"].(string) + `"}`: at + "N",
		`{"encrypted_value":"QUJE","key_id":"1"}`:                              at + "GITHUB_N",
		`{"encrypted_value":"QUJF","key_id":"1"}`:                              at + "1N",
	} {
		c.ask(422, "PUT", path, body)
	}
	c.ask(404, "GET", at+"N", "")
	c.ask(404, "DELETE", at+"N", "")
	c.ask(201, "POST", "/repos/example/web/actions/variables", `{"name":"v","value":"1"}`)
	c.ask(409, "POST", "/repos/example/web/actions/variables", `{"name":"V","value":"1"}`)
	c.ask(204, "PATCH", "/repos/example/web/actions/variables/v", `{"value":"2"}`)
	c.ask(404, "PATCH", "/repos/example/web/actions/variables/w", `{"value":"2"}`)
	if v, _ := c.Variable(web, "V"); v != "2" {
		t.Errorf("the variable is %q", v)
	}
}

func TestRateLimit(t *testing.T) {
	c := start(t)
	now := time.Now()
	c.Now = func() time.Time { return now }
	c.Limit = 1
	c.ask(200, "GET", "/user", "")
	_, h := c.ask(403, "GET", "/user", "")
	if h.Get("X-Ratelimit-Remaining") != "0" || h.Get("X-Ratelimit-Reset") != fmt.Sprint(now.Add(time.Hour).Unix()) {
		t.Errorf("headers %v", h)
	}
	now = now.Add(time.Hour)
	c.ask(200, "GET", "/user", "")
}
