package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// This file plays the node: a pod starts with what its Secrets and ConfigMaps hold at that moment.

// Pod is a pod as it runs.
type Pod struct {
	Namespace, Name string
	Kind, Owner     string // what it belongs to: Deployment, StatefulSet, DaemonSet or Job, and its name
	Labels          map[string]string
	Started         time.Time // zero: not yet, because something that it needs is not there
	Ready           bool
	// Env is what each container has in its environment, by container and variable: as it was at the start.
	Env map[string]map[string]string
	// Files are the files of Secrets and ConfigMaps, by container and path: as they are now, since mounts follow
	// changes; those mounted by subPath as they were at the start.
	Files map[string]map[string]string
}

// container is what the node knows of a pod.
type container struct {
	kind, owner string // as in Pod
	belongs     string // uid of what it belongs to
	hash        string // of the template it was made of
	started     time.Time
	ready       bool
	ended       bool
	env, frozen map[string]map[string]string
	lines       []line
}

// line is one line of a log.
type line struct {
	at              time.Time
	container, text string
}

// missing is what a container waits for.
type missing string

// pods returns the pods of one owner.
func (s *Server) pods(uid string) []object {
	return slices.DeleteFunc(s.all(s.named("pods"), ""), func(o object) bool {
		c := s.containers[uidOf(o)]
		return c == nil || c.belongs != uid
	})
}

// spawn makes a pod of a template; it has not started.
func (s *Server) spawn(k Kind, o object, name, hash string, labels object, owners []any) {
	template := child(clone(o), "spec", "template")
	meta := child(template, "metadata")
	meta["name"], meta["namespace"], meta["ownerReferences"] = name, text(o, "metadata", "namespace"), owners
	merge(child(meta, "labels"), labels)
	spec := child(template, "spec")
	spec["nodeName"] = "node-1"
	pod := object{"metadata": meta, "spec": spec, "status": object{"phase": "Pending"}}
	s.add(s.named("pods"), pod)
	s.containers[uidOf(pod)] = &container{kind: k.Name, owner: text(o, "metadata", "name"), belongs: uidOf(o), hash: hash}
	s.waiting(pod, "ContainerCreating", "")
}

// start starts the containers of a pod, if all they need is there.
func (s *Server) start(pod object) {
	c := s.containers[uidOf(pod)]
	namespace := text(pod, "metadata", "namespace")
	env, frozen := map[string]map[string]string{}, map[string]map[string]string{}
	for _, x := range items(pod, "spec", "containers") {
		values, lack := s.environment(namespace, x)
		if lack == "" {
			_, frozen[text(x, "name")], lack = s.mounts(pod, x)
		}
		if lack != "" {
			s.waiting(pod, "CreateContainerConfigError", string(lack))
			return
		}
		if s.Start != nil {
			maps.Copy(values, s.Start(namespace, c.kind, c.owner))
		}
		env[text(x, "name")] = values
	}
	c.env, c.frozen, c.started = env, frozen, s.now()
	s.report(pod)
}

// waiting writes the status of a pod whose containers do not run.
func (s *Server) waiting(pod object, reason, message string) {
	s.change(s.named("pods"), pod, func(o object) {
		state := object{"reason": reason}
		if message != "" {
			state["message"] = message
		}
		var list []any
		for _, x := range items(o, "spec", "containers") {
			list = append(list, object{"name": text(x, "name"), "image": text(x, "image"), "ready": false, "started": false, "restartCount": 0, "state": object{"waiting": state}})
		}
		st := child(o, "status")
		st["phase"], st["containerStatuses"] = "Pending", list
		s.condition(o, "Ready", "False", "ContainersNotReady", "containers with unready status")
	})
}

// report writes the status of a pod that runs.
func (s *Server) report(pod object) {
	c := s.containers[uidOf(pod)]
	s.change(s.named("pods"), pod, func(o object) {
		since := c.started.UTC().Format(time.RFC3339)
		var list []any
		for _, x := range items(o, "spec", "containers") {
			list = append(list, object{"name": text(x, "name"), "image": text(x, "image"), "ready": c.ready, "started": true, "restartCount": 0,
				"state": object{"running": object{"startedAt": since}}})
		}
		st := child(o, "status")
		st["phase"], st["startTime"], st["podIP"], st["containerStatuses"] = "Running", since, "10.0.0.1", list
		verdict, reason := "False", "ContainersNotReady"
		if c.ready {
			verdict, reason = "True", ""
		}
		s.condition(o, "Ready", verdict, reason, "")
	})
}

