// Package signonsync puts a token of Signon where its consumers read it: the Secret signon-token-<user>-<application>.
// Only Signon writes that Secret, so its rules are Signon's:
//
//   - Write runs Signon's own sync Job (signon-sync-token-secrets-to-k8s) and then looks whether the Secret holds the
//     token: a Job that completed says nothing, since it copies the token of the pair that lives longest.
//   - For that reason nothing older can be put back while the newborn lives. Undo revokes the newborn first and then
//     syncs again: the one exception to the order of a restore, in which the newborn otherwise dies last. With more
//     sinks in one rotation list this one first, so that it is written first and restored last.
//   - What it holds is read back and told by the provider: there is no marker.
//
// It stands only beside the provider signon, whose tokens it hands out.
package signonsync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/providers/signon"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/job"
)

const (
	defaultCronJob  = "signon-sync-token-secrets-to-k8s"
	defaultTimeout  = 15 * time.Minute
	defaultInterval = 3 * time.Second
	key             = "bearer_token"
	attempts        = 2 // Jobs of one write: a failure is final for a Job of Signon's (backoffLimit 0)
)

// Sync is the Secret of one pair of API user and application. Signon and Cluster are needed. It is safe for concurrent
// use.
type Sync struct {
	CronJob   string           `yaml:"cronjob" default:"signon-sync-token-secrets-to-k8s" scalar:"true" doc:"Name of the CronJob whose Job copies Signon's tokens into Secrets. It may be suspended; a scheduled run beside ours does no harm."`
	Secret    string           `yaml:"secret" example:"signon-token-short-url-manager-publishing-api" doc:"Name of the Secret. By default Signon is asked: it makes the name of its names of the API user and the application."`
	Timeout   time.Duration    `yaml:"timeout" default:"15m" doc:"How long a Job is followed."`
	Interval  time.Duration    `yaml:"interval" default:"3s" doc:"Time between two looks at a Job."`
	Namespace string           `yaml:"namespace" example:"apps" doc:"Namespace of the CronJob and the Secret. By default the cluster's, else default."`
	Cluster   *cluster.Cluster `yaml:"cluster" doc:"The cluster. By default that of the rotation."`

	// Signon is the provider of the rotation; see [Sync.Beside].
	Signon *signon.Provider `yaml:"-"`

	once sync.Once
	job  *job.Run

	mu   sync.Mutex
	last *write // the last one that was begun and not undone
}

// write is what an undo needs to know.
type write struct {
	newborn rotate.Credential
	before  rotate.Secret
}

var (
	_ rotate.Sink      = (*Sync)(nil)
	_ rotate.Holder    = (*Sync)(nil)
	_ rotate.Reader    = (*Sync)(nil)
	_ rotate.Undoer    = (*Sync)(nil)
	_ rotate.Feed      = (*Sync)(nil)
	_ rotate.Checker   = (*Sync)(nil)
	_ rotate.Warner    = (*Sync)(nil)
	_ rotate.Connector = (*Sync)(nil)
)

// Beside tells the sink the provider of its rotation. It fails if that is not Signon.
func (s *Sync) Beside(p rotate.Provider) error {
	of, ok := p.(*signon.Provider)
	if !ok {
		return fmt.Errorf("%w: signon-sync hands out tokens of the provider signon only", rotate.ErrConfig)
	}
	s.Signon = of
	return nil
}

// String names the Secret: "signon-sync:eks:eu-west-1/production/apps/signon-token-…", or, before Signon was asked what
// it is called, the pair: "signon-sync:…/apps/short-url-manager@alphagov.co.uk/publishing-api".
func (s *Sync) String() string {
	what := s.Secret
	if what == "" && s.Signon != nil {
		what = s.Signon.User + "/" + s.Signon.Application
	}
	at := s.Namespace
	if s.Cluster != nil {
		at = s.Cluster.String() + "/" + s.Cluster.Scope(s.Namespace)
	}
	return "signon-sync:" + at + "/" + what
}

