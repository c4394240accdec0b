package github

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/remint-dev/remint/internal/pattern"
)

// maxValue is the largest secret or variable in bytes (docs.github.com, "Secrets reference": 48 KB).
const maxValue = 48 << 10

// store holds the secrets and variables of one place, with the key pair its secrets are sealed for.
type store struct {
	key       *keyPair
	secrets   map[string]*entry // by upper-case name
	variables map[string]*entry
}

// entry is a secret or a variable.
type entry struct {
	name, value      string
	created, updated time.Time
	visibility       string  // of an organization's: all, private or selected
	selected         []int64 // repository ids
}

type keyPair struct {
	id              int64
	public, private *[32]byte
}

// pair returns the key pair of a store and makes one if there is none. The caller holds mu.
func (s *Server) pair(st *store) *keyPair {
	if st.key == nil {
		public, private, err := box.GenerateKey(rand.Reader)
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		// Ids are so large that a float64 does not hold them.
		st.key = &keyPair{id: 568250167242549743 + s.id(), public: public, private: private}
	}
	return st.key
}

// RotateKey replaces the key pair of a place; what is sealed for the old one is refused from then on.
func (s *Server) RotateKey(p Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(p).key = nil
}

// Visibility is who may read an organization's secret: "all", "private" or "selected" repositories.
type Visibility struct {
	Visibility string
	Selected   []string // "owner/name"
}

// SetSecret puts a secret in place, as a person would.
func (s *Server) SetSecret(p Place, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.at(p)
	s.set(&st.secrets, name, value, p)
}

// SetVisibility sets who may read an organization's secret.
func (s *Server) SetVisibility(org, name string, v Visibility) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.organization(org).secrets[strings.ToUpper(name)]
	e.visibility, e.selected = v.Visibility, nil
	for _, r := range v.Selected {
		e.selected = append(e.selected, s.repository(r, nil).id)
	}
}

// Secret returns what a secret holds now.
func (s *Server) Secret(p Place, name string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at(p).secrets[strings.ToUpper(name)].read()
}

// SecretVisibility returns who may read an organization's secret.
func (s *Server) SecretVisibility(org, name string) Visibility {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visibility(s.organization(org).secrets[strings.ToUpper(name)])
}

// VariableVisibility returns who may read an organization's variable.
func (s *Server) VariableVisibility(org, name string) Visibility {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visibility(s.organization(org).variables[strings.ToUpper(name)])
}

func (s *Server) visibility(e *entry) Visibility {
	if e == nil {
		return Visibility{}
	}
	v := Visibility{Visibility: e.visibility}
	for _, id := range e.selected {
		for _, r := range s.repositories {
			if r.id == id {
				v.Selected = append(v.Selected, r.Name)
			}
		}
	}
	slices.Sort(v.Selected)
	return v
}

func (e *entry) read() (string, bool) {
	if e == nil {
		return "", false
	}
	return e.value, true
}

// set writes a secret or variable and reports whether it was new. The caller holds mu.
func (s *Server) set(m *map[string]*entry, name, value string, p Place) (*entry, bool) {
	if *m == nil {
		*m = map[string]*entry{}
	}
	key := strings.ToUpper(name)
	e, old := (*m)[key]
	if !old {
		e = &entry{name: key, created: s.second()}
		if p.Org != "" {
			e.visibility = "private"
		}
		(*m)[key] = e
	}
	e.value, e.updated = value, s.second()
	return e, !old
}

func (s *Server) publicKey(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.pair(s.at(c.place))
	out := object{"key_id": strconv.FormatInt(k.id, 10), "key": base64.StdEncoding.EncodeToString(k.public[:])}
	if s.GHES {
		out["key_id"] = k.id
	}
	reply(c.w, 200, out)
}

func (s *Server) getSecret(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at(c.place).secrets[strings.ToUpper(c.r.PathValue("name"))]
	if e == nil {
		fail(c.w, 404, "Not Found")
		return
	}
	out := object{"name": e.name, "created_at": e.created, "updated_at": e.updated}
	s.describe(out, e, c.place.Org, "secrets")
	reply(c.w, 200, out)
}

// describe adds what only an organization's secrets and variables have.
func (s *Server) describe(out object, e *entry, org, kind string) {
	if org == "" {
		return
	}
	out["visibility"] = e.visibility
	if e.visibility == "selected" {
		out["selected_repositories_url"] = fmt.Sprintf("%s/orgs/%s/actions/%s/%s/repositories", s.url(), org, kind, e.name)
	}
}

