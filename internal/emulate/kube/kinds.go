package kube

import (
	"net/http"
	"slices"
	"strings"
)

// This file lists the kinds of objects and answers what clients ask about the API itself.

// Kind is one kind of object.
type Kind struct {
	Group    string   // "": the core group
	Versions []string // that are served, the preferred one first
	Resource string   // plural, in lower case: as in paths
	Name     string   // as in the kind of an object
	Cluster  bool     // objects are in no namespace
	Custom   bool     // defined by a CustomResourceDefinition
}

// known are the kinds of a cluster with External Secrets installed.
var known = []Kind{
	{Versions: []string{"v1"}, Resource: "namespaces", Name: "Namespace", Cluster: true},
	{Versions: []string{"v1"}, Resource: "secrets", Name: "Secret"},
	{Versions: []string{"v1"}, Resource: "configmaps", Name: "ConfigMap"},
	{Versions: []string{"v1"}, Resource: "pods", Name: "Pod"},
	{Versions: []string{"v1"}, Resource: "services", Name: "Service"},
	{Versions: []string{"v1"}, Resource: "serviceaccounts", Name: "ServiceAccount"},
	{Versions: []string{"v1"}, Resource: "events", Name: "Event"},
	{Group: "apps", Versions: []string{"v1"}, Resource: "deployments", Name: "Deployment"},
	{Group: "apps", Versions: []string{"v1"}, Resource: "statefulsets", Name: "StatefulSet"},
	{Group: "apps", Versions: []string{"v1"}, Resource: "daemonsets", Name: "DaemonSet"},
	{Group: "apps", Versions: []string{"v1"}, Resource: "replicasets", Name: "ReplicaSet"},
	{Group: "batch", Versions: []string{"v1"}, Resource: "jobs", Name: "Job"},
	{Group: "batch", Versions: []string{"v1"}, Resource: "cronjobs", Name: "CronJob"},
	{Group: "external-secrets.io", Versions: []string{"v1"}, Resource: "externalsecrets", Name: "ExternalSecret", Custom: true},
	{Group: "external-secrets.io", Versions: []string{"v1"}, Resource: "secretstores", Name: "SecretStore", Custom: true},
	{Group: "external-secrets.io", Versions: []string{"v1"}, Resource: "clustersecretstores", Name: "ClusterSecretStore", Custom: true, Cluster: true},
	{Group: "external-secrets.io", Versions: []string{"v1"}, Resource: "clusterexternalsecrets", Name: "ClusterExternalSecret", Custom: true, Cluster: true},
}

// AddKind makes a kind known, or changes one: a cluster with an old External Secrets serves only v1beta1.
func (s *Server) AddKind(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds = slices.DeleteFunc(s.kinds, func(o Kind) bool { return o.Group == k.Group && o.Resource == k.Resource })
	s.kinds = append(s.kinds, k)
}

// RemoveGroup forgets the kinds of a group: nothing of it is installed.
func (s *Server) RemoveGroup(group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds = slices.DeleteFunc(s.kinds, func(k Kind) bool { return k.Group == group })
}

// kind finds the kind that a request is about.
func (s *Server) kind(q request) (Kind, bool) {
	for _, k := range s.kinds {
		if k.Group == q.group && k.Resource == q.resource && slices.Contains(k.Versions, q.version) && (q.namespace == "" || !k.Cluster || k.Resource == "namespaces") {
			return k, true
		}
	}
	return Kind{}, false
}

// named finds a kind by its resource; the controllers' own kinds are always known.
func (s *Server) named(resource string) Kind {
	for _, list := range [][]Kind{s.kinds, known} {
		if i := slices.IndexFunc(list, func(k Kind) bool { return k.Resource == resource }); i >= 0 {
			return list[i]
		}
	}
	return Kind{Resource: resource}
}

func (k Kind) api(version string) string {
	if k.Group == "" {
		return version
	}
	return k.Group + "/" + version
}

// status reports whether the status of such an object is a subresource, which no other write changes.
func (k Kind) status() bool {
	return k.Custom || k.Group == "apps" || k.Group == "batch" || slices.Contains([]string{"pods", "services", "namespaces"}, k.Resource)
}

// generation reports whether such an object counts the changes of what is asked for. Deployments count those of their
// annotations too.
func (k Kind) generation() bool { return k.Custom || k.Group == "apps" || k.Group == "batch" }

func groupVersion(group, version string) object {
	return object{"groupVersion": group + "/" + version, "version": version}
}

// discover answers what is about the API itself.
func (s *Server) discover(w http.ResponseWriter, q request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(strings.Trim(q.path, "/"), "/")
	var out object
	switch {
	case q.method != http.MethodGet:
	case parts[0] == "version":
		out = object{"major": "1", "minor": "34", "gitVersion": "v1.34.2", "platform": "linux/amd64"}
	case slices.Contains([]string{"healthz", "livez", "readyz"}, parts[0]):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok"))
		return
	case q.path == "/api" || q.path == "/api/":
		out = object{"kind": "APIVersions", "versions": []any{"v1"}, "serverAddressByClientCIDRs": []any{object{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}}}
	case parts[0] == "api" && len(parts) == 2:
		out = s.resources("", parts[1])
	case parts[0] == "apis" && len(parts) == 1:
		var groups []any
		for _, k := range s.kinds {
			if g := s.group(k.Group); g != nil && k.Group != "" && !slices.ContainsFunc(groups, func(o any) bool { return o.(object)["name"] == k.Group }) {
				groups = append(groups, g)
			}
		}
		out = object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
	case parts[0] == "apis" && len(parts) == 2:
		if out = s.group(parts[1]); out != nil {
			out["kind"], out["apiVersion"] = "APIGroup", "v1"
		}
	case parts[0] == "apis" && len(parts) == 3:
		out = s.resources(parts[1], parts[2])
	}
	if out == nil {
		s.unknown(w, parts)
		return
	}
	write(w, http.StatusOK, out)
}

// unknown answers what is asked of a path that means nothing. Only what begins with a known group has a Status.
func (s *Server) unknown(w http.ResponseWriter, parts []string) {
	if len(parts) > 2 && (parts[0] == "api" || parts[0] == "apis" && s.group(parts[1]) != nil) {
		failure{http.StatusNotFound, "NotFound", "the server could not find the requested resource", object{}}.answer(w)
		return
	}
	http.Error(w, "404 page not found", http.StatusNotFound)
}

// group describes a group; nil: there is none.
func (s *Server) group(name string) object {
	var versions []any
	var seen []string
	for _, k := range s.kinds {
		for _, v := range k.Versions {
			if k.Group == name && !slices.Contains(seen, v) {
				seen = append(seen, v)
				versions = append(versions, groupVersion(name, v))
			}
		}
	}
	if len(versions) == 0 || name == "" {
		return nil
	}
	return object{"name": name, "versions": versions, "preferredVersion": versions[0]}
}

// resources lists the kinds of one version of a group; nil: there are none.
func (s *Server) resources(group, version string) object {
	var list []any
	for _, k := range s.kinds {
		if k.Group == group && slices.Contains(k.Versions, version) {
			list = append(list, object{
				"name": k.Resource, "singularName": strings.ToLower(k.Name), "namespaced": !k.Cluster, "kind": k.Name,
				"verbs": []any{"create", "delete", "get", "list", "patch", "update"},
			})
		}
	}
	if list == nil {
		return nil
	}
	out := object{"kind": "APIResourceList", "groupVersion": Kind{Group: group}.api(version), "resources": list}
	if group != "" {
		out["apiVersion"] = "v1"
	}
	return out
}
