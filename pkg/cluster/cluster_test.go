package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// answer is what a server says to everything.
type answer struct {
	code   int
	kind   string
	body   []byte
	header http.Header
	err    error
}

// told carries requests to one answer, and keeps them.
type told struct {
	answer
	mu   sync.Mutex
	seen []*http.Request
}

func (a *told) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, r)
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if a.err != nil {
		return nil, a.err
	}
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if a.kind != "" {
		h.Set("Content-Type", a.kind)
	}
	h.Set("Retry-After", "999999") // nobody waits that long
	return &http.Response{StatusCode: a.code, Header: h, Body: io.NopCloser(strings.NewReader(string(a.body))), Request: r}, nil
}

func served(a answer) *Cluster {
	return &Cluster{Server: "https://kube.example", Token: rotate.NewSecret("bearer-of-the-cluster"), Transport: &told{answer: a}}
}

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

func get(ctx context.Context, c *Cluster) (*unstructured.Unstructured, error) {
	api, err := c.Dynamic(ctx)
	if err != nil {
		return nil, err
	}
	return api.Resource(secrets).Namespace("apps").Get(ctx, "web", metav1.GetOptions{})
}

func patch(ctx context.Context, c *Cluster, body string) error {
	api, err := c.Dynamic(ctx)
	if err != nil {
		return err
	}
	_, err = api.Resource(secrets).Namespace("apps").Patch(ctx, "web", types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "remint"})
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	token := rotate.NewSecret("t")
	eks := func() *Cluster { c := &Cluster{EKS: "production"}; c.Region = "eu-west-1"; return c }
	for _, tt := range []struct {
		name  string
		c     *Cluster
		want  string // field; "": valid
		shown string
	}{
		{"eks", eks(), "", "eks:eu-west-1/production"},
		{"eks in an account", func() *Cluster { c := eks(); c.Account = "111111111111"; return c }(), "", "eks:111111111111/eu-west-1/production"},
		{"kubeconfig", &Cluster{Kubeconfig: "/k"}, "", "kube:/k"},
		{"a context", &Cluster{Kubeconfig: "/k", Context: "prod"}, "", "kube:prod"},
		{"a context of the usual kubeconfig", &Cluster{Context: "prod"}, "", "kube:prod"},
		{"in a pod", &Cluster{InCluster: true, Namespace: "apps"}, "", "kube:in-cluster"},
		{"a server", &Cluster{Server: "https://kube.example:6443", Token: token}, "", "kube:kube.example:6443"},
		{"a server behind a path", &Cluster{Server: "https://rancher.example/k8s/clusters/c-1/", Token: token, CA: "/ca"}, "", "kube:rancher.example/k8s/clusters/c-1"},
		{"nothing", &Cluster{}, "cluster", ""},
		{"two ways", &Cluster{InCluster: true, Context: "prod"}, "cluster", ""},
		{"eks and a context", &Cluster{EKS: "production", Context: "prod"}, "cluster", ""},
		{"eks without a region", &Cluster{EKS: "production"}, "region", ""},
		{"a bad name", func() *Cluster { c := eks(); c.EKS = "a/b"; return c }(), "eks", ""},
		{"a bad account", func() *Cluster { c := eks(); c.Account = "1"; return c }(), "account", ""},
		{"a bad endpoint", func() *Cluster { c := eks(); c.EKSURL = "http://eks.example"; return c }(), "eks-endpoint", ""},
		{"a token for a context", &Cluster{Context: "prod", Token: token}, "token", ""},
		{"a CA for a pod", &Cluster{InCluster: true, CA: "/ca"}, "ca", ""},
		{"a server without a token", &Cluster{Server: "https://kube.example"}, "token", ""},
		{"a token with a line break", &Cluster{Server: "https://kube.example", Token: rotate.NewSecret("t\n")}, "token", ""},
		{"a server without TLS", &Cluster{Server: "http://kube.example", Token: token}, "server", ""},
		{"a namespace", &Cluster{InCluster: true, Namespace: "Apps"}, "namespace", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.c.Validate()
			var field *rotate.Error
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.Is(err, rotate.ErrConfig) || !errors.As(err, &field) || field.At != tt.want):
				t.Errorf("Validate: %v, want the field %s", err, tt.want)
			}
			if tt.shown != "" && tt.c.String() != tt.shown {
				t.Errorf("String is %q, want %q", tt.c, tt.shown)
			}
			if err != nil {
				if _, err := tt.c.Dynamic(t.Context()); !errors.Is(err, rotate.ErrConfig) {
					t.Errorf("Dynamic of what is not valid: %v", err)
				}
			}
		})
	}
}

