package kube

// This file lets time pass: every request that reads something lets each controller take one step.

// play is what a controller knows of one object.
type play struct {
	generation int    // as last seen; a controller acts one step later
	hash       string // of the template that it works towards
	revision   int    // how many templates there were
	tries      int    // steps without success since the template changed
	version    string // of an ExternalSecret, or of what a workload reads, as last seen
	ended      bool   // a Job, or something that waits for no one any more
}

// deadline is how many steps a rollout may go without success, in place of progressDeadlineSeconds.
const deadline = 12

func (s *Server) knows(o object) *play {
	uid := uidOf(o)
	p := s.plays[uid]
	if p == nil {
		p = &play{}
		s.plays[uid] = p
	}
	return p
}

// step lets every controller take one step.
func (s *Server) step() {
	k := s.named("externalsecrets")
	for _, o := range s.all(k, "") {
		s.sync(k, o)
	}
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets"} {
		k := s.named(resource)
		for _, o := range s.all(k, "") {
			s.reloads(k, o)
		}
		for _, o := range s.all(k, "") {
			s.roll(k, o)
		}
	}
	k = s.named("jobs")
	for _, o := range s.all(k, "") {
		s.work(k, o)
	}
}

// change lets a controller change a kept object.
func (s *Server) change(k Kind, o object, by func(object)) {
	c := clone(o)
	by(c)
	if !same(c, o) {
		s.put(k, c)
	}
}

// condition sets one condition of a status; its transition is dated when it changes.
func (s *Server) condition(o object, kind, verdict, reason, message string) {
	c := object{"type": kind, "status": verdict, "reason": reason, "message": message, "lastTransitionTime": s.stamp()}
	if dig(o, "spec", "progressDeadlineSeconds") != nil { // a Deployment dates every update too
		c["lastUpdateTime"] = s.stamp()
	}
	list, _ := dig(o, "status", "conditions").([]any)
	for i, v := range list {
		if old := v.(object); old["type"] == kind {
			if old["status"] == verdict {
				c["lastTransitionTime"] = old["lastTransitionTime"]
				if old["reason"] == reason && old["message"] == message {
					return
				}
			}
			list[i] = c
			return
		}
	}
	child(o, "status")["conditions"] = append(list, c)
}

func owner(k Kind, o object) []any {
	return []any{object{
		"apiVersion": k.api(k.Versions[0]), "kind": k.Name, "name": text(o, "metadata", "name"), "uid": uidOf(o),
		"controller": true, "blockOwnerDeletion": true,
	}}
}
