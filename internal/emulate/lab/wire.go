package lab

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/remint-dev/remint/internal/emulate"
)

// fault answers a request in place of the service, or returns nil.
type fault func(r *http.Request, body []byte) http.HandlerFunc

// wire carries the requests of one adapter to its emulation, whatever the host, and keeps a record of them.
func (l *Lab) wire(to http.Handler, planted fault) http.RoundTripper {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		l.record(r, body)
		if planted != nil {
			if answer := planted(r, body); answer != nil {
				answer(w, r)
				return
			}
		}
		to.ServeHTTP(w, r)
		if r.Method != http.MethodGet {
			l.changed()
		}
	})
	return &emulate.Wire{Route: func(string) http.Handler { return h }}
}

// refusing is a wire to a service which, once refuse was called, answers with no whatever is such a request.
func (l *Lab) refusing(to http.Handler, such func(r *http.Request, body []byte) bool, no http.HandlerFunc) (wire http.RoundTripper, refuse func()) {
	var refused atomic.Bool
	return l.wire(to, func(r *http.Request, body []byte) http.HandlerFunc {
		if refused.Load() && such(r, body) {
			return no
		}
		return nil
	}), func() { refused.Store(true) }
}

// Requests returns every request that arrived at a service since [Lab.Prepare], in order: method, host, path
// without query, and the operation where the path does not say it. It holds no secret.
func (l *Lab) Requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.requests...)
}

func (l *Lab) record(r *http.Request, body []byte) {
	if !l.prepared { // what prepares a rehearsal is no part of it
		return
	}
	text := describe(r, body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, text)
}

// describe says what a request is, without a secret.
func describe(r *http.Request, body []byte) string {
	return strings.TrimSpace(r.Method + " " + r.URL.Host + " " + r.URL.EscapedPath() + " " + operation(r, body))
}

// operation names what a request to a service with one path does.
func operation(r *http.Request, body []byte) string {
	if to := r.Header.Get("X-Amz-Target"); to != "" {
		return to[strings.LastIndex(to, ".")+1:]
	}
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); {
	case kind == "application/x-www-form-urlencoded":
		form, _ := url.ParseQuery(string(body))
		return form.Get("Action")
	case kind == "application/json" && r.URL.Path == "/graphql":
		var q struct{ OperationName string }
		if json.Unmarshal(body, &q) == nil && q.OperationName != "" {
			return strings.ToLower(q.OperationName[:1]) + q.OperationName[1:]
		}
	}
	return ""
}

// refusal answers as a service does that lets nobody write.
func refusal(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// host returns the host of an address, which was validated.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}
