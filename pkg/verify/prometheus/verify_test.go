package prometheus

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	fake "github.com/remint-dev/remint/internal/emulate/prometheus"
	"github.com/remint-dev/remint/pkg/rotate"
)

// want is what a verification comes to.
type want int

const (
	pass want = iota
	failure
	unknown // ErrUnproven
)

func held(t *testing.T, err error, w want, says string) {
	t.Helper()
	switch {
	case w == pass && err != nil, w != pass && err == nil, w == failure && errors.Is(err, rotate.ErrUnproven), w == unknown && !errors.Is(err, rotate.ErrUnproven):
		t.Errorf("want %d, got %v", w, err)
	case err != nil && !strings.Contains(err.Error(), says):
		t.Errorf("%q does not say %q", err, says)
	case err != nil && strings.Contains(err.Error(), newborn.Secret.Reveal()):
		t.Errorf("%q shows the secret", err)
	}
}

func TestVerify(t *testing.T) {
	metric := func(value float64) []fake.Sample {
		return []fake.Sample{{Labels: map[string]string{"__name__": "edge", "pod": "a"}, Value: value}}
	}
	for _, c := range []struct {
		name  string
		world func(e *exporter, s *fake.Server)
		query func(q *Query)
		want  want
		says  string
		took  time.Duration // at least
		most  time.Duration // 0: one interval more
	}{
		{name: "step 14: the new token and its expiry are reported", took: 10 * time.Second, want: pass},
		{name: "step 14: another expiry", world: func(e *exporter, _ *fake.Server) { e.value-- }, want: failure, says: `token_expiration{token_id="tok-new"} is 1893553444, not 1893553445`, took: 290 * time.Second},
		{name: "step 14: the old token is still reported", world: func(e *exporter, _ *fake.Server) { e.id = "tok-old" }, want: failure, says: "no sample", took: 290 * time.Second},
		{name: "step 14: an empty vector is no pass, and fails in the end", query: func(q *Query) { q.Query, q.Equals, q.Below = `nothing{token_id="${token.id}"}`, "", "1e12" }, want: failure, says: "no sample", took: 290 * time.Second},
		{name: "step 14: an empty vector holds if so configured", world: func(e *exporter, _ *fake.Server) { e.silent = true }, query: func(q *Query) { q.Empty = "hold" }, want: unknown, says: "no sample", took: 290 * time.Second},
		{name: "step 14: an empty vector is looked at again", world: func(e *exporter, _ *fake.Server) {
			e.silent = true
			time.AfterFunc(125*time.Second, func() { e.set(func(e *exporter) { e.silent = false }) })
		}, want: pass, took: 2 * time.Minute, most: 2*time.Minute + 30*time.Second},
		{name: "step 14: Prometheus down holds", world: func(_ *exporter, s *fake.Server) { s.Faults.Plant("query", emulate.Fault{Times: -1}) }, want: unknown, says: "says nothing about the credential", took: 270 * time.Second, most: 5*time.Minute + patience},
		{name: "Prometheus overloaded", world: func(_ *exporter, s *fake.Server) {
			s.Faults.Plant("query", emulate.Fault{Status: 503, Body: `{"status":"error","errorType":"timeout","error":"query timed out"}`, Times: -1})
		}, want: unknown, says: "timeout: query timed out", took: 270 * time.Second, most: 5*time.Minute + patience},
		{name: "Prometheus comes back", world: func(_ *exporter, s *fake.Server) {
			s.Faults.Plant("query", emulate.Fault{Status: 502, Times: 9})
		}, want: pass, took: 20 * time.Second, most: time.Minute},
		{name: "step 14: samples of before do not count", world: func(_ *exporter, s *fake.Server) { s.Interval = time.Hour }, want: unknown, says: "before the verification began", took: 290 * time.Second},
		{name: "a target that is down", world: func(e *exporter, _ *fake.Server) { e.down = true }, want: failure, says: "no sample", took: 290 * time.Second},
		{name: "not proof: the exporter runs and its last answer is new", world: func(e *exporter, s *fake.Server) {
			e.silent = true // up, as ever
			s.AddTarget(func() ([]fake.Sample, error) {
				return []fake.Sample{{Labels: map[string]string{"__name__": "last_successful_response"}, Value: float64(time.Now().Unix())}}, nil
			})
		}, want: failure, says: "no sample", took: 290 * time.Second},
		{name: "bad PromQL", query: func(q *Query) { q.Query = `sum(token_expiration` }, want: unknown, says: "configuration error: Prometheus refuses the query: bad_data"},
		{name: "a query that cannot be carried out for a while", world: func(_ *exporter, s *fake.Server) {
			n := 0
			s.Eval = func(query string, _ time.Time) ([]fake.Sample, error) {
				if n++; n < 5 && !strings.HasPrefix(query, "min(") {
					return nil, &fake.Failure{Type: "execution", Text: "found duplicate series"}
				}
				return nil, fake.ErrUnknown
			}
		}, want: pass, took: 20 * time.Second, most: time.Minute},
		{name: "a query that cannot be carried out", world: func(_ *exporter, s *fake.Server) {
			s.Eval = func(query string, _ time.Time) ([]fake.Sample, error) {
				if strings.HasPrefix(query, "min(") {
					return nil, fake.ErrUnknown
				}
				return nil, &fake.Failure{Type: "execution", Text: "found duplicate series"}
			}
		}, want: unknown, says: "found duplicate series", took: 290 * time.Second},
		{name: "a partial answer is no pass", world: func(_ *exporter, s *fake.Server) { s.Warn("remote read failed") }, want: unknown, says: "remote read failed", took: 290 * time.Second},
		{name: "NaN is unknown", world: func(e *exporter, _ *fake.Server) { e.value = math.NaN() }, query: func(q *Query) { q.Empty = "hold" }, want: unknown, says: "is NaN", took: 290 * time.Second},
		{name: "infinite is unknown", world: func(e *exporter, _ *fake.Server) { e.value = math.Inf(1) }, query: func(q *Query) { q.Equals, q.Above, q.Empty = "", "0", "hold" }, want: unknown, says: "+Inf", took: 290 * time.Second},
		{name: "NaN fails in the end", world: func(e *exporter, _ *fake.Server) { e.value = math.NaN() }, want: failure, took: 290 * time.Second},
		{name: "of several samples all must pass", world: func(_ *exporter, s *fake.Server) {
			s.AddTarget(func() ([]fake.Sample, error) {
				return append(metric(5), fake.Sample{Labels: map[string]string{"__name__": "edge", "pod": "b"}}), nil
			})
		}, query: func(q *Query) { q.Query, q.Equals, q.Above = "edge", "", "0" }, want: failure, says: `edge{pod="b"} is 0, not above 0`, took: 290 * time.Second},
		{name: "all pass", world: func(_ *exporter, s *fake.Server) {
			s.AddTarget(func() ([]fake.Sample, error) { return metric(5), nil })
			s.AddTarget(func() ([]fake.Sample, error) {
				return []fake.Sample{{Labels: map[string]string{"__name__": "edge", "pod": "b"}, Value: 6}}, nil
			})
		}, query: func(q *Query) { q.Query, q.Equals, q.Above, q.Below = "edge", "", "4", "7" }, want: pass},
		{name: "every series must be fresh", world: func(_ *exporter, s *fake.Server) {
			s.AddTarget(func() ([]fake.Sample, error) { return metric(5), nil })
			old := time.Now().Add(-time.Minute)
			s.AddTarget(func() ([]fake.Sample, error) {
				return []fake.Sample{{Labels: map[string]string{"__name__": "edge", "pod": "b"}, Value: 6, Time: old}}, nil
			})
		}, query: func(q *Query) { q.Query, q.Equals, q.Above, q.Within = "edge", "", "4", time.Minute }, want: unknown, says: "edge was last scraped 1m0s before", took: 50 * time.Second},
		{name: "for", query: func(q *Query) { q.For = time.Minute }, want: pass, took: time.Minute, most: 90 * time.Second},
		{name: "for begins again after a failure", world: func(e *exporter, _ *fake.Server) {
			good := e.value
			time.AfterFunc(35*time.Second, func() { e.set(func(e *exporter) { e.value = 1 }) })
			time.AfterFunc(65*time.Second, func() { e.set(func(e *exporter) { e.value = good }) })
		}, query: func(q *Query) { q.For = time.Minute }, want: pass, took: 2 * time.Minute, most: 150 * time.Second},
		{name: "for is not over in time", world: func(e *exporter, _ *fake.Server) {
			good := e.value
			e.value = 1
			time.AfterFunc(265*time.Second, func() { e.set(func(e *exporter) { e.value = good }) })
		}, query: func(q *Query) { q.For = time.Minute }, want: unknown, says: "has to for 1m0s", took: 290 * time.Second},
		{name: "step 14: requests that fail in growing number", world: func(_ *exporter, s *fake.Server) {
			s.Eval = func(query string, _ time.Time) ([]fake.Sample, error) {
				if query == `increase(requests_total{result="error"}[2m])` {
					return metric(3), nil
				}
				return nil, fake.ErrUnknown
			}
		}, query: func(q *Query) {
			q.Query, q.Equals, q.Below = `increase(requests_total{result="error"}[2m])`, "", "1"
		}, want: failure, says: "is 3, not below 1", took: 290 * time.Second},
		{name: "a window lies after the beginning", world: func(_ *exporter, s *fake.Server) {
			s.Eval = func(query string, _ time.Time) ([]fake.Sample, error) {
				if query == "increase(edge[2m])" {
					return metric(3), nil
				}
				return nil, fake.ErrUnknown
			}
		}, query: func(q *Query) { q.Query, q.Equals, q.Above = "increase(edge[2m])", "", "0" }, want: pass, took: 2 * time.Minute},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, s := good(t)
				time.Sleep(time.Millisecond) // the last scrape was before
				if c.world != nil {
					c.world(e, s)
				}
				q := decisive(s)
				if c.query != nil {
					c.query(q)
				}
				began := time.Now()
				held(t, q.Verify(t.Context(), newborn), c.want, c.says)
				most := c.most
				if most == 0 {
					most = c.took + 20*time.Second
				}
				if took := time.Since(began); took < c.took || took > most {
					t.Errorf("took %s, want %s to %s", took, c.took, most)
				}
				for _, asked := range s.Queries() {
					if strings.Contains(asked, newborn.Secret.Reveal()) {
						t.Errorf("%q carries the secret", asked)
					}
				}
			})
		})
	}
}

