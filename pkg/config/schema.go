package config

import (
	"reflect"
	"strconv"
	"strings"
)

// This file describes a configuration as a JSON Schema, draft 2020-12, for editors. Its rule: the schema refuses
// nothing that [Load] accepts; what a single place cannot tell (a key that may come from `defaults`, a
// credential that is not set) is left to Load.

// Schema returns the JSON Schema of a configuration, indented, with a final newline.
func Schema() []byte { return schema(adapters()) }

func schema(c catalog) []byte {
	defs := object{
		{"variable", object{
			{"description", "A text with a variable of the matrix."},
			{"type", "string"}, {"pattern", `\$\{`},
		}},
		{"text", object{{"type", []any{"string", "number", "boolean"}}}},
		{"duration", object{
			{"description", "Numbers with units, the longest first: y (365 days), w, d, h, m (minutes), s; such as 90d or 1d12h."},
			{"anyOf", []any{
				object{{"type", "string"}, {"pattern", durationForm}, {"minLength", 1}},
				object{{"const", 0}},
				object{{"$ref", "#/$defs/variable"}},
			}},
		}},
		{"credential", object{
			{"description", "Where a credential comes from; it is never written here."},
			{"type", "object"},
			{"oneOf", []any{
				object{{"required", []any{"env"}}},
				object{{"required", []any{"file"}}},
			}},
			{"properties", object{
				{"env", object{{"description", "The name of an environment variable."}, {"type", "string"}, {"minLength", 1}}},
				{"file", object{{"description", "The path of a file; line ends after the credential are no part of it."}, {"type", "string"}, {"minLength", 1}}},
			}},
			{"additionalProperties", false},
		}},
	}
	rotation := fieldsOf(reflect.TypeFor[rotationKeys]())
	defs = append(defs, member{"rotation", object{
		{"type", "object"},
		{"required", []any{"name"}},
		{"properties", properties(rotation)},
		{"additionalProperties", false},
	}})
	for _, k := range []kind{aProvider, aSink, aVerifier} {
		var names []any
		var refs object
		for _, e := range c {
			if e.kind == k {
				names = append(names, e.name)
				refs = append(refs, member{e.name, object{{"$ref", "#/$defs/" + defName(e)}}})
			}
		}
		defs = append(defs, member{string(k), object{{"anyOf", []any{
			object{{"enum", names}},
			object{{"type", "object"}, {"minProperties", 1}, {"maxProperties", 1}, {"properties", refs}, {"additionalProperties", false}},
		}}}})
	}
	shared := object{}
	for _, m := range properties(rotation) {
		if !isOneOf(m.name, notDefaults) {
			shared = append(shared, m)
		}
	}
	for _, e := range c {
		defs = append(defs, member{defName(e), adapterSchema(e)})
		if same := c.named(e.name); same[0].kind == e.kind { // one entry for all of that name
			forms := make([]any, len(same))
			for i, s := range same {
				forms[i] = object{{"$ref", "#/$defs/" + defName(s)}}
			}
			if shared = append(shared, member{e.name, object{{"anyOf", forms}}}); len(forms) == 1 {
				shared[len(shared)-1].value = forms[0]
			}
		}
	}

	top := fieldsOf(reflect.TypeFor[topKeys]())
	var b strings.Builder
	write(&b, object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "remint configuration"},
		{"type", "object"},
		{"required", []any{"rotations"}},
		{"properties", object{
			{"rotations", object{
				{"description", find(top, "rotations").doc},
				{"type", "array"}, {"minItems", 1}, {"maxItems", maxRotations},
				{"items", object{{"$ref", "#/$defs/rotation"}}},
			}},
			{"defaults", object{
				{"description", find(top, "defaults").doc},
				{"type", "object"},
				{"properties", shared},
				{"additionalProperties", false},
			}},
			{"parallel", fieldSchema(*find(top, "parallel"))},
		}},
		{"additionalProperties", false},
		{"$defs", defs},
	}, "")
	b.WriteByte('\n')
	return []byte(b.String())
}

func isOneOf(s string, of []string) bool {
	for _, o := range of {
		if s == o {
			return true
		}
	}
	return false
}

func defName(e entry) string { return string(e.kind) + "-" + e.name }

