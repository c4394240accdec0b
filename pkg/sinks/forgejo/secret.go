// Package forgejo keeps a credential in an Actions secret of a Forgejo or Gitea server: of a repository, an
// organization or a user.
//
// Such a secret cannot be read back, so a marker (an Actions variable beside it) says which token it holds.
// The rules of the package:
//
//   - The marker may name an older token than the secret holds, never a newer one (see [Secret.Write]).
//   - Everything that can be known without a call is refused without one: names, sizes, addresses.
//   - The value leaves in the body of one request, the PUT of the secret, and is in no message.
package forgejo

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"unicode"

	"code.gitea.io/sdk/gitea"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Secret is an Actions secret on a Forgejo or Gitea server. Set Name, URL, Token and one of Repository, Org
// and User. It must not be copied after its first use, and is safe for concurrent use.
type Secret struct {
	Name       string        `yaml:"name" required:"true" scalar:"true" example:"FLY_DEPLOY_TOKEN" doc:"Name of the Actions secret. Letters, digits and underscores; not beginning with a digit, GITEA_ or GITHUB_. Forgejo also refuses GITEA_ and GITHUB_ anywhere in the name, and FORGEJO_ at its beginning."`
	Repository string        `yaml:"repository" env:"GITHUB_REPOSITORY" example:"example/web" doc:"Repository whose secret it is, as owner/name. Of no account when org or user is given."`
	Org        string        `yaml:"org" example:"example" doc:"Organization whose secret it is, instead of a repository's."`
	User       bool          `yaml:"user" default:"false" doc:"The secret belongs to the user whose token is used, instead of to a repository. Such secrets cannot be listed, so a missing one is not noticed beforehand; on Gitea its description is emptied."`
	URL        string        `yaml:"url" required:"true" env:"GITHUB_API_URL" example:"https://forge.example.com" doc:"Address of the server, with or without /api/v1. Plain http is refused except to this machine."`
	Token      rotate.Secret `yaml:"token" required:"true" env:"REMINT_FORGEJO_TOKEN" doc:"Access token of the owner of the repository (or of an owner of the organization) with the scope write:repository (write:organization, write:user). A collaborator's token and the job's own token cannot write secrets."`
	Current    rotate.Secret `yaml:"current" doc:"What the secret held when the job started, handed in by the workflow as an environment variable. No marker variable is then kept, unless marker is given too: then the value only serves to put it back if a verification fails."`
	Marker     string        `yaml:"marker" example:"FLY_DEPLOY_TOKEN_REMINT" doc:"Name of the Actions variable that records which token the secret holds. The default is the secret's name and _REMINT. On Forgejo it must not begin with CI."`
	Create     bool          `yaml:"create" default:"false" doc:"Create the secret if it does not exist. Without it a missing secret is an error, since it is most often a misspelt name."`

	// Transport carries the requests; nil: the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`

	once  sync.Once
	err   error // of setup
	wire  *httpx.Transport
	where place

	mu       sync.Mutex
	marker   marker
	listed   bool   // the secret was looked for in the list
	exists   bool   // and was there
	describe string // and had this description (Gitea)
	warnings warn.List
}

var (
	_ rotate.Sink     = (*Secret)(nil)
	_ rotate.Accepter = (*Secret)(nil)
	_ rotate.Holder   = (*Secret)(nil)
	_ rotate.Marker   = (*Secret)(nil)
	_ rotate.Checker  = (*Secret)(nil)
	_ rotate.Warner   = (*Secret)(nil)
)

// String names the secret: forgejo:owner/repository/NAME, forgejo:organization/NAME or forgejo:user/NAME.
func (s *Secret) String() string {
	return "forgejo:" + s.place().String() + "/" + strings.ToUpper(s.Name)
}

var (
	// segment is what both servers allow in names of owners and repositories.
	segment = pattern.New(`^[A-Za-z0-9._-]+$`)
	// github are the hosts of GitHub itself, which speaks another API.
	github = pattern.New(`(?i)^((api\.)?github\.com|.*\.ghe\.com)$`)
)