// Format implements [fmt.Formatter] for every verb: the last write is kept for an undo.
func (s *Sync) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// Validate reports all that is wrong with the fields, without any call.
func (s *Sync) Validate() error {
	var errs []error
	if s.Secret != "" && !pattern.DNSName.MatchString(s.Secret) {
		errs = append(errs, rotate.Field("secret", "%q is not the name of a Secret: small letters, digits, - and .", s.Secret))
	}
	return errors.Join(append(errs, s.newRun().Validate())...)
}

// run is the Job that copies. There is one for the life of the sink, since it knows which Jobs are its own.
func (s *Sync) run() *job.Run {
	s.once.Do(func() { s.job = s.newRun() })
	return s.job
}

func (s *Sync) newRun() *job.Run {
	return &job.Run{CronJob: cmp.Or(s.CronJob, defaultCronJob), Timeout: cmp.Or(s.Timeout, defaultTimeout), Interval: cmp.Or(s.Interval, defaultInterval),
		Namespace: s.Namespace, Cluster: s.Cluster}
}

// ready says what is missing before the first call.
func (s *Sync) ready() error {
	if s.Signon == nil {
		return fmt.Errorf("%w: signon-sync stands only beside the provider signon", rotate.ErrConfig)
	}
	return s.Validate()
}

// Endpoints implements [rotate.Connector].
func (s *Sync) Endpoints() []rotate.Endpoint {
	return s.Cluster.Reach("runs Signon's sync Job and holds the Secret that it writes", http.MethodGet, http.MethodPost)
}

// Warnings implements [rotate.Warner].
func (s *Sync) Warnings() []string { return s.run().Warnings() }

// Check implements [rotate.Checker]: the rights to read the Secret and to run the Job.
func (s *Sync) Check(ctx context.Context) error { return s.fault("check", s.check(ctx)) }

func (s *Sync) check(ctx context.Context) error {
	if err := s.ready(); err != nil {
		return err
	}
	name, err := s.name(ctx)
	errs := []error{err}
	if err == nil {
		errs = append(errs, s.Cluster.Permitted(ctx, "get", "", "secrets", s.Cluster.Scope(s.Namespace), name))
	}
	return errors.Join(append(errs, s.run().Check(ctx))...)
}

// name is that of the Secret.
func (s *Sync) name(ctx context.Context) (string, error) {
	if s.Secret != "" {
		return s.Secret, nil
	}
	return s.Signon.SecretName(ctx)
}

// Held implements [rotate.Holder]: the secret, for the provider to identify.
func (s *Sync) Held(ctx context.Context) (rotate.Holding, error) {
	secret, err := s.read(ctx)
	return rotate.Holding{Secret: secret}, s.fault("held", err)
}

// Read implements [rotate.Reader].
func (s *Sync) Read(ctx context.Context) (rotate.Secret, error) {
	secret, err := s.read(ctx)
	return secret, s.fault("read", err)
}

// read reads the Secret; one that Signon has not written yet holds nothing.
func (s *Sync) read(ctx context.Context) (rotate.Secret, error) {
	if err := s.ready(); err != nil {
		return rotate.Secret{}, err
	}
	name, err := s.name(ctx)
	if err != nil {
		return rotate.Secret{}, err
	}
	namespace := s.Cluster.Scope(s.Namespace)
	text, err := s.Cluster.Raw(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/secrets/"+name, nil, nil, "")
	if err != nil {
		err = s.Cluster.Fault(err, "get", "secrets", namespace, name)
		if errors.Is(err, rotate.ErrNotFound) {
			return rotate.Secret{}, nil
		}
		return rotate.Secret{}, err
	}
	var o struct{ Data map[string][]byte }
	if json.Unmarshal(text, &o) != nil { // its text may repeat the value
		return rotate.Secret{}, fmt.Errorf("%w: get secrets/%s: the API server's answer is not understood", rotate.ErrTemporary, name)
	}
	return rotate.NewSecret(string(o.Data[key])), nil
}

// fault names the operation and the sink of an error.
func (s *Sync) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}

// Feeds implements [rotate.Feed]: what consumers get is whichever token lives longest.
func (s *Sync) Feeds() bool { return true }
