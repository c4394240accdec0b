package job

import (
	"context"
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

// TestRealServer makes real Jobs: their controller runs, only the pods are played.
func TestRealServer(t *testing.T) {
	real := kubetest.NewReal(t)
	const at = "/apis/batch/v1/namespaces/NS/"
	cron := func(name, labels string) {
		real.Do(http.MethodPost, at+"cronjobs", `{"metadata": {"name": "`+name+`"}, "spec": {"schedule": "0 0 1 1 *", "suspend": true, "failedJobsHistoryLimit": 5, "jobTemplate": {"spec": {"backoffLimit": 0,
			"template": {"metadata": {"labels": {`+labels+`}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]}}}}}}`)
	}
	cron("good", `"app": "x"`)
	cron("bad", `"fake-exit": "3"`)
	of := func(name string) *Run {
		return &Run{CronJob: name, Timeout: 30 * time.Second, Interval: 200 * time.Millisecond, Cluster: real.Cluster()}
	}
	jobs := func(cron string) int {
		n := 0
		for _, o := range real.Do(http.MethodGet, at+"jobs", "")["items"].([]any) {
			if strings.HasPrefix(kubetest.Dig(o.(kubetest.Object), "metadata")["name"].(string), cron+"-remint-") {
				n++
			}
		}
		return n
	}
	if err := of("good").Check(t.Context()); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "grant verb create on jobs.batch") {
		t.Errorf("without rights: %v", err)
	}
	if err := of("good").Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("without rights: %v", err)
	}
	real.Grant("get batch cronjobs", "create,get,list batch jobs", "list  pods", "get  pods/log")
	good := of("good")
	if err := good.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := good.Warnings(); len(w) > 0 {
		t.Errorf("warns %q", w)
	}
	if err := good.Verify(t.Context(), newborn); err != nil {
		t.Fatal(err)
	}
	if n := jobs("good"); n != 1 {
		t.Errorf("%d Jobs", n)
	}
	// A run that was killed left its Job; the next one takes it up, and a second Verify makes another.
	next := of("good")
	for want := 1; want <= 2; want++ {
		if err := next.Verify(t.Context(), newborn); err != nil || jobs("good") != want {
			t.Errorf("%d Jobs, want %d: %v", jobs("good"), want, err)
		}
	}
	ctx, kill := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer kill()
	if err := of("good").Verify(ctx, rotate.Credential{Token: rotate.Token{ID: "43"}}); err != nil && !errors.Is(err, rotate.ErrUnproven) {
		t.Errorf("killed: %v", err)
	}

	bad := of("bad")
	err := bad.Verify(t.Context(), newborn)
	if err == nil || errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "failed: BackoffLimitExceeded") || !strings.Contains(err.Error(), "log of its pod") {
		t.Errorf("fails: %v", err)
	}
	if err := bad.Verify(t.Context(), newborn); err == nil || jobs("bad") != 2 {
		t.Errorf("%d Jobs: %v", jobs("bad"), err)
	}
	if err := of("none").Check(t.Context()); !errors.Is(err, rotate.ErrNotFound) {
		t.Errorf("no CronJob: %v", err)
	}
	testRealLog(t, real, bad)
}

// testRealLog gives the pod of a Job a log that holds the credential.
func testRealLog(t *testing.T, real *kubetest.Real, r *Run) {
	folder := os.Getenv("REMINT_KUBE_LOGS")
	if folder == "" {
		t.Skip("REMINT_KUBE_LOGS is not set")
	}
	file := filepath.Join(folder, real.Namespace+".log")
	if err := os.WriteFile(file, []byte("2026-01-02T15:04:05.000000000Z stdout F token is "+secretText+"\n2026-01-02T15:04:06.000000000Z stderr F giving up\n"), 0o600); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
	pods := real.Do(http.MethodGet, "/api/v1/namespaces/NS/pods", "")["items"].([]any)
	for _, p := range pods {
		m := kubetest.Dig(p.(kubetest.Object), "metadata")
		name, job := m["name"].(string), kubetest.Dig(m, "labels")["job-name"].(string)
		if !strings.HasPrefix(name, "bad-") {
			continue
		}
		real.Do(http.MethodPost, "/apis/kwok.x-k8s.io/v1alpha1/namespaces/NS/logs", `{"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": {"name": "`+name+`"},
			"spec": {"logs": [{"containers": ["c"], "logsFile": "`+file+`"}]}}`)
		var tail string
		for range 50 { // kwok takes up the rule in its own time
			if tail = r.tail(t.Context(), job, rotate.NewSecret(secretText)); strings.Contains(tail, "giving up") {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if !strings.Contains(tail, "token is") || !strings.Contains(tail, "| giving up") || strings.Contains(tail, secretText) {
			t.Errorf("its log: %s", tail)
		}
		return
	}
	t.Error("the Job has no pod")
}
