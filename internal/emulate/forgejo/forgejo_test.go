package forgejo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// client talks to an emulated server as a user.
type client struct {
	t     *testing.T
	wire  *emulate.Wire
	token string
}

func newClient(t *testing.T, s *Server) client {
	s.AddToken("alice", "alices", "all")
	return client{t, &emulate.Wire{Route: func(string) http.Handler { return s }}, "alices"}
}

// do returns the status and the decoded answer.
func (c client) do(method, path, body string) (int, map[string]any) {
	c.t.Helper()
	root := "https://forge.example.com/api/v1"
	if rest, ok := strings.CutPrefix(path, "/../"); ok { // beside it
		root, path = "https://forge.example.com/api/", rest
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, root+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.wire.RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	answer := map[string]any{"": string(b)}
	_ = json.Unmarshal(b, &answer)
	return resp.StatusCode, answer
}

const (
	actions    = "/repos/alice/web/actions"
	dispatches = actions + "/workflows/deploy.yml/dispatches"
)

// What a dispatch answers, by kind and age of the server.
func TestDispatch(t *testing.T) {
	both := Workflow{Name: "Deploy", Inputs: []Input{{Name: "remint"}, {Name: "app", Required: true, Default: "web"}, {Name: "dry", Type: "boolean"}}}
	strict := Workflow{Inputs: []Input{{Name: "app", Description: "The app", Required: true}}}
	many := Workflow{}
	for i := range 11 {
		many.Inputs = append(many.Inputs, Input{Name: fmt.Sprint("i", i), Default: "x"})
	}
	const asked = `{"ref":"main","inputs":{"remint":"r1","odd":"x","dry":"true"},"return_run_info":true}`
	tests := map[string]struct {
		set    func(*Server)
		w      Workflow
		path   string
		body   string
		status int
		want   string // part of the answer
		inputs string // of the run that was made; "": none was
	}{
		"details":            {nil, both, dispatches, asked, 201, `"run_number":1,"jobs":["deploy"]}`, "map[app:web dry:true remint:r1]"},
		"details, full ref":  {nil, both, dispatches, strings.Replace(asked, "main", "refs/heads/main", 1), 201, `"id":`, "map[app:web dry:true remint:r1]"},
		"not asked":          {nil, both, dispatches, `{"ref":"main"}`, 204, "", "map[app:web]"},
		"the flag not known": {func(s *Server) { s.NoRunInfo = true }, both, dispatches, asked, 204, "", "map[app:web dry:true remint:r1]"},
		"twelve":             {func(s *Server) { s.Major = 12 }, both, dispatches, asked, 201, `,"jobs":["deploy"]}`, "map[app:web dry:false remint:r1]"},
		"eleven":             {func(s *Server) { s.Major = 11 }, both, dispatches, strings.Replace(asked, `"true"`, `"on"`, 1), 201, `"id":`, "map[app:web dry:true remint:r1]"},
		"no ref":             {nil, both, dispatches, `{}`, 400, `"message":"ref is empty"`, ""},
		"missing full ref":   {nil, both, dispatches, `{"ref":"refs/heads/nope"}`, 404, `"message":"object does not exist`, ""},
		"missing short ref":  {nil, both, dispatches, `{"ref":"nope"}`, 500, `"message":""`, ""},
		"missing workflow":   {nil, both, actions + "/workflows/nope.yml/dispatches", `{"ref":"main"}`, 500, `"message":""`, ""},
		"told to an admin":   {func(s *Server) { s.AddAdmin("alice") }, both, actions + "/workflows/nope.yml/dispatches", `{"ref":"main"}`, 500, `"message":"workflow not found"`, ""},
		"required":           {nil, strict, dispatches, `{"ref":"main"}`, 400, `"message":"input required for 'The app'"`, ""},
		"too many":           {nil, many, dispatches, `{"ref":"main"}`, 500, `"message":""`, ""},
		"disabled, unlooked": {nil, Workflow{Disabled: true}, dispatches, `{"ref":"main"}`, 204, "", "map[]"},

		"gitea":               {func(s *Server) { s.Kind = Gitea }, both, dispatches, asked, 204, "", "map[app:web dry:true remint:r1]"},
		"gitea, details":      {func(s *Server) { s.Kind = Gitea }, both, dispatches + "?return_run_details=true", asked, 200, `{"workflow_run_id":`, "map[app:web dry:true remint:r1]"},
		"gitea, older":        {func(s *Server) { s.Kind, s.NoRunInfo = Gitea, true }, both, dispatches + "?return_run_details=true", asked, 204, "", "map[app:web dry:true remint:r1]"},
		"gitea, not required": {func(s *Server) { s.Kind = Gitea }, strict, dispatches, `{"ref":"main"}`, 204, "", "map[app:]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := New(Forgejo)
			s.AddRepository("alice/web")
			s.AddWorkflow("alice/web", "deploy.yml", test.w)
			c := newClient(t, s)
			if test.set != nil {
				test.set(s)
			}
			status, answer := c.do("POST", test.path, test.body)
			if text := answer[""].(string); status != test.status || !strings.Contains(text, test.want) || test.want == "" && text != "" {
				t.Errorf("got %d %s, want %d %s", status, text, test.status, test.want)
			}
			made := ""
			for _, r := range s.Runs("alice/web") {
				made += fmt.Sprint(r.Inputs)
			}
			if made != test.inputs {
				t.Errorf("made %q, want %q", made, test.inputs)
			}
		})
	}
}

