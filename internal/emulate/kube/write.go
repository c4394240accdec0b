package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// This file carries out writes. Every write is compared with what is kept: by the resourceVersion and uid it
// names, and field by field, so that one that changes nothing has no effect.

// decode reads the object of a request and holds it to the path.
func decode(k Kind, q request) (object, *failure) {
	var o object
	if err := json.Unmarshal(q.body, &o); err != nil || o == nil {
		return nil, badRequest("the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse error: %v", k.Name, err)
	}
	kind, api := text(o, "kind"), text(o, "apiVersion")
	if kind == "" && !k.Custom {
		kind = k.Name
	}
	if api == "" && !k.Custom {
		api = k.api(q.version)
	}
	switch {
	case kind == "":
		return nil, badRequest("Object 'Kind' is missing in '%s'", strings.TrimSpace(string(q.body)))
	case api != k.api(q.version):
		return nil, badRequest("the API version in the data (%s) does not match the expected API version (%s)", api, k.api(q.version))
	case kind != k.Name:
		return nil, badRequest("%s in version %q cannot be handled as a %s: no kind %q is registered for the internal version of group %q", kind, q.version, k.Name, kind, k.Group)
	}
	delete(o, "kind")
	delete(o, "apiVersion")
	m := child(o, "metadata")
	switch namespace := text(m, "namespace"); {
	case k.Cluster:
	case namespace == "":
		m["namespace"] = q.namespace
	case namespace != q.namespace:
		return nil, badRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return o, nil
}

func dry(q request) bool { return slices.Contains(q.query["dryRun"], "All") }

func (s *Server) create(k Kind, q request) (object, *failure) {
	o, bad := decode(k, q)
	if bad != nil {
		return nil, bad
	}
	m := child(o, "metadata")
	if text(m, "name") == "" && text(m, "generateName") != "" {
		m["name"] = text(m, "generateName") + tail(5)
	}
	if text(m, "resourceVersion") != "" {
		return nil, badRequest("resourceVersion should not be set on objects to be created")
	}
	if _, ok := s.objects[s.named("namespaces").at("", q.namespace)]; !k.Cluster && !ok {
		return nil, notFound("", "namespaces", q.namespace)
	}
	if text(m, "name") == "" {
		return nil, invalid(k.Group, k.Name, "", cause{"FieldValueRequired", "metadata.name", "name or generateName is required"})
	}
	if bad := admit(k, nil, o); bad != nil {
		return nil, bad
	}
	if _, there := s.objects[k.at(q.namespace, text(m, "name"))]; there {
		return nil, exists(k, text(m, "name"))
	}
	if k.status() {
		delete(o, "status")
	}
	fill(k, o)
	delete(m, "managedFields")
	if k.Resource == "secrets" {
		s.manage(nil, o, q.manager)
	}
	if dry(q) {
		m["uid"], m["creationTimestamp"] = unique(), s.stamp()
		return dress(k, q.version, o), nil
	}
	s.add(k, o)
	born(k, o)
	return dress(k, q.version, o), nil
}

func (s *Server) update(k Kind, q request) (object, *failure) {
	o, bad := decode(k, q)
	if bad != nil {
		return nil, bad
	}
	if name := text(o, "metadata", "name"); name != q.name {
		if name == "" {
			return nil, badRequest("name must be provided")
		}
		return nil, badRequest("the name of the object (%s) does not match the name on the URL (%s)", name, q.name)
	}
	old, bad := s.find(k, q)
	if bad != nil {
		return nil, bad
	}
	if k.Custom && text(o, "metadata", "resourceVersion") == "" {
		return nil, invalid(k.Group, k.Name, q.name, cause{"FieldValueInvalid", "metadata.resourceVersion", "0: must be specified for an update"})
	}
	return s.replace(k, q, old, o)
}

func (s *Server) patch(k Kind, q request) (object, *failure) {
	accepted := []string{"application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"}
	if !k.Custom {
		accepted = slices.Insert(accepted, 2, "application/strategic-merge-patch+json")
	}
	strategic := q.content == "application/strategic-merge-patch+json"
	if q.content != "application/merge-patch+json" && (!strategic || k.Custom) {
		return nil, &failure{code: http.StatusUnsupportedMediaType, reason: "UnsupportedMediaType",
			message: "the body of the request was in an unknown format - accepted media types include: " + strings.Join(accepted, ", ")}
	}
	old, bad := s.find(k, q)
	if bad != nil {
		return nil, bad
	}
	var p any
	if err := json.Unmarshal(q.body, &p); err != nil {
		return nil, badRequest("error decoding patch: %v", err)
	}
	change, ok := p.(object)
	if !ok {
		return nil, badRequest("error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}")
	}
	if strategic && lists(change) {
		return nil, badRequest("the emulation does not merge the lists of a strategic merge patch; use application/merge-patch+json")
	}
	made := merge(dress(k, q.version, old), change)
	o := clone(made)
	delete(o, "kind")
	delete(o, "apiVersion")
	if k.Resource == "secrets" {
		if why := unreadable(o); why != "" {
			// The real text holds the whole object, whatever is secret in it.
			return nil, invalid("", "", "", cause{"FieldValueInvalid", "patch", fmt.Sprintf("%q: %s", strings.TrimSpace(string(encode(made))), why)})
		}
	}
	switch m := child(o, "metadata"); {
	case text(m, "name") != q.name:
		return nil, badRequest("the name of the object (%s) does not match the name on the URL (%s)", text(m, "name"), q.name)
	case !k.Cluster && text(m, "namespace") != q.namespace:
		return nil, badRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return s.replace(k, q, old, o)
}

// merge applies a merge patch (RFC 7386).
func merge(o, change object) object {
	for key, v := range change {
		switch v := v.(type) {
		case nil:
			delete(o, key)
		case object:
			o[key] = merge(child(o, key), v)
		default:
			o[key] = v
		}
	}
	return o
}

func lists(v object) bool {
	for _, x := range v {
		switch x := x.(type) {
		case []any:
			return true
		case object:
			if lists(x) {
				return true
			}
		}
	}
	return false
}

// replace puts o in the place of old, as far as the kind allows.
func (s *Server) replace(k Kind, q request, old, o object) (object, *failure) {
	m, was := child(o, "metadata"), child(old, "metadata")
	if uid := text(m, "uid"); uid != "" && uid != text(was, "uid") {
		if q.verb == "patch" {
			c := cause{"FieldValueInvalid", "metadata.uid", quote(uid) + ": field is immutable"}
			bad := invalid(k.Group, k.Name, q.name, c)
			bad.details["causes"] = append(bad.details["causes"].([]any), bad.details["causes"].([]any)...) // it says so twice
			return nil, bad
		}
		return nil, conflict(k, q.name, fmt.Sprintf("StorageError: invalid object, Code: 4, Key: /registry/%s/%s/%s, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s", k.Resource, q.namespace, q.name, uid, text(was, "uid")))
	}
	if v := text(m, "resourceVersion"); v != "" && v != text(was, "resourceVersion") {
		return nil, conflict(k, q.name, modified)
	}
	for _, key := range []string{"uid", "creationTimestamp", "generation", "resourceVersion"} {
		if v, ok := was[key]; ok {
			m[key] = v
		}
	}
	switch {
	case q.subresource == "status":
		o = merge(clone(old), object{"status": nil})
		var made object
		_ = json.Unmarshal(q.body, &made)
		if q.verb == "patch" {
			made = merge(clone(old), made)
		}
		if made["status"] != nil {
			o["status"] = made["status"]
		}
	case k.status():
		delete(o, "status")
		if old["status"] != nil {
			o["status"] = clone(old)["status"]
		}
	}
	if bad := admit(k, old, o); bad != nil {
		return nil, bad
	}
	fill(k, o)
	delete(child(o, "metadata"), "managedFields")
	if k.Resource == "secrets" {
		s.manage(old, o, q.manager)
	}
	if k.generation() && q.subresource == "" && (!same(wanted(o), wanted(old)) || k.Resource == "deployments" && !same(texts(o, "metadata", "annotations"), texts(old, "metadata", "annotations"))) {
		child(o, "metadata")["generation"] = number(old, 0, "metadata", "generation") + 1
	}
	if !same(o, old) && !dry(q) {
		s.put(k, o)
	}
	return dress(k, q.version, o), nil
}

// wanted is what is asked of an object: all of it but its metadata and status.
func wanted(o object) object {
	c := clone(o)
	delete(c, "metadata")
	delete(c, "status")
	return c
}

func (s *Server) remove(k Kind, q request) (object, *failure) {
	o, bad := s.find(k, q)
	if bad != nil {
		return nil, bad
	}
	var options struct {
		Preconditions struct{ UID, ResourceVersion string }
	}
	_ = json.Unmarshal(q.body, &options)
	if uid := options.Preconditions.UID; uid != "" && uid != uidOf(o) {
		return nil, conflict(k, q.name, fmt.Sprintf("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", uid, uidOf(o)))
	}
	if v := options.Preconditions.ResourceVersion; v != "" && v != text(o, "metadata", "resourceVersion") {
		return nil, conflict(k, q.name, fmt.Sprintf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", v, text(o, "metadata", "resourceVersion")))
	}
	if !dry(q) {
		s.drop(k, o)
	}
	if k.Resource == "pods" {
		c := dress(k, q.version, o)
		child(c, "metadata")["deletionTimestamp"] = s.stamp()
		return c, nil
	}
	d := details(k.Group, k.Resource, q.name)
	d["uid"] = uidOf(o)
	return object{"kind": "Status", "apiVersion": "v1", "metadata": object{}, "status": "Success", "details": d}, nil
}
