package protocol

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestRealPod talks to programs in a pod that kwok plays, through a real API server; it is skipped without
// REMINT_KUBE_SERVER, _CA, _TOKEN and _ROTATOR. There the end of standard input never arrives.
func TestRealPod(t *testing.T) {
	of := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Skip(name + " is not set")
		}
		return v
	}
	ns := fmt.Sprintf("protocol-%d", time.Now().UnixNano())
	as := func(token string) *cluster.Cluster {
		return &cluster.Cluster{Server: of("REMINT_KUBE_SERVER"), CA: of("REMINT_KUBE_CA"), Token: rotate.NewSecret(of(token)), Namespace: ns}
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
	post("/api/v1/namespaces/"+ns+"/pods", `{"metadata": {"name": "web-0", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web"}]}}`)
	program := func(c *cluster.Cluster, script string) *Program {
		return &Program{Run: []string{"sh", "-c", script}, Secrets: map[string]rotate.Secret{"api": rotate.NewSecret(api)}, Timeout: 20 * time.Second,
			Pod: Pod{Cluster: c, Selector: "app=web", Container: "app"}}
	}
	const reads = `read -r line; case $line in *` + known + `*) ;; *) exit 1;; esac; `
	var a Answer
	var err error
	for range 100 { // until the pod is ready
		if a, err = program(c, reads+good).Call(t.Context(), Request{Kind: Provider, Verb: Mint, Name: "n", Secret: known}); err == nil || !strings.Contains(err.Error(), "is ready") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil || a.Secret != fresh || a.Token.Rotate().ID != "1" {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, x := range []struct {
		name    string
		program *Program
		is      error
		says    string
	}{
		{"rubbish", program(c, reads+"echo rubbish "+fresh), rotate.ErrTemporary, "no JSON"},
		{"fails", program(c, "exit 3"), rotate.ErrTemporary, "3"},
		{"floods", program(c, "head -c 100000000 /dev/zero"), rotate.ErrTemporary, "more than"},
		{"hangs", func() *Program { p := program(c, "sleep 30"); p.Timeout = time.Second; return p }(), rotate.ErrTemporary, "did not end within 1s"},
		{"refuses", program(c, `echo '{"remint":1,"error":{"kind":"limit","message":"`+api+`"}}'`), rotate.ErrLimit, "limit reached: [secret]"},
		{"no such pod", func() *Program { p := program(c, good); p.Selector, p.Pod.Pod = "", "gone"; return p }(), rotate.ErrNotFound, "nothing was run"},
		{"none ready", func() *Program { p := program(c, good); p.Selector = "app=other"; return p }(), rotate.ErrTemporary, "none of the 0 pods with app=other"},
		{"no right", program(as("REMINT_KUBE_ROTATOR"), good), rotate.ErrDenied, "list"},
	} {
		began := time.Now()
		_, err := x.program.Call(t.Context(), Request{Kind: Provider, Verb: Mint, Name: "n", Secret: known})
		if !errors.Is(err, x.is) || !strings.Contains(fmt.Sprint(err), x.says) {
			t.Errorf("%s: want %q, got %v", x.name, x.says, err)
		}
		for _, secret := range []string{known, api, fresh} {
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%s shows a secret: %v", x.name, err)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: took %s", x.name, took)
		}
	}
	if err := program(c, good).Permitted(t.Context()); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	if err := program(as("REMINT_KUBE_ROTATOR"), good).Permitted(t.Context()); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "pods/exec") || !strings.Contains(err.Error(), "list") {
		t.Errorf("a user without rights: %v", err)
	}
}