// clock is a clock that a test turns.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// A run waits, is handed what the secrets are when it is picked, works, and ends as its work says.
func TestLife(t *testing.T) {
	for _, kind := range []Kind{Forgejo, Gitea} {
		for _, ok := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, ok), func(t *testing.T) {
				at := &clock{epoch}
				s := New(kind)
				s.Now, s.Queue, s.Work = at.now, time.Minute, 3*time.Minute
				s.AddOrg("alice", "alice")
				s.AddWorkflow("alice/web", "deploy.yml", Workflow{RunName: "r ${{ inputs.remint }}", Inputs: []Input{{Name: "remint"}}})
				s.SetSecret("alice/web", "TOKEN", "old", "")
				s.SetSecret("alice", "TOKEN", "the owner's", "")
				s.SetSecret("alice", "SHARED", "shared", "")
				s.SetVariable("alice/web", "V", "1")
				c := newClient(t, s)
				var seen Run
				s.OnRun = func(r Run) bool {
					seen = r
					c.do("GET", "/version", "") // it may call the server
					return ok
				}
				if status, _ := c.do("POST", dispatches, `{"ref":"main","inputs":{"remint":"abc"}}`); status != 204 {
					t.Fatal(status)
				}
				id := s.Runs("alice/web")[0].ID
				look := func() (status, conclusion string) {
					t.Helper()
					code, answer := c.do("GET", fmt.Sprintf("%s/runs/%d", actions, id), "")
					if code != 200 {
						t.Fatal(code)
					}
					status, _ = answer["status"].(string)
					conclusion, _ = answer["conclusion"].(string)
					return status, conclusion
				}
				states := map[Kind][][2]string{
					Forgejo: {{"waiting"}, {"running"}, {"success"}, {"failure"}},
					Gitea:   {{"queued"}, {"in_progress"}, {"completed", "success"}, {"completed", "failure"}},
				}[kind]
				want := func(i int) {
					t.Helper()
					if status, conclusion := look(); status != states[i][0] || conclusion != states[i][1] {
						t.Errorf("it is %s %s, want %v", status, conclusion, states[i])
					}
				}
				want(0)
				if _, answer := c.do("GET", actions+"/tasks", ""); answer["total_count"] != 0.0 {
					t.Errorf("a waiting run has tasks: %v", answer)
				}
				c.do("PUT", actions+"/secrets/TOKEN", `{"data":"new"}`) // while it is queued: it gets this one
				at.at = at.at.Add(time.Minute)
				c.do("PUT", actions+"/secrets/TOKEN", `{"data":"newer"}`) // after it was picked: it does not
				want(1)
				if seen.Secrets["TOKEN"] != "new" || seen.Secrets["SHARED"] != "shared" || seen.Variables["V"] != "1" || seen.Inputs["remint"] != "abc" {
					t.Errorf("handed over: %+v", seen)
				}
				at.at = at.at.Add(3 * time.Minute)
				if ok {
					want(2)
				} else {
					want(3)
				}
				_, answer := c.do("GET", actions+"/tasks", "")
				if rows := answer["workflow_runs"].([]any); len(rows) != 1 || rows[0].(map[string]any)["workflow_id"] != "deploy.yml" {
					t.Errorf("tasks: %v", rows)
				}
			})
		}
	}
}

