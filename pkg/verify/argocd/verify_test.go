package argocd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	fake "github.com/remint-dev/remint/internal/emulate/argocd"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	host  = "argocd.example"
	token = "argocd-token-0123"
)

var (
	restart = Action{Kind: "Deployment", Resource: "exporter", Action: "restart"}
	refresh = Action{Kind: "ExternalSecret", Resource: "fastly-api", Action: "refresh"}
	job     = Action{Kind: "CronJob", Resource: "probe", Action: "create-job"}
)

// world is an Argo CD with one application, which rolls out within half a minute.
func world() (*fake.Server, *fake.Application) {
	s := fake.New()
	s.AddToken(token)
	app := &fake.Application{Name: "exporter", Project: "metrics", Rollout: 30 * time.Second, Resources: []*fake.Resource{
		{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "monitoring", Name: "exporter"},
		{Group: "external-secrets.io", Version: "v1", Kind: "ExternalSecret", Namespace: "monitoring", Name: "fastly-api"},
		{Group: "batch", Version: "v1", Kind: "CronJob", Namespace: "monitoring", Name: "probe"},
	}}
	s.Add(app)
	return s, app
}

func of(s http.Handler) *Application {
	return &Application{Name: "exporter", Project: "metrics", Server: host, Token: rotate.NewSecret(token), Transport: wire(s)}
}

func wire(s http.Handler) http.RoundTripper {
	return &emulate.Wire{Route: func(to string) http.Handler {
		if to != host {
			return nil
		}
		return s
	}}
}

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
	case err != nil && strings.Contains(err.Error(), token):
		t.Errorf("%q shows the token", err)
	}
}

