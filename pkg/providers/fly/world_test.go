package fly

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	emulated "github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

const life = 90 * 24 * time.Hour

// world is an emulated Fly.io behind a socket, and a wire that holds every exchange to Fly.io's own schema.
type world struct {
	*emulated.Server
	t    *testing.T
	url  string
	user string // the minting credential

	mu      sync.Mutex
	sent    []string // names of the operations
	secrets []string // what must not show up anywhere
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: emulated.New(), t: t}
	h := httptest.NewServer(w.Server)
	t.Cleanup(h.Close)
	w.url = h.URL
	w.AddOrg("personal", "web")
	w.AddOrg("acme", "shop", "blog")
	w.user = w.AddUser("bot@example.com")
	w.secrets = append(w.secrets, w.user)
	return w
}

// org returns a provider for the organisation personal.
func (w *world) org() *Provider {
	return &Provider{Org: "personal", Expiry: life, Token: rotate.NewSecret(w.user), URL: w.url, Transport: w, Interval: time.Millisecond}
}

// app returns a provider for the app web.
func (w *world) app() *Provider {
	p := w.org()
	p.Org, p.App = "", "web"
	return p
}

// both runs a test with either.
func (w *world) both(t *testing.T, f func(*testing.T, *Provider)) {
	t.Run("org", func(t *testing.T) { f(t, w.org()) })
	t.Run("app", func(t *testing.T) { f(t, w.app()) })
}

// legacy makes a token by hand, created age ago.
func (w *world) legacy(name string, age time.Duration) (emulated.Row, rotate.Secret) {
	r, text := w.AddToken(emulated.Row{Name: name, App: "web", Created: time.Now().Add(-age).UTC().Truncate(time.Second), Expires: time.Now().Add(life - age).UTC().Truncate(time.Second)})
	w.secrets = append(w.secrets, text)
	return r, rotate.NewSecret(text)
}

// legacyOrg is legacy for the whole organisation.
func (w *world) legacyOrg(name string, age time.Duration) (emulated.Row, rotate.Secret) {
	r, text := w.AddToken(emulated.Row{Name: name, Org: "personal", Created: time.Now().Add(-age).UTC().Truncate(time.Second), Expires: time.Now().Add(life - age).UTC().Truncate(time.Second)})
	w.secrets = append(w.secrets, text)
	return r, rotate.NewSecret(text)
}

// ops returns what was sent since it was last asked.
func (w *world) ops() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sent
	w.sent = nil
	return s
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var q struct {
		Query, OperationName string
		Variables            map[string]any
	}
	if err := json.Unmarshal(body, &q); err != nil {
		w.t.Errorf("sent no JSON: %v", err)
	}
	w.mu.Lock()
	w.sent = append(w.sent, q.OperationName)
	w.mu.Unlock()
	op := conforms(w.t, q.Query, q.OperationName, q.Variables)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(got))
	if err == nil && resp.StatusCode == http.StatusOK && op != nil {
		answers(w.t, op, got)
	}
	return resp, nil
}

// schema is Fly.io's, as its client ships it.
var schema = sync.OnceValues(func() (*ast.Schema, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/superfly/fly-go").Output()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema.graphql"))
	if err != nil {
		return nil, err
	}
	return gqlparser.LoadSchema(&ast.Source{Input: string(text)})
})

// conforms holds a document and its variables to the schema.
func conforms(t *testing.T, query, name string, vars map[string]any) *ast.OperationDefinition {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Logf("no schema to hold requests to: %v", err)
		return nil
	}
	doc, errs := gqlparser.LoadQueryWithRules(s, query, rules.NewDefaultRules())
	if len(errs) > 0 {
		t.Errorf("%s does not fit the schema: %v", name, errs)
		return nil
	}
	op := doc.Operations.ForName(name)
	if op == nil {
		t.Errorf("no operation %q in %s", name, query)
		return nil
	}
	if _, err := validator.VariableValues(s, op, vars); err != nil {
		t.Errorf("variables of %s do not fit the schema: %v", name, err)
	}
	return op
}

// answers holds the data of an answer to the types of what was asked for, which keeps the emulation honest.
func answers(t *testing.T, op *ast.OperationDefinition, body []byte) {
	t.Helper()
	var a struct{ Data map[string]any }
	if err := json.Unmarshal(body, &a); err != nil {
		t.Errorf("answer is no JSON: %v", err)
		return
	}
	if a.Data != nil {
		selection(t, op.Name, op.SelectionSet, a.Data)
	}
}

func selection(t *testing.T, path string, set ast.SelectionSet, o map[string]any) {
	for _, sel := range set {
		switch f := sel.(type) {
		case *ast.InlineFragment:
			if f.TypeCondition == o["__typename"] {
				selection(t, path, f.SelectionSet, o)
			}
		case *ast.Field:
			v, ok := o[f.Alias]
			if !ok {
				t.Errorf("%s.%s is missing", path, f.Alias)
				continue
			}
			typed(t, path+"."+f.Alias, f.SelectionSet, f.Definition.Type, v)
		}
	}
}

func typed(t *testing.T, path string, set ast.SelectionSet, of *ast.Type, v any) {
	if v == nil {
		if of.NonNull && path != "CreateLimitedAccessToken.createLimitedAccessToken" {
			t.Errorf("%s is null, against the schema", path)
		}
		return
	}
	if of.Elem != nil {
		list, ok := v.([]any)
		if !ok {
			t.Errorf("%s is no list", path)
		}
		for i, e := range list {
			typed(t, fmt.Sprintf("%s[%d]", path, i), set, of.Elem, e)
		}
		return
	}
	ok := true
	switch of.NamedType {
	case "String", "ID", "BigInt", "ISO8601DateTime":
		_, ok = v.(string)
		if ok && of.NamedType == "ISO8601DateTime" {
			_, err := time.Parse(time.RFC3339, v.(string))
			ok = err == nil
		}
	case "Int":
		_, ok = v.(float64)
	case "Boolean":
		_, ok = v.(bool)
	case "JSON":
	default:
		var o map[string]any
		if o, ok = v.(map[string]any); ok {
			selection(t, path, set, o)
		}
	}
	if !ok {
		t.Errorf("%s is %T, not %s", path, v, of.NamedType)
	}
}

// clean fails if err, or any of texts, shows a secret.
func (w *world) clean(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err != nil {
		texts = append(texts, err.Error(), fmt.Sprintf("%+v %#v", err, err))
	}
	w.mu.Lock()
	secrets := slices.Clone(w.secrets)
	w.mu.Unlock()
	for _, s := range secrets {
		for part := range strings.SplitSeq(strings.TrimPrefix(s, "FlyV1 "), ",") {
			for _, text := range texts {
				if len(part) > 8 && (strings.Contains(text, part) || strings.Contains(text, part[len(part)-12:])) {
					t.Errorf("a secret shows in %.200q", text)
				}
			}
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// ctx ends long before the tests' own limit.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}