// A sample from before the rollout does not count, though an instant query goes on showing it for five minutes.
func TestStaleSampleDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := good(t) // the old pod already reported what is asked for
		time.Sleep(time.Second)
		e.set(func(e *exporter) { e.value = 1 }) // the new one reports something else, from the next scrape on
		q := decisive(s)
		q.Within = 30 * time.Second
		held(t, q.Verify(t.Context(), newborn), failure, "is 1, not")

		e.set(func(e *exporter) { e.value = float64(expiry.Unix()) })
		time.Sleep(16 * time.Second)
		s.Scrape()
		s.Interval = time.Hour // nothing is scraped any more
		time.Sleep(time.Second)
		held(t, q.Verify(t.Context(), newborn), unknown, "before the verification began")
	})
}

// The server's clock counts, not ours: half an hour apart changes nothing.
func TestClocksApart(t *testing.T) {
	for _, ahead := range []time.Duration{-30 * time.Minute, 30 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			e := &exporter{id: newborn.ID, value: float64(expiry.Unix())}
			s := fake.New(e.scrape)
			s.Now = func() time.Time { return time.Now().Add(ahead) }
			s.Interval = 15 * time.Second
			s.Scrape()
			time.Sleep(time.Millisecond)
			q := decisive(s)
			q.Within = 40 * time.Second
			began := time.Now()
			held(t, q.Verify(t.Context(), newborn), pass, "")
			if took := time.Since(began); took < 10*time.Second {
				t.Errorf("%s ahead: passed after %s, with a sample from before", ahead, took)
			}
			s.Interval = time.Hour
			time.Sleep(time.Millisecond)
			held(t, q.Verify(t.Context(), newborn), unknown, "before the verification began")
		})
	}
}

