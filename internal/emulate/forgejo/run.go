package forgejo

import (
	"maps"
	"slices"
	"time"
)

// The life of a run: waiting, picked (running, with the secrets of that moment), ended. A run that needs
// approval is blocked until a person approves it. All of it is worked out when a request comes in.

// Run is a run of a workflow. Its status is Forgejo's word: waiting, running, success, failure, cancelled,
// skipped, blocked.
type Run struct {
	ID, Number   int64
	Repository   string
	Workflow     string // file name
	Title        string
	Ref          string // refs/heads/main
	Event        string // workflow_dispatch, push, schedule, …
	User         string
	Inputs       map[string]string
	Status       string
	NeedApproval bool
	Created      time.Time
	Started      time.Time
	Stopped      time.Time
	Secrets      map[string]string // handed over when it was picked; nil before
	Variables    map[string]string // likewise
}

type run struct {
	Run
	repo    *repository
	jobs    []string
	payload string
	taskID  int64
	queued  time.Time // when it could be picked first
	working bool      // OnRun has not answered yet
	result  bool      // what OnRun answered
}

func (r *run) done() bool {
	return slices.Contains([]string{"success", "failure", "cancelled", "skipped"}, r.Status)
}

func (r *run) copy() Run {
	c := r.Run
	c.Inputs, c.Secrets, c.Variables = maps.Clone(c.Inputs), maps.Clone(c.Secrets), maps.Clone(c.Variables)
	return c
}

// settle lets every run be where it is by now.
func (s *Server) settle() {
	for s.step() {
	}
}

// step does the next thing that is due, and reports whether there was one.
func (s *Server) step() bool {
	s.mu.Lock()
	now := s.now()
	for _, r := range s.runs {
		switch {
		case r.Status == "waiting" && s.Queue >= 0 && !now.Before(r.queued.Add(s.Queue)):
			s.pick(r)() // unlocks
			return true
		case r.Status == "running" && r.taskID != 0 && !r.working && s.Work >= 0 && !now.Before(r.Started.Add(s.Work)):
			r.end(r.result, now)
			s.mu.Unlock()
			return true
		}
	}
	s.mu.Unlock()
	return false
}

func (r *run) end(success bool, now time.Time) {
	r.Status, r.Stopped = "failure", now
	if success {
		r.Status = "success"
	}
}

// pick hands the run to a runner, with what the repository and its owner hold now. It is called under the
// lock, which the function it returns gives up to do the run's work.
func (s *Server) pick(r *run) func() {
	r.Status, r.Started, r.working = "running", s.now(), true
	s.lastID++
	r.taskID = s.lastID
	r.Secrets, r.Variables = map[string]string{}, map[string]string{}
	for _, p := range []*place{&s.owners[lower(r.repo.owner)].place, &r.repo.place} { // the repository's win
		for name, x := range p.secrets {
			r.Secrets[name] = x.value
		}
		for name, x := range p.variables {
			r.Variables[name] = x.value
		}
	}
	seen, work := r.copy(), s.OnRun
	return func() {
		s.mu.Unlock()
		ok := work == nil || work(seen)
		s.mu.Lock()
		r.result, r.working = ok, false
		s.mu.Unlock()
	}
}

// Pick hands a waiting run to a runner now. It reports whether there was such a run.
func (s *Server) Pick(id int64) bool {
	s.mu.Lock()
	if r := s.run(id); r != nil && r.Status == "waiting" {
		s.pick(r)() // unlocks
		return true
	}
	s.mu.Unlock()
	return false
}

// Finish ends a run that has not ended, whatever OnRun said. It reports whether there was such a run.
func (s *Server) Finish(id int64, success bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.run(id)
	if r == nil || r.done() {
		return false
	}
	r.end(success, s.now())
	return true
}

// Cancel ends a run as a person would who cancels it.
func (s *Server) Cancel(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.run(id)
	if r == nil || r.done() {
		return false
	}
	r.Status, r.Stopped = "cancelled", s.now()
	return true
}

// Approve lets a blocked run wait for a runner.
func (s *Server) Approve(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.run(id)
	if r == nil || r.Status != "blocked" {
		return false
	}
	r.Status, r.NeedApproval, r.queued = "waiting", false, s.now()
	return true
}

// Runs returns the runs of a repository ("owner/name"), the oldest first.
func (s *Server) Runs(repository string) []Run {
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Run
	for _, r := range s.runs {
		if same(r.Repository, repository) {
			all = append(all, r.copy())
		}
	}
	return all
}

func (s *Server) run(id int64) *run {
	for _, r := range s.runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// enqueue makes a run of the repository, under the lock.
func (s *Server) enqueue(repo *repository, x Run, jobs []string, payload string) *run {
	s.lastID++
	repo.runNumber++
	x.ID, x.Number, x.Repository, x.Created = s.lastID, repo.runNumber, repo.full(), s.now()
	r := &run{Run: x, repo: repo, jobs: jobs, payload: payload, queued: x.Created}
	s.runs = append(s.runs, r)
	return r
}
