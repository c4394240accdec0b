// Package forgejo emulates the part of a Forgejo or Gitea server that remint talks to: Actions secrets and
// variables of repositories, organizations and users, workflow dispatch, runs and tasks. Its rules:
//
//   - Gitea is as a real Gitea 1.26.0 with its runner answered. Forgejo differs where its source does
//     (routers/api/v1, services/actions, services/secrets); no Forgejo server was at hand.
//   - Secrets and variables are handed to a run when it is picked, not when it is queued.
//   - Nothing happens by itself: time is looked at when a request comes in.
//   - The order of refusals is the real one: token, scope, repository, right, body, name.
package forgejo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Kind says which of the two servers is emulated.
type Kind int

// The kinds of server.
const (
	Forgejo Kind = iota
	Gitea
)

// Server is the emulated server. Make it with [New]; the exported fields may be set before the first
// request. It is safe for concurrent use.
//
// The operations of Faults are: version, forgejo-version, get-user, get-repository, get-contents,
// list-secrets, put-secret, delete-secret, list-variables, get-variable, create-variable, put-variable,
// delete-variable, list-workflows, get-workflow, disable-workflow, enable-workflow, dispatch, list-runs,
// get-run, list-jobs, list-tasks.
type Server struct {
	Kind Kind
	// Major is the major version of Forgejo: below 12 there is no runs API, only tasks; below 13 the answer
	// of a dispatch has no run number; below 14 a boolean input is true only as "on"; below 16 there is no
	// jobs API. 0: 14.
	Major int
	// NoRunInfo makes a dispatch ignore the request for run details, as older servers do: it answers 204.
	NoRunInfo bool
	// Queue is how long a run waits before it is picked, Work how long it then takes. Negative: until [Server.Pick],
	// [Server.Finish].
	Queue, Work time.Duration
	// OnRun is the work of a picked run: it sees what the run was handed, and says whether it succeeds. It
	// may call the server. Nil: every run succeeds.
	OnRun func(Run) bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Faults are what goes wrong.
	Faults emulate.Faults

	mux *http.ServeMux

	mu     sync.Mutex
	owners map[string]*owner // users and organizations, by lower-case name
	repos  map[string]*repository
	tokens map[string]*token
	runs   []*run
	lastID int64
}

// New returns an empty server of the kind.
func New(kind Kind) *Server {
	s := &Server{
		Kind:   kind,
		mux:    http.NewServeMux(),
		owners: map[string]*owner{},
		repos:  map[string]*repository{},
		tokens: map[string]*token{},
	}
	s.routes()
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) major() int {
	if s.Major == 0 {
		return 14
	}
	return s.Major
}

// routes names every path that is served, the operation of Faults and who answers.
func (s *Server) routes() {
	s.route("GET /api/forgejo/v1/version", "forgejo-version", (*call).forgejoVersion)
	s.route("GET /api/v1/version", "version", (*call).version)

	s.route("GET /api/v1/user", "get-user", (*call).getUser)
	s.route("GET /api/v1/repos/{owner}/{repo}", "get-repository", (*call).getRepository)
	s.route("GET /api/v1/repos/{owner}/{repo}/contents/{path...}", "get-contents", (*call).getContents)

	for _, level := range []string{"/api/v1/repos/{owner}/{repo}", "/api/v1/orgs/{org}", "/api/v1/user"} {
		if level != "/api/v1/user" { // there is no list of a user's secrets
			s.route("GET "+level+"/actions/secrets", "list-secrets", (*call).listSecrets)
		}
		secret := level + "/actions/secrets/{name}"
		s.route("GET "+secret, "get-secret", func(c *call) { c.w.WriteHeader(http.StatusMethodNotAllowed) })
		s.route("PUT "+secret, "put-secret", (*call).putSecret)
		s.route("DELETE "+secret, "delete-secret", (*call).deleteSecret)
		s.route("GET "+level+"/actions/variables", "list-variables", (*call).listVariables)
		variable := level + "/actions/variables/{name}"
		s.route("GET "+variable, "get-variable", (*call).getVariable)
		s.route("POST "+variable, "create-variable", (*call).createVariable)
		s.route("PUT "+variable, "put-variable", (*call).putVariable)
		s.route("DELETE "+variable, "delete-variable", (*call).deleteVariable)
	}

	actions := "/api/v1/repos/{owner}/{repo}/actions"
	s.route("GET "+actions+"/workflows", "list-workflows", (*call).listWorkflows)
	s.route("GET "+actions+"/workflows/{file}", "get-workflow", (*call).getWorkflow)
	s.route("PUT "+actions+"/workflows/{file}/disable", "disable-workflow", func(c *call) { c.turn(true) })
	s.route("PUT "+actions+"/workflows/{file}/enable", "enable-workflow", func(c *call) { c.turn(false) })
	s.route("POST "+actions+"/workflows/{file}/dispatches", "dispatch", (*call).dispatch)
	s.route("GET "+actions+"/runs", "list-runs", (*call).listRuns)
	s.route("GET "+actions+"/runs/{run}", "get-run", (*call).getRun)
	s.route("GET "+actions+"/runs/{run}/jobs", "list-jobs", (*call).listJobs)
	s.route("GET "+actions+"/tasks", "list-tasks", (*call).listTasks)
}

