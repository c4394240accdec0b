// Package fastly emulates the API of Fastly as far as tokens go. Its rules:
//
//   - The forms of answers are those recorded in go-fastly's fixtures, byte for byte where they differ from one
//     operation to the next: "" in the answer to a create and null elsewhere, scopes as text or array, headers on
//     some answers only. A test compares them with the recordings.
//   - Sudo is kept with the token that was presented, and ends after five minutes.
//   - What nobody has seen of Fastly is chosen to be hard on the client: a service limit is silently ignored if
//     limit_services is not sent, and there are switches for the other choices.
package fastly

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Customer is the ID of the one account that a Server has, unless another was set.
const Customer = "51MumwLiSJyFTWhtbByYgR"

// Server is the emulated service, with one account. It is safe for concurrent use.
type Server struct {
	// Faults are met by the operations "sudo", "mint" (of either kind), "list" (of tokens of any kind), "token" (one
	// automation token), "self", "revoke" (one, itself or in bulk), "user" and "services" (list and search).
	Faults emulate.Faults
	// Now is the service's clock; nil: the process's. It is set before the first request.
	Now func() time.Time
	// Customer is the ID of the account; "": [Customer]. It is set before the first request.
	Customer string

	mu       sync.Mutex
	quirks   Quirks
	users    []*person
	rows     []*row
	services []Service
	served   map[string]int
	seen     []string // operations in order
	spent    int      // requests that change something
}

// Quirks are lasting habits that go wrong or are not known of Fastly, beside the single [emulate.Fault].
type Quirks struct {
	// ServicesAlone makes the service limit count although limit_services is not sent, as in February 2025.
	ServicesAlone bool
	// IgnoreLimit makes newborns see every service although limit_services was sent; Echo makes the answer to the
	// create claim otherwise.
	IgnoreLimit, Echo bool
	// ExtraServices are seen by newborns beside those asked for.
	ExtraServices []string
	// Scope, Role and Life replace what newborns were asked to have; "" and 0: as asked.
	Scope, Role string
	Life        time.Duration
	// TLS makes newborns manage certificates.
	TLS bool
	// ForcedSSO makes the account one that mints no automation token by API.
	ForcedSSO bool
	// Created is the status of a create that succeeded; 0: 200, as recorded. Documented is 201.
	Created int
	// DeadIsForbidden answers 403 instead of 401 to a key that is not known.
	DeadIsForbidden bool
	// SudoDelay is how long sudo takes to show after it was granted.
	SudoDelay time.Duration
	// RevocationDelay is how long a revoked token goes on being accepted.
	RevocationDelay time.Duration
	// UnseenRevocations is the number of lists in which revocations do not show yet.
	UnseenRevocations int
	// UnseenBirths is the number of looks (self) by newborns that are refused, as if not every server knew them yet.
	UnseenBirths int
	// PurgersMute refuses tokens that only purge to ask who they are.
	PurgersMute bool
	// PageMax is the most that one page lists; 0: 100.
	PageMax int
	// Most is how many live tokens of a kind a user may have; 0: 100.
	Most int
}

// New returns a service with an account without users, tokens and services.
func New() *Server { return &Server{served: map[string]int{}} }

// Set changes the quirks.
func (s *Server) Set(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
}

// Served counts the requests by operation, faults included.
func (s *Server) Served() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.served)
}

// Operations are the requests served so far, in order.
func (s *Server) Operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

// Refusal is a fault that answers with an error as Fastly words it: {"msg": message}.
func Refusal(status int, message string, times int) emulate.Fault {
	b, _ := json.Marshal(map[string]string{"msg": message})
	return emulate.Fault{Status: status, Header: http.Header{"Content-Type": {jsonType}}, Body: string(b), Times: times}
}

// Limited is a fault that answers 429 with both headers of the rate limit.
func Limited(reset time.Time, times int) emulate.Fault {
	f := Refusal(http.StatusTooManyRequests, "You have exceeded your hourly rate limit", times)
	f.Header["Fastly-Ratelimit-Remaining"] = []string{"0"}
	f.Header["Fastly-Ratelimit-Reset"] = []string{strconv.FormatInt(reset.Unix(), 10)}
	return f
}

