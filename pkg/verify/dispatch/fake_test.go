package dispatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
)

// fake is a host of one repository, example/web, in the words of one of the flavours. Runs live by the clock.
type fake struct {
	flavour string // github, ghes, forgejo, forgejo-old, gitea
	life    []phase
	tag     bool // send ETags
	faults  emulate.Faults

	mu        sync.Mutex
	runs      []*fakeRun
	requests  []string
	bodies    []string
	auth      string
	state     string                                            // of the workflow
	intercept func(w http.ResponseWriter, r *http.Request) bool // answers in place of the fake
}

// phase is what a run is from an age on.
type phase struct {
	age                time.Duration
	status, conclusion string
}

type fakeRun struct {
	id      int64
	file    string
	title   string
	payload string
	event   string
	attempt int
	created time.Time
	life    []phase
}

var (
	passes = []phase{{0, "queued", ""}, {5 * time.Second, "in_progress", ""}, {90 * time.Second, "completed", "success"}}
	runsOn = []phase{{0, "in_progress", ""}}
)

func ends(conclusion string) []phase {
	return []phase{{0, "queued", ""}, {5 * time.Second, "in_progress", ""}, {time.Minute, "completed", conclusion}}
}

func (f *fake) add(file string, age time.Duration, life []phase) *fakeRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addLocked(file, age, life)
}

func (f *fake) addLocked(file string, age time.Duration, life []phase) *fakeRun {
	r := &fakeRun{id: int64(100 + len(f.runs)), file: file, event: "workflow_dispatch", attempt: 1, created: time.Now().Add(-age), life: life, title: file}
	f.runs = append(f.runs, r)
	return r
}

func (f *fake) url() string {
	switch f.flavour {
	case "github":
		return "https://api.github.com"
	case "ghes":
		return "https://ghe.example/api/v3"
	}
	return "https://git.example/api/v1"
}

// workflow returns a verifier for the fake.
func (f *fake) workflow() *Workflow {
	return &Workflow{
		File: "deploy.yml", Repository: "example/web", URL: f.url(), Token: rotate.NewSecret("dispatch-token-0123"),
		Transport: &emulate.Wire{Route: func(host string) http.Handler {
			if u, _ := url.Parse(f.url()); host != u.Host {
				return nil
			}
			return f
		}},
	}
}

func (f *fake) phase(r *fakeRun) phase {
	var now phase
	for _, p := range r.life {
		if time.Since(r.created) >= p.age {
			now = p
		}
	}
	return now
}

func (f *fake) show(r *fakeRun) map[string]any {
	p := f.phase(r)
	page := fmt.Sprintf("https://git.example/example/web/actions/runs/%d", r.id)
	stamp := func(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
	switch f.flavour {
	case "github", "ghes":
		var conclusion any
		if p.conclusion != "" {
			conclusion = p.conclusion
		}
		return map[string]any{"id": r.id, "html_url": page, "display_title": r.title, "path": ".github/workflows/" + r.file, "head_branch": "main",
			"event": r.event, "status": p.status, "conclusion": conclusion, "run_attempt": r.attempt, "created_at": stamp(r.created), "run_started_at": stamp(r.created)}
	case "gitea":
		started := time.Unix(0, 0)
		if p.status != "queued" && p.status != "waiting" {
			started = r.created.Add(r.life[min(1, len(r.life)-1)].age)
		}
		return map[string]any{"id": r.id, "html_url": page, "display_title": r.title, "path": r.file + "@refs/heads/main", "head_branch": "main",
			"event": r.event, "status": p.status, "conclusion": p.conclusion, "run_attempt": 0, "started_at": stamp(started), "completed_at": stamp(time.Unix(0, 0))}
	}
	status := map[string]string{"queued": "waiting", "in_progress": "running", "waiting": "blocked"}[p.status]
	if p.status == "completed" {
		status = p.conclusion
	}
	started := "1970-01-01T00:00:00Z"
	if p.status == "in_progress" || p.status == "completed" {
		started = stamp(r.created.Add(r.life[min(1, len(r.life)-1)].age))
	}
	return map[string]any{"id": r.id, "html_url": page, "title": "Deploy", "workflow_id": r.file, "index_in_repo": r.id, "prettyref": "main", "event": r.event,
		"event_payload": r.payload, "status": status, "need_approval": p.status == "waiting", "created": stamp(r.created), "started": started, "stopped": "1970-01-01T00:00:00Z"}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u, _ := url.Parse(f.url())
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, u.Path), "/")
	f.mu.Lock()
	line := r.Method + " " + path
	if r.URL.RawQuery != "" && r.Method == http.MethodGet {
		line += "?" + r.URL.Query().Encode()
	}
	f.requests = append(f.requests, line)
	f.auth = r.Header.Get("Authorization")
	f.mu.Unlock()
	rest, ok := strings.CutPrefix(path, "repos/example/web")
	if !ok {
		f.refuse(w, 404, "Not Found")
		return
	}
	if f.intercept != nil && f.intercept(w, r) {
		return
	}
	github := f.flavour == "github" || f.flavour == "ghes"
	switch rest = strings.TrimPrefix(rest, "/"); {
	case rest == "":
		f.answer(w, 200, map[string]any{"default_branch": "main", "has_actions": true, "permissions": map[string]bool{"pull": true, "push": true}})
	case r.Method == http.MethodPost && rest == "actions/workflows/deploy.yml/dispatches":
		f.faults.Serve("dispatch", w, r, f.dispatch)
	case rest == "actions/workflows/deploy.yml" && (github || f.flavour == "gitea"):
		state := f.state
		if state == "" {
			state = "active"
		}
		f.answer(w, 200, map[string]any{"id": 1, "state": state, "path": ".github/workflows/deploy.yml", "html_url": "https://github.com/example/web/blob/main/.github/workflows/deploy.yml"})
	case rest == "actions/runs" || rest == "actions/workflows/deploy.yml/runs" && github:
		f.faults.Serve("list", w, r, f.list)
	case strings.HasPrefix(rest, "actions/runs/"):
		f.faults.Serve("run", w, r, f.one)
	case rest == "contents/.gitea/workflows/deploy.yml" && r.URL.Query().Get("ref") == "main" && !github:
		f.answer(w, 200, map[string]any{"name": "deploy.yml", "content": []byte("on:\n  workflow_dispatch: {}\n")})
	case rest == "contents/.gitea/workflows/push.yml" && !github:
		f.answer(w, 200, map[string]any{"name": "push.yml", "content": []byte("on: push\n")})
	case rest == "contents/.gitea/workflows" && r.URL.Query().Get("ref") == "main" && !github:
		f.answer(w, 200, []map[string]any{{"name": "deploy.yml"}, {"name": "other.yml"}})
	default:
		f.refuse(w, 404, "Not Found")
	}
}