// Runs that a person or another event holds up.
func TestHeldUp(t *testing.T) {
	s := New(Forgejo)
	s.AddWorkflow("alice/web", "deploy.yml", Workflow{Approval: true, Inputs: []Input{{Name: "remint"}}})
	c := newClient(t, s)
	_, answer := c.do("POST", dispatches, `{"ref":"main","return_run_info":true,"inputs":{"remint":"\"abc\""}}`)
	id := int64(answer["id"].(float64))
	_, run := c.do("GET", fmt.Sprintf("%s/runs/%d", actions, id), "")
	if run["status"] != "blocked" || run["need_approval"] != true || run["event"] != "workflow_dispatch" || run["title"] != ".forgejo/workflows/deploy.yml" {
		t.Errorf("blocked: %v", run)
	}
	var payload struct{ Inputs map[string]string }
	if err := json.Unmarshal([]byte(run["event_payload"].(string)), &payload); err != nil || payload.Inputs["remint"] != `"abc"` {
		t.Errorf("payload %v: %v", payload, err)
	}
	if !s.Approve(id) || s.Approve(id) {
		t.Error("approved once")
	}
	if _, run = c.do("GET", fmt.Sprintf("%s/runs/%d", actions, id), ""); run["status"] != "success" || run["need_approval"] != false {
		t.Errorf("approved: %v", run)
	}

	other := s.AddRun("alice/web", Run{Workflow: "ci.yml", Status: "running"})
	if _, list := c.do("GET", actions+"/runs?status=running&status=waiting", ""); list["total_count"] != 1.0 {
		t.Errorf("running: %v", list)
	}
	if _, list := c.do("GET", actions+"/runs?event=workflow_dispatch&workflow_id=deploy.yml&ref=refs/heads/main&run_number=1", ""); list["total_count"] != 1.0 {
		t.Errorf("dispatched: %v", list)
	}
	if status, _ := c.do("GET", actions+"/runs?status=bogus", ""); status != 400 {
		t.Errorf("bogus: %d", status)
	}
	if !s.Cancel(other) || s.Finish(other, true) {
		t.Error("ended twice")
	}
	if _, run = c.do("GET", fmt.Sprintf("%s/runs/%d", actions, other), ""); run["status"] != "cancelled" {
		t.Errorf("cancelled: %v", run)
	}
	s.AddRepository("alice/other")
	if status, _ := c.do("GET", fmt.Sprintf("/repos/alice/other/actions/runs/%d", id), ""); status != 404 {
		t.Errorf("a run of another repository: %d", status)
	}
	s.Queue = -1
	c.do("POST", dispatches, `{"ref":"main"}`)
	last := s.Runs("alice/web")[2]
	if last.Status != "blocked" || s.Pick(last.ID) {
		t.Errorf("a blocked run was picked: %+v", last)
	}
	s.Approve(last.ID)
	if got := s.Runs("alice/web")[2].Status; got != "waiting" {
		t.Errorf("it is %s", got)
	}
	if !s.Pick(last.ID) || s.Pick(last.ID) {
		t.Error("picked once")
	}
}

