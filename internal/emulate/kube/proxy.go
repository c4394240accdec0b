package kube

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// This file answers the proxy subresource of services and pods: the request goes on, without the credential of the
// API server, to what was registered.

// Expose puts a Service with one port before h; the port is a number or a name, and reached by either "" or itself.
// A nil h is a Service without endpoints.
func (s *Server) Expose(namespace, service, port string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.namespace(namespace)
	k := s.named("services")
	if _, ok := s.objects[k.at(namespace, service)]; !ok {
		s.add(k, object{"metadata": object{"name": service, "namespace": namespace}, "spec": object{"ports": []any{object{"name": port}}}, "status": object{"loadBalancer": object{}}})
	}
	s.proxies["services/"+namespace+"/"+service+":"+port] = h
	if _, ok := s.proxies["services/"+namespace+"/"+service+":"]; !ok {
		s.proxies["services/"+namespace+"/"+service+":"] = h
	}
}

// ExposePod puts a port of a pod before h; the pod must be there when the request comes.
func (s *Server) ExposePod(namespace, pod, port string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies["pods/"+namespace+"/"+pod+":"+port] = h
}

func (s *Server) proxy(w http.ResponseWriter, r *http.Request, q request) {
	name, port := split(q.name)
	s.mu.Lock()
	s.step()
	_, there := s.objects[s.named(q.resource).at(q.namespace, name)]
	h, known := s.proxies[q.resource+"/"+q.namespace+"/"+name+":"+port]
	s.mu.Unlock()
	unavailable := func(format string, args ...any) {
		failure{code: http.StatusServiceUnavailable, reason: "ServiceUnavailable", message: fmt.Sprintf(format, args...)}.answer(w)
	}
	switch {
	case !there:
		notFound("", q.resource, name).answer(w)
	case !known && q.resource == "services":
		unavailable("no service port %q found for service %q", port, name)
	case h == nil && q.resource == "services":
		unavailable("no endpoints available for service %q", q.name)
	case h == nil:
		unavailable("error trying to reach service: dial tcp: connect: connection refused")
	default:
		to := r.Clone(r.Context())
		u := *r.URL
		u.RawPath = "/" + q.rest
		u.Path = u.RawPath
		if path, err := url.PathUnescape(u.RawPath); err == nil {
			u.Path = path
		}
		to.URL = &u
		to.RequestURI = u.RequestURI()
		to.Body, to.ContentLength = io.NopCloser(bytes.NewReader(q.body)), int64(len(q.body))
		to.Header.Del("Authorization")
		w.Header().Del("Cache-Control")
		h.ServeHTTP(w, to)
	}
}

// split reads [scheme:]name[:port].
func split(name string) (service, port string) {
	switch parts := strings.Split(name, ":"); len(parts) {
	case 3:
		return parts[1], parts[2]
	case 2:
		return parts[0], parts[1]
	}
	return name, ""
}
