// Package argocd verifies a credential by an application of Argo CD, over its REST API: it makes the application take
// up what was written, and waits until it is synced and healthy. Its rules:
//
//   - Only a state that Argo CD worked out after our last request counts: status.reconciledAt is later than that, by
//     Argo CD's own clock. Healthy may otherwise be the state before a restart.
//   - Every action and the sync are sent once in a Verify; an answer that was lost is not asked for again.
//   - Degraded, and a sync that we asked for and that failed, are failures. What else stands in the way (no answer, no
//     right, no time, out of sync, an operation of somebody else) says nothing about the credential: [rotate.ErrUnproven].
//   - The token goes to the configured server only.
//
// Sources: argo-cd v3.2.6, server/application (routes and errors), assets/swagger.json, resource_customizations.
package argocd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultTimeout  = 15 * time.Minute // longer than the ten that a Deployment has until it counts as Degraded
	defaultInterval = 10 * time.Second
)

// Application is an application of Argo CD. Name, Server and Token are needed. It is safe for concurrent use; its
// fields must not be changed after the first use.
type Application struct {
	Name         string        `yaml:"application" required:"true" scalar:"true" example:"fastly-exporter" doc:"Name of the application."`
	Project      string        `yaml:"project" example:"default" doc:"Project of the application. It is asked for if it is not given; but then Argo CD answers that permission is denied if there is no such application."`
	AppNamespace string        `yaml:"app-namespace" example:"cluster-services" doc:"Namespace of the Application object itself, if it is not Argo CD's own."`
	Refresh      string        `yaml:"refresh" default:"normal" enum:"normal,hard" doc:"How Argo CD is made to look again: hard renders the manifests anew as well."`
	Actions      []Action      `yaml:"actions" doc:"Resource actions that are run first, in this order, each once."`
	Sync         bool          `yaml:"sync" doc:"Sync the application after the actions, without pruning. Its hooks run too, so the verification is then not repeated within a run."`
	Timeout      time.Duration `yaml:"timeout" default:"15m" doc:"How long the application may take to become synced and healthy."`
	Interval     time.Duration `yaml:"interval" default:"10s" doc:"Time between two looks."`

	Server string        `yaml:"server" required:"true" env:"ARGOCD_SERVER" example:"argocd.example.com" doc:"Argo CD's API server, with its path if it has one; https is meant if nothing else is said. Plain http is accepted for loopback only."`
	Token  rotate.Secret `yaml:"token" required:"true" env:"ARGOCD_AUTH_TOKEN" doc:"Token of an account or of a project role. It needs applications get, and sync and action/GROUP/KIND/ACTION where these are used."`
	CA     string        `yaml:"ca" example:"/etc/remint/argocd-ca.pem" doc:"File with the certificates, in PEM, that sign the certificate of the server. Without it the system's roots are used."`

	// Transport is the wire below; nil is the process's pool of connections, or one of its own with CA.
	Transport http.RoundTripper `yaml:"-"`

	once sync.Once
	api  *api
	err  error

	warnings warn.List
}

// Action is an action on one resource of the application.
type Action struct {
	Kind      string `yaml:"kind" required:"true" example:"Deployment" doc:"Kind of the resource."`
	Resource  string `yaml:"name" required:"true" example:"fastly-exporter" doc:"Name of the resource."`
	Action    string `yaml:"action" required:"true" example:"restart" doc:"The action, such as restart of a Deployment, StatefulSet or DaemonSet, refresh of an ExternalSecret, or create-job of a CronJob. A job is started and not waited for; its name has the minute in it, so a second one within a minute is refused."`
	Group     string `yaml:"group" example:"apps" doc:"API group of the resource. Like version and namespace it is needed only if the application itself does not tell, that is, of resources that it does not manage directly."`
	Version   string `yaml:"version" example:"v1" doc:"API version of the resource."`
	Namespace string `yaml:"namespace" example:"monitoring" doc:"Namespace of the resource."`
}

// String names the action, such as "restart Deployment/web".
func (a Action) String() string { return a.Action + " " + a.Kind + "/" + a.Resource }

var (
	_ rotate.Verifier  = (*Application)(nil)
	_ rotate.Checker   = (*Application)(nil)
	_ rotate.Warner    = (*Application)(nil)
	_ rotate.Repeater  = (*Application)(nil)
	_ rotate.Connector = (*Application)(nil)
)

// String names the server and the application, such as "argocd:argocd.example.com/fastly-exporter".
func (a *Application) String() string {
	if u, err := httpx.Base(a.url()); err == nil {
		return "argocd:" + u.Host + "/" + a.Name
	}
	return "argocd:?/" + a.Name // the text of a bad URL may hold a credential
}

// url is the server's URL; argocd's own variable has no scheme.
func (a *Application) url() string {
	if a.Server == "" || strings.Contains(a.Server, "://") {
		return a.Server
	}
	return "https://" + a.Server
}

