package kube

import (
	"maps"
	"slices"
	"strings"
)

// This file is for tests and rehearsals: it puts objects into the cluster and looks at them, past the API and its
// rules.

// namespace makes a namespace, if it is not there.
func (s *Server) namespace(name string) {
	k := s.named("namespaces")
	if _, ok := s.objects[k.at("", name)]; name != "" && !ok {
		s.add(k, object{"metadata": object{"name": name, "labels": object{"kubernetes.io/metadata.name": name}}, "spec": object{"finalizers": []any{"kubernetes"}}, "status": object{"phase": "Active"}})
	}
}

// AddNamespace makes a namespace. Adding anything else to a namespace makes it too.
func (s *Server) AddNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.namespace(name)
}

// Add puts an object of any known kind into the cluster, by the plural name of its resource, and replaces one of
// that name. Its metadata must have a name; a namespace is made if it is not there.
func (s *Server) Add(resource string, o map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seed(resource, clone(o))
}

func (s *Server) seed(resource string, o object) {
	k := s.named(resource)
	m := child(o, "metadata")
	if !k.Cluster && text(m, "namespace") == "" {
		m["namespace"] = "default"
	}
	s.namespace(text(m, "namespace"))
	delete(o, "kind")
	delete(o, "apiVersion")
	if k.Resource == "secrets" && o["type"] == nil {
		o["type"] = "Opaque"
	}
	fill(k, o)
	old, ok := s.objects[k.at(text(m, "namespace"), text(m, "name"))]
	if k.Resource == "secrets" {
		delete(m, "managedFields")
		s.manage(old, o, "seed")
	}
	if !ok {
		s.add(k, o)
		born(k, o)
		return
	}
	for _, key := range []string{"uid", "creationTimestamp", "generation"} {
		if v, ok := child(old, "metadata")[key]; ok {
			m[key] = v
		}
	}
	if k.generation() && !same(wanted(o), wanted(old)) {
		m["generation"] = number(old, 0, "metadata", "generation") + 1
	}
	s.put(k, o)
}

// Object returns an object as it is now; false: there is none.
func (s *Server) Object(resource, namespace, name string) (map[string]any, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.named(resource)
	o, ok := s.objects[k.at(namespace, name)]
	if !ok {
		return nil, false
	}
	version := ""
	if len(k.Versions) > 0 {
		version = k.Versions[0]
	}
	return dress(k, version, o), true
}

// Names returns the names of the objects of one resource in a namespace, sorted.
func (s *Server) Names(resource, namespace string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, o := range s.all(s.named(resource), namespace) {
		out = append(out, text(o, "metadata", "name"))
	}
	return out
}

// AddSecret puts a Secret into the cluster, or changes the keys of one that is there.
func (s *Server) AddSecret(namespace, name string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	o := object{"metadata": object{"name": name, "namespace": namespace}}
	if old, ok := s.objects[s.named("secrets").at(namespace, name)]; ok {
		o = clone(old)
		all = decoded(old)
	}
	maps.Copy(all, data)
	o["data"] = encoded(all)
	s.seed("secrets", o)
}

// Secret returns what one key of a Secret holds.
func (s *Server) Secret(namespace, name, key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, _ := s.contents("secrets", namespace, name)
	value, ok := all[key]
	return value, ok
}

// Workload returns the least that makes a Deployment, StatefulSet, DaemonSet or CronJob, with one container called
// "app". Env are the variables that it takes from Secrets: by name, SECRET/KEY, or SECRET for each key of it. A
// test may change the object before it adds it.
func Workload(kind, namespace, name string, env map[string]string) map[string]any {
	var list, from []any
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		secret, key, one := strings.Cut(env[variable], "/")
		if one {
			list = append(list, object{"name": variable, "valueFrom": object{"secretKeyRef": object{"name": secret, "key": key}}})
		} else {
			from = append(from, object{"secretRef": object{"name": secret}})
		}
	}
	app := object{"name": "app", "image": "example/app:1"}
	if list != nil {
		app["env"] = list
	}
	if from != nil {
		app["envFrom"] = from
	}
	labels := object{"app": name}
	template := object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{app}}}
	o := object{"metadata": object{"name": name, "namespace": namespace}, "kind": kind}
	if kind == "CronJob" {
		child(template, "spec")["restartPolicy"] = "Never"
		o["apiVersion"] = "batch/v1"
		o["spec"] = object{"schedule": "0 3 * * *", "jobTemplate": object{"spec": object{"backoffLimit": 0, "template": template}}}
		return o
	}
	o["apiVersion"] = "apps/v1"
	o["spec"] = object{"selector": object{"matchLabels": clone(labels)}, "template": template}
	return o
}

// Settle lets the controllers work until nothing changes any more, at most a hundred steps: as if nobody had looked
// for a while.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	quiet := 0
	for range 100 {
		before := s.revision
		s.step()
		if quiet++; s.revision != before {
			quiet = 0
		}
		if quiet > deadline+2 { // what waits for a step shows no change
			return
		}
	}
}

// Running returns the pods that have started and not ended, by namespace and name. Namespace "" is every one.
func (s *Server) Running(namespace string) []Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Pod
	for _, o := range s.all(s.named("pods"), namespace) {
		if c := s.containers[uidOf(o)]; c != nil && !c.started.IsZero() && !c.ended {
			out = append(out, s.pod(o))
		}
	}
	return out
}

// Restart restarts a workload by changing its template, as kubectl rollout restart does. It has begun when this returns.
func (s *Server) Restart(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.named(resource)
	if o, ok := s.objects[k.at(namespace, name)]; ok {
		s.change(k, o, func(o object) {
			child(o, "spec", "template", "metadata", "annotations")["kubectl.kubernetes.io/restartedAt"] = unique()
			child(o, "metadata")["generation"] = number(o, 0, "metadata", "generation") + 1
		})
	}
}

// Refresh asks External Secrets to read one again.
func (s *Server) Refresh(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.named("externalsecrets")
	if o, ok := s.objects[k.at(namespace, name)]; ok {
		s.change(k, o, func(o object) { child(o, "metadata", "annotations")["force-sync"] = unique() })
	}
}