func adapterSchema(e entry) object {
	fields := fieldsOf(reflect.TypeOf(e.make()).Elem())
	forms := []any{
		object{{"type", "null"}},
		object{{"type", "object"}, {"properties", properties(fields)}, {"additionalProperties", false}},
	}
	if f := obvious(fields); f != nil {
		forms = append([]any{valueSchema(*f, f.class, f.typ)}, forms...)
	}
	return object{{"description", e.summary}, {"anyOf", forms}}
}

func properties(fields []field) object {
	o := object{}
	for _, f := range fields {
		o = append(o, member{f.key, fieldSchema(f)})
	}
	return o
}

// fieldSchema is the schema of a key, with what is to be said about it.
func fieldSchema(f field) object {
	o := object{}
	doc := f.doc
	if len(f.env) > 0 {
		doc = strings.TrimSpace(doc + " If not given: the environment variable " + strings.Join(f.env, ", or ") + ".")
	}
	if doc != "" {
		o = append(o, member{"description", doc})
	}
	o = append(o, valueSchema(f, f.class, f.typ)...)
	switch {
	case f.def == "" || f.class == list:
	case f.class == boolean:
		o = append(o, member{"default", f.def == "true"})
	case f.class == integer:
		n, _ := strconv.Atoi(f.def)
		o = append(o, member{"default", n})
	default:
		o = append(o, member{"default", f.def})
	}
	if f.example != "" && (f.class == str || f.class == duration || f.class == instant) {
		o = append(o, member{"examples", []any{f.example}})
	}
	return o
}

// valueSchema is the schema of a value of a class; f says the rest about it.
func valueSchema(f field, c class, t reflect.Type) object {
	or := func(o object) object {
		return object{{"anyOf", []any{o, object{{"$ref", "#/$defs/variable"}}}}}
	}
	switch c {
	case boolean:
		return or(object{{"type", "boolean"}})
	case integer:
		return or(object{{"type", "integer"}})
	case duration:
		return object{{"$ref", "#/$defs/duration"}}
	case instant:
		return or(object{{"type", "string"}, {"format", "date-time"}})
	case secret:
		return object{{"$ref", "#/$defs/credential"}}
	case adapter:
		return object{{"$ref", "#/$defs/" + string(f.kind)}}
	case nested:
		keys := object{{"type", "object"}, {"properties", properties(f.fields)}, {"additionalProperties", false}}
		if o := obvious(f.fields); o != nil {
			return object{{"anyOf", []any{valueSchema(*o, o.class, o.typ), keys}}}
		}
		return keys
	case list:
		of := direct(t.Elem())
		item := valueSchema(f, classOf(of), of)
		items := object{{"type", "array"}, {"items", item}}
		if f.required {
			items = append(items, member{"minItems", 1})
		}
		switch classOf(of) {
		case adapter, nested, table, secret, list:
			return items
		}
		return object{{"anyOf", []any{items, item}}}
	case table:
		of := direct(t.Elem())
		return object{{"type", "object"}, {"additionalProperties", valueSchema(field{fields: f.fields}, classOf(of), of)}}
	}
	if len(f.enum) > 0 {
		var values []any
		for _, v := range f.enum {
			values = append(values, v)
		}
		return or(object{{"enum", values}})
	}
	return object{{"$ref", "#/$defs/text"}}
}

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// write writes JSON, indented; values are object, []any, string, bool and int.
func write(b *strings.Builder, v any, indent string) {
	inner := indent + "  "
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			b.WriteString("{}")
			return
		}
		for i, m := range v {
			b.WriteString(opening("{", i) + inner + jsonString(m.name) + ": ")
			write(b, m.value, inner)
		}
		b.WriteString("\n" + indent + "}")
	case []any:
		if len(v) == 0 {
			b.WriteString("[]")
			return
		}
		for i, e := range v {
			b.WriteString(opening("[", i) + inner)
			write(b, e, inner)
		}
		b.WriteString("\n" + indent + "]")
	case string:
		b.WriteString(jsonString(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	}
}

func opening(bracket string, i int) string {
	if i == 0 {
		return bracket + "\n"
	}
	return ",\n"
}

// jsonString quotes text that tags hold: printable, so that only two characters need an escape.
func jsonString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}
