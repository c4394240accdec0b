// Package podlogs looks into what pods log after a credential was rolled out. Its rules:
//
//   - It is advice, never the only proof: that a line is missing shows little, and a good line may be of before. See
//     [Logs.Advisory].
//   - Of a Deployment only the pods of its newest template count, and of any pod only what it logged after the
//     credential was made and after the Verify before this one.
//   - A line that matches refuse fails at once. Otherwise the logs are watched for a while, since a consumer may take up
//     its credential late, and every pattern of require must have matched a line. That one did not is
//     [rotate.ErrUnproven], as is whatever hinders looking.
//   - Pods come and go meanwhile: the list is made anew with every look.
//   - Logs may hold anything: lines are matched and only the refused one is shown, without the credential in any form.
package podlogs

import (
	"errors"
	"net/http"
	"regexp"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

const (
	defaultWatch    = 30 * time.Second
	defaultTimeout  = 3 * time.Minute
	defaultInterval = 5 * time.Second
)

// Logs are the logs of a Deployment's pods, or of those that a selector matches. Deployment or Selector, Refuse or
// Require, and Cluster are needed. It is safe for concurrent use.
type Logs struct {
	Deployment string           `yaml:"deployment" scalar:"true" example:"web" doc:"Name of the Deployment whose newest pods are looked at."`
	Selector   string           `yaml:"selector" example:"app.kubernetes.io/name=web" doc:"Labels of the pods, as kubectl takes them, instead of a Deployment."`
	Container  string           `yaml:"container" doc:"Name of the container. By default all of the pod's are looked at."`
	Refuse     []string         `yaml:"refuse" example:"[Unauthorized, 'token may be invalid']" doc:"Patterns (RE2) of which no line may match any. Search by text rather than by level: harmless warnings exist."`
	Require    []string         `yaml:"require" example:"['service=found']" doc:"Patterns (RE2) each of which some line of some pod must match."`
	Watch      time.Duration    `yaml:"watch" default:"30s" doc:"For how long no refused line may come."`
	Timeout    time.Duration    `yaml:"timeout" default:"3m" doc:"For how long required lines are waited for. When it is over, nothing is proven."`
	Interval   time.Duration    `yaml:"interval" default:"5s" doc:"Time between two looks."`
	Namespace  string           `yaml:"namespace" example:"monitoring" doc:"Namespace of the pods. By default the cluster's, else default."`
	Cluster    *cluster.Cluster `yaml:"cluster" doc:"The cluster. By default that of the rotation."`

	mu       sync.Mutex
	last     time.Time // when the last Verify of this process ended
	warnings warn.List
}

var (
	_ rotate.Verifier  = (*Logs)(nil)
	_ rotate.Checker   = (*Logs)(nil)
	_ rotate.Repeater  = (*Logs)(nil)
	_ rotate.Warner    = (*Logs)(nil)
	_ rotate.Connector = (*Logs)(nil)
)

// String names the pods, such as "pod-logs:monitoring/deployment/web" or "pod-logs:monitoring/app=web".
func (l *Logs) String() string {
	at := "pod-logs:" + l.place().Scope() + "/"
	if l.Deployment != "" {
		return at + "deployment/" + l.Deployment
	}
	return at + l.Selector
}

// Repeatable implements [rotate.Repeater].
func (l *Logs) Repeatable() bool { return true }

// Advisory reports that it must not be the only verifier of a rotation.
func (l *Logs) Advisory() bool { return true }

// Warnings implements [rotate.Warner].
func (l *Logs) Warnings() []string { return l.warnings.Take() }

// Endpoints implements [rotate.Connector].
func (l *Logs) Endpoints() []rotate.Endpoint {
	return l.Cluster.Reach("reads the logs of pods", http.MethodGet, http.MethodPost)
}

func (l *Logs) place() objects.Place {
	return objects.Place{Cluster: l.Cluster, Namespace: l.Namespace}
}

func (l *Logs) watch() time.Duration    { return objects.Or(l.Watch, defaultWatch) }
func (l *Logs) interval() time.Duration { return objects.Or(l.Interval, defaultInterval) }

// timeout leaves room for the look that ends the watch.
func (l *Logs) timeout() time.Duration {
	return max(objects.Or(l.Timeout, defaultTimeout), l.watch()+3*l.interval())
}

// Validate implements the configuration's check; it calls nobody.
func (l *Logs) Validate() error {
	_, err := l.prepare()
	return err
}

// patterns are what the lines are held to.
type patterns struct{ refuse, require []*regexp.Regexp }

func (l *Logs) prepare() (patterns, error) {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch {
	case l.Deployment == "" && l.Selector == "":
		bad("deployment", "say whose logs: deployment with its name, or selector with labels")
	case l.Deployment != "" && l.Selector != "":
		bad("selector", "give deployment or selector, not both")
	case l.Deployment != "" && !pattern.DNSName.MatchString(l.Deployment):
		bad("deployment", "%q is not the name of a Deployment: small letters, digits, - and .", l.Deployment)
	case l.Selector != "":
		if s, err := labels.Parse(l.Selector); err != nil || s.Empty() {
			bad("selector", "%q is not a selector of labels, such as app=web,tier!=test", l.Selector)
		}
	}
	if l.Container != "" && !pattern.DNSName.MatchString(l.Container) {
		bad("container", "%q is not the name of a container: small letters, digits and -", l.Container)
	}
	var p patterns
	for _, x := range []struct {
		field string
		texts []string
		to    *[]*regexp.Regexp
	}{{"refuse", l.Refuse, &p.refuse}, {"require", l.Require, &p.require}} {
		for _, text := range x.texts {
			re, err := regexp.Compile(text)
			switch {
			case err != nil:
				bad(x.field, "not a pattern: %w", err)
			case re.MatchString(""):
				bad(x.field, "the pattern %q matches every line", text)
			default:
				*x.to = append(*x.to, re)
			}
		}
	}
	if len(l.Refuse)+len(l.Require) == 0 {
		bad("refuse", "give patterns that lines must not match (refuse), or that some line must match (require)")
	}
	errs = append(errs, l.place().Validate(map[string]time.Duration{"watch": l.Watch, "timeout": l.Timeout, "interval": l.Interval}))
	return p, errors.Join(errs...)
}

// fault gives an error its place.
func (l *Logs) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: l.String(), Err: err}
}
