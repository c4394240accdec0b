package externalsecret

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// crd is the definition of ExternalSecret, with none of its rules.
const crd = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "externalsecrets.external-secrets.io"}, "spec": {
	"group": "external-secrets.io", "scope": "Namespaced", "names": {"plural": "externalsecrets", "singular": "externalsecret", "kind": "ExternalSecret", "listKind": "ExternalSecretList"},
	"versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
		"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

// TestRealServer syncs a real object into a real Secret; the operator is played.
func TestRealServer(t *testing.T) {
	real := kubetest.NewReal(t)
	if _, err := real.Try(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd); err != nil && !errors.Is(err, rotate.ErrConflict) {
		t.Fatal(err)
	}
	const at = "/apis/external-secrets.io/v1/namespaces/NS/externalsecrets"
	object := `{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "web"}, "spec": {"refreshInterval": "1h0m0s"}}`
	var err error
	for range 100 { // the server takes note of the definition after a moment
		if _, err = real.Try(http.MethodPost, at, object); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	real.Do(http.MethodPost, at, strings.NewReplacer(`"web"`, `"once"`, `"refreshInterval"`, `"refreshPolicy": "CreatedOnce", "refreshInterval"`).Replace(object))
	real.Do(http.MethodPost, "/api/v1/namespaces/NS/secrets", `{"metadata": {"name": "web"}, "data": {"token": "b2xk", "other": "eA=="}}`)

	of := func(name string) *Sync {
		return &Sync{Name: name, Timeout: 20 * time.Second, Interval: 200 * time.Millisecond, Cluster: real.Cluster()}
	}
	s := of("web")
	if err := s.Check(t.Context()); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "grant verb patch on externalsecrets.external-secrets.io (resourceNames: [web])") {
		t.Errorf("without rights: %v", err)
	}
	if err := s.Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("without rights: %v", err)
	}
	real.Grant("get,patch external-secrets.io externalsecrets", "get  secrets")
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := of("once").Check(t.Context()); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "CreatedOnce") {
		t.Errorf("CreatedOnce: %v", err)
	}
	if err := of("none").Check(t.Context()); !errors.Is(err, rotate.ErrNotFound) {
		t.Errorf("no ExternalSecret: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var backend atomic.Value // what the next sync brings; "" is an error
	backend.Store(secretText)
	var syncs atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		play(ctx, real, at+"/web", &backend, &syncs)
	}()
	if err := s.Verify(t.Context(), newborn); err != nil {
		t.Errorf("syncs %d: %v", syncs.Load(), err)
	}
	backend.Store(oldText) // a restore
	if err := s.Verify(t.Context(), rotate.Credential{Token: rotate.Token{ID: "41"}, Secret: rotate.NewSecret(oldText)}); err != nil {
		t.Errorf("after a restore: %v", err)
	}
	s.Timeout = 10 * time.Second
	if err := s.Verify(t.Context(), newborn); err == nil || errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "another value") {
		t.Errorf("old value: %v", err)
	}
	backend.Store("")
	s.Timeout = 20 * time.Second
	if err := s.Verify(t.Context(), newborn); err == nil || errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "SecretSyncedError: store is down") {
		t.Errorf("no backend: %v", err)
	}
	stop()
	<-done
}

// play is the operator: a change of the annotation leads to a sync.
func play(ctx context.Context, real *kubetest.Real, at string, backend *atomic.Value, syncs *atomic.Int64) {
	last := ""
	for ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
		o, err := real.Try(http.MethodGet, at, "")
		if err != nil {
			continue
		}
		stamp, _ := kubetest.Dig(o, "metadata", "annotations")[forceKey].(string)
		if stamp == "" || stamp == last {
			continue
		}
		last = stamp
		n := syncs.Add(1)
		value := backend.Load().(string)
		if value == "" {
			_, _ = real.Try(http.MethodPatch, at+"/status", fmt.Sprintf(`{"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "store is down", "lastTransitionTime": "2026-01-01T00:00:%02dZ"}]}}`, n%60))
			continue
		}
		_, _ = real.Try(http.MethodPatch, "/api/v1/namespaces/NS/secrets/web", `{"data": {"token": "`+base64.StdEncoding.EncodeToString([]byte(value))+`"}}`)
		_, _ = real.Try(http.MethodPatch, at+"/status", fmt.Sprintf(`{"status": {"refreshTime": %q, "syncedResourceVersion": "1-%s", "conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced"}]}}`, time.Now().UTC().Format(time.RFC3339), stamp))
	}
}
