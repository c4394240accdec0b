package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// This file plays the controllers of Deployments, StatefulSets and DaemonSets. A change is observed two steps after
// it was made; pods of the new template are made, start and are ready in the three after that. A
// Deployment's old pods go when the new ones are ready, those of the others when the new ones are made.

// nodes is how many nodes a DaemonSet runs on.
const nodes = 2

// roll takes one step with a workload.
func (s *Server) roll(k Kind, o object) {
	p := s.knows(o)
	if generation := number(o, 0, "metadata", "generation"); p.generation != generation {
		p.generation, p.tries = generation, 0
		return
	}
	seen := number(o, 0, "status", "observedGeneration") == p.generation
	if !seen && dig(o, "spec", "paused") != true {
		if h := hash(o); h != p.hash {
			p.hash = h
			p.revision++
		}
	}
	switch {
	case !seen || p.hash == "":
	case k.Resource == "deployments":
		s.rollDeployment(k, o, p)
	default:
		s.rollSet(k, o, p)
	}
	if s.live(k, o) { // it was not deleted meanwhile
		s.tell(k, s.objects[k.at(text(o, "metadata", "namespace"), text(o, "metadata", "name"))], p)
	}
}

func (s *Server) live(k Kind, o object) bool {
	_, ok := s.objects[k.at(text(o, "metadata", "namespace"), text(o, "metadata", "name"))]
	return ok
}

// hash tells templates apart.
func hash(o object) string {
	sum := sha256.Sum256(encode(dig(o, "spec", "template")))
	return hex.EncodeToString(sum[:])[:10]
}

// wants is how many pods a workload is to have.
func wants(k Kind, o object) int {
	if k.Resource == "daemonsets" {
		return nodes
	}
	return number(o, 1, "spec", "replicas")
}

// advance starts what has not started, else asks whether it is ready. It reports whether all pods are ready.
func (s *Server) advance(pods []object) bool {
	ready := true
	for _, pod := range pods {
		c := s.containers[uidOf(pod)]
		switch {
		case c.started.IsZero():
			s.start(pod)
			ready = false
			continue
		case !c.ready:
			c.ready = s.Ready == nil || s.Ready(s.pod(pod))
			s.report(pod)
		}
		ready = ready && c.ready
	}
	return ready
}

func (s *Server) rollDeployment(k Kind, o object, p *play) {
	set := s.replicaSet(k, o, p)
	var fresh, old []object
	for _, pod := range s.pods(uidOf(o)) {
		if s.containers[uidOf(pod)].hash == p.hash {
			fresh = append(fresh, pod)
		} else {
			old = append(old, pod)
		}
	}
	want := wants(k, o)
	pods := s.named("pods")
	if len(fresh) < want {
		for range want - len(fresh) {
			name := text(set, "metadata", "name") + "-" + tail(5)
			s.spawn(k, o, name, p.hash, object{"pod-template-hash": p.hash}, owner(s.named("replicasets"), set))
		}
		p.tries++
		return
	}
	for _, pod := range fresh[want:] {
		s.drop(pods, pod)
	}
	if !s.advance(fresh[:want]) {
		p.tries++
		return
	}
	p.tries = 0
	for _, pod := range old {
		s.drop(pods, pod)
	}
}

// replicaSet returns the ReplicaSet of the template that a Deployment works towards.
func (s *Server) replicaSet(k Kind, o object, p *play) object {
	sets := s.named("replicasets")
	namespace, name := text(o, "metadata", "namespace"), text(o, "metadata", "name")+"-"+p.hash
	if set, ok := s.objects[sets.at(namespace, name)]; ok {
		return set
	}
	template := child(clone(o), "spec", "template")
	child(template, "metadata", "labels")["pod-template-hash"] = p.hash
	selector := clone(child(clone(o), "spec", "selector"))
	child(selector, "matchLabels")["pod-template-hash"] = p.hash
	set := object{
		"metadata": object{
			"name": name, "namespace": namespace, "labels": clone(child(template, "metadata", "labels")), "ownerReferences": owner(k, o),
			"annotations": object{"deployment.kubernetes.io/revision": strconv.Itoa(p.revision), "deployment.kubernetes.io/desired-replicas": strconv.Itoa(wants(k, o))},
		},
		"spec":   object{"replicas": wants(k, o), "selector": selector, "template": template},
		"status": object{"replicas": 0},
	}
	s.add(sets, set)
	s.change(k, o, func(o object) {
		child(o, "metadata", "annotations")["deployment.kubernetes.io/revision"] = strconv.Itoa(p.revision)
	})
	return set
}

