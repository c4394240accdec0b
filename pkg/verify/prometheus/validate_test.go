package prometheus

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

func TestValidate(t *testing.T) {
	fine := func() *Query { return &Query{URL: "https://" + host, Query: "up", Above: "0"} }
	prod := &cluster.Cluster{Server: "https://kube.example", Token: rotate.NewSecret("hunter2hunter2"), Namespace: "monitoring"}
	for _, c := range []struct {
		field  string // "": fine
		says   string
		change func(*Query)
	}{
		{"", "", func(*Query) {}},
		{"", "", func(q *Query) { q.Above, q.Equals = "", "${token.expires.unix}" }},
		{"", "", func(q *Query) { q.URL, q.Service, q.Cluster = "", "prometheus:9090", prod }},
		{"", "", func(q *Query) { q.URL, q.Service, q.Cluster = "", "https:prometheus:web/prefix/a", prod }},
		{"", "", func(q *Query) { q.Query = `increase(up[4m])` }},
		{"query", "no metric", func(q *Query) { q.Query = "vector(1)" }},
		{"query", "no metric", func(q *Query) { q.Query = "" }},
		{"query", "unknown ${token.value}", func(q *Query) { q.Query = `up{a="${token.value}"}` }},
		{"query", "subquery", func(q *Query) { q.Query = "max_over_time(up[5m:1m])" }},
		{"query", "@ reads", func(q *Query) { q.Query = "up @ 1609746000" }},
		{"query", "shows nothing", func(q *Query) { q.Query = "absent(up)" }},
		{"above", "give above, below or equals", func(q *Query) { q.Above = "" }},
		{"above", "not a number", func(q *Query) { q.Above = "many" }},
		{"below", "not a number", func(q *Query) { q.Below = "NaN" }},
		{"equals", "unknown ${token.unix}", func(q *Query) { q.Equals = "${token.unix}" }},
		{"within", "must not be negative", func(q *Query) { q.Within = -1 }},
		{"for", "must not be negative", func(q *Query) { q.For = -1 }},
		{"interval", "must not be negative", func(q *Query) { q.Interval = -1 }},
		{"within", "not enough", func(q *Query) { q.For = 5 * time.Minute }},
		{"within", "not enough", func(q *Query) { q.Query = "rate(up[3m] offset 1m)"; q.For = time.Minute }},
		{"within", "not enough", func(q *Query) { q.Query = "up offset 1h" }},
		{"empty", "neither fail nor hold", func(q *Query) { q.Empty = "pass" }},
		{"url", "where is Prometheus", func(q *Query) { q.URL = "" }},
		{"url", "plain http", func(q *Query) { q.URL = "http://" + host }},
		{"url", "user name or password", func(q *Query) { q.URL = "https://u:hunter2hunter2@" + host }},
		{"url", "leave out /api/v1", func(q *Query) { q.URL = "https://" + host + "/api/v1/query" }},
		{"service", "both given", func(q *Query) { q.Service = "prometheus:9090" }},
		{"service", "none is given", func(q *Query) { q.URL, q.Service = "", "prometheus:9090" }},
		{"service", "name and port", func(q *Query) { q.URL, q.Service, q.Cluster = "", "prometheus", prod }},
		{"service", "name and port", func(q *Query) { q.URL, q.Service, q.Cluster = "", "prometheus:9090/../../secrets", prod }},
		{"service", "are for url", func(q *Query) { q.URL, q.Service, q.Cluster, q.User = "", "prometheus:9090", prod, "u" }},
		{"cluster", "", func(q *Query) {
			q.URL, q.Service, q.Cluster = "", "prometheus:9090", &cluster.Cluster{Server: "http://kube.example"}
		}},
		{"token", "two ways", func(q *Query) { q.Token, q.User, q.Password = rotate.NewSecret("a"), "u", rotate.NewSecret("b") }},
		{"user", "go together", func(q *Query) { q.User = "u" }},
		{"user", "go together", func(q *Query) { q.Password = rotate.NewSecret("b") }},
		{"user", "colon", func(q *Query) { q.User, q.Password = "a:b", rotate.NewSecret("b") }},
	} {
		q := fine()
		c.change(q)
		err := q.Validate()
		if c.field == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s, %q: got %v", c.field, c.says, err)
		}
	}
}

func TestNames(t *testing.T) {
	prod := &cluster.Cluster{Server: "https://kube.example:6443", Token: rotate.NewSecret("hunter2hunter2"), Namespace: "monitoring"}
	direct := &Query{URL: "https://" + host + "/prom/", Query: `sum(fastly_rt_edge_total{a="b"})`}
	service := &Query{Service: "prometheus:9090", Query: "up", Cluster: prod}
	for q, want := range map[*Query]string{
		direct:  "prometheus:prometheus.example/prom/fastly_rt_edge_total",
		service: "prometheus:monitoring/prometheus:9090/up",
		{URL: "https://user:hunter2@" + host, Query: "up"}: "prometheus:?/up",
		{}: "prometheus:?",
	} {
		if got := q.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if !q.Repeatable() {
			t.Error("a look may be repeated")
		}
	}
	for q, want := range map[*Query]string{direct: "https://" + host, service: "https://kube.example:6443"} {
		e := q.Endpoints()
		if len(e) != 1 || e[0].Origin != want || !slices.Equal(e[0].Methods, []string{http.MethodGet}) || e[0].Why == "" {
			t.Errorf("%+v", e)
		}
	}
	for field, want := range map[string]time.Duration{"Within": defaultWithin, "Interval": defaultInterval} {
		f, _ := reflect.TypeFor[Query]().FieldByName(field)
		if got, err := time.ParseDuration(f.Tag.Get("default")); err != nil || got != want {
			t.Errorf("%s: tag %s, code %s", field, f.Tag.Get("default"), want)
		}
	}
}

func TestFileOfCertificates(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{"absent.pem": "no such file", garbage: "no certificate in PEM"} {
		q := &Query{URL: "https://" + host, Query: "up", Above: "0", CA: file}
		if err := q.Validate(); err != nil {
			t.Errorf("Validate reads files: %v", err)
		}
		if err := q.Check(t.Context()); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v", err)
		}
	}
}
