// Package dispatch verifies a credential by deploying with it: it dispatches a workflow on GitHub, Forgejo or
// Gitea and follows that very run to its end. Its rules:
//
//   - One dispatch per Verify. A dispatch whose answer was lost is looked for, never sent again.
//   - Only the run that was started counts: named by the server, else recognised by a correlation input, else
//     the only run of the workflow that can be it. Two that can be it are one too many: not proven.
//   - Only a run that completed with success passes, and only one that completed otherwise fails. Whatever else
//     happens (no answer, no right, no runner, no approval, no time) shows nothing about the credential and is
//     [rotate.ErrUnproven]: nothing is restored and nothing revoked.
//   - The job's own token goes to the host that runs the job and nowhere else.
//   - Every message names the run by its URL.
//
// Secrets are read when a run is queued (GitHub) or when a runner picks a job (Forgejo, Gitea), so a run that
// is older than a write still carries the old value: [Workflow.Drain] waits for those, and re-runs prove nothing.
package dispatch

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	githubURL = "https://api.github.com"

	defaultTimeout  = 30 * time.Minute
	defaultInterval = 10 * time.Second
	defaultApproval = 2 * time.Minute

	githubInputs  = 25 // most inputs of a dispatch, GitHub REST, "Create a workflow dispatch event"
	forgejoInputs = 10 // LIMIT_DISPATCH_INPUTS of Forgejo, unless the server sets another
)

// Workflow is a workflow that is dispatched to show that its consumers work with what the sinks hold.
// File, Repository and a token are needed. It is safe for concurrent use.
type Workflow struct {
	File        string            `yaml:"workflow" required:"true" scalar:"true" example:"deploy.yml" doc:"File name of the workflow, which must have the trigger workflow_dispatch."`
	Repository  string            `yaml:"repository" required:"true" env:"GITHUB_REPOSITORY" example:"example/web" doc:"Owner and name of the repository of the workflow."`
	Ref         string            `yaml:"ref" example:"production" doc:"Branch or tag on which the workflow runs. By default the repository's default branch, wherever remint itself was started from."`
	Inputs      map[string]string `yaml:"inputs" doc:"Inputs of the workflow. At most 25 on GitHub and, unless the server allows more, 10 on Forgejo."`
	Correlation string            `yaml:"correlation" example:"rotation_id" doc:"Name of an input that gets a unique id with every dispatch. A run whose dispatch was not answered is then recognised by it: on GitHub and Gitea the workflow's run-name must contain the input, on Forgejo it is enough to declare it."`
	Timeout     time.Duration     `yaml:"timeout" default:"30m" doc:"How long the run is followed, and how long older runs are waited for before something is revoked. When it is over, nothing is proven and nothing is revoked."`
	Interval    time.Duration     `yaml:"interval" default:"10s" doc:"Time between two looks at a run. It varies by a fifth and grows to three times as much for a run that takes long."`
	Approval    time.Duration     `yaml:"approval" default:"2m" doc:"How long a run is waited for that needs a person's approval."`
	SkipDrain   bool              `yaml:"skip-drain" doc:"Do not wait, before something is revoked, for runs of the repository that were queued before the secret was written and still carry the old value. For repositories whose other runs do not use the secret."`
	Forge       string            `yaml:"forge" enum:"github,forgejo" doc:"Kind of the host; forgejo stands for Gitea too. By default forgejo if the URL ends in /api/v1, else github."`
	URL         string            `yaml:"url" env:"GITHUB_API_URL" example:"https://git.example.com/api/v1" doc:"The host's API. By default that of the host that runs the job, else https://api.github.com. Plain http is accepted for loopback only."`
	Token       rotate.Secret     `yaml:"token" doc:"Credential that may dispatch and read runs (GitHub: Actions write; Forgejo: a writer of Actions, scope write:repository). By default the job's own token for the repository the job runs in, else REMINT_GITHUB_TOKEN or REMINT_FORGEJO_TOKEN."`

	RunnerURL        string        `yaml:"runner-url" env:"GITHUB_API_URL" doc:"API of the host that runs remint; left to the runner."`
	RunnerRepository string        `yaml:"runner-repository" env:"GITHUB_REPOSITORY" doc:"Repository that remint runs in; left to the runner."`
	RunnerWorkflow   string        `yaml:"runner-workflow" env:"GITHUB_WORKFLOW_REF" doc:"Workflow that remint runs in, whose runs are never waited for; left to the runner."`
	RunnerRun        string        `yaml:"runner-run" env:"GITHUB_RUN_ID" doc:"Run that remint runs in, which is never waited for; left to the runner."`
	RunnerToken      rotate.Secret `yaml:"runner-token" env:"GITHUB_TOKEN,INPUT_TOKEN" doc:"The job's own token; left to the runner. It is sent to runner-url only."`
	GitHubToken      rotate.Secret `yaml:"github-token" env:"REMINT_GITHUB_TOKEN" doc:"Used on GitHub where the job's own token does not reach."`
	ForgejoToken     rotate.Secret `yaml:"forgejo-token" env:"REMINT_FORGEJO_TOKEN" doc:"Used on Forgejo and Gitea where the job's own token does not reach."`

	// Transport is the wire below; nil is the process's pool of connections.
	Transport http.RoundTripper `yaml:"-"`

	once     sync.Once
	host     host
	hostErr  error
	mu       sync.Mutex
	branch   string // default branch, once known
	warnings warn.List
}

