package podlogs

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// TestRealServer reads logs through a real API server; the pod and its log are played.
func TestRealServer(t *testing.T) {
	real := kubetest.NewReal(t)
	folder := os.Getenv("REMINT_KUBE_LOGS")
	if folder == "" {
		t.Skip("REMINT_KUBE_LOGS is not set")
	}
	real.Do(http.MethodPost, "/apis/apps/v1/namespaces/NS/deployments", `{"metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}},
		"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}}`)
	of := func(require ...string) *Logs {
		return &Logs{Deployment: "web", Refuse: []string{"Unauthorized"}, Require: require, Watch: time.Second, Timeout: 3 * time.Second, Interval: 200 * time.Millisecond, Cluster: real.Cluster()}
	}
	l := of()
	if err := l.Check(t.Context()); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "grant verb get on pods/log") {
		t.Errorf("without rights: %v", err)
	}
	real.Grant("get apps deployments", "list  pods", "get  pods/log")
	if err := l.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pod string
	for range 100 {
		pods := real.Do(http.MethodGet, "/api/v1/namespaces/NS/pods", "")["items"].([]any)
		if len(pods) == 1 && kubetest.Dig(pods[0].(kubetest.Object), "status")["phase"] == "Running" {
			pod = kubetest.Dig(pods[0].(kubetest.Object), "metadata")["name"].(string)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	c := newborn()
	file := filepath.Join(folder, real.Namespace+".log")
	write := func(lines ...string) {
		t.Helper()
		var b strings.Builder
		for _, x := range lines {
			b.WriteString(time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z") + " stdout F " + x + "\n")
		}
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(b.String())
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Skip(err)
		}
	}
	t.Cleanup(func() { _ = os.Remove(file) })
	write(goodLine, harmlessLine)
	real.Do(http.MethodPost, "/apis/kwok.x-k8s.io/v1alpha1/namespaces/NS/logs", `{"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": {"name": "`+pod+`"},
		"spec": {"logs": [{"containers": ["c"], "logsFile": "`+file+`"}]}}`)
	wait := of("service=found")
	wait.Timeout = 10 * time.Second // kwok takes up the rule in its own time
	if err := wait.Verify(t.Context(), c); err != nil {
		t.Errorf("good: %v", err)
	}
	if err := of("subscriber=create").Verify(t.Context(), c); !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "subscriber=create") {
		t.Errorf("required: %v", err)
	}
	write(badLine + " " + secretText)
	err := of().Verify(t.Context(), c)
	judgeError(t, err, nil, true, "pod "+pod+", container c logs what must not be logged (Unauthorized)")
}
