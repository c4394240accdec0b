package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/rotate"
)

// distinct refuses what two rotations must not share: identity, name, and a place they write to.
func (l *loader) distinct(all []*loaded) {
	type claim struct {
		by    *loaded
		node  *yaml.Node
		key   string
		value any
	}
	names, ids, sinks := map[string]claim{}, map[string]claim{}, map[string]claim{}
	both := func(a, b claim, message string) {
		if a.node == b.node {
			l.wrong.add(b.node.Line, b.node.Column, b.key, fmt.Sprintf("%s: two entries of the matrix have it; put a ${…} of the matrix into it", message))
			return
		}
		l.wrong.add(a.node.Line, a.node.Column, a.key, fmt.Sprintf("%s: the one in line %d has it too", message, b.node.Line))
		l.wrong.add(b.node.Line, b.node.Column, b.key, fmt.Sprintf("%s: the one in line %d has it too", message, a.node.Line))
	}
	for _, r := range all {
		if r.Name != "" {
			c := claim{r, r.nameNode, r.base + ".name", nil}
			if first, ok := names[r.Name]; ok {
				both(first, c, fmt.Sprintf("the name %s is not unique", quote(r.Name)))
			} else {
				names[r.Name] = c
			}
		}
		if r.ID != "" {
			c := claim{r, r.idNode, r.base + ".id", nil}
			first, ok := ids[r.ID]
			switch {
			case !ok:
				ids[r.ID] = c
			case first.by.Name != r.Name || r.idNode != r.nameNode: // else it is made of the name, which is reported
				both(first, c, fmt.Sprintf("the identity %s is not unique", quote(r.ID)))
			}
		}
		for _, s := range r.sinks {
			if !s.fine {
				continue
			}
			at := s.value.(rotate.Sink).String()
			c := claim{r, s.node, s.key, s.value}
			first, ok := sinks[at]
			switch {
			case !ok:
				sinks[at] = c
			case first.by == r:
				l.wrong.add(c.node.Line, c.node.Column, c.key, fmt.Sprintf("%s is listed twice in this rotation", at))
			case sameKeys(first.value, c.value):
				both(first, c, fmt.Sprintf("the sink %s is not unique, and two rotations would overwrite each other", at))
			default:
				l.warn.add(c.node.Line, c.node.Column, c.key, fmt.Sprintf("the sink in line %d looks like the same place, %s; two rotations that write to one place overwrite each other", first.node.Line, at))
			}
		}
	}
}

// sameKeys reports whether two adapters were configured alike, credentials aside.
func sameKeys(a, b any) bool {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	if x.Type() != y.Type() {
		return false
	}
	for _, f := range fieldsOf(x.Type()) {
		if f.class != secret && !reflect.DeepEqual(x.FieldByIndex(f.index).Interface(), y.FieldByIndex(f.index).Interface()) {
			return false
		}
	}
	return true
}