func TestScope(t *testing.T) {
	for _, tt := range [][3]string{{"", "", "default"}, {"apps", "", "apps"}, {"apps", "web", "web"}, {"", "web", "web"}} {
		if got := (&Cluster{Namespace: tt[0]}).Scope(tt[1]); got != tt[2] {
			t.Errorf("Scope(%q) of %q is %q, want %q", tt[1], tt[0], got, tt[2])
		}
	}
}

// TestRequests shows what is sent, and how often. The API server asks for patience with Retry-After, which makes client-go
// by itself send anything again, ten times.
func TestRequests(t *testing.T) {
	lost := errors.New("connection reset by peer")
	for _, tt := range []struct {
		name   string
		answer answer
		do     func(ctx context.Context, c *Cluster) error
		sent   int
		want   error
	}{
		{"a patch, busy", answer{code: 429}, func(ctx context.Context, c *Cluster) error { return patch(ctx, c, "{}") }, 1, rotate.ErrTemporary},
		{"a patch, broken", answer{code: 503}, func(ctx context.Context, c *Cluster) error { return patch(ctx, c, "{}") }, 1, rotate.ErrTemporary},
		{"a patch, lost", answer{err: lost}, func(ctx context.Context, c *Cluster) error { return patch(ctx, c, "{}") }, 1, rotate.ErrTemporary},
		{"a patch that may be repeated, lost", answer{err: lost}, func(ctx context.Context, c *Cluster) error { return patch(httpx.Repeatable(ctx), c, "{}") }, 4, rotate.ErrTemporary},
		{"a look, lost", answer{err: lost}, func(ctx context.Context, c *Cluster) error { _, err := get(ctx, c); return err }, 4, rotate.ErrTemporary},
		{"a look, busy for too long", answer{code: 429}, func(ctx context.Context, c *Cluster) error { _, err := get(ctx, c); return err }, 1, rotate.ErrTemporary},
		{"a redirect", answer{code: 307, header: http.Header{"Location": {"https://other.example/"}}}, func(ctx context.Context, c *Cluster) error { _, err := get(ctx, c); return err }, 1, rotate.ErrConfig},
		{"an answer that never ends", answer{code: 200, kind: "application/json", body: []byte(`{"kind":"Secret","x":"` + strings.Repeat("x", 11<<20) + `"}`)},
			func(ctx context.Context, c *Cluster) error { _, err := get(ctx, c); return err }, 1, rotate.ErrLimit},
		{"a raw POST, lost", answer{err: lost}, func(ctx context.Context, c *Cluster) error {
			_, err := c.Raw(ctx, "POST", "/api/v1/x", nil, []byte("{}"), "application/json")
			return err
		}, 1, rotate.ErrTemporary},
		{"a question about rights, lost", answer{err: lost}, func(ctx context.Context, c *Cluster) error {
			return c.Permitted(ctx, "get", "", "secrets", "apps", "web")
		}, 4, rotate.ErrTemporary},
		{"a raw GET, lost", answer{err: lost}, func(ctx context.Context, c *Cluster) error {
			_, err := c.Raw(ctx, "GET", "/api/v1/x", nil, nil, "")
			return err
		}, 4, rotate.ErrTemporary},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := served(tt.answer)
				err := c.Fault(tt.do(t.Context(), c), "patch", "secrets", "apps", "web")
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				seen := c.Transport.(*told).seen
				if len(seen) != tt.sent {
					t.Errorf("sent %d times, want %d", len(seen), tt.sent)
				}
				for _, r := range seen {
					if r.Header.Get("Authorization") != "Bearer bearer-of-the-cluster" || r.URL.Host != "kube.example" || r.Header.Get("User-Agent") != httpx.UserAgent {
						t.Errorf("sent to %s with %v", r.URL, r.Header)
					}
				}
			})
		})
	}
}

