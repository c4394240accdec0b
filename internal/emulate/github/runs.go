package github

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Run is a run of a workflow. Status is queued, waiting (for approval), in_progress or completed.
type Run struct {
	ID         int64
	Repository string // "owner/name"
	Workflow   string // the file
	Title      string // what lists call display_title
	Event      string // "": workflow_dispatch
	Branch     string // "": the default branch
	Actor      string
	Inputs     map[string]string
	Status     string
	Conclusion string
	Attempt    int
	Number     int
	Created    time.Time
	Updated    time.Time
	// Secrets is what the run reads, by upper-case name: organization and repository secrets as they were when
	// it was queued, over them those of its environment as they were when it started.
	Secrets map[string]string
	// Stuck keeps the run in its status until [Server.Finish] or a cancel.
	Stuck bool
}

type run struct {
	Run
	repo     *repository
	workflow *workflow
	reads    int
	hidden   int  // listings that still miss it
	approved bool // by a person
	ending   bool // OnRun is being asked
}

// AddRun queues a run as an event other than a dispatch would, or one that was queued before. Empty fields
// are filled; Secrets are what the repository holds now, unless given. It returns the run's id.
func (s *Server) AddRun(r Run) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repository(r.Repository, nil)
	i := slices.IndexFunc(repo.workflows, func(w *workflow) bool { return w.File == r.Workflow })
	if i < 0 {
		panic(fmt.Sprintf("github: %s has no workflow %s", r.Repository, r.Workflow))
	}
	return s.queue(repo, repo.workflows[i], r).ID
}

// Runs returns all runs of a repository, oldest first.
func (s *Server) Runs(repository string) []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Run
	for _, x := range s.runs {
		if strings.EqualFold(x.Repository, repository) {
			out = append(out, x.copy())
		}
	}
	return out
}

// Approve lets a waiting run go on.
func (s *Server) Approve(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.find(id); x != nil {
		x.approved = true
		if x.Status == "waiting" {
			x.Status, x.Updated = "queued", s.second()
		}
	}
}

// Finish ends a run with a conclusion. OnRun is not asked.
func (s *Server) Finish(id int64, conclusion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.find(id); x != nil {
		s.end(x, conclusion)
	}
}

