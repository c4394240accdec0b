// Package contract holds requests and answers to what GitHub publishes of its REST API. The description
// in testdata is an extract of npm @octokit/openapi 23.0.2 (MIT, see testdata/LICENSE), written by the
// program in slim. Tests only.
package contract

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:embed testdata/api.github.com.json
var extract []byte

// description is loaded once for all tests of a package: it takes a tenth of a second.
var description = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(extract)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	// The filter takes the ranges of GitHub's search syntax (docs.github.com, "List workflow runs": created);
	// the description's format allows a single instant only.
	if p := doc.Components.Parameters["created"]; p != nil && p.Value != nil {
		p.Value.Schema.Value.Format = ""
	}
	return gorillamux.NewRouter(doc)
})

// Wrap returns a handler that passes every request on to h and fails the test for each request or answer
// that GitHub's description does not allow. An error status that the description leaves out must at least
// have GitHub's body; answers of 429 and 5xx are not looked at, since tests plant them.
func Wrap(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	router, err := description()
	if err != nil {
		t.Fatalf("GitHub's description: %v", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		in, err := request(router, r, body)
		if err != nil {
			t.Errorf("%s %s is not in GitHub's description: %v", r.Method, r.URL.EscapedPath(), err)
		}
		q := r.Clone(r.Context())
		q.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, q) // panics go through: a lost answer is one
		if in != nil {
			if err := answer(in, rec); err != nil {
				t.Errorf("answer %d to %s %s is not in GitHub's description: %v", rec.Code, r.Method, r.URL.EscapedPath(), err)
			}
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// request checks one request and returns what is needed to check its answer; nil if it has no operation.
func request(router routers.Router, r *http.Request, body []byte) (*openapi3filter.RequestValidationInput, error) {
	q := r.Clone(r.Context())
	q.Body = io.NopCloser(bytes.NewReader(body))
	u := url.URL{Path: strings.TrimPrefix(r.URL.Path, "/api/v3"), RawPath: strings.TrimPrefix(r.URL.RawPath, "/api/v3"), RawQuery: r.URL.RawQuery}
	q.URL = &u
	route, vars, err := router.FindRoute(q)
	if err != nil {
		return nil, err
	}
	for k, v := range vars { // the router leaves the escapes in
		if vars[k], err = url.PathUnescape(v); err != nil {
			return nil, err
		}
	}
	in := &openapi3filter.RequestValidationInput{
		Request: q, PathParams: vars, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true,
			MultiError:            true,
		},
	}
	return in, openapi3filter.ValidateRequest(r.Context(), in)
}

func answer(in *openapi3filter.RequestValidationInput, rec *httptest.ResponseRecorder) error {
	code := rec.Code
	if code == http.StatusTooManyRequests || code >= 500 {
		return nil
	}
	if in.Route.Operation.Responses.Status(code) == nil && (code == http.StatusNotModified || code >= 400) {
		if code == http.StatusNotModified {
			return nil
		}
		var e struct {
			Message *string `json:"message"`
			URL     *string `json:"documentation_url"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || e.Message == nil || e.URL == nil {
			return fmt.Errorf("an error without GitHub's body: %.200q", rec.Body.String())
		}
		return nil
	}
	return openapi3filter.ValidateResponse(in.Request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: code, Header: rec.Header(),
		Body:    io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
		Options: in.Options,
	})
}
