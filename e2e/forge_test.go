//go:build e2e

package e2e

// A user of the real Gitea and what he does there through its API.

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	answers = 20 * time.Second // one request
	runs    = 90 * time.Second // one workflow run
	glance  = 250 * time.Millisecond
)

// tenant is a user with an organisation of his own. He is no admin of the site.
type tenant struct {
	t        *testing.T
	user     string
	org      string
	password string
}

// newTenant makes them, and removes them with everything they own when the test is over.
func newTenant(t *testing.T) *tenant {
	t.Helper()
	needForge(t)
	tail := strings.ToLower(rand.Text()[:10])
	x := &tenant{t: t, user: "user-" + tail, org: "org-" + tail, password: rand.Text()}
	x.admin("POST", "/admin/users", map[string]any{"username": x.user, "email": x.user + "@example.invalid", "password": x.password, "must_change_password": false}, nil)
	t.Cleanup(func() { x.admin("DELETE", "/admin/users/"+x.user+"?purge=true", nil, nil) })
	x.admin("POST", "/admin/users/"+x.user+"/orgs", map[string]any{"username": x.org, "visibility": "public"}, nil)
	return x
}

// admin makes a request as the site's admin.
func (x *tenant) admin(method, path string, body, answer any) {
	x.t.Helper()
	x.call(method, path, body, answer, func(r *http.Request) { r.Header.Set("Authorization", "token "+forge.token) })
}

