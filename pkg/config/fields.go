package config

import (
	"reflect"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads the tags of configuration structs. They are the only source of the parser, the defaults, the JSON
// Schema and the reference:
//
//	yaml:"key"       the key; a field without it, or with "-", is no configuration
//	required:"true"  must be given, after defaults and environment
//	default:"text"   as it would be written in YAML; a list is separated by commas
//	env:"A,B"        if not given, the first of these environment variables that is set and not empty
//	scalar:"true"    the one obvious key: the adapter may be written as a bare value, which is this key's
//	enum:"a,b"       the values it may have
//	example:"text"   for the reference
//	doc:"sentences"  for the reference and the schema: meaning, unit, limits
//	kind:"sink"      of a field that holds adapters: which

// field is one key.
type field struct {
	key      string
	index    []int // for reflect.Value.FieldByIndex
	class    class
	typ      reflect.Type // without pointers
	required bool
	scalar   bool
	def      string // "" is none: no default is empty
	env      []string
	enum     []string
	example  string
	doc      string
	kind     kind
	fields   []field // of a nested struct, or of the structs in a list
}

// class is how a value is written.
type class int

const (
	unknown  class = iota // a type that the loader cannot fill: a fault of the adapter
	str                   // string
	boolean               // bool
	integer               // int
	duration              // time.Duration, such as "90d"
	instant               // time.Time, in RFC 3339
	secret                // rotate.Secret, as {env: NAME} or {file: PATH}
	list                  // slice
	table                 // map from strings
	nested                // struct with the same tags
	adapter               // choice: one adapter by name
)

// classOf tells the class of a type, pointers aside.
func classOf(t reflect.Type) class {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return duration
	case reflect.TypeFor[time.Time]():
		return instant
	case reflect.TypeFor[rotate.Secret]():
		return secret
	case reflect.TypeFor[choice]():
		return adapter
	}
	switch t.Kind() {
	case reflect.String:
		return str
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int64, reflect.Int32:
		return integer
	case reflect.Slice:
		return list
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return table
		}
	case reflect.Struct:
		return nested
	}
	return unknown
}

func direct(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// fieldsOf lists the keys of a struct, in the order in which they are declared. Embedded structs without a
// key of their own lend theirs.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, _, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if key == "" && sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				out = append(out, f)
			}
			continue
		}
		if key == "" || key == "-" || !sf.IsExported() {
			continue
		}
		f := field{
			key:      key,
			index:    []int{i},
			typ:      direct(sf.Type),
			required: sf.Tag.Get("required") == "true",
			scalar:   sf.Tag.Get("scalar") == "true",
			def:      sf.Tag.Get("default"),
			env:      split(sf.Tag.Get("env")),
			enum:     split(sf.Tag.Get("enum")),
			example:  sf.Tag.Get("example"),
			doc:      sf.Tag.Get("doc"),
			kind:     kind(sf.Tag.Get("kind")),
		}
		f.class = classOf(f.typ)
		of := f.typ
		if f.class == list || f.class == table {
			of = direct(of.Elem())
		}
		if classOf(of) == nested {
			f.fields = fieldsOf(of)
		}
		out = append(out, f)
	}
	return out
}

func split(tag string) []string {
	if tag == "" {
		return nil
	}
	parts := strings.Split(tag, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

// obvious returns the field that a bare value is for, or nil.
func obvious(fields []field) *field {
	for i := range fields {
		if fields[i].scalar {
			return &fields[i]
		}
	}
	return nil
}

func keysOf(fields []field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return keys
}
