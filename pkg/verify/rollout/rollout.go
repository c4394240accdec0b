// Package rollout verifies a credential by the workloads that run with it: it restarts them, or waits until somebody
// else did, and waits as kubectl rollout status does until every pod is one that started with what the Secret now
// holds. Its rules:
//
//   - A finished rollout shows only what the readiness of its pods depends on; the verifiers after it show the rest.
//   - Every Verify with restart is a new restart, also for a token for which there was one: what the pods of the last one
//     read may be older than the last write.
//   - Only what was seen after our own write counts: the generation that the write returned, and our stamp still in
//     the pod template.
//   - No pods, a paused Deployment, the strategy OnDelete and a partition leave nothing or too little running with the
//     credential: [rotate.ErrUnproven]. So do a rollout that takes too long and whatever hinders looking at it. Only an
//     exceeded progress deadline and pods of the restart that crash are failures.
//   - Several workloads are restarted one after the other, and the first that is not proven ends it, so that a bad
//     credential stops one consumer and not all.
package rollout

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

const (
	defaultTimeout  = 15 * time.Minute // more than the 10 minutes that are a Deployment's progress deadline by default
	defaultInterval = 3 * time.Second
)

// Rollout is the restart of a workload, or of all that read a Secret. One of Deployment, StatefulSet, DaemonSet and
// Consumers is needed, and Cluster. It is safe for concurrent use.
type Rollout struct {
	Deployment  string           `yaml:"deployment" scalar:"true" example:"web" doc:"Name of the Deployment that runs with the credential."`
	StatefulSet string           `yaml:"statefulset" doc:"Name of the StatefulSet, instead of a Deployment."`
	DaemonSet   string           `yaml:"daemonset" doc:"Name of the DaemonSet, instead of a Deployment."`
	Consumers   string           `yaml:"consumers" enum:"auto" doc:"auto finds all Deployments, StatefulSets and DaemonSets of the namespace whose pods read secret: by env, envFrom or a volume. Those without pods are passed over; that none is found is an error."`
	Secret      string           `yaml:"secret" example:"web-token" doc:"Name of the Kubernetes Secret that the pods read the credential from. Needed for consumers: auto and without restart."`
	Restart     bool             `yaml:"restart" doc:"Restart the pods as kubectl rollout restart does. Without it somebody else must, such as Reloader: it is waited until secret holds the credential and every container started after that."`
	Timeout     time.Duration    `yaml:"timeout" default:"15m" doc:"How long one workload may take. When it is over, nothing is proven, unless the new pods crash."`
	Interval    time.Duration    `yaml:"interval" default:"3s" doc:"Time between two looks."`
	Namespace   string           `yaml:"namespace" example:"monitoring" doc:"Namespace of the workloads. By default the cluster's, else default."`
	Cluster     *cluster.Cluster `yaml:"cluster" doc:"The cluster. By default that of the rotation."`

	warnings warn.List
}

var (
	_ rotate.Verifier  = (*Rollout)(nil)
	_ rotate.Checker   = (*Rollout)(nil)
	_ rotate.Repeater  = (*Rollout)(nil)
	_ rotate.Warner    = (*Rollout)(nil)
	_ rotate.Connector = (*Rollout)(nil)
)

// String names what is rolled out, such as "rollout:monitoring/deployment/web" or "rollout:apps/consumers of web-token".
func (r *Rollout) String() string {
	at := "rollout:" + r.place().Scope() + "/"
	if k, name := r.named(); name != "" {
		return at + k.word + "/" + name
	}
	return at + "consumers of " + r.Secret
}

// Repeatable implements [rotate.Repeater].
func (r *Rollout) Repeatable() bool { return true }

// Warnings implements [rotate.Warner].
func (r *Rollout) Warnings() []string { return r.warnings.Take() }

// Endpoints implements [rotate.Connector].
func (r *Rollout) Endpoints() []rotate.Endpoint {
	if r.Restart {
		return r.Cluster.Reach("restarts workloads and waits for their rollout", http.MethodGet, http.MethodPatch, http.MethodPost)
	}
	return r.Cluster.Reach("waits for the rollout of workloads", http.MethodGet, http.MethodPost)
}

func (r *Rollout) place() objects.Place {
	return objects.Place{Cluster: r.Cluster, Namespace: r.Namespace}
}

func (r *Rollout) timeout() time.Duration  { return objects.Or(r.Timeout, defaultTimeout) }
func (r *Rollout) interval() time.Duration { return objects.Or(r.Interval, defaultInterval) }

// named returns the one workload that is named; "": none is.
func (r *Rollout) named() (kind, string) {
	for _, x := range []struct {
		kind kind
		name string
	}{{deployment, r.Deployment}, {statefulSet, r.StatefulSet}, {daemonSet, r.DaemonSet}} {
		if x.name != "" {
			return x.kind, x.name
		}
	}
	return kind{}, ""
}

// Validate implements the configuration's check; it calls nobody.
func (r *Rollout) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	var given []string
	for _, x := range []struct{ field, name string }{{"deployment", r.Deployment}, {"statefulset", r.StatefulSet}, {"daemonset", r.DaemonSet}} {
		if x.name == "" {
			continue
		}
		given = append(given, x.field)
		if !pattern.DNSName.MatchString(x.name) {
			bad(x.field, "%q is not the name of an object: small letters, digits, - and .", x.name)
		}
	}
	if r.Consumers != "" {
		given = append(given, "consumers")
		if r.Consumers != "auto" {
			bad("consumers", "%q is not auto", r.Consumers)
		}
	}
	switch {
	case len(given) == 0:
		bad("deployment", "say what is rolled out: deployment, statefulset or daemonset with its name, or consumers: auto with secret")
	case len(given) > 1:
		bad(given[1], "%s are given; give one of them, and a verifier for each workload", strings.Join(given, " and "))
	}
	switch {
	case r.Secret != "" && !pattern.DNSName.MatchString(r.Secret):
		bad("secret", "%q is not the name of an object: small letters, digits, - and .", r.Secret)
	case r.Secret != "":
	case r.Consumers != "":
		bad("secret", "consumers: auto needs the name of the Kubernetes Secret that they read")
	case !r.Restart:
		bad("secret", "without restart: true the name of the Kubernetes Secret is needed, to tell the pods that started with its new content")
	}
	errs = append(errs, r.place().Validate(map[string]time.Duration{"timeout": r.Timeout, "interval": r.Interval}))
	return errors.Join(errs...)
}

// fault gives an error its place.
func (r *Rollout) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: r.String(), Err: err}
}
