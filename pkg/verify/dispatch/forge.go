package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	forgeRows  = 50 // largest page of both servers, unless set otherwise
	forgePages = 20
)

// forgeHost is the Actions API of Forgejo (12 or later) and Gitea (1.26 or later). They answer differently
// under the same paths; each request is one that both understand, and the answer tells which it was. The
// SDK is of no use here: it cannot ask Forgejo for the run, and reports a dispatch answered with 204 as failed.
type forgeHost struct {
	place
	wire   *httpx.Transport
	client *http.Client
}

func newForge(t *httpx.Transport, at place) *forgeHost {
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "token "+at.token.Reveal())
		return nil
	}
	return &forgeHost{place: at, wire: t, client: t.Client()}
}

func (f *forgeHost) names() bool         { return false } // older servers ignore the wish and answer 204
func (f *forgeHost) skew() time.Duration { return skewOf(f.wire) }

// do sends one request below the repository and decodes the answer into v. The response, whose body is
// used up, is nil if there was none.
func (f *forgeHost) do(ctx context.Context, method, path string, body, v any) (*http.Response, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
		}
	}
	at := "repos/" + f.owner + "/" + f.name + path
	req, err := http.NewRequestWithContext(ctx, method, f.wire.URL().String()+at, &content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, httpx.Wrap(err)
	}
	text, err := httpx.Drain(resp)
	if resp.StatusCode >= 300 {
		var refusal struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(text, &refusal) // pages of proxies are no JSON, and not worth showing
		err := httpx.Status(method, "/"+strings.SplitN(at, "?", 2)[0], resp, refusal.Message)
		if errors.Is(err, rotate.ErrDenied) {
			err = fmt.Errorf("%w (the token needs the scope write:repository, its user the right to write to Actions of %s/%s)", err, f.owner, f.name)
		}
		return resp, err
	}
	if err != nil {
		return resp, err
	}
	if v != nil && len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, v); err != nil {
			return resp, fmt.Errorf("%w: %s /%s: the answer is no JSON", rotate.ErrTemporary, method, at)
		}
	}
	return resp, nil
}

func (f *forgeHost) start(ctx context.Context, ref string, inputs map[string]string, _ bool) (run, bool, error) {
	body := struct {
		Ref    string            `json:"ref"`
		Inputs map[string]string `json:"inputs,omitempty"`
		Info   bool              `json:"return_run_info"` // Forgejo; Gitea wants it in the query
	}{ref, inputs, true}
	var answer struct {
		Forgejo int64  `json:"id"`
		Gitea   int64  `json:"workflow_run_id"`
		URL     string `json:"html_url"`
	}
	resp, err := f.do(httpx.Once(ctx), http.MethodPost, "/actions/workflows/"+url.PathEscape(f.file)+"/dispatches?return_run_details=true", body, &answer)
	switch {
	case err == nil, resp != nil && resp.StatusCode < 300:
		return run{id: max(answer.Forgejo, answer.Gitea), url: answer.URL}, true, nil
	case resp != nil && refused(resp), resp == nil && neverSent(err):
		return run{}, false, err
	case resp != nil && resp.StatusCode == http.StatusInternalServerError:
		return run{}, true, fmt.Errorf("%w (Forgejo also answers this if the workflow or an input is not there)", err)
	}
	return run{}, true, err
}

// forgeRun holds the fields of both servers.
type forgeRun struct {
	ID       int64  `json:"id"`
	URL      string `json:"html_url"`
	Event    string `json:"event"`
	Status   string `json:"status"`
	Attempt  int    `json:"run_attempt"`
	Approval bool   `json:"need_approval"`

	Payload  string `json:"event_payload"` // Forgejo: holds the inputs
	Workflow string `json:"workflow_id"`   // Forgejo: file name
	Ref      string `json:"prettyref"`     // Forgejo
	Created  string `json:"created"`       // Forgejo
	Started  string `json:"started"`       // Forgejo

	Title      string `json:"display_title"` // Gitea
	Path       string `json:"path"`          // Gitea: deploy.yml@refs/heads/main
	Branch     string `json:"head_branch"`   // Gitea
	Conclusion string `json:"conclusion"`    // Gitea
	StartedAt  string `json:"started_at"`    // Gitea; 1970 until then
}