func (s *Server) listSelected(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := c.org.secrets[strings.ToUpper(c.r.PathValue("name"))]
	if e == nil {
		fail(c.w, 404, "Not Found")
		return
	}
	if e.visibility != "selected" {
		fail(c.w, 409, "Conflict")
		return
	}
	from, to := s.page(c, len(e.selected), 30, 100)
	list := []object{}
	for _, id := range e.selected[from:to] {
		for _, r := range s.repositories {
			if r.id == id {
				list = append(list, s.minimal(r))
			}
		}
	}
	reply(c.w, 200, object{"total_count": len(e.selected), "repositories": list})
}

// selection is the part of a body that says who may read an organization's secret or variable.
type selection struct {
	Visibility *string        `json:"visibility"`
	Selected   *[]json.Number `json:"selected_repository_ids"`
}

// check answers 422 if the selection cannot be; it returns the ids.
func (s *Server) check(c *call, sel selection, must bool) (ids []int64, ok bool) {
	if c.org == nil {
		return nil, true
	}
	if sel.Visibility == nil {
		if must {
			fail(c.w, 422, "Invalid request.\n\n\"visibility\" wasn't supplied.")
			return nil, false
		}
		return nil, true
	}
	if !slices.Contains([]string{"all", "private", "selected"}, *sel.Visibility) {
		fail(c.w, 422, "Invalid request.\n\nvisibility must be one of all, private, selected.")
		return nil, false
	}
	if sel.Selected == nil {
		return nil, true
	}
	if *sel.Visibility != "selected" {
		fail(c.w, 422, "selected_repository_ids can only be provided when visibility is selected.")
		return nil, false
	}
	for _, n := range *sel.Selected {
		id, err := n.Int64()
		if err != nil {
			fail(c.w, 422, "Invalid request.\n\nselected_repository_ids must be numbers.")
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

var names = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// named answers 422 if a secret or variable cannot have the name.
func named(c *call, what, name string) bool {
	switch {
	case !names.MatchString(name):
		fail(c.w, 422, what+" names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).")
	case strings.HasPrefix(strings.ToUpper(name), "GITHUB_"):
		fail(c.w, 422, what+" names must not start with GITHUB_.")
	default:
		return true
	}
	return false
}

func (s *Server) putSecret(c *call) {
	var in struct {
		Value string `json:"encrypted_value"`
		KeyID string `json:"key_id"`
		selection
	}
	if !decode(c, &in) {
		return
	}
	name := c.r.PathValue("name")
	if !named(c, "Secret", name) {
		return
	}
	if in.KeyID == "" {
		fail(c.w, 422, "Invalid request.\n\n\"key_id\" wasn't supplied.")
		return
	}
	if in.Value == "" {
		fail(c.w, 422, "Invalid request.\n\n\"encrypted_value\" wasn't supplied.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, ok := s.check(c, in.selection, true)
	if !ok {
		return
	}
	st := s.at(c.place)
	k := s.pair(st)
	sealed, err := base64.StdEncoding.DecodeString(in.Value)
	if err != nil {
		fail(c.w, 422, "Improperly encrypted secret")
		return
	}
	text, ok := box.OpenAnonymous(nil, sealed, k.public, k.private)
	if !ok || in.KeyID != strconv.FormatInt(k.id, 10) {
		fail(c.w, 422, "Improperly encrypted secret")
		return
	}
	if len(text) > maxValue {
		fail(c.w, 422, "Secret value is too large (max 48 KB)")
		return
	}
	e, created := s.set(&st.secrets, name, string(text), c.place)
	if in.Visibility != nil && c.org != nil {
		// Whether an update without ids keeps the selection is not documented; here it does not, the worse case.
		e.visibility, e.selected = *in.Visibility, ids
	}
	if created {
		reply(c.w, 201, object{})
		return
	}
	c.w.WriteHeader(204)
}

func (s *Server) deleteSecret(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(c, s.at(c.place).secrets)
}

func (s *Server) remove(c *call, m map[string]*entry) {
	key := strings.ToUpper(c.r.PathValue("name"))
	if m[key] == nil {
		fail(c.w, 404, "Not Found")
		return
	}
	delete(m, key)
	c.w.WriteHeader(204)
}
