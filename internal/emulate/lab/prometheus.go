package lab

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	prom "github.com/remint-dev/remint/internal/emulate/prometheus"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/prometheus"
)

// This file puts a Prometheus before a query. Which metrics there are and what they mean nobody knows here, so a
// query is answered by the truth: if everything that runs with a token of the rotation runs with one that the
// provider accepts, and with the very one that the query names, the answer is what the configuration wants to see;
// else there is no sample.

// windows are what a query reads over; they are cut short, so that nobody waits.
var windows = pattern.New(`\[[^\[\]]*\]`)

// fitPrometheus makes the server of a query, at its address or behind the API server.
func (l *Lab) fitPrometheus(r *rotation, q *prometheus.Query) *verifier {
	v := &verifier{}
	q.Query = windows.ReplaceAllString(q.Query, "[1ms]")
	q.Interval, q.Within, q.For = interval, patience/2, min(q.For, 2*interval)
	eval := func(query string, at time.Time) ([]prom.Sample, error) {
		if strings.HasPrefix(query, "min(timestamp(") {
			return []prom.Sample{{Value: float64(at.UnixMilli()) / 1000}}, nil
		}
		return l.measure(r, v, q, query)
	}
	s := prom.New()
	s.Eval = eval
	if q.Service == "" {
		if !q.Token.IsZero() {
			s.Token = q.Token.Reveal()
		}
		if q.User != "" {
			s.User, s.Password = q.User, q.Password.Reveal()
		}
		q.CA = ""
		q.Transport = l.wire(below(s), nil)
		return v
	}
	// Several queries may go to one service, each with its own answers.
	k := l.clusterOf(q.Cluster)
	text := q.Service
	for _, scheme := range []string{"http:", "https:"} {
		text = strings.TrimPrefix(text, scheme)
	}
	name, port, _ := strings.Cut(text, ":")
	port, _, _ = strings.Cut(port, "/")
	namespace := q.Cluster.Scope(q.Namespace)
	id := namespace + "/" + name + ":" + port
	shared := k.prometheus[id]
	if shared == nil {
		shared = prom.New()
		k.prometheus[id] = shared
		k.Expose(namespace, name, port, below(shared))
	}
	before := shared.Eval
	shared.Eval = func(query string, at time.Time) ([]prom.Sample, error) {
		if !asks(r, q, query) && before != nil {
			return before(query, at)
		}
		return eval(query, at)
	}
	return v
}

// below serves a Prometheus whatever is in front of its API's path.
func below(s *prom.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i := strings.Index(r.URL.Path, "/api/v1/"); i > 0 {
			r = r.Clone(r.Context())
			r.URL.Path = r.URL.Path[i:]
		}
		s.ServeHTTP(w, r)
	})
}

// asks reports whether a text is the query, for any token of the rotation.
func asks(r *rotation, q *prometheus.Query, query string) bool {
	return slices.ContainsFunc(r.mint.tokens(), func(t rotate.Token) bool {
		text, err := t.Expand(q.Query)
		return err == nil && text == query
	})
}

// measure answers a query by what consumers run with.
func (l *Lab) measure(r *rotation, v *verifier, q *prometheus.Query, query string) ([]prom.Sample, error) {
	texts, _ := r.running()
	if len(r.consumers) == 0 {
		for _, s := range r.sinks {
			texts = append(texts, s.look())
		}
	}
	var out []prom.Sample
	for _, text := range texts {
		t, live, ok := r.mint.whose(text)
		if !ok || !live || v.fails.Load() && l.newborn(r.mint, text) {
			return nil, nil
		}
		if asked, err := t.Expand(q.Query); err != nil || asked != query {
			return nil, nil
		}
		if out == nil {
			out = []prom.Sample{{Labels: map[string]string{}, Value: wanted(q, t)}}
		}
	}
	return out, nil
}

// wanted is a value that passes.
func wanted(q *prometheus.Query, t rotate.Token) float64 {
	number := func(text string) float64 {
		text, _ = t.Expand(text)
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return math.NaN()
		}
		return v
	}
	switch {
	case q.Equals != "":
		return number(q.Equals)
	case q.Above != "" && q.Below != "":
		return (number(q.Above) + number(q.Below)) / 2
	case q.Above != "":
		return number(q.Above) + 1
	}
	return number(cmp.Or(q.Below, "0")) - 1
}
