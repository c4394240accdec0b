package forgejo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// exchange is a request and what Gitea 1.26.0 answers. ALICE owns the repository ALICE/web and the
// organization ACME; BOB is an admin among its collaborators, RAY one who reads.
type exchange struct {
	who          string // whose token: alice, bob, ray, or alice with one scope, or "" for none
	method, path string
	body         string
	status       int
	want         string // part of the answer; "-": none at all
}

var exchanges = []exchange{
	{"alice", "GET", "/repos/ALICE/web/actions/secrets", "", 200, "[]"},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/my", `{"data":"x","description":"d"}`, 201, "-"},
	{"alice", "GET", "/repos/ALICE/web/actions/secrets", "", 200, `[{"name":"MY","description":"d","created_at":"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/MY", `{"data":"y"}`, 204, "-"},
	{"alice", "GET", "/repos/ALICE/web/actions/secrets?page=2", "", 200, "[]"},
	{"alice", "GET", "/repos/ALICE/web/actions/secrets", "", 200, `"description":""`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/MY", `{"data":""}`, 422, `"message":"[Data]: Required"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/MY", ``, 422, `"message":"[Data]: Required"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/MY", `{`, 422, `"message":"[]: unexpected E`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/0", `{"data":""}`, 422, `"message":"[Data]: Required"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/1A", `{"data":"x"}`, 400, `"message":"invalid variable or secret name"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/CI", `{"data":"x"}`, 400, `"message":"invalid variable or secret name"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/GITHUB_X", `{"data":"x"}`, 400, `"message":"invalid variable or secret name"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/MY_GITHUB_X", `{"data":"x"}`, 201, "-"},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/FORGEJO_X", `{"data":"x"}`, 201, "-"},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/BIG", `{"data":"` + strings.Repeat("a", 65536) + `"}`, 201, "-"},
	{"alice", "PUT", "/repos/ALICE/web/actions/secrets/BIG", `{"data":"` + strings.Repeat("a", 65537) + `"}`, 400, `"message":"data too long"`},
	{"alice", "GET", "/repos/ALICE/web/actions/secrets/MY", "", 405, "-"},
	{"alice", "DELETE", "/repos/ALICE/web/actions/secrets/MY", "", 204, "-"},
	{"alice", "DELETE", "/repos/ALICE/web/actions/secrets/MY", "", 404, `"message":"secret was not found [name: ]"`},

	{"", "GET", "/repos/ALICE/web/actions/secrets", "", 404, `"message":"not found"`},
	{"nobody", "GET", "/repos/ALICE/web/actions/secrets", "", 401, `"message":"invalid username, password or token"`},
	{"alice read:repository", "GET", "/repos/ALICE/web/actions/secrets", "", 200, "FORGEJO_X"},
	{"alice read:repository", "PUT", "/repos/ALICE/web/actions/secrets/0", `{"data":""}`, 403, `required=[write:repository], token scope=read:repository"`},
	{"alice write:user", "GET", "/repos/ALICE/web/actions/secrets", "", 403, `required=[read:repository], token scope=write:user"`},
	{"alice write:user", "GET", "/repos/ALICE/nope/actions/secrets", "", 403, `required=[read:repository]`},
	{"bob", "GET", "/repos/ALICE/web/actions/secrets", "", 403, `"message":"user should be the owner of the repo"`},
	{"bob", "PUT", "/repos/ALICE/web/actions/secrets/0", `{"data":""}`, 403, `"message":"user should be the owner of the repo"`},
	{"bob", "GET", "/repos/ALICE/web/actions/variables/M", "", 403, `"message":"user should be the owner of the repo"`},
	{"alice", "GET", "/repos/ALICE/nope/actions/secrets", "", 404, `"message":"not found"`},
	{"alice", "GET", "/repos/nobodyhere/nope/actions/secrets", "", 404, `"message":"GetUserByName"`},

	{"alice", "GET", "/repos/ALICE/web/actions/variables/M", "", 404, `{"message":"variable not found"`},
	{"alice", "GET", "/repos/ALICE/web/actions/variables/0", "", 404, `"message":"variable not found"`},
	{"alice", "GET", "/repos/ALICE/nope/actions/variables/M", "", 404, `"message":"not found"`},
	{"alice", "POST", "/repos/ALICE/web/actions/variables/M", `{"value":"1","description":"d"}`, 201, "-"},
	{"alice", "POST", "/repos/ALICE/web/actions/variables/m", `{"value":"1"}`, 409, `"message":"variable name m already exists"`},
	{"alice", "GET", "/repos/ALICE/web/actions/variables/m", "", 200, `"name":"M","data":"1","description":"d"}`},
	{"alice", "PUT", "/repos/ALICE/web/actions/variables/M", `{"value":"2\r\n3","name":"M"}`, 204, "-"},
	{"alice", "GET", "/repos/ALICE/web/actions/variables/M", "", 200, `"data":"2\n3","description":""}`},
	{"alice", "PUT", "/repos/ALICE/web/actions/variables/NO", `{"value":"2"}`, 404, `"message":"variable not found"`},
	{"alice", "PUT", "/repos/ALICE/web/actions/variables/M", `{"value":""}`, 422, `"message":"[Value]: Required"`},
	{"alice", "POST", "/repos/ALICE/web/actions/variables/CI", `{"value":"x"}`, 400, `"message":"invalid variable or secret name"`},
	{"alice", "POST", "/repos/ALICE/web/actions/variables/CIX", `{"value":"x"}`, 201, "-"},
	{"alice", "GET", "/repos/ALICE/web/actions/variables", "", 200, `"name":"CIX"`},
	{"alice", "DELETE", "/repos/ALICE/web/actions/variables/M", "", 204, "-"},
	{"alice", "DELETE", "/repos/ALICE/web/actions/variables/M", "", 404, `"message":"variable not found"`},

	{"alice", "GET", "/orgs/ACME/actions/secrets", "", 200, "[]"},
	{"alice", "PUT", "/orgs/ACME/actions/secrets/MY", `{"data":"x"}`, 201, "-"},
	{"alice", "PUT", "/orgs/ACME/actions/secrets/MY", `{"data":"x"}`, 204, "-"},
	{"alice", "POST", "/orgs/ACME/actions/variables/M", `{"value":"1"}`, 201, "-"},
	{"alice", "PUT", "/orgs/ACME/actions/variables/M", `{"value":"2","name":"M"}`, 204, "-"},
	{"alice", "GET", "/orgs/ACME/actions/variables/M", "", 200, `"repo_id":0,"name":"M","data":"2"`},
	{"bob", "GET", "/orgs/ACME/actions/secrets", "", 403, `"message":"Must be an organization owner"`},
	{"alice", "GET", "/orgs/nosuchorg/actions/secrets", "", 404, `"message":"GetOrgByName"`},
	{"alice write:user", "PUT", "/orgs/ACME/actions/secrets/MY", `{"data":"x"}`, 403, `required=[write:organization]`},
	{"", "GET", "/orgs/ACME/actions/secrets", "", 401, `"message":"token is required"`},

	{"alice", "GET", "/user/actions/secrets", "", 404, "404 page not found"},
	{"alice", "PUT", "/user/actions/secrets/MY", `{"data":"x"}`, 201, "-"},
	{"alice", "PUT", "/user/actions/secrets/MY", `{"data":"x"}`, 204, "-"},
	{"alice", "POST", "/user/actions/variables/M", `{"value":"1"}`, 201, "-"},
	{"alice", "GET", "/user/actions/variables/M", "", 200, `"repo_id":0,"name":"M","data":"1"`},
	{"alice read:repository", "PUT", "/user/actions/secrets/MY", `{"data":"x"}`, 403, `required=[write:user]`},
	{"", "PUT", "/user/actions/secrets/MY", `{"data":"x"}`, 401, `"message":"token is required"`},

	{"", "GET", "/version", "", 200, `{"version":"1.26.0"}`},
	{"", "GET", "/../forgejo/v1/version", "", 404, "Not found."},
	{"alice", "GET", "/user", "", 200, `"login":"ALICE"`},
	{"alice", "GET", "/repos/ALICE/web", "", 200, `"default_branch":"main"`},
	{"alice", "GET", "/repos/ALICE/web/contents/.gitea/workflows/deploy.yml", "", 200, `"encoding":"base64"`},
	{"alice", "GET", "/repos/ALICE/web/contents/.gitea/workflows/nope.yml", "", 404, `"message":`},

	{"alice", "GET", "/repos/ALICE/web/actions/workflows", "", 200, `"id":"deploy.yml"`},
	{"alice", "GET", "/repos/ALICE/web/actions/workflows/deploy.yml", "", 200, `"state":"active"`},
	{"alice", "GET", "/repos/ALICE/web/actions/workflows/nope.yml", "", 404, `"message":"workflow \"nope.yml\" not found"`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs", "", 200, `{"workflow_runs":[],"total_count":0}`},
	{"alice", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches", `{"ref":"main","return_run_info":true,"inputs":{"remint":"r1","odd":"x"}}`, 204, "-"},
	{"alice", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches?return_run_details=true", `{"ref":"refs/heads/main","inputs":{"remint":"r2"}}`, 200, `{"workflow_run_id":`},
	{"alice", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches", `{}`, 422, `"message":"[Ref]: Required"`},
	{"alice", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches", `{"ref":"nope"}`, 404, `"message":"ref \"nope\" doesn't exist"`},
	{"alice", "POST", "/repos/ALICE/web/actions/workflows/nope.yml/dispatches", `{"ref":"main"}`, 404, `"message":"workflow \"nope.yml\" doesn't exist"`},
	{"bob", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches", `{"ref":"main"}`, 204, "-"},
	{"ray", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches", `{"ref":"main"}`, 403, `"message":"user should have a permission to write to a repo"`},
	{"ray", "GET", "/repos/ALICE/web/actions/runs", "", 200, `"total_count":3`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?limit=1", "", 200, `"run_number":3`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?limit=1&page=3", "", 200, `"display_title":"deploy r1"`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?limit=1", "", 200, `"path":"deploy.yml@refs/heads/main","event":"workflow_dispatch","run_attempt":0,`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?status=queued&event=workflow_dispatch&branch=main", "", 200, `"status":"queued"`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?status=completed", "", 200, `{"workflow_runs":[],"total_count":0}`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?event=push", "", 200, `"total_count":0`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs?status=bogus", "", 400, `"message":"Invalid status bogus"`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs/999999", "", 404, `"errors":["run with id 999999: resource does not exist"],"message":"not found"`},
	{"alice", "GET", "/repos/ALICE/web/actions/runs/abc", "", 404, `"message":"not found"`},
	{"", "GET", "/repos/ALICE/web/actions/runs", "", 404, `"message":"not found"`},
	{"alice", "GET", "/repos/ALICE/web/actions/tasks", "", 200, `"workflow_runs":[]`},
	{"alice", "PUT", "/repos/ALICE/web/actions/workflows/deploy.yml/disable", "", 204, "-"},
	{"alice", "POST", "/repos/ALICE/web/actions/workflows/deploy.yml/dispatches", `{"ref":"main"}`, 403, `"message":"workflow is disabled"`},
	{"alice", "GET", "/repos/ALICE/web/actions/workflows/deploy.yml", "", 200, `"state":"disabled_manually"`},
}

// play sends every exchange to a server at root and compares the answers.
func play(t *testing.T, root string, wire http.RoundTripper, names map[string]string, token func(who string) string) {
	t.Helper()
	for i, x := range exchanges {
		path := x.path
		want := x.want
		for from, to := range names {
			path, want = strings.ReplaceAll(path, from, to), strings.ReplaceAll(want, from, to)
		}
		url := root + "/api/v1" + path
		if rest, ok := strings.CutPrefix(path, "/../"); ok {
			url = root + "/api/" + rest
		}
		r, err := http.NewRequestWithContext(t.Context(), x.method, url, strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if x.who != "" {
			r.Header.Set("Authorization", "token "+token(x.who))
		}
		resp, err := wire.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		body := string(b)
		if resp.StatusCode != x.status || x.want == "-" && body != "" || x.want != "-" && !strings.Contains(body, want) {
			t.Errorf("%d: %q %s %s %.60s\n got %d %.300s\nwant %d %s", i, x.who, x.method, path, x.body, resp.StatusCode, body, x.status, want)
		}
	}
}

// The emulation answers as a real Gitea 1.26.0 did.
func TestLikeGitea(t *testing.T) {
	s := New(Gitea)
	s.Queue = -1
	s.AddOrg("acme", "alice")
	s.AddRepository("alice/web")
	s.AddCollaborator("alice/web", "bob", "admin")
	s.AddCollaborator("alice/web", "ray", "read")
	s.AddWorkflow("alice/web", "deploy.yml", Workflow{RunName: "deploy ${{ inputs.remint }}", Inputs: []Input{{Name: "remint"}}})
	for _, who := range []string{"alice", "bob", "ray", "alice read:repository", "alice write:user"} {
		user, scope, ok := strings.Cut(who, " ")
		if !ok {
			scope = "all"
		}
		s.AddToken(user, strings.ReplaceAll(who, " ", "_"), scope)
	}
	wire := &emulate.Wire{Route: func(string) http.Handler { return s }}
	play(t, "https://forge.example.com", wire, map[string]string{"ALICE": "alice", "ACME": "acme"},
		func(who string) string { return strings.ReplaceAll(who, " ", "_") })
}

// A real Gitea answers as the exchanges say. REMINT_GITEA is its address, REMINT_GITEA_TOKEN a token of a
// site admin.
func TestRealGitea(t *testing.T) {
	root, adminToken := os.Getenv("REMINT_GITEA"), os.Getenv("REMINT_GITEA_TOKEN")
	if root == "" || adminToken == "" {
		t.Skip("set REMINT_GITEA and REMINT_GITEA_TOKEN to run against a real Gitea")
	}
	call := func(method, path string, authorize func(*http.Request), body string) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, root+"/api/v1"+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		authorize(r)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, b, err)
		}
		return b
	}
	admin := func(r *http.Request) { r.Header.Set("Authorization", "token "+adminToken) }
	tail := fmt.Sprintf("%x", time.Now().UnixNano())
	names := map[string]string{"ALICE": "alice" + tail, "ACME": "acme" + tail}
	const password = "correct-horse-battery"
	for _, user := range []string{"alice", "bob", "ray"} {
		call("POST", "/admin/users", admin, fmt.Sprintf(`{"username":%q,"email":"%s@example.invalid","password":%q,"must_change_password":false}`, user+tail, user+tail, password))
	}
	full := "/repos/alice" + tail + "/web"
	call("POST", "/admin/users/alice"+tail+"/repos", admin, `{"name":"web","private":true,"auto_init":true,"default_branch":"main"}`)
	call("POST", "/admin/users/alice"+tail+"/orgs", admin, fmt.Sprintf(`{"username":%q}`, names["ACME"]))
	call("PUT", full+"/collaborators/bob"+tail, admin, `{"permission":"admin"}`)
	call("PUT", full+"/collaborators/ray"+tail, admin, `{"permission":"read"}`)
	const workflow = "run-name: deploy ${{ inputs.remint }}\non:\n  workflow_dispatch:\n    inputs:\n      remint: {type: string}\njobs:\n  deploy:\n    runs-on: nowhere\n    steps:\n      - run: 'true'\n"
	call("POST", full+"/contents/.gitea/workflows/deploy.yml", admin,
		fmt.Sprintf(`{"message":"wf","branch":"main","content":%q}`, base64.StdEncoding.EncodeToString([]byte(workflow))))
	tokens := map[string]string{"nobody": strings.Repeat("d", 40)}
	play(t, root, http.DefaultTransport, names, func(who string) string {
		if tokens[who] == "" {
			user, scope, ok := strings.Cut(who, " ")
			if !ok {
				scope = "all"
			}
			var answer struct{ SHA1 string }
			b := call("POST", "/users/"+user+tail+"/tokens", func(r *http.Request) { r.SetBasicAuth(user+tail, password) },
				fmt.Sprintf(`{"name":%q,"scopes":[%q]}`, who, scope))
			if err := json.Unmarshal(b, &answer); err != nil {
				t.Fatal(err)
			}
			tokens[who] = answer.SHA1
		}
		return tokens[who]
	})
}
