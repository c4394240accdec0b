package argocd_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	fake "github.com/remint-dev/remint/internal/emulate/argocd"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/argocd"
)

// Verifier and emulation are held to the description of the API that Argo CD publishes: testdata/swagger.json is what is
// used of assets/swagger.json of the module below, names and types only. Its licence is Apache-2.0, see testdata/NOTICE.

const module = "github.com/argoproj/argo-cd/v3@v3.2.6"

var update = flag.Bool("update", false, "write testdata/swagger.json anew from the module's")

// used are the operations of the description that the verifier calls.
var used = map[string]string{
	"/api/v1/account/can-i/{resource}/{action}/{subresource}": "get",
	"/api/v1/applications/{name}":                             "get",
	"/api/v1/applications/{name}/resource/actions":            "get",
	"/api/v1/applications/{name}/resource/actions/v2":         "post",
	"/api/v1/applications/{name}/sync":                        "post",
}

// description is the part of Swagger 2.0 that matters here.
type description struct {
	Paths       map[string]map[string]route `json:"paths"`
	Definitions map[string]schema           `json:"definitions"`
}

type route struct {
	Parameters []parameter         `json:"parameters"`
	Responses  map[string]response `json:"responses"`
}

type parameter struct {
	Name   string  `json:"name"`
	In     string  `json:"in"`
	Schema *schema `json:"schema,omitempty"`
}

type response struct {
	Schema schema `json:"schema"`
}

type schema struct {
	Ref        string            `json:"$ref,omitempty"`
	Type       string            `json:"type,omitempty"`
	Items      *schema           `json:"items,omitempty"`
	Properties map[string]schema `json:"properties,omitempty"`
}

// follow returns the definition that a schema refers to.
func (d *description) follow(s schema) schema {
	if s.Ref == "" {
		return s
	}
	return d.Definitions[strings.TrimPrefix(s.Ref, "#/definitions/")]
}

// slim keeps what is used, and the definitions that this needs as far as the emulation shows them.
func (d *description) slim() *description {
	out := &description{map[string]map[string]route{}, map[string]schema{}}
	var keep func(s schema)
	keep = func(s schema) {
		if s.Items != nil {
			keep(*s.Items)
		}
		name := strings.TrimPrefix(s.Ref, "#/definitions/")
		if _, done := out.Definitions[name]; name == "" || done {
			return
		}
		to := d.Definitions[name]
		if slices.Contains([]string{"v1alpha1ApplicationSpec", "v1ObjectMeta", "v1alpha1Operation", "v1alpha1SyncOperationResult"}, name) {
			for k, p := range to.Properties {
				to.Properties[k] = schema{Type: p.Type} // not further than this
			}
		}
		out.Definitions[name] = to
		for _, p := range to.Properties {
			keep(p)
		}
	}
	for path, method := range used {
		r := d.Paths[path][method]
		out.Paths[path] = map[string]route{method: r}
		for _, p := range r.Parameters {
			if p.Schema != nil {
				keep(*p.Schema)
			}
		}
		for _, x := range r.Responses {
			keep(x.Schema)
		}
	}
	return out
}

