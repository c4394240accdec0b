package rollout

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// TestRealServer restarts real objects: their controllers run, only the pods are played.
func TestRealServer(t *testing.T) {
	real := kubetest.NewReal(t)
	const apps = "/apis/apps/v1/namespaces/NS/"
	template := func(name string) string {
		return `"selector": {"matchLabels": {"app": "` + name + `"}}, "template": {"metadata": {"labels": {"app": "` + name + `"}},
			"spec": {"containers": [{"name": "c", "image": "none", "envFrom": [{"secretRef": {"name": "web-token"}}]}]}}`
	}
	real.Do(http.MethodPost, apps+"deployments", `{"metadata": {"name": "web"}, "spec": {"replicas": 2, "progressDeadlineSeconds": 3, `+template("web")+`}}`)
	real.Do(http.MethodPost, apps+"deployments", `{"metadata": {"name": "idle"}, "spec": {"replicas": 0, `+template("idle")+`}}`)
	real.Do(http.MethodPost, apps+"statefulsets", `{"metadata": {"name": "queue"}, "spec": {"replicas": 2, "serviceName": "queue", `+template("queue")+`}}`)
	real.Do(http.MethodPost, apps+"daemonsets", `{"metadata": {"name": "agent"}, "spec": {`+template("agent")+`}}`)
	fast := func(r *Rollout) *Rollout {
		r.Timeout, r.Interval, r.Cluster = 30*time.Second, 200*time.Millisecond, real.Cluster()
		return r
	}
	auto := fast(&Rollout{Consumers: "auto", Secret: "web-token", Restart: true})
	if err := auto.Check(t.Context()); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "grant verb list on deployments.apps") {
		t.Errorf("without rights: %v", err)
	}
	if err := auto.Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("without rights: %v", err)
	}
	real.Grant("get,list,patch apps deployments,statefulsets,daemonsets", "list  pods", "get  secrets")
	if err := auto.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := auto.Verify(t.Context(), newborn); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"deployments/web", "statefulsets/queue", "daemonsets/agent"} {
		o := real.Do(http.MethodGet, apps+at, "")
		if got := kubetest.Dig(o, "spec", "template", "metadata", "annotations")["remint.dev/token"]; got != "42" {
			t.Errorf("%s was restarted for %v", at, got)
		}
	}
	if w := auto.Warnings(); len(w) != 1 || !strings.Contains(w[0], "deployment/idle has no replicas") {
		t.Errorf("warns %q", w)
	}
	if err := fast(&Rollout{Deployment: "idle", Restart: true}).Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "no replicas") {
		t.Errorf("no replicas: %v", err)
	}

	// Without restart: the Secret gets the credential, and then somebody restarts the Deployment.
	real.Do(http.MethodPost, "/api/v1/namespaces/NS/secrets", `{"metadata": {"name": "web-token"}, "data": {"TOKEN": "b2xk"}}`)
	wait := fast(&Rollout{Deployment: "web", Secret: "web-token"})
	if err := wait.Check(t.Context()); err != nil {
		t.Error(err)
	}
	real.Do(http.MethodPatch, "/api/v1/namespaces/NS/secrets/web-token", `{"data": {"TOKEN": "bmV3Ym9ybi0wMTIzNDU2Nzg5"}}`)
	wait.Timeout = time.Second
	if err := wait.Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "0 of 2 pods started after") {
		t.Errorf("nobody restarts: %v", err)
	}
	time.Sleep(time.Second) // times of objects are whole seconds
	real.Do(http.MethodPatch, apps+"deployments/web", `{"spec": {"template": {"metadata": {"annotations": {"reloader": "x"}}}}}`)
	wait.Timeout = 30 * time.Second
	if err := wait.Verify(t.Context(), newborn); err != nil {
		t.Errorf("restarted by somebody: %v", err)
	}

	// From here on no pod gets ready.
	real.Do(http.MethodPatch, apps+"deployments/web", `{"spec": {"paused": true, "template": {"metadata": {"labels": {"fake-ready": "no"}}}}}`)
	stuck := fast(&Rollout{Deployment: "web", Restart: true})
	if err := stuck.Check(t.Context()); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("paused: %v", err)
	}
	if err := stuck.Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "paused") {
		t.Errorf("paused: %v", err)
	}
	real.Do(http.MethodPatch, apps+"deployments/web", `{"spec": {"paused": false}}`)
	if err := stuck.Verify(t.Context(), newborn); err == nil || errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "exceeded its progress deadline") {
		t.Errorf("deadline: %v", err)
	}
	// After a restore: back to a template whose pods get ready.
	real.Do(http.MethodPatch, apps+"deployments/web", `{"spec": {"template": {"metadata": {"labels": {"fake-ready": null}}}}}`)
	if err := stuck.Verify(t.Context(), rotate.Credential{Token: rotate.Token{ID: "41"}}); err != nil {
		t.Errorf("after a restore: %v", err)
	}
}