// terminated writes the status of a pod whose containers have ended.
func (s *Server) terminated(pod object, code int) {
	c := s.containers[uidOf(pod)]
	c.ended = true
	s.change(s.named("pods"), pod, func(o object) {
		phase, reason := "Succeeded", "Completed"
		if code != 0 {
			phase, reason = "Failed", "Error"
		}
		var list []any
		for _, x := range items(o, "spec", "containers") {
			list = append(list, object{"name": text(x, "name"), "image": text(x, "image"), "ready": false, "started": false, "restartCount": 0,
				"state": object{"terminated": object{"exitCode": code, "reason": reason, "startedAt": c.started.UTC().Format(time.RFC3339), "finishedAt": s.stamp()}}})
		}
		st := child(o, "status")
		st["phase"], st["containerStatuses"] = phase, list
		s.condition(o, "Ready", "False", "PodCompleted", "")
	})
}

// environment reads what a container starts with.
func (s *Server) environment(namespace string, x object) (map[string]string, missing) {
	env := map[string]string{}
	for _, from := range items(x, "envFrom") {
		for _, ref := range []struct{ key, resource string }{{"secretRef", "secrets"}, {"configMapRef", "configmaps"}} {
			name := text(from, ref.key, "name")
			if name == "" {
				continue
			}
			all, ok := s.contents(ref.resource, namespace, name)
			if !ok && dig(from, ref.key, "optional") != true {
				return nil, missing(fmt.Sprintf("%s %q not found", strings.TrimSuffix(ref.resource, "s"), name))
			}
			for k, v := range all {
				env[text(from, "prefix")+k] = v
			}
		}
	}
	for _, e := range items(x, "env") {
		env[text(e, "name")] = text(e, "value")
		for _, ref := range []struct{ key, resource, kind string }{{"secretKeyRef", "secrets", "Secret"}, {"configMapKeyRef", "configmaps", "ConfigMap"}} {
			name, key := text(e, "valueFrom", ref.key, "name"), text(e, "valueFrom", ref.key, "key")
			if name == "" {
				continue
			}
			all, ok := s.contents(ref.resource, namespace, name)
			value, there := all[key]
			switch {
			case there:
				env[text(e, "name")] = value
			case dig(e, "valueFrom", ref.key, "optional") == true:
				delete(env, text(e, "name"))
			case !ok:
				return nil, missing(fmt.Sprintf("%s %q not found", strings.ToLower(ref.kind), name))
			default:
				return nil, missing(fmt.Sprintf("couldn't find key %s in %s %s/%s", key, ref.kind, namespace, name))
			}
		}
	}
	return env, ""
}

// mounts reads the files of a container: those that follow changes, and those that do not.
func (s *Server) mounts(pod, x object) (follow, stay map[string]string, lack missing) {
	follow, stay = map[string]string{}, map[string]string{}
	namespace := text(pod, "metadata", "namespace")
	for _, m := range items(x, "volumeMounts") {
		for _, v := range items(pod, "spec", "volumes") {
			if text(v, "name") != text(m, "name") {
				continue
			}
			resource, name := "secrets", text(v, "secret", "secretName")
			if name == "" {
				resource, name = "configmaps", text(v, "configMap", "name")
			}
			if name == "" {
				continue
			}
			all, ok := s.contents(resource, namespace, name)
			if !ok && dig(v, "secret", "optional") != true && dig(v, "configMap", "optional") != true {
				return nil, nil, missing(fmt.Sprintf("%s %q not found", strings.TrimSuffix(resource, "s"), name))
			}
			path := strings.TrimSuffix(text(m, "mountPath"), "/")
			if sub := text(m, "subPath"); sub != "" {
				stay[path] = all[sub]
				continue
			}
			for k, value := range all {
				follow[path+"/"+k] = value
			}
		}
	}
	return follow, stay, ""
}

// contents reads a Secret or a ConfigMap.
func (s *Server) contents(resource, namespace, name string) (map[string]string, bool) {
	o, ok := s.objects[s.named(resource).at(namespace, name)]
	switch {
	case !ok:
		return nil, false
	case resource == "secrets":
		return decoded(o), true
	}
	return texts(o, "data"), true
}

// pod returns a pod as it runs.
func (s *Server) pod(o object) Pod {
	c := cmp.Or(s.containers[uidOf(o)], &container{})
	p := Pod{
		Namespace: text(o, "metadata", "namespace"), Name: text(o, "metadata", "name"), Labels: texts(o, "metadata", "labels"),
		Kind: c.kind, Owner: c.owner, Started: c.started, Ready: c.ready,
		Env: map[string]map[string]string{}, Files: map[string]map[string]string{},
	}
	if c.started.IsZero() {
		return p
	}
	for _, x := range items(o, "spec", "containers") {
		name := text(x, "name")
		p.Env[name] = maps.Clone(c.env[name])
		files, _, _ := s.mounts(o, x)
		p.Files[name] = map[string]string{}
		maps.Copy(p.Files[name], files)
		maps.Copy(p.Files[name], c.frozen[name])
	}
	return p
}