func read(t *testing.T, file string) *description {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d description
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func TestExtractIsTheModules(t *testing.T) {
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Skip("no go command")
	}
	file := filepath.Join(strings.TrimSpace(string(cache)), filepath.FromSlash(module), "assets", "swagger.json")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("%s is not at hand: go mod download %s", module, module)
	}
	text, err := json.MarshalIndent(read(t, file).slim(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	extract := filepath.Join("testdata", "swagger.json")
	if *update {
		if err := os.WriteFile(extract, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(extract); err != nil || !bytes.Equal(have, text) {
		t.Errorf("%s is not what %s says (%v); write it anew with -update", extract, module, err)
	}
}

// find returns the operation of a request; the last parameter of a path may hold slashes.
func (d *description) find(method, path string) (route, bool) {
	for pattern, methods := range d.Paths {
		p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
		if strings.HasSuffix(pattern, "{subresource}") && len(q) > len(p) {
			q = q[:len(p)]
		}
		fits := len(p) == len(q)
		for i := range p {
			fits = fits && (p[i] == q[i] || strings.HasPrefix(p[i], "{"))
		}
		if r, ok := methods[strings.ToLower(method)]; fits && ok {
			return r, true
		}
	}
	return route{}, false
}

// check reports what of a value its schema does not know.
func (d *description) check(at string, v any, s schema) (faults []string) {
	s = d.follow(s)
	switch v := v.(type) {
	case map[string]any:
		if s.Properties == nil {
			return nil
		}
		for k, x := range v {
			p, ok := s.Properties[k]
			if !ok {
				faults = append(faults, at+"."+k+" is not in the description")
				continue
			}
			faults = append(faults, d.check(at+"."+k, x, p)...)
		}
	case []any:
		if s.Type != "array" {
			return []string{at + " is no list"}
		}
		for i, x := range v {
			faults = append(faults, d.check(fmt.Sprintf("%s[%d]", at, i), x, *s.Items)...)
		}
	case string:
		if s.Type != "string" {
			return []string{at + " is a " + s.Type + ", not a string"}
		}
	case bool:
		if s.Type != "boolean" {
			return []string{at + " is a " + s.Type + ", not a boolean"}
		}
	case float64:
		if s.Type != "integer" {
			return []string{at + " is a " + s.Type + ", not a number"}
		}
	}
	return faults
}

// exchange checks one request and its answer.
func (d *description) exchange(r *http.Request, body []byte, status int, answer []byte) (faults []string) {
	op, ok := d.find(r.Method, r.URL.Path)
	if !ok {
		return []string{r.Method + " " + r.URL.Path + " is not in the description"}
	}
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(op.Parameters, func(p parameter) bool { return p.In == "query" && p.Name == name }) {
			faults = append(faults, "parameter "+name+" is not in the description")
		}
	}
	for _, p := range op.Parameters {
		if p.In != "body" {
			continue
		}
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			faults = append(faults, "the body is not JSON")
		}
		faults = append(faults, d.check("body", v, *p.Schema)...)
	}
	x, ok := op.Responses[fmt.Sprint(status)]
	if !ok {
		x = op.Responses["default"]
	}
	var v any
	if err := json.Unmarshal(answer, &v); err != nil {
		return append(faults, "the answer is not JSON")
	}
	return append(faults, d.check("answer", v, x.Schema)...)
}

func TestContract(t *testing.T) {
	d := read(t, filepath.Join("testdata", "swagger.json"))
	for path, method := range used {
		if _, ok := d.Paths[path][method]; !ok {
			t.Fatalf("%s %s is missing from the extract", method, path)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := fake.New()
		s.AddToken("argocd-token")
		s.AddToken("weak-token", "get")
		s.Add(&fake.Application{Name: "exporter", Namespace: "apps", LastPhase: "Succeeded", Resources: []*fake.Resource{
			{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "monitoring", Name: "exporter"}}})
		seen := map[string]bool{}
		checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, r)
			for _, fault := range d.exchange(r, body, rec.Code, rec.Body.Bytes()) {
				t.Errorf("%s %s: %d: %s", r.Method, r.URL, rec.Code, fault)
			}
			seen[fmt.Sprintf("%s %s %d", r.Method, strings.TrimPrefix(r.URL.Path, "/api/v1/"), rec.Code)] = true
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
		verifier := func(token string) *argocd.Application {
			return &argocd.Application{Name: "exporter", AppNamespace: "apps", Server: "argocd.example", Token: rotate.NewSecret(token), Sync: true,
				Actions:   []argocd.Action{{Kind: "Deployment", Resource: "exporter", Action: "restart"}},
				Transport: &emulate.Wire{Route: func(string) http.Handler { return checked }}}
		}
		time.Sleep(time.Minute)
		a := verifier("argocd-token")
		if err := a.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := a.Verify(t.Context(), rotate.Credential{}); err != nil {
			t.Error(err)
		}
		for _, token := range []string{"weak-token", "unknown"} {
			if verifier(token).Check(t.Context()) == nil || verifier(token).Verify(t.Context(), rotate.Credential{}) == nil {
				t.Errorf("%s was enough", token)
			}
		}
		for _, want := range []string{
			"GET applications/exporter 200", "GET applications/exporter 401", "GET applications/exporter/resource/actions 200",
			"POST applications/exporter/resource/actions/v2 200", "POST applications/exporter/resource/actions/v2 403",
			"POST applications/exporter/sync 200", "GET account/can-i/applications/sync/default/apps/exporter 200",
		} {
			if !seen[want] {
				t.Errorf("%s was not exercised", want)
			}
		}
	})
}

// The check itself can fail.
func TestContractFails(t *testing.T) {
	d := read(t, filepath.Join("testdata", "swagger.json"))
	for _, c := range []struct{ method, url, body, answer string }{
		{"PUT", "/api/v1/applications/x", "", "{}"},
		{"GET", "/api/v1/applications/x?reload=1", "", "{}"},
		{"POST", "/api/v1/applications/x/sync", `{"pruned":true}`, "{}"},
		{"POST", "/api/v1/applications/x/sync", `{"prune":"yes"}`, "{}"},
		{"GET", "/api/v1/applications/x", "", `{"status":{"reconciled":"now"}}`},
		{"GET", "/api/v1/applications/x", "", `{"status":{"resources":[{"type":"Deployment"}]}}`},
		{"GET", "/api/v1/applications/x", "", `{"status":{"resources":{}}}`[:25]},
	} {
		if len(d.exchange(httptest.NewRequest(c.method, c.url, nil), []byte(c.body), 200, []byte(c.answer))) == 0 {
			t.Errorf("%+v is taken for right", c)
		}
	}
}