func TestVerify(t *testing.T) {
	const late = 15 * time.Minute
	for _, c := range []struct {
		name   string
		world  func(s *fake.Server, app *fake.Application)
		change func(a *Application)
		want   want
		says   string
		done   string // what was carried out
		took   time.Duration
	}{
		{name: "synced and healthy", want: pass, took: 10 * time.Second},
		{name: "a restart", change: func(a *Application) { a.Actions = []Action{restart} }, want: pass, done: "restart apps/Deployment/monitoring/exporter", took: 40 * time.Second},
		{name: "all the road without cluster credentials", change: func(a *Application) { a.Actions = []Action{refresh, restart, job} }, want: pass,
			done: "refresh external-secrets.io/ExternalSecret/monitoring/fastly-api; restart apps/Deployment/monitoring/exporter; create-job batch/CronJob/monitoring/probe", took: 40 * time.Second},
		{name: "a sync", world: func(_ *fake.Server, app *fake.Application) { app.Sync = "OutOfSync" }, change: func(a *Application) { a.Sync = true }, want: pass, done: "sync exporter", took: 10 * time.Second},
		{name: "degraded after the restart", world: func(_ *fake.Server, app *fake.Application) { app.After = "Degraded" }, change: func(a *Application) { a.Actions = []Action{restart} },
			want: failure, says: "Degraded; Deployment/exporter is Degraded", done: "restart apps/Deployment/monitoring/exporter", took: late},
		{name: "it recovers", world: func(s *fake.Server, app *fake.Application) {
			app.Health = "Degraded"
			time.AfterFunc(5*time.Minute+time.Second, func() { s.Change("exporter", func(app *fake.Application) { app.Health = "" }) })
		}, want: pass, took: 5 * time.Minute},
		{name: "never done", world: func(_ *fake.Server, app *fake.Application) { app.Rollout = time.Hour }, change: func(a *Application) { a.Actions = []Action{restart} },
			want: unknown, says: "Progressing", done: "restart apps/Deployment/monitoring/exporter", took: late},
		{name: "suspended", world: func(_ *fake.Server, app *fake.Application) { app.Health = "Suspended" }, want: unknown, says: "Suspended", took: late},
		{name: "out of sync", world: func(_ *fake.Server, app *fake.Application) { app.Sync = "OutOfSync" }, want: unknown, says: "give sync: true", took: late},
		{name: "the sync failed", world: func(_ *fake.Server, app *fake.Application) { app.SyncPhase = "Failed" }, change: func(a *Application) { a.Sync = true }, want: failure, says: "ended with Failed", done: "sync exporter", took: 2 * time.Second},
		{name: "the sync could not be carried out", world: func(_ *fake.Server, app *fake.Application) { app.SyncPhase = "Error" }, change: func(a *Application) { a.Sync = true }, want: unknown, says: "Error", done: "sync exporter", took: late},
		{name: "an operation of somebody else", world: func(_ *fake.Server, app *fake.Application) { app.LastPhase = "Running" }, want: unknown, says: "Running", took: late},
		{name: "an old operation that failed", world: func(_ *fake.Server, app *fake.Application) { app.LastPhase = "Failed" }, want: unknown, says: "Failed", took: late},
		{name: "a sync beside another", world: func(_ *fake.Server, app *fake.Application) { app.LastPhase = "Running" }, change: func(a *Application) { a.Sync = true }, want: unknown, says: "another operation is already in progress"},
		{name: "Argo CD down", world: func(s *fake.Server, _ *fake.Application) { s.Faults.Plant("refresh", emulate.Fault{Times: -1}) }, want: unknown, says: "after 15m0s", took: late},
		{name: "Argo CD down at first", world: func(s *fake.Server, _ *fake.Application) {
			s.Faults.Plant("get", emulate.Fault{Status: 503, Times: -1})
		}, change: func(a *Application) { a.Actions = []Action{restart} }, want: unknown, says: "nothing was done"},
		{name: "the refresh takes too long", world: func(s *fake.Server, _ *fake.Application) {
			s.Faults.Plant("refresh", emulate.Fault{Status: 500, Body: `{"error":"application refresh deadline exceeded","code":2,"message":"application refresh deadline exceeded"}`, Times: 6})
		}, want: pass, took: 10 * time.Second},
		{name: "an action is never sent again", world: func(s *fake.Server, _ *fake.Application) { s.Faults.Plant("action", emulate.Fault{After: true}) },
			change: func(a *Application) { a.Actions = []Action{restart} }, want: unknown, says: "is not sent again", done: "restart apps/Deployment/monitoring/exporter"},
		{name: "a lost sync is never sent again", world: func(s *fake.Server, _ *fake.Application) {
			s.Faults.Plant("sync", emulate.Fault{After: true, Status: 502})
		}, change: func(a *Application) { a.Sync = true }, want: unknown, says: "is not sent again", done: "sync exporter"},
		{name: "two jobs within a minute", world: func(*fake.Server, *fake.Application) {}, change: func(a *Application) { a.Actions = []Action{job, job} }, want: unknown, says: "already exists", done: "create-job batch/CronJob/monitoring/probe"},
		{name: "no right to act", world: func(s *fake.Server, _ *fake.Application) { s.AddToken(token, "get") }, change: func(a *Application) { a.Actions = []Action{restart} },
			want: unknown, says: "applications, action/apps/Deployment/restart, metrics/exporter, allow"},
		{name: "missing application", change: func(a *Application) { a.Name = "gone" }, want: unknown, says: `not found: GET /api/v1/applications/gone: 404: applications.argoproj.io "gone" not found`},
		{name: "missing application without project", change: func(a *Application) { a.Name, a.Project = "gone", "" }, want: unknown, says: "or there is no application gone"},
		{name: "project is asked for", change: func(a *Application) { a.Project = ""; a.Actions = []Action{restart} }, want: pass, done: "restart apps/Deployment/monitoring/exporter", took: 40 * time.Second},
		{name: "resource that is not there", change: func(a *Application) {
			a.Actions = []Action{restart, {Kind: "Deployment", Resource: "web", Action: "restart"}}
		}, want: unknown, says: "does not manage"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, app := world()
				if c.world != nil {
					c.world(s, app)
				}
				a := of(s)
				if c.change != nil {
					c.change(a)
				}
				time.Sleep(3 * time.Second)
				began := time.Now()
				held(t, a.Verify(t.Context(), rotate.Credential{}), c.want, c.says)
				if took := time.Since(began); took < c.took || took > c.took+20*time.Second {
					t.Errorf("took %s, want about %s", took, c.took)
				}
				if done := strings.Join(s.Done(), "; "); done != c.done {
					t.Errorf("done: %s; want %s", done, c.done)
				}
			})
		})
	}
}

// A state from before our request does not count, however healthy it looks: a refresh that does nothing proves nothing.
// Nor does it matter whose clock is wrong.
func TestOldStateDoesNotCount(t *testing.T) {
	for _, ahead := range []time.Duration{0, 700 * time.Millisecond, -20 * time.Minute, 20 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(137 * time.Millisecond)
			s, _ := world()
			s.Now = func() time.Time { return time.Now().Add(ahead) }
			stuck := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				q.Del("refresh")
				r.URL.RawQuery = q.Encode()
				s.ServeHTTP(w, r)
			})
			s.Add(&fake.Application{Name: "other"}) // reconciled by this clock, just before
			a := of(stuck)
			a.Name, a.Project, a.Timeout = "other", "", time.Minute
			held(t, a.Verify(t.Context(), rotate.Credential{}), unknown, "was not looked at again by Argo CD")
			a = of(s)
			a.Name, a.Project = "other", ""
			held(t, a.Verify(t.Context(), rotate.Credential{}), pass, "")
		})
	}
}

