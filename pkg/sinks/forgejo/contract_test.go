package forgejo

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emu "github.com/remint-dev/remint/internal/emulate/forgejo"
)

// What the sink sends and what the emulation answers is held against Gitea's own description of its API:
// templates/swagger/v1_openapi3_json.tmpl of the module code.gitea.io/gitea v1.27.3. testdata/gitea-openapi.json
// is an extract (licence beside it), made by
//
//	REMINT_GITEA_SWAGGER=FILE go test ./pkg/sinks/forgejo -run Extract -update
//
// Stricter than the description asks: a property that it does not know is an error too.

var update = flag.Bool("update", false, "write testdata anew")

const extractFile = "testdata/gitea-openapi.json"

// described are the paths of the description that are used.
var described = regexp.MustCompile(`^(/version|/user|/repos/\{owner\}/\{repo\}(/contents/\{filepath\})?` +
	`|(/repos/\{owner\}/\{repo\}|/orgs/\{org\}|/user)/actions/(secrets|variables)(/\{\w+\})?` +
	`|/repos/\{owner\}/\{repo\}/actions/(tasks|runs(/\{run\}(/jobs)?)?|workflows(/\{workflow_id\}(/disable|/enable|/dispatches)?)?))$`)

type object = map[string]any

// extract cuts the used paths, and what they refer to, out of the description.
func extract(origin []byte) (object, error) {
	var doc object
	if err := json.Unmarshal(regexp.MustCompile(`\{\{[^}]*\}\}`).ReplaceAll(origin, nil), &doc); err != nil {
		return nil, err
	}
	paths := object{}
	for path, item := range doc["paths"].(object) {
		if described.MatchString(path) {
			paths[path] = item
		}
	}
	out := object{"paths": paths, "components": object{}}
	var take func(any)
	take = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				take(x)
			}
		case object:
			for key, x := range v {
				if _, text := x.(string); text && slices.Contains([]string{"description", "summary", "operationId", "x-go-name", "x-go-package", "example"}, key) {
					delete(v, key)
				}
			}
			delete(v, "tags")
			ref, _ := v["$ref"].(string)
			if parts := strings.Split(ref, "/"); len(parts) == 4 {
				group, _ := out["components"].(object)[parts[2]].(object)
				if group == nil {
					group = object{}
					out["components"].(object)[parts[2]] = group
				}
				if group[parts[3]] == nil {
					group[parts[3]] = doc["components"].(object)[parts[2]].(object)[parts[3]]
					take(group[parts[3]])
				}
			}
			for _, x := range v {
				take(x)
			}
		}
	}
	take(paths)
	return out, nil
}

// The extract is what the origin says.
func TestExtract(t *testing.T) {
	file := os.Getenv("REMINT_GITEA_SWAGGER")
	if file == "" {
		t.Skip("set REMINT_GITEA_SWAGGER to v1_openapi3_json.tmpl of code.gitea.io/gitea v1.27.3")
	}
	origin, err := os.ReadFile(file)
	must(t, err)
	doc, err := extract(origin)
	must(t, err)
	want, err := json.MarshalIndent(doc, "", " ")
	must(t, err)
	want = append(want, '\n')
	if *update {
		must(t, os.WriteFile(extractFile, want, 0o644))
	}
	got, err := os.ReadFile(extractFile)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what %s says; run with -update", extractFile, file)
	}
}

// contract is a wire that checks every request and answer on its way.
type contract struct {
	fail func(format string, args ...any)
	doc  object
	next http.RoundTripper
	used map[string]bool // "PUT /path 204"
}

func (c *contract) resolve(v any) object {
	o, _ := v.(object)
	for o["$ref"] != nil {
		parts := strings.Split(o["$ref"].(string), "/")
		o = c.doc["components"].(object)[parts[2]].(object)[parts[3]].(object)
	}
	return o
}

// path finds the path of the description that fits, with the fewest parameters.
func (c *contract) path(path string) (string, object) {
	given := strings.Split(path, "/")
	best, least := "", len(given)+1
	for pattern := range c.doc["paths"].(object) {
		parts := strings.Split(pattern, "/")
		if last := parts[len(parts)-1]; last == "{filepath}" && len(given) > len(parts) {
			parts = append(parts[:len(parts)-1], given[len(parts)-1:]...)
		}
		parameters, ok := 0, len(parts) == len(given)
		for i := 0; ok && i < len(parts); i++ {
			if strings.HasPrefix(parts[i], "{") {
				parameters++
			} else {
				ok = parts[i] == given[i]
			}
		}
		if ok && parameters < least {
			best, least = pattern, parameters
		}
	}
	o, _ := c.doc["paths"].(object)[best].(object)
	return best, o
}

