// Package prometheus emulates the query API of Prometheus (prometheus.io, "HTTP API"), as a server of version 2.42
// answers. It is no PromQL: it knows time(), vector(n), plain selectors, and timestamp(selector) alone or in min(…). What
// else is asked goes to Eval. Its rules:
//
//   - Samples come by scrapes. A target is asked when a query's moment is at least Interval later than the scrape before,
//     and its samples bear the time of the scrape.
//   - A selector sees of each series the newest sample that is not later than the moment and at most five minutes older.
//     A series that a later scrape of its target lacks is gone from that scrape on.
//   - What it cannot evaluate is refused like a parse error.
package prometheus

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// lookBack is how old a sample may be that an instant query sees (--query.lookback-delta).
const lookBack = 5 * time.Minute

// Sample is one value of a series. Labels include the metric's name as __name__; the zero Time is that of the scrape.
type Sample struct {
	Labels map[string]string
	Value  float64
	Time   time.Time
}

// Target is what is scraped: the samples it exposes now, without times; an error if it is down.
type Target func() ([]Sample, error)

// ErrUnknown is what an Eval returns for what it leaves to the server.
var ErrUnknown = errors.New("not a query of this hook")

// Failure is an error that Eval may return to be answered in Prometheus's own form.
type Failure struct{ Type, Text string } // "bad_data" is 400, "execution" 422, "timeout" and "canceled" 503, others 500

func (f *Failure) Error() string { return f.Type + ": " + f.Text }

// Server is one Prometheus. It is safe for concurrent use; its fields must not be changed after the first request.
type Server struct {
	Faults emulate.Faults // operation: query
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Interval is the time between two scrapes; 0: every query sees a scrape of its own moment.
	Interval time.Duration
	// Prefix is the path in front of /api/v1, such as "/prometheus".
	Prefix string
	// Token, or User and Password, are wanted of every request if they are set.
	Token, User, Password string
	// Eval, if not nil, is asked first for every query but time().
	Eval func(query string, at time.Time) ([]Sample, error)

	mu       sync.Mutex
	targets  []*target
	warnings []string
	queries  []string
}

type target struct {
	scrape Target
	last   time.Time
	series map[string][]Sample // by labels; a sample without labels ends a series
	order  []string
}

// New returns a server that scrapes these.
func New(targets ...Target) *Server {
	s := &Server{}
	for _, t := range targets {
		s.AddTarget(t)
	}
	return s
}

// AddTarget adds what is scraped from now on.
func (s *Server) AddTarget(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = append(s.targets, &target{scrape: t, series: map[string][]Sample{}})
}

// Scrape asks the targets whose time has come, as if a query were made now.
func (s *Server) Scrape() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scrape(s.now())
}

// Warn makes every answer bear these warnings.
func (s *Server) Warn(warnings ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = warnings
}

// Queries returns what was asked for, in order.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, s.Prefix)
	switch {
	case !s.admits(r):
		w.Header().Set("Www-Authenticate", "Basic")
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case !ok || path != "/api/v1/query":
		http.Error(w, "404 page not found", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, OPTIONS, POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	default:
		s.Faults.Serve("query", w, r, s.query)
	}
}

func (s *Server) admits(r *http.Request) bool {
	user, password, basic := r.BasicAuth()
	switch {
	case s.Token != "":
		return r.Header.Get("Authorization") == "Bearer "+s.Token
	case s.User != "":
		return basic && user == s.User && password == s.Password
	}
	return true
}

func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	at := s.now()
	if text := r.FormValue("time"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			if at, err = time.Parse(time.RFC3339Nano, text); err != nil {
				fail(w, &Failure{"bad_data", fmt.Sprintf(`invalid parameter "time": Invalid time value for 'time': cannot parse %q to a valid timestamp`, text)})
				return
			}
		} else {
			at = time.UnixMilli(int64(math.Round(seconds * 1000)))
		}
	}
	query := r.FormValue("query")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, query)
	samples, scalar, err := s.eval(query, at)
	if err != nil {
		fail(w, err)
		return
	}
	type series struct {
		Metric map[string]string `json:"metric"`
		Value  any               `json:"value"`
	}
	pair := func(v float64) any {
		return []any{json.Number(strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', -1, 64)), strconv.FormatFloat(v, 'f', -1, 64)}
	}
	data := map[string]any{"resultType": "vector"}
	if scalar {
		data["resultType"], data["result"] = "scalar", pair(samples[0].Value)
	} else {
		result := []series{}
		for _, x := range samples {
			labels := x.Labels
			if labels == nil {
				labels = map[string]string{}
			}
			result = append(result, series{labels, pair(x.Value)})
		}
		data["result"] = result
	}
	out := map[string]any{"status": "success", "data": data}
	if len(s.warnings) > 0 {
		out["warnings"] = s.warnings
	}
	answer(w, http.StatusOK, out)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// fail answers in Prometheus's form.
func fail(w http.ResponseWriter, err error) {
	f := &Failure{"internal", err.Error()}
	errors.As(err, &f)
	status := http.StatusInternalServerError
	switch f.Type {
	case "bad_data":
		status = http.StatusBadRequest
	case "execution":
		status = http.StatusUnprocessableEntity
	case "timeout", "canceled":
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]any{"status": "error", "errorType": f.Type, "error": f.Text})
}
