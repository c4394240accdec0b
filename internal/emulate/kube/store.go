package kube

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// This file keeps the objects and reads them: one by its name, or a list by its labels.

// at is where an object is kept.
type at struct{ group, resource, namespace, name string }

func (k Kind) at(namespace, name string) at {
	if k.Cluster {
		namespace = ""
	}
	return at{k.Group, k.Resource, namespace, name}
}

// clone copies an object, so that nobody changes what is kept.
func clone(o object) object {
	var c object
	if err := json.Unmarshal(encode(o), &c); err != nil {
		panic(err)
	}
	return c
}

func same(a, b any) bool { return bytes.Equal(encode(a), encode(b)) }

// dig returns what is at a path of keys; nil: nothing.
func dig(o object, path ...string) any {
	var v any = o
	for _, key := range path {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func text(o object, path ...string) string { s, _ := dig(o, path...).(string); return s }

// number reads a number, however it came to be there.
func number(o object, otherwise int, path ...string) int {
	switch n := dig(o, path...).(type) {
	case float64:
		return int(n)
	case int:
		return n
	}
	return otherwise
}

// child returns the object at a path of keys, and makes it if there is none.
func child(o object, path ...string) object {
	for _, key := range path {
		next, ok := o[key].(object)
		if !ok {
			next = object{}
			o[key] = next
		}
		o = next
	}
	return o
}

func texts(o object, path ...string) map[string]string {
	out := map[string]string{}
	if m, ok := dig(o, path...).(object); ok {
		for k, v := range m {
			if s, ok := v.(string); ok {
				out[k] = s
			}
		}
	}
	return out
}

func items(o object, path ...string) []object {
	list, _ := dig(o, path...).([]any)
	var out []object
	for _, v := range list {
		if m, ok := v.(object); ok {
			out = append(out, m)
		}
	}
	return out
}

// unique returns a UUID.
func unique() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// tail is a random end of a name, of the letters that generated names have.
func tail(n int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

// put keeps an object as it is now, under a new revision.
func (s *Server) put(k Kind, o object) {
	s.revision++
	child(o, "metadata")["resourceVersion"] = strconv.FormatInt(s.revision, 10)
	s.objects[k.at(text(o, "metadata", "namespace"), text(o, "metadata", "name"))] = o
}

// add keeps an object that is new, with what the API server gives it.
func (s *Server) add(k Kind, o object) {
	m := child(o, "metadata")
	m["uid"], m["creationTimestamp"] = unique(), s.stamp()
	if k.generation() {
		m["generation"] = 1
	}
	s.put(k, o)
}

// drop forgets an object and what belongs to it alone.
func (s *Server) drop(k Kind, o object) {
	s.revision++
	uid := uidOf(o)
	delete(s.objects, k.at(text(o, "metadata", "namespace"), text(o, "metadata", "name")))
	delete(s.plays, uid)
	delete(s.containers, uid)
	for where, other := range s.objects {
		if slices.ContainsFunc(items(other, "metadata", "ownerReferences"), func(r object) bool { return r["uid"] == uid }) {
			s.drop(Kind{Group: where.group, Resource: where.resource, Cluster: where.namespace == ""}, other)
		}
	}
}

// all returns the kept objects of a kind, by namespace and name; namespace "" is every one.
func (s *Server) all(k Kind, namespace string) []object {
	var found []at
	for where := range s.objects {
		if where.group == k.Group && where.resource == k.Resource && (namespace == "" || where.namespace == namespace) {
			found = append(found, where)
		}
	}
	slices.SortFunc(found, func(a, b at) int {
		if c := strings.Compare(a.namespace, b.namespace); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	out := make([]object, len(found))
	for i, where := range found {
		out[i] = s.objects[where]
	}
	return out
}

// dress returns an object as one version of the API shows it.
func dress(k Kind, version string, o object) object {
	c := clone(o)
	c["kind"], c["apiVersion"] = k.Name, k.api(version)
	return c
}

func (s *Server) find(k Kind, q request) (object, *failure) {
	o, ok := s.objects[k.at(q.namespace, q.name)]
	if !ok {
		return nil, notFound(k.Group, k.Resource, q.name)
	}
	return o, nil
}

func (s *Server) read(k Kind, q request) (object, *failure) {
	o, bad := s.find(k, q)
	if bad != nil {
		return nil, bad
	}
	return dress(k, q.version, o), nil
}

func (s *Server) list(k Kind, q request) (object, *failure) {
	wanted, bad := selector(q.query.Get("labelSelector"))
	if bad != nil {
		return nil, bad
	}
	fields, bad := fieldSelector(k, q.query.Get("fieldSelector"))
	if bad != nil {
		return nil, bad
	}
	limit, _ := strconv.Atoi(q.query.Get("limit"))
	after := 0
	if c := q.query.Get("continue"); c != "" {
		b, err := base64.RawURLEncoding.DecodeString(c)
		if after, _ = strconv.Atoi(string(b)); err != nil || after <= 0 {
			return nil, badRequest("continue key is not valid: the continue key is not valid")
		}
	}
	list := []any{}
	for _, o := range s.all(k, q.namespace) {
		if !wanted.matches(texts(o, "metadata", "labels")) || !fields(o) {
			continue
		}
		c := dress(k, q.version, o)
		if !k.Custom { // lists of built-in kinds do not repeat it
			delete(c, "kind")
			delete(c, "apiVersion")
		}
		list = append(list, c)
	}
	meta := object{"resourceVersion": strconv.FormatInt(s.revision, 10)}
	list = list[min(after, len(list)):]
	if limit > 0 && len(list) > limit {
		meta["continue"] = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(after + limit)))
		meta["remainingItemCount"] = len(list) - limit
		list = list[:limit]
	}
	return object{"kind": k.Name + "List", "apiVersion": k.api(q.version), "metadata": meta, "items": list}, nil
}

// requirement is one term of a label selector.
type requirement struct {
	key    string
	values []string // nil: any
	not    bool
}

type requirements []requirement

func (rs requirements) matches(labels map[string]string) bool {
	for _, r := range rs {
		value, there := labels[r.key]
		ok := there && (r.values == nil || slices.Contains(r.values, value))
		if ok == r.not {
			return false
		}
	}
	return true
}

// selector reads a label selector in its text form.
func selector(expression string) (requirements, *failure) {
	var out requirements
	for _, term := range terms(expression) {
		var r requirement
		word, rest, _ := strings.Cut(term, " ")
		switch rest = strings.TrimSpace(rest); {
		case strings.HasPrefix(term, "!"):
			r = requirement{key: strings.TrimSpace(term[1:]), not: true}
		case strings.HasPrefix(rest, "in ("), strings.HasPrefix(rest, "in("), strings.HasPrefix(rest, "notin ("), strings.HasPrefix(rest, "notin("):
			operator, list, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "(")
			r = requirement{key: word, not: strings.TrimSpace(operator) == "notin", values: []string{}}
			for v := range strings.SplitSeq(list, ",") {
				r.values = append(r.values, strings.TrimSpace(v))
			}
		case strings.Contains(term, "!="):
			key, value, _ := strings.Cut(term, "!=")
			r = requirement{key: strings.TrimSpace(key), not: true, values: []string{strings.TrimSpace(value)}}
		case strings.Contains(term, "="):
			key, value, _ := strings.Cut(term, "=")
			r = requirement{key: strings.TrimSpace(key), values: []string{strings.TrimSpace(strings.TrimPrefix(value, "="))}}
		default:
			r = requirement{key: term}
		}
		if r.key == "" || strings.ContainsAny(r.key, " ()!=,") {
			return nil, badRequest("unable to parse requirement: found '%s', expected: !, identifier, or 'end of string'", term)
		}
		out = append(out, r)
	}
	return out, nil
}

// terms splits a selector at the commas that are not in parentheses.
func terms(expression string) []string {
	var out []string
	depth, begin := 0, 0
	for i, c := range expression + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			if term := strings.TrimSpace(expression[begin:i]); term != "" {
				out = append(out, term)
			}
			begin = i + 1
		}
	}
	return out
}

