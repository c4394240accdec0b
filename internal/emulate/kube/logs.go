package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file answers pods/log.

func (s *Server) log(w http.ResponseWriter, q request) {
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
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		badRequest("a container name must be specified for pod %s, choose one of: %v", q.name, names).answer(w)
		return
	case !slices.Contains(names, name):
		badRequest("container %s is not valid for pod %s", name, q.name).answer(w)
		return
	}
	c := s.containers[uidOf(pod)]
	switch {
	case c == nil || c.started.IsZero():
		reason := "ContainerCreating"
		if list := items(pod, "status", "containerStatuses"); len(list) > 0 {
			reason = text(list[0], "state", "waiting", "reason")
		}
		badRequest("container %q in pod %q is waiting to start: %s", name, q.name, reason).answer(w)
		return
	case q.query.Get("previous") == "true":
		badRequest("previous terminated container %q in pod %q not found", name, q.name).answer(w)
		return
	}
	var lines []line
	if s.Output != nil {
		for t := range strings.Lines(s.Output(s.pod(pod), name)) {
			lines = append(lines, line{c.started, name, strings.TrimSuffix(t, "\n")})
		}
	}
	lines = append(lines, c.lines...)
	out, bad := cut(lines, name, q, s.now())
	if bad != nil {
		bad.answer(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(out))
}

// cut leaves of a log what was asked for.
func cut(lines []line, container string, q request, now time.Time) (string, *failure) {
	var since time.Time
	if v := q.query.Get("sinceTime"); v != "" {
		at, err := time.Parse(time.RFC3339, v)
		if err != nil {
			return "", badRequest("parsing time %q as %q: cannot parse", v, time.RFC3339)
		}
		since = at
	}
	if n, _ := strconv.Atoi(q.query.Get("sinceSeconds")); n > 0 {
		since = now.Add(-time.Duration(n) * time.Second)
	}
	var list []string
	for _, l := range lines {
		if l.container != container || l.at.Before(since) {
			continue
		}
		t := l.text + "\n"
		if q.query.Get("timestamps") == "true" {
			t = l.at.UTC().Format(time.RFC3339Nano) + " " + t
		}
		list = append(list, t)
	}
	if v := q.query.Get("tailLines"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return "", invalid("", "PodLogOptions", q.name, cause{"FieldValueInvalid", "tailLines", v + ": must be greater than or equal to 0"})
		}
		list = list[max(0, len(list)-n):]
	}
	out := strings.Join(list, "")
	if n, err := strconv.Atoi(q.query.Get("limitBytes")); err == nil && n < len(out) {
		if n < 1 {
			return "", invalid("", "PodLogOptions", q.name, cause{"FieldValueInvalid", "limitBytes", fmt.Sprintf("%d: must be greater than 0", n)})
		}
		out = out[:n]
	}
	return out, nil
}

// Log adds a line to what a container has logged, dated now.
func (s *Server) Log(namespace, pod, container, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[s.named("pods").at(namespace, pod)]
	if !ok {
		return
	}
	if c := s.containers[uidOf(o)]; c != nil {
		c.lines = append(c.lines, line{s.now(), container, text})
	}
}

func uidOf(o object) string { return text(o, "metadata", "uid") }