func (s *Server) find(id int64) *run {
	for _, x := range s.runs {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (s *Server) end(x *run, conclusion string) {
	if x.Status != "completed" {
		x.Status, x.Conclusion, x.Updated = "completed", conclusion, s.second()
	}
}

func (x *run) copy() Run {
	r := x.Run
	r.Inputs, r.Secrets = maps.Clone(r.Inputs), maps.Clone(r.Secrets)
	return r
}

// queue adds a run. The caller holds mu.
func (s *Server) queue(repo *repository, w *workflow, r Run) *run {
	x := &run{Run: r, repo: repo, workflow: w}
	x.ID, x.Repository, x.Workflow = 17_000_000_000+s.id(), repo.Name, w.File
	fill := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	fill(&x.Event, "workflow_dispatch")
	fill(&x.Branch, repo.Branches[0])
	fill(&x.Actor, "octocat")
	fill(&x.Status, "queued")
	title := w.RunName
	for k, v := range x.Inputs {
		title = strings.ReplaceAll(title, "${{ inputs."+k+" }}", v)
	}
	fill(&x.Title, title)
	fill(&x.Title, w.Name)
	if x.Attempt == 0 {
		x.Attempt = 1
	}
	for _, y := range s.runs {
		if y.workflow == w {
			x.Number = max(x.Number, y.Number)
		}
	}
	x.Number++
	if x.Created.IsZero() {
		x.Created = s.second()
	}
	if x.Updated.IsZero() {
		x.Updated = x.Created
	}
	if x.Secrets == nil {
		x.Secrets = s.queued(repo)
	}
	s.runs = append(s.runs, x)
	return x
}

// queued returns the secrets that a run of the repository would be queued with. The caller holds mu.
func (s *Server) queued(repo *repository) map[string]string {
	out := map[string]string{}
	owner, _, _ := strings.Cut(repo.Name, "/")
	if o := s.orgs[strings.ToLower(owner)]; o != nil {
		for k, e := range o.secrets {
			if e.visibility == "all" || e.visibility == "private" && !repo.Public || slices.Contains(e.selected, repo.id) {
				out[k] = e.value
			}
		}
	}
	for k, e := range repo.secrets {
		out[k] = e.value
	}
	return out
}

// advance moves a run on after it was seen: queued, (waiting,) in_progress, completed. The caller must
// not hold mu, since OnRun may use the server.
func (s *Server) advance(x *run) {
	s.mu.Lock()
	polls := s.Polls
	if polls == 0 {
		polls = 2
	}
	if x.Stuck || x.Status == "completed" || x.ending {
		s.mu.Unlock()
		return
	}
	if x.Status == "queued" {
		env := x.repo.environments[strings.ToLower(x.workflow.Environment)]
		if env != nil && env.Approval && !x.approved {
			x.Status, x.Updated = "waiting", s.second()
			s.mu.Unlock()
			return
		}
		x.Status, x.Updated = "in_progress", s.second()
		if env != nil {
			for k, e := range env.secrets {
				x.Secrets[k] = e.value
			}
		}
	}
	if x.Status == "in_progress" {
		x.reads++
	}
	if x.Status != "in_progress" || x.reads < polls {
		s.mu.Unlock()
		return
	}
	x.ending = true
	seen := x.copy()
	s.mu.Unlock()

	conclusion := ""
	if s.OnRun != nil {
		conclusion = s.OnRun(&seen)
	}
	if conclusion == "" {
		conclusion = "success"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(x, conclusion)
}

// numbered finds the run that the path names, or answers 404. The caller holds mu.
func (s *Server) numbered(c *call) *run {
	id, err := strconv.ParseInt(c.r.PathValue("run"), 10, 64)
	if x := s.find(id); err == nil && x != nil && x.repo == c.repo {
		return x
	}
	fail(c.w, 404, "Not Found")
	return nil
}

func (s *Server) getRun(c *call) {
	s.mu.Lock()
	x := s.numbered(c)
	if x == nil {
		s.mu.Unlock()
		return
	}
	out := s.show(x)
	s.mu.Unlock()
	s.unlessSame(c, out)
	s.advance(x)
}

// unlessSame answers with a run, or with 304 if the caller has it in this state. A 304 costs no request
// of the rate limit.
func (s *Server) unlessSame(c *call, out object) {
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	tag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(text))
	c.w.Header().Set("ETag", tag)
	if c.r.Header.Get("If-None-Match") != tag {
		reply(c.w, 200, out)
		return
	}
	s.mu.Lock()
	if u := s.used[c.token.Value]; u != nil {
		u.count--
	}
	s.mu.Unlock()
	c.w.WriteHeader(304)
}

func (s *Server) listRuns(c *call) {
	q := c.r.URL.Query()
	within, ok := period(q.Get("created"))
	if !ok {
		fail(c.w, 422, "Invalid value for created.")
		return
	}
	s.mu.Lock()
	var of *workflow
	if c.r.PathValue("workflow") != "" {
		if of = s.workflow(c); of == nil {
			s.mu.Unlock()
			return
		}
	}
	is := func(key string, values ...string) bool {
		want := q.Get(key)
		return want == "" || slices.Contains(values, want)
	}
	var found []*run
	for _, x := range slices.Backward(s.runs) { // the newest first
		if x.repo != c.repo || of != nil && x.workflow != of {
			continue
		}
		if x.hidden > 0 {
			x.hidden--
			continue
		}
		if is("event", x.Event) && is("branch", x.Branch) && is("status", x.Status, x.Conclusion) && is("actor", x.Actor) && within(x.Created) {
			found = append(found, x)
		}
	}
	from, to := s.page(c, len(found), 30, 100)
	list := []object{}
	for _, x := range found[from:to] {
		list = append(list, s.show(x))
	}
	s.mu.Unlock()
	reply(c.w, 200, object{"total_count": len(found), "workflow_runs": list})
	for _, x := range found[from:to] {
		s.advance(x)
	}
}

// period reads the filter created in the syntax of GitHub's search: >=T, >T, <=T, <T, A..B or T, each a
// date or a time of RFC 3339.
func period(text string) (within func(time.Time) bool, ok bool) {
	if text == "" {
		return func(time.Time) bool { return true }, true
	}
	instant := func(text string) (start, end time.Time, ok bool) {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t, t.Add(time.Second - 1), true
		}
		t, err := time.Parse(time.DateOnly, text)
		return t, t.Add(24*time.Hour - 1), err == nil
	}
	if a, b, both := strings.Cut(text, ".."); both {
		from, _, ok1 := instant(a)
		_, to, ok2 := instant(b)
		if a == "*" {
			from, ok1 = time.Time{}, true
		}
		if b == "*" {
			to, ok2 = time.Unix(1<<40, 0), true
		}
		return func(t time.Time) bool { return !t.Before(from) && !t.After(to) }, ok1 && ok2
	}
	rest := strings.TrimLeft(text, "<>=")
	from, to, ok := instant(rest)
	switch strings.TrimSuffix(text, rest) {
	case ">=":
		return func(t time.Time) bool { return !t.Before(from) }, ok
	case ">":
		return func(t time.Time) bool { return t.After(to) }, ok
	case "<=":
		return func(t time.Time) bool { return !t.After(to) }, ok
	case "<":
		return func(t time.Time) bool { return t.Before(from) }, ok
	case "":
		return func(t time.Time) bool { return !t.Before(from) && !t.After(to) }, ok
	}
	return nil, false
}

func (s *Server) cancelRun(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.numbered(c)
	if x == nil {
		return
	}
	if x.Status == "completed" {
		fail(c.w, 409, "Cannot cancel a workflow run that is completed.")
		return
	}
	s.end(x, "cancelled")
	reply(c.w, 202, object{})
}