// BadGateway is a fault that answers as a proxy does.
func BadGateway(times int) emulate.Fault {
	return emulate.Fault{Status: http.StatusBadGateway, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html><body>502 Bad Gateway</body></html>", Times: times}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// request is a request that was read.
type request struct {
	*http.Request
	form   url.Values // of the body, form or JSON
	fields map[string]json.RawMessage
	bearer *row // nil: the key is not known
}

// operation is what a method and path do, and for the faults what it is called.
type operation struct {
	name string
	do   func(*Server, http.ResponseWriter, *request)
}

// find finds the operation.
func find(method, path string) (operation, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	key := method + " " + parts[0]
	switch {
	case len(parts) == 2 && parts[0] == "tokens" && parts[1] == "self":
		key += "/self"
	case len(parts) == 2 && parts[0] == "service" && parts[1] == "search":
		key += "/search"
	case len(parts) == 3 && parts[0] == "customer" && parts[2] == "tokens":
		key += "/tokens"
	case len(parts) == 2:
		key += "/{id}"
	case len(parts) > 2:
		return operation{}, false
	}
	o, ok := map[string]operation{
		"POST sudo":                  {"sudo", (*Server).sudo},
		"POST automation-tokens":     {"mint", (*Server).mintAutomation},
		"POST tokens":                {"mint", (*Server).mintUser},
		"GET automation-tokens":      {"list", (*Server).listAutomation},
		"GET automation-tokens/{id}": {"token", (*Server).one},
		"GET tokens":                 {"list", (*Server).listOwn},
		"GET customer/tokens":        {"list", (*Server).listAll},
		"GET tokens/self":            {"self", (*Server).self},
		"DELETE tokens":              {"revoke", (*Server).revokeMany},
		"DELETE tokens/self":         {"revoke", (*Server).revokeSelf},
		"DELETE tokens/{id}":         {"revoke", (*Server).revoke},
		"GET current_user":           {"user", (*Server).currentUser},
		"GET service":                {"services", (*Server).listServices},
		"GET service/search":         {"services", (*Server).searchService},
	}[key]
	return o, ok
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	o, ok := find(r.Method, r.URL.Path)
	if !ok {
		fail(w, http.StatusNotFound, "Record not found", "Cannot find the requested resource")
		return
	}
	s.mu.Lock()
	s.served[o.name]++
	s.seen = append(s.seen, o.name)
	s.mu.Unlock()
	s.Faults.Serve(o.name, w, r, func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, form: url.Values{}}
		if err := q.read(); err != nil {
			fail(w, http.StatusBadRequest, "Bad request", "The body cannot be read")
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if q.bearer = s.byKey(r.Header.Get("Fastly-Key")); q.bearer == nil {
			if s.quirks.DeadIsForbidden {
				fail(w, http.StatusForbidden, "Provided credentials are missing or invalid", "")
				return
			}
			// Fastly says this as text/plain.
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"msg":"Provided credentials are missing or invalid"}`)
			return
		}
		o.do(s, w, q)
	})
}

// read reads the body: a form, or JSON whose texts are also taken as form fields.
func (q *request) read() error {
	if q.Body == nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	if err != nil || len(b) == 0 {
		return err
	}
	kind, _, _ := strings.Cut(q.Header.Get("Content-Type"), ";")
	if kind == "application/x-www-form-urlencoded" {
		q.form, err = url.ParseQuery(string(b))
		return err
	}
	if err := json.Unmarshal(b, &q.fields); err != nil {
		return err
	}
	for k, v := range q.fields {
		var text string
		if json.Unmarshal(v, &text) == nil {
			q.form.Set(k, text)
		}
	}
	return nil
}

const jsonType = "application/json"

// extras of an answer.
type extra int

const (
	plain   extra = 0
	status  extra = 1 << iota // the header Status, which the reads of automation tokens lack
	rates                     // the headers of the rate limit
	newline                   // after the body, as automation tokens have it
)

// answer writes a body, or none.
func (s *Server) answer(w http.ResponseWriter, code int, body any, with extra) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Server", "fastly control-gateway")
	if with&status != 0 {
		h.Set("Status", fmt.Sprintf("%d %s", code, http.StatusText(code)))
	}
	if with&rates != 0 {
		s.spent++
		h.Set("Fastly-Ratelimit-Remaining", strconv.Itoa(max(1000-s.spent, 0)))
		h.Set("Fastly-Ratelimit-Reset", strconv.FormatInt(s.now().Truncate(time.Hour).Add(time.Hour).Unix(), 10))
	}
	if body == nil {
		w.WriteHeader(code)
		return
	}
	h.Set("Content-Type", jsonType)
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if with&newline != 0 {
		_ = e.Encode(body)
		return
	}
	var b strings.Builder
	e = json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
	_, _ = io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
}

// fail answers with an error as Fastly words most.
func fail(w http.ResponseWriter, code int, message, detail string) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(code)
	b, _ := json.Marshal(struct {
		Message string `json:"msg"`
		Detail  string `json:"detail,omitempty"`
	}{message, detail})
	_, _ = w.Write(b)
}

// forbid answers that something is not allowed, as recorded for other resources.
func forbid(w http.ResponseWriter) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"type":"","title":"You are not authorized to perform this action","status":401,"errors":null,"detail":""}`)
}
