// Package kube emulates the API of one Kubernetes cluster, with the controllers that remint waits for: those of
// Deployments, StatefulSets, DaemonSets and Jobs, and External Secrets. Its rules:
//
//   - Answers have the form and the texts of a real API server; real_test.go compares them with one.
//   - An object of any kind can be kept; kinds.go lists those that are known, [Server.AddKind] makes more known.
//   - Time passes with requests: whatever is read lets every controller take one step, so that a client that
//     polls sees each stage of a rollout, and a test never sleeps.
//   - What a container was given is settled when it starts, as on a node: a Secret that changes later is seen by
//     whole-volume mounts only.
//   - There is no watch, no JSON patch and no server-side apply; strategic merge patches may not hold lists.
package kube

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Server is one cluster. It is safe for concurrent use; the exported fields may be set before the first request
// only. The functions among them are called in the middle of a request and must not call the server.
type Server struct {
	// Faults are planted by verb and resource: "get secrets", "patch deployments", "create jobs", "list pods",
	// "get pods/log", "create pods/exec", "get services/proxy"; "review" is a SelfSubjectAccessReview, "discover" everything that
	// is about the API itself.
	Faults emulate.Faults
	// Now is the clock of the objects; nil: time.Now.
	Now func() time.Time
	// Authenticate tells who a token stands for that [Server.AddToken] was not told of; nil, or "": nobody. Whom it
	// tells may do everything.
	Authenticate func(token string) (name string)
	// Remote is what External Secrets find in a store: the value of a key, or of a property in it. Nil: nothing.
	Remote func(store, key, property string) (string, bool)
	// Ready tells whether a pod that has started becomes ready; nil: each does.
	Ready func(Pod) bool
	// Exit is the exit code of a Job's pod; nil: 0.
	Exit func(Pod) int
	// Start gives a workload's containers what they fetch for themselves when they start, as environment; nil: nothing.
	Start func(namespace, kind, owner string) map[string]string
	// Output is what a container has logged, beside what [Server.Log] was told; nil: nothing.
	Output func(p Pod, container string) string
	// Exec runs a program in a container, with all of its standard input, and returns what it writes to standard output;
	// nil: there is no program.
	Exec func(p Pod, container string, command []string, input []byte) string

	mu         sync.Mutex
	kinds      []Kind
	users      map[string]user // by token
	objects    map[at]object
	revision   int64
	plays      map[string]*play      // what controllers know of an object, by uid
	containers map[string]*container // what runs in a pod, by uid
	proxies    map[string]http.Handler
	operations []string
}

// New returns a cluster with the namespaces that every cluster has. Nobody has any right in it, see
// [Server.AddToken].
func New() *Server {
	s := &Server{
		kinds:      slices.Clone(known),
		users:      map[string]user{},
		objects:    map[at]object{},
		revision:   100,
		plays:      map[string]*play{},
		containers: map[string]*container{},
		proxies:    map[string]http.Handler{},
	}
	for _, name := range []string{"default", "kube-system"} {
		s.namespace(name)
	}
	return s
}

// Operations returns the requests answered so far, in order, by the names of [Server.Faults].
func (s *Server) Operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.operations)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// stamp is how objects write an instant: whole seconds.
func (s *Server) stamp() string { return s.now().UTC().Format(time.RFC3339) }

// maxRequest is what an API server reads of a request at most.
const maxRequest = 3 << 20

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		write(w, http.StatusRequestEntityTooLarge, status(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", nil))
		return
	}
	w.Header().Set("Audit-Id", unique())
	w.Header().Set("Cache-Control", "no-cache, private")
	q := parse(r, body)
	s.mu.Lock()
	s.operations = append(s.operations, q.operation())
	s.mu.Unlock()
	s.Faults.Serve(q.operation(), w, r, func(w http.ResponseWriter, r *http.Request) {
		who, bad := s.identify(r)
		if bad == nil {
			bad = s.authorize(who, q)
		}
		if bad != nil {
			bad.answer(w)
			return
		}
		if !acceptable(r.Header.Get("Accept")) && q.subresource == "" {
			failure{code: http.StatusNotAcceptable, reason: "NotAcceptable", message: "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"}.answer(w)
			return
		}
		s.answer(w, r, who, q)
	})
}

func acceptable(accept string) bool {
	if accept == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch kind {
		case "application/json", "application/*", "*/*":
			return true
		}
	}
	return false
}

// answer answers a request that is allowed.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, who user, q request) {
	switch {
	case q.resource == "":
		s.discover(w, q)
		return
	case q.resource == "selfsubjectaccessreviews" && q.verb == "create":
		s.review(w, who, q)
		return
	case q.subresource == "proxy" && (q.resource == "services" || q.resource == "pods"):
		s.proxy(w, r, q)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.kind(q)
	if !ok {
		s.unknown(w, strings.Split(strings.Trim(q.path, "/"), "/"))
		return
	}
	if q.resource == "pods" && q.subresource == "log" && q.verb == "get" {
		s.step()
		s.log(w, q)
		return
	}
	if q.resource == "pods" && q.subresource == "exec" && q.verb == "create" {
		s.step()
		s.exec(w, q)
		return
	}
	var out object
	var bad *failure
	code := http.StatusOK
	switch {
	case q.query.Get("watch") == "true" || q.query.Get("watch") == "1":
		bad = &failure{code: http.StatusMethodNotAllowed, reason: "MethodNotAllowed", message: "the emulation has no watch"}
	case q.subresource != "" && (q.subresource != "status" || !k.status()):
		s.unknown(w, strings.Split(strings.Trim(q.path, "/"), "/"))
		return
	case q.verb == "get":
		s.step()
		out, bad = s.read(k, q)
	case q.verb == "list":
		s.step()
		out, bad = s.list(k, q)
	case q.verb == "create" && q.name == "":
		code = http.StatusCreated
		out, bad = s.create(k, q)
	case q.verb == "update":
		out, bad = s.update(k, q)
	case q.verb == "patch" && q.name != "":
		out, bad = s.patch(k, q)
	case q.verb == "delete":
		out, bad = s.remove(k, q)
	default:
		bad = &failure{code: http.StatusMethodNotAllowed, reason: "MethodNotAllowed", message: "the server does not allow this method on the requested resource"}
	}
	if bad != nil {
		bad.answer(w)
		return
	}
	write(w, code, out)
}

// Refusal is a fault that answers as an API server does: with a Status object. Times is as in [emulate.Fault].
func Refusal(code int, reason, message string, times int) emulate.Fault {
	return emulate.Fault{
		Status: code,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   string(encode(status(code, reason, message, nil))),
		Times:  times,
	}
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
