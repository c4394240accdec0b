package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/rotate"
)

// judge is as much of a JSON Schema validator as the schema needs; a keyword it does not know is an error.
type judge struct {
	root map[string]any
	t    *testing.T
}

func (j judge) valid(schema any, v any) bool {
	s, ok := schema.(map[string]any)
	if !ok {
		return schema.(bool)
	}
	if t, ok := v.(time.Time); ok {
		v = t.Format(time.RFC3339) // only Go's YAML makes something of it that is no text
	}
	m, isMap := v.(map[string]any)
	l, isList := v.([]any)
	text, isText := v.(string)
	for word, arg := range s {
		fine := true
		switch word {
		case "$schema", "$defs", "title", "description", "default", "examples", "format":
		case "$ref":
			name, found := strings.CutPrefix(arg.(string), "#/$defs/")
			def, ok := j.root["$defs"].(map[string]any)[name]
			if !found || !ok {
				j.t.Fatalf("dangling %v", arg)
			}
			fine = j.valid(def, v)
		case "type":
			types, ok := arg.([]any)
			if !ok {
				types = []any{arg}
			}
			fine = false
			for _, name := range types {
				_, isBool := v.(bool)
				_, isInt := v.(int)
				_, isFloat := v.(float64)
				fine = fine || map[any]bool{"object": isMap, "array": isList, "string": isText, "boolean": isBool,
					"integer": isInt, "number": isInt || isFloat, "null": v == nil}[name]
			}
		case "enum":
			fine = false
			for _, e := range arg.([]any) {
				fine = fine || e == v
			}
		case "const":
			fine = fmt.Sprint(arg) == fmt.Sprint(v)
		case "pattern":
			fine = !isText || regexp.MustCompile(arg.(string)).MatchString(text)
		case "minLength":
			fine = !isText || len(text) >= int(arg.(float64))
		case "minItems":
			fine = !isList || len(l) >= int(arg.(float64))
		case "maxItems":
			fine = !isList || len(l) <= int(arg.(float64))
		case "minProperties":
			fine = !isMap || len(m) >= int(arg.(float64))
		case "maxProperties":
			fine = !isMap || len(m) <= int(arg.(float64))
		case "required":
			for _, k := range arg.([]any) {
				if _, ok := m[k.(string)]; isMap && !ok {
					fine = false
				}
			}
		case "items":
			for _, e := range l {
				fine = fine && j.valid(arg, e)
			}
		case "properties":
			for k, e := range m {
				if p, ok := arg.(map[string]any)[k]; ok {
					fine = fine && j.valid(p, e)
				}
			}
		case "additionalProperties":
			known, _ := s["properties"].(map[string]any)
			for k, e := range m {
				if _, ok := known[k]; !ok {
					fine = fine && j.valid(arg, e)
				}
			}
		case "anyOf", "oneOf":
			n := 0
			for _, o := range arg.([]any) {
				if j.valid(o, v) {
					n++
				}
			}
			fine = n == 1 || n > 1 && word == "anyOf"
		default:
			j.t.Fatalf("keyword %s", word)
		}
		if !fine {
			return false
		}
	}
	return true
}

func newJudge(t *testing.T, schema []byte) judge {
	t.Helper()
	j := judge{t: t}
	if err := json.Unmarshal(schema, &j.root); err != nil {
		t.Fatalf("%v\n%s", err, schema)
	}
	return j
}