// What is sent: each POST with its content type and the project, the credential to this server alone.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := world()
		var sent []string
		a := of(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			sent = append(sent, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body)))
			if r.Header.Get("Authorization") != "Bearer "+token || (r.Method == "POST") != (r.Header.Get("Content-Type") == "application/json") {
				t.Errorf("%s: %v", r.URL, r.Header)
			}
			s.ServeHTTP(w, r)
		}))
		a.Project, a.Sync, a.Refresh, a.Actions = "", true, "hard", []Action{refresh}
		held(t, a.Verify(t.Context(), rotate.Credential{}), pass, "")
		want := []string{
			"GET /api/v1/applications/exporter",
			`POST /api/v1/applications/exporter/resource/actions/v2 {"action":"refresh","group":"external-secrets.io","kind":"ExternalSecret","namespace":"monitoring","project":"metrics","resourceName":"fastly-api","version":"v1"}`,
			`POST /api/v1/applications/exporter/sync {"dryRun":false,"project":"metrics","prune":false}`,
			"GET /api/v1/applications/exporter?refresh=hard",
			"GET /api/v1/applications/exporter?refresh=normal",
		}
		if strings.Join(sent, "\n") != strings.Join(want, "\n") {
			t.Errorf("sent\n%s", strings.Join(sent, "\n"))
		}
	})
}

// Check finds what can be found before anything is minted, all of it at once, and changes nothing.
func TestCheck(t *testing.T) {
	page := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	for _, c := range []struct {
		name   string
		world  func(s *fake.Server, app *fake.Application)
		server http.Handler
		change func(a *Application)
		kind   error
		says   []string
		warns  string
	}{
		{name: "fine", change: func(a *Application) { a.Sync, a.Actions = true, []Action{restart, refresh, job} }},
		{name: "wrong token", change: func(a *Application) { a.Token = rotate.NewSecret("argocd-token-9") }, kind: rotate.ErrDenied, says: []string{"401: invalid session", "renew ARGOCD_AUTH_TOKEN"}},
		{name: "missing application", change: func(a *Application) { a.Name = "gone" }, kind: rotate.ErrNotFound, says: []string{`"gone" not found`}},
		{name: "another project", change: func(a *Application) { a.Project = "default" }, kind: rotate.ErrNotFound, says: []string{"not found"}},
		{name: "missing or forbidden", change: func(a *Application) { a.Name, a.Project = "gone", "" }, kind: rotate.ErrDenied, says: []string{"lacks the right, or there is no application gone"}},
		{name: "no right in the project", world: func(s *fake.Server, _ *fake.Application) { s.AddToken(token, "sync") }, kind: rotate.ErrDenied, says: []string{"lacks the right in project metrics"}},
		{name: "no right to sync", world: func(s *fake.Server, _ *fake.Application) { s.AddToken(token, "get") }, change: func(a *Application) { a.Sync = true }, kind: rotate.ErrDenied, says: []string{"applications, sync, metrics/exporter, allow"}},
		{name: "all faults at once", change: func(a *Application) {
			a.Actions = []Action{{Kind: "Deployment", Resource: "web", Action: "restart"}, {Kind: "Deployment", Resource: "exporter", Action: "explode"}}
		}, kind: rotate.ErrConfig, says: []string{"restart Deployment/web: not found: the application does not manage", "explode Deployment/exporter: configuration error: there is no such action; there are: pause, restart, scale"}},
		{name: "two of a name", world: func(_ *fake.Server, app *fake.Application) {
			app.Resources = append(app.Resources, &fake.Resource{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "staging", Name: "exporter"})
		}, change: func(a *Application) { a.Actions = []Action{restart} }, kind: rotate.ErrConfig, says: []string{"has 2 of it"}},
		{name: "degraded already", world: func(s *fake.Server, app *fake.Application) {
			s.Add(&fake.Application{Name: "sick", Health: "Degraded", Project: "metrics"})
		}, change: func(a *Application) { a.Name = "sick" }, warns: "Synced and Degraded already"},
		{name: "a login page", server: page(200, "<html>"), kind: rotate.ErrConfig, says: []string{"no application of this name"}},
		{name: "415", server: page(415, "Invalid content type\n"), kind: rotate.ErrConfig, says: []string{"must be application/json"}},
		{name: "unreachable", server: page(503, "<html>secret</html>"), kind: rotate.ErrTemporary, says: []string{"503"}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, app := world()
				if c.world != nil {
					c.world(s, app)
				}
				a := of(s)
				if c.server != nil {
					a.Transport = wire(c.server)
				}
				if c.change != nil {
					c.change(a)
				}
				err := a.Check(t.Context())
				if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) {
					t.Errorf("got %v, want %v", err, c.kind)
				}
				for _, says := range c.says {
					if err == nil || !strings.Contains(err.Error(), says) {
						t.Errorf("%v does not say %q", err, says)
					}
				}
				if err != nil && (strings.Contains(err.Error(), "argocd-token") || strings.Contains(err.Error(), "<html>")) {
					t.Errorf("%v says too much", err)
				}
				if w := strings.Join(a.Warnings(), "; "); (c.warns == "") != (w == "") || !strings.Contains(w, c.warns) {
					t.Errorf("warnings %q", w)
				}
				if len(s.Done()) != 0 {
					t.Errorf("it did %q", s.Done())
				}
			})
		})
	}
}