// What older Forgejo servers do not have.
func TestVersions(t *testing.T) {
	for _, test := range []struct {
		major          int
		path           string
		status         int
		version, whole string
	}{
		{11, actions + "/runs", 404, "11.0.0+gitea-1.22.0", ""},
		{11, actions + "/tasks", 200, "11.0.0+gitea-1.22.0", `{"workflow_runs":[],"total_count":0}`},
		{12, actions + "/runs", 200, "12.0.0+gitea-1.22.0", `{"workflow_runs":[],"total_count":0}`},
		{0, actions + "/workflows", 404, "14.0.0+gitea-1.22.0", ""},
		{15, actions + "/runs/1/jobs", 404, "15.0.0+gitea-1.22.0", "404 page not found"},
		{16, actions + "/runs/1/jobs", 404, "16.0.0+gitea-1.22.0", "resource does not exist"},
		{0, "/../forgejo/v1/version", 200, "14.0.0+gitea-1.22.0", `14.0.0`},
		{0, "/repos/alice/web/contents/.forgejo/workflows/deploy.yml", 200, "14.0.0+gitea-1.22.0", `"encoding":"base64"`},
		{0, "/user/actions/secrets", 404, "14.0.0+gitea-1.22.0", "404 page not found"},
	} {
		s := New(Forgejo)
		s.Major = test.major
		s.AddWorkflow("alice/web", "deploy.yml", Workflow{})
		c := newClient(t, s)
		status, answer := c.do("GET", test.path, "")
		if status != test.status || !strings.Contains(answer[""].(string), test.whole) {
			t.Errorf("%d %s: %d %s", test.major, test.path, status, answer[""])
		}
		if _, answer := c.do("GET", "/version", ""); answer["version"] != test.version {
			t.Errorf("version %v, want %s", answer["version"], test.version)
		}
	}
}

// Where Forgejo's answers differ from Gitea's.
func TestForgejoDiffers(t *testing.T) {
	s := New(Forgejo)
	s.AddRepository("alice/web")
	c := newClient(t, s)
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", actions + "/secrets/A", `{"data":"x\r\ny","description":"d"}`, 201, ""},
		{"GET", actions + "/secrets", "", 200, `[{"name":"A","created_at":"`},
		{"PUT", actions + "/secrets/MY_GITHUB_X", `{"data":"x"}`, 400, "invalid secret name"},
		{"PUT", actions + "/secrets/MY_GITEA_X", `{"data":"x"}`, 400, "invalid secret name"},
		{"PUT", actions + "/secrets/FORGEJO_X", `{"data":"x"}`, 400, "invalid secret name"},
		{"PUT", actions + "/secrets/MY_FORGEJO_X", `{"data":"x"}`, 201, ""},
		{"PUT", actions + "/secrets/CI", `{"data":"x"}`, 201, ""},
		{"PUT", actions + "/secrets/BIG", `{"data":"` + strings.Repeat("a", 65537) + `"}`, 201, ""},
		{"POST", actions + "/variables/V", `{"value":"1"}`, 204, ""},
		{"POST", actions + "/variables/V", `{"value":"1"}`, 409, "variable name V already exists"},
		{"PUT", actions + "/variables/V", `{"value":"2","name":"W"}`, 204, ""},
		{"GET", actions + "/variables/w", "", 200, `"name":"W","data":"2"}`},
		{"POST", actions + "/variables/CIRCLE", `{"value":"1"}`, 400, "env name cannot be ci"},
		{"GET", "/repos/alice/nope/actions/secrets", "", 404, `"message":"The target couldn't be found."`},
	} {
		status, answer := c.do(x.method, x.path, x.body)
		if text := answer[""].(string); status != x.status || !strings.Contains(text, x.want) {
			t.Errorf("%s %s: %d %s", x.method, x.path, status, text)
		}
	}
	if value, _, _ := s.Secret("alice/web", "A"); value != "x\ny" {
		t.Errorf("line endings are %q", value)
	}
	s.AddJobToken("alice/web", "job")
	c.token = "job"
	s.AddWorkflow("alice/web", "deploy.yml", Workflow{})
	for _, x := range []struct {
		method, path string
		status       int
	}{{"PUT", actions + "/secrets/A", 403}, {"GET", actions + "/variables/V", 403}, {"POST", dispatches, 204}, {"GET", actions + "/runs", 200}} {
		if status, answer := c.do(x.method, x.path, `{"ref":"main","data":"x"}`); status != x.status {
			t.Errorf("the job's own token, %s %s: %d %s", x.method, x.path, status, answer[""])
		}
	}
}
