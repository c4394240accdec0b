package externalsecret

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// This file reads an ExternalSecret and its Secret.

// group is the API group of the operator.
const group = "external-secrets.io"

// versions of the group that are understood, the newest first. The fields that are looked at are the same in both.
var versions = []string{"v1", "v1beta1"}

// resource finds out, once, which version of the group the cluster serves.
func (s *Sync) resource(ctx context.Context) (schema.GroupVersionResource, error) {
	s.mu.Lock()
	version := s.version
	s.mu.Unlock()
	of := func(version string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: group, Version: version, Resource: "externalsecrets"}
	}
	if version != "" {
		return of(version), nil
	}
	text, err := s.Cluster.Raw(ctx, http.MethodGet, "/apis/"+group, nil, nil, "")
	if err != nil {
		return of(""), fmt.Errorf("whether the External Secrets Operator is installed: %w", s.Cluster.Fault(err, "get", "apis", "", group))
	}
	served, err := servedVersions(text)
	if err != nil {
		return of(""), err
	}
	for _, v := range versions {
		if slices.Contains(served, v) {
			s.mu.Lock()
			s.version = v
			s.mu.Unlock()
			return of(v), nil
		}
	}
	return of(""), fmt.Errorf("%w: the cluster serves neither v1 nor v1beta1 of %s; install a newer External Secrets Operator", rotate.ErrNotFound, group)
}

// servedVersions reads the answer of the API server's discovery of one group.
func servedVersions(text []byte) ([]string, error) {
	var g struct {
		Kind     string
		Versions []struct{ Version string }
	}
	if json.Unmarshal(text, &g) != nil || g.Kind != "APIGroup" {
		return nil, fmt.Errorf("%w: the API server's answer on its group %s is not understood", rotate.ErrTemporary, group)
	}
	var all []string
	for _, v := range g.Versions {
		all = append(all, v.Version)
	}
	return all, nil
}

// external is what is looked at of an ExternalSecret.
type external struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		RefreshPolicy   string
		RefreshInterval *string
		Target          struct {
			Name           string
			CreationPolicy string
			Immutable      bool
			Manifest       *struct{ Kind string }
		}
	}
	Status struct {
		RefreshTime           metav1.Time
		SyncedResourceVersion string
		Conditions            []objects.Condition
		Binding               struct{ Name string }
	}
}

func (x external) ready() objects.Condition { return objects.Find(x.Status.Conditions, "Ready") }

// target is the name of the Secret that the operator writes.
func (x external) target() string {
	return cmp.Or(x.Spec.Target.Name, x.Status.Binding.Name, x.Name)
}

// refusal says why a forced sync could not bring a new value into the Secret; "" if it could.
func (x external) refusal() string {
	t := x.Spec.Target
	switch {
	case x.Spec.RefreshPolicy == "CreatedOnce":
		return "its refreshPolicy is CreatedOnce, so that the operator never syncs it again; use Periodic or OnChange"
	case (x.Spec.RefreshPolicy == "" || x.Spec.RefreshPolicy == "Periodic") && x.never():
		return "its refreshInterval is " + fmt.Sprintf("%.20q", *x.Spec.RefreshInterval) + ", so that the operator ignores a request to sync; give it an interval, such as 1h, or the refreshPolicy OnChange"
	case t.CreationPolicy == "None":
		return "its target has the creationPolicy None, so that there is no Secret"
	case t.Immutable:
		return "its target is immutable, so that the Secret never changes"
	case t.Manifest != nil && t.Manifest.Kind != "Secret":
		return "its target is not a Secret"
	}
	return ""
}

// never reports that the interval is given and not more than zero. What is not given is an hour, by the operator's
// own definition of the type.
func (x external) never() bool {
	if x.Spec.RefreshInterval == nil {
		return false
	}
	d, err := time.ParseDuration(*x.Spec.RefreshInterval)
	return err == nil && d <= 0
}

// stirred reports whether a sync that succeeded came after our request; in the very second of the one before it, it
// cannot be told whether it was later.
func (x external) stirred(before external) bool {
	return x.Status.SyncedResourceVersion != "" &&
		x.Status.SyncedResourceVersion != before.Status.SyncedResourceVersion &&
		x.ready().Status == "True"
}

// synced reports whether a sync that succeeded came later than that of before.
func (x external) synced(before external) bool {
	return x.stirred(before) && x.Status.RefreshTime.After(before.Status.RefreshTime.Time)
}

// content is what is looked at of a Secret. It must not be printed.
type content struct {
	Data map[string][]byte
}

// equal lists the keys whose value is the credential.
func (c content) equal(secret rotate.Secret) []string {
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(c.Data)) {
		if secret.Equal(rotate.NewSecret(string(c.Data[k]))) {
			keys = append(keys, k)
		}
	}
	return keys
}
