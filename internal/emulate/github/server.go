// Package github is GitHub's REST API in this process, as far as remint speaks to it: Actions secrets and
// variables of repositories, environments and organizations, workflows and their runs, and App
// installations. Its rules:
//
//   - Secrets are write-only through the API. They arrive as sealed boxes and are opened with a key pair of
//     the level's own; tests look inside with [Server.Secret].
//   - A run carries organization and repository secrets as they were when it was queued, and those of its
//     environment as they were when it started.
//   - Errors have GitHub's status and body; every answer has its rate-limit headers. What the fact page
//     marks as inferred is inferred here too.
//   - Paths are accepted with and without the prefix /api/v3 of Enterprise Server.
package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Server is the emulated service. Make one with [New]; the exported fields may be changed before the
// first request only.
type Server struct {
	// Faults are planted by operation: "public-key", "get-secret", "put-secret", "delete-secret", "list-selected",
	// "get-variable", "put-variable" (create and update), "delete-variable", "get-workflow",
	// "enable-workflow", "dispatch", "get-run", "list-runs", "cancel-run", "get-repository",
	// "get-environment", "get-user", "get-installation", "create-token", "revoke-token".
	Faults emulate.Faults
	// Now is the service's clock; nil: time.Now.
	Now func() time.Time
	// GHES makes this an Enterprise Server of release 3.20 or earlier: a dispatch that asks for run details is
	// refused with 400, and the id of a public key is a number.
	GHES bool
	// URL is the API's address in the answers; "": https://api.github.com.
	URL string
	// Limit is how many requests a credential has in an hour; 0: 5000.
	Limit int
	// Polls is how often a run is seen unfinished, by reading or listing it, before it completes. 0: twice (queued,
	// then in progress); negative: it has completed as soon as it is dispatched.
	Polls int
	// Lag is how many listings a dispatched run is missing from.
	Lag int
	// OnRun is called when a run ends, with what it read, and returns its conclusion; "" is success. Nil:
	// every run succeeds. It may use the Server.
	OnRun func(r *Run) (conclusion string)

	mux *http.ServeMux

	mu            sync.Mutex
	ids           int64
	requests      int
	repositories  map[string]*repository // by lower-case owner/name
	orgs          map[string]*organization
	tokens        map[string]*Token
	used          map[string]*usage // by token
	apps          []*App
	installations []*Installation
	runs          []*run // in the order of creation
}

// usage counts the requests of one credential in its hour.
type usage struct {
	count int
	reset time.Time
}

// New returns a service without any repository, organization or credential.
func New() *Server {
	s := &Server{
		ids:          1000,
		repositories: map[string]*repository{},
		orgs:         map[string]*organization{},
		tokens:       map[string]*Token{},
		used:         map[string]*usage{},
		mux:          http.NewServeMux(),
	}
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.pattern, s.serve(r))
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.headers(w)
		fail(w, 404, "Not Found")
	})
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v3/"); ok {
		u := *r.URL
		u.Path, _ = strings.CutPrefix(u.Path, "/api/v3")
		if u.RawPath != "" {
			u.RawPath = "/" + rest
		}
		r = r.Clone(r.Context())
		r.URL = &u
	}
	s.mux.ServeHTTP(w, r)
}

// call is one request that was found to be allowed.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	token *Token
	repo  *repository   // if the path names one
	org   *organization // if the path names one
	place Place         // of secrets and variables
}

// route is one operation of the API.
type route struct {
	pattern   string
	operation string
	right     string // the permission needed, as in a fine-grained token; "" for none
	level     string // of the permission: "read" or "write"
	app       bool   // authenticated by an App's JWT, not by a token
	do        func(*call)
}

// serve does what is the same for every operation: headers, credential, rate limit, rights, faults.
func (s *Server) serve(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.headers(w)
		s.Faults.Serve(rt.operation, w, r, func(w http.ResponseWriter, r *http.Request) {
			c := &call{w: w, r: r}
			if rt.app {
				rt.do(c)
				return
			}
			if !s.admit(c) || !s.locate(c) || !s.allow(c, rt) {
				return
			}
			rt.do(c)
		})
	}
}

func (s *Server) headers(w http.ResponseWriter) {
	s.mu.Lock()
	s.requests++
	n := s.requests
	s.mu.Unlock()
	h := w.Header()
	h.Set("Date", s.now().Format(http.TimeFormat))
	h.Set("X-GitHub-Request-Id", fmt.Sprintf("E30B:1A2B:%06X:%06X:68F0A1B2", n, n*7))
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
}

