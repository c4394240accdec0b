// Package job verifies a credential by a Job made from a CronJob, as kubectl create job --from does: a program that
// runs with the credential, or copies it to where consumers read it, and says by its end whether that worked. Its rules:
//
//   - One Job per Verify. A creation whose answer was lost is looked for by name, and never leads to two.
//   - A Job carries the token for which it was made. The first Verify of a process takes up the newest one if it was
//     made for this very token a short while ago and has not failed: a run that was killed goes on with its Job. Every
//     later Verify makes a new one, since what an earlier one read may be older than the last write.
//   - Complete passes and Failed fails; SuccessCriteriaMet and FailureTarget are not final. Whatever else happens (no
//     time, no right, suspended, deleted by somebody) shows nothing: [rotate.ErrUnproven].
//   - The end of the log of a Job that did not pass is shown, without the credential in any of its forms.
package job

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

const (
	defaultTimeout  = 15 * time.Minute
	defaultInterval = 3 * time.Second
	defaultKeep     = 24 * time.Hour
)

// Run is a Job that must complete. CronJob and Cluster are needed. It is safe for concurrent use.
type Run struct {
	CronJob   string           `yaml:"cronjob" required:"true" scalar:"true" example:"sync-tokens" doc:"Name of the CronJob from whose template the Job is made. The CronJob may be suspended, its Jobs not. A scheduled run may overlap: concurrencyPolicy does not hold for Jobs made by hand."`
	Timeout   time.Duration    `yaml:"timeout" default:"15m" doc:"How long the Job is followed. When it is over, nothing is proven, and the Job goes on."`
	Keep      time.Duration    `yaml:"keep" default:"24h" doc:"How long the Job is kept after its end (ttlSecondsAfterFinished), unless the CronJob's template says."`
	Interval  time.Duration    `yaml:"interval" default:"3s" doc:"Time between two looks."`
	Namespace string           `yaml:"namespace" example:"apps" doc:"Namespace of the CronJob. By default the cluster's, else default."`
	Cluster   *cluster.Cluster `yaml:"cluster" doc:"The cluster. By default that of the rotation."`

	mu       sync.Mutex
	ran      bool // this process has made a Job, or taken one up
	warnings warn.List
}

var (
	_ rotate.Verifier  = (*Run)(nil)
	_ rotate.Checker   = (*Run)(nil)
	_ rotate.Repeater  = (*Run)(nil)
	_ rotate.Warner    = (*Run)(nil)
	_ rotate.Connector = (*Run)(nil)
)

// String names the CronJob, such as "job-from-cronjob:apps/sync-tokens".
func (r *Run) String() string { return "job-from-cronjob:" + r.place().Scope() + "/" + r.CronJob }

// Repeatable implements [rotate.Repeater].
func (r *Run) Repeatable() bool { return true }

// Warnings implements [rotate.Warner].
func (r *Run) Warnings() []string { return r.warnings.Take() }

// Endpoints implements [rotate.Connector].
func (r *Run) Endpoints() []rotate.Endpoint {
	return r.Cluster.Reach("makes a Job from a CronJob, follows it and reads its log", http.MethodGet, http.MethodPost)
}

func (r *Run) place() objects.Place {
	return objects.Place{Cluster: r.Cluster, Namespace: r.Namespace}
}

func (r *Run) timeout() time.Duration  { return objects.Or(r.Timeout, defaultTimeout) }
func (r *Run) interval() time.Duration { return objects.Or(r.Interval, defaultInterval) }

// nameRule is that of CronJobs, whose names leave room for those of their Jobs.
var nameRule = pattern.New(`^[a-z0-9]([-a-z0-9.]{0,50}[a-z0-9])?$`)

// Validate implements the configuration's check; it calls nobody.
func (r *Run) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if !nameRule.MatchString(r.CronJob) {
		bad("cronjob", "%q is not the name of a CronJob: at most 52 small letters, digits, - and .", r.CronJob)
	}
	if r.Keep > 0 && r.Keep < time.Minute {
		bad("keep", "at least 1m, so that the end of the Job can be seen")
	}
	errs = append(errs, r.place().Validate(map[string]time.Duration{"timeout": r.Timeout, "interval": r.Interval, "keep": r.Keep}))
	return errors.Join(errs...)
}

// fault gives an error its place.
func (r *Run) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: r.String(), Err: err}
}