func (r forgeRun) run() run {
	out := run{id: r.ID, url: r.URL, text: r.Title + "\n" + r.Payload, file: baseName(r.Workflow), branch: r.Branch + r.Ref,
		event: r.Event, created: moment(r.Created), started: moment(r.Started), attempt: r.Attempt, result: r.Conclusion}
	if out.file == "" {
		out.file = baseName(r.Path)
	}
	if out.started.IsZero() {
		out.started = moment(r.StartedAt)
	}
	switch r.Status {
	case "completed":
		out.state = done
	case "success", "failure", "cancelled", "skipped":
		out.state, out.result = done, r.Status
	case "running", "in_progress":
		out.state = running
	}
	if r.Approval && out.state != done {
		out.state = held
	}
	return out
}

// moment reads a time; nothing, year 1 and 1970 stand for none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() <= 0 {
		return time.Time{}
	}
	return t
}

func (f *forgeHost) run(ctx context.Context, id int64) (run, error) {
	var answer forgeRun
	if _, err := f.do(ctx, http.MethodGet, fmt.Sprintf("/actions/runs/%d", id), nil, &answer); err != nil {
		return run{}, err
	}
	if answer.ID != id {
		return run{}, fmt.Errorf("%w: the answer for run %d describes run %d", rotate.ErrTemporary, id, answer.ID)
	}
	return answer.run(), nil
}

func (f *forgeHost) dispatched(ctx context.Context) ([]run, error) {
	p, err := f.list(ctx, "&event=workflow_dispatch", 1)
	return p.runs, err
}

// forgePage is one page of runs, newest first.
type forgePage struct {
	runs  []run
	total int    // of the list
	word  string // what the server calls a running run
}

func (f *forgeHost) list(ctx context.Context, filter string, page int) (forgePage, error) {
	var answer struct {
		Total int        `json:"total_count"`
		Runs  []forgeRun `json:"workflow_runs"`
	}
	resp, err := f.do(ctx, http.MethodGet, fmt.Sprintf("/actions/runs?limit=%d&page=%d%s", forgeRows, page, filter), nil, &answer)
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusNotFound {
			err = fmt.Errorf("%w: the server lists no runs; that takes Forgejo 12 or Gitea 1.26", err)
		}
		return forgePage{}, err
	}
	p := forgePage{total: answer.Total, word: "running"}
	for _, r := range answer.Runs {
		p.runs = append(p.runs, r.run())
		if r.Path != "" {
			p.word = "in_progress"
		}
	}
	return p, nil
}

// carrying takes one request in a repository with few runs. In others it goes through the running ones,
// by the server's own word for them: a word it does not know might list none.
func (f *forgeHost) carrying(ctx context.Context, since time.Time) ([]run, error) {
	p, err := f.list(ctx, "", 1)
	if err != nil {
		return nil, err
	}
	runs := p.runs
	if p.total > len(runs) {
		runs = nil
		filter := "&status=" + p.word
		for page := 1; page <= forgePages; page++ {
			if p, err = f.list(ctx, filter, page); err != nil {
				return nil, err
			}
			runs = append(runs, p.runs...)
			if len(p.runs) == 0 || len(runs) >= p.total {
				break
			}
		}
	}
	at := since.Add(f.skew())
	var old []run
	for _, r := range runs {
		if f.carries(r) && (r.started.IsZero() || !r.started.After(at)) {
			old = append(old, r)
		}
	}
	return old, nil
}

// carries: secrets are read when a runner picks a job, so only running ones can carry an old value.
func (f *forgeHost) carries(r run) bool { return r.state == running }

