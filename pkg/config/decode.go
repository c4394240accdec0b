package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// This file fills structs from nodes, by their tags. Its rules:
//
//   - The field says what a value is, not YAML's guess: `account: 012` is the text 012.
//   - A value is taken from the first of: the place itself, `defaults`, the environment, the tag.
//   - Variables are replaced when a text is taken, never in keys.

// decoder fills one struct: the keys of a rotation, or of one adapter.
type decoder struct {
	*loader
	base  string                // such as "rotations[0].provider.fly"
	name  string                // of the adapter; "" for a rotation
	where *yaml.Node            // what to point at for want of better
	vars  *variables            //
	at    map[string]*yaml.Node // by key, as in rotate.Field: the value given
	from  map[string]string     // by key: the environment variable that gave it
	bad   map[string]bool       // by key: complained about
	lent  lent                  // of a rotation
}

// pair is a key and its value.
type pair struct {
	name  string
	key   *yaml.Node // nil for a bare value
	value *yaml.Node
}

func (l *loader) decoder(base, name string, where *yaml.Node, vars *variables) *decoder {
	return &decoder{loader: l, base: base, name: name, where: where, vars: vars,
		at: map[string]*yaml.Node{}, from: map[string]string{}, bad: map[string]bool{}}
}

func (d *decoder) path(key string) string {
	if key == "" || d.base == "" {
		return d.base + key
	}
	return d.base + "." + key
}

func (d *decoder) report(at *yaml.Node, key, format string, args ...any) {
	d.bad[key] = true
	d.wrong.add(at.Line, at.Column, d.path(key), fmt.Sprintf(format, args...))
}

// pairs lists the keys of a mapping. What is no proper key was reported by the parser.
func pairs(m *yaml.Node) []pair {
	out := make([]pair, 0, len(m.Content)/2)
	seen := make(map[string]bool, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" || seen[k.Value] {
			continue
		}
		seen[k.Value] = true
		out = append(out, pair{k.Value, k, m.Content[i+1]})
	}
	return out
}

func lookup(ps []pair, key string) *yaml.Node {
	for _, p := range ps {
		if p.name == key {
			return p.value
		}
	}
	return nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// structure fills a struct from what is given and, for keys that are not, from fallback, the environment and
// the tags. where is the place of the struct, prefix the keys above it.
func (d *decoder) structure(v reflect.Value, fields []field, given, fallback []pair, where *yaml.Node, prefix string) {
	for _, p := range given {
		if p.key != nil && find(fields, p.name) == nil {
			d.unknownKey(p.key, prefix, fields)
		}
	}
	for i := range fields {
		f := &fields[i]
		n := lookup(given, f.key)
		if n == nil {
			n = lookup(fallback, f.key)
		}
		key := prefix + f.key
		if n != nil {
			d.at[key] = n
			d.value(n, v.FieldByIndex(f.index), f, f.class, key)
			continue
		}
		d.absent(v.FieldByIndex(f.index), f, where, key)
	}
}

func (d *decoder) unknownKey(k *yaml.Node, prefix string, fields []field) {
	if d.bad[prefix+bare(k.Value)] = true; d.wrong.full() {
		return
	}
	known := keysOf(fields)
	hint := ""
	if nearest(k.Value, known) == "" && d.name == "" {
		// A key of an adapter that slipped out of it.
		for _, e := range d.catalog {
			if find(d.fields(reflect.TypeOf(e.make()).Elem()), k.Value) != nil {
				hint = fmt.Sprintf("; %s has a key of this name: indent it", e.name)
				break
			}
		}
	}
	if hint == "" {
		hint = meant(k.Value, known)
	}
	d.report(k, prefix+bare(k.Value), "unknown key%s", hint)
}

// absent fills a field that the configuration does not give.
func (d *decoder) absent(v reflect.Value, f *field, where *yaml.Node, key string) {
	if f.class == secret {
		d.absentSecret(v, f, where, key)
		return
	}
	for _, name := range f.env {
		if text := d.Getenv(name); text != "" {
			d.from[key] = name
			if err := d.scalar(text, indirect(v), f, f.class); err != nil {
				d.report(where, key, "the environment variable %s: %v", name, err)
			}
			return
		}
	}
	switch {
	case f.def != "":
		if err := d.scalar(f.def, indirect(v), f, f.class); err != nil {
			d.report(where, key, "its default: %v", err) // a fault of the adapter
		}
	case f.required && len(f.env) > 0:
		d.bad[key] = true
		d.wrong.once(where, d.path(key), fmt.Sprintf("missing; give %s, or set %s", f.key, strings.Join(f.env, " or ")))
	case f.required:
		d.report(where, key, "missing; %s", want(f))
	case f.class == nested && v.Kind() == reflect.Struct:
		d.structure(v, optional(f.fields), nil, nil, where, key+".")
	}
}

// optional are the fields of a struct that was not given: what the environment and the tags say still holds.
func optional(fields []field) []field {
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i].required = false
	}
	return fields
}

