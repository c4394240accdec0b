package config

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/cluster"
)

// This file reads `cluster`, which a rotation says once for all its adapters. It comes before they are read.

// lendable are the keys of a cluster that an adapter with a key of the same name takes from it.
var lendable = []string{"region", "role", "account", "namespace"}

// lent is what a rotation gives to its adapters.
type lent struct {
	cluster *cluster.Cluster
	pairs   []pair
}

// cluster reads the cluster of a rotation, and returns what is left to be read.
func (d *decoder) cluster(k *rotationKeys, fields []field, given []pair, where *yaml.Node) ([]pair, []field) {
	const key = "cluster"
	own := slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.key != key })
	n := lookup(given, key)
	if n == nil {
		n = lookup(d.defaults, key)
	}
	if n != nil {
		d.structure(reflect.ValueOf(k).Elem(), own, []pair{{key, nil, n}}, nil, where, "")
		if n.Kind == yaml.MappingNode {
			d.lent.pairs = slices.DeleteFunc(pairs(n), func(p pair) bool { return !slices.Contains(lendable, p.name) })
		}
	}
	if c := k.Cluster; c != nil && !d.within(d.bad, key) {
		d.lent.cluster = c
		d.validateCluster(c)
	}
	given = slices.DeleteFunc(slices.Clone(given), func(p pair) bool { return p.name == key })
	fields = slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.key == key })
	return given, fields
}

// validateCluster wires a cluster and asks it whether it is content.
func (d *decoder) validateCluster(c *cluster.Cluster) {
	d.wire(reflect.ValueOf(c).Elem())
	for _, err := range leaves(c.Validate()) {
		at := "cluster"
		if f, ok := asField(err); ok && f.At != "" {
			at += "." + f.At
		}
		place := d.given(at)
		if place == nil {
			place = d.where
		}
		d.report(place, at, "%s", d.clean(err))
	}
}

// borrow is what an adapter has from its rotation: keys that it does not give itself. One that names a cluster of
// its own borrows nothing.
func (l lent) borrow(given []pair, fields []field) []pair {
	if lookup(given, "cluster") != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.pairs), func(p pair) bool { return find(fields, p.name) == nil })
}

// lend puts the rotation's cluster into an adapter that needs one and has none.
func (l lent) lend(v reflect.Value) {
	f := v.FieldByName("Cluster")
	if f.IsValid() && f.CanSet() && l.cluster != nil && f.Type() == reflect.TypeFor[*cluster.Cluster]() && f.IsNil() {
		f.Set(reflect.ValueOf(l.cluster))
	}
}
