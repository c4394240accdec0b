package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// A real Prometheus on loopback scrapes a toy exporter every second. Set REMINT_PROMETHEUS=1 to run this; it takes about
// a minute.

// toy is an exporter that is replaced by another, as in a rollout.
type toy struct {
	text    atomic.Pointer[string] // what it exposes; nil: it is down
	scrapes atomic.Int64
}

func (x *toy) expose(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	x.text.Store(&text)
}

func (x *toy) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	x.scrapes.Add(1)
	text := x.text.Load()
	if text == nil {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = io.WriteString(w, *text)
}

// scraped waits until a scrape that began from now on is over.
func (x *toy) scraped(t *testing.T) {
	t.Helper()
	eventually(t, "a scrape", func(n int64) func() bool { return func() bool { return x.scrapes.Load() >= n+2 } }(x.scrapes.Load()))
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within 20 s", what)
		}
	}
}

// begin starts a Prometheus that scrapes these, and returns its URL.
func begin(t *testing.T, targets map[string]http.Handler) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if os.Getenv("REMINT_PROMETHEUS") == "" || err != nil {
		t.Skip("needs REMINT_PROMETHEUS=1 and the program prometheus")
	}
	folder := t.TempDir()
	var conf strings.Builder
	conf.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n")
	for job, h := range targets {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		fmt.Fprintf(&conf, "- {job_name: %s, static_configs: [{targets: [%q]}]}\n", job, strings.TrimPrefix(server.URL, "http://"))
	}
	file := filepath.Join(folder, "prometheus.yml")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var log strings.Builder
	cmd := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+address)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	eventually(t, "Prometheus", func() bool {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return "http://" + address
}

func TestRealPrometheus(t *testing.T) {
	x, still := &toy{}, &toy{}
	report := func(id string, value int64) {
		x.expose("token_expiration{token_id=%q} %d\nedge_total{pod=\"a\"} 3\nedge_total{pod=\"b\"} 4\nnot_a_number NaN\n", id, value)
	}
	report(newborn.ID, expiry.Unix())
	still.expose("second_target 1\n")
	url := begin(t, map[string]http.Handler{"exporter": x, "second": still})
	query := func(text string) *Query {
		return &Query{URL: url, Query: text, Within: 4 * time.Second, Interval: 250 * time.Millisecond}
	}
	decisive := func() *Query {
		q := query(`token_expiration{token_id="${token.id}"}`)
		q.Equals = "${token.expires.unix}"
		return q
	}
	verify := func(q *Query) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return q.Verify(ctx, newborn)
	}
	q := decisive()
	q.Within = 20 * time.Second // for about five seconds after its start Prometheus shows nothing
	held(t, verify(q), pass, "")
	held(t, q.Check(t.Context()), pass, "")

	t.Run("fail", func(t *testing.T) {
		q := decisive()
		q.Equals = "1"
		held(t, verify(q), failure, "not 1")
	})
	t.Run("several samples", func(t *testing.T) {
		q := query(`edge_total`)
		q.Above = "2"
		held(t, verify(q), pass, "")
		q = query(`edge_total`)
		q.Above = "3"
		held(t, verify(q), failure, `pod="a"`)
	})
	t.Run("empty", func(t *testing.T) {
		q := query(`no_such_metric`)
		q.Above = "0"
		held(t, verify(q), failure, "no sample")
		q = query(`no_such_metric`)
		q.Above, q.Empty = "0", "hold"
		held(t, verify(q), unknown, "no sample")
		q = query(`no_such_metric > 5`)
		q.Below, q.Empty = "100", "hold"
		held(t, verify(q), unknown, "no sample")
	})
	t.Run("NaN", func(t *testing.T) {
		q := query(`not_a_number`)
		q.Below, q.Empty = "5", "hold"
		held(t, verify(q), unknown, "NaN")
		q = query(`edge_total / 0`)
		q.Above, q.Empty = "0", "hold"
		held(t, verify(q), unknown, "+Inf")
	})
	t.Run("bad PromQL", func(t *testing.T) {
		q := query(`sum(edge_total`)
		q.Above = "0"
		if err := q.Check(t.Context()); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "bad_data") {
			t.Errorf("Check: %v", err)
		}
		began := time.Now()
		held(t, verify(q), unknown, "configuration error")
		if time.Since(began) > 2*time.Second {
			t.Error("it was asked again")
		}
	})
	t.Run("execution error", func(t *testing.T) {
		q := query(`edge_total + on(job) edge_total`)
		q.Above = "0"
		held(t, q.Check(t.Context()), pass, "")
		held(t, verify(q), unknown, "many-to-many")
	})
	t.Run("expressions", func(t *testing.T) {
		for _, text := range []string{
			`sum by (job) (edge_total) > 0 and on () (token_expiration{token_id="${token.id}"} == ${token.expires.unix})`,
			`count_over_time(edge_total[2s])`,
			`edge_total or no_such_metric`,
			`scalar(sum(edge_total))`,
			`{__name__="edge_total", pod=~"a|b"}`,
		} {
			q := query(text)
			q.Above, q.Within = "0", 8*time.Second
			held(t, verify(q), pass, "")
		}
	})
	t.Run("for", func(t *testing.T) {
		q := decisive()
		q.For, q.Within = 2*time.Second, 8*time.Second
		began := time.Now()
		held(t, verify(q), pass, "")
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("passed after %s", took)
		}
	})
	t.Run("a rollout to a token that is refused", func(t *testing.T) {
		// The old pod reported just what is asked for, and Prometheus has it.
		x.scraped(t)
		plain := strings.Contains(ask(t, url, `token_expiration{token_id="`+newborn.ID+`"}`), newborn.ID)
		x.expose("edge_total{pod=\"a\"} 0\n") // the new one does not report a token
		held(t, verify(decisive()), failure, "no sample")
		if !plain {
			t.Error("the sample from before was not there, so nothing was shown")
		}
	})
	t.Run("a sample from before the rollout does not count", func(t *testing.T) {
		// The exporter gives its samples a time of its own, which keeps the old sample visible for five minutes without any
		// marker that it is stale: what a Prometheus that no longer scrapes looks like.
		x.expose("token_expiration{token_id=%q} %d %d\n", newborn.ID, expiry.Unix(), time.Now().UnixMilli())
		x.scraped(t)
		eventually(t, "old sample", func() bool {
			return strings.Contains(ask(t, url, `token_expiration{token_id="`+newborn.ID+`"}`), newborn.ID)
		})
		held(t, verify(decisive()), unknown, "before the verification began")
		if !strings.Contains(ask(t, url, `token_expiration{token_id="`+newborn.ID+`"}`), fmt.Sprint(expiry.Unix())) {
			t.Error("the old sample is not shown any more, so nothing was shown")
		}
		// As part of a larger expression as well.
		q := query(`sum(token_expiration)`)
		q.Above = "0"
		held(t, verify(q), unknown, "before the verification began")
	})
	t.Run("Prometheus down", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone := "http://" + l.Addr().String()
		_ = l.Close()
		q := decisive()
		q.URL, q.Within = gone, time.Second
		held(t, verify(q), unknown, "refused")
		if err := q.Check(t.Context()); !errors.Is(err, rotate.ErrTemporary) {
			t.Errorf("Check: %v", err)
		}
	})
}

// ask returns what Prometheus itself answers to an instant query.
func ask(t *testing.T, url, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/query", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.RawQuery = "query=" + strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", "=", "%3D").Replace(query)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