func (s *Server) route(pattern, operation string, answer func(*call)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.Faults.Serve(operation, w, r, func(w http.ResponseWriter, r *http.Request) {
			s.settle()
			c := &call{s: s, w: w, r: r}
			s.mu.Lock()
			defer s.mu.Unlock()
			if c.authenticate() {
				answer(c)
			}
		})
	})
}

// call is one request. Its methods run under the server's lock.
type call struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	token *token // nil: anonymous
}

// root is the server's address as the client wrote it.
func (c *call) root() string {
	scheme := c.r.URL.Scheme
	switch {
	case scheme != "":
	case c.r.TLS != nil:
		scheme = "https"
	default:
		scheme = "http"
	}
	return scheme + "://" + c.r.Host
}

func (c *call) json(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "application/json;charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append(b, '\n'))
}

func (c *call) empty(status int) { c.w.WriteHeader(status) }

// fail answers with the error form of both servers.
func (c *call) fail(status int, message string) {
	c.json(status, struct {
		Message string `json:"message"`
		URL     string `json:"url"`
	}{message, c.root() + "/api/swagger"})
}

// broken answers 500. Only a site admin is told why.
func (c *call) broken(message string) {
	if c.token == nil || !c.token.user.admin {
		message = ""
	}
	c.fail(http.StatusInternalServerError, message)
}

// notFound answers 404 for things that are missing or hidden. A message of "" is the server's own.
func (c *call) notFound(message string, errs ...string) {
	if c.s.Kind == Gitea {
		if message == "" {
			message = "not found"
		}
		c.json(http.StatusNotFound, struct {
			Errors  []string `json:"errors"`
			Message string   `json:"message"`
			URL     string   `json:"url"`
		}{errs, message, c.root() + "/api/swagger"})
		return
	}
	if message == "" {
		message = "The target couldn't be found."
	}
	c.json(http.StatusNotFound, struct {
		Message string   `json:"message"`
		URL     string   `json:"url"`
		Errors  []string `json:"errors"`
	}{message, c.root() + "/api/swagger", append([]string{}, errs...)})
}

// noPage answers for a path that the server does not have.
func (c *call) noPage() { http.Error(c.w, "404 page not found", http.StatusNotFound) }

// body reads the JSON body into v; a body that is no JSON is answered with 422.
func (c *call) body(v any) bool {
	err := json.NewDecoder(io.LimitReader(c.r.Body, 10<<20)).Decode(v)
	if err != nil && err != io.EOF { // no body at all is an empty one
		c.fail(http.StatusUnprocessableEntity, "[]: "+err.Error())
		return false
	}
	return true
}

// page cuts the asked page out of n rows and says how many there are. 30 rows is the default, 50 the most.
func (c *call) page(n int) (from, to int) {
	q := c.r.URL.Query()
	page, _ := strconv.Atoi(q.Get("page"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	page = max(page, 1)
	if limit <= 0 {
		limit = 30
	}
	limit = min(limit, 50)
	c.w.Header().Set("X-Total-Count", strconv.Itoa(n))
	c.w.Header().Set("Access-Control-Expose-Headers", "X-Total-Count")
	from = min((page-1)*limit, n)
	return from, min(from+limit, n)
}

func (c *call) forgejoVersion() {
	if c.s.Kind == Gitea {
		http.Error(c.w, "Not found.", http.StatusNotFound)
		return
	}
	c.json(http.StatusOK, map[string]string{"version": c.s.version()})
}

func (c *call) version() { c.json(http.StatusOK, map[string]string{"version": c.s.version()}) }

func (s *Server) version() string {
	if s.Kind == Gitea {
		return "1.26.0"
	}
	return fmt.Sprintf("%d.0.0+gitea-1.22.0", s.major())
}

// instant is a time as both servers write it: to the second, and 1970 for none.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC().Truncate(time.Second)
}

func same(a, b string) bool { return strings.EqualFold(a, b) }
