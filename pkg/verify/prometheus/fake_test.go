package prometheus

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	fake "github.com/remint-dev/remint/internal/emulate/prometheus"
	"github.com/remint-dev/remint/pkg/rotate"
)

const host = "prometheus.example"

// expiry is the end of the newborn's life.
var expiry = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// newborn is what is verified. Its secret must appear nowhere.
var newborn = rotate.Credential{
	Token:  rotate.Token{ID: "tok-new", Name: "web 20260102T030405Z-abc", Created: expiry.AddDate(-1, 0, 0), Expires: expiry},
	Secret: rotate.NewSecret("newborn-0123456789"),
}

// exporter is the consumer: it reports the token it runs with, as the exporter of the example does.
type exporter struct {
	mu     sync.Mutex
	id     string
	value  float64
	silent bool // reports no token, as after a refusal
	down   bool // cannot be scraped
}

func (e *exporter) set(change func(*exporter)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *exporter) scrape() ([]fake.Sample, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return nil, http.ErrServerClosed
	}
	samples := []fake.Sample{{Labels: map[string]string{"__name__": "up", "job": "exporter"}, Value: 1}}
	if !e.silent {
		samples = append(samples, fake.Sample{Labels: map[string]string{"__name__": "token_expiration", "token_id": e.id}, Value: e.value})
	}
	return samples, nil
}

// decisive is the query of the example.
func decisive(s http.Handler) *Query {
	return &Query{
		URL: "https://" + host, Query: `token_expiration{token_id="${token.id}"}`, Equals: "${token.expires.unix}",
		Transport: wire(s),
	}
}

func wire(s http.Handler) http.RoundTripper {
	return &emulate.Wire{Route: func(to string) http.Handler {
		if to != host {
			return nil
		}
		return s
	}}
}

// good is an exporter with the newborn, and a server that scrapes it every 15 seconds and has done so before.
func good(t *testing.T) (*exporter, *fake.Server) {
	e := &exporter{id: newborn.ID, value: float64(expiry.Unix())}
	s := fake.New(e.scrape)
	s.Interval = 15 * time.Second
	s.Scrape()
	return e, s
}
