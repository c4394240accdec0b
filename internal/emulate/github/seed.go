package github

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Place is where secrets and variables lie: a repository ("owner/name"), an environment of one, or an
// organization.
type Place struct{ Org, Repository, Environment string }

// Kind is what a credential is.
type Kind int

const (
	FineGrained Kind = iota // a fine-grained personal access token
	Classic                 // a classic personal access token, with scopes
	Job                     // the GITHUB_TOKEN of a job
	Installed               // an installation access token of an App
)

// Token is a credential and what it may do.
type Token struct {
	Value  string
	Kind   Kind
	Login  string   // of its owner; "": octocat
	Scopes []string // of a classic token
	// Rights are "read" or "write" by permission, as in "secrets": "write". Nil: everything; for a job's token
	// what it can have at the most of what is emulated, which is actions.
	Rights       map[string]string
	Repositories []string  // "owner/name"; nil: all
	Expires      time.Time // zero: never
}

func (t *Token) has(right, level string) bool {
	switch right {
	case "secrets", "actions_variables", "environments", "organization_secrets", "organization_actions_variables":
		// No "permissions:" of a workflow can give these to a job.
		if t.Kind == Job {
			return false
		}
	}
	if t.Rights == nil {
		return true
	}
	return t.Rights[right] == level || t.Rights[right] == "write"
}

func (t *Token) sees(r *repository) bool {
	return t.Repositories == nil || slices.ContainsFunc(t.Repositories, func(n string) bool { return strings.EqualFold(n, r.Name) })
}

// Repository is a repository and its files, as far as Actions looks at them.
type Repository struct {
	Name     string // "owner/name"
	Public   bool
	Branches []string // the first is the default branch; nil: main
}

type repository struct {
	Repository
	id           int64
	created      time.Time
	environments map[string]*environment // by lower-case name
	workflows    []*workflow
	store
}

// Environment is a deployment environment of a repository.
type Environment struct {
	Name     string
	Approval bool // a run that uses it waits until [Server.Approve]
}

type environment struct {
	Environment
	id      int64
	created time.Time
	store
}

type organization struct {
	name string
	id   int64
	store
}

// AddRepository adds a repository. One that is there keeps its secrets, workflows and runs.
func (s *Server) AddRepository(r Repository) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repository(r.Name, func(x *repository) { x.Public, x.Branches = r.Public, r.Branches })
}

// repository finds or adds a repository. The caller holds mu.
func (s *Server) repository(name string, change func(*repository)) *repository {
	owner, short, ok := strings.Cut(name, "/")
	if !ok || owner == "" || short == "" || strings.Contains(short, "/") {
		panic(fmt.Sprintf("github: %q is not owner/name", name))
	}
	r := s.repositories[strings.ToLower(name)]
	if r == nil {
		r = &repository{id: s.id(), created: s.second(), environments: map[string]*environment{}}
		r.Name = name
		s.repositories[strings.ToLower(name)] = r
	}
	if change != nil {
		change(r)
	}
	if len(r.Branches) == 0 {
		r.Branches = []string{"main"}
	}
	return r
}

// AddOrg adds an organization.
func (s *Server) AddOrg(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.organization(name)
}

func (s *Server) organization(name string) *organization {
	o := s.orgs[strings.ToLower(name)]
	if o == nil {
		o = &organization{name: name, id: s.id()}
		s.orgs[strings.ToLower(name)] = o
	}
	return o
}

// AddEnvironment adds an environment to a repository, and the repository if it is not there.
func (s *Server) AddEnvironment(repository string, e Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.environment(repository, e.Name).Environment = e
}

func (s *Server) environment(repository, name string) *environment {
	r := s.repository(repository, nil)
	e := r.environments[strings.ToLower(name)]
	if e == nil {
		e = &environment{Environment: Environment{Name: name}, id: s.id(), created: s.second()}
		r.environments[strings.ToLower(name)] = e
	}
	return e
}

// AddToken makes a credential valid.
func (s *Server) AddToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Value] = &t
}

// RemoveToken makes a credential invalid.
func (s *Server) RemoveToken(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, value)
}

// Tokens returns the values of all valid credentials.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for v := range s.tokens {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// at finds the store of a place, and adds the place if it is not there. The caller holds mu.
func (s *Server) at(p Place) *store {
	switch {
	case p.Org != "":
		return &s.organization(p.Org).store
	case p.Environment != "":
		return &s.environment(p.Repository, p.Environment).store
	default:
		return &s.repository(p.Repository, nil).store
	}
}
