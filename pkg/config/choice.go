package config

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads one adapter: finds it by name, fills it, wires it, and asks it whether it is content. What
// it complains about goes to the place of the key that it names, without any credential.

// choice is one adapter that a configuration names.
type choice struct {
	entry entry
	node  *yaml.Node // its name
	key   string
	value any  // nil if it could not be told which adapter is meant
	fine  bool // nothing was wrong with it
}

// choice reads one adapter: `name`, or `name: value` with a bare value or its keys.
func (d *decoder) choice(n *yaml.Node, k kind, key string) choice {
	var name, config *yaml.Node
	switch n.Kind {
	case yaml.ScalarNode:
		if name = n; isNull(n) {
			d.report(n, key, "no %s; known: %s", k, strings.Join(d.catalog.names(k), ", "))
			return choice{}
		}
	case yaml.MappingNode:
		ps := pairs(n)
		if len(ps) == 0 {
			d.report(n, key, "no %s; known: %s", k, strings.Join(d.catalog.names(k), ", "))
			return choice{}
		}
		name, config = ps[0].key, ps[0].value
		if len(ps) > 1 {
			second := ps[1]
			if len(d.catalog.named(second.name)) == 0 && isNull(config) {
				d.report(second.key, key, "%s stands beside %s; indent it, so that it stands under it", bare(second.name), bare(ps[0].name))
			} else if k == aProvider {
				d.report(second.key, key, "a rotation has one provider; %s is a second one", bare(second.name))
			} else {
				d.report(second.key, key, "one %s an entry; write %s as an entry of its own, beginning with `- `", k, bare(second.name))
			}
			return choice{}
		}
	default:
		d.report(n, key, "want one %s, found a list", k)
		return choice{}
	}
	namesakes := d.catalog.named(name.Value)
	if len(namesakes) == 0 {
		d.report(name, key, "unknown %s %s%s", k, bare(name.Value), meant(name.Value, d.catalog.names(k)))
		return choice{}
	}
	e, ok := namesakes.of(k)
	if !ok {
		d.report(name, key, "%s is a %s, not a %s; known: %s", name.Value, namesakes[0].kind, k, strings.Join(d.catalog.names(k), ", "))
		return choice{}
	}
	c := choice{entry: e, node: name, key: d.path(key) + "." + e.name, value: e.make()}
	c.fine = d.adapter(&c, config)
	if !c.fine {
		d.bad[key] = true
	}
	return c
}

// adapter fills an adapter and asks it whether it is content.
func (outer *decoder) adapter(c *choice, config *yaml.Node) bool {
	d := outer.loader.decoder(c.key, c.entry.name, c.node, outer.vars)
	v := reflect.ValueOf(c.value).Elem()
	fields := d.fields(v.Type())
	if config != nil && !isNull(config) {
		d.where = config
	}
	given, ok := d.keys(config, fields)
	if !ok {
		return false
	}
	d.structure(v, fields, given, append(slices.Clone(d.each[c.entry.name]), outer.lent.borrow(given, fields)...), d.where, "")
	if own := v.FieldByName("Cluster"); own.IsValid() && !d.within(d.bad, "cluster") {
		if c, ok := own.Interface().(*cluster.Cluster); ok && c != nil {
			d.validateCluster(c)
		}
	}
	outer.lent.lend(v)
	d.wire(v)
	d.validate(c.value, v, fields)
	return len(d.bad) == 0
}

// keys lists the keys of an adapter's configuration, whichever way it is written.
func (d *decoder) keys(config *yaml.Node, fields []field) ([]pair, bool) {
	if config == nil || isNull(config) {
		return nil, true
	}
	if config.Kind == yaml.MappingNode {
		return pairs(config), true
	}
	f := obvious(fields)
	switch {
	case len(fields) == 0:
		d.report(config, "", "%s takes no keys; write it as `- %s`", d.name, d.name)
		return nil, false
	case f == nil:
		d.report(config, "", "want a mapping with keys of %s (%s), found %s", d.name, strings.Join(keysOf(fields), ", "), found(config))
		return nil, false
	case config.Kind == yaml.SequenceNode && f.class != list:
		d.report(config, "", "want %s or a mapping, found a list", wanted(f.class))
		return nil, false
	}
	return []pair{{f.key, nil, config}}, true
}

