package kubernetessecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestRealServer runs the suite and the refusals on a real API server (e2e/kube/kube.sh), with a user who may get and patch
// this one Secret and nothing else.
func TestRealServer(t *testing.T) {
	of := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Skip(name + " is not set")
		}
		return v
	}
	build := func(token string) *cluster.Cluster {
		return &cluster.Cluster{Server: of("REMINT_KUBE_SERVER"), CA: of("REMINT_KUBE_CA"), Token: rotate.NewSecret(of(token))}
	}
	admin := build("REMINT_KUBE_TOKEN")
	namespace := fmt.Sprintf("sink-%d", time.Now().UnixNano())
	do := func(method, path string, object map[string]any) []byte {
		t.Helper()
		body, err := json.Marshal(object)
		must(t, err)
		kind := "application/json"
		if method == http.MethodPatch {
			kind = "application/merge-patch+json"
		}
		answer, err := admin.Raw(t.Context(), method, path, nil, body, kind)
		must(t, admin.Fault(err, method, path, "", ""))
		return answer
	}
	named := func(name string) map[string]any { return map[string]any{"name": name} }
	do(http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": named(namespace)})
	t.Cleanup(func() {
		_, _ = admin.Raw(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+namespace, nil, nil, "")
	})
	at, rbac := "/api/v1/namespaces/"+namespace+"/secrets", "/apis/rbac.authorization.k8s.io/v1/namespaces/"+namespace
	fresh := func(name string) {
		do(http.MethodPost, at, map[string]any{"metadata": named(name), "data": map[string]any{"TOKEN": encoded(byHand), "OTHER": encoded(neighbor)}})
	}
	fresh("web")
	sink := func(name string) *Secret {
		return &Secret{Cluster: build("REMINT_KUBE_ROTATOR"), Namespace: namespace, Secret: name, Key: "TOKEN"}
	}
	if err := sink("web").Check(t.Context()); !errors.Is(err, rotate.ErrDenied) || !hasAll(err.Error(), "grant verb get on secrets", "grant verb patch on secrets") {
		t.Errorf("Check without rights: %v", err)
	}
	do(http.MethodPost, rbac+"/roles", map[string]any{"metadata": named("web"), "rules": []any{map[string]any{"apiGroups": []string{""}, "resources": []string{"secrets"},
		"resourceNames": []string{"web", "fixed"}, "verbs": []string{"get", "patch"}}}})
	do(http.MethodPost, rbac+"/rolebindings", map[string]any{"metadata": named("web"), "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "rotator"}}})
	for deadline := time.Now().Add(10 * time.Second); sink("web").Check(t.Context()) != nil && time.Now().Before(deadline); { // the authorizer follows after a moment
		time.Sleep(50 * time.Millisecond)
	}
	content := func(t *testing.T, key string) string {
		t.Helper()
		var o struct {
			Data map[string][]byte `json:"data"`
		}
		body, err := admin.Raw(t.Context(), http.MethodGet, at+"/web", nil, nil, "")
		must(t, err)
		must(t, json.Unmarshal(body, &o))
		return string(o.Data[key])
	}
	rotatetest.Sink(t, rotatetest.SinkUnderTest{
		New:         func(*testing.T) rotate.Sink { return sink("web") },
		Content:     func(t *testing.T) string { return content(t, "TOKEN") },
		Credentials: []string{os.Getenv("REMINT_KUBE_ROTATOR"), byHand, neighbor},
	})
	if content(t, "OTHER") != neighbor {
		t.Error("the neighbour changed")
	}

	s := sink("web")
	_, err := s.Held(t.Context())
	must(t, err)
	do(http.MethodPatch, at+"/web", map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": "a"}}})
	must(t, s.Write(t.Context(), newer)) // a stale resourceVersion, with this key as it was
	do(http.MethodPatch, at+"/web", map[string]any{"data": map[string]any{"TOKEN": encoded("theirs")}})
	if err := s.Write(t.Context(), older); !errors.Is(err, rotate.ErrConflict) || content(t, "TOKEN") != "theirs" {
		t.Errorf("somebody else's value was overwritten: %v", err)
	}
	if h, err := sink("web").Held(t.Context()); err != nil || h.Mark.Token.ID != "" || h.Secret.Reveal() != "theirs" {
		t.Errorf("held %+v, %v", h, err)
	}

	do(http.MethodPatch, at+"/web", map[string]any{"data": map[string]any{"TOKEN": encoded(byHand)}})
	kept := func() *Secret {
		s := sink("web")
		s.Previous = "TOKEN_PREVIOUS"
		return s
	}
	s, rival := kept(), kept()
	for _, k := range []*Secret{s, rival} {
		_, err := k.Held(t.Context())
		must(t, err)
	}
	must(t, s.Write(t.Context(), newer))
	if content(t, "TOKEN") != newer.Secret.Reveal() || content(t, "TOKEN_PREVIOUS") != byHand {
		t.Error("what was replaced is not kept")
	}
	if err := rival.Write(t.Context(), older); !errors.Is(err, rotate.ErrConflict) || content(t, "TOKEN") != newer.Secret.Reveal() {
		t.Errorf("a rival wrote: %v", err)
	}
	must(t, s.Mark(t.Context(), newer.Token))
	must(t, kept().Forget(t.Context(), rotate.Token{ID: keeping.ByHand}))
	if h, err := kept().Held(t.Context()); err != nil || h.Mark.Token.ID != newer.ID || !h.Mark.Verified || h.Former.ID != "" || content(t, "TOKEN_PREVIOUS") != newer.Secret.Reveal() {
		t.Errorf("held %+v, %v", h, err)
	}

	fresh("fixed")
	do(http.MethodPatch, at+"/fixed", map[string]any{"immutable": true})
	if err := sink("fixed").Check(t.Context()); !errors.Is(err, rotate.ErrConfig) || !hasAll(err.Error(), "immutable") {
		t.Errorf("Check of what is immutable: %v", err)
	}
	err = sink("fixed").Write(t.Context(), newer)
	if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "data (FieldValueForbidden)") {
		t.Errorf("Write of what is immutable: %v", err)
	} else {
		silent(t, err.Error())
	}
	if err := sink("none").Check(t.Context()); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("Check of a Secret that is not there, without a right to know: %v", err)
	}
	as := sink("none")
	as.Cluster = admin
	if err := as.Check(t.Context()); !errors.Is(err, rotate.ErrNotFound) || !strings.Contains(err.Error(), "create the Secret first") {
		t.Errorf("Check of a Secret that is not there: %v", err)
	}
}
