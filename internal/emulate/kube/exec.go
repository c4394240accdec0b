package kube

import (
	"io"
	"net/http"
	"slices"
)

// This file answers pods/exec. There is no upgraded connection here: standard input is the body of a POST, and standard
// output that of the answer. A test that wants the real thing puts a WebSocket before it, and no client of a rehearsal
// asks.

func (s *Server) exec(w http.ResponseWriter, q request) {
	pod, bad := s.find(s.named("pods"), q)
	if bad != nil {
		bad.answer(w)
		return
	}
	var names []string
	for _, x := range items(pod, "spec", "containers") {
		names = append(names, text(x, "name"))
	}
	name := q.query.Get("container")
	if name == "" && len(names) > 0 {
		name = names[0]
	}
	c := s.containers[uidOf(pod)]
	switch {
	case !slices.Contains(names, name):
		badRequest("container %s is not valid for pod %s", name, q.name).answer(w)
	case c == nil || c.started.IsZero() || c.ended:
		failure{code: http.StatusInternalServerError, reason: "InternalError", message: "unable to upgrade connection: container not found (" + quote(name) + ")"}.answer(w)
	case s.Exec == nil:
		failure{code: http.StatusInternalServerError, reason: "InternalError", message: "error executing command in container: executable file not found in $PATH"}.answer(w)
	default:
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, s.Exec(s.pod(pod), name, q.query["command"], q.body))
	}
}