// admit settles whose request this is, and whether it has one left.
func (s *Server) admit(c *call) bool {
	text := c.r.Header.Get("Authorization")
	if text == "" {
		fail(c.w, 401, "Requires authentication")
		return false
	}
	scheme, value, _ := strings.Cut(text, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[value]
	if t == nil || !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") ||
		!t.Expires.IsZero() && s.now().After(t.Expires) {
		fail(c.w, 401, "Bad credentials")
		return false
	}
	c.token = t
	h := c.w.Header()
	if t.Kind == Classic {
		h.Set("X-OAuth-Scopes", strings.Join(t.Scopes, ", "))
	}
	if !t.Expires.IsZero() && t.Kind != Installed && t.Kind != Job {
		h.Set("GitHub-Authentication-Token-Expiration", t.Expires.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	u := s.used[value]
	if u == nil || !s.now().Before(u.reset) {
		u = &usage{reset: s.now().Add(time.Hour)}
		s.used[value] = u
	}
	limit := s.Limit
	if limit == 0 {
		limit = 5000
	}
	over := u.count >= limit
	if !over {
		u.count++
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(limit-u.count))
	h.Set("X-RateLimit-Used", strconv.Itoa(u.count))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(u.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
	if over {
		fail(c.w, 403, "API rate limit exceeded for user ID 1.")
		return false
	}
	return true
}

// locate finds what the path names. What a credential may not see does not exist for it.
func (s *Server) locate(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner := c.r.PathValue("owner"); owner != "" {
		c.repo = s.repositories[strings.ToLower(owner+"/"+c.r.PathValue("repo"))]
		if c.repo == nil || !c.token.sees(c.repo) {
			fail(c.w, 404, "Not Found")
			return false
		}
		c.place.Repository = c.repo.Name
	}
	if env := c.r.PathValue("environment"); env != "" {
		e := c.repo.environments[strings.ToLower(env)]
		if e == nil {
			fail(c.w, 404, "Not Found")
			return false
		}
		c.place.Environment = e.Name
	}
	if org := c.r.PathValue("org"); org != "" {
		c.org = s.orgs[strings.ToLower(org)]
		if c.org == nil {
			fail(c.w, 404, "Not Found")
			return false
		}
		c.place.Org = c.org.name
	}
	return true
}

// allow checks the rights of the credential for one operation.
func (s *Server) allow(c *call, rt route) bool {
	if rt.right == "" {
		return true
	}
	if c.token.Kind == Classic {
		scope := "repo"
		if c.org != nil {
			scope = "admin:org"
		}
		c.w.Header().Set("X-Accepted-OAuth-Scopes", scope)
		if slices.Contains(c.token.Scopes, scope) {
			return true
		}
		if c.repo != nil && !c.repo.Public {
			fail(c.w, 404, "Not Found")
		} else {
			fail(c.w, 403, "Must have admin rights to Repository.")
		}
		return false
	}
	c.w.Header().Set("X-Accepted-GitHub-Permissions", rt.right+"="+rt.level)
	if c.token.has(rt.right, rt.level) || c.repo != nil && c.repo.Public && rt.right == "actions" && rt.level == "read" {
		return true
	}
	switch c.token.Kind {
	case Job, Installed:
		fail(c.w, 403, "Resource not accessible by integration")
	default:
		fail(c.w, 403, "Resource not accessible by personal access token")
	}
	return false
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

// second is the clock as the API shows it.
func (s *Server) second() time.Time { return s.now().Truncate(time.Second) }

// id returns the next of the service's numbers. The caller holds mu.
func (s *Server) id() int64 {
	s.ids++
	return s.ids
}

func (s *Server) url() string {
	if s.URL == "" {
		return "https://api.github.com"
	}
	return strings.TrimSuffix(s.URL, "/")
}

// site is the address of the pages for people.
func (s *Server) site() string {
	u := strings.TrimSuffix(s.url(), "/api/v3")
	return strings.Replace(u, "://api.", "://", 1)
}

// object is a JSON object of an answer.
type object = map[string]any

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err) // what is encoded is ours: a mistake in this package
	}
}

// fail answers with an error as GitHub words it.
func fail(w http.ResponseWriter, status int, message string) {
	reply(w, status, object{
		"message":           message,
		"documentation_url": "https://docs.github.com/rest",
		"status":            strconv.Itoa(status),
	})
}

// decode reads the body of a request into v; a body that is no JSON object is answered with 400.
func decode(c *call, v any) bool {
	if err := json.NewDecoder(c.r.Body).Decode(v); err != nil {
		fail(c.w, 400, "Problems parsing JSON")
		return false
	}
	return true
}

// page returns the bounds of the page asked for, out of n, and writes the Link header.
func (s *Server) page(c *call, n, usual, most int) (from, to int) {
	q := c.r.URL.Query()
	size, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || size < 1 {
		size = usual
	}
	size = min(size, most)
	number, err := strconv.Atoi(q.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	from = min((number-1)*size, n)
	to = min(from+size, n)
	link := func(number int, rel string) string {
		q.Set("page", strconv.Itoa(number))
		return fmt.Sprintf(`<%s%s?%s>; rel="%s"`, s.url(), c.r.URL.EscapedPath(), q.Encode(), rel)
	}
	var links []string
	if number > 1 {
		links = append(links, link(number-1, "prev"), link(1, "first"))
	}
	if to < n {
		links = append(links, link(number+1, "next"), link((n+size-1)/size, "last"))
	}
	if len(links) > 0 {
		c.w.Header().Set("Link", strings.Join(links, ", "))
	}
	return from, to
}
