package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestRealExec runs programs in a pod that kwok plays, through a real API server; it is skipped without
// REMINT_KUBE_SERVER, _CA, _TOKEN and _ROTATOR.
func TestRealExec(t *testing.T) {
	of := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Skip(name + " is not set")
		}
		return v
	}
	ns := fmt.Sprintf("exec-%d", time.Now().UnixNano())
	as := func(token string) *Cluster {
		return &Cluster{Server: of("REMINT_KUBE_SERVER"), CA: of("REMINT_KUBE_CA"), Token: rotate.NewSecret(of(token)), Namespace: ns}
	}
	c := as("REMINT_KUBE_TOKEN")
	post := func(path, body string) {
		t.Helper()
		if _, err := c.Raw(t.Context(), http.MethodPost, path, nil, []byte(body), "application/json"); err != nil {
			t.Fatal(c.Fault(err, "create", path, "", ""))
		}
	}
	post("/api/v1/namespaces", `{"metadata": {"name": "`+ns+`"}}`)
	t.Cleanup(func() {
		_, _ = c.Raw(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+ns, nil, nil, "")
	})
	post("/api/v1/namespaces/"+ns+"/pods", `{"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app", "image": "web"}]}}`)
	for range 200 {
		text, err := c.Raw(t.Context(), http.MethodGet, "/api/v1/namespaces/"+ns+"/pods/web", nil, nil, "")
		if err == nil && strings.Contains(string(text), `"phase":"Running"`) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	run := func(c *Cluster, limit time.Duration, pod string, stdin string, command ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		var out, bad bytes.Buffer
		err := c.Exec(ctx, ns, pod, "app", command, strings.NewReader(stdin), &out, &bad)
		return out.String() + "|" + bad.String(), err
	}
	if got, err := run(c, time.Minute, "web", "hello\n", "sh", "-c", `read -r line; echo "got $line"; echo "and $line" >&2`); err != nil || got != "got hello\n|and hello\n" {
		t.Errorf("%q, %v", got, err)
	}
	// A role with create alone, which is what a WebSocket of this server does not get by with.
	post("/apis/rbac.authorization.k8s.io/v1/namespaces/"+ns+"/roles", `{"metadata": {"name": "r"}, "rules": [{"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"], "resourceNames": ["web"]}]}`)
	post("/apis/rbac.authorization.k8s.io/v1/namespaces/"+ns+"/rolebindings", `{"metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "rotator"}]}`)
	var got string
	var err error
	for range 50 {
		// The server takes note of a role after a moment; and over SPDY, kwok on a busy machine now and then closes the
		// connection before it has passed on what the program wrote, which is no error to either side.
		if got, err = run(as("REMINT_KUBE_ROTATOR"), time.Minute, "web", "hello\n", "sh", "-c", `read -r line; echo "got $line"`); !errors.Is(err, rotate.ErrDenied) && (err != nil || got != "|") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil || got != "got hello\n|" {
		t.Errorf("over SPDY: %q, %v", got, err)
	}
	for _, x := range []struct {
		name string
		do   func() error
		kind error
		says string
	}{
		{"floods", func() error {
			_, err := run(c, time.Minute, "web", "", "sh", "-c", "head -c 100000000 /dev/zero")
			return err
		}, rotate.ErrLimit, "wrote more than 1048576 bytes"},
		{"hangs", func() error { _, err := run(c, time.Second, "web", "", "sleep", "20"); return err }, rotate.ErrTemporary, "deadline"},
		{"fails", func() error { _, err := run(c, time.Minute, "web", "", "sh", "-c", "exit 3"); return err }, rotate.ErrTemporary, "3"},
		{"no such pod", func() error { _, err := run(c, time.Minute, "gone", "", "true"); return err }, rotate.ErrNotFound, "gone"},
		{"no right", func() error { _, err := run(as("REMINT_KUBE_ROTATOR"), time.Minute, "other", "", "true"); return err }, rotate.ErrDenied, "pods/exec"},
	} {
		began := time.Now()
		if err := x.do(); !errors.Is(err, x.kind) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: got %v", x.name, err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s: took %s", x.name, took)
		}
	}
}

func TestExecNeedsAConnection(t *testing.T) {
	c := &Cluster{Server: "https://kube.example", Token: rotate.NewSecret("token"), Transport: &emulate.Wire{Route: func(string) http.Handler { return http.NotFoundHandler() }}}
	if err := c.Exec(t.Context(), "a", "b", "c", []string{"true"}, nil, nil, nil); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("got %v", err)
	}
}

func TestGate(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	g := gate{to: &out, stop: stop}
	if n, err := g.Write(make([]byte, ExecOutput)); n != ExecOutput || err != nil || ctx.Err() != nil {
		t.Fatalf("%d, %v, %v", n, err, ctx.Err())
	}
	if _, err := g.Write([]byte{1}); !errors.Is(err, rotate.ErrLimit) || !errors.Is(context.Cause(ctx), rotate.ErrLimit) || out.Len() != ExecOutput {
		t.Errorf("%v, %v, %d bytes", err, context.Cause(ctx), out.Len())
	}
	var late bytes.Buffer
	g = gate{to: &late, stop: stop}
	g.shut()
	if _, err := g.Write([]byte("late")); err == nil || late.Len() > 0 {
		t.Error("written after the end")
	}
}
