//go:build e2e

package e2e

// The real Kubernetes API (kube/kube.sh), and what a cluster has beside it that is played here: the External Secrets
// Operator, and the authenticator by which EKS takes tokens of AWS. Deployments, ReplicaSets and their controllers are
// real; pods have objects and no containers (kwok).

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kube is the API server, as its administrator.
type kube struct {
	server *url.URL
	token  string
	wire   *http.Transport
}

// newKube finds the server, or skips the test.
func newKube(t *testing.T) *kube {
	t.Helper()
	address := os.Getenv("REMINT_KUBE_SERVER")
	if address == "" {
		t.Skip("REMINT_KUBE_SERVER is not set; start Kubernetes with kube/kube.sh (README.md)")
	}
	k := &kube{token: os.Getenv("REMINT_KUBE_TOKEN")}
	pem, err := os.ReadFile(os.Getenv("REMINT_KUBE_CA"))
	fatal(t, err)
	roots := x509.NewCertPool()
	if k.server, err = url.Parse(address); err != nil || k.token == "" || !roots.AppendCertsFromPEM(pem) {
		t.Fatal("REMINT_KUBE_SERVER, REMINT_KUBE_CA and REMINT_KUBE_TOKEN are not as kube/kube.sh prints them")
	}
	k.wire = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(k.wire.CloseIdleConnections)
	return k
}

// request is a request that was answered with a status below 300, or an error. Its body must be closed.
func (k *kube) request(ctx context.Context, method, path string, object any) (io.ReadCloser, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, k.server.String()+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+k.token)
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := k.wire.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer func() { _ = resp.Body.Close() }()
		why, _ := io.ReadAll(resp.Body)
		return nil, &refusedError{resp.StatusCode, fmt.Sprintf("%s %s: %d: %.500s", method, path, resp.StatusCode, why)}
	}
	return resp.Body, nil
}

type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return e.text }

func status(err error) int {
	if e, ok := err.(*refusedError); ok {
		return e.status
	}
	return 0
}

// try makes a request and reads the answer into out, unless that is nil.
func (k *kube) try(ctx context.Context, method, path string, object, out any) error {
	body, err := k.request(ctx, method, path, object)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if out == nil {
		out = new(json.RawMessage)
	}
	return json.NewDecoder(body).Decode(out)
}

// do makes a request that must succeed.
func (k *kube) do(t *testing.T, method, path string, object, out any) {
	t.Helper()
	fatal(t, k.try(t.Context(), method, path, object, out))
}

// object is any object of Kubernetes.
type object = map[string]any

// watch calls each with every object of a list, and again whenever one changed, until ctx ends.
func (k *kube) watch(ctx context.Context, path string, each func(json.RawMessage)) {
	for ctx.Err() == nil {
		body, err := k.request(ctx, http.MethodGet, path+"?watch=true", nil)
		if err != nil {
			time.Sleep(glance)
			continue
		}
		for events := json.NewDecoder(body); ; {
			var e struct {
				Type   string
				Object json.RawMessage
			}
			if events.Decode(&e) != nil {
				break
			}
			if e.Type == "ADDED" || e.Type == "MODIFIED" {
				each(e.Object)
			}
		}
		_ = body.Close()
	}
}

// namespace makes one under a random name, and removes it when the test is over.
func (k *kube) namespace(t *testing.T, prefix string) string {
	t.Helper()
	name := prefix + "-" + strings.ToLower(rand.Text()[:8])
	k.do(t, http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": name}}, nil)
	t.Cleanup(func() {
		if err := k.try(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+name, nil, nil); err != nil {
			t.Error(err)
		}
	})
	return name
}

// rule is one of a Role.
func rule(verbs, group, resources string, names ...string) object {
	r := object{"verbs": strings.Split(verbs, ","), "apiGroups": []string{group}, "resources": strings.Split(resources, ",")}
	if len(names) > 0 {
		r["resourceNames"] = names
	}
	return r
}

// grant gives a user rights in a namespace, and waits until the server goes by them.
func (k *kube) grant(t *testing.T, namespace, user string, rules ...object) {
	t.Helper()
	const group = "rbac.authorization.k8s.io"
	at := "/apis/" + group + "/v1/namespaces/" + namespace
	k.do(t, http.MethodPost, at+"/roles", object{"metadata": object{"name": "remint"}, "rules": rules}, nil)
	k.do(t, http.MethodPost, at+"/rolebindings", object{"metadata": object{"name": "remint"},
		"roleRef": object{"apiGroup": group, "kind": "Role", "name": "remint"}, "subjects": []object{{"apiGroup": group, "kind": "User", "name": user}}}, nil)
	eventually(t, 20*time.Second, "right of "+user, func() bool {
		var review struct{ Status struct{ Allowed bool } }
		k.do(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", object{"spec": object{"user": user, "resourceAttributes": object{
			"namespace": namespace, "verb": rules[0]["verbs"].([]string)[0], "group": rules[0]["apiGroups"].([]string)[0], "resource": rules[0]["resources"].([]string)[0]}}}, &review)
		return review.Status.Allowed
	})
}