func (f *fake) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fake) refuse(w http.ResponseWriter, status int, message string) {
	f.answer(w, status, map[string]any{"message": message})
}

func (f *fake) dispatch(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Ref     string            `json:"ref"`
		Inputs  map[string]string `json:"inputs"`
		Details bool              `json:"return_run_details"`
		Info    bool              `json:"return_run_info"`
	}
	raw := json.NewDecoder(r.Body)
	if err := raw.Decode(&body); err != nil {
		f.refuse(w, 400, err.Error())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, _ := json.Marshal(body)
	f.bodies = append(f.bodies, string(text))
	switch {
	case body.Ref != "main":
		f.refuse(w, 422, "No ref found for: "+body.Ref)
		return
	case f.flavour == "ghes" && body.Details:
		f.refuse(w, 400, `Invalid request. "return_run_details" is not a permitted key.`)
		return
	}
	run := f.addLocked("deploy.yml", 0, f.life)
	payload, _ := json.Marshal(map[string]any{"inputs": body.Inputs})
	run.payload = string(payload)
	for _, v := range body.Inputs {
		run.title += " " + v // run-name: deploy ${{ inputs.x }}
	}
	switch {
	case f.flavour == "github" && body.Details, f.flavour == "gitea" && r.URL.Query().Get("return_run_details") == "true":
		f.answer(w, 200, map[string]any{"workflow_run_id": run.id, "run_url": "x", "html_url": f.show(run)["html_url"]})
	case f.flavour == "forgejo" && body.Info:
		f.answer(w, 201, map[string]any{"id": run.id, "run_number": 3, "jobs": []string{"build"}})
	default:
		w.WriteHeader(204)
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	size, page := 30, 1
	for _, k := range []string{"per_page", "limit"} {
		if n, err := strconv.Atoi(q.Get(k)); err == nil {
			size = n
		}
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil {
		page = n
	}
	var rows []any
	for _, run := range slices.Backward(f.runs) {
		row := f.show(run)
		if e := q.Get("event"); e != "" && e != run.event {
			continue
		}
		if s := q.Get("status"); s != "" {
			if strings.HasPrefix(f.flavour, "forgejo") && !slices.Contains([]string{"waiting", "running", "success"}, s) {
				f.refuse(w, 400, "unknown status")
				return
			}
			if row["status"] != s {
				continue
			}
		}
		if from, to, ok := strings.Cut(q.Get("created"), ".."); ok {
			a, _ := time.Parse(time.RFC3339, from)
			b, _ := time.Parse(time.RFC3339, to)
			if at := run.created.Truncate(time.Second); at.Before(a) || at.After(b) {
				continue
			}
		}
		rows = append(rows, row)
	}
	total := len(rows)
	rows = rows[min((page-1)*size, total):min(page*size, total)]
	f.answer(w, 200, map[string]any{"total_count": total, "workflow_runs": rows})
}

func (f *fake) one(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, _ := strconv.ParseInt(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], 10, 64)
	for _, run := range f.runs {
		if run.id != id {
			continue
		}
		row := f.show(run)
		if f.tag {
			tag := fmt.Sprintf(`W/"%d-%s"`, id, row["status"])
			w.Header().Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		f.answer(w, 200, row)
		return
	}
	f.refuse(w, 404, "Not Found")
}

// count returns how many requests begin with prefix.
func (f *fake) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (f *fake) log(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		t.Log(r)
	}
}
