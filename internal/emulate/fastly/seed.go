package fastly

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"time"
)

// This file is what a test or a rehearsal puts in and looks up.

// User is a user of the account.
type User struct {
	ID, Name, Login, Password string
	Role                      string // "": superuser
	Locked                    bool
	OTP                       func() string // two-factor authentication: what the code is now; nil: none
	Created, Updated, Active  time.Time
}

// Row is a token as the service keeps it, without its secret.
type Row struct {
	ID, Name   string
	Automation bool
	User       string    // login of the creator; "": the first user
	Role       string    // of an automation token
	Scope      string    // "": global
	Services   []string  // empty and nil are both all, but shown otherwise
	Created    time.Time // zero: now
	Expires    time.Time // zero: never
	LastUsed   time.Time
	Sudo       time.Time // until when
	IP, Agent  string
	TLS        bool
	Revoked    time.Time // zero: not
}

// Service is a service of the account.
type Service struct {
	ID, Name, Type, Comment string
	Created                 time.Time
	Deleted                 bool
}

// person is a user as kept.
type person struct{ User }

// row is a token as kept.
type row struct {
	Row
	text    string
	person  *person
	shown   time.Time // when sudo shows
	hidden  int       // looks left in which it is not known
	visible int       // lists left in which its revocation does not show
}

// base62 returns n random characters of an ID.
func base62(n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	for i := range b {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		b[i] = alphabet[k.Int64()]
	}
	return string(b)
}

// NewID returns an ID as Fastly gives them: 22 letters and digits.
func NewID() string { return base62(22) }

// newText returns a secret as Fastly gives them: 32 characters.
func newText() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// AddUser makes a user with a user token of scope global, and returns the token's secret.
func (s *Server) AddUser(u User) string {
	text := newText()
	s.AddCredential(text, u)
	return text
}

// AddCredential makes text the secret of a user token of scope global of this user, who is made if nobody has the
// login.
func (s *Server) AddCredential(text string, u User) Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byLogin(u.Login)
	if p == nil {
		u.ID, u.Name, u.Role = cmp.Or(u.ID, NewID()), cmp.Or(u.Name, "A Person"), cmp.Or(u.Role, "superuser")
		if u.Created.IsZero() {
			u.Created = s.now().Add(-1000 * 24 * time.Hour)
			u.Updated, u.Active = u.Created, s.now()
		}
		p = &person{u}
		s.users = append(s.users, p)
	}
	if r := s.byKey(text); r != nil {
		return r.Row
	}
	r := &row{Row: Row{ID: NewID(), Name: "minting credential", User: p.Login, Scope: "global", Services: []string{}, Created: s.instant()}, text: text, person: p}
	s.rows = append(s.rows, r)
	return r.Row
}

// AddToken makes a token by hand, and returns it as kept, and its secret. There is a user by then.
func (s *Server) AddToken(t Row) (Row, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.ID, t.Scope = cmp.Or(t.ID, NewID()), cmp.Or(t.Scope, "global")
	p := s.byLogin(t.User)
	if p == nil && len(s.users) > 0 {
		p = s.users[0]
	}
	if p == nil {
		p = &person{User{ID: NewID(), Login: "person@example.com", Role: "superuser"}}
		s.users = append(s.users, p)
	}
	t.User = p.Login
	if t.Created.IsZero() {
		t.Created = s.instant()
	}
	r := &row{Row: t, text: newText(), person: p}
	s.rows = append(s.rows, r)
	return r.Row, r.text
}

// AddService makes a service and returns its ID.
func (s *Server) AddService(v Service) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.ID, v.Type = cmp.Or(v.ID, NewID()), cmp.Or(v.Type, "vcl")
	if v.Created.IsZero() {
		v.Created = s.instant()
	}
	if !slices.ContainsFunc(s.services, func(o Service) bool { return o.ID == v.ID }) {
		s.services = append(s.services, v)
	}
	return v.ID
}

// Services are those of the account.
func (s *Server) Services() []Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.services)
}

// Tokens are all there ever were, oldest first, revoked ones too.
func (s *Server) Tokens() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Row
	for _, r := range s.rows {
		out = append(out, r.Row)
	}
	return out
}

// Which finds the token that a text is the secret of, dead or alive.
func (s *Server) Which(text string) (Row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.text == text && text != "" {
			return r.Row, true
		}
	}
	return Row{}, false
}

// Live reports whether a text is accepted.
func (s *Server) Live(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey(text) != nil
}

// instant is now, in whole seconds, as Fastly keeps times.
func (s *Server) instant() time.Time { return s.now().UTC().Truncate(time.Second) }

func (s *Server) byLogin(login string) *person {
	for _, p := range s.users {
		if strings.EqualFold(p.Login, login) {
			return p
		}
	}
	return nil
}

// alive reports whether a token is accepted.
func (s *Server) alive(r *row) bool {
	if !r.Expires.IsZero() && !s.now().Before(r.Expires) {
		return false
	}
	return r.Revoked.IsZero() || s.now().Before(r.Revoked.Add(s.quirks.RevocationDelay))
}

// byKey finds the live token with this secret.
func (s *Server) byKey(text string) *row {
	for _, r := range s.rows {
		if r.text == text && text != "" && s.alive(r) {
			return r
		}
	}
	return nil
}

// byID finds a token that was not revoked.
func (s *Server) byID(id string) *row {
	for _, r := range s.rows {
		if r.ID == id && r.Revoked.IsZero() {
			return r
		}
	}
	return nil
}

func (s *Server) customer() string { return cmp.Or(s.Customer, Customer) }
