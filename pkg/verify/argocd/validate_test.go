package argocd

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	fake "github.com/remint-dev/remint/internal/emulate/argocd"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	build := func(change func(app *fake.Application), timeout time.Duration) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			s, app := world()
			s.Now = func() time.Time { return began.Add(1000 * time.Since(began)) } // so that seconds pass soon
			change(app)
			a := of(s)
			a.Timeout, a.Interval = timeout, 5*time.Millisecond
			return a
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        build(func(*fake.Application) {}, 10*time.Second),
		Bad:         build(func(app *fake.Application) { app.Health = "Degraded" }, 500*time.Millisecond),
		Open:        build(func(app *fake.Application) { app.Health = "Progressing" }, 200*time.Millisecond),
		Credentials: []string{token},
	})
}

var began = time.Now()

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field  string // "": fine
		says   string
		change func(*Application)
	}{
		{"", "", func(*Application) {}},
		{"", "", func(a *Application) {
			a.Server, a.Actions = "https://argocd.example/argo-cd", []Action{restart, refresh, job}
		}},
		{"", "", func(a *Application) { a.Server = "http://127.0.0.1:8080" }},
		{"", "", func(a *Application) {
			a.Actions = []Action{{Kind: "Role", Resource: "system:x", Action: "a-b", Group: "rbac.authorization.k8s.io", Version: "v1", Namespace: "x"}}
		}},
		{"application", "not the name", func(a *Application) { a.Name = "" }},
		{"application", "not the name", func(a *Application) { a.Name = "a/../../session" }},
		{"project", "not the name", func(a *Application) { a.Project = "a/b" }},
		{"app-namespace", "not a namespace", func(a *Application) { a.AppNamespace = "A" }},
		{"refresh", "neither", func(a *Application) { a.Refresh = "soft" }},
		{"actions[0].kind", "missing", func(a *Application) { a.Actions = []Action{{Resource: "x", Action: "restart"}} }},
		{"actions[1].kind", "not possible", func(a *Application) {
			a.Actions = []Action{restart, {Kind: "deployment", Resource: "x", Action: "restart"}}
		}},
		{"actions[0].name", "missing", func(a *Application) { a.Actions = []Action{{Kind: "Deployment", Action: "restart"}} }},
		{"actions[0].action", "not possible", func(a *Application) { a.Actions = []Action{{Kind: "Deployment", Resource: "x", Action: "re start"}} }},
		{"timeout", "negative", func(a *Application) { a.Timeout = -1 }},
		{"interval", "negative", func(a *Application) { a.Interval = -1 }},
		{"server", "plain http", func(a *Application) { a.Server = "http://argocd.example" }},
		{"server", "", func(a *Application) { a.Server = "" }},
		{"server", "user name or password", func(a *Application) { a.Server = "u:hunter2@argocd.example" }},
		{"token", "ARGOCD_AUTH_TOKEN", func(a *Application) { a.Token = rotate.Secret{} }},
	} {
		a := of(nil)
		c.change(a)
		err := a.Validate()
		if c.field == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
}

func TestNames(t *testing.T) {
	for server, want := range map[string]string{
		host: "argocd:argocd.example/exporter", "https://argocd.example:8443/x": "argocd:argocd.example:8443/exporter", "u:hunter2@argocd.example": "argocd:?/exporter",
	} {
		a := of(nil)
		if a.Server = server; a.String() != want {
			t.Errorf("%s, want %s", a, want)
		}
	}
	for _, c := range []struct {
		change     func(*Application)
		methods    string
		repeatable bool
	}{
		{func(*Application) {}, "GET", true},
		{func(a *Application) { a.Actions = []Action{restart, refresh} }, "GET POST", true},
		{func(a *Application) { a.Actions = []Action{restart, job} }, "GET POST", false}, // a second job of the minute is refused
		{func(a *Application) { a.Actions = []Action{{Kind: "Rollout", Resource: "x", Action: "promote-full"}} }, "GET POST", false},
		{func(a *Application) { a.Sync = true }, "GET POST", false}, // hooks
	} {
		a := of(nil)
		c.change(a)
		e := a.Endpoints()
		if a.Repeatable() != c.repeatable || len(e) != 1 || e[0].Origin != "https://"+host || strings.Join(e[0].Methods, " ") != c.methods || e[0].Why == "" {
			t.Errorf("%v: %t, %+v", a.Actions, a.Repeatable(), e)
		}
	}
	for field, want := range map[string]time.Duration{"Timeout": defaultTimeout, "Interval": defaultInterval} {
		f, _ := reflect.TypeFor[Application]().FieldByName(field)
		if got, err := time.ParseDuration(f.Tag.Get("default")); err != nil || got != want {
			t.Errorf("%s: tag %s, code %s", field, f.Tag.Get("default"), want)
		}
	}
}

func TestFileOfCertificates(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{"absent.pem": "no such file", garbage: "no certificate in PEM"} {
		a := of(nil)
		a.Transport, a.CA = http.RoundTripper(nil), file
		if err := a.Validate(); err != nil {
			t.Errorf("Validate reads files: %v", err)
		}
		if err := a.Check(t.Context()); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"metadata":{"name":"exporter"},"spec":{"project":"metrics"},"operation":null,"status":{"reconciledAt":"2026-01-02T03:04:05Z","sync":{"status":"Synced"},"health":{"status":"Healthy"},"operationState":{"phase":"Succeeded","startedAt":"2026-01-02T03:04:00Z"},"resources":[{"group":"apps","kind":"Deployment","name":"exporter","namespace":"n","version":"v1","health":{"status":"Degraded","message":"x"}}]}}`,
		`{"metadata":{"name":"exporter"},"status":{}}`, `{"error":"permission denied","code":7,"message":"permission denied"}`, `[]`, `null`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &api{name: "exporter"}
		if text := c.explain(403, body); strings.ContainsAny(text, "\r\n\x1b") || len(text) > 500 {
			t.Errorf("%q", text)
		}
		app, err := decode(body, "exporter")
		if err != nil {
			return
		}
		for _, asked := range []bool{false, true} {
			v, why := mark{}.judge(app, asked)
			if (v == good) != (why == nil) || v == good && (app.Status.Health.Status != healthy || app.Status.Sync.Status != synced || app.Status.ReconciledAt.IsZero()) {
				t.Errorf("%d, %v", v, why)
			}
			if why != nil && (strings.ContainsAny(why.Error(), "\r\n\x1b") || len(why.Error()) > 3000) {
				t.Errorf("%q", why)
			}
		}
		_, _ = restart.resource(app)
	})
}
