package github

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Workflow is a workflow file of a repository.
type Workflow struct {
	File       string   // its name under .github/workflows, such as deploy.yml
	Name       string   // "": the file's name
	State      string   // "": active; else disabled_manually or disabled_inactivity
	Refs       []string // branches and tags that have the file with its workflow_dispatch trigger; nil: every branch
	NoDispatch bool     // it has no workflow_dispatch trigger
	Inputs     []string // the inputs it declares
	// RunName is the title of its runs; ${{ inputs.x }} is replaced. "": the workflow's name.
	RunName string
	// Environment is what its job names, and reads secrets from; "": none.
	Environment string
}

type workflow struct {
	Workflow
	id      int64
	created time.Time
}

// AddWorkflow adds a workflow file to a repository, or replaces it.
func (s *Server) AddWorkflow(repository string, w Workflow) {
	if w.Name == "" {
		w.Name = w.File
	}
	if w.State == "" {
		w.State = "active"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(repository, nil)
	for _, x := range r.workflows {
		if x.File == w.File {
			x.Workflow = w
			return
		}
	}
	r.workflows = append(r.workflows, &workflow{Workflow: w, id: s.id(), created: s.second()})
}

// WorkflowState returns the state of a workflow, or "" if there is none.
func (s *Server) WorkflowState(repository, file string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.repository(repository, nil).workflows {
		if w.File == file {
			return w.State
		}
	}
	return ""
}

// workflow finds the workflow that the path names by file or id, or answers 404. The caller holds mu.
func (s *Server) workflow(c *call) *workflow {
	name := c.r.PathValue("workflow")
	for _, w := range c.repo.workflows {
		if name == strconv.FormatInt(w.id, 10) || name == w.File || name == w.path() {
			return w
		}
	}
	fail(c.w, 404, "Not Found")
	return nil
}

func (w *workflow) path() string { return path.Join(".github/workflows", w.File) }

func (s *Server) getWorkflow(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workflow(c)
	if w == nil {
		return
	}
	page := fmt.Sprintf("%s/%s", s.site(), c.repo.Name)
	reply(c.w, 200, object{
		"id": w.id, "node_id": node("W", w.id), "name": w.Name, "path": w.path(), "state": w.State,
		"created_at": w.created, "updated_at": w.created,
		"url":       fmt.Sprintf("%s/repos/%s/actions/workflows/%d", s.url(), c.repo.Name, w.id),
		"html_url":  fmt.Sprintf("%s/blob/%s/%s", page, c.repo.Branches[0], w.path()),
		"badge_url": fmt.Sprintf("%s/workflows/%s/badge.svg", page, w.Name),
	})
}

func (s *Server) enableWorkflow(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.workflow(c); w != nil {
		w.State = "active"
		c.w.WriteHeader(204)
	}
}

// details is the API version from which a dispatch always answers with the run (changelog, 2026-03-10).
const details = "2026-03-10"

func (s *Server) dispatch(c *call) {
	var body map[string]json.RawMessage
	if !decode(c, &body) {
		return
	}
	var in struct {
		Ref     string         `json:"ref"`
		Inputs  map[string]any `json:"inputs"`
		Details bool           `json:"return_run_details"`
	}
	for _, key := range slices.Sorted(maps.Keys(body)) {
		var into any
		switch key {
		case "ref":
			into = &in.Ref
		case "inputs":
			into = &in.Inputs
		case "return_run_details":
			if s.GHES {
				fail(c.w, 400, `Invalid request.`+"\n\n"+`"return_run_details" is not a permitted key.`)
				return
			}
			into = &in.Details
		default:
			fail(c.w, 422, fmt.Sprintf("Invalid request.\n\n%q is not a permitted key.", key))
			return
		}
		if err := json.Unmarshal(body[key], into); err != nil {
			fail(c.w, 422, fmt.Sprintf("Invalid request.\n\n%q is of the wrong type.", key))
			return
		}
	}
	if in.Ref == "" {
		fail(c.w, 422, "Invalid request.\n\n\"ref\" wasn't supplied.")
		return
	}

	s.mu.Lock()
	w := s.workflow(c)
	if w == nil {
		s.mu.Unlock()
		return
	}
	inputs, ok := s.dispatchable(c, w, in.Ref, in.Inputs)
	if !ok {
		s.mu.Unlock()
		return
	}
	x := s.queue(c.repo, w, Run{Event: "workflow_dispatch", Branch: short(in.Ref), Inputs: inputs, Actor: c.token.Login})
	x.hidden = s.Lag
	id := x.ID
	s.mu.Unlock()
	if s.Polls < 0 {
		s.advance(x)
	}
	if !in.Details && (s.GHES || c.r.Header.Get("X-GitHub-Api-Version") < details) {
		c.w.WriteHeader(204)
		return
	}
	reply(c.w, 200, object{
		"workflow_run_id": id,
		"run_url":         fmt.Sprintf("%s/repos/%s/actions/runs/%d", s.url(), c.repo.Name, id),
		"html_url":        fmt.Sprintf("%s/%s/actions/runs/%d", s.site(), c.repo.Name, id),
	})
}

func short(ref string) string {
	for _, p := range []string{"refs/heads/", "refs/tags/"} {
		if rest, ok := strings.CutPrefix(ref, p); ok {
			return rest
		}
	}
	return ref
}

// dispatchable answers 422 for what GitHub refuses to run. The caller holds mu.
func (s *Server) dispatchable(c *call, w *workflow, ref string, given map[string]any) (map[string]string, bool) {
	name := short(ref)
	known := slices.Contains(c.repo.Branches, name) || slices.Contains(w.Refs, name)
	switch {
	case !known:
		fail(c.w, 422, "No ref found for: "+ref)
		return nil, false
	case w.State != "active":
		fail(c.w, 422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
		return nil, false
	case w.NoDispatch || w.Refs != nil && !slices.Contains(w.Refs, name):
		fail(c.w, 422, "Workflow does not have 'workflow_dispatch' trigger")
		return nil, false
	case len(given) > 25:
		fail(c.w, 422, "Invalid request.\n\nNo more than 25 properties are allowed; "+strconv.Itoa(len(given))+" were supplied.")
		return nil, false
	}
	var unexpected []string
	inputs := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(w.Inputs, key) {
			unexpected = append(unexpected, strconv.Quote(key))
			continue
		}
		text, ok := given[key].(string)
		if !ok {
			fail(c.w, 422, fmt.Sprintf("Invalid request.\n\nFor 'properties/%s', %v is not a string.", key, given[key]))
			return nil, false
		}
		inputs[key] = text
	}
	if len(unexpected) > 0 {
		fail(c.w, 422, "Unexpected inputs provided: ["+strings.Join(unexpected, ", ")+"]")
		return nil, false
	}
	return inputs, true
}
