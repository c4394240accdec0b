package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file reads `matrix` and `parallel`: what makes several rotations of one.

// matrix returns the variables of each rotation that an entry makes, and how many may run at a time.
func (l *loader) matrix(base string, rotation *yaml.Node) ([]*variables, int) {
	d := l.decoder(base, "", rotation, noVariables())
	ps := pairs(rotation)
	n := lookup(ps, "matrix")
	parallel := 1
	if p := lookup(append(ps, l.defaults...), "parallel"); p != nil {
		parallel = d.parallel(p)
	}
	if n == nil {
		return []*variables{noVariables()}, parallel
	}
	switch {
	case n.Kind != yaml.SequenceNode:
		d.report(n, "matrix", "want a list of mappings, found %s; begin each entry with `- `", found(n))
	case len(n.Content) == 0:
		d.report(n, "matrix", "the list is empty, so that there would be no rotation; give at least one entry")
	case len(n.Content) > 256:
		d.report(n, "matrix", "%d entries; the limit is 256", len(n.Content))
	}
	if len(d.bad) > 0 {
		return nil, parallel
	}
	var entries []*variables
	names := map[string]bool{}
	used := map[string]bool{}
	for i, entry := range n.Content {
		key := fmt.Sprintf("matrix[%d]", i)
		v := &variables{values: map[string]string{}, used: used, entry: i + 1, left: &l.expansion}
		if entry.Kind != yaml.MappingNode || len(entry.Content) == 0 {
			d.report(entry, key, "want a mapping of names to values, found %s", found(entry))
			continue
		}
		for _, p := range pairs(entry) {
			switch {
			case !isName(p.name):
				d.report(p.key, key, "%s cannot name a variable; letters, digits, - and _ can", bare(p.name))
				continue
			case p.value.Kind != yaml.ScalarNode || isNull(p.value):
				d.report(p.value, key+"."+p.name, "want a single value, found %s", found(p.value))
			case len(p.value.Value) > maxValue:
				d.report(p.value, key+"."+p.name, "%d bytes; the limit is %d", len(p.value.Value), maxValue)
			case strings.Contains(p.value.Value, "${"):
				d.report(p.value, key+"."+p.name, "a value of a matrix has no variables itself")
			}
			v.values[p.name] = p.value.Value
			names[p.name] = true
		}
		entries = append(entries, v)
	}
	known := slices.Sorted(maps.Keys(names))
	for _, v := range entries {
		v.known = known
	}
	return entries, parallel
}

// parallel reads a number of rotations that run at a time.
func (d *decoder) parallel(n *yaml.Node) int {
	one := 1
	d.value(n, reflect.ValueOf(&one), &field{key: "parallel"}, integer, "parallel")
	if !d.bad["parallel"] && (one < 1 || one > 100) {
		d.report(n, "parallel", "want a number from 1 to 100")
	}
	return max(one, 1)
}

// unused warns of variables that no text of a rotation mentions.
func (l *loader) unused(base string, rotation *yaml.Node, v *variables) {
	if v.entry == 0 || len(l.wrong.list) > 0 {
		return
	}
	n := lookup(pairs(rotation), "matrix")
	for _, name := range v.known {
		if !v.used[name] {
			l.warn.add(n.Line, n.Column, base+".matrix", fmt.Sprintf("${%s} is mentioned nowhere in this rotation", bare(name)))
		}
	}
}
