package kube

// This file plays the controller of Jobs: one pod at a time, until one succeeds or backoffLimit is exceeded. The
// conditions that come earlier and are not final are shown for one step.

func (s *Server) work(k Kind, o object) {
	p := s.knows(o)
	if p.ended {
		return
	}
	if p.generation == 0 {
		p.generation = 1
		return
	}
	set := func(by func(o, st object)) {
		s.change(k, o, func(o object) { by(o, child(o, "status")) })
	}
	if dig(o, "spec", "suspend") == true {
		set(func(o, _ object) { s.condition(o, "Suspended", "True", "JobSuspended", "Job suspended") })
		return
	}
	for _, c := range items(o, "status", "conditions") {
		switch c["type"] {
		case "SuccessCriteriaMet":
			p.ended = true
			set(func(o, st object) {
				st["completionTime"] = s.stamp()
				s.condition(o, "Complete", "True", "CompletionsReached", "Reached expected number of succeeded pods")
			})
			return
		case "FailureTarget":
			p.ended = true
			set(func(o, _ object) {
				s.condition(o, "Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
			})
			return
		}
	}
	for _, pod := range s.pods(uidOf(o)) {
		c := s.containers[uidOf(pod)]
		switch {
		case c.ended:
			continue
		case c.started.IsZero():
			c.ready = true
			s.start(pod)
			return
		}
		code := 0
		if s.Exit != nil {
			code = s.Exit(s.pod(pod))
		}
		c.ready = false
		s.terminated(pod, code)
		set(func(o, st object) {
			delete(st, "active")
			delete(st, "ready")
			switch failed := number(o, 0, "status", "failed") + 1; {
			case code == 0:
				st["succeeded"] = 1
				s.condition(o, "SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods")
			default:
				st["failed"] = failed
				if failed > number(o, 6, "spec", "backoffLimit") {
					s.condition(o, "FailureTarget", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
				}
			}
		})
		return
	}
	s.spawn(k, o, text(o, "metadata", "name")+"-"+tail(5), "", object{}, owner(k, o))
	set(func(_, st object) {
		st["active"] = 1
		if st["startTime"] == nil {
			st["startTime"] = s.stamp()
		}
	})
}