// What is asked: the clock once, then the age of the samples, and the query only if they are fresh, for one moment.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := good(t)
		s.Interval = 0
		time.Sleep(time.Second)
		var moments []string
		q := decisive(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				t.Errorf("%s", r.Method)
			}
			moments = append(moments, r.FormValue("time"))
			time.Sleep(3 * time.Millisecond)
			s.ServeHTTP(w, r)
		}))
		held(t, q.Verify(t.Context(), newborn), pass, "")
		want := []string{"time()", `min(timestamp(token_expiration{token_id="tok-new"}))`, `token_expiration{token_id="tok-new"}`}
		if got := s.Queries(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("asked %q", got)
		}
		if len(moments) != 3 || moments[0] != "" || moments[1] == "" || moments[1] != moments[2] {
			t.Errorf("moments %q", moments)
		}
	})
}

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		name   string
		server *fake.Server
		query  *Query
		fine   bool
	}{
		{"none", &fake.Server{}, &Query{}, true},
		{"bearer", &fake.Server{Token: "prom-token-1"}, &Query{Token: rotate.NewSecret("prom-token-1")}, true},
		{"basic", &fake.Server{User: "remint", Password: "prom-pass-1"}, &Query{User: "remint", Password: rotate.NewSecret("prom-pass-1")}, true},
		{"wrong bearer", &fake.Server{Token: "prom-token-1"}, &Query{Token: rotate.NewSecret("prom-token-2")}, false},
		{"missing", &fake.Server{User: "remint", Password: "prom-pass-1"}, &Query{}, false},
		{"prefix", &fake.Server{Prefix: "/prom"}, &Query{URL: "https://" + host + "/prom/"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := c.query
			q.Query, q.Above, q.Transport = "up", "0", wire(c.server)
			if q.URL == "" {
				q.URL = "https://" + host
			}
			c.server.AddTarget((&exporter{}).scrape)
			began := time.Now()
			for at, err := range map[string]error{"check": q.Check(t.Context()), "verify": q.Verify(t.Context(), newborn)} {
				if c.fine && err != nil || !c.fine && !errors.Is(err, rotate.ErrDenied) {
					t.Errorf("%s: %v", at, err)
				}
				if err != nil && strings.Contains(err.Error(), "prom-") {
					t.Errorf("%s: %v shows a credential", at, err)
				}
				if at == "verify" && !c.fine && !errors.Is(err, rotate.ErrUnproven) {
					t.Errorf("%s: %v", at, err)
				}
			}
			if time.Since(began) > 3*time.Second {
				t.Error("it waited for what does not change")
			}
		})
	}
}

