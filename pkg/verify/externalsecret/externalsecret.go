// Package externalsecret makes the External Secrets Operator copy a credential into its Kubernetes Secret now, and shows
// that it did. Its rules:
//
//   - A sync counts only if the operator reports one that is later than our request: another syncedResourceVersion, a
//     new refreshTime and Ready, all three. The condition alone may be old.
//   - A sync proves nothing by itself, since the backend may still serve the old value: the key of the resulting Secret
//     must equal the credential. Until it does, syncs are forced again.
//   - What the operator cannot do on request (refreshPolicy CreatedOnce, an interval of zero, a target that is no
//     Secret or cannot change) is refused before anything is minted.
//   - Syncs that fail, and an old value that stays, are failures. An operator that does not react, and whatever hinders
//     looking at it, shows nothing: [rotate.ErrUnproven].
//
// Source: external-secrets.io, "ExternalSecret", and the operator's externalsecret_controller.go.
package externalsecret

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
	defaultTimeout  = 5 * time.Minute
	defaultInterval = 2 * time.Second

	round  = 20 * time.Second // for one forced sync; after it the next one is forced
	faults = 3                // forced syncs that may end in an error of the operator
)

// Sync is an ExternalSecret whose Secret must come to hold the credential. Name and Cluster are needed. It is safe for
// concurrent use.
type Sync struct {
	Name      string           `yaml:"name" required:"true" scalar:"true" example:"web-token" doc:"Name of the ExternalSecret. Its refreshPolicy must not be CreatedOnce, and its refreshInterval not 0: the operator would ignore the request to sync."`
	Key       string           `yaml:"key" example:"api-token" doc:"Key of the resulting Kubernetes Secret that must equal the credential. By default the one key that comes to equal it; if two do, the key must be named."`
	Timeout   time.Duration    `yaml:"timeout" default:"5m" doc:"For how long syncs are forced until the Secret holds the credential."`
	Interval  time.Duration    `yaml:"interval" default:"2s" doc:"Time between two looks."`
	Namespace string           `yaml:"namespace" example:"monitoring" doc:"Namespace of the ExternalSecret. By default the cluster's, else default."`
	Cluster   *cluster.Cluster `yaml:"cluster" doc:"The cluster. By default that of the rotation."`

	mu       sync.Mutex
	version  string // of the API group, once known
	warnings warn.List
}

var (
	_ rotate.Verifier  = (*Sync)(nil)
	_ rotate.Checker   = (*Sync)(nil)
	_ rotate.Repeater  = (*Sync)(nil)
	_ rotate.Warner    = (*Sync)(nil)
	_ rotate.Connector = (*Sync)(nil)
)

// String names the ExternalSecret, such as "external-secret:monitoring/web-token".
func (s *Sync) String() string { return "external-secret:" + s.place().Scope() + "/" + s.Name }

// Repeatable implements [rotate.Repeater].
func (s *Sync) Repeatable() bool { return true }

// Warnings implements [rotate.Warner].
func (s *Sync) Warnings() []string { return s.warnings.Take() }

// Endpoints implements [rotate.Connector].
func (s *Sync) Endpoints() []rotate.Endpoint {
	return s.Cluster.Reach("makes External Secrets sync, and compares the resulting Secret", http.MethodGet, http.MethodPatch, http.MethodPost)
}

func (s *Sync) place() objects.Place {
	return objects.Place{Cluster: s.Cluster, Namespace: s.Namespace}
}

func (s *Sync) timeout() time.Duration  { return objects.Or(s.Timeout, defaultTimeout) }
func (s *Sync) interval() time.Duration { return objects.Or(s.Interval, defaultInterval) }

var (
	keyRule = pattern.New(`^[-._a-zA-Z0-9]{1,253}$`) // Kubernetes, "Secret", data
)

// Validate implements the configuration's check; it calls nobody.
func (s *Sync) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if !pattern.DNSName.MatchString(s.Name) {
		bad("name", "%q is not the name of an ExternalSecret: small letters, digits, - and .", s.Name)
	}
	if s.Key != "" && !keyRule.MatchString(s.Key) {
		bad("key", "%q is not a key of a Secret: letters, digits, -, _ and .", s.Key)
	}
	errs = append(errs, s.place().Validate(map[string]time.Duration{"timeout": s.Timeout, "interval": s.Interval}))
	return errors.Join(errs...)
}

// fault gives an error its place.
func (s *Sync) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}