// call makes a request that must succeed.
func (x *tenant) call(method, path string, body, answer any, as func(*http.Request)) {
	x.t.Helper()
	status, text := x.try(method, path, body, as)
	if status < 200 || status >= 300 {
		x.t.Fatalf("%s %s: %d: %s", method, path, status, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			x.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

func (x *tenant) try(method, path string, body any, as func(*http.Request)) (int, []byte) {
	x.t.Helper()
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			x.t.Fatal(err)
		}
	}
	r, err := http.NewRequest(method, forge.api+path, &content)
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	as(r)
	client := &http.Client{Timeout: answers}
	resp, err := client.Do(r)
	if err != nil {
		x.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, text
}

// accessToken mints one of the user's own, as a person would for remint.
func (x *tenant) accessToken(scopes ...string) string {
	x.t.Helper()
	var made struct {
		Text string `json:"sha1"`
	}
	x.call("POST", "/users/"+x.user+"/tokens", map[string]any{"name": "t-" + rand.Text()[:8], "scopes": scopes}, &made,
		func(r *http.Request) { r.SetBasicAuth(x.user, x.password) })
	return made.Text
}

// repository is one of the tenant's, "organisation/name".
type repository struct {
	*tenant
	name    string
	fly     *flyio   // whose tokens no log may show; nil: none
	secrets []string // that no log may show either
	ended   []run
}

// repository makes one with these files on main. A private one is seen by its members only.
func (x *tenant) repository(owner string, private bool, files map[string]string) *repository {
	x.t.Helper()
	name := "repo-" + strings.ToLower(rand.Text()[:8])
	where := "/admin/users/" + x.user + "/repos"
	if owner == x.org {
		where = "/orgs/" + x.org + "/repos"
	}
	x.admin("POST", where, map[string]any{"name": name, "auto_init": true, "default_branch": "main", "private": private}, nil)
	r := &repository{tenant: x, name: owner + "/" + name}
	// At the end every token is known, so that the logs of early runs are searched for late ones too.
	x.t.Cleanup(r.clean)
	r.put(files)
	return r
}

// put adds files, or replaces them, in one commit.
func (r *repository) put(files map[string]string) {
	r.t.Helper()
	type change struct {
		Operation string `json:"operation"`
		Path      string `json:"path"`
		Content   string `json:"content"`
	}
	var all []change
	for path, content := range files {
		all = append(all, change{"upload", path, base64.StdEncoding.EncodeToString([]byte(content))})
	}
	if len(all) > 0 {
		r.admin("POST", "/repos/"+r.name+"/contents", map[string]any{"branch": "main", "message": "files", "files": all}, nil)
	}
}

// secret sets an Actions secret. No log may show it.
func (r *repository) secret(name, value string) {
	r.t.Helper()
	r.admin("PUT", "/repos/"+r.name+"/actions/secrets/"+name, map[string]any{"data": value}, nil)
	r.secrets = append(r.secrets, value)
}

// variable sets an Actions variable.
func (r *repository) variable(name, value string) {
	r.t.Helper()
	path := "/repos/" + r.name + "/actions/variables/" + name
	as := func(q *http.Request) { q.Header.Set("Authorization", "token "+forge.token) }
	status, text := r.try("PUT", path, map[string]any{"value": value}, as)
	if status == http.StatusNotFound {
		status, text = r.try("POST", path, map[string]any{"value": value}, as)
	}
	if status >= 300 {
		r.t.Fatalf("variable %s: %d: %s", name, status, text)
	}
}

// marker returns an Actions variable, "" if there is none.
func (r *repository) marker(name string) string {
	r.t.Helper()
	status, text := r.try("GET", "/repos/"+r.name+"/actions/variables/"+name, nil,
		func(q *http.Request) { q.Header.Set("Authorization", "token "+forge.token) })
	if status == http.StatusNotFound {
		return ""
	}
	var v struct {
		Text string `json:"data"`
	}
	if err := json.Unmarshal(text, &v); err != nil || status != http.StatusOK {
		r.t.Fatalf("variable %s: %d: %s", name, status, text)
	}
	return v.Text
}

// run is a workflow run that ended.
type run struct {
	id         int64
	conclusion string
	log        string // of all its jobs
}

// dispatch starts a workflow and waits for its end.
func (r *repository) dispatch(workflow string, inputs map[string]string) run {
	r.t.Helper()
	return r.wait(r.start(workflow, inputs))
}

// start starts a workflow and returns the id of the run.
func (r *repository) start(workflow string, inputs map[string]string) int64 {
	r.t.Helper()
	var began struct {
		ID int64 `json:"workflow_run_id"`
	}
	r.admin("POST", "/repos/"+r.name+"/actions/workflows/"+workflow+"/dispatches?return_run_details=true", map[string]any{"ref": "main", "inputs": inputs}, &began)
	return began.ID
}

// wait follows a run to its end.
func (r *repository) wait(id int64) run { r.t.Helper(); return r.waitFor(id, runs) }

func (r *repository) waitFor(id int64, limit time.Duration) run {
	r.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(glance) {
		var state struct{ Status, Conclusion string }
		r.admin("GET", fmt.Sprintf("/repos/%s/actions/runs/%d", r.name, id), nil, &state)
		if state.Status == "completed" {
			x := run{id, state.Conclusion, r.log(id)}
			r.ended = append(r.ended, x)
			return x
		}
		if time.Now().After(end) {
			r.t.Fatalf("run %d of %s is %q after %s; its log ends:\n%s", id, r.name, state.Status, limit, last(r.log(id), 60))
		}
	}
}

// log returns what the runner logged of a run's jobs, as far as there is something.
func (r *repository) log(id int64) string {
	r.t.Helper()
	var list struct{ Jobs []struct{ ID int64 } }
	r.admin("GET", fmt.Sprintf("/repos/%s/actions/runs/%d/jobs", r.name, id), nil, &list)
	var all strings.Builder
	for _, j := range list.Jobs {
		status, text := r.try("GET", fmt.Sprintf("/repos/%s/actions/jobs/%d/logs", r.name, j.ID), nil,
			func(q *http.Request) { q.Header.Set("Authorization", "token "+forge.token) })
		if status == http.StatusOK {
			all.Write(text)
		} else {
			fmt.Fprintf(&all, "(no log of job %d: %d)\n", j.ID, status)
		}
	}
	return all.String()
}

// clean makes sure that no log of a run shows a piece of a secret, plain or in base64.
func (r *repository) clean() {
	r.t.Helper()
	secrets := r.secrets
	if r.fly != nil {
		secrets = append(secrets, r.fly.texts()...)
	}
	for _, x := range r.ended {
		if x.log == "" || strings.Contains(x.log, "(no log of job") {
			r.t.Errorf("run %d has no log to look at: %s", x.id, x.log)
		}
		for _, s := range secrets {
			if at := shows(x.log, s); at >= 0 {
				r.t.Errorf("the log of run %d shows a piece of a secret of %d bytes in the line after: %s", x.id, len(s), last(x.log[:strings.LastIndex(x.log[:at], "\n")+1], 1))
			}
		}
	}
}

// Pieces of a secret are this long, and every so many bytes one begins: whoever shows 24 bytes in a row shows one.
const piece, apart = 16, 8

// shows returns where a text shows a piece of the secret, plain or inside of anything in base64; -1: nowhere.
func shows(text, secret string) int {
	forms := []string{secret}
	for skip := range 3 { // what comes before it shifts the letters of base64
		b := []byte(secret)[skip:]
		b = b[:len(b)/3*3]
		forms = append(forms, base64.StdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b))
	}
	for _, f := range forms {
		for i := 0; i+piece <= len(f); i += apart {
			if at := strings.Index(text, f[i:i+piece]); at >= 0 {
				return at
			}
		}
	}
	return -1
}

// last returns the last lines of a text.
func last(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}