// Check finds what can be found before anything is minted.
func TestCheck(t *testing.T) {
	page := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if status == http.StatusFound {
				w.Header().Set("Location", "https://login.example/")
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	for _, c := range []struct {
		name   string
		server http.Handler
		query  string
		kind   error
		says   string
	}{
		{"fine", fake.New(), "up", nil, ""},
		{"Prometheus down", nil, "up", rotate.ErrTemporary, "unreachable"},
		{"bad PromQL", fake.New(), "sum(up", rotate.ErrConfig, "bad_data"},
		{"a login page", page(200, "<html>"), "up", rotate.ErrConfig, "login"},
		{"a redirect to a login", page(302, ""), "up", rotate.ErrConfig, "redirect to https://login.example/"},
		{"another service", page(404, "not found"), "up", rotate.ErrNotFound, "path prefix"},
		{"a matrix", page(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), "up", rotate.ErrConfig, "matrix"},
		{"a histogram", page(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":[1,{"count":"1"}]}]}}`), "up", rotate.ErrConfig, "histogram_count"},
		{"depends on what there is", page(422, `{"status":"error","errorType":"execution","error":"found duplicate series"}`), "up", nil, ""},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := decisive(c.server)
				q.Query = c.query
				if c.server == nil {
					q.Transport = &emulate.Wire{Route: func(string) http.Handler { return nil }}
					c.says = "no such host"
				}
				err := q.Check(t.Context())
				if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %v: %s", err, c.kind, c.says)
				}
			})
		})
	}
	s := fake.New()
	s.Warn("store down")
	q := decisive(s)
	if err := q.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if w := q.Warnings(); len(w) != 1 || !strings.Contains(w[0], "store down") || len(q.Warnings()) != 0 {
		t.Errorf("warnings %q", w)
	}
}

// What is not known of the token, or cannot be put between quotes, is not asked for.
func TestTokenThatCannotBeAskedFor(t *testing.T) {
	for _, c := range []struct {
		token rotate.Token
		query string
		says  string
	}{
		{rotate.Token{ID: `x"} or vector(1)#`, Expires: expiry}, `up{id="${token.id}"}`, "${token.id} holds a quote"},
		{rotate.Token{ID: `x\`, Expires: expiry}, `up{id="${token.id}"}`, "backslash"},
		{rotate.Token{ID: "x\ny", Expires: expiry}, `up{id='${token.id}'}`, "control character"},
		{rotate.Token{ID: "x", Name: "Bob's token", Expires: expiry}, `up{id="${token.name}"}`, "${token.name} holds a quote"},
		{rotate.Token{ID: "x"}, `up{id="${token.id}"}`, "${token.expires.unix} of the token"},
		{rotate.Token{Expires: expiry}, `up{id="${token.id}"}`, "${token.id} of the token"},
	} {
		s := fake.New()
		q := decisive(s)
		q.Query, q.Within = c.query, time.Millisecond
		err := q.Verify(t.Context(), rotate.Credential{Token: c.token})
		held(t, err, unknown, c.says)
		if n := len(s.Queries()); n != 0 {
			t.Errorf("%+v: asked %q", c.token, s.Queries())
		}
	}
	// Names that are not used in the query may hold anything.
	s := fake.New((&exporter{id: "x", value: float64(expiry.Unix())}).scrape)
	q := decisive(s)
	held(t, q.Verify(t.Context(), rotate.Credential{Token: rotate.Token{ID: "x", Name: `"`, Expires: expiry}}), pass, "")
}

func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := good(t)
		e.silent = true
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(15*time.Second, cancel)
		err := decisive(s).Verify(ctx, newborn)
		if held(t, err, unknown, ""); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
