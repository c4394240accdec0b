package vault

import (
	"fmt"
	"maps"
	"slices"
)

// This file is for those who prepare a server and look inside. Secrets are called by mount and path.

// AddMount mounts a KV secrets engine of a version.
func (s *Server) AddMount(path string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mounts[path] = version
}

// AddToken lets a token in.
func (s *Server) AddToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Value] = t
}

// AddRole lets a JWT log in.
func (s *Server) AddRole(r Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[r.Path+" "+r.Name] = r
}

// Put writes a version with exactly these keys, as a person does.
func (s *Server) Put(mount, path string, data map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := mount + "/" + path
	x := s.secrets[at]
	if x == nil {
		x = &secret{}
		s.secrets[at] = x
	}
	v := &version{data: maps.Clone(data), created: s.now()}
	if s.mounts[mount] == 1 {
		x.versions = nil
	}
	x.versions = append(x.versions, v)
}

// Set changes one key in a version of its own, as a person does.
func (s *Server) Set(mount, path, key string, value any) {
	data := s.Data(mount, path)
	if data == nil {
		data = map[string]any{}
	}
	data[key] = value
	s.Put(mount, path, data)
}

// Delete deletes the latest version; destroy: for ever.
func (s *Server) Delete(mount, path string, destroy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.secrets[mount+"/"+path]
	v := x.versions[len(x.versions)-1]
	if v.destroyed = destroy; !destroy {
		v.deleted = s.now()
	}
}

// Data returns a copy of the latest version; nil: there is none.
func (s *Server) Data(mount, path string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.secrets[mount+"/"+path]
	if x == nil || len(x.versions) == 0 {
		return nil
	}
	return maps.Clone(x.versions[len(x.versions)-1].data)
}

// Text returns what is under a key of the latest version, as text; "": nothing.
func (s *Server) Text(mount, path, key string) string {
	v, ok := s.Data(mount, path)[key]
	if !ok || v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Versions returns how many versions a secret has.
func (s *Server) Versions(mount, path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.secrets[mount+"/"+path]; x != nil {
		return len(x.versions)
	}
	return 0
}

// Custom returns a copy of a secret's custom metadata.
func (s *Server) Custom(mount, path string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.secrets[mount+"/"+path]; x != nil {
		return maps.Clone(x.custom)
	}
	return nil
}

// SetCustom changes an entry of the custom metadata.
func (s *Server) SetCustom(mount, path, key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.secrets[mount+"/"+path]
	if x.custom == nil {
		x.custom = map[string]string{}
	}
	x.custom[key] = value
}

// Live reports whether a token lives.
func (s *Server) Live(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.tokens[token]
	return ok
}

// Operations returns the operations that were asked for, in order.
func (s *Server) Operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.operations)
}