func fromYAML(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchema(t *testing.T) {
	j := newJudge(t, schema(fakes()))
	rotation := func(lines string) string {
		return "rotations:\n  - name: a\n    provider: {fly: {app: web, expiry: 90d}}\n    sinks: [github: A]\n" + lines
	}
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"four lines", four, true},
		{"every form", everything, true},
		{"plain", rotation(""), true},
		{"from defaults", "defaults: {provider: fly, sinks: [github: A], verify: [sync]}\nrotations: [{name: a}]", true},
		{"unknown key", rotation("    evry: 1d\n"), false},
		{"no unit", rotation("    every: 90\n"), false},
		{"zero", rotation("    grace: 0\n"), true},
		{"variable", rotation("    grace: ${x}\n    max-revoke: ${y}\n"), true},
		{"no rotations", "parallel: 1", false},
		{"unknown top key", "rotation: []\n" + four, false},
		{"unknown adapter", rotation("    verify: [dispach]\n"), false},
		{"adapter of another kind", rotation("    verify: [github]\n"), false},
		{"two in one", rotation("    verify: [{sync: , command: x}]\n"), false},
		{"unknown adapter key", rotation("    verify: [{dispatch: {worklow: x}}]\n"), false},
		{"secret inline", rotation("    verify: [{command: {args: x, env: {A: text}}}]\n"), false},
		{"secret twice", rotation("    verify: [{command: {args: x, env: {A: {env: A, file: B}}}}]\n"), false},
		{"secret", rotation("    verify: [{command: {args: x, env: {A: {file: B}}}}]\n"), true},
		{"enum", strings.Replace(rotation(""), "github: A", "github: {name: A, kind: repo}", 1), false},
		{"list for text", strings.Replace(rotation(""), "name: a", "name: [a]", 1), false},
	} {
		if got := j.valid(j.root, fromYAML(t, tt.text)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files { // what Load accepts, the schema accepts
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load(text, with(runner()), fakes()); err == nil && !j.valid(j.root, fromYAML(t, string(text))) {
			t.Errorf("%s is accepted by Load only", file)
		}
	}
}

// TestAdapters holds the list of adapters to what the loader, the schema and the reference expect of it.
func TestAdapters(t *testing.T) {
	for name, c := range map[string]catalog{"fakes": fakes(), "list": adapters()} {
		seen := map[string]bool{}
		for _, k := range append(keysOf(fieldsOf(reflect.TypeFor[rotationKeys]())), keysOf(fieldsOf(reflect.TypeFor[topKeys]()))...) {
			seen[k] = true
		}
		for _, e := range c {
			if seen[e.name] || seen[defName(e)] {
				t.Errorf("%s: %s is a key of a rotation, or another %s", name, e.name, e.kind)
			}
			seen[defName(e)] = true
			v := reflect.TypeOf(e.make())
			if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
				t.Errorf("%s: %s is %s, want a pointer to a struct", name, e.name, v)
				continue
			}
			if !strings.HasSuffix(e.summary, ".") {
				t.Errorf("%s: the summary of %s is no sentence: %q", name, e.name, e.summary)
			}
			fields := fieldsOf(v.Elem())
			if name == "list" {
				documented(t, e.name, fields)
			}
			if _, ok := fillable(fields); !ok {
				f, _ := fillable(fields)
				t.Errorf("%s: %s.%s has the type %s, which the loader cannot fill", name, e.name, f.key, f.typ)
			}
			scalars := 0
			for _, f := range fields {
				if f.scalar {
					scalars++
				}
				if f.def != "" {
					d := (&loader{}).decoder("", "", nil, noVariables())
					if err := d.scalar(f.def, reflect.New(f.typ).Elem(), &f, f.class); err != nil {
						t.Errorf("%s: %s.%s: default %q: %v", name, e.name, f.key, f.def, err)
					}
				}
			}
			if scalars > 1 {
				t.Errorf("%s: %s has %d obvious keys", name, e.name, scalars)
			}
		}
	}
}

func documented(t *testing.T, name string, fields []field) {
	for _, f := range fields {
		if !strings.HasSuffix(f.doc, ".") {
			t.Errorf("%s.%s: the doc is no sentence: %q", name, f.key, f.doc)
		}
		documented(t, name+"."+f.key, f.fields)
	}
}

func fillable(fields []field) (field, bool) {
	for _, f := range fields {
		of, c := f.typ, f.class
		for c == list || c == table {
			of = direct(of.Elem())
			c = classOf(of)
		}
		if c == unknown {
			return f, false
		}
		if g, ok := fillable(f.fields); !ok {
			return g, false
		}
	}
	return field{}, true
}

// TestSamples loads the example on every adapter's page.
func TestSamples(t *testing.T) {
	for name, c := range map[string]catalog{"fakes": fakes(), "list": adapters()} {
		for _, e := range c {
			text := "rotations:\n  - name: a\n    every: 30d\n" + indent(e.sample(fieldsOf(reflect.TypeOf(e.make()).Elem())), "    ")
			var trouble Problems
			env := runner()
			if env["GITHUB_API_URL"] = "https://git.example.com/api/v1"; e.name == "github" {
				env["GITHUB_API_URL"] = "https://api.github.com"
			}
			env["AWS_REGION"] = "eu-west-1"
			o := with(env)
			o.Invent = func(_, key string) rotate.Secret { return rotate.NewSecret("made-up-" + key) }
			_, err := load([]byte(text), o, c)
			if err != nil {
				trouble = err.(Problems)
			}
			for _, p := range trouble { // the rest of the rotation is missing on purpose
				if strings.Contains(p.Key, e.name) && !strings.Contains(p.Message, "cannot say which token") {
					t.Errorf("%s: %s\n%s", name, p, text)
				}
			}
		}
	}
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(text, "\n", "\n"+by) + "\n"
}

// TestReference compares the pages and the schema in the repository with what the tags say. -update rewrites
// them.
func TestReference(t *testing.T) {
	if len(adapters()) == 0 {
		t.Skip("no adapters")
	}
	golden(t, "../../remint.schema.json", string(Schema()))
	pages := Reference()
	for name, page := range pages {
		golden(t, filepath.Join("../../docs/reference", name), string(page))
	}
	// What is there of ours, but no longer generated.
	files, _ := filepath.Glob("../../docs/reference/*.md")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := pages[filepath.Base(file)]; ok || !strings.HasPrefix(string(text), generated) {
			continue
		}
		if *update {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s belongs to no adapter", file)
	}
}

func TestReferencePages(t *testing.T) {
	for name, page := range reference(fakes()) {
		golden(t, filepath.Join("testdata/reference", name), string(page))
	}
	golden(t, "testdata/reference/schema.json", string(schema(fakes())))
}