// wire sets what does not come from the text: Transport, OnSecret, and Shared, which is one for all adapters of a
// type in one configuration.
func (d *decoder) wire(v reflect.Value) {
	if t := v.FieldByName("Transport"); t.IsValid() && t.CanSet() && d.Transport != nil && t.Type() == reflect.TypeFor[http.RoundTripper]() {
		t.Set(reflect.ValueOf(d.Transport))
	}
	if f := v.FieldByName("OnSecret"); f.IsValid() && f.CanSet() && d.OnSecret != nil && f.Type() == reflect.TypeFor[func(rotate.Secret)]() {
		f.Set(reflect.ValueOf(d.OnSecret))
	}
	if s := v.FieldByName("Shared"); s.IsValid() && s.CanSet() && s.Kind() == reflect.Pointer {
		one, ok := d.shared[s.Type()]
		if !ok {
			one = reflect.New(s.Type().Elem())
			d.shared[s.Type()] = one
		}
		s.Set(one)
	}
}

// validate asks an adapter whether it is content, and puts what it says where it belongs.
func (d *decoder) validate(adapter any, v reflect.Value, fields []field) {
	checked, ok := adapter.(interface{ Validate() error })
	if !ok {
		return
	}
	complaints := leaves(checked.Validate())
	if d.Invent != nil && len(complaints) > 0 && d.inventFor(complaints, v, fields) {
		complaints = leaves(checked.Validate())
	}
	troubled := maps.Clone(d.bad)
	for _, err := range complaints {
		key, message := "", d.clean(err)
		if f, ok := asField(err); ok {
			key = f.At
		}
		n := d.given(key)
		if len(troubled) > 0 && (n == nil || d.within(troubled, key)) {
			continue // it follows from what is reported already
		}
		if name := d.from[key]; name != "" {
			message += " (from the environment variable " + name + ")"
		}
		if n != nil {
			d.report(n, key, "%s", message)
			continue
		}
		d.bad[key] = true
		if f := find(fields, key); f != nil && f.class == secret && d.from[key] == "" {
			d.wrong.once(d.where, d.path(key), message) // most likely every place lacks it
		} else {
			d.wrong.add(d.where.Line, d.where.Column, d.path(key), message)
		}
	}
}

// given returns the node that gave a key, or the nearest one above it.
func (d *decoder) given(key string) *yaml.Node {
	for key != "" {
		if n := d.at[key]; n != nil {
			return n
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return nil
}

// within reports whether a key, or one above or below it, is in the set.
func (d *decoder) within(set map[string]bool, key string) bool {
	for k := range set {
		if k == key || strings.HasPrefix(k, key+".") || strings.HasPrefix(k, key+"[") ||
			strings.HasPrefix(key, k+".") || strings.HasPrefix(key, k+"[") {
			return true
		}
	}
	return false
}

// leaves takes joined errors apart, down to those of rotate.Field.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	if _, ok := asField(err); ok {
		return []error{err}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, leaves(e)...)
		}
		return out
	}
	return []error{err}
}

func asField(err error) (*rotate.Error, bool) {
	f, ok := err.(*rotate.Error)
	return f, ok && f.Op == "field"
}

// clean turns an adapter's complaint into one line without credentials.
func (d *decoder) clean(err error) string {
	if f, ok := asField(err); ok {
		err = f.Err
	}
	message := strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": ")
	texts := slices.SortedFunc(maps.Keys(d.known), func(a, b string) int { return len(b) - len(a) })
	for _, text := range texts {
		if len(text) < 4 {
			continue // no credential, and replacing it would garble the message
		}
		message = strings.ReplaceAll(message, text, "[secret]")
	}
	return oneLine(message)
}

// concrete is the adapter as the engine takes it. Which optional interfaces one has is told by its type, so an adapter
// where that depends on the configuration makes the fitting one.
func concrete(adapter any) any {
	switch a := adapter.(type) {
	case interface{ Adapter() rotate.Provider }:
		return a.Adapter()
	case interface{ Adapter() rotate.Sink }:
		return a.Adapter()
	}
	return adapter
}

func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	return text
}