// Repeatable implements [rotate.Repeater]. To look again, to restart and to refresh an ExternalSecret does no harm. A
// sync runs hooks, create-job collides with itself, and of other actions nothing is known.
func (a *Application) Repeatable() bool {
	for _, x := range a.Actions {
		if x.Action != "restart" && x.Action != "refresh" {
			return false
		}
	}
	return !a.Sync
}

// Endpoints implements [rotate.Connector].
func (a *Application) Endpoints() []rotate.Endpoint {
	u, err := httpx.Base(a.url())
	if err != nil {
		return nil
	}
	e := rotate.Endpoint{Origin: u.Scheme + "://" + u.Host, Methods: []string{http.MethodGet}, Why: "refreshes an application of Argo CD and looks at it"}
	if a.Sync || len(a.Actions) > 0 {
		e.Methods, e.Why = append(e.Methods, http.MethodPost), "runs actions on an application of Argo CD and looks at it"
	}
	return []rotate.Endpoint{e}
}

// Warnings implements [rotate.Warner].
func (a *Application) Warnings() []string { return a.warnings.Take() }

var (
	projectRule = pattern.New(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	kindRule    = pattern.New(`^[A-Z][A-Za-z0-9]*$`)
	actionRule  = pattern.New(`^[A-Za-z0-9_.-]+$`)
	pathRule    = pattern.New(`^[A-Za-z0-9._:~-]+$`) // a resource's name may be more than a DNS subdomain
)

// Validate implements the configuration's check; it calls nobody and reads no file.
func (a *Application) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if !pattern.DNSName.MatchString(a.Name) {
		bad("application", "%q is not the name of an application", a.Name)
	}
	if a.Project != "" && !projectRule.MatchString(a.Project) {
		bad("project", "%q is not the name of a project", a.Project)
	}
	if a.AppNamespace != "" && !pattern.DNSName.MatchString(a.AppNamespace) {
		bad("app-namespace", "%q is not a namespace", a.AppNamespace)
	}
	switch a.Refresh {
	case "", "normal", "hard":
	default:
		bad("refresh", "%q is neither normal nor hard", a.Refresh)
	}
	for i, x := range a.Actions {
		field := func(key string) string { return fmt.Sprintf("actions[%d].%s", i, key) }
		for _, f := range []struct {
			key, value string
			rule       *pattern.Pattern
			needed     bool
		}{
			{"kind", x.Kind, kindRule, true}, {"name", x.Resource, pathRule, true}, {"action", x.Action, actionRule, true},
			{"group", x.Group, pattern.DNSName, false}, {"version", x.Version, pattern.DNSName, false}, {"namespace", x.Namespace, pattern.DNSName, false},
		} {
			if f.value == "" && f.needed {
				bad(field(f.key), "is missing")
			} else if f.value != "" && !f.rule.MatchString(f.value) {
				bad(field(f.key), "%q is not possible", f.value)
			}
		}
	}
	if a.Timeout < 0 {
		bad("timeout", "must not be negative")
	}
	if a.Interval < 0 {
		bad("interval", "must not be negative")
	}
	if _, err := httpx.Base(a.url()); err != nil {
		bad("server", "%w", err)
	}
	if a.Token.IsZero() {
		bad("token", "no credential: set ARGOCD_AUTH_TOKEN to a token of an account or of a project role")
	}
	return errors.Join(errs...)
}

// connect validates once and makes the client, for library users who called Validate or did not.
func (a *Application) connect() error {
	a.once.Do(func() {
		if a.err = a.Validate(); a.err == nil {
			a.api, a.err = a.open()
		}
	})
	return a.err
}

// Check implements [rotate.Checker]: the application can be read, it has the resources, and these have the actions.
// Whether the token may run them shows with the first run only; Argo CD answers that question for sync alone.
func (a *Application) Check(ctx context.Context) error {
	if err := a.check(ctx); err != nil {
		return a.fault("check", err)
	}
	return nil
}

func (a *Application) check(ctx context.Context) error {
	if err := a.connect(); err != nil {
		return err
	}
	app, err := a.api.application(ctx, "")
	if err != nil {
		return err
	}
	if s := app.Status; s.Sync.Status != synced && !a.Sync || s.Health.Status != healthy {
		a.warnings.Add("the application is %s and %s already now; if it stays so, nothing is proven", word(s.Sync.Status), word(s.Health.Status))
	}
	var errs []error
	for _, x := range a.Actions {
		r, err := x.resource(app)
		if err == nil {
			err = a.api.offers(ctx, app, r, x.Action)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x, err))
		}
	}
	if a.Sync {
		if err := a.api.maySync(ctx, app); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fault gives an error its place.
func (a *Application) fault(op string, err error) error {
	return &rotate.Error{Op: op, At: a.String(), Err: err}
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
