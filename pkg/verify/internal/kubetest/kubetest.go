// Package kubetest is a small API server for the tests of the verifiers: objects by path, merge patches, lists by label,
// reviews of rights, logs. What controllers do is played by the test.
package kubetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Token is what the cluster authenticates with.
const Token = "cluster-token-0123456789"

// Object is a Kubernetes object as JSON.
type Object = map[string]any

// API is the server. Its fields are set before the first request.
type API struct {
	Denied   []string // "patch deployments", "get pods/log": rights that are missing
	Versions []string // of the group external-secrets.io; nil: it is not installed
	// On is called before a GET of one object is answered, and after a POST or PATCH changed one: it plays the
	// controllers, by changing the object.
	On func(method string, o Object)
	// Logs answers for a log; nil: 404.
	Logs func(pod string, q url.Values) (status int, text string)

	Faults emulate.Faults // by "GET deployments", "PATCH secrets", …

	mu      sync.Mutex
	objects map[string]Object // by path
	asked   []string
	version int
}

// Cluster returns a cluster that is this server.
func (a *API) Cluster() *cluster.Cluster {
	return &cluster.Cluster{
		Server:    "https://kube.example:6443",
		Token:     rotate.NewSecret(Token),
		Namespace: "apps",
		Transport: &emulate.Wire{Route: func(string) http.Handler { return a }},
	}
}

// Put stores an object given as JSON, under its kind's plural: "deployments", "secrets", ….
func (a *API) Put(t testing.TB, group, kind, text string) Object {
	t.Helper()
	var o Object
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	o["apiVersion"], o["kind"] = group, kind
	m := meta(o)
	if m["uid"] == nil {
		m["uid"] = "uid-" + m["name"].(string)
	}
	if m["namespace"] == nil {
		m["namespace"] = "apps"
	}
	if m["generation"] == nil {
		m["generation"] = float64(1)
	}
	if m["creationTimestamp"] == nil {
		m["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.objects == nil {
		a.objects = map[string]Object{}
	}
	a.version++
	m["resourceVersion"] = fmt.Sprint(a.version)
	a.objects[path(group, plural(kind))+"/"+m["name"].(string)] = o
	return o
}

// Delete removes an object.
func (a *API) Delete(group, kind, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, path(group, plural(kind))+"/"+name)
}

// All returns the objects of a kind, by name. They are the server's own.
func (a *API) All(group, kind string) []Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.under(path(group, plural(kind)))
}

// Asked returns the requests so far that begin so, such as "PATCH".
func (a *API) Asked(prefix string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var some []string
	for _, q := range a.asked {
		if strings.HasPrefix(q, prefix) {
			some = append(some, q)
		}
	}
	return some
}

func plural(kind string) string { return strings.ToLower(kind) + "s" }

func path(group, resource string) string {
	if group == "v1" {
		return "/api/v1/namespaces/apps/" + resource
	}
	return "/apis/" + group + "/namespaces/apps/" + resource
}

func meta(o Object) Object {
	m, _ := o["metadata"].(Object)
	if m == nil {
		m = Object{}
		o["metadata"] = m
	}
	return m
}

// Dig returns what is at a path of keys, made as objects where there is nothing.
func Dig(o Object, keys ...string) Object {
	for _, k := range keys {
		next, _ := o[k].(Object)
		if next == nil {
			next = Object{}
			o[k] = next
		}
		o = next
	}
	return o
}

func (a *API) under(at string) []Object {
	var all []Object
	for _, k := range slices.Sorted(maps.Keys(a.objects)) {
		if dir, _, _ := cutLast(k); dir == at {
			all = append(all, a.objects[k])
		}
	}
	return all
}

func cutLast(p string) (dir, name string, ok bool) {
	i := strings.LastIndex(p, "/")
	if i < 0 {
		return p, "", false
	}
	return p[:i], p[i+1:], true
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r.Method+" "+r.URL.RequestURI())
	a.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+Token {
		status(w, 401, "Unauthorized", "")
		return
	}
	switch p := r.URL.Path; {
	case p == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		a.review(w, r)
	case p == "/apis/external-secrets.io":
		if a.Versions == nil {
			status(w, 404, "NotFound", "the server could not find the requested resource")
			return
		}
		var vs []any
		for _, v := range a.Versions {
			vs = append(vs, Object{"groupVersion": "external-secrets.io/" + v, "version": v})
		}
		answer(w, 200, Object{"kind": "APIGroup", "apiVersion": "v1", "name": "external-secrets.io", "versions": vs})
	case strings.HasSuffix(p, "/log"):
		a.Faults.Serve("GET log", w, r, a.log)
	default:
		a.Faults.Serve(r.Method+" "+resource(p), w, r, a.object)
	}
}