// RoundTrip implements http.RoundTripper.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1")
	if !ok {
		return c.next.RoundTrip(r)
	}
	pattern, item := c.path(path)
	operation := c.resolve(item[strings.ToLower(r.Method)])
	if operation == nil {
		c.fail("%s %s is not in the description", r.Method, path)
		return c.next.RoundTrip(r)
	}
	at := r.Method + " " + pattern
	known := map[string]bool{}
	for _, p := range append(list(item["parameters"]), list(operation["parameters"])...) {
		p := c.resolve(p)
		known[p["in"].(string)+" "+p["name"].(string)] = true
	}
	for name := range r.URL.Query() {
		if !known["query "+name] {
			c.fail("%s has no query %q", at, name)
		}
	}
	if r.Body != nil && r.Body != http.NoBody {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		if len(b) > 0 {
			c.body(at+" request", c.resolve(operation["requestBody"]), b)
		}
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	at += fmt.Sprint(" ", resp.StatusCode)
	c.used[at] = true
	answer := c.resolve(operation["responses"].(object)[fmt.Sprint(resp.StatusCode)])
	switch {
	case answer == nil && resp.StatusCode < 400:
		c.fail("%s is not in the description", at)
	case answer == nil: // many refusals are not described
	case answer["content"] == nil && resp.StatusCode < 300:
		if len(b) > 0 {
			c.fail("%s has a body: %s", at, b)
		}
	default:
		c.body(at, answer, b)
	}
	return resp, nil
}

func list(v any) []any { l, _ := v.([]any); return l }

func (c *contract) body(at string, described object, text []byte) {
	content, _ := described["content"].(object)
	media := c.resolve(content["application/json"])
	if media == nil {
		if media = c.resolve(content["*/*"]); media == nil {
			return
		}
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		c.fail("%s: %v in %s", at, err, text)
		return
	}
	c.value(at, c.resolve(media["schema"]), v)
}

// value checks a value against a schema.
func (c *contract) value(at string, schema object, v any) {
	bad := func() { c.fail("%s: %v is not what the description says: %v", at, v, schema["type"]) }
	if all := list(schema["allOf"]); len(all) == 1 {
		schema = c.resolve(all[0])
	}
	switch schema["type"] {
	case "object":
		o, ok := v.(object)
		if !ok {
			bad()
			return
		}
		for _, name := range list(schema["required"]) {
			if o[name.(string)] == nil {
				c.fail("%s: %s is missing", at, name)
			}
		}
		properties, _ := schema["properties"].(object)
		for name, x := range o {
			if name == "username" {
				continue // a user's login again: sent by the server, missing in its description
			}
			if described := c.resolve(properties[name]); described != nil {
				c.value(at+"."+name, described, x)
			} else if more := c.resolve(schema["additionalProperties"]); more != nil {
				c.value(at+"."+name, more, x)
			} else {
				c.fail("%s: there is no %s in the description", at, name)
			}
		}
	case "array":
		l, ok := v.([]any)
		if !ok && v != nil {
			bad()
		}
		for i, x := range l {
			c.value(fmt.Sprintf("%s[%d]", at, i), c.resolve(schema["items"]), x)
		}
	case "string":
		text, ok := v.(string)
		if ok && schema["format"] == "date-time" {
			_, err := time.Parse(time.RFC3339, text)
			ok = err == nil
		}
		if !ok {
			bad()
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			bad()
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			bad()
		}
	}
}

