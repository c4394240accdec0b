package config

import (
	"slices"

	"github.com/remint-dev/remint/pkg/rotate"
)

// kind is what an adapter is for.
type kind string

const (
	aProvider kind = "provider"
	aSink     kind = "sink"
	aVerifier kind = "verifier"
)

// entry is one adapter that a configuration may name. Adapters of different kinds may share a name, and then what
// `defaults` gives to that name; none has the name of a key of a rotation, since `defaults` has both side by side.
type entry struct {
	name    string
	kind    kind
	make    func() any // a new zero value, by pointer
	summary string     // one sentence for the reference
	example string     // YAML: the smallest useful form, as it stands in a rotation; "" is made from the tags
}

func provider[T rotate.Provider](name string, make func() T, summary, example string) entry {
	return entry{name, aProvider, func() any { return make() }, summary, example}
}

func sink[T rotate.Sink](name string, make func() T, summary, example string) entry {
	return entry{name, aSink, func() any { return make() }, summary, example}
}

func verifier[T rotate.Verifier](name string, make func() T, summary, example string) entry {
	return entry{name, aVerifier, func() any { return make() }, summary, example}
}

// catalog is a list of adapters.
type catalog []entry

// named returns the adapters of this name, one of each kind at most.
func (c catalog) named(name string) catalog {
	var found catalog
	for _, e := range c {
		if e.name == name {
			found = append(found, e)
		}
	}
	return found
}

// of returns the adapter of a kind.
func (c catalog) of(k kind) (entry, bool) {
	i := slices.IndexFunc(c, func(e entry) bool { return e.kind == k })
	if i < 0 {
		return entry{}, false
	}
	return c[i], true
}

func (c catalog) names(k kind) []string {
	var names []string
	for _, e := range c {
		if e.kind == k {
			names = append(names, e.name)
		}
	}
	return names
}
