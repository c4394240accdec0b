package forgejo

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/internal/pattern"
)

// Secrets and variables of one level. Names are kept in upper case and matched without case. A secret can
// be written, listed and deleted; its value cannot be read.

// largest is the most bytes of a secret (and characters of a variable) on Gitea.
const largest = 65536

// place holds the secrets and variables of a repository, an organization or a user.
type place struct {
	ownerID, repoID int64
	secrets         map[string]*secret
	variables       map[string]*variable
}

type secret struct {
	value, description string
	created            time.Time
}

type variable struct{ value, description string }

func (p *place) set(name, value, description string, now time.Time) (created bool) {
	if p.secrets == nil {
		p.secrets = map[string]*secret{}
	}
	name = strings.ToUpper(name)
	if old := p.secrets[name]; old != nil {
		old.value, old.description = value, description
		return false
	}
	p.secrets[name] = &secret{value, description, now}
	return true
}

func (p *place) setVariable(name, value, description string) {
	if p.variables == nil {
		p.variables = map[string]*variable{}
	}
	p.variables[strings.ToUpper(name)] = &variable{value, description}
}

func sorted[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var (
	namePattern      = pattern.New(`(?i)^[A-Z_][A-Z0-9_]*$`)
	giteaForbidden   = pattern.New(`(?i)^GIT(EA|HUB)_`)
	forgejoForbidden = pattern.New(`(?i)^FORGEJO_|GITEA_|GITHUB_`) // sic: ^ binds to the first only
)

// named checks a name as the server does, or answers 400.
func (c *call) named(name string, isVariable bool) bool {
	if c.s.Kind == Gitea {
		if !namePattern.MatchString(name) || giteaForbidden.MatchString(name) || same(name, "CI") {
			c.fail(http.StatusBadRequest, "invalid variable or secret name")
			return false
		}
		return true
	}
	if !namePattern.MatchString(name) || forgejoForbidden.MatchString(name) {
		c.fail(http.StatusBadRequest, "invalid secret name")
		return false
	}
	if isVariable && strings.HasPrefix(strings.ToUpper(name), "CI") {
		c.fail(http.StatusBadRequest, "env name cannot be ci")
		return false
	}
	return true
}

// lines makes every line ending LF.
func lines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

func (c *call) listSecrets() {
	p, ok := c.place()
	if !ok {
		return
	}
	type row struct {
		Name        string    `json:"name"`
		Description *string   `json:"description,omitempty"` // Gitea only
		Created     time.Time `json:"created_at"`
	}
	names := sorted(p.secrets)
	from, to := c.page(len(names))
	rows := []row{}
	for _, name := range names[from:to] {
		r := row{Name: name, Created: instant(p.secrets[name].created)}
		if c.s.Kind == Gitea {
			r.Description = &p.secrets[name].description
		}
		rows = append(rows, r)
	}
	c.json(http.StatusOK, rows)
}

func (c *call) putSecret() {
	p, ok := c.place()
	if !ok {
		return
	}
	var body struct{ Data, Description string }
	if !c.body(&body) {
		return
	}
	if body.Data == "" {
		c.fail(http.StatusUnprocessableEntity, "[Data]: Required")
		return
	}
	name := c.r.PathValue("name")
	if !c.named(name, false) {
		return
	}
	if c.s.Kind == Gitea {
		if len(body.Data) > largest {
			c.fail(http.StatusBadRequest, "data too long")
			return
		}
	} else {
		body.Data, body.Description = lines(body.Data), ""
	}
	if p.set(name, body.Data, body.Description, c.s.now()) {
		c.empty(http.StatusCreated)
		return
	}
	c.empty(http.StatusNoContent)
}

func (c *call) deleteSecret() {
	p, ok := c.place()
	if !ok {
		return
	}
	name := strings.ToUpper(c.r.PathValue("name"))
	if p.secrets[name] == nil {
		c.fail(http.StatusNotFound, "secret was not found [name: ]")
		return
	}
	delete(p.secrets, name)
	c.empty(http.StatusNoContent)
}

type variableAnswer struct {
	OwnerID     int64   `json:"owner_id"`
	RepoID      int64   `json:"repo_id"`
	Name        string  `json:"name"`
	Data        string  `json:"data"`
	Description *string `json:"description,omitempty"` // Gitea only
}

func (c *call) variable(p *place, name string) variableAnswer {
	v := p.variables[name]
	a := variableAnswer{OwnerID: p.ownerID, RepoID: p.repoID, Name: name, Data: v.value}
	if c.s.Kind == Gitea {
		a.Description = &v.description
	}
	return a
}

func (c *call) listVariables() {
	p, ok := c.place()
	if !ok {
		return
	}
	names := sorted(p.variables)
	from, to := c.page(len(names))
	rows := []variableAnswer{}
	for _, name := range names[from:to] {
		rows = append(rows, c.variable(p, name))
	}
	c.json(http.StatusOK, rows)
}

func (c *call) getVariable() {
	p, ok := c.place()
	if !ok {
		return
	}
	name := strings.ToUpper(c.r.PathValue("name"))
	if p.variables[name] == nil {
		c.fail(http.StatusNotFound, "variable not found")
		return
	}
	c.json(http.StatusOK, c.variable(p, name))
}

// variableBody reads the body of a change, or answers.
func (c *call) variableBody() (value, description, rename string, ok bool) {
	var body struct{ Value, Description, Name string }
	if !c.body(&body) {
		return "", "", "", false
	}
	if body.Value == "" {
		c.fail(http.StatusUnprocessableEntity, "[Value]: Required")
		return "", "", "", false
	}
	if c.s.Kind == Forgejo {
		body.Description = ""
	}
	return lines(body.Value), body.Description, body.Name, true
}

func (c *call) tooLong(value string) bool {
	if c.s.Kind == Gitea && utf8.RuneCountInString(value) > largest {
		c.fail(http.StatusBadRequest, "data too long")
		return true
	}
	return false
}

func (c *call) createVariable() {
	p, ok := c.place()
	if !ok {
		return
	}
	value, description, _, ok := c.variableBody()
	if !ok {
		return
	}
	name := c.r.PathValue("name")
	if p.variables[strings.ToUpper(name)] != nil {
		c.fail(http.StatusConflict, "variable name "+name+" already exists")
		return
	}
	if !c.named(name, true) || c.tooLong(value) {
		return
	}
	p.setVariable(name, value, description)
	if c.s.Kind == Gitea {
		c.empty(http.StatusCreated)
		return
	}
	c.empty(http.StatusNoContent)
}

func (c *call) putVariable() {
	p, ok := c.place()
	if !ok {
		return
	}
	value, description, rename, ok := c.variableBody()
	if !ok {
		return
	}
	name := strings.ToUpper(c.r.PathValue("name"))
	if p.variables[name] == nil {
		c.fail(http.StatusNotFound, "variable not found")
		return
	}
	if rename == "" {
		rename = name
	}
	if !c.named(rename, true) || c.tooLong(value) {
		return
	}
	delete(p.variables, name)
	p.setVariable(rename, value, description)
	c.empty(http.StatusNoContent)
}

func (c *call) deleteVariable() {
	p, ok := c.place()
	if !ok {
		return
	}
	name := strings.ToUpper(c.r.PathValue("name"))
	if p.variables[name] == nil {
		c.fail(http.StatusNotFound, "variable not found")
		return
	}
	delete(p.variables, name)
	c.empty(http.StatusNoContent)
}