func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, app := world()
		app.Health = "Degraded"
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(45*time.Second, cancel)
		err := of(s).Verify(ctx, rotate.Credential{})
		if held(t, err, unknown, "Degraded"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Argo CD looks by itself, too: what it saw just before our last request, within the same second, does not count.
func TestSameSecondDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := world()
		time.Sleep(10*time.Second + 900*time.Millisecond)
		a := of(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			look := func() {
				q := r.Clone(r.Context())
				q.Method, q.URL.Path, q.URL.RawQuery, q.Body = "GET", "/api/v1/applications/exporter", "refresh=normal", http.NoBody
				s.ServeHTTP(httptest.NewRecorder(), q)
			}
			if r.Method == http.MethodPost {
				look()
			}
			q := r.URL.Query()
			q.Del("refresh") // and never again
			r.URL.RawQuery = q.Encode()
			s.ServeHTTP(w, r)
		}))
		a.Actions, a.Timeout = []Action{refresh}, time.Minute
		held(t, a.Verify(t.Context(), rotate.Credential{}), unknown, "was not looked at again")
	})
}

func TestJudge(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := mark{reconciled: at, operation: at.Add(-time.Hour)}
	fine := func() *application {
		return &application{Status: status{ReconciledAt: at.Add(time.Second), Sync: phase{Status: synced}, Health: phase{Status: healthy},
			OperationState: &operation{Phase: succeeded, StartedAt: at.Add(time.Second)}}}
	}
	for _, c := range []struct {
		name   string
		change func(*application)
		asked  bool
		want   view
	}{
		{"fine", func(*application) {}, true, good},
		{"never synced", func(x *application) { x.Status.OperationState = nil }, false, good},
		{"never synced, though asked", func(x *application) { x.Status.OperationState = nil }, true, open},
		{"the sync before ours", func(x *application) { x.Status.OperationState.StartedAt = m.operation }, true, open},
		{"the sync of another day", func(x *application) { x.Status.OperationState.StartedAt = m.operation }, false, good},
		{"an operation is pending", func(x *application) { x.Operation = []byte(`{"sync":{}}`) }, false, open},
		{"no time", func(x *application) { x.Status.ReconciledAt = time.Time{} }, false, old},
		{"the same second", func(x *application) { x.Status.ReconciledAt = at }, false, old},
		{"no health", func(x *application) { x.Status.Health.Status = "" }, false, open},
		{"missing", func(x *application) { x.Status.Health.Status = "Missing" }, false, open},
		{"degraded and out of sync", func(x *application) { x.Status.Health.Status, x.Status.Sync.Status = degraded, "OutOfSync" }, false, bad},
		{"no sync status", func(x *application) { x.Status.Sync.Status = "" }, false, open},
		{"terminating", func(x *application) { x.Status.OperationState.Phase = terminating }, true, open},
		{"our sync failed", func(x *application) { x.Status.OperationState.Phase = failed }, true, ended},
		{"somebody's sync failed", func(x *application) { x.Status.OperationState.Phase = failed }, false, open},
	} {
		x := fine()
		c.change(x)
		if got, why := m.judge(x, c.asked); got != c.want || (why == nil) != (got == good) {
			t.Errorf("%s: %d, %v; want %d", c.name, got, why, c.want)
		}
	}
}
