package forgejo

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

// limitInputs is LIMIT_DISPATCH_INPUTS of a Forgejo server that did not change it.
const limitInputs = 10

// branch finds the full name of a ref that exists.
func (r *repository) branch(ref string) (string, bool) {
	short := strings.TrimPrefix(ref, "refs/heads/")
	return "refs/heads/" + short, slices.Contains(r.branches, short)
}

func (c *call) dispatch() {
	r, ok := c.actions(write)
	if !ok {
		return
	}
	var body struct {
		Ref           string            `json:"ref"`
		Inputs        map[string]string `json:"inputs"`
		ReturnRunInfo bool              `json:"return_run_info"`
	}
	if !c.body(&body) {
		return
	}
	file := c.r.PathValue("file")
	if c.s.Kind == Gitea {
		c.dispatchGitea(r, file, body.Ref, body.Inputs)
		return
	}
	c.dispatchForgejo(r, file, body.Ref, body.Inputs, body.ReturnRunInfo)
}

func (c *call) dispatchGitea(r *repository, file, ref string, given map[string]string) {
	w := r.workflows[file]
	full, exists := r.branch(ref)
	switch {
	case ref == "":
		c.fail(http.StatusUnprocessableEntity, "[Ref]: Required")
		return
	case w != nil && w.Disabled:
		c.fail(http.StatusForbidden, "workflow is disabled")
		return
	case !exists:
		c.fail(http.StatusNotFound, fmt.Sprintf("ref %q doesn't exist", ref))
		return
	case w == nil:
		c.fail(http.StatusNotFound, fmt.Sprintf("workflow %q doesn't exist", file))
		return
	}
	inputs := map[string]string{}
	for _, in := range w.Inputs {
		value, ok := given[in.Name]
		if !ok {
			value = in.Default
		}
		inputs[in.Name] = value
	}
	title := "Add the workflow" // the first line of the commit's message
	if w.RunName != "" {
		title = w.RunName
		for name, value := range inputs {
			title = strings.ReplaceAll(title, "${{ inputs."+name+" }}", value)
		}
	}
	run := c.start(r, w, Run{Workflow: file, Title: title, Ref: full, Inputs: inputs}, ref, file)
	asked := c.r.URL.Query().Get("return_run_details")
	if c.s.NoRunInfo || asked != "true" && asked != "1" {
		c.empty(http.StatusNoContent)
		return
	}
	c.json(http.StatusOK, struct {
		WorkflowRunID int64  `json:"workflow_run_id"`
		RunURL        string `json:"run_url"`
		HTMLURL       string `json:"html_url"`
	}{run.ID, c.runURL(run), c.runPage(run)})
}

func (c *call) dispatchForgejo(r *repository, file, ref string, given map[string]string, info bool) {
	w := r.workflows[file]
	full, exists := r.branch(ref)
	switch {
	case ref == "":
		c.fail(http.StatusBadRequest, "ref is empty")
		return
	case !exists && strings.HasPrefix(ref, "refs/"):
		c.fail(http.StatusNotFound, "object does not exist [id: "+ref+", rel_path: ]")
		return
	case !exists: // a short name that is no branch, tag or commit is no typed error there
		c.broken("could not expand reference '" + ref + "'")
		return
	case w == nil:
		c.broken("workflow not found")
		return
	}
	inputs := map[string]string{}
	for _, in := range w.Inputs {
		value, err := c.input(in, given[in.Name])
		if err != nil {
			c.fail(http.StatusBadRequest, err.Error())
			return
		}
		if value != "" {
			inputs[in.Name] = value
		}
	}
	if len(inputs) > limitInputs {
		c.broken("too many inputs")
		return
	}
	title := w.Name
	if title == "" {
		title = path.Join(c.s.folder(), file)
	}
	run := c.start(r, w, Run{Workflow: file, Title: title, Ref: full, Inputs: inputs}, full, path.Join(c.s.folder(), file))
	if c.s.NoRunInfo || !info {
		c.empty(http.StatusNoContent)
		return
	}
	answer := struct {
		ID        int64    `json:"id"`
		RunNumber int64    `json:"run_number,omitempty"`
		Jobs      []string `json:"jobs"`
	}{run.ID, run.Number, run.jobs}
	if c.s.major() < 13 {
		answer.RunNumber = 0
	}
	c.json(http.StatusCreated, answer)
}

// input is what Forgejo makes of one input.
func (c *call) input(in Input, value string) (string, error) {
	if value == "" {
		value = in.Default
		if value == "" && in.Required {
			name := in.Description
			if name == "" {
				name = in.Name
			}
			return "", errors.New("input required for '" + name + "'")
		}
	} else if in.Type == "boolean" {
		if value == "on" {
			return "true", nil
		}
		if c.s.major() < 14 {
			return "false", nil
		}
	}
	return value, nil
}

// start makes the run of a dispatch. ref and workflow are as the event's payload says them.
func (c *call) start(r *repository, w *Workflow, x Run, ref, workflow string) *run {
	user := c.token.user
	x.Event, x.User, x.Status = "workflow_dispatch", user.name, "waiting"
	if w.Approval {
		x.Status, x.NeedApproval = "blocked", true
	}
	payload, err := json.Marshal(map[string]any{
		"inputs": maps.Clone(x.Inputs), "ref": ref, "repository": c.repo(r), "sender": c.user(user), "workflow": workflow,
	})
	if err != nil {
		payload = []byte("{}")
	}
	return c.s.enqueue(r, x, w.jobs(), string(payload))
}
