// Package kubernetessecret writes a credential into one key of a Kubernetes Secret. Its rules:
//
//   - Value and marker are one object, so they change in one step: a merge patch that names the resourceVersion it was
//     made for. If somebody else changed the object meanwhile, it is read again; if they changed this key, they are not
//     overwritten (write.go).
//   - The marker is an annotation for each key, and says beside the token's description whether the value is still the
//     one it was written with (marker.go).
//   - What something else owns and would revert, or what cannot be changed, is refused before anything is minted
//     (check.go). The Secret itself is never created or deleted, and no other key of it is touched.
//
// The rights needed are get and patch on the one Secret, by name. Consumers that mount it see the change within about two
// minutes; environment variables and subPath mounts need a restart, which the verifier rollout does.
package kubernetessecret

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// MaxSize is the most that all values of a Secret may have together, in bytes (k8s.io/api/core/v1, MaxSecretSize).
const MaxSize = 1 << 20

// Secret is one key of a Secret in a cluster. It is safe for concurrent use.
type Secret struct {
	Cluster   *cluster.Cluster `yaml:"cluster" doc:"How to reach the cluster; without it that of the rotation."`
	Namespace string           `yaml:"namespace" example:"monitoring" doc:"Namespace of the Secret; without it that of the cluster."`
	Secret    string           `yaml:"secret" required:"true" scalar:"true" example:"web/FLY_API_TOKEN" doc:"Name of the Secret, which must exist, and the key: name/key, or the name alone and key beside it."`
	Key       string           `yaml:"key" example:"FLY_API_TOKEN" doc:"Key of the Secret; all others are left as they are."`
	CreateKey bool             `yaml:"create-key" doc:"Add the key if the Secret lacks it. Without this a missing key is an error."`
	Previous  string           `yaml:"previous" example:"WEBHOOK_SECRET_PREVIOUS" doc:"Only with the provider random: key where the value that was replaced is kept, for consumers that still present it. It is added if it is missing; when nothing is kept, it has the same value as key."`

	once     sync.Once
	invalid  error // what Validate said at the first use
	mu       sync.Mutex
	last     *sight  // as it was last read or written; nil: not known
	undo     *change // what the last write replaced
	keeping  keeping.Sink
	warnings warn.List
}

var (
	_ rotate.Sink      = (*Secret)(nil)
	_ rotate.Holder    = (*Secret)(nil)
	_ rotate.Reader    = (*Secret)(nil)
	_ rotate.Marker    = (*Secret)(nil)
	_ rotate.Undoer    = (*Secret)(nil)
	_ rotate.Keeper    = (*Secret)(nil)
	_ rotate.Checker   = (*Secret)(nil)
	_ rotate.Warner    = (*Secret)(nil)
	_ rotate.Accepter  = (*Secret)(nil)
	_ rotate.Connector = (*Secret)(nil)
)

// place returns namespace, name and key.
func (s *Secret) place() (namespace, name, key string) {
	name, key = s.Secret, s.Key
	if key == "" {
		name, key, _ = strings.Cut(s.Secret, "/")
	}
	namespace = s.Namespace
	if s.Cluster != nil {
		namespace = s.Cluster.Scope(namespace)
	}
	return namespace, name, key
}

// String implements [rotate.Sink]: "kubernetes-secret:eks:eu-west-1/production/monitoring/web#TOKEN".
func (s *Secret) String() string {
	namespace, name, key := s.place()
	at := namespace + "/" + name + "#" + key
	if s.Cluster != nil {
		at = s.Cluster.String() + "/" + at
	}
	return "kubernetes-secret:" + at
}

// Format implements [fmt.Formatter] for every verb: what was read is kept for an undo.
func (s *Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

var (
	dnsSubdomain = pattern.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	dataKey      = pattern.New(`^[-._a-zA-Z0-9]{1,253}$`)
)

// Validate reports all that is wrong with the fields, without any call.
func (s *Secret) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	_, name, key := s.place()
	switch {
	case s.Secret == "":
		bad("secret", "give the name of the Secret and the key, as name/key")
	case s.Key != "" && strings.Contains(s.Secret, "/"):
		bad("secret", "%q names a key, and so does key; give one of them", s.Secret)
	case !dnsSubdomain.MatchString(name) || len(name) > 253:
		bad("secret", "%q is not the name of a Secret: small letters, digits, - and .", name)
	case key == "":
		bad("key", "give the key of the Secret, or write secret as name/key")
	case !dataKey.MatchString(key) || key == "." || strings.HasPrefix(key, ".."):
		bad("key", "%q is not a key of a Secret: letters, digits, -, _ and .", key)
	}
	switch {
	case s.Previous == "":
	case !dataKey.MatchString(s.Previous) || s.Previous == "." || strings.HasPrefix(s.Previous, ".."):
		bad("previous", "%q is not a key of a Secret: letters, digits, -, _ and .", s.Previous)
	case s.Previous == key:
		bad("previous", "it is the key itself; give another for the former value")
	}
	if s.Namespace != "" && !pattern.DNSLabel.MatchString(s.Namespace) {
		bad("namespace", "%q is not the name of a namespace: small letters, digits and -", s.Namespace)
	}
	if s.Cluster == nil {
		bad("cluster", "say which cluster, here or once for the rotation")
	} // what is wrong with the cluster itself it says once for all its adapters
	return errors.Join(errs...)
}

// Endpoints implements [rotate.Connector].
func (s *Secret) Endpoints() []rotate.Endpoint {
	if s.Cluster == nil {
		return nil
	}
	namespace, name, _ := s.place()
	return s.Cluster.Reach("holds the Secret "+namespace+"/"+name, http.MethodGet, http.MethodPatch, http.MethodPost)
}

// Accept implements [rotate.Accepter]. What the other keys hold counts as far as it is known.
func (s *Secret) Accept(c rotate.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault("accept", s.accept(c))
}

func (s *Secret) accept(c rotate.Credential) error {
	size, others := len(c.Secret.Reveal()), 0
	if s.last != nil {
		others = s.last.others
	}
	switch {
	case size == 0:
		return fmt.Errorf("%w: there is no secret to write", rotate.ErrConfig)
	case size+others > MaxSize:
		return fmt.Errorf("%w: with the credential of %d bytes the Secret would have %d, and %d are allowed", rotate.ErrLimit, size, size+others, MaxSize)
	}
	return nil
}

// Warnings implements [rotate.Warner].
func (s *Secret) Warnings() []string { return s.warnings.Take() }

// fault names the operation and the sink of an error.
func (s *Secret) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}
