package kube

import (
	"net/http"
	"net/url"
	"strings"
)

// This file reads what a request is about off its method and path, as the API server does before it asks whether
// that is allowed.

// request is a request, as it is authorized.
type request struct {
	method, path string
	verb         string // get, list, create, update, patch, delete, deletecollection
	group        string
	version      string
	namespace    string
	resource     string // "": not about a resource
	name         string
	subresource  string
	rest         string // of the path, after a subresource
	query        url.Values
	content      string // media type of the body
	body         []byte
	manager      string // who writes
}

func parse(r *http.Request, body []byte) request {
	content, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	q := request{method: r.Method, path: r.URL.Path, verb: strings.ToLower(r.Method), query: r.URL.Query(), content: content, body: body}
	if q.manager = q.query.Get("fieldManager"); q.manager == "" {
		q.manager, _, _ = strings.Cut(r.UserAgent(), "/")
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		q.version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		q.group, q.version, parts = parts[1], parts[2], parts[3:]
	default:
		return q
	}
	switch r.Method {
	case http.MethodPost:
		q.verb = "create"
	case http.MethodPut:
		q.verb = "update"
	case http.MethodHead:
		q.verb = "get"
	}
	if parts[0] == "namespaces" && len(parts) > 1 {
		q.namespace = parts[1]
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts = parts[2:]
		}
	}
	q.resource = parts[0]
	if len(parts) > 1 {
		q.name = parts[1]
	}
	if len(parts) > 2 {
		q.subresource = parts[2]
		_, q.rest, _ = strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/"+q.subresource+"/")
	}
	switch {
	case q.name == "" && q.verb == "get":
		q.verb = "list"
		if watch := q.query.Get("watch"); watch == "true" || watch == "1" {
			q.verb = "watch"
		}
	case q.name == "" && q.verb == "delete":
		q.verb = "deletecollection"
	}
	return q
}

// full is the resource with its subresource, as rules name it.
func (q request) full() string {
	if q.subresource != "" {
		return q.resource + "/" + q.subresource
	}
	return q.resource
}

// operation is the name by which faults are planted.
func (q request) operation() string {
	switch q.resource {
	case "":
		return "discover"
	case "selfsubjectaccessreviews":
		return "review"
	}
	return q.verb + " " + q.full()
}
