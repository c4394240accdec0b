package httpcheck

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
)

const newborn = "newborn-0123456789"

// answers serves each request with the next of its handlers, the last one for ever.
type answers struct {
	next  []http.HandlerFunc
	asked []*http.Request
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked = append(a.asked, r)
	a.next[min(len(a.asked), len(a.next))-1](w, r)
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func lost(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func redirect(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "https://elsewhere.example/login")
	w.WriteHeader(http.StatusFound)
}

func TestVerify(t *testing.T) {
	echo := `{"active": true, "token": "` + newborn + `"}`
	for _, c := range []struct {
		name    string
		request *Request
		answers []http.HandlerFunc
		kind    error // nil: passes
		failed  bool  // an error that is not ErrUnproven
		says    string
		asked   int
	}{
		{name: "passes", answers: []http.HandlerFunc{says(204, "")}, asked: 1},
		{name: "denied", answers: []http.HandlerFunc{says(401, echo)}, kind: rotate.ErrDenied, failed: true, says: "401", asked: 10},
		{name: "known late", answers: []http.HandlerFunc{says(401, ""), says(403, ""), says(200, "")}, asked: 3},
		{name: "not found", answers: []http.HandlerFunc{says(404, "")}, kind: rotate.ErrNotFound, failed: true, asked: 10},
		{name: "server down", answers: []http.HandlerFunc{says(503, echo)}, kind: rotate.ErrUnproven, says: "503", asked: 10},
		{name: "rate limit", answers: []http.HandlerFunc{says(429, "")}, kind: rotate.ErrUnproven, asked: 10},
		{name: "no answer", answers: []http.HandlerFunc{lost}, kind: rotate.ErrUnproven, asked: 10},
		{name: "server comes back", answers: []http.HandlerFunc{lost, says(502, ""), says(200, "")}, asked: 3},
		{name: "redirect", answers: []http.HandlerFunc{redirect}, failed: true, says: "redirect", asked: 10},
		{name: "other success", request: &Request{Status: []string{"200"}}, answers: []http.HandlerFunc{says(204, "")}, failed: true, says: "status 204", asked: 10},
		{name: "status asked for", request: &Request{Status: []string{"200", "404"}}, answers: []http.HandlerFunc{says(404, "")}, asked: 1},
		{name: "class asked for", request: &Request{Status: []string{"4xx"}}, answers: []http.HandlerFunc{says(422, "")}, asked: 1},
		{name: "body", request: &Request{Body: `"active": *true`}, answers: []http.HandlerFunc{says(200, echo)}, asked: 1},
		{name: "other body", request: &Request{Body: `"active": *false`}, answers: []http.HandlerFunc{says(200, echo)}, failed: true, says: "does not match body", asked: 10},
		{name: "refused body", request: &Request{Refuse: `"active"`}, answers: []http.HandlerFunc{says(200, echo)}, failed: true, says: "matches refuse", asked: 10},
		{name: "long body", request: &Request{Body: `end`}, answers: []http.HandlerFunc{says(200, strings.Repeat("x", bodyLimit)+"end")}, failed: true, asked: 10},
		{name: "a POST is sent once", request: &Request{Method: "POST"}, answers: []http.HandlerFunc{says(503, "")}, kind: rotate.ErrUnproven, asked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{next: c.answers}
				r := c.request
				if r == nil {
					r = &Request{}
				}
				r.URL = "https://api.example.com/whoami?key=query-secret"
				r.Transport = &emulate.Wire{Route: func(host string) http.Handler {
					if host != "api.example.com" {
						t.Errorf("asked %s", host)
					}
					return a
				}}
				began := time.Now()
				err := r.Verify(t.Context(), rotate.Credential{Secret: rotate.NewSecret(newborn)})
				switch {
				case c.kind == nil && !c.failed:
					if err != nil {
						t.Error(err)
					}
				case err == nil, c.kind != nil && !errors.Is(err, c.kind), c.failed == errors.Is(err, rotate.ErrUnproven):
					t.Errorf("want %v, got %v", c.kind, err)
				case !strings.Contains(err.Error(), c.says):
					t.Errorf("%q does not say %q", err, c.says)
				case strings.Contains(err.Error(), newborn) || strings.Contains(err.Error(), "query-secret"):
					t.Errorf("%q shows a secret", err)
				}
				if len(a.asked) != c.asked || time.Since(began) > defaultWithin {
					t.Errorf("asked %d times in %s, want %d", len(a.asked), time.Since(began), c.asked)
				}
			})
		})
	}
}

