package forgejo

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How runs, jobs and tasks are told. The two servers have the same paths and different fields.

// runURL is the address of a run in the API.
func (c *call) runURL(r *run) string {
	return fmt.Sprintf("%s/api/v1/repos/%s/actions/runs/%d", c.root(), r.Repository, r.ID)
}

// runPage is the page of a run: Gitea names it by id, Forgejo by number.
func (c *call) runPage(r *run) string {
	n := r.Number
	if c.s.Kind == Gitea {
		n = r.ID
	}
	return fmt.Sprintf("%s/%s/actions/runs/%d", c.root(), r.Repository, n)
}

func (r *run) branchName() string { return strings.TrimPrefix(r.Ref, "refs/heads/") }

type forgejoRun struct {
	ID                int64            `json:"id"`
	Title             string           `json:"title"`
	Repository        repositoryAnswer `json:"repository"`
	WorkflowID        string           `json:"workflow_id"`
	Index             int64            `json:"index_in_repo"`
	TriggerUser       userAnswer       `json:"trigger_user"`
	ScheduleID        int64
	PrettyRef         string        `json:"prettyref"`
	IsRefDeleted      bool          `json:"is_ref_deleted"`
	CommitSHA         string        `json:"commit_sha"`
	IsForkPullRequest bool          `json:"is_fork_pull_request"`
	NeedApproval      bool          `json:"need_approval"`
	ApprovedBy        int64         `json:"approved_by"`
	Event             string        `json:"event"`
	EventPayload      string        `json:"event_payload"`
	TriggerEvent      string        `json:"trigger_event"`
	Status            string        `json:"status"`
	Started           time.Time     `json:"started"`
	Stopped           time.Time     `json:"stopped"`
	Created           time.Time     `json:"created"`
	Updated           time.Time     `json:"updated"`
	Duration          time.Duration `json:"duration,omitempty"`
	HTMLURL           string        `json:"html_url"`
}

type giteaRun struct {
	ID           int64            `json:"id"`
	URL          string           `json:"url"`
	HTMLURL      string           `json:"html_url"`
	DisplayTitle string           `json:"display_title"`
	Path         string           `json:"path"`
	Event        string           `json:"event"`
	RunAttempt   int64            `json:"run_attempt"` // always 0 in 1.26.0
	RunNumber    int64            `json:"run_number"`
	HeadSHA      string           `json:"head_sha"`
	HeadBranch   string           `json:"head_branch,omitempty"`
	Status       string           `json:"status"`
	Actor        userAnswer       `json:"actor"`
	TriggerActor userAnswer       `json:"trigger_actor"`
	Repository   repositoryAnswer `json:"repository"`
	Conclusion   string           `json:"conclusion,omitempty"`
	StartedAt    time.Time        `json:"started_at"`
	CompletedAt  time.Time        `json:"completed_at"`
}

// giteaStatus turns a status into Gitea's words.
func giteaStatus(status string) (state, conclusion string) {
	switch status {
	case "waiting":
		return "queued", ""
	case "blocked":
		return "waiting", ""
	case "running":
		return "in_progress", ""
	}
	return "completed", status
}

func (r *run) updated() time.Time {
	for _, t := range []time.Time{r.Stopped, r.Started} {
		if !t.IsZero() {
			return instant(t)
		}
	}
	return instant(r.Created)
}

func (c *call) run(r *run) any {
	user := c.user(c.s.owners[lower(r.User)])
	if c.s.Kind == Gitea {
		status, conclusion := giteaStatus(r.Status)
		return giteaRun{
			ID: r.ID, URL: c.runURL(r), HTMLURL: c.runPage(r), DisplayTitle: r.Title, Path: r.Workflow + "@" + r.Ref, Event: r.Event,
			RunNumber: r.Number, HeadSHA: commit, HeadBranch: r.branchName(), Status: status, Conclusion: conclusion,
			Actor: user, TriggerActor: user, Repository: c.repo(r.repo), StartedAt: instant(r.Started), CompletedAt: instant(r.Stopped),
		}
	}
	a := forgejoRun{
		ID: r.ID, Title: r.Title, Repository: c.repo(r.repo), WorkflowID: r.Workflow, Index: r.Number, TriggerUser: user,
		PrettyRef: r.branchName(), CommitSHA: commit, NeedApproval: r.NeedApproval, Event: r.Event, EventPayload: r.payload,
		TriggerEvent: r.Event, Status: r.Status, Started: instant(r.Started), Stopped: instant(r.Stopped), Created: instant(r.Created),
		Updated: r.updated(), HTMLURL: c.runPage(r),
	}
	if r.done() && !r.Started.IsZero() {
		a.Duration = a.Stopped.Sub(a.Started)
	}
	return a
}