// resource is the plural in a path with or without a name.
func resource(p string) string {
	_, rest, _ := strings.Cut(p, "/namespaces/apps/")
	kind, _, _ := strings.Cut(rest, "/")
	return kind
}

func (a *API) review(w http.ResponseWriter, r *http.Request) {
	var o Object
	_ = json.NewDecoder(r.Body).Decode(&o)
	at := Dig(o, "spec", "resourceAttributes")
	what := fmt.Sprint(at["verb"], " ", at["resource"])
	if sub, ok := at["subresource"].(string); ok && sub != "" {
		what += "/" + sub
	}
	Dig(o, "status")["allowed"] = !slices.Contains(a.Denied, what)
	answer(w, 201, o)
}

func (a *API) log(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	code, text := 404, ""
	if a.Logs != nil {
		code, text = a.Logs(parts[len(parts)-2], r.URL.Query())
	}
	if code != 200 {
		status(w, code, "", text)
		return
	}
	_, _ = io.WriteString(w, text)
}

func (a *API) object(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := r.URL.Path
	if slices.Contains(a.Denied, verb(r)+" "+resource(p)) {
		status(w, 403, "Forbidden", `User "remint" cannot `+verb(r)+` resource "`+resource(p)+`" in API group ""`)
		return
	}
	o, found := a.objects[p]
	switch {
	case r.Method == http.MethodPost:
		a.create(w, r)
	case r.Method == http.MethodGet && strings.HasSuffix(p, "/"+resource(p)):
		s, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		if err != nil {
			status(w, 400, "BadRequest", err.Error())
			return
		}
		var items []any
		for _, o := range a.under(p) {
			set := labels.Set{}
			for k, v := range Dig(o, "metadata", "labels") {
				set[k] = fmt.Sprint(v)
			}
			if s.Matches(set) {
				items = append(items, o)
			}
		}
		answer(w, 200, Object{"kind": "List", "apiVersion": "v1", "metadata": Object{"resourceVersion": "9"}, "items": items})
	case !found:
		_, name, _ := cutLast(p)
		answer(w, 404, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
			"message": resource(p) + " not found", "details": Object{"name": name, "kind": resource(p)}})
	case r.Method == http.MethodGet:
		if a.On != nil {
			a.On("GET", o)
		}
		answer(w, 200, o)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		var patch Object
		if json.NewDecoder(r.Body).Decode(&patch) != nil {
			status(w, 400, "BadRequest", "")
			return
		}
		before, _ := json.Marshal(o["spec"])
		merge(o, patch)
		if after, _ := json.Marshal(o["spec"]); string(after) != string(before) {
			g, _ := meta(o)["generation"].(float64)
			meta(o)["generation"] = g + 1
		}
		a.version++
		meta(o)["resourceVersion"] = fmt.Sprint(a.version)
		if a.On != nil {
			a.On("PATCH", o)
		}
		answer(w, 200, o)
	default:
		status(w, 405, "MethodNotAllowed", "")
	}
}

func (a *API) create(w http.ResponseWriter, r *http.Request) {
	var o Object
	if json.NewDecoder(r.Body).Decode(&o) != nil {
		status(w, 400, "BadRequest", "")
		return
	}
	m := meta(o)
	name, _ := m["name"].(string)
	at := r.URL.Path + "/" + name
	if _, taken := a.objects[at]; taken {
		status(w, 409, "AlreadyExists", "")
		return
	}
	a.version++
	m["uid"], m["namespace"], m["resourceVersion"] = fmt.Sprintf("uid-%d", a.version), "apps", fmt.Sprint(a.version)
	m["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	a.objects[at] = o
	if a.On != nil {
		a.On("POST", o)
	}
	answer(w, 201, o)
}

func verb(r *http.Request) string {
	return map[string]string{http.MethodGet: "get", http.MethodPatch: "patch", http.MethodPost: "create"}[r.Method]
}

func merge(into, patch Object) {
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(into, k)
		case Object:
			merge(Dig(into, k), v)
		default:
			into[k] = v
		}
	}
}

func status(w http.ResponseWriter, code int, reason, message string) {
	answer(w, code, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

func answer(w http.ResponseWriter, code int, o Object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o)
}
