// Package signon mints, lists, proves and revokes the tokens of one API user for one application in Signon, the single
// sign-on of GOV.UK (github.com/alphagov/signon: Rails and Doorkeeper). Its rules:
//
//   - Signon has no API for this, so a Ruby script that is part of this package (signon.rb) is run by its own rails
//     runner: in its pod, or in a Job where exec is forbidden (via: job). It is given no secret, and a token's value
//     leaves it only sealed to a one-time key, since what a pod writes is kept in logs.
//   - Signon's tokens have no name. The name under which one is minted is kept in Signon's event log, written in the
//     transaction that makes the token. So a mint whose answer was lost is found again, and what the nightly renewal
//     made meanwhile is taken neither for ours nor for that of another run: it has no name, and is listed without one.
//   - A token is known by its row and the SHA-256 of its value, so that a database which was restored from another
//     environment is noticed before the wrong row is revoked.
//   - Whether a secret works is asked of Signon's OAuth endpoints, never concluded from the database: introspection
//     says "not active" also to the credentials of another application, so those are compared first.
//
// What a newborn's life is Signon says itself: two years. A shorter one would never be handed out, since Signon copies
// the token that lives longest into the consumers' Secret (see the sink signon-sync).
package signon

import (
	"cmp"
	"errors"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The ways to run the script.
const (
	viaExec = "exec"
	viaJob  = "job"
)

const (
	defaultDeployment = "signon"
	defaultContainer  = "app"
	defaultCronJob    = "signon-auto-rotate-internal-tokens"
	defaultRails      = "rails"
	defaultTimeout    = 2 * time.Minute
	defaultInterval   = 2 * time.Second
	// life is that of a token in Signon until it says otherwise: ApiUser::DEFAULT_TOKEN_LIFE, two years of Rails.
	life = 63113904 * time.Second
)

// Provider rotates the tokens of one pair of API user and application. The fields are set once, before the first use;
// the methods are safe for concurrent use.
type Provider struct {
	User        string `yaml:"user" required:"true" example:"short-url-manager@alphagov.co.uk" doc:"Email address of the API user, which is the consumer: api_user in the alert."`
	Application string `yaml:"application" required:"true" example:"publishing-api" doc:"The application that the token is for, as the alert names it: its name in small letters with hyphens."`
	URL         string `yaml:"url" required:"true" env:"SIGNON_URL" example:"https://signon.publishing.service.gov.uk" doc:"Public address of this environment's Signon. Its OAuth endpoints tell whether a token works."`

	Via        string        `yaml:"via" default:"exec" enum:"exec,job" doc:"How the script runs: exec in a pod of Signon, or a job made from the template of cronjob, where exec is forbidden."`
	Deployment string        `yaml:"deployment" default:"signon" doc:"With exec: the Deployment of Signon."`
	Container  string        `yaml:"container" default:"app" doc:"With exec: the container in its pods."`
	CronJob    string        `yaml:"cronjob" default:"signon-auto-rotate-internal-tokens" doc:"With job: a CronJob of Signon, whose image, environment and account the Job has. The CronJob itself is not run."`
	Rails      string        `yaml:"rails" default:"rails" doc:"The program that is called with the argument runner."`
	Initiator  string        `yaml:"initiator" example:"platform@alphagov.co.uk" doc:"Email address of the user whom Signon's event log names for a revocation. Without it a revocation leaves no event."`
	Timeout    time.Duration `yaml:"timeout" default:"2m" doc:"How long the script may take, with the start of Rails."`

	Cluster   *cluster.Cluster `yaml:"cluster" doc:"The cluster that Signon runs in; without it that of the rotation."`
	Namespace string           `yaml:"namespace" example:"apps" doc:"Namespace of Signon; without it that of the cluster."`

	// Transport carries the requests to the OAuth endpoints; nil is the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`
	// Interval is the time between two looks at a Job; 0: 2 seconds.
	Interval time.Duration `yaml:"-"`

	run runner // nil: as Via says

	once    sync.Once
	invalid error
	wire    *httpx.Transport

	mu       sync.Mutex
	about    *about          // what Signon says of the pair; nil: not asked yet
	rows     map[string]row  // what was listed last, by digest
	newborns map[string]bool // digests of what was minted here and has not been used yet
	client   *client         // the application's credentials
}

var (
	_ rotate.Provider   = (*Provider)(nil)
	_ rotate.Identifier = (*Provider)(nil)
	_ rotate.Clock      = (*Provider)(nil)
	_ rotate.Checker    = (*Provider)(nil)
	_ rotate.Lifetime   = (*Provider)(nil)
	_ rotate.Connector  = (*Provider)(nil)
)

// String names the environment, the API user and the application:
// "signon:signon.example/short-url-manager@example.org/publishing-api".
func (p *Provider) String() string {
	host := ""
	if u, err := httpx.Base(p.URL); err == nil {
		host = u.Host + "/"
	}
	return "signon:" + host + p.User + "/" + p.Application
}

var (
	parameterized = pattern.New(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// Validate reports all that is wrong with the fields, without any call.
func (p *Provider) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if !address(p.User) {
		bad("user", "%q is not an email address; give that of the API user, as the alert does", httpx.Clean(p.User, 100))
	}
	if !parameterized.MatchString(p.Application) {
		bad("application", "%q is not how an alert names an application: small letters and digits with hyphens, such as publishing-api", httpx.Clean(p.Application, 100))
	}
	if p.Initiator != "" && !address(p.Initiator) {
		bad("initiator", "%q is not an email address", httpx.Clean(p.Initiator, 100))
	}
	if _, err := httpx.Base(p.URL); err != nil {
		bad("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
	}
	if !slices.Contains([]string{"", viaExec, viaJob}, p.Via) {
		bad("via", "%q is neither exec nor job", httpx.Clean(p.Via, 50))
	}
	for field, name := range map[string]string{"deployment": p.Deployment, "cronjob": p.CronJob} {
		if name != "" && !pattern.DNSName.MatchString(name) {
			bad(field, "%q is no name of an object in Kubernetes", httpx.Clean(name, 100))
		}
	}
	for field, name := range map[string]string{"container": p.Container, "namespace": p.Namespace} {
		if name != "" && !pattern.DNSLabel.MatchString(name) {
			bad(field, "%q is no name in Kubernetes: small letters, digits and -", httpx.Clean(name, 100))
		}
	}
	if p.Timeout < 0 {
		bad("timeout", "must not be negative")
	}
	if p.Cluster == nil {
		bad("cluster", "say which cluster Signon runs in, here or once for the rotation")
	}
	return errors.Join(errs...)
}

// address reports whether a text is an email address and nothing else.
func address(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text && a.Name == ""
}

// open prepares for the first call.
func (p *Provider) open() error {
	p.once.Do(func() {
		if p.invalid = p.Validate(); p.invalid != nil {
			return
		}
		p.rows, p.newborns = map[string]row{}, map[string]bool{}
		p.wire, p.invalid = httpx.New(p.URL, p.Transport)
		if p.run == nil {
			p.run = inPod{p}
			if p.Via == viaJob {
				p.run = asJob{p}
			}
		}
	})
	return p.invalid
}

func (p *Provider) namespace() string {
	if p.Cluster == nil {
		return p.Namespace
	}
	return p.Cluster.Scope(p.Namespace)
}

func (p *Provider) timeout() time.Duration { return cmp.Or(p.Timeout, defaultTimeout) }

// Endpoints implements [rotate.Connector].
func (p *Provider) Endpoints() []rotate.Endpoint {
	all := []rotate.Endpoint{httpx.Endpoint(p.URL, "tells whether a token works", http.MethodGet, http.MethodPost)}
	if p.Cluster != nil {
		all = append(all, p.Cluster.Reach("runs a script in Signon and holds the application's OAuth credentials", http.MethodGet, http.MethodPost)...)
	}
	return all
}

// Life implements [rotate.Lifetime].
func (p *Provider) Life() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.about != nil {
		return p.about.life
	}
	return life
}

// Skew implements [rotate.Clock].
func (p *Provider) Skew() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.about == nil {
		return 0, false
	}
	return p.about.skew, true
}

// fault names the operation and the provider of an error.
func (p *Provider) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: p.String(), Err: err}
}