// noRuns answers for a Forgejo server from before the runs API.
func (c *call) noRuns() bool {
	if c.s.Kind == Forgejo && c.s.major() < 12 {
		c.noPage()
		return true
	}
	return false
}

var forgejoStates = []string{"unknown", "waiting", "running", "success", "failure", "cancelled", "skipped", "blocked"}

// giteaStates maps what the filter of Gitea may say to the states that it means.
var giteaStates = map[string][]string{
	"pending": {"blocked"}, "waiting": {"blocked"}, "requested": {"blocked"}, "action_required": {"blocked"},
	"queued": {"waiting"}, "in_progress": {"running"}, "completed": {"success", "failure", "skipped", "cancelled"},
	"failure": {"failure"}, "success": {"success"}, "skipped": {"skipped"}, "neutral": {"skipped"},
	"cancelled": {"cancelled"}, "timed_out": {"cancelled"},
}

// states reads the status filter, or answers 400.
func (c *call) states() (states []string, ok bool) {
	for _, asked := range c.r.URL.Query()["status"] {
		switch {
		case c.s.Kind == Gitea && giteaStates[asked] != nil:
			states = append(states, giteaStates[asked]...)
		case c.s.Kind == Gitea:
			c.fail(http.StatusBadRequest, "Invalid status "+asked)
			return nil, false
		case slices.Contains(forgejoStates, asked):
			states = append(states, asked)
		default:
			c.fail(http.StatusBadRequest, "unknown status: "+asked)
			return nil, false
		}
	}
	return states, true
}

func (c *call) listRuns() {
	if c.noRuns() {
		return
	}
	repo, ok := c.actions(read)
	if !ok {
		return
	}
	states, ok := c.states()
	if !ok {
		return
	}
	q := c.r.URL.Query()
	var found []*run
	for _, r := range slices.Backward(c.s.runs) { // the newest first
		keep := r.repo == repo && (states == nil || slices.Contains(states, r.Status)) &&
			(q["event"] == nil || slices.Contains(q["event"], r.Event)) &&
			(q.Get("head_sha") == "" || q.Get("head_sha") == commit)
		if c.s.Kind == Gitea {
			keep = keep && (q.Get("branch") == "" || q.Get("branch") == r.branchName()) && (q.Get("actor") == "" || same(q.Get("actor"), r.User))
		} else {
			keep = keep && (q.Get("workflow_id") == "" || q.Get("workflow_id") == r.Workflow) && (q.Get("ref") == "" || q.Get("ref") == r.Ref) &&
				(q.Get("run_number") == "" || q.Get("run_number") == strconv.FormatInt(r.Number, 10))
		}
		if keep {
			found = append(found, r)
		}
	}
	from, to := c.page(len(found))
	if c.s.Kind == Forgejo {
		c.w.Header().Del("X-Total-Count") // the count is in the body only
	}
	rows := []any{}
	for _, r := range found[from:to] {
		rows = append(rows, c.run(r))
	}
	c.json(http.StatusOK, struct {
		Runs  []any `json:"workflow_runs"`
		Total int   `json:"total_count"`
	}{rows, len(found)})
}

