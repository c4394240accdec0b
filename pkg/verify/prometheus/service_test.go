package prometheus

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	fake "github.com/remint-dev/remint/internal/emulate/prometheus"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Through the API server's proxy for services: the path, the login of the cluster, and whose errors they are.
func TestService(t *testing.T) {
	const at = "/api/v1/namespaces/monitoring/services/"
	status := func(w http.ResponseWriter, code int, reason, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"`+message+`","reason":"`+reason+`","code":`+strconv.Itoa(code)+`}`)
	}
	s := fake.New((&exporter{id: newborn.ID, value: float64(expiry.Unix())}).scrape)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, at)
		service, path, proxied := strings.Cut(rest, "/proxy")
		switch {
		case r.Header.Get("Authorization") != "Bearer kube-token-1" || r.Method != http.MethodGet:
			status(w, 403, "Forbidden", `services \"http:prometheus:9090\" is forbidden: User \"system:serviceaccount:ci:remint\" cannot get resource \"services/proxy\" in API group \"\" in the namespace \"monitoring\"`)
		case !ok || !proxied || service == "http:gone:9090":
			status(w, 404, "NotFound", "services not found")
		case service == "http:empty:9090":
			status(w, 503, "ServiceUnavailable", "no endpoints available for service")
		case service == "http:prometheus:9090" || service == "https:prometheus:web":
			q := r.Clone(r.Context())
			q.URL.Path = path
			q.Header.Del("Authorization")
			s.ServeHTTP(w, q)
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	}))
	t.Cleanup(api.Close)
	for _, c := range []struct {
		service, token, query string
		kind                  error // of Check
		says                  string
	}{
		{"prometheus:9090", "kube-token-1", "", nil, ""},
		{"https:prometheus:web", "kube-token-1", "", nil, ""},
		{"prometheus:9090", "kube-token-2", "", rotate.ErrDenied, "resourceNames: [http:prometheus:9090]"},
		{"gone:9090", "kube-token-1", "", rotate.ErrNotFound, ""},
		{"empty:9090", "kube-token-1", "", rotate.ErrTemporary, ""},
		{"prometheus:9090", "kube-token-1", "sum(up", rotate.ErrConfig, "bad_data"},
	} {
		t.Run(c.service+" "+c.token+c.query, func(t *testing.T) {
			if c.kind == rotate.ErrTemporary && testing.Short() {
				t.Skip("retries take seconds")
			}
			q := decisive(nil)
			q.URL, q.Transport, q.Service = "", nil, c.service
			q.Cluster = &cluster.Cluster{Server: api.URL, Token: rotate.NewSecret(c.token), Namespace: "monitoring"}
			q.Within, q.Interval = 100*time.Millisecond, 10*time.Millisecond
			if c.query != "" {
				q.Query = c.query
			}
			err := q.Check(t.Context())
			if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Check: %v, want %v: %s", err, c.kind, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "kube-token") {
				t.Errorf("%v shows a credential", err)
			}
			if c.kind == rotate.ErrTemporary {
				return
			}
			w := unknown
			if c.kind == nil {
				w = pass
			}
			held(t, q.Verify(t.Context(), newborn), w, c.says)
		})
	}
}
