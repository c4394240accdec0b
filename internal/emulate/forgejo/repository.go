package forgejo

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// repository is a repository with its workflows. Its commits are made up.
type repository struct {
	id          int64
	owner, name string
	branches    []string // the first is the default one
	people      map[string]access
	workflows   map[string]*Workflow
	place
	runNumber int64
}

func (r *repository) full() string { return r.owner + "/" + r.name }

// commit is the made-up commit at the tip of every branch.
const commit = "5f1c3a0e9b7d2846afc0137e9d5b28c4f6a0e731"

// epoch is when everything that has no time of its own was made.
var epoch = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// Workflow is a workflow file that starts by workflow_dispatch.
type Workflow struct {
	Name     string   // as its name: says; "": none
	RunName  string   // as its run-name: says, in which ${{ inputs.x }} is replaced (Gitea only)
	Inputs   []Input  // as on.workflow_dispatch.inputs says
	Jobs     []string // names of its jobs; nil: one, "deploy"
	Disabled bool     // switched off (Gitea refuses to dispatch it)
	Approval bool     // its runs wait for a person (see [Server.Approve])
}

// Input is an input that a workflow declares.
type Input struct {
	Name, Description, Type, Default string
	Required                         bool
}

func (w *Workflow) jobs() []string {
	if len(w.Jobs) == 0 {
		return []string{"deploy"}
	}
	return w.Jobs
}

// yaml is the text of the workflow file.
func (w *Workflow) yaml() string {
	var b strings.Builder
	if w.Name != "" {
		fmt.Fprintf(&b, "name: %q\n", w.Name)
	}
	if w.RunName != "" {
		fmt.Fprintf(&b, "run-name: %q\n", w.RunName)
	}
	b.WriteString("on:\n  workflow_dispatch:\n")
	if len(w.Inputs) > 0 {
		b.WriteString("    inputs:\n")
	}
	for _, in := range w.Inputs {
		kind := in.Type
		if kind == "" {
			kind = "string"
		}
		fmt.Fprintf(&b, "      %s: {type: %s, required: %t, default: %q, description: %q}\n", in.Name, kind, in.Required, in.Default, in.Description)
	}
	b.WriteString("jobs:\n")
	for _, job := range w.jobs() {
		fmt.Fprintf(&b, "  %s:\n    runs-on: docker\n    steps:\n      - run: ./%s\n", job, job)
	}
	return b.String()
}

// folder is where this kind of server looks for workflows first.
func (s *Server) folder() string {
	if s.Kind == Gitea {
		return ".gitea/workflows"
	}
	return ".forgejo/workflows"
}

type userAnswer struct {
	ID       int64  `json:"id"`
	Login    string `json:"login"`
	FullName string `json:"full_name"`
	Email    string `json:"email"`
	HTMLURL  string `json:"html_url"`
	Username string `json:"username"`
}

func (c *call) user(o *owner) userAnswer {
	return userAnswer{ID: o.id, Login: o.name, Email: o.name + "@noreply.example.invalid", HTMLURL: c.root() + "/" + o.name, Username: o.name}
}

func (c *call) getUser() {
	if c.token == nil {
		c.fail(http.StatusUnauthorized, "token is required")
		return
	}
	if c.scope("user") {
		c.json(http.StatusOK, c.user(c.token.user))
	}
}

type repositoryAnswer struct {
	ID            int64           `json:"id"`
	Owner         userAnswer      `json:"owner"`
	Name          string          `json:"name"`
	FullName      string          `json:"full_name"`
	Private       bool            `json:"private"`
	HTMLURL       string          `json:"html_url"`
	URL           string          `json:"url"`
	DefaultBranch string          `json:"default_branch"`
	Archived      bool            `json:"archived"`
	HasActions    bool            `json:"has_actions"`
	Permissions   map[string]bool `json:"permissions"`
}

