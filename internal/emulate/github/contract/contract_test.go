package contract

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// The extract is what Slim makes of the origin. REMINT_OPENAPI names api.github.com.json of npm
// @octokit/openapi 23.0.2; without it the test is skipped, since the origin is 13 MB.
func TestExtractIsCurrent(t *testing.T) {
	file := os.Getenv("REMINT_OPENAPI")
	if file == "" {
		t.Skip("REMINT_OPENAPI is not set")
	}
	origin, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Slim(origin)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(want, '\n'), extract) {
		t.Error("testdata/api.github.com.json differs from its origin; run the program in slim again")
	}
}

// recorder is a testing.TB that keeps what would fail the test.
type recorder struct {
	testing.TB
	failed []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, format)
}

func TestWrapRefuses(t *testing.T) {
	const (
		secret   = "/repos/o/r/actions/secrets/N"
		dispatch = "/repos/o/r/actions/workflows/deploy.yml/dispatches"
	)
	for _, x := range []struct {
		name, method, path, body string
		status                   int
		answer                   string
		ok                       bool
	}{
		{"a good PUT", "PUT", secret, `{"encrypted_value":"QUJD","key_id":"1"}`, 204, "", true},
		{"created", "PUT", secret, `{"encrypted_value":"QUJD","key_id":"1"}`, 201, "{}", true},
		{"prefix of Enterprise Server", "PUT", "/api/v3" + secret, `{"encrypted_value":"QUJD","key_id":"1"}`, 204, "", true},
		{"no key id", "PUT", secret, `{"encrypted_value":"QUJD"}`, 204, "", false},
		{"no base64", "PUT", secret, `{"encrypted_value":"?","key_id":"1"}`, 204, "", false},
		{"organization without visibility", "PUT", "/orgs/o/actions/secrets/N", `{"encrypted_value":"QUJD","key_id":"1"}`, 204, "", false},
		{"dispatch without ref", "POST", dispatch, `{"inputs":{}}`, 204, "", false},
		{"dispatch", "POST", dispatch, `{"ref":"main","return_run_details":true}`, 200, `{"workflow_run_id":1,"run_url":"https://x","html_url":"https://x"}`, true},
		{"dispatch answered without an id", "POST", dispatch, `{"ref":"main"}`, 200, `{"run_url":"https://x","html_url":"https://x"}`, false},
		{"a run id that is no number", "GET", "/repos/o/r/actions/runs/x", "", 404, `{"message":"Not Found","documentation_url":"https://x"}`, false},
		{"unknown path", "GET", "/repos/o/r/actions/nothing", "", 404, "", false},
		{"wrong method", "POST", secret, "", 404, "", false},
		{"a secret without its times", "GET", secret, "", 200, `{"name":"N"}`, false},
		{"an undocumented error with a body", "GET", secret, "", 404, `{"message":"Not Found","documentation_url":"https://x"}`, true},
		{"an error without one", "GET", secret, "", 404, "nope", false},
		{"a list by period", "GET", "/repos/o/r/actions/runs?created=%3E%3D2026-01-02T03:04:05Z&per_page=5", "", 200, `{"total_count":0,"workflow_runs":[]}`, true},
		{"an environment with a slash", "GET", "/repos/o/r/environments/a%2Fb/secrets/public-key", "", 200, `{"key_id":"1","key":"QUJD"}`, true},
		{"an environment with a bare slash", "GET", "/repos/o/r/environments/a/b/secrets/public-key", "", 200, `{"key_id":"1","key":"QUJD"}`, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := &recorder{TB: t}
			h := Wrap(r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if x.answer != "" {
					w.Header().Set("Content-Type", "application/json; charset=utf-8")
				}
				w.WriteHeader(x.status)
				_, _ = io.WriteString(w, x.answer)
			}))
			q := httptest.NewRequest(x.method, x.path, strings.NewReader(x.body))
			if x.body != "" {
				q.Header.Set("Content-Type", "application/json")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, q)
			if w.Code != x.status {
				t.Errorf("status %d, want %d", w.Code, x.status)
			}
			if ok := len(r.failed) == 0; ok != x.ok {
				t.Errorf("allowed: %v, want %v (%v)", ok, x.ok, r.failed)
			}
		})
	}
}