// TestQuiet: client-go prints warnings of the server, and errors of reading, to standard error.
func TestQuiet(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	before := os.Stderr
	os.Stderr = f
	defer func() { os.Stderr = before }()
	for _, a := range []answer{
		{code: 200, kind: "application/json", body: []byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"web"}}`), header: http.Header{"Warning": {`299 - "` + hidden + `"`}}},
		{code: 200, kind: "application/json", body: []byte(strings.Repeat("x", 11<<20))},
		{code: 200, kind: "application/json", body: []byte(`{`)},
		{code: 500, kind: "text/html", body: []byte(hidden)},
	} {
		c := served(a)
		_, _ = get(t.Context(), c)
		_ = patch(t.Context(), c, "{}")
	}
	os.Stderr = before
	text, err := os.ReadFile(f.Name())
	must(t, err)
	if len(text) > 0 {
		t.Errorf("printed: %s", text)
	}
}

// TestMany shows that nothing holds requests back: client-go alone allows five a second.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := served(answer{code: 200, kind: "application/json", body: []byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"web"}}`)})
		ctx, cancel := context.WithTimeout(t.Context(), 1)
		defer cancel()
		for range 50 {
			if _, err := get(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func emulated(rules ...kube.Rule) (*Cluster, *kube.Server) {
	s := kube.New()
	s.AddToken("bearer-of-the-cluster", "rotator", rules...)
	return &Cluster{Server: "https://kube.example/prefix", Token: rotate.NewSecret("bearer-of-the-cluster"),
		Transport: &emulate.Wire{Route: func(string) http.Handler { return http.StripPrefix("/prefix", s) }}}, s
}

func TestRaw(t *testing.T) {
	c, s := emulated(kube.Everything)
	s.AddSecret("apps", "web", map[string]string{"TOKEN": hidden})
	s.Expose("apps", "prometheus", "9090", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"status":"error","errorType":"bad_data"}`+r.URL.RawQuery)
	}))
	body, err := c.Raw(t.Context(), "GET", "/api/v1/namespaces/apps/secrets/web", nil, nil, "")
	if err != nil || !strings.Contains(string(body), encode(hidden)) {
		t.Errorf("%s, %v", body, err)
	}
	body, err = c.Raw(t.Context(), "GET", "/api/v1/namespaces/apps/services/prometheus:9090/proxy/api/v1/query", map[string][]string{"query": {"a b"}}, nil, "")
	if !errors.Is(c.Fault(err, "get", "services/proxy", "apps", "prometheus:9090"), rotate.ErrConfig) || !strings.Contains(string(body), `bad_data"}query=a+b`) {
		t.Errorf("behind the proxy: %q, %v", body, err)
	}
	body, err = c.Raw(t.Context(), "GET", "/api/v1/namespaces/apps/secrets/none", nil, nil, "")
	if !errors.Is(c.Fault(err, "get", "secrets", "apps", "none"), rotate.ErrNotFound) || body != nil {
		t.Errorf("%q, %v", body, err)
	}
	for _, at := range []string{"", "/", "/version", "api/v1", "/api/../version", "/api//v1", "/api/v1/namespaces/apps/secrets/../../x", "https://other.example/api"} {
		if _, err := c.Raw(t.Context(), "GET", at, nil, nil, ""); !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%q: %v", at, err)
		}
	}
}

func TestPermitted(t *testing.T) {
	c, _ := emulated(kube.Rule{Verbs: []string{"get"}, Resources: []string{"pods/log"}, Namespaces: []string{"apps"}})
	must(t, c.Permitted(t.Context(), "get", "", "pods/log", "apps", "web-1"))
	err := c.Permitted(t.Context(), "patch", "apps", "deployments", "apps", "web")
	if !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "may not patch deployments/web in namespace apps: grant verb patch on deployments.apps (resourceNames: [web]) by a Role") {
		t.Errorf("%v", err)
	}
	err = c.Permitted(t.Context(), "create", "batch", "jobs", "apps", "")
	if !errors.Is(err, rotate.ErrDenied) || strings.Contains(err.Error(), "resourceNames") {
		t.Errorf("%v", err)
	}
	c.Token, c.link = rotate.NewSecret("another"), nil
	if err := c.Permitted(t.Context(), "get", "", "pods", "apps", ""); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "does not accept the credential") {
		t.Errorf("a wrong token: %v", err)
	}
	for _, a := range []answer{{code: 403, kind: "application/json", body: []byte(`{"kind":"Status","code":403}`)}, {code: 200, body: []byte("{}")}, {code: 200, body: []byte("<html>")}, {code: 500}} {
		if err := served(a).Permitted(t.Context(), "get", "", "pods", "apps", ""); !errors.Is(err, rotate.ErrTemporary) {
			t.Errorf("%d %s: %v", a.code, a.body, err)
		}
	}
}

// TestLazy: nothing is read or asked before the first use, and a failure is not remembered.
func TestLazy(t *testing.T) {
	wire := &told{answer: answer{code: 200, kind: "application/json", body: []byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"web"}}`)}}
	c := &Cluster{Kubeconfig: t.TempDir() + "/later", Transport: wire}
	must(t, c.Validate())
	_, _ = c.Endpoints(), c.String()
	if _, err := c.Dynamic(t.Context()); !errors.Is(err, rotate.ErrConfig) {
		t.Fatalf("a kubeconfig that is not there: %v", err)
	}
	write(t, c.Kubeconfig, config(`{server: "https://kube.example"}`, `{token: t}`))
	if _, err := c.Dynamic(t.Context()); err != nil || len(wire.seen) > 0 {
		t.Fatalf("%d requests, %v", len(wire.seen), err)
	}
	must(t, os.Remove(c.Kubeconfig))
	_, err := get(t.Context(), c)
	must(t, err)
}
