package fly

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
)

// object is a value with fields; "__typename" names its type. A field may be a resolver.
type object map[string]any

// resolver computes a field from its arguments.
type resolver func(args map[string]any) (any, *failure)

// failure is an entry under "errors".
type failure struct {
	Message    string         `json:"message"`
	Locations  []position     `json:"locations,omitempty"`
	Path       []any          `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
	// beside says that the field has its value all the same.
	beside bool
}

type position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// execution runs one operation.
type execution struct {
	vars      map[string]any
	fragments ast.FragmentDefinitionList
	errors    []failure
}

// void stands for a field that failed and cannot be null: it makes what it is a field of null instead.
type void struct{}

// required are the fields with resolvers that cannot be null.
var required = map[string]bool{"viewer": true, "userOnlyToken": true, "limitedAccessTokens": true, "apps": true, "nodes": true}

// fields answers a selection of o, with nil if a field that cannot be null failed.
func (x *execution) fields(set ast.SelectionSet, o object, path []any) map[string]any {
	out := map[string]any{}
	x.into(out, set, o, path)
	for _, v := range out {
		if v == (void{}) {
			return nil
		}
	}
	return out
}

func (x *execution) into(out map[string]any, set ast.SelectionSet, o object, path []any) {
	applies := func(condition string) bool {
		return condition == "" || condition == o["__typename"] || condition == "Node" || condition == "Principal" || condition == "AppRole"
	}
	for _, sel := range set {
		switch f := sel.(type) {
		case *ast.InlineFragment:
			if applies(f.TypeCondition) {
				x.into(out, f.SelectionSet, o, path)
			}
		case *ast.FragmentSpread:
			if d := x.fragments.ForName(f.Name); d != nil && applies(d.TypeCondition) && len(path) < 20 {
				x.into(out, d.SelectionSet, o, path)
			}
		case *ast.Field:
			key := f.Alias
			if key == "" {
				key = f.Name
			}
			out[key] = x.field(f, o, append(path[:len(path):len(path)], key))
		}
	}
}

func (x *execution) field(f *ast.Field, o object, path []any) any {
	v, ok := o[f.Name]
	if !ok {
		x.fail(f, path, &failure{Message: fmt.Sprintf("Field '%s' doesn't exist on type '%s'", f.Name, o["__typename"]), Extensions: map[string]any{"code": "undefinedField"}})
		return nil
	}
	if r, ok := v.(resolver); ok {
		args := map[string]any{}
		for _, a := range f.Arguments {
			av, err := a.Value.Value(x.vars)
			if err != nil {
				x.fail(f, path, &failure{Message: "argument '" + a.Name + "' cannot be read"})
				return nil
			}
			args[a.Name] = av
		}
		var e *failure
		if v, e = r(args); e != nil {
			x.fail(f, path, e)
			if !e.beside {
				if required[f.Name] {
					return void{}
				}
				return nil
			}
		}
	}
	return x.value(f, v, path)
}

func (x *execution) value(f *ast.Field, v any, path []any) any {
	switch v := v.(type) {
	case object:
		if v == nil {
			return nil
		}
		if out := x.fields(f.SelectionSet, v, path); out != nil {
			return out
		}
		return nil
	case []object:
		out := make([]any, len(v))
		for i, o := range v {
			out[i] = x.value(f, o, append(path[:len(path):len(path)], i))
		}
		return out
	}
	return v
}

func (x *execution) fail(f *ast.Field, path []any, e *failure) {
	entry := *e
	entry.Path = path
	if f.Position != nil {
		entry.Locations = []position{{f.Position.Line, f.Position.Column}}
	}
	x.errors = append(x.errors, entry)
}
