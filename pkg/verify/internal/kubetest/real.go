package kubetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Real is a namespace of its own on a real API server (e2e/kube/kube.sh), which REMINT_KUBE_SERVER, REMINT_KUBE_CA,
// REMINT_KUBE_TOKEN (of an administrator) and REMINT_KUBE_ROTATOR (of a user without rights) name. Pods are played by kwok.
type Real struct {
	Namespace string
	admin     *cluster.Cluster
	t         *testing.T
}

// NewReal makes the namespace, or skips the test where there is no server.
func NewReal(t *testing.T) *Real {
	t.Helper()
	r := &Real{Namespace: fmt.Sprintf("verify-%d", time.Now().UnixNano()), t: t}
	r.admin = r.as("REMINT_KUBE_TOKEN")
	r.Do(http.MethodPost, "/api/v1/namespaces", `{"metadata": {"name": "`+r.Namespace+`"}}`)
	t.Cleanup(func() {
		_, _ = r.admin.Raw(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+r.Namespace, nil, nil, "")
	})
	return r
}

func (r *Real) as(variable string) *cluster.Cluster {
	r.t.Helper()
	of := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			r.t.Skip(name + " is not set")
		}
		return v
	}
	return &cluster.Cluster{Server: of("REMINT_KUBE_SERVER"), CA: of("REMINT_KUBE_CA"), Token: rotate.NewSecret(of(variable)), Namespace: r.Namespace}
}

// Cluster is the server as the user without rights, to whom Grant gives some.
func (r *Real) Cluster() *cluster.Cluster { return r.as("REMINT_KUBE_ROTATOR") }

// Grant gives the user rights in the namespace, each as "verbs group resources", such as "get,patch apps deployments".
func (r *Real) Grant(rules ...string) {
	r.t.Helper()
	var all []any
	for _, text := range rules {
		f := strings.Split(text, " ")
		list := func(s string) []any {
			var out []any
			for x := range strings.SplitSeq(s, ",") {
				out = append(out, x)
			}
			return out
		}
		all = append(all, Object{"verbs": list(f[0]), "apiGroups": list(f[1]), "resources": list(f[2])})
	}
	role, _ := json.Marshal(Object{"metadata": Object{"name": "rotator"}, "rules": all})
	at := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + r.Namespace
	r.Do(http.MethodPost, at+"/roles", string(role))
	r.Do(http.MethodPost, at+"/rolebindings", `{"metadata": {"name": "rotator"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "rotator"},
		"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "rotator"}]}`)
	user := r.Cluster()
	for _, text := range rules { // the server takes note of a role after a moment
		f := strings.Split(text, " ")
		verb, _, _ := strings.Cut(f[0], ",")
		resource, _, _ := strings.Cut(f[2], ",")
		for range 50 {
			if user.Permitted(r.t.Context(), verb, f[1], resource, r.Namespace, "") == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// Try sends a request as administrator; NS in the path and in the body stands for the namespace.
func (r *Real) Try(method, path, body string) (Object, error) {
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	text, err := r.admin.Raw(r.t.Context(), method, strings.ReplaceAll(path, "NS", r.Namespace), nil, []byte(strings.ReplaceAll(body, "NS", r.Namespace)), kind)
	if err != nil {
		return nil, r.admin.Fault(err, strings.ToLower(method), path, "", "")
	}
	var o Object
	return o, json.Unmarshal(text, &o)
}

// Do is Try that must succeed.
func (r *Real) Do(method, path, body string) Object {
	r.t.Helper()
	o, err := r.Try(method, path, body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return o
}