func (c *call) repo(r *repository) repositoryAnswer {
	a := c.access(r)
	return repositoryAnswer{
		ID: r.id, Owner: c.user(c.s.owners[strings.ToLower(r.owner)]), Name: r.name, FullName: r.full(), Private: true,
		HTMLURL: c.root() + "/" + r.full(), URL: c.root() + "/api/v1/repos/" + r.full(),
		DefaultBranch: r.branches[0], HasActions: true,
		Permissions: map[string]bool{"admin": a >= admin, "push": a >= write, "pull": a >= read},
	}
}

func (c *call) getRepository() {
	if r, ok := c.repository(); ok {
		c.json(http.StatusOK, c.repo(r))
	}
}

func (c *call) getContents() {
	r, ok := c.repository()
	if !ok {
		return
	}
	if ref := c.r.URL.Query().Get("ref"); ref != "" && !slices.Contains(r.branches, strings.TrimPrefix(ref, "refs/heads/")) {
		c.notFound("")
		return
	}
	file := c.r.PathValue("path")
	w := r.workflows[path.Base(file)]
	if w == nil || path.Dir(file) != c.s.folder() {
		c.notFound("", "object does not exist [id: , rel_path: "+file+"]")
		return
	}
	text := w.yaml()
	c.json(http.StatusOK, map[string]any{
		"name": path.Base(file), "path": file, "sha": commit, "type": "file", "size": len(text), "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString([]byte(text)),
		"url":     c.root() + "/api/v1/repos/" + r.full() + "/contents/" + file + "?ref=" + r.branches[0],
	})
}

type workflowAnswer struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Path      string    `json:"path"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	URL       string    `json:"url"`
	HTMLURL   string    `json:"html_url"`
	BadgeURL  string    `json:"badge_url"`
	DeletedAt time.Time `json:"deleted_at"`
}

func (c *call) workflow(r *repository, file string) workflowAnswer {
	w := r.workflows[file]
	a := workflowAnswer{
		ID: file, Name: file, Path: c.s.folder() + "/" + file, State: "active", CreatedAt: epoch, UpdatedAt: epoch,
		URL:      c.root() + "/api/v1/repos/" + r.full() + "/actions/workflows/" + file,
		HTMLURL:  c.root() + "/" + r.full() + "/src/branch/" + r.branches[0] + "/" + c.s.folder() + "/" + file,
		BadgeURL: c.root() + "/" + r.full() + "/actions/workflows/" + file + "/badge.svg?branch=" + r.branches[0],
	}
	if w.Name != "" {
		a.Name = w.Name
	}
	if w.Disabled {
		a.State = "disabled_manually"
	}
	return a
}

func (c *call) listWorkflows() {
	if c.s.Kind == Forgejo {
		c.noPage()
		return
	}
	r, ok := c.actions(read)
	if !ok {
		return
	}
	rows := []workflowAnswer{}
	for _, file := range sorted(r.workflows) {
		rows = append(rows, c.workflow(r, file))
	}
	c.json(http.StatusOK, map[string]any{"workflows": rows, "total_count": len(rows)})
}

func (c *call) getWorkflow() {
	if c.s.Kind == Forgejo {
		c.noPage()
		return
	}
	r, ok := c.actions(read)
	if !ok {
		return
	}
	file := c.r.PathValue("file")
	if r.workflows[file] == nil {
		c.fail(http.StatusNotFound, fmt.Sprintf("workflow %q not found", file))
		return
	}
	c.json(http.StatusOK, c.workflow(r, file))
}

// turn switches a workflow off or on.
func (c *call) turn(off bool) {
	if c.s.Kind == Forgejo {
		c.noPage()
		return
	}
	r, ok := c.actions(write)
	if !ok {
		return
	}
	file := c.r.PathValue("file")
	if r.workflows[file] == nil {
		c.fail(http.StatusNotFound, fmt.Sprintf("workflow %q not found", file))
		return
	}
	r.workflows[file].Disabled = off
	c.empty(http.StatusNoContent)
}