func TestHeader(t *testing.T) {
	const fly = "FlyV1 fm2_abc,fm2_def"
	for _, c := range []struct{ header, scheme, secret, want string }{
		{"", "", newborn, "Authorization: Bearer " + newborn},
		{"", "token", newborn, "Authorization: token " + newborn},
		{"", "none", newborn, "Authorization: " + newborn},
		{"", "", fly, "Authorization: " + fly},
		{"", "Bearer", fly, "Authorization: Bearer " + fly},
		{"Fastly-Key", "", newborn, "Fastly-Key: " + newborn},
		{"fastly-key", "Key", newborn, "Fastly-Key: Key " + newborn},
	} {
		a := &answers{next: []http.HandlerFunc{says(200, "")}}
		r := &Request{URL: "https://api.example.com/", Header: c.header, Scheme: c.scheme,
			Transport: &emulate.Wire{Route: func(string) http.Handler { return a }}}
		if err := r.Verify(t.Context(), rotate.Credential{Secret: rotate.NewSecret(c.secret)}); err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(c.want, ": ")
		if got := a.asked[0].Header.Get(name); got != value {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestWithoutSecret(t *testing.T) {
	r := &Request{URL: "https://api.example.com/", Transport: &emulate.Wire{Route: func(string) http.Handler { t.Error("asked"); return nil }}}
	if err := r.Verify(t.Context(), rotate.Credential{}); !errors.Is(err, rotate.ErrUnproven) {
		t.Errorf("got %v", err)
	}
	err := r.Verify(t.Context(), rotate.Credential{Secret: rotate.NewSecret("a\r\nX-Evil: " + newborn)})
	if err == nil || strings.Contains(err.Error(), newborn) {
		t.Errorf("got %v", err)
	}
}

func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{next: []http.HandlerFunc{says(401, "")}}
		r := &Request{URL: "https://api.example.com/", Transport: &emulate.Wire{Route: func(string) http.Handler { return a }}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(4*time.Second, cancel)
		if err := r.Verify(ctx, rotate.Credential{Secret: rotate.NewSecret(newborn)}); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field   string
		request *Request
	}{
		{"url", &Request{}},
		{"url", &Request{URL: "api.example.com"}},
		{"url", &Request{URL: "http://api.example.com/"}},
		{"url", &Request{URL: "ftp://api.example.com/"}},
		{"url", &Request{URL: "https://user:hunter2hunter2@api.example.com/"}},
		{"method", &Request{URL: "https://x.example", Method: "get"}},
		{"header", &Request{URL: "https://x.example", Header: "A B"}},
		{"header", &Request{URL: "https://x.example", Header: "host"}},
		{"scheme", &Request{URL: "https://x.example", Scheme: "a b"}},
		{"status", &Request{URL: "https://x.example", Status: []string{"20"}}},
		{"body", &Request{URL: "https://x.example", Body: "("}},
		{"refuse", &Request{URL: "https://x.example", Refuse: "("}},
		{"body", &Request{URL: "https://x.example", Method: "HEAD", Body: "x"}},
		{"within", &Request{URL: "https://x.example", Within: -1}},
	} {
		err := c.request.Validate()
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	for _, u := range []string{"https://x.example/a?b=c", "http://127.0.0.1:8080", "http://localhost/x"} {
		if err := (&Request{URL: u}).Validate(); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestNames(t *testing.T) {
	r := &Request{URL: "https://user:pw@api.example.com/whoami?key=secret#x"}
	if got := r.String(); got != "http:https://api.example.com/whoami" {
		t.Errorf("got %s", got)
	}
	for field, want := range map[string]time.Duration{"Timeout": defaultTimeout, "Within": defaultWithin, "Interval": defaultInterval} {
		f, _ := reflect.TypeFor[Request]().FieldByName(field)
		if got, err := time.ParseDuration(f.Tag.Get("default")); err != nil || got != want {
			t.Errorf("%s: tag %s, code %s", field, f.Tag.Get("default"), want)
		}
	}
}
