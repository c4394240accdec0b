package prometheus

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"
)

// The answers are those of a real server, version 2.42, to the same queries.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		query, time string
		status      int
		want        string
	}{
		{"time()", "1435781451.781", 200, `{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"1435781451.781"]}}`},
		{"vector(1)", "1435781451.781", 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1435781451.781,"1"]}]}}`},
		{"vector(1)", "2015-07-01T20:10:51Z", 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1435781451,"1"]}]}}`},
		{"nothing", "5", 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{"nothing", "abc", 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": Invalid time value for 'time': cannot parse \"abc\" to a valid timestamp"}`},
		{"", "1", 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error: no expression found in input"}`},
	} {
		rec := httptest.NewRecorder()
		New().ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/query?"+url.Values{"query": {c.query}, "time": {c.time}}.Encode(), nil))
		var got, want any
		if json.Unmarshal(rec.Body.Bytes(), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil || !reflect.DeepEqual(got, want) || rec.Code != c.status {
			t.Errorf("%s at %s: %d %s", c.query, c.time, rec.Code, rec.Body)
		}
		if rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s", rec.Header())
		}
	}
	for status, r := range map[int]*http.Request{405: httptest.NewRequest("PUT", "/api/v1/query", nil), 404: httptest.NewRequest("GET", "/api/v1/nothing", nil)} {
		rec := httptest.NewRecorder()
		if New().ServeHTTP(rec, r); rec.Code != status {
			t.Errorf("%s %s: %d", r.Method, r.URL, rec.Code)
		}
	}
	for kind, status := range map[string]int{"bad_data": 400, "execution": 422, "timeout": 503, "canceled": 503, "internal": 500} {
		s := New()
		s.Eval = func(string, time.Time) ([]Sample, error) { return nil, &Failure{kind, "why"} }
		rec := httptest.NewRecorder()
		if s.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/query?query=up", nil)); rec.Code != status {
			t.Errorf("%s: %d", kind, rec.Code)
		}
	}
}

// What a selector sees: the newest sample of five minutes, until a later scrape lacks the series.
func TestSelectors(t *testing.T) {
	now := time.Unix(1e9, 0)
	var down bool
	exposed := []Sample{
		{Labels: map[string]string{"__name__": "up", "job": "a", "id": `q"uote`}, Value: 1},
		{Labels: map[string]string{"__name__": "up", "job": "b"}, Value: 2},
	}
	s := New(func() ([]Sample, error) {
		if down {
			return nil, errors.New("down")
		}
		return exposed, nil
	})
	s.Now, s.Interval = func() time.Time { return now }, 15*time.Second
	values := func(query string) []float64 {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		samples, _, err := s.eval(query, now)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		out := []float64{}
		for _, x := range samples {
			out = append(out, x.Value)
		}
		return out
	}
	check := func(query string, want ...float64) {
		t.Helper()
		if got := values(query); !reflect.DeepEqual(got, append([]float64{}, want...)) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	check("up", 1, 2)
	check(` up { job = "a" } `, 1)
	check(`up{job!="a"}`, 2)
	check(`up{job=~"a|b",}`, 1, 2)
	check(`{__name__="up",job!~"b"}`, 1)
	check(`up{id='q"uote'}`, 1)
	check(`up{id=""}`, 2) // a label that is not there is empty
	check(`down`)
	now = now.Add(10 * time.Second) // no scrape yet
	check("timestamp(up)", 1e9, 1e9)
	check("min(timestamp(up))", 1e9)
	check("min(timestamp(down))")
	now = now.Add(10 * time.Second)
	check("min(timestamp(up))", 1e9+20)
	exposed = exposed[:1]
	now = now.Add(20 * time.Second)
	check("up", 1)
	down = true
	now = now.Add(20 * time.Second)
	check("up")
	down, s.Interval = false, time.Hour
	now = now.Add(time.Hour)
	check("up", 1)
	now = now.Add(5*time.Minute - time.Millisecond)
	check("up", 1)
	now = now.Add(time.Millisecond)
	check("up")
	for _, query := range []string{"sum(up)", "up{", "up{a}", "{}", "up + 1", "vector(x)", "min(up)", "timestamp(sum(up))"} {
		if _, _, err := s.eval(query, now); err == nil {
			t.Errorf("%s was evaluated", query)
		}
	}
}
