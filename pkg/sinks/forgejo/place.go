package forgejo

import (
	"context"
	"net/http"
	"strconv"

	"code.gitea.io/sdk/gitea"
)

// place is whose secrets and variables they are: a repository's, an organization's, or (zero) those of the
// token's user. It puts one face on three sets of SDK methods. The SDK does not escape every name, so names
// are checked before they get here.
type place struct{ owner, repository, org string }

func (p place) String() string {
	switch {
	case p.repository != "":
		return p.owner + "/" + p.repository
	case p.org != "":
		return p.org
	}
	return "user"
}

// user reports whether it is the token's user. A user's secrets cannot be listed.
func (p place) user() bool { return p == place{} }

// path is where the place's Actions are in the API.
func (p place) path() string {
	switch {
	case p.repository != "":
		return "repos/" + p.owner + "/" + p.repository + "/actions"
	case p.org != "":
		return "orgs/" + p.org + "/actions"
	}
	return "user/actions"
}

// scope is the scope that a token needs to write here.
func (p place) scope() string {
	switch {
	case p.repository != "":
		return "write:repository"
	case p.org != "":
		return "write:organization"
	}
	return "write:user"
}

// pageSize is what both servers give at the most unless configured otherwise (MAX_RESPONSE_ITEMS).
const pageSize = 50

func (p place) secrets(c *gitea.Client, page int) ([]*gitea.Secret, *gitea.Response, error) {
	o := gitea.ListOptions{Page: page, PageSize: pageSize}
	if p.org != "" {
		return c.ListOrgActionSecret(p.org, gitea.ListOrgActionSecretOption{ListOptions: o})
	}
	return c.ListRepoActionSecret(p.owner, p.repository, gitea.ListRepoActionSecretOption{ListOptions: o})
}

func (p place) putSecret(c *gitea.Client, name, value, description string) (*gitea.Response, error) {
	o := gitea.CreateOrUpdateSecretOption{Data: value, Description: description}
	switch {
	case p.repository != "":
		return c.CreateRepoActionSecret(p.owner, p.repository, name, o)
	case p.org != "":
		return c.CreateOrgActionSecret(p.org, name, o)
	}
	return c.CreateUserActionSecret(name, o)
}

// variable returns the text of a variable.
func (p place) variable(c *gitea.Client, name string) (string, *gitea.Response, error) {
	if p.repository != "" {
		v, resp, err := c.GetRepoActionVariable(p.owner, p.repository, name)
		if err != nil {
			return "", resp, err
		}
		return v.Value, resp, nil
	}
	get := c.GetUserActionVariable
	if p.org != "" {
		get = func(name string) (*gitea.ActionVariable, *gitea.Response, error) {
			return c.GetOrgActionVariable(p.org, name)
		}
	}
	v, resp, err := get(name)
	if err != nil {
		return "", resp, err
	}
	return v.Data, resp, nil
}

func (p place) createVariable(c *gitea.Client, name, text string) (*gitea.Response, error) {
	o := gitea.CreateActionVariableOption{Value: text, Description: "Which token the secret holds. Kept by remint; do not edit."}
	switch {
	case p.repository != "":
		return c.CreateRepoActionVariable(p.owner, p.repository, name, text)
	case p.org != "":
		return c.CreateOrgActionVariable(p.org, name, o)
	}
	return c.CreateUserActionVariable(name, o)
}

func (p place) updateVariable(c *gitea.Client, name, text string) (*gitea.Response, error) {
	o := gitea.UpdateActionVariableOption{Name: name, Value: text, Description: "Which token the secret holds. Kept by remint; do not edit."}
	switch {
	case p.repository != "":
		return c.UpdateRepoActionVariable(p.owner, p.repository, name, text)
	case p.org != "":
		return c.UpdateOrgActionVariable(p.org, name, o)
	}
	return c.UpdateUserActionVariable(name, o)
}

func (p place) deleteVariable(c *gitea.Client, name string) (*gitea.Response, error) {
	switch {
	case p.repository != "":
		return c.DeleteRepoActionVariable(p.owner, p.repository, name)
	case p.org != "":
		return c.DeleteOrgActionVariable(p.org, name)
	}
	return c.DeleteUserActionVariable(name)
}

// find looks for the secret in the list, without case, and remembers what it finds. The number of rows is
// in X-Total-Count; no Link header is sent for this list. A page may be shorter than was asked for.
func (s *Secret) find(ctx context.Context) error {
	c, err := s.client(ctx)
	if err != nil {
		return err
	}
	s.listed, s.exists, s.describe = false, false, ""
	rows := 0
	for page := 1; page <= 1000; page++ {
		list, resp, err := s.where.secrets(c, page)
		if err != nil || resp.StatusCode != http.StatusOK {
			return s.explain(resp, err)
		}
		for _, x := range list {
			if x != nil && sameName(x.Name, s.Name) {
				s.listed, s.exists, s.describe = true, true, x.Description
				return nil
			}
		}
		rows += len(list)
		if total, err := strconv.Atoi(resp.Header.Get("X-Total-Count")); len(list) == 0 || err == nil && rows >= total {
			break
		}
	}
	s.listed = true
	return nil
}