// eventually waits until something holds.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(glance / 4) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %s", what, limit)
		}
	}
}

// authenticated is the API server as EKS puts it before its users: who holds a token of AWS for the cluster is the user
// that the cluster's access entries make of him; nobody else gets in.
func (k *kube) authenticated(user func(token string) (string, bool)) http.Handler {
	return &httputil.ReverseProxy{Transport: k.guard(user), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(k.server) }}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (k *kube) guard(user func(token string) (string, bool)) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		who, ok := user(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if !ok {
			const body = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`
			return &http.Response{StatusCode: http.StatusUnauthorized, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
		}
		r.Header.Set("Authorization", "Bearer "+k.token)
		r.Header.Set("Impersonate-User", who)
		return k.wire.RoundTrip(r)
	})
}

const (
	externalGroup = "external-secrets.io"
	externals     = "externalsecrets"
)

// defineExternalSecret makes the API server know the kind, as far as that is needed.
func (k *kube) defineExternalSecret(t *testing.T) {
	t.Helper()
	name := externals + "." + externalGroup
	err := k.try(t.Context(), http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": object{"name": name},
		"spec": object{"group": externalGroup, "scope": "Namespaced",
			"names": object{"plural": externals, "singular": "externalsecret", "kind": "ExternalSecret", "listKind": "ExternalSecretList"},
			"versions": []object{{"name": "v1", "served": true, "storage": true, "subresources": object{"status": object{}},
				"schema": object{"openAPIV3Schema": object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}}, nil)
	if err != nil && status(err) != http.StatusConflict {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "kind ExternalSecret", func() bool {
		return k.try(t.Context(), http.MethodGet, "/apis/"+externalGroup+"/v1/"+externals, nil, nil) == nil
	})
}

// operator copies what the backend serves into the Secret of an ExternalSecret: when it sees the object, and whenever an
// annotation of it changed, which is what the real one does on request. The copy has the keys of a JSON object, as with
// dataFrom.extract.
func (k *kube) operator(ctx context.Context, namespace string, backend func(key string) string, synced func()) {
	last := map[string]string{}
	k.watch(ctx, "/apis/"+externalGroup+"/v1/namespaces/"+namespace+"/"+externals, func(raw json.RawMessage) {
		var x struct {
			Metadata struct {
				Name        string
				Annotations map[string]string
			}
			Spec struct {
				Target   struct{ Name string }
				DataFrom []struct{ Extract struct{ Key string } }
			}
		}
		if json.Unmarshal(raw, &x) != nil || len(x.Spec.DataFrom) != 1 {
			return
		}
		stamp := fmt.Sprintf("1-%x", x.Metadata.Annotations)
		if last[x.Metadata.Name] == stamp {
			return
		}
		last[x.Metadata.Name] = stamp
		var keys map[string]string
		reason, ready := "SecretSynced", "True"
		err := json.Unmarshal([]byte(backend(x.Spec.DataFrom[0].Extract.Key)), &keys)
		if err == nil {
			err = k.put(ctx, "/api/v1/namespaces/"+namespace+"/secrets", x.Spec.Target.Name, keys)
		}
		state := object{"refreshTime": time.Now().UTC().Format(time.RFC3339), "syncedResourceVersion": stamp}
		if err != nil {
			reason, ready = "SecretSyncedError", "False"
			state = object{}
		}
		state["conditions"] = []object{{"type": "Ready", "status": ready, "reason": reason, "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}}
		_ = k.try(ctx, http.MethodPatch, "/apis/"+externalGroup+"/v1/namespaces/"+namespace+"/"+externals+"/"+x.Metadata.Name+"/status", object{"status": state}, nil)
		synced()
	})
}

// put makes a Secret hold these keys.
func (k *kube) put(ctx context.Context, at, name string, keys map[string]string) error {
	data := map[string][]byte{}
	for key, value := range keys {
		data[key] = []byte(value)
	}
	err := k.try(ctx, http.MethodPatch, at+"/"+name, object{"data": data}, nil)
	if status(err) == http.StatusNotFound {
		err = k.try(ctx, http.MethodPost, at, object{"metadata": object{"name": name}, "data": data}, nil)
	}
	return err
}

// holds returns the value of a key of a Secret, "" if there is none.
func (k *kube) holds(ctx context.Context, namespace, name, key string) string {
	var s struct{ Data map[string][]byte }
	if k.try(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/secrets/"+name, nil, &s) != nil {
		return ""
	}
	return string(s.Data[key])
}

// pods calls started for every pod of a Deployment as its containers come to run, in order.
func (k *kube) pods(ctx context.Context, namespace, deployment string, started func()) {
	seen := map[string]bool{}
	k.watch(ctx, "/api/v1/namespaces/"+namespace+"/pods", func(raw json.RawMessage) {
		var p struct {
			Metadata struct {
				UID, DeletionTimestamp string
				Labels                 map[string]string
			}
			Status struct{ Phase string }
		}
		if json.Unmarshal(raw, &p) != nil || p.Metadata.Labels[workload] != deployment || p.Status.Phase != "Running" || p.Metadata.DeletionTimestamp != "" || seen[p.Metadata.UID] {
			return
		}
		seen[p.Metadata.UID] = true
		started()
	})
}

// workload is the label by which a Deployment knows its pods.
const workload = "app.kubernetes.io/name"

// deploy makes a Deployment of one pod whose environment comes from a Secret.
func (k *kube) deploy(t *testing.T, namespace, name, variable, from, key string) {
	t.Helper()
	labels := object{workload: name}
	k.do(t, http.MethodPost, "/apis/apps/v1/namespaces/"+namespace+"/deployments", object{"metadata": object{"name": name}, "spec": object{
		"replicas": 1, "selector": object{"matchLabels": labels}, "template": object{"metadata": object{"labels": labels}, "spec": object{
			"containers": []object{{"name": "exporter", "image": "none", "env": []object{{"name": variable,
				"valueFrom": object{"secretKeyRef": object{"name": from, "key": key}}}}}}}}}}, nil)
}

// restarts returns how often the pods of a Deployment were replaced.
func (k *kube) restarts(t *testing.T, namespace, name string) int {
	t.Helper()
	var d struct {
		Metadata struct{ Annotations map[string]string }
	}
	k.do(t, http.MethodGet, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, nil, &d)
	n, err := strconv.Atoi(d.Metadata.Annotations["deployment.kubernetes.io/revision"])
	fatal(t, err)
	return n - 1
}

// schedule makes a CronJob whose Jobs complete, and which runs none by itself.
func (k *kube) schedule(t *testing.T, namespace, name string) {
	t.Helper()
	k.do(t, http.MethodPost, "/apis/batch/v1/namespaces/"+namespace+"/cronjobs", object{"metadata": object{"name": name}, "spec": object{
		"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": object{"spec": object{"backoffLimit": 0, "template": object{"spec": object{
			"restartPolicy": "Never", "containers": []object{{"name": "smoke", "image": "none"}}}}}}}}, nil)
}

// exit makes the Jobs of a CronJob end with this code from now on.
func (k *kube) exit(ctx context.Context, namespace, name string, code int) error {
	label := any(strconv.Itoa(code)) // of kwok's stages
	if code == 0 {
		label = nil
	}
	return k.try(ctx, http.MethodPatch, "/apis/batch/v1/namespaces/"+namespace+"/cronjobs/"+name, object{"spec": object{"jobTemplate": object{"spec": object{
		"template": object{"metadata": object{"labels": object{"fake-exit": label}}}}}}}, nil)
}

// jobs counts the Jobs of a namespace that completed and that failed.
func (k *kube) jobs(t *testing.T, namespace string) (complete, failed int) {
	t.Helper()
	var list struct {
		Items []struct {
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	k.do(t, http.MethodGet, "/apis/batch/v1/namespaces/"+namespace+"/jobs", nil, &list)
	for _, j := range list.Items {
		for _, c := range j.Status.Conditions {
			switch c.Type + c.Status {
			case "CompleteTrue":
				complete++
			case "FailedTrue":
				failed++
			}
		}
	}
	return complete, failed
}
