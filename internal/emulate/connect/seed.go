package connect

import (
	"crypto/rand"
	"slices"
	"strings"
)

// This file is for those who prepare a server and look inside. Vaults and items are called by name or id.

// newID returns an id: 26 small letters and digits.
func newID() string { return strings.ToLower(rand.Text())[:26] }

// AddToken lets a token in.
func (s *Server) AddToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Value] = t
}

// AddVault makes a vault of this name and returns its id. An id given as the name is the name too.
func (s *Server) AddVault(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &vault{id: newID(), name: name}
	if isID(name) {
		v.id = name
	}
	s.vaults = append(s.vaults, v)
	return v.id
}

// VaultID returns the id of the first vault of this name or id; "": there is none.
func (s *Server) VaultID(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.find(name); v != nil {
		return v.id
	}
	return ""
}

func isID(text string) bool {
	return len(text) == 26 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func (s *Server) find(name string) *vault {
	for _, v := range s.vaults {
		if v.id == name || strings.EqualFold(v.name, name) {
			return v
		}
	}
	return nil
}

func (s *Server) item(vault, name string) *item {
	if v := s.find(vault); v != nil {
		for _, it := range v.items {
			if it.id == name || strings.EqualFold(it.title, name) {
				return it
			}
		}
	}
	return nil
}

// Item is an item to be made.
type Item struct {
	Title    string
	Category string // "": API_CREDENTIAL
	State    string
	Tags     []string
	Sections []Section
	Fields   []Field // without an id: one is made up
}

// AddItem makes an item in a vault, which must be there, and returns its id.
func (s *Server) AddItem(vault string, x Item) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.find(vault)
	it := &item{id: newID(), title: x.Title, category: x.Category, state: x.State, version: 1, created: s.now(), updated: s.now(), tags: x.Tags, sections: x.Sections}
	if isID(x.Title) {
		it.id = x.Title
	}
	if it.category == "" {
		it.category = "API_CREDENTIAL"
	}
	v.items = append(v.items, it)
	for _, f := range x.Fields {
		it.add(f)
	}
	return it.id
}

func (it *item) add(f Field) {
	if f.ID == "" {
		f.ID = newID()
	}
	if f.Type == "" {
		f.Type = "STRING"
	}
	it.fields = append(it.fields, &f)
}

// ItemID returns the id of the first item of this title or id; "": there is none.
func (s *Server) ItemID(vault, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.item(vault, name); it != nil {
		return it.id
	}
	return ""
}

// AddField adds a section, if there is none of this id, and a field to an item.
func (s *Server) AddField(vault, name string, section Section, f Field) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.item(vault, name)
	if f.Section = section.ID; section.ID != "" && !slices.ContainsFunc(it.sections, func(x Section) bool { return x.ID == section.ID }) {
		it.sections = append(it.sections, section)
	}
	it.add(f)
}

// Fields returns copies of an item's fields.
func (s *Server) Fields(vault, name string) []Field {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Field
	if it := s.item(vault, name); it != nil {
		for _, f := range it.fields {
			out = append(out, *f)
		}
	}
	return out
}

// Value returns what the first field of this label or id holds; false: there is none.
func (s *Server) Value(vault, name, field string) (string, bool) {
	for _, f := range s.Fields(vault, name) {
		if f.ID == field || strings.EqualFold(f.Label, field) {
			return f.Value, true
		}
	}
	return "", false
}

// SetValue changes a field, as a person does: the item gets a version more.
func (s *Server) SetValue(vault, name, field, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.item(vault, name)
	for _, f := range it.fields {
		if f.ID == field || strings.EqualFold(f.Label, field) {
			f.Value = value
			it.version++
			return
		}
	}
}

// Version returns the version of an item.
func (s *Server) Version(vault, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.item(vault, name); it != nil {
		return it.version
	}
	return 0
}

// Operations returns the operations that were asked for, in order.
func (s *Server) Operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.operations)
}

// RemoveOthers leaves one field of an item, by label or id, with its section; its tags go too.
func (s *Server) RemoveOthers(vault, name, field string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.item(vault, name)
	it.fields = slices.DeleteFunc(it.fields, func(f *Field) bool { return f.ID != field && !strings.EqualFold(f.Label, field) })
	it.sections = slices.DeleteFunc(it.sections, func(x Section) bool {
		return !slices.ContainsFunc(it.fields, func(f *Field) bool { return f.Section == x.ID })
	})
	it.tags = nil
}
