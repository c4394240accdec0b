//go:build e2e

package e2e

// A real Prometheus on loopback, and the exporter that it scrapes: a toy that does what the real one does with its token.

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// exporter is prometheus-fastly-exporter as far as its token goes: it reads it once, at its start, asks Fastly with it
// who it is, and from then on reports its expiry and counts requests. With a token that Fastly refuses it goes on
// running, and reports that its last answer came just now.
type exporter struct {
	fastly string                             // URL
	start  func(n int, id string) (take bool) // called with the number of the start and the token's ID; false: it is refused

	mu      sync.Mutex
	starts  []string // the tokens that it was started with, by ID; "": Fastly did not know it
	began   time.Time
	token   token // that it runs with, if it was taken
	scrapes int
}

// token is what Fastly says of one to whoever presents it.
type token struct {
	ID      string    `json:"id"`
	User    string    `json:"user_id"`
	Expires time.Time `json:"expires_at"`
}

// restart is the start of a new pod with this text in its environment.
func (x *exporter) restart(text string) {
	r, err := http.NewRequest(http.MethodGet, x.fastly+"/tokens/self", nil)
	if err != nil {
		return
	}
	r.Header.Set("Fastly-Key", text)
	var who token
	if resp, err := http.DefaultClient.Do(r); err == nil {
		if resp.StatusCode == http.StatusOK {
			_ = json.NewDecoder(resp.Body).Decode(&who)
		}
		_ = resp.Body.Close()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.starts = append(x.starts, who.ID)
	x.token, x.began = token{}, time.Now()
	if who.ID != "" && x.start(len(x.starts), who.ID) {
		x.token = who
	}
}

// ServeHTTP is /metrics.
func (x *exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.scrapes++
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	if x.began.IsZero() {
		http.Error(w, "no pod", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "fastly_rt_last_successful_response{service_id=\"s\"} %d\n", time.Now().Unix()) // also after a 401
	if x.token.ID == "" {
		return
	}
	fmt.Fprintf(w, "fastly_rt_token_expiration{token_id=%q,user_id=%q} %d\n", x.token.ID, x.token.User, x.token.Expires.Unix())
	fmt.Fprintf(w, "fastly_rt_edge_total{service_id=\"s\",service_name=\"www\",datacenter=\"LHR\"} %d\n", time.Since(x.began).Milliseconds())
}

// runs returns the ID of the token that it runs with, "" if it was refused.
func (x *exporter) runs() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.token.ID
}

// started returns the tokens that it was started with.
func (x *exporter) started() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string(nil), x.starts...)
}

// newPrometheus starts one that scrapes this, and returns its URL. It ends with the test.
func newPrometheus(t *testing.T, metrics http.Handler) string {
	t.Helper()
	at := httptest.NewServer(metrics)
	t.Cleanup(at.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	fatal(t, os.WriteFile(file, []byte("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs: [{job_name: exporter, static_configs: [{targets: ["+
		strings.TrimPrefix(at.URL, "http://")+"]}]}]\n"), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	address := l.Addr().String()
	fatal(t, l.Close())
	var log strings.Builder
	c := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	c.Stderr = &log
	if err := c.Start(); err != nil {
		t.Fatalf("Prometheus (Debian's package prometheus): %v", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // its folder is thrown away
		_ = c.Wait()
		if t.Failed() && log.Len() > 0 {
			t.Logf("Prometheus: %s", last(log.String(), 20))
		}
	})
	return "http://" + address
}

// shownBy waits until a Prometheus answers a query with a sample: for some seconds after its start it has none.
func shownBy(t *testing.T, prometheus, query string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, prometheus+"/api/v1/query", nil)
	fatal(t, err)
	q := r.URL.Query()
	q.Set("query", query)
	r.URL.RawQuery = q.Encode()
	eventually(t, time.Minute, "sample of "+query, func() bool {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		return json.NewDecoder(resp.Body).Decode(&answer) == nil && len(answer.Data.Result) > 0
	})
}
