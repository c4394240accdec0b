// Package github keeps a credential in an Actions secret on GitHub: of a repository, of one of its
// environments, or of an organization; on github.com, its Enterprise Cloud hosts and Enterprise Server.
//
// Such a secret cannot be read back, so a marker (an Actions variable at the same level) says which token it
// holds. The rules of the package:
//
//   - The marker may name an older token than the secret holds, never a newer one (see [Secret.Write]).
//   - Who may read an organization's secret is not changed by rotating it.
//   - Everything that can be known without a call is refused without one: names, sizes, addresses.
//   - The value leaves sealed for GitHub's public key, in the body of one request, and is in no message.
package github

import (
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Secret is an Actions secret on GitHub. Set Name, one of Repository (with Environment, if it is one's) and
// Org, and one of Token and App. It must not be copied after its first use, and is safe for concurrent use.
//
// Whether the credential may write cannot be tried without writing: Check sees what GitHub says of it
// (that it may read, the scopes of a classic token, the permissions of an App), no more.
type Secret struct {
	Name        string        `yaml:"name" required:"true" scalar:"true" example:"FLY_DEPLOY_TOKEN" doc:"Name of the Actions secret. Letters, digits and underscores; not beginning with a digit or GITHUB_."`
	Repository  string        `yaml:"repository" env:"GITHUB_REPOSITORY" example:"example/web" doc:"Repository whose secret it is, as owner/name. Of no account when org is given."`
	Environment string        `yaml:"environment" example:"production" doc:"Environment of the repository whose secret it is, instead of the repository's own."`
	Org         string        `yaml:"org" example:"example" doc:"Organization whose secret it is, instead of a repository's. Its visibility and selected repositories stay as they are."`
	URL         string        `yaml:"url" env:"GITHUB_API_URL" default:"https://api.github.com" example:"https://github.example.com/api/v3" doc:"Address of GitHub's API. Plain http is refused except to this machine."`
	Token       rotate.Secret `yaml:"token" env:"REMINT_GITHUB_TOKEN" doc:"Access token. A fine-grained token needs Secrets: write and Variables: write (Environments: write alone for an environment's secret), for an organization's secret its organization permissions of these names; a classic token needs the scope repo, or admin:org. The job's own GITHUB_TOKEN can never write secrets. That a fine-grained token may write, and not only read, shows at the first write."`
	App         *App          `yaml:"app" doc:"GitHub App to use instead of a token. It outranks token."`
	Current     rotate.Secret `yaml:"current" doc:"What the secret held when the job was queued, handed in by the workflow as an environment variable. No marker variable is then kept, and the right to write variables is not needed, unless marker is given too: then the value only serves to put it back if a verification fails."`
	Marker      string        `yaml:"marker" example:"FLY_DEPLOY_TOKEN_REMINT" doc:"Name of the Actions variable that records which token the secret holds. The default is the secret's name and _REMINT."`
	Create      bool          `yaml:"create" default:"false" doc:"Create the secret if it does not exist. Without it a missing secret is an error, since it is most often a misspelt name. Not for organizations, where somebody has to choose who may read it."`

	// Since is when Current was read: when the run of the workflow was queued. A secret that changed later is not
	// what Current says. Zero: the first use of this Secret.
	Since time.Time `yaml:"-"`
	// OnSecret is told the short-lived credentials that are had on the way, before they are used: the place to mask them.
	// It may be called by several goroutines. Nil: nobody is told.
	OnSecret func(rotate.Secret) `yaml:"-" json:"-"`
	// Transport carries the requests; nil: the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`

	once sync.Once
	err  error // of setup
	wire *httpx.Transport
	key  *rsa.PrivateKey // of App

	mu       sync.Mutex
	bearer   rotate.Secret // what the next request carries
	lent     installed     // the App's token
	public   publicKey
	marker   marker
	exists   bool // the secret was seen
	asked    bool // Held was called
	wrote    *wrote
	expiry   time.Time // of the credential, as GitHub says; zero: not said
	warnings warn.List
}

// App is a GitHub App that is installed where the secret lies. For each run it is lent a token that can write
// the one secret and its marker only, which is given back by [Secret.Close].
type App struct {
	ID           string        `yaml:"id" required:"true" env:"REMINT_GITHUB_APP_ID" example:"123456" doc:"The App's id or client id."`
	Key          rotate.Secret `yaml:"key" required:"true" env:"REMINT_GITHUB_APP_KEY" doc:"The App's private key, as PEM."`
	Installation int           `yaml:"installation" example:"654321" doc:"Number of the installation. Without it GitHub is asked, with one more request."`
}

var (
	_ rotate.Sink     = (*Secret)(nil)
	_ rotate.Holder   = (*Secret)(nil)
	_ rotate.Marker   = (*Secret)(nil)
	_ rotate.Checker  = (*Secret)(nil)
	_ rotate.Warner   = (*Secret)(nil)
	_ rotate.Accepter = (*Secret)(nil)
	_ rotate.Closer   = (*Secret)(nil)
)

// api is where github.com has its API.
const api = "https://api.github.com"

func (s *Secret) url() string {
	if s.URL == "" {
		return api
	}
	return s.URL
}

// String names the secret: github:owner/repository/NAME, github:owner/repository/environment/NAME or
// github:organization/NAME, with the host before them if it is not github.com's.
func (s *Secret) String() string {
	at := s.Org
	if at == "" {
		at = s.Repository
		if s.Environment != "" {
			at += "/" + url.PathEscape(s.Environment)
		}
	}
	if u, err := httpx.Base(s.url()); err == nil && u.Host != "api.github.com" {
		at = u.Host + "/" + at
	}
	return "github:" + at + "/" + strings.ToUpper(s.Name)
}

// place says where the secret lies, for sentences.
func (s *Secret) place() string {
	switch {
	case s.Org != "":
		return "organization " + s.Org
	case s.Environment != "":
		return "environment " + s.Environment + " of " + s.Repository
	}
	return "repository " + s.Repository
}

// level is the path that secrets and variables of the place have in common.
func (s *Secret) level() string {
	switch {
	case s.Org != "":
		return "orgs/" + s.Org + "/actions"
	case s.Environment != "":
		// An older path with the repository's number needs a request for that number first.
		return "repos/" + s.Repository + "/environments/" + url.PathEscape(s.Environment)
	}
	return "repos/" + s.Repository + "/actions"
}

func (s *Secret) secretPath() string { return s.level() + "/secrets/" + strings.ToUpper(s.Name) }

func (s *Secret) markerName() string {
	if s.Marker != "" {
		return strings.ToUpper(s.Marker)
	}
	return strings.ToUpper(s.Name) + "_REMINT"
}

func (s *Secret) failed(op string, err error) error {
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}
