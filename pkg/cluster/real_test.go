package cluster

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

	"github.com/remint-dev/remint/pkg/rotate"
)

// These tests talk to a real API server (e2e/kube/kube.sh), named by REMINT_KUBE_SERVER, REMINT_KUBE_CA, REMINT_KUBE_TOKEN of
// an administrator and REMINT_KUBE_ROTATOR of a user without rights.

// realCluster returns the cluster as the administrator and as the user, and a namespace of the test's own.
func realCluster(t *testing.T) (admin, rotator *Cluster, namespace string) {
	t.Helper()
	of := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Skip(name + " is not set")
		}
		return v
	}
	build := func(token string) *Cluster {
		return &Cluster{Server: of("REMINT_KUBE_SERVER"), CA: of("REMINT_KUBE_CA"), Token: rotate.NewSecret(of(token))}
	}
	admin, rotator = build("REMINT_KUBE_TOKEN"), build("REMINT_KUBE_ROTATOR")
	namespace = fmt.Sprintf("cluster-%d", time.Now().UnixNano())
	post(t, admin, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": namespace}})
	t.Cleanup(func() {
		_, _ = admin.Raw(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+namespace, nil, nil, "")
	})
	return admin, rotator, namespace
}

func post(t *testing.T, c *Cluster, path string, object map[string]any) {
	t.Helper()
	body, err := json.Marshal(object)
	must(t, err)
	_, err = c.Raw(t.Context(), http.MethodPost, path, nil, body, "application/json")
	must(t, c.Fault(err, "create", path, "", ""))
}

func TestRealServer(t *testing.T) {
	admin, rotator, namespace := realCluster(t)
	at := "/api/v1/namespaces/" + namespace + "/secrets"
	post(t, admin, at, map[string]any{"metadata": map[string]any{"name": "web"}, "data": map[string]any{"TOKEN": encode(hidden), "PASSWORD": encode(short)}})
	body, err := admin.Raw(t.Context(), "GET", at+"/web", nil, nil, "")
	must(t, err)
	var object struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	must(t, json.Unmarshal(body, &object))
	merge := func(c *Cluster, name, body string) error {
		_, err := c.Raw(t.Context(), "PATCH", at+"/"+name, nil, []byte(body), "application/merge-patch+json")
		return c.Fault(err, "patch", "secrets", namespace, name)
	}
	version := func(text string) string {
		return fmt.Sprintf(`{"metadata":{"resourceVersion":%q},%s}`, object.Metadata.ResourceVersion, text)
	}
	must(t, merge(admin, "web", version(`"data":{"TOKEN":"`+encode(hidden+"2")+`"}`)))
	for _, tt := range []struct {
		name string
		err  error
		want error
		says string
	}{
		{"a stale version", merge(admin, "web", version(`"data":{"TOKEN":"`+encode(hidden)+`"}`)), rotate.ErrConflict, "changed by somebody else"},
		{"no such Secret", merge(admin, "none", `{}`), rotate.ErrNotFound, "there is no secrets/none in namespace " + namespace},
		{"no right", merge(rotator, "web", `{}`), rotate.ErrDenied, "may not patch secrets/web in namespace " + namespace + ": grant verb patch on secrets (resourceNames: [web])"},
		{"what is no base64", merge(admin, "web", `{"data":{"TOKEN":"`+hidden+`"}}`), rotate.ErrConfig, "because of a field (FieldValueInvalid)"},
		{"a key that is none", merge(admin, "web", `{"data":{"a b":"`+encode(hidden)+`"}}`), rotate.ErrConfig, "because of data (FieldValueInvalid)"},
		{"too large", merge(admin, "web", `{"data":{"TOKEN":"`+encode(strings.Repeat(hidden, 40000))+`"}}`), rotate.ErrConfig, "FieldValueTooLong"},
		{"immutable", func() error {
			must(t, merge(admin, "web", `{"immutable":true}`))
			return merge(admin, "web", `{"data":{"TOKEN":"`+encode(hidden)+`"}}`)
		}(), rotate.ErrConfig, "because of data (FieldValueForbidden)"},
		{"a wrong token", func() error {
			c := clone(admin)
			c.Token = rotate.NewSecret("wrong")
			return merge(c, "web", `{}`)
		}(), rotate.ErrDenied, "does not accept the credential"},
		{"not its CA", func() error {
			c := clone(admin)
			cert, _ := key(t, "other")
			c.CA = file(t, cert)
			return merge(c, "web", `{}`)
		}(), rotate.ErrConfig, "is not trusted"},
		{"a kind that is not there", func() error {
			_, err := admin.Raw(t.Context(), "GET", "/apis/nobody.remint.dev/v1/namespaces/"+namespace+"/things/web", nil, nil, "")
			return admin.Fault(err, "get", "things", namespace, "web")
		}(), rotate.ErrNotFound, "knows no things"},
		{"allowed", admin.Permitted(t.Context(), "patch", "", "secrets", namespace, "web"), nil, ""},
		{"not allowed", rotator.Permitted(t.Context(), "get", "", "pods/log", namespace, ""), rotate.ErrDenied, "may not get pods/log in namespace " + namespace},
	} {
		if tt.want == nil && tt.err != nil || !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
			continue
		}
		if tt.err != nil {
			if !strings.Contains(tt.err.Error(), tt.says) {
				t.Errorf("%s: %v, want %s", tt.name, tt.err, tt.says)
			}
			silent(t, tt.err.Error())
		}
	}
}

// clone is a cluster that connects anew.
func clone(c *Cluster) *Cluster { return &Cluster{Server: c.Server, CA: c.CA, Token: c.Token} }