// find finds the run of the path in the repository of the path, or answers.
func (c *call) find() (*run, bool) {
	repo, ok := c.actions(read)
	if !ok {
		return nil, false
	}
	id, _ := strconv.ParseInt(c.r.PathValue("run"), 10, 64)
	r := c.s.run(id)
	if r != nil && r.repo == repo {
		return r, true
	}
	if c.s.Kind == Gitea {
		c.notFound("", fmt.Sprintf("run with id %d: resource does not exist", id))
	} else {
		c.fail(http.StatusNotFound, fmt.Sprintf("run with id %d: resource does not exist", id))
	}
	return nil, false
}

func (c *call) getRun() {
	if c.noRuns() {
		return
	}
	if r, ok := c.find(); ok {
		c.json(http.StatusOK, c.run(r))
	}
}

func (c *call) listJobs() {
	if c.s.Kind == Forgejo && c.s.major() < 16 {
		c.noPage()
		return
	}
	r, ok := c.find()
	if !ok {
		return
	}
	status, conclusion := giteaStatus(r.Status)
	rows := []map[string]any{}
	for i, name := range r.jobs {
		id := r.ID*100 + int64(i)
		if c.s.Kind == Forgejo {
			rows = append(rows, map[string]any{"id": id, "attempt": 1, "handle": "", "repo_id": r.repo.id, "owner_id": r.repo.ownerID, "name": name,
				"needs": nil, "runs_on": []string{"docker"}, "task_id": r.taskID, "status": r.Status})
			continue
		}
		row := map[string]any{"id": id, "url": fmt.Sprintf("%s/api/v1/repos/%s/actions/jobs/%d", c.root(), r.Repository, id),
			"html_url": fmt.Sprintf("%s/jobs/%d", c.runPage(r), id), "run_id": r.ID, "run_url": c.runURL(r), "name": name,
			"labels": []string{"self-hosted"}, "run_attempt": 1, "head_sha": commit, "head_branch": r.branchName(), "status": status,
			"steps": []any{}, "created_at": instant(r.Created), "started_at": instant(r.Started), "completed_at": instant(r.Stopped)}
		if conclusion != "" {
			row["conclusion"] = conclusion
		}
		rows = append(rows, row)
	}
	if c.s.Kind == Forgejo {
		c.json(http.StatusOK, rows)
		return
	}
	c.json(http.StatusOK, map[string]any{"jobs": rows, "total_count": len(rows)})
}

// listTasks tells one row for every job that a runner took up, newest first; a waiting run has none.
func (c *call) listTasks() {
	repo, ok := c.actions(read)
	if !ok {
		return
	}
	type row struct {
		ID           int64     `json:"id"`
		Name         string    `json:"name"`
		HeadBranch   string    `json:"head_branch"`
		HeadSHA      string    `json:"head_sha"`
		RunNumber    int64     `json:"run_number"`
		Event        string    `json:"event"`
		DisplayTitle string    `json:"display_title"`
		Status       string    `json:"status"`
		WorkflowID   string    `json:"workflow_id"`
		URL          string    `json:"url"`
		CreatedAt    time.Time `json:"created_at"`
		UpdatedAt    time.Time `json:"updated_at"`
		RunStartedAt time.Time `json:"run_started_at"`
	}
	rows := []row{}
	for _, r := range slices.Backward(c.s.runs) {
		if r.repo != repo || r.taskID == 0 {
			continue
		}
		for i, name := range slices.Backward(r.jobs) {
			rows = append(rows, row{
				ID: r.taskID*100 + int64(i), Name: name, HeadBranch: r.branchName(), HeadSHA: commit, RunNumber: r.Number, Event: r.Event,
				DisplayTitle: r.Title, Status: r.Status, WorkflowID: r.Workflow, URL: c.runPage(r),
				CreatedAt: instant(r.Started), UpdatedAt: r.updated(), RunStartedAt: instant(r.Started),
			})
		}
	}
	from, to := c.page(len(rows))
	if c.s.Kind == Forgejo {
		c.w.Header().Del("X-Total-Count")
	}
	c.json(http.StatusOK, struct {
		Rows  []row `json:"workflow_runs"`
		Total int   `json:"total_count"`
	}{rows[from:to], len(rows)})
}