// want says how a missing key would be written.
func want(f *field) string {
	switch {
	case f.class == secret:
		return fmt.Sprintf("give %s: {env: NAME} or {file: PATH}", f.key)
	case f.example != "":
		return fmt.Sprintf("give %s, such as %s: %s", f.key, f.key, f.example)
	}
	return "give " + f.key
}

func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// value fills one field, or one element of a list or mapping.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f *field, c class, key string) {
	if isNull(n) && c != adapter {
		if c == secret {
			d.report(n, key, "no value; give {env: NAME} or {file: PATH}, or remove the key")
			return
		}
		d.report(n, key, "no value; give one, or remove the key")
		return
	}
	v = indirect(v)
	switch c {
	case secret:
		d.secret(n, v, key)
	case adapter:
		v.Set(reflect.ValueOf(d.choice(n, f.kind, key)))
	case list:
		d.list(n, v, f, key)
	case table:
		d.table(n, v, f, key)
	case nested:
		if n.Kind != yaml.MappingNode {
			if o := obvious(f.fields); o != nil && n.Kind == yaml.ScalarNode {
				d.structure(v, f.fields, []pair{{o.key, nil, n}}, nil, n, key+".")
				return
			}
			d.report(n, key, "want a mapping with the keys %s, found %s", strings.Join(keysOf(f.fields), ", "), found(n))
			return
		}
		d.structure(v, f.fields, pairs(n), nil, n, key+".")
	default:
		if n.Kind != yaml.ScalarNode {
			d.report(n, key, "want %s, found %s", wanted(c), found(n))
			return
		}
		text, err := d.vars.expand(n.Value)
		if err == nil {
			err = d.scalar(text, v, f, c)
		}
		if err != nil {
			d.report(n, key, "%v", err)
		}
	}
}

// scalar fills a field of a class that one piece of text can express.
func (d *decoder) scalar(text string, v reflect.Value, f *field, c class) error {
	switch c {
	case list:
		of := direct(v.Type().Elem())
		for _, part := range split(text) {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := d.scalar(part, indirect(e), f, classOf(of)); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
		return nil
	case duration:
		t, err := ParseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(t))
	case instant:
		if strings.EqualFold(text, "now") {
			return fmt.Errorf("`now` would be another instant at each run; write the time at which you learned of it, such as %s, or use the input or flag `compromised` for one run", exampleTime)
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("%s is no time with date and zone; write it as %s", quote(text), exampleTime)
		}
		v.Set(reflect.ValueOf(t))
	case boolean:
		switch text {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return fmt.Errorf("want true or false, found %s", quote(text))
		}
	case integer:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("want a whole number, found %s", quote(text))
		}
		v.SetInt(i)
	case unknown, secret, table, nested, adapter:
		return fmt.Errorf("cannot be written as one value")
	default:
		if text == "" {
			return fmt.Errorf("an empty text; give one, or remove the key")
		}
		v.SetString(text)
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return fmt.Errorf("%s is none of %s%s", quote(text), strings.Join(f.enum, ", "), perhaps(text, f.enum))
	}
	return nil
}

const exampleTime = "2026-01-31T15:04:05Z"

func perhaps(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f *field, key string) {
	of := classOf(direct(v.Type().Elem()))
	items := n.Content
	if n.Kind != yaml.SequenceNode {
		if n.Kind != yaml.ScalarNode || of == adapter || of == nested {
			d.report(n, key, "want a list, found %s; begin each entry with `- `", found(n))
			return
		}
		items = []*yaml.Node{n} // a list of one may be written as the one
	}
	if len(items) == 0 && f.required {
		d.report(n, key, "the list is empty; give at least one")
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		k := fmt.Sprintf("%s[%d]", key, i)
		d.at[k] = item
		d.value(item, out.Index(i), f, of, k)
	}
	v.Set(out)
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, f *field, key string) {
	if n.Kind != yaml.MappingNode {
		d.report(n, key, "want a mapping of names to values, found %s", found(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	of := v.Type().Elem()
	for _, p := range pairs(n) {
		k := key + "." + p.name
		d.at[k] = p.value
		e := reflect.New(of).Elem()
		if p.value.Kind == yaml.ScalarNode && p.value.Value == "" && !isNull(p.value) && direct(of).Kind() == reflect.String {
			out.SetMapIndex(reflect.ValueOf(p.name).Convert(v.Type().Key()), e) // a header or input may be empty on purpose
			continue
		}
		d.value(p.value, e, f, classOf(direct(of)), key+"."+bare(p.name))
		out.SetMapIndex(reflect.ValueOf(p.name).Convert(v.Type().Key()), e)
	}
	v.Set(out)
}

// found says what a node is, without its value.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if isNull(n) {
		return "nothing"
	}
	return "a single value"
}

func wanted(c class) string {
	switch c {
	case boolean:
		return "true or false"
	case integer:
		return "a whole number"
	case duration:
		return "a duration such as 90d"
	case instant:
		return "a time such as " + exampleTime
	}
	return "text"
}