var (
	_ rotate.Verifier = (*Workflow)(nil)
	_ rotate.Checker  = (*Workflow)(nil)
	_ rotate.Warner   = (*Workflow)(nil)
	_ rotate.Drainer  = (*Workflow)(nil)
)

// String names the workflow, such as "dispatch:example/web/deploy.yml".
func (w *Workflow) String() string { return "dispatch:" + w.Repository + "/" + w.File }

// Warnings implements [rotate.Warner].
func (w *Workflow) Warnings() []string { return w.warnings.Take() }

func (w *Workflow) timeout() time.Duration  { return or(w.Timeout, defaultTimeout) }
func (w *Workflow) interval() time.Duration { return or(w.Interval, defaultInterval) }
func (w *Workflow) approval() time.Duration { return or(w.Approval, defaultApproval) }

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

var (
	fileRule  = pattern.New(`^[A-Za-z0-9_.][A-Za-z0-9_. -]*\.ya?ml$`)
	repoRule  = pattern.New(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)
	refRule   = pattern.New(`^[^\s~^:?*\\\x00-\x1f\x7f]+$`)
	shaRule   = pattern.New(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	inputRule = pattern.New(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

// Validate implements the configuration's check; it calls nobody.
func (w *Workflow) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch {
	case strings.Contains(w.File, "/"):
		bad("workflow", "give the file name only (%q), without its folder", path.Base(w.File))
	case !fileRule.MatchString(w.File):
		bad("workflow", "%q is not the file name of a workflow, such as deploy.yml", w.File)
	}
	if owner, name, _ := strings.Cut(w.Repository, "/"); !repoRule.MatchString(w.Repository) || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		bad("repository", "%q is not owner/name", w.Repository)
	}
	switch {
	case w.Ref == "":
	case shaRule.MatchString(w.Ref):
		bad("ref", "a workflow is dispatched on a branch or tag, not on a commit")
	case !refRule.MatchString(w.Ref) || strings.Contains(w.Ref, ".."):
		bad("ref", "%q is not the name of a branch or tag", w.Ref)
	}
	for name := range w.Inputs {
		if !inputRule.MatchString(name) {
			bad("inputs", "%q is not the name of an input", name)
		}
	}
	inputs := len(w.Inputs)
	if w.Correlation != "" {
		inputs++
		if !inputRule.MatchString(w.Correlation) {
			bad("correlation", "%q is not the name of an input", w.Correlation)
		}
		if _, twice := w.Inputs[w.Correlation]; twice {
			bad("correlation", "input %q gets its value from remint; remove it from inputs", w.Correlation)
		}
	}
	for field, d := range map[string]time.Duration{"timeout": w.Timeout, "interval": w.Interval, "approval": w.Approval} {
		if d < 0 {
			bad(field, "must not be negative")
		}
	}
	switch w.Forge {
	case "", "github", "forgejo":
	default:
		bad("forge", "%q is neither github nor forgejo", w.Forge)
	}
	if w.forge() == "github" && inputs > githubInputs {
		bad("inputs", "%d inputs; a dispatch takes at most %d", inputs, githubInputs)
	}
	u := w.apiURL()
	switch base, err := httpx.Base(u); {
	case w.forge() == "forgejo" && (u == githubURL || u == ""):
		bad("url", "the API of the Forgejo or Gitea server is missing, such as https://git.example.com/api/v1")
	case err != nil:
		bad("url", "%w", err)
	case w.forge() == "github" && strings.HasSuffix(base.Path, "/api/v1/"):
		bad("forge", "%s is the API of a Forgejo or Gitea server, not of GitHub", base)
	case w.credential().IsZero() && w.forge() == "github":
		bad("token", "no credential for %s: give the action its token input (the job's own token, with permission actions: write), or REMINT_GITHUB_TOKEN", base.Host)
	case w.credential().IsZero():
		bad("token", "no credential for %s: set REMINT_FORGEJO_TOKEN", base.Host)
	}
	if repo, file := w.own(); repo == w.Repository && file == w.File && w.atHome() {
		bad("workflow", "%s is the workflow that remint runs in; it cannot wait for a run of itself", w.File)
	}
	return errors.Join(errs...)
}

// forge returns "github" or "forgejo".
func (w *Workflow) forge() string {
	switch {
	case w.Forge != "":
		return w.Forge
	case strings.HasSuffix(strings.TrimRight(w.URL, "/"), "/api/v1"):
		return "forgejo" // GitHub's API is at / or at /api/v3
	}
	return "github"
}

// apiURL returns the API's base URL.
func (w *Workflow) apiURL() string {
	u := strings.TrimRight(w.URL, "/")
	switch {
	case u == "" && w.forge() == "github":
		return githubURL
	case u != "" && w.forge() == "forgejo" && !strings.HasSuffix(u, "/api/v1") && u != githubURL:
		return u + "/api/v1"
	}
	return u
}

// atHome reports whether the host is the one that runs remint.
func (w *Workflow) atHome() bool {
	home := strings.TrimRight(w.RunnerURL, "/")
	if home == "" {
		home = githubURL // where gh and its like send GITHUB_TOKEN outside a runner
	}
	return w.apiURL() == home
}

// credential picks the token: the one given; the job's own, at its own host and for its own repository, to
// which it is limited; a credential of remint's own; the job's own for another repository of its host, which
// public ones can at least be read with.
func (w *Workflow) credential() rotate.Secret {
	candidates := []rotate.Secret{w.Token}
	mine := w.GitHubToken
	if w.forge() == "forgejo" {
		mine = w.ForgejoToken
	}
	switch {
	case !w.atHome():
		candidates = append(candidates, mine)
	case w.RunnerRepository == "" || w.RunnerRepository == w.Repository:
		candidates = append(candidates, w.RunnerToken, mine)
	default:
		candidates = append(candidates, mine, w.RunnerToken)
	}
	for _, c := range candidates {
		if !c.IsZero() {
			return c
		}
	}
	return rotate.Secret{}
}

// own returns repository and file name of the workflow that remint runs in, as far as the runner told:
// "example/web/.github/workflows/rotate.yml@refs/heads/main".
func (w *Workflow) own() (repository, file string) {
	p, _, _ := strings.Cut(w.RunnerWorkflow, "@")
	parts := strings.Split(p, "/")
	if len(parts) < 3 {
		return w.RunnerRepository, ""
	}
	return parts[0] + "/" + parts[1], parts[len(parts)-1]
}

// connect validates once and makes the host, for library users who called Validate or did not.
func (w *Workflow) connect() (host, error) {
	w.once.Do(func() {
		if w.hostErr = w.Validate(); w.hostErr != nil {
			return
		}
		var t *httpx.Transport
		if t, w.hostErr = httpx.New(w.apiURL(), w.Transport); w.hostErr != nil {
			return
		}
		owner, name, _ := strings.Cut(w.Repository, "/")
		at := place{owner: owner, name: name, file: w.File, token: w.credential()}
		if w.forge() == "forgejo" {
			w.host = newForge(t, at)
		} else {
			w.host = newGitHub(t, at)
		}
	})
	return w.host, w.hostErr
}

// fault gives an error its place.
func (w *Workflow) fault(op string, err error) error {
	return &rotate.Error{Op: op, At: w.String(), Err: err}
}

// unproven says that nothing was shown, and why.
func unproven(format string, args ...any) error {
	return fmt.Errorf("%w: %w", rotate.ErrUnproven, fmt.Errorf(format, args...))
}