func (s *Server) rollSet(k Kind, o object, p *play) {
	name := text(o, "metadata", "name")
	pods := s.pods(uidOf(o))
	keep := text(o, "spec", "updateStrategy", "type") == "OnDelete"
	partition := number(o, 0, "spec", "updateStrategy", "rollingUpdate", "partition")
	there := map[string]bool{}
	for i, pod := range pods {
		c := s.containers[uidOf(pod)]
		n := 0
		if k.Resource == "statefulsets" {
			n = ordinal(pod)
		}
		if n >= wants(k, o) || !keep && c.hash != p.hash && n >= partition {
			s.drop(s.named("pods"), pod)
			pods[i] = nil
			continue
		}
		there[text(pod, "metadata", "name")] = true
	}
	pods = slices.DeleteFunc(pods, func(o object) bool { return o == nil })
	if len(pods) < wants(k, o) {
		for i := range wants(k, o) {
			pod := name + "-" + strconv.Itoa(i)
			if k.Resource == "daemonsets" {
				if pod = name + "-" + tail(5); i < len(pods) {
					continue
				}
			}
			if !there[pod] {
				s.spawn(k, o, pod, p.hash, object{"controller-revision-hash": name + "-" + p.hash}, owner(k, o))
			}
		}
		return
	}
	s.advance(pods)
}

// ordinal is the number at the end of the name of a StatefulSet's pod.
func ordinal(pod object) int {
	name := text(pod, "metadata", "name")
	n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return n
}

// tell writes the status of a workload.
func (s *Server) tell(k Kind, o object, p *play) {
	all, updated, ready, readyUpdated := 0, 0, 0, 0
	for _, pod := range s.pods(uidOf(o)) {
		c := s.containers[uidOf(pod)]
		all++
		if c.ready {
			ready++
		}
		if c.hash == p.hash {
			updated++
			if c.ready {
				readyUpdated++
			}
		}
	}
	want := wants(k, o)
	done := updated == want && readyUpdated == want && all == want
	s.change(k, o, func(o object) {
		st := child(o, "status")
		st["observedGeneration"] = p.generation
		count := func(n int, key string) {
			if st[key] = n; n == 0 {
				delete(st, key)
			}
		}
		switch k.Resource {
		case "deployments":
			count(all, "replicas")
			count(updated, "updatedReplicas")
			count(ready, "readyReplicas")
			count(ready, "availableReplicas")
			count(max(want, all)-ready, "unavailableReplicas")
			s.progress(o, p, ready >= want-want/4, done)
		case "statefulsets":
			st["replicas"], st["availableReplicas"], st["collisionCount"] = all, ready, 0
			count(ready, "readyReplicas")
			count(updated, "updatedReplicas")
			st["updateRevision"] = text(o, "metadata", "name") + "-" + p.hash
			if done || st["currentRevision"] == nil {
				st["currentRevision"] = st["updateRevision"]
			}
			if current := all - updated; st["currentRevision"] == st["updateRevision"] {
				count(all, "currentReplicas")
			} else {
				count(current, "currentReplicas")
			}
		case "daemonsets":
			st["desiredNumberScheduled"], st["currentNumberScheduled"], st["numberMisscheduled"], st["numberReady"] = want, all, 0, ready
			count(ready, "numberAvailable")
			count(want-ready, "numberUnavailable")
			count(updated, "updatedNumberScheduled")
		}
	})
	sets := s.named("replicasets")
	for _, set := range s.all(sets, text(o, "metadata", "namespace")) {
		if k.Resource != "deployments" || !slices.ContainsFunc(items(set, "metadata", "ownerReferences"), func(r object) bool { return r["uid"] == uidOf(o) }) {
			continue
		}
		n := 0
		for _, pod := range s.pods(uidOf(o)) {
			if strings.HasSuffix(text(set, "metadata", "name"), "-"+s.containers[uidOf(pod)].hash) {
				n++
			}
		}
		s.change(sets, set, func(set object) {
			child(set, "spec")["replicas"], child(set, "status")["replicas"] = n, n
			child(set, "status")["observedGeneration"] = number(set, 1, "metadata", "generation")
		})
	}
}

// progress sets the conditions of a Deployment.
func (s *Server) progress(o object, p *play, available, done bool) {
	if available {
		s.condition(o, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		s.condition(o, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
	set := fmt.Sprintf("ReplicaSet %q", text(o, "metadata", "name")+"-"+p.hash)
	switch {
	case dig(o, "spec", "paused") == true:
		s.condition(o, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
	case done:
		s.condition(o, "Progressing", "True", "NewReplicaSetAvailable", set+" has successfully progressed.")
	case p.tries > deadline:
		s.condition(o, "Progressing", "False", "ProgressDeadlineExceeded", set+" has timed out progressing.")
	default:
		s.condition(o, "Progressing", "True", "ReplicaSetUpdated", set+" is progressing.")
	}
}