// forgeRepo is what a repository says of itself and of what the asking user may do.
type forgeRepo struct {
	Branch      string `json:"default_branch"`
	Archived    bool   `json:"archived"`
	Actions     *bool  `json:"has_actions"`
	Permissions *struct {
		Pull bool `json:"pull"`
		Push bool `json:"push"`
	} `json:"permissions"`
}

func (f *forgeHost) defaultBranch(ctx context.Context) (string, error) {
	var answer forgeRepo
	_, err := f.do(ctx, http.MethodGet, "", nil, &answer)
	return answer.Branch, err
}

func (f *forgeHost) check(ctx context.Context, ref string) (string, error) {
	var repo forgeRepo
	if _, err := f.do(ctx, http.MethodGet, "", nil, &repo); err != nil {
		return "", err // the rest would fail the same way
	}
	var errs []error
	at := f.owner + "/" + f.name
	switch {
	case repo.Archived:
		errs = append(errs, fmt.Errorf("%w: %s is archived and runs no workflow", rotate.ErrConfig, at))
	case repo.Actions != nil && !*repo.Actions:
		errs = append(errs, fmt.Errorf("%w: Actions are switched off in the settings of %s", rotate.ErrConfig, at))
	case repo.Permissions != nil && repo.Permissions.Pull && !repo.Permissions.Push:
		errs = append(errs, fmt.Errorf("%w: the token may read %s but not dispatch its workflows: its user must be able to write to Actions there", rotate.ErrDenied, at))
	}
	if _, err := f.list(ctx, "", 1); err != nil {
		errs = append(errs, err)
	}
	if ref = shortRef(ref); ref == "" {
		ref = repo.Branch
	}
	errs = append(errs, f.checkFile(ctx, ref, ref == repo.Branch))
	return repo.Branch, errors.Join(errs...)
}

// folders of workflows; the first that exists on a ref is the only one that counts. Gitea knows the last two.
var folders = []string{".forgejo/workflows", ".gitea/workflows", ".github/workflows"}

// checkFile looks for the workflow on ref: by Gitea's API for workflows, which knows the default branch only,
// then by its file.
func (f *forgeHost) checkFile(ctx context.Context, ref string, isDefault bool) error {
	var workflow struct {
		State string `json:"state"`
	}
	switch _, err := f.do(ctx, http.MethodGet, "/actions/workflows/"+url.PathEscape(f.file), nil, &workflow); {
	case err == nil && workflow.State != "" && workflow.State != "active":
		return fmt.Errorf("%w: workflow %s is %s: enable it in the repository's Actions tab", rotate.ErrConfig, f.file, httpx.Clean(workflow.State, 40))
	case err == nil && isDefault:
		return nil
	}
	at := fmt.Sprintf("%s/%s on %s", f.owner, f.name, httpx.Clean(ref, 100))
	query := "?ref=" + url.QueryEscape(ref)
	for _, folder := range folders {
		var file struct {
			Content []byte `json:"content"`
		}
		_, err := f.do(ctx, http.MethodGet, "/contents/"+folder+"/"+url.PathEscape(f.file)+query, nil, &file)
		switch {
		case err == nil && len(file.Content) > 0 && !bytes.Contains(file.Content, []byte("workflow_dispatch")):
			return fmt.Errorf("%w: %s/%s of %s has no trigger workflow_dispatch", rotate.ErrConfig, folder, f.file, at)
		case err == nil:
			return nil
		case !errors.Is(err, rotate.ErrNotFound):
			return err
		}
		if _, err := f.do(ctx, http.MethodGet, "/contents/"+folder+query, nil, nil); err == nil {
			return fmt.Errorf("%w: there is no %s in %s of %s, and no other folder counts where that one exists", rotate.ErrNotFound, f.file, folder, at)
		}
	}
	return fmt.Errorf("%w: no workflow %s in %s, or no such branch or tag", rotate.ErrNotFound, f.file, at)
}
