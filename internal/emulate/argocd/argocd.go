// Package argocd emulates the part of Argo CD's REST API that applications are refreshed, acted upon and synced by, as
// argo-cd v3.2.6 answers (server/application/application.go, assets/swagger.json). Its rules:
//
//   - Without project, an application that does not exist is answered like one that may not be seen: 403. With it, 404.
//   - A POST without Content-Type application/json is 415 in plain text, before anything else is looked at.
//   - Times have whole seconds. A state is worked out on refresh, and shows in status.reconciledAt.
//   - create-job names its job by the minute, so two in one minute collide.
package argocd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Resource is one that an application manages.
type Resource struct {
	Group, Version, Kind, Namespace, Name string

	Actions []string // that it has; nil: the built-in ones of its kind

	restarted time.Time
	jobs      map[string]bool
}

// Application is an application. The zero Health is Healthy, the zero Sync is Synced.
type Application struct {
	Name, Project, Namespace string // Project "": default; Namespace "": that of Argo CD
	Resources                []*Resource
	Health, Sync             string
	Message                  string // of Health
	// Rollout is how long the application is Progressing after a restart; it then has the health After, "" for Healthy.
	Rollout time.Duration
	After   string
	// SyncPhase is how a sync ends: "" for Succeeded.
	SyncPhase string
	// LastPhase is how the last operation before ended; "": there was none.
	LastPhase string

	reconciled time.Time
	seen       state
	started    time.Time // of the last sync
	asked      bool      // a sync was asked for
}

// state is what a reconciliation saw.
type state struct{ health, sync string }

// Server is one Argo CD. It is safe for concurrent use; its fields must not be changed after the first request.
type Server struct {
	// Faults of the operations get, refresh, actions (the list), action, sync and can-i.
	Faults emulate.Faults
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Path is in front of /api/v1, such as "/argo-cd".
	Path string
	// OnAction, if not nil, is told of every action that was carried out: it is where a restarted consumer takes up what
	// its Secret holds now. What it returns becomes the application's After, if it is not empty.
	OnAction func(application, action string, r Resource) (after string)

	mu     sync.Mutex
	tokens map[string][]string
	apps   []*Application
	done   []string
}

// New returns a server without applications.
func New() *Server { return &Server{tokens: map[string][]string{}} }

// AddToken adds a token with rights such as "get", "sync" and "action/apps/Deployment/restart"; none: all of them.
func (s *Server) AddToken(token string, rights ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = rights
}

// Add adds an application, last reconciled now.
func (s *Server) Add(a *Application) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = append(s.apps, a)
	s.reconcile(a)
}

// Change changes an application; the change shows with its next reconciliation.
func (s *Server) Change(name string, change func(*Application)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		if a.Name == name {
			change(a)
		}
	}
}

// Done returns what was carried out, in order: "restart apps/Deployment/monitoring/web", "sync web".
func (s *Server) Done() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.done)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	if r.Method != http.MethodGet && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		http.Error(w, "Invalid content type", http.StatusUnsupportedMediaType)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, s.Path+"/api/v1/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	rights, known := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") == "":
		fail(w, 16, "no session information")
		return
	case !known:
		fail(w, 16, "invalid session: token signature is invalid")
		return
	}
	body := map[string]any{}
	if r.Method != http.MethodGet {
		text, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(text, &body) != nil {
			fail(w, 3, "invalid request body")
			return
		}
	}
	c := &call{s, rights, r, body}
	part := strings.Split(path, "/")
	switch at := strings.Join(part[min(2, len(part)):], "/"); {
	case len(part) >= 5 && part[0] == "account" && part[1] == "can-i" && r.Method == http.MethodGet:
		s.Faults.Serve("can-i", w, r, c.canI)
	case len(part) < 2 || part[0] != "applications":
		fail(w, 5, "Not Found")
	case at == "" && r.Method == http.MethodGet:
		operation := "get"
		if r.URL.Query().Get("refresh") != "" {
			operation = "refresh"
		}
		s.Faults.Serve(operation, w, r, c.get)
	case at == "sync" && r.Method == http.MethodPost:
		s.Faults.Serve("sync", w, r, c.sync)
	case at == "resource/actions" && r.Method == http.MethodGet:
		s.Faults.Serve("actions", w, r, c.actions)
	case at == "resource/actions/v2" && r.Method == http.MethodPost:
		s.Faults.Serve("action", w, r, c.action)
	default:
		fail(w, 12, "Method Not Allowed")
	}
}

// fail answers with an error of gRPC.
func fail(w http.ResponseWriter, code int, message string) {
	status := map[int]int{3: 400, 5: 404, 6: 409, 7: 403, 9: 400, 12: 501, 16: 401}[code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	answer(w, status, map[string]any{"error": message, "code": code, "message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// reconcile works out the state of an application. The caller holds the lock.
func (s *Server) reconcile(a *Application) {
	a.reconciled = s.now().Truncate(time.Second)
	a.seen = state{or(a.Health, "Healthy"), or(a.Sync, "Synced")}
	for _, r := range a.Resources {
		switch {
		case r.restarted.IsZero():
		case s.now().Before(r.restarted.Add(a.Rollout)):
			a.seen.health = "Progressing"
		case a.After != "":
			a.seen.health = a.After
		}
	}
	if a.asked {
		a.asked = false
		a.LastPhase, a.started = or(a.SyncPhase, "Succeeded"), s.now().Truncate(time.Second)
		if a.LastPhase == "Succeeded" {
			a.Sync, a.seen.sync = "", "Synced"
		}
	}
}

// show is an application as the API has it.
func (a *Application) show() map[string]any {
	resources := []any{}
	for _, r := range a.Resources {
		resources = append(resources, map[string]any{"group": r.Group, "version": r.Version, "kind": r.Kind, "namespace": r.Namespace, "name": r.Name,
			"status": a.seen.sync, "health": map[string]any{"status": a.seen.health}})
	}
	status := map[string]any{
		"reconciledAt": a.reconciled.UTC().Format(time.RFC3339),
		"sync":         map[string]any{"status": a.seen.sync},
		"health":       map[string]any{"status": a.seen.health},
		"resources":    resources,
	}
	if a.LastPhase != "" {
		status["operationState"] = map[string]any{"phase": a.LastPhase, "message": strings.ToLower(a.LastPhase), "startedAt": a.started.UTC().Format(time.RFC3339), "operation": map[string]any{}}
	}
	out := map[string]any{
		"metadata": map[string]any{"name": a.Name, "namespace": or(a.Namespace, "argocd")},
		"spec":     map[string]any{"project": or(a.Project, "default")},
		"status":   status,
	}
	if a.asked {
		out["operation"] = map[string]any{"sync": map[string]any{}}
	}
	return out
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (r *Resource) String() string {
	return fmt.Sprintf("%s/%s/%s/%s", r.Group, r.Kind, r.Namespace, r.Name)
}
