package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// This file decides who asks, and whether that is allowed: bearer tokens, and rules as RBAC has them.

// Rule allows verbs on resources. "*" is every verb, group or resource; a subresource is named with its resource,
// as in pods/log.
type Rule struct {
	Verbs      []string
	Groups     []string // "" is the core group; nil: only that one
	Resources  []string
	Names      []string // nil: all, and what has no name: create and list
	Namespaces []string // nil: all, and what is in none
}

// Everything is the rule of an administrator.
var Everything = Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}}

// user is who a token stands for.
type user struct {
	name  string
	rules []Rule
}

// AddToken makes a bearer token known, with the user it stands for and what that user may do. A token that is
// known already changes hands.
func (s *Server) AddToken(token, name string, rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[token] = user{name, rules}
}

// anonymous is who sends no credential.
const anonymous = "system:anonymous"

func (s *Server) identify(r *http.Request) (user, *failure) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return user{name: anonymous}, nil
	}
	kind, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(kind, "bearer") {
		return user{}, unauthorized()
	}
	s.mu.Lock()
	who, ok := s.users[token]
	s.mu.Unlock()
	if !ok && s.Authenticate != nil {
		who = user{s.Authenticate(token), []Rule{Everything}}
		ok = who.name != ""
	}
	if !ok {
		return user{}, unauthorized()
	}
	return who, nil
}

func (s *Server) authorize(who user, q request) *failure {
	if q.resource == "" {
		if s.public(who, q) {
			return nil
		}
		return forbidden(q, fmt.Sprintf("User %q cannot %s path %q", who.name, q.verb, q.path))
	}
	if who.may(q.verb, q.group, q.full(), q.namespace, q.name) || reviews(who, q) {
		return nil
	}
	where := "at the cluster scope"
	if q.namespace != "" {
		where = fmt.Sprintf("in the namespace %q", q.namespace)
	}
	return forbidden(q, fmt.Sprintf("User %q cannot %s resource %q in API group %q %s", who.name, q.verb, q.full(), q.group, where))
}

// public reports whether a request that is about no resource may be made: health and version by everybody,
// discovery by everybody who is known.
func (s *Server) public(who user, q request) bool {
	if q.verb != "get" && q.verb != "head" {
		return false
	}
	if slices.Contains(who.verbs(), "*") {
		return true
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(q.path, "/"), "/")
	switch first {
	case "version", "healthz", "livez", "readyz":
		return true
	case "api", "apis", "openapi":
		return who.name != anonymous
	}
	return false
}

func (u user) verbs() []string {
	var all []string
	for _, r := range u.rules {
		all = append(all, r.Verbs...)
	}
	return all
}

// reviews reports whether somebody asks what they may do, which everybody may who is known.
func reviews(who user, q request) bool {
	return who.name != anonymous && q.verb == "create" && q.group == "authorization.k8s.io" && q.resource == "selfsubjectaccessreviews"
}

func (u user) may(verb, group, resource, namespace, name string) bool {
	return slices.ContainsFunc(u.rules, func(r Rule) bool {
		groups := r.Groups
		if groups == nil {
			groups = []string{""}
		}
		return has(r.Verbs, verb) && has(groups, group) && has(r.Resources, resource) &&
			(len(r.Names) == 0 || name != "" && slices.Contains(r.Names, name)) &&
			(len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, namespace))
	})
}

func has(list []string, word string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, word)
}

// review answers a SelfSubjectAccessReview.
func (s *Server) review(w http.ResponseWriter, who user, q request) {
	var in struct {
		Spec struct {
			ResourceAttributes *struct {
				Namespace, Verb, Group, Version, Resource, Subresource, Name string
			}
			NonResourceAttributes *struct{ Path, Verb string }
		}
	}
	var spec object
	if json.Unmarshal(q.body, &in) != nil || json.Unmarshal(q.body, &spec) != nil {
		badRequest("the object provided is unrecognized (must be of type SelfSubjectAccessReview): couldn't get version/kind; json parse error").answer(w)
		return
	}
	allowed := false
	switch {
	case in.Spec.ResourceAttributes != nil:
		a := in.Spec.ResourceAttributes
		resource := a.Resource
		if a.Subresource != "" {
			resource += "/" + a.Subresource
		}
		allowed = who.may(a.Verb, a.Group, resource, a.Namespace, a.Name)
	case in.Spec.NonResourceAttributes != nil:
		a := in.Spec.NonResourceAttributes
		allowed = s.public(who, request{verb: a.Verb, path: a.Path})
	default:
		invalid("authorization.k8s.io", "SelfSubjectAccessReview", "", cause{"FieldValueInvalid", "spec.resourceAttributes",
			"null: exactly one of nonResourceAttributes or resourceAttributes must be specified"}).answer(w)
		return
	}
	if a, ok := dig(spec, "spec", "resourceAttributes").(object); ok {
		maps.DeleteFunc(a, func(_ string, v any) bool { return v == "" })
	}
	write(w, http.StatusCreated, object{
		"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
		"metadata": object{}, "spec": spec["spec"], "status": object{"allowed": allowed},
	})
}