func TestContract(t *testing.T) {
	text, err := os.ReadFile(extractFile)
	must(t, err)
	f := newForge(emu.Gitea)
	c := &contract{fail: t.Errorf, next: f.wire, used: map[string]bool{}}
	must(t, json.Unmarshal(text, &c.doc))
	ctx := t.Context()

	// The sink, at every level: made, replaced, restored, verified, refused.
	for _, set := range []func(*Secret){func(*Secret) {}, func(s *Secret) { s.Org = "acme" }, func(s *Secret) { s.User = true }} {
		s := f.sink()
		set(s)
		s.Create, s.Transport = true, c
		must(t, s.Check(ctx))
		ageless := credential(1)
		ageless.ID = "tok-1b"
		for _, x := range []int{1, 2, 1} {
			must(t, s.Write(ctx, credential(x)))
		}
		must(t, s.Write(ctx, ageless))
		must(t, s.Mark(ctx, ageless.Token))
		_, err := s.Held(ctx)
		must(t, err)
	}
	none := f.sink()
	none.Repository, none.Transport = "alice/nope", c
	if none.Check(ctx) == nil {
		t.Error("a missing repository passed")
	}

	// The rest of the emulation, which package dispatch talks to.
	f.AddWorkflow("alice/web", "deploy.yml", emu.Workflow{Name: "Deploy", Inputs: []emu.Input{{Name: "remint"}}})
	const actions = "repos/alice/web/actions/"
	id := f.AddRun("alice/web", emu.Run{Workflow: "deploy.yml"})
	for _, x := range []struct{ method, path, body string }{
		{"GET", "version", ""},
		{"GET", "user", ""},
		{"GET", "repos/alice/web", ""},
		{"GET", "repos/alice/web/contents/.gitea/workflows/deploy.yml?ref=main", ""},
		{"GET", actions + "workflows", ""},
		{"GET", actions + "workflows/deploy.yml", ""},
		{"POST", actions + "workflows/deploy.yml/dispatches", `{"ref":"main","inputs":{"remint":"x"}}`},
		{"POST", actions + "workflows/deploy.yml/dispatches?return_run_details=true", `{"ref":"main"}`},
		{"POST", actions + "workflows/deploy.yml/dispatches", `{"ref":"nope"}`},
		{"POST", actions + "workflows/deploy.yml/dispatches", `{"ref":""}`},
		{"PUT", actions + "workflows/deploy.yml/disable", ""},
		{"POST", actions + "workflows/deploy.yml/dispatches", `{"ref":"main"}`},
		{"PUT", actions + "workflows/deploy.yml/enable", ""},
		{"GET", actions + "runs?event=workflow_dispatch&status=completed&branch=main&limit=5&page=1", ""},
		{"GET", actions + "runs?status=bogus", ""},
		{"GET", fmt.Sprint(actions, "runs/", id), ""},
		{"GET", fmt.Sprint(actions, "runs/", id, "/jobs"), ""},
		{"GET", actions + "runs/999999", ""},
		{"GET", actions + "tasks?limit=5", ""},
		{"GET", actions + "variables", ""},
		{"DELETE", actions + "secrets/FLY_DEPLOY_TOKEN", ""},
	} {
		r, err := http.NewRequestWithContext(ctx, x.method, "https://"+host+"/api/v1/"+x.path, strings.NewReader(x.body))
		must(t, err)
		r.Header.Set("Authorization", "token "+ownerToken)
		resp, err := c.RoundTrip(r)
		must(t, err)
		_ = resp.Body.Close()
	}
	if len(c.used) < 48 {
		t.Errorf("only %d operations and statuses were seen: %s", len(c.used), strings.Join(slices.Sorted(maps.Keys(c.used)), "\n"))
	}
}

// The contract itself refuses what is wrong.
func TestContractRefuses(t *testing.T) {
	text, err := os.ReadFile(extractFile)
	must(t, err)
	for name, x := range map[string]struct{ method, path, body, answer string }{
		"path":             {"GET", "repos/a/b/actions/secret", "", `[]`},
		"method":           {"PATCH", "repos/a/b/actions/secrets/N", "", ``},
		"query":            {"GET", "repos/a/b/actions/runs?created=x", "", `{"workflow_runs":[],"total_count":0}`},
		"request type":     {"PUT", "repos/a/b/actions/secrets/N", `{"data":1}`, ``},
		"request property": {"PUT", "repos/a/b/actions/secrets/N", `{"data":"x","value":"x"}`, ``},
		"request required": {"PUT", "repos/a/b/actions/secrets/N", `{"description":"x"}`, ``},
		"answer":           {"GET", "repos/a/b/actions/secrets", "", `[{"name":1}]`},
		"answer property":  {"GET", "repos/a/b/actions/secrets", "", `[{"nam":"x"}]`},
		"answer time":      {"GET", "repos/a/b/actions/secrets", "", `[{"created_at":"today"}]`},
		"answer no list":   {"GET", "repos/a/b/actions/secrets", "", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			c := &contract{fail: func(string, ...any) { found++ }, used: map[string]bool{}, next: &emulate.Wire{Route: func(string) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if x.answer == "" {
						w.WriteHeader(http.StatusNoContent)
					}
					_, _ = io.WriteString(w, x.answer)
				})
			}}}
			must(t, json.Unmarshal(text, &c.doc))
			r, err := http.NewRequestWithContext(t.Context(), x.method, "https://"+host+"/api/v1/"+x.path, strings.NewReader(x.body))
			must(t, err)
			resp, err := c.RoundTrip(r)
			must(t, err)
			_ = resp.Body.Close()
			if found == 0 {
				t.Error("nothing was found")
			}
		})
	}
}
