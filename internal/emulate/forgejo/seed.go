package forgejo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Seeding and looking inside. A place is written "owner/name" for a repository and "name" for a user or an
// organization. What does not exist yet is made, so that a rehearsal needs one line a thing.

func lower(s string) string { return strings.ToLower(s) }

func (s *Server) owner(name string) *owner {
	if o := s.owners[lower(name)]; o != nil {
		return o
	}
	s.lastID++
	o := &owner{id: s.lastID, name: name}
	o.ownerID = o.id
	s.owners[lower(name)] = o
	return o
}

func (s *Server) repository(full string) *repository {
	if r := s.repos[lower(full)]; r != nil {
		return r
	}
	user, name, ok := strings.Cut(full, "/")
	if !ok || user == "" || name == "" {
		panic(fmt.Sprintf("forgejo: %q is not owner/name", full))
	}
	s.lastID++
	r := &repository{id: s.lastID, owner: s.owner(user).name, name: name, branches: []string{"main"},
		people: map[string]access{}, workflows: map[string]*Workflow{}}
	r.repoID = r.id
	s.repos[lower(full)] = r
	return r
}

func (s *Server) at(where string) *place {
	if strings.Contains(where, "/") {
		return &s.repository(where).place
	}
	return &s.owner(where).place
}

// AddUser makes a user.
func (s *Server) AddUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner(name)
}

// AddAdmin makes a site admin, who may do everything and is told why a 500 happened.
func (s *Server) AddAdmin(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner(name).admin = true
}

// AddOrg makes an organization that these users own.
func (s *Server) AddOrg(name string, owners ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owner(name)
	o.org = true
	for _, head := range owners {
		o.heads = append(o.heads, s.owner(head).name)
	}
}

// AddToken makes text an access token of the user. Scopes are "all", or such as "write:repository" and
// "read:user".
func (s *Server) AddToken(user, text string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[text] = &token{user: s.owner(user), scopes: scopes}
}

// AddJobToken makes text the own token of a job of the repository: it reads the repository and dispatches
// there, and writes no secret.
func (s *Server) AddJobToken(repository, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[text] = &token{user: s.owner("actions-user"), job: s.repository(repository)}
}

// AddRepository makes a private repository, "owner/name", with the branch main.
func (s *Server) AddRepository(full string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repository(full)
}

// AddBranch makes a branch in a repository. They all have the same files.
func (s *Server) AddBranch(full, branch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(full)
	if !slices.Contains(r.branches, branch) {
		r.branches = append(r.branches, branch)
	}
}

// AddCollaborator lets a user into a repository; permission is "read", "write" or "admin".
func (s *Server) AddCollaborator(full, user, permission string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := map[string]access{"read": read, "write": write, "admin": admin}[permission]
	if !ok {
		panic("forgejo: no such permission: " + permission)
	}
	s.repository(full).people[lower(s.owner(user).name)] = a
}

// AddWorkflow puts a workflow file, such as "deploy.yml", into a repository.
func (s *Server) AddWorkflow(full, file string, w Workflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repository(full).workflows[file] = &w
}

// AddRun makes a run that something other than a dispatch started and returns its id. Workflow and Status
// of r count (as given, default "waiting"), and Event (default "push"), Ref, Title, User, Inputs.
func (s *Server) AddRun(full string, r Run) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repository(full)
	for _, d := range []struct {
		field *string
		value string
	}{{&r.Status, "waiting"}, {&r.Event, "push"}, {&r.Ref, "refs/heads/main"}, {&r.Title, "Change something"}, {&r.User, repo.owner}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	jobs := []string{"deploy"}
	if w := repo.workflows[r.Workflow]; w != nil {
		jobs = w.jobs()
	}
	if r.Status == "running" {
		r.Started = s.now()
	}
	s.owner(r.User)
	made := s.enqueue(repo, r, jobs, `{"ref":"`+r.Ref+`"}`)
	if r.Status == "running" { // it ends by Finish only: what it was handed is not known here
		s.lastID++
		made.taskID, made.working = s.lastID, true
	}
	return made.ID
}

// SetSecret makes a place hold a secret, with a description that only Gitea shows.
func (s *Server) SetSecret(where, name, value, description string) {
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(where).set(name, value, description, s.now())
}

// Secret returns what a place holds under the name, and its description.
func (s *Server) Secret(where, name string) (value, description string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.at(where).secrets[strings.ToUpper(name)]
	if x == nil {
		return "", "", false
	}
	return x.value, x.description, true
}

// RemoveSecret takes a secret away.
func (s *Server) RemoveSecret(where, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at(where).secrets, strings.ToUpper(name))
}

// SetVariable makes a place hold a variable.
func (s *Server) SetVariable(where, name, value string) {
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(where).setVariable(name, value, "")
}

// Variable returns a variable of a place.
func (s *Server) Variable(where, name string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.at(where).variables[strings.ToUpper(name)]
	if x == nil {
		return "", false
	}
	return x.value, true
}

// Names returns the names of the secrets of a place, sorted.
func (s *Server) Names(where string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.at(where).secrets))
}

// RemoveVariable takes a variable away.
func (s *Server) RemoveVariable(where, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at(where).variables, strings.ToUpper(name))
}
