package config

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file finds credentials. No message in it repeats what stands where a credential should be: it may
// be one, written in the wrong place.

// secret reads {env: NAME} or {file: PATH}.
func (d *decoder) secret(n *yaml.Node, v reflect.Value, key string) {
	const form = "{env: NAME} or {file: PATH}"
	if n.Kind != yaml.MappingNode {
		d.report(n, key, "a credential is never written in a configuration; give "+form+", and replace it at its provider if it was a real one")
		return
	}
	ps := pairs(n)
	if len(ps) != 1 || ps[0].name != "env" && ps[0].name != "file" || ps[0].value.Kind != yaml.ScalarNode || isNull(ps[0].value) {
		d.report(n, key, "want "+form)
		return
	}
	name, err := d.vars.expand(ps[0].value.Value)
	if err != nil {
		d.report(ps[0].value, key, "%v", err)
		return
	}
	if ps[0].name == "env" {
		d.fromEnv(ps[0].value, v, name, key)
	} else {
		d.fromFile(ps[0].value, v, name, key)
	}
}

func (d *decoder) fromEnv(n *yaml.Node, v reflect.Value, name, key string) {
	if strings.ContainsAny(name, "=\x00") || name == "" {
		d.report(n, key, "this is no name of an environment variable")
		return
	}
	if d.set(v, d.Getenv(name)) {
		return
	}
	if key == "hand-in" && isVariable(name) {
		return // nothing was handed in yet
	}
	if d.invent(v, key) {
		return
	}
	if !isVariable(name) {
		d.report(n, key, "no credential: the environment variable named here is not set (not repeated: names are in capitals, so this may be a value)")
		return
	}
	d.bad[key] = true
	d.wrong.once(n, d.path(key), fmt.Sprintf("no credential: environment variable %s is not set or empty; set it, or name another", name))
}

// isVariable reports whether a name is written as names of environment variables are.
func isVariable(name string) bool {
	return len(name) <= 64 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

func (d *decoder) fromFile(n *yaml.Node, v reflect.Value, path, key string) {
	b, err := d.ReadFile(path)
	if err == nil && d.set(v, string(b)) || d.invent(v, key) {
		return
	}
	why := "cannot be read"
	var failed *fs.PathError
	switch {
	case err == nil:
		why = "is empty"
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "may not be read by this user"
	case errors.As(err, &failed): // its text would repeat the path
		why = "cannot be read: " + oneLine(failed.Err.Error())
	}
	d.report(n, key, "no credential: the file named here %s", why)
}

// absentSecret takes a credential from the variable that its ecosystem uses.
func (d *decoder) absentSecret(v reflect.Value, f *field, where *yaml.Node, key string) {
	for _, name := range f.env {
		if d.set(indirect(v), d.Getenv(name)) {
			d.from[key] = name
			return
		}
	}
	if !f.required || d.invent(indirect(v), key) {
		return
	}
	d.bad[key] = true
	if len(f.env) == 0 {
		d.wrong.add(where.Line, where.Column, d.path(key), "no credential: "+want(f))
		return
	}
	set := "is not set; set it"
	if len(f.env) > 1 {
		set = "are not set; set one"
	}
	d.wrong.once(where, d.path(key), fmt.Sprintf("no credential: environment variable %s %s, or give %s: {env: NAME}", strings.Join(f.env, " and "), set, f.key))
}

// set puts a credential into a field and tells of it. Line ends after it are no part of it.
func (d *decoder) set(v reflect.Value, text string) bool {
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return false
	}
	d.keep(v, rotate.NewSecret(text), text)
	return true
}

func (d *decoder) keep(v reflect.Value, s rotate.Secret, text string) {
	if !d.known[text] {
		d.known[text] = true
		if d.OnSecret != nil {
			d.OnSecret(s)
		}
	}
	v.Set(reflect.ValueOf(s))
}

// invent makes up a credential for a rehearsal.
func (d *decoder) invent(v reflect.Value, key string) bool {
	if d.Invent == nil {
		return false
	}
	s := d.Invent(d.name, key)
	if s.IsZero() {
		return false
	}
	d.keep(v, s, s.Reveal())
	return true
}

// inventFor makes up the optional credentials without which an adapter is not content.
func (d *decoder) inventFor(complaints []error, v reflect.Value, fields []field) bool {
	invented := false
	for _, err := range complaints {
		e, ok := asField(err)
		if !ok {
			continue
		}
		if f := find(fields, e.At); f != nil && f.class == secret && !d.bad[f.key] {
			at := indirect(v.FieldByIndex(f.index))
			if at.IsZero() && d.invent(at, f.key) {
				invented = true
			}
		}
	}
	return invented
}
