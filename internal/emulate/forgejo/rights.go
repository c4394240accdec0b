package forgejo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Who may do what, in the order in which the real servers refuse: an unknown token 401, a missing scope
// 403, a repository that is missing or hidden 404, no token 401, not the owner 403.

// owner is a user or an organization.
type owner struct {
	id    int64
	name  string
	org   bool
	admin bool     // site admin
	heads []string // owners of an organization
	place
}

// token is an access token. A job's own token belongs to one repository.
type token struct {
	user   *owner
	scopes []string
	job    *repository // the repository of the job whose own token this is
}

func (t *token) has(category string, write bool) bool {
	if t.job != nil || slices.Contains(t.scopes, "all") || slices.Contains(t.scopes, "write:"+category) {
		return true
	}
	return !write && slices.Contains(t.scopes, "read:"+category)
}

// authenticate finds the token of the request. Without one the request is anonymous.
func (c *call) authenticate() bool {
	header := c.r.Header.Get("Authorization")
	if header == "" {
		return true
	}
	scheme, text, _ := strings.Cut(header, " ")
	if !same(scheme, "token") && !same(scheme, "Bearer") {
		return true
	}
	t, ok := c.s.tokens[strings.TrimSpace(text)]
	if !ok {
		c.fail(http.StatusUnauthorized, "invalid username, password or token")
		return false
	}
	c.token = t
	return true
}

// scope refuses a token without the scope that the path and the method ask for.
func (c *call) scope(category string) bool {
	if c.token == nil {
		return true
	}
	write := c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
	if c.token.has(category, write) {
		return true
	}
	need := "read:" + category
	if write {
		need = "write:" + category
	}
	if c.s.Kind == Gitea {
		c.fail(http.StatusForbidden, fmt.Sprintf("token does not have at least one of required scope(s), required=[%s], token scope=%s",
			need, strings.Join(c.token.scopes, ",")))
	} else {
		c.fail(http.StatusForbidden, fmt.Sprintf("token does not have at least one of required scope(s): [%s]", need))
	}
	return false
}

// access is what a user may do in a repository, each including the one before.
type access int

const (
	none access = iota
	read
	write
	admin
	full // the owner, an owner of the owning organization, or a site admin
)

func (c *call) access(r *repository) access {
	if c.token == nil {
		return none
	}
	u := c.token.user
	if c.token.job != nil {
		if c.token.job == r {
			return write
		}
		return none
	}
	o := c.s.owners[strings.ToLower(r.owner)]
	switch {
	case u.admin, u == o, slices.ContainsFunc(o.heads, func(h string) bool { return same(h, u.name) }):
		return full
	}
	return r.people[strings.ToLower(u.name)]
}

// repository finds the repository of the path, or answers. All repositories are private.
func (c *call) repository() (*repository, bool) {
	if !c.scope("repository") {
		return nil, false
	}
	name := c.r.PathValue("owner")
	if c.s.owners[strings.ToLower(name)] == nil {
		c.notFound("GetUserByName", "user redirect does not exist [name: "+name+"]")
		return nil, false
	}
	r := c.s.repos[strings.ToLower(name+"/"+c.r.PathValue("repo"))]
	if r == nil || c.access(r) == none {
		c.notFound("")
		return nil, false
	}
	return r, true
}

// actions finds the repository of the path for a caller with at least this access to its Actions.
func (c *call) actions(least access) (*repository, bool) {
	r, ok := c.repository()
	if !ok {
		return nil, false
	}
	if c.access(r) >= least {
		return r, true
	}
	switch least {
	case full:
		c.fail(http.StatusForbidden, "user should be the owner of the repo")
	case write:
		c.fail(http.StatusForbidden, "user should have a permission to write to a repo")
	default:
		c.fail(http.StatusForbidden, "user should have specific read permission or be a repo admin or a site admin")
	}
	return nil, false
}

// place finds what the path's level (repository, organization, user) holds, for a caller who owns it.
func (c *call) place() (*place, bool) {
	if c.r.PathValue("repo") != "" {
		r, ok := c.actions(full)
		if !ok {
			return nil, false
		}
		return &r.place, true
	}
	name := c.r.PathValue("org")
	if c.token == nil {
		c.fail(http.StatusUnauthorized, "token is required")
		return nil, false
	}
	if name == "" {
		if !c.scope("user") {
			return nil, false
		}
		if c.token.job != nil {
			c.fail(http.StatusForbidden, "user should be the owner of the repo") // not measured: a job's token has no user of its own
			return nil, false
		}
		return &c.token.user.place, true
	}
	if !c.scope("organization") {
		return nil, false
	}
	o := c.s.owners[strings.ToLower(name)]
	if o == nil || !o.org {
		c.notFound("GetOrgByName", "user redirect does not exist [name: "+name+"]")
		return nil, false
	}
	if u := c.token.user; !u.admin && (c.token.job != nil || !slices.ContainsFunc(o.heads, func(h string) bool { return same(h, u.name) })) {
		c.fail(http.StatusForbidden, "Must be an organization owner")
		return nil, false
	}
	return &o.place, true
}
