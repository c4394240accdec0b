package cloudflare

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"
)

// This file is what a test or a rehearsal puts in and looks up.

// Scopes of permission groups.
const (
	Zone    = "com.cloudflare.api.account.zone"
	Account = "com.cloudflare.api.account"
)

// Group is a permission group.
type Group struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

// Policy is a policy of a token.
type Policy struct {
	ID        string         `json:"id,omitempty"`
	Effect    string         `json:"effect"`
	Groups    []PolicyGroup  `json:"permission_groups"`
	Resources map[string]any `json:"resources"`
}

// PolicyGroup is a permission group in a policy.
type PolicyGroup struct {
	ID   string         `json:"id"`
	Name string         `json:"name,omitempty"`
	Meta map[string]any `json:"meta,omitempty"`
}

// AddGroups makes some permission groups: those of Cloudflare's own examples, and two of one name, as
// github.com/cloudflare/terraform-provider-cloudflare issue 1105 shows them.
func (s *Server) AddGroups() {
	for _, g := range []Group{
		{"c8fed203ed3043cba015a93ad1616f1f", "Zone Read", []string{Zone}},
		{"82e64a83756745bbbb1c9c2701bf816b", "DNS Read", []string{Zone}},
		{"4755a26eedb94da69e1066d98aa820be", "DNS Write", []string{Zone}},
		{"7ea222f6d5064cfa89ea366d7c1fee89", "Access: Apps and Policies Read", []string{Account}},
		{"eb258a38ea634c86a0c89da6b27cb6b6", "Access: Apps and Policies Read", []string{Zone}},
	} {
		s.AddGroup(g)
	}
}

// Row is a token as the service keeps it, without its secret.
type Row struct {
	ID, Name  string
	Account   string // "": the user's
	Manages   bool   // may create, list and delete tokens
	Disabled  bool
	Created   time.Time // zero: now
	Expires   time.Time // zero: never
	LastUsed  time.Time
	Policies  []Policy
	Condition map[string]any
}

// row is a token as kept.
type row struct {
	Row
	text  string
	gone  time.Time // when it was deleted
	shows int       // lists left in which a deletion does not show
}

// newID returns an ID as Cloudflare gives them: 32 hexadecimal digits.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// newText returns a secret as Cloudflare gives them: 40 characters.
func newText() string {
	b := make([]byte, 30)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// AddGroup makes a permission group and returns its ID; one of the same name and scope is there already then.
func (s *Server) AddGroup(g Group) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.groups {
		if known.ID == g.ID || g.ID == "" && known.Name == g.Name && slices.Equal(known.Scopes, g.Scopes) {
			return known.ID
		}
	}
	g.ID = cmp.Or(g.ID, newID())
	s.groups = append(s.groups, g)
	return g.ID
}

// Groups are the permission groups.
func (s *Server) Groups() []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.groups)
}

// AddToken makes a token and returns it as kept, and its secret.
func (s *Server) AddToken(t Row) (Row, string) { return s.add(t, newText()) }

// AddCredential makes text the secret of a token that may care for tokens.
func (s *Server) AddCredential(text, account string) Row {
	s.mu.Lock()
	r := s.byText(text)
	s.mu.Unlock()
	if r != nil {
		return r.Row
	}
	t, _ := s.add(Row{Name: "minting credential", Account: account, Manages: true}, text)
	return t
}

func (s *Server) add(t Row, text string) (Row, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.ID = cmp.Or(t.ID, newID())
	if t.Created.IsZero() {
		t.Created = s.instant()
	}
	r := &row{Row: t, text: text}
	s.rows = append(s.rows, r)
	return r.Row, text
}

// Tokens are those that were not deleted, oldest first.
func (s *Server) Tokens() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Row
	for _, r := range s.rows {
		if r.gone.IsZero() {
			out = append(out, r.Row)
		}
	}
	return out
}

// Which finds the token that a text is the secret of, dead or alive.
func (s *Server) Which(text string) (Row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byText(text); r != nil {
		return r.Row, true
	}
	return Row{}, false
}

// Live reports whether a text is accepted.
func (s *Server) Live(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byText(text)
	return r != nil && s.alive(r)
}

// Edit changes a token, as a person would in the dashboard.
func (s *Server) Edit(id string, change func(*Row)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.ID == id {
			change(&r.Row)
		}
	}
}

func (s *Server) instant() time.Time { return s.now().UTC().Truncate(time.Second) }

func (s *Server) alive(r *row) bool { return r.gone.IsZero() && s.status(r) == "active" }

func (s *Server) status(r *row) string {
	switch {
	case r.Disabled:
		return "disabled"
	case !r.Expires.IsZero() && !s.now().Before(r.Expires):
		return "expired"
	}
	return "active"
}

func (s *Server) byText(text string) *row {
	for _, r := range s.rows {
		if r.text == text && text != "" {
			return r
		}
	}
	return nil
}

// byID finds a token that was not deleted.
func (s *Server) byID(account, id string) *row {
	for _, r := range s.rows {
		if r.ID == id && r.Account == account && r.gone.IsZero() {
			return r
		}
	}
	return nil
}

// shown is a token as answered.
func (s *Server) shown(r *row, withValue bool) map[string]any {
	at := func(t time.Time) any { return t.UTC().Format(time.RFC3339) }
	policies := r.Policies
	if policies == nil {
		policies = []Policy{}
	}
	m := map[string]any{"id": r.ID, "name": r.Name, "status": s.status(r), "issued_on": at(r.Created), "modified_on": at(r.Created), "policies": policies}
	if !r.Expires.IsZero() {
		m["expires_on"] = at(r.Expires)
	}
	if !r.LastUsed.IsZero() {
		m["last_used_on"] = at(r.LastUsed)
	}
	if r.Condition != nil {
		m["condition"] = r.Condition
	}
	if withValue {
		m["value"] = r.text
	}
	return m
}