// Validate reports everything that is wrong with the configuration and can be known without a call.
func (s *Secret) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, rotate.Field(key, format, args...)) }

	if s.Name == "" {
		bad("name", "the name of the secret is missing")
	} else if why := refusedByAll(s.Name); why != "" {
		bad("name", "%q: %s", s.Name, why)
	}
	if s.Marker != "" {
		if why := refusedByAll(s.Marker); why != "" {
			bad("marker", "%q: %s", s.Marker, why)
		}
	}

	named := func(name string) bool { return segment.MatchString(name) && name != "." && name != ".." }
	owner, name, slash := strings.Cut(s.Repository, "/")
	switch {
	case s.Org != "" && s.User:
		bad("user", "a secret belongs to an organization or to a user, not to both; leave out org or user")
	case s.Org != "":
		if !named(s.Org) {
			bad("org", "%q is not the name of an organization", s.Org)
		}
	case s.User:
	case s.Repository == "":
		bad("repository", "say whose secret it is: repository (owner/name), org, or user: true")
	case !slash || !named(owner) || !named(name):
		bad("repository", "%q is not owner/name", s.Repository)
	}

	switch _, err := root(s.URL); {
	case s.URL == "":
		bad("url", "the address of the Forgejo or Gitea server is missing, such as https://forge.example.com")
	case err != nil:
		bad("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
	}

	if s.Token.IsZero() {
		bad("token", "an access token is missing; give one in REMINT_FORGEJO_TOKEN")
	} else if strings.ContainsFunc(s.Token.Reveal(), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		bad("token", "the access token contains a blank or a line break, which no token does")
	}
	return errors.Join(errs...)
}

// root returns the address of the server without the path of its API, which the SDK adds.
func root(address string) (string, error) {
	address = strings.TrimRight(address, "/")
	if strings.HasSuffix(address, "/api/v3") {
		return "", errGitHub
	}
	address = strings.TrimSuffix(address, "/api/v1")
	u, err := httpx.Base(address)
	if err != nil {
		return "", err
	}
	if github.MatchString(u.Hostname()) {
		return "", errGitHub
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

var errGitHub = errors.New("this is GitHub's API, which the forgejo sink does not speak: give the address of the Forgejo or Gitea server, or use the github sink")

func (s *Secret) place() place {
	switch {
	case s.Org != "":
		return place{org: s.Org}
	case s.User:
		return place{}
	}
	owner, name, _ := strings.Cut(s.Repository, "/")
	return place{owner: owner, repository: name}
}

func (s *Secret) markerName() string {
	if s.Marker != "" {
		return strings.ToUpper(s.Marker)
	}
	return strings.ToUpper(s.Name) + "_REMINT"
}

// setup prepares the first call.
func (s *Secret) setup() error {
	s.once.Do(func() {
		if s.err = s.Validate(); s.err != nil {
			return
		}
		address, err := root(s.URL)
		if err != nil {
			s.err = err
			return
		}
		if s.wire, s.err = httpx.New(address, s.Transport); s.err != nil {
			return
		}
		token := s.Token
		s.wire.Authorize = func(r *http.Request) error {
			r.Header.Set("Authorization", "token "+token.Reveal())
			return nil
		}
		s.where = s.place()
	})
	return s.err
}

// client returns an SDK client for one call. The SDK keeps its context in the client, asks for the server's
// version unless told not to (and then refuses calls that Forgejo, whose numbers differ, would answer), and
// prints request bodies in debug mode. Every request here may be sent again: PUT replaces the whole, and a
// POST that was carried out before answers 409.
func (s *Secret) client(ctx context.Context) (*gitea.Client, error) {
	return gitea.NewClient(strings.TrimSuffix(s.wire.URL().String(), "/"),
		gitea.SetGiteaVersion(""),
		gitea.SetHTTPClient(s.wire.Client()),
		gitea.SetContext(httpx.Repeatable(ctx)))
}

// failed says what was being done, and where.
func (s *Secret) failed(op string, err error) error {
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}

// Warnings returns what came up since it was last called.
func (s *Secret) Warnings() []string { return s.warnings.Take() }