// fieldSelector reads a selector by fields: name and namespace for every kind, the phase of pods.
func fieldSelector(k Kind, expression string) (func(object) bool, *failure) {
	var tests []func(object) bool
	for _, term := range terms(expression) {
		not := strings.Contains(term, "!=")
		key, value, _ := strings.Cut(strings.ReplaceAll(strings.Replace(term, "!=", "=", 1), "==", "="), "=")
		if key != "metadata.name" && key != "metadata.namespace" && (k.Resource != "pods" || key != "status.phase") {
			return nil, badRequest("Unable to find %q that match label selector %q, field selector %q: field label not supported: %s", k.api(k.Versions[0])+", Resource="+k.Resource, "", expression, key)
		}
		path := strings.Split(key, ".")
		tests = append(tests, func(o object) bool { return (text(o, path...) == value) != not })
	}
	return func(o object) bool {
		for _, test := range tests {
			if !test(o) {
				return false
			}
		}
		return true
	}, nil
}

// decoded returns the data of a Secret.
func decoded(o object) map[string]string {
	out := map[string]string{}
	for k, v := range texts(o, "data") {
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			panic(fmt.Sprintf("kept data of %s is no base64", k)) // admit sees to it
		}
		out[k] = string(b)
	}
	return out
}

func encoded(data map[string]string) object {
	out := object{}
	for k, v := range data {
		out[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return out
}
