package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// This file makes the API server's errors: Status objects, with its own texts.

// object is one object of the API, as JSON has it.
type object = map[string]any

// failure is an error answer.
type failure struct {
	code    int
	reason  string
	message string
	details object
}

func (f failure) answer(w http.ResponseWriter) {
	write(w, f.code, status(f.code, f.reason, f.message, f.details))
}

func status(code int, reason, message string, details object) object {
	o := object{"kind": "Status", "apiVersion": "v1", "metadata": object{}, "status": "Failure", "message": message, "reason": reason, "code": code}
	if details != nil {
		o["details"] = details
	}
	return o
}

// encode writes JSON as the API server does: one line, nothing escaped for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only maps that came from JSON
	}
	return b.Bytes()
}

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(encode(v))
}

// details name what a failure is about; the kind is the resource, but for invalid objects.
func details(group, kind, name string) object {
	d := object{"kind": kind}
	if group != "" {
		d["group"] = group
	}
	if name != "" {
		d["name"] = name
	}
	return d
}

func qualified(group, name string) string {
	if group == "" {
		return name
	}
	return name + "." + group
}

func unauthorized() *failure {
	return &failure{code: http.StatusUnauthorized, reason: "Unauthorized", message: "Unauthorized"}
}

func forbidden(q request, why string) *failure {
	if q.resource == "" {
		return &failure{http.StatusForbidden, "Forbidden", "forbidden: " + why, object{}}
	}
	about := qualified(q.group, q.resource)
	if q.name != "" {
		about += " " + quote(q.name)
	}
	return &failure{http.StatusForbidden, "Forbidden", about + " is forbidden: " + why, details(q.group, q.resource, q.name)}
}

func notFound(group, resource, name string) *failure {
	return &failure{http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", qualified(group, resource), name), details(group, resource, name)}
}

func exists(k Kind, name string) *failure {
	return &failure{http.StatusConflict, "AlreadyExists", fmt.Sprintf("%s %q already exists", qualified(k.Group, k.Resource), name), details(k.Group, k.Resource, name)}
}

func conflict(k Kind, name, why string) *failure {
	return &failure{http.StatusConflict, "Conflict", fmt.Sprintf("Operation cannot be fulfilled on %s %q: %s", qualified(k.Group, k.Resource), name, why), details(k.Group, k.Resource, name)}
}

// modified is what a write meets that was made of an older object.
const modified = "the object has been modified; please apply your changes to the latest version and try again"

func badRequest(format string, args ...any) *failure {
	return &failure{code: http.StatusBadRequest, reason: "BadRequest", message: fmt.Sprintf(format, args...)}
}

// cause is what is wrong with one field.
type cause struct{ reason, field, message string }

// The reasons of causes, and how they begin a text.
var causes = map[string]string{
	"FieldValueForbidden": "Forbidden",
	"FieldValueInvalid":   "Invalid value",
	"FieldValueRequired":  "Required value",
	"FieldValueTooLong":   "Too long",
}

func (c cause) body() string {
	return causes[c.reason] + ": " + c.message
}

// invalid refuses an object; kind is "" where a patch made nothing that could be read.
func invalid(group, kind, name string, list ...cause) *failure {
	var texts []string
	var items []any
	for _, c := range list {
		texts = append(texts, c.field+": "+c.body())
		items = append(items, object{"reason": c.reason, "message": c.body(), "field": c.field})
	}
	text := strings.Join(texts, ", ")
	if len(texts) > 1 {
		text = "[" + text + "]"
	}
	d := object{"causes": items}
	for k, v := range map[string]string{"group": group, "kind": kind, "name": name} {
		if v != "" {
			d[k] = v
		}
	}
	return &failure{http.StatusUnprocessableEntity, "Invalid", fmt.Sprintf("%s %q is invalid: %s", qualified(group, kind), name, text), d}
}
