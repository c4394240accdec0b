package kubernetessecret

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads the object and patches it. A patch names the version it was made for, so it may be sent again if its
// answer was lost: the second is refused if the first took effect.

// manager is the name under which the API server records who set which field.
const manager = "remint"

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// sight is the object at one moment, as far as it concerns one key.
type sight struct {
	object  *unstructured.Unstructured
	version string
	value   []byte
	has     bool   // the key is there
	former  []byte // under the key previous, if there is to be one
	others  int    // bytes of all other values
	marker  string
}

// same reports that a and b hold the same under the key.
func (a *sight) same(b *sight) bool { return a.has == b.has && bytes.Equal(a.value, b.value) }

// secret returns the value for those who use it: a line break at its end is none of the token's.
func (a *sight) secret() rotate.Secret {
	text, _ := bytes.CutSuffix(a.value, []byte("\n"))
	text, _ = bytes.CutSuffix(text, []byte("\r"))
	return rotate.NewSecret(string(text))
}

func (s *Secret) client(ctx context.Context) (dynamic.ResourceInterface, error) {
	s.once.Do(func() { s.invalid = s.Validate() })
	if s.invalid != nil {
		return nil, s.invalid
	}
	api, err := s.Cluster.Dynamic(ctx)
	if err != nil {
		return nil, err
	}
	namespace, _, _ := s.place()
	return api.Resource(secrets).Namespace(namespace), nil
}

// errAltered says that the write took effect, in a way.
var errAltered = fmt.Errorf("%w: the API server stored something else than was written; see which mutating admission webhook changes Secrets", rotate.ErrConfig)

// look reads the object.
func (s *Secret) look(ctx context.Context) (*sight, error) {
	s.last = nil
	api, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	namespace, name, _ := s.place()
	object, err := api.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, s.Cluster.Fault(err, "get", "secrets", namespace, name)
	}
	now, err := s.see(object)
	if err != nil {
		return nil, err
	}
	s.last = now
	return now, nil
}

// see takes the object apart.
func (s *Secret) see(object *unstructured.Unstructured) (*sight, error) {
	namespace, name, key := s.place()
	if object.GetKind() != "Secret" || object.GetName() != name || object.GetNamespace() != namespace || object.GetResourceVersion() == "" {
		return nil, fmt.Errorf("%w: what was answered is not the Secret %s in namespace %s", rotate.ErrTemporary, name, namespace)
	}
	now := &sight{object: object, version: object.GetResourceVersion(), marker: object.GetAnnotations()[Annotation(key)]}
	data, _ := object.Object["data"].(map[string]any)
	for k, v := range data {
		text, _ := v.(string)
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: the value of one of the Secret's keys is not base64", rotate.ErrTemporary)
		}
		if k != key {
			now.others += len(value)
			if k == s.Previous && k != "" {
				now.former = value
			}
			continue
		}
		now.value, now.has = value, true
	}
	return now, nil
}

// patch changes the marker, and the value too unless the new sight has the old one. What the answer shows must be what
// was asked for.
func (s *Secret) patch(ctx context.Context, now, want *sight) error {
	_, _, key := s.place()
	var data map[string]any
	if !now.same(want) {
		data = map[string]any{key: nil} // null takes it away
		if want.has {
			data[key] = want.value
		}
	}
	got, err := s.send(ctx, now.version, data, want.marker)
	if err != nil {
		return err
	}
	if !got.same(want) || got.marker != want.marker {
		return errAltered
	}
	return nil
}

// send patches the object of that version: the values under some keys, and the marker; "" takes that away.
func (s *Secret) send(ctx context.Context, version string, data map[string]any, marker string) (*sight, error) {
	s.last = nil
	api, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	namespace, name, key := s.place()
	notes := map[string]any{Annotation(key): nil}
	if marker != "" {
		notes[Annotation(key)] = marker
	}
	body := map[string]any{"metadata": map[string]any{"resourceVersion": version, "annotations": notes}}
	if data != nil {
		body["data"] = data // bytes are base64 in JSON
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	object, err := api.Patch(httpx.Repeatable(ctx), name, types.MergePatchType, text, metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		return nil, s.Cluster.Fault(err, "patch", "secrets", namespace, name)
	}
	got, err := s.see(object)
	if err != nil {
		return nil, err
	}
	s.last = got
	return got, nil
}
