package github

import (
	"strings"
)

// SetVariable puts a variable in place, as a person would.
func (s *Server) SetVariable(p Place, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.at(p)
	s.set(&st.variables, name, value, p)
}

// Variable returns what a variable holds now.
func (s *Server) Variable(p Place, name string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at(p).variables[strings.ToUpper(name)].read()
}

func (s *Server) getVariable(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at(c.place).variables[strings.ToUpper(c.r.PathValue("name"))]
	if e == nil {
		fail(c.w, 404, "Not Found")
		return
	}
	out := object{"name": e.name, "value": e.value, "created_at": e.created, "updated_at": e.updated}
	s.describe(out, e, c.place.Org, "variables")
	reply(c.w, 200, out)
}

// variable is the body of a creation or an update.
type variable struct {
	Name  *string `json:"name"`
	Value *string `json:"value"`
	selection
}

func (s *Server) createVariable(c *call) {
	var in variable
	if !decode(c, &in) {
		return
	}
	if in.Name == nil || in.Value == nil {
		fail(c.w, 422, "Invalid request.\n\n\"name\" and \"value\" are required.")
		return
	}
	if !named(c, "Variable", *in.Name) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, ok := s.check(c, in.selection, true)
	if !ok || !fits(c, *in.Value) {
		return
	}
	st := s.at(c.place)
	if st.variables[strings.ToUpper(*in.Name)] != nil {
		fail(c.w, 409, "Already exists - Variable already exists")
		return
	}
	e, _ := s.set(&st.variables, *in.Name, *in.Value, c.place)
	if in.Visibility != nil && c.org != nil {
		e.visibility, e.selected = *in.Visibility, ids
	}
	reply(c.w, 201, object{})
}

func (s *Server) updateVariable(c *call) {
	var in variable
	if !decode(c, &in) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.at(c.place)
	e := st.variables[strings.ToUpper(c.r.PathValue("name"))]
	if e == nil {
		fail(c.w, 404, "Not Found")
		return
	}
	ids, ok := s.check(c, in.selection, false)
	if !ok || in.Value != nil && !fits(c, *in.Value) {
		return
	}
	if in.Value != nil {
		e.value = *in.Value
	}
	if in.Visibility != nil && c.org != nil {
		e.visibility, e.selected = *in.Visibility, ids
	}
	e.updated = s.second()
	c.w.WriteHeader(204)
}

func fits(c *call, value string) bool {
	if len(value) > maxValue {
		fail(c.w, 422, "Variable value is too large (max 48 KB)")
		return false
	}
	return true
}

func (s *Server) deleteVariable(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(c, s.at(c.place).variables)
}
