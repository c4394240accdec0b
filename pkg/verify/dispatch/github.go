package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// longest is how long a run can take in all, approvals included (docs.github.com, "Actions limits").
const longest = 35 * 24 * time.Hour

// githubHost is the Actions API of GitHub and GitHub Enterprise Server. The typed calls of go-github v62 know
// neither return_run_details nor the path of a run, so it makes the requests and reads the errors, no more.
type githubHost struct {
	place
	wire *httpx.Transport

	mu   sync.Mutex
	last map[int64]tagged // what a run was when last asked for: an answer 304 costs no rate limit
}

type tagged struct {
	tag string
	run run
}

func newGitHub(t *httpx.Transport, at place) *githubHost {
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+at.token.Reveal())
		return nil
	}
	return &githubHost{place: at, wire: t, last: map[int64]tagged{}}
}

func (g *githubHost) names() bool         { return true }
func (g *githubHost) skew() time.Duration { return skewOf(g.wire) }

// path returns a path below the repository; parts are escaped.
func (g *githubHost) path(parts ...string) string {
	p := "repos/" + g.owner + "/" + g.name
	for _, x := range parts {
		p += "/" + url.PathEscape(x)
	}
	return p
}

// do sends one request and decodes the answer into v. The response is nil if there was none.
func (g *githubHost) do(ctx context.Context, method, path string, header http.Header, body, v any) (*http.Response, error) {
	// A client of v62 remembers a used-up rate limit and then refuses by itself, so each request has its own. A field
	// would also make the linker keep every method of the library, 0.8 MB, since this type stands behind an interface.
	client := github.NewClient(g.wire.Client())
	client.BaseURL, client.UserAgent = g.wire.URL(), httpx.UserAgent
	req, err := client.NewRequest(method, path, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	for k, x := range header {
		req.Header[k] = x
	}
	resp, err := client.Do(ctx, req, v)
	var answer *http.Response
	if resp != nil {
		answer = resp.Response
	}
	if err == nil {
		return answer, nil
	}
	at := "/" + strings.SplitN(path, "?", 2)[0]
	var status *github.ErrorResponse
	var primary *github.RateLimitError
	var secondary *github.AbuseRateLimitError
	switch {
	case answer != nil && answer.StatusCode == http.StatusNotModified:
		return answer, nil
	case errors.As(err, &primary):
		return answer, fmt.Errorf("%w: %s %s: the rate limit is used up until %s", rotate.ErrLimit, method, at, primary.Rate.Reset.UTC().Format(time.RFC3339))
	case errors.As(err, &secondary):
		return answer, fmt.Errorf("%w: %s %s: %s", rotate.ErrLimit, method, at, httpx.Clean(httpx.Blot(secondary.Message, answer.Request), 200))
	case errors.As(err, &status):
		message := status.Message
		for _, e := range status.Errors {
			message += "; " + e.Message
		}
		err := httpx.Status(method, at, answer, message)
		if errors.Is(err, rotate.ErrDenied) {
			err = fmt.Errorf("%w (give the job permissions: actions: write, or the token Actions: write on %s/%s)", err, g.owner, g.name)
		}
		return answer, err
	}
	return answer, httpx.Wrap(err)
}

func (g *githubHost) start(ctx context.Context, ref string, inputs map[string]string, details bool) (run, bool, error) {
	body := struct {
		Ref     string            `json:"ref"`
		Inputs  map[string]string `json:"inputs,omitempty"`
		Details bool              `json:"return_run_details,omitempty"`
	}{ref, inputs, details}
	var answer struct {
		ID  int64  `json:"workflow_run_id"`
		URL string `json:"html_url"`
	}
	resp, err := g.do(httpx.Once(ctx), http.MethodPost, g.path("actions", "workflows", g.file, "dispatches"), nil, body, &answer)
	switch {
	case err == nil, resp != nil && resp.StatusCode < 300: // a success that could not be read to its end is one
		return run{id: answer.ID, url: answer.URL}, true, nil
	case resp != nil && refused(resp):
		// GitHub Enterprise Server before 3.21 refuses the field (cli/cli#12672); nothing was started.
		if details && (resp.StatusCode == 400 || resp.StatusCode == 422) && strings.Contains(err.Error(), "return_run_details") {
			return run{}, false, errNoDetails
		}
		return run{}, false, err
	case resp == nil && neverSent(err):
		return run{}, false, err
	}
	return run{}, true, err
}

// githubRun is a workflow run (REST, "Get a workflow run").
type githubRun struct {
	ID         int64            `json:"id"`
	URL        string           `json:"html_url"`
	Title      string           `json:"display_title"`
	Path       string           `json:"path"`
	Branch     string           `json:"head_branch"`
	Event      string           `json:"event"`
	Status     string           `json:"status"`
	Conclusion string           `json:"conclusion"`
	Attempt    int              `json:"run_attempt"`
	Created    github.Timestamp `json:"created_at"`
	Started    github.Timestamp `json:"run_started_at"`
}

type githubRuns struct {
	Total int         `json:"total_count"`
	Runs  []githubRun `json:"workflow_runs"`
}

func (r githubRun) run() run {
	out := run{id: r.ID, url: r.URL, text: r.Title, file: baseName(r.Path), branch: r.Branch, event: r.Event,
		created: r.Created.Time, started: r.Started.Time, attempt: r.Attempt, result: r.Conclusion}
	switch r.Status {
	case "completed":
		out.state = done
	case "waiting": // for a protection rule of an environment
		out.state = held
	case "in_progress":
		out.state = running
	}
	return out
}

func (g *githubHost) run(ctx context.Context, id int64) (run, error) {
	g.mu.Lock()
	before := g.last[id]
	g.mu.Unlock()
	header := http.Header{}
	if before.tag != "" {
		header.Set("If-None-Match", before.tag)
	}
	var answer githubRun
	resp, err := g.do(ctx, http.MethodGet, g.path("actions", "runs", fmt.Sprint(id)), header, nil, &answer)
	if err != nil {
		return run{}, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return before.run, nil
	}
	if answer.ID != id {
		return run{}, fmt.Errorf("%w: the answer for run %d describes run %d", rotate.ErrTemporary, id, answer.ID)
	}
	g.mu.Lock()
	g.last[id] = tagged{resp.Header.Get("ETag"), answer.run()}
	g.mu.Unlock()
	return answer.run(), nil
}

func (g *githubHost) dispatched(ctx context.Context) ([]run, error) {
	runs, _, err := g.list(ctx, g.path("actions", "workflows", g.file, "runs")+"?event=workflow_dispatch&per_page=50")
	return runs, err
}

func (g *githubHost) list(ctx context.Context, path string) ([]run, int, error) {
	var answer githubRuns
	if _, err := g.do(ctx, http.MethodGet, path, nil, nil, &answer); err != nil {
		return nil, 0, err
	}
	var runs []run
	for _, r := range answer.Runs {
		runs = append(runs, r.run())
	}
	return runs, answer.Total, nil
}

// carrying takes one request in a repository with up to 100 runs in 35 days, and one for each state of an
// unfinished run in a busier one.
func (g *githubHost) carrying(ctx context.Context, since time.Time) ([]run, error) {
	if time.Since(since) > longest {
		return nil, nil
	}
	at := since.Add(g.skew())
	created := "&created=" + url.QueryEscape(at.Add(-longest).UTC().Format(time.RFC3339)+".."+at.UTC().Format(time.RFC3339))
	path := g.path("actions", "runs") + "?per_page=100"
	runs, total, err := g.list(ctx, path+created)
	if err != nil {
		return nil, err
	}
	if total > len(runs) {
		runs = nil
		for _, status := range []string{"requested", "waiting", "pending", "queued", "in_progress"} { // in the order in which runs pass them, so that none slips by
			for page, pages := 1, 1; page <= pages; page++ {
				some, total, err := g.list(ctx, fmt.Sprintf("%s%s&status=%s&page=%d", path, created, status, page))
				if err != nil {
					return nil, err
				}
				runs, pages = append(runs, some...), min((total+99)/100, 10) // GitHub lists the first 1,000
			}
		}
	}
	var old []run
	known := map[int64]bool{}
	for _, r := range runs {
		if g.carries(r) && !known[r.id] && !r.created.After(at) {
			old, known[r.id] = append(old, r), true
		}
	}
	return old, nil
}

// carries: secrets are read when a run is queued, so every run carries its value to its end.
func (g *githubHost) carries(r run) bool { return r.state != done }

func (g *githubHost) defaultBranch(ctx context.Context) (string, error) {
	var answer struct {
		Branch string `json:"default_branch"`
	}
	_, err := g.do(ctx, http.MethodGet, g.path(), nil, nil, &answer)
	return answer.Branch, err
}

func (g *githubHost) check(ctx context.Context, ref string) (string, error) {
	var answer struct {
		State string `json:"state"`
		Path  string `json:"path"`
		URL   string `json:"html_url"`
	}
	resp, err := g.do(ctx, http.MethodGet, g.path("actions", "workflows", g.file), nil, nil, &answer)
	if errors.Is(err, rotate.ErrNotFound) {
		return "", fmt.Errorf("%w: there is no workflow %s on the default branch of %s/%s, or this credential may not see it", err, g.file, g.owner, g.name)
	}
	if err != nil {
		return "", err
	}
	var errs []error
	if answer.State != "" && answer.State != "active" {
		errs = append(errs, fmt.Errorf("%w: workflow %s is %s: enable it in the repository's Actions tab", rotate.ErrConfig, g.file, httpx.Clean(answer.State, 40)))
	}
	// Classic tokens say what they may do; others do not.
	if scopes, ok := resp.Header["X-Oauth-Scopes"]; ok {
		has := map[string]bool{}
		for s := range strings.SplitSeq(strings.Join(scopes, ","), ",") {
			has[strings.TrimSpace(s)] = true
		}
		if !has["repo"] && !has["public_repo"] {
			errs = append(errs, fmt.Errorf("%w: the token lacks the scope repo, without which it cannot dispatch a workflow", rotate.ErrDenied))
		}
	}
	if len(errs) > 0 || ref != "" {
		return "", errors.Join(errs...)
	}
	if b := branchIn(answer.URL, answer.Path); b != "" {
		return b, nil
	}
	return g.defaultBranch(ctx)
}

// branchIn reads the default branch from a workflow's page, https://github.com/O/R/blob/BRANCH/PATH, which
// saves asking for the repository; "" if the page has another form.
func branchIn(page, path string) string {
	u, err := url.Parse(page)
	if err != nil || path == "" {
		return ""
	}
	parts := strings.SplitN(u.Path, "/", 5) // "", owner, name, "blob", branch and path
	if len(parts) != 5 || parts[3] != "blob" {
		return ""
	}
	b, ok := strings.CutSuffix(parts[4], "/"+path)
	if !ok {
		return ""
	}
	return b
}
