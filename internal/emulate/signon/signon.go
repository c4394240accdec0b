// Package signon emulates what remint sees of Signon: its rails runner, as the answers of remint's script, and the
// OAuth endpoints of Doorkeeper that tell whether a token works. Its rules:
//
//   - Answers have the form of a real Doorkeeper's, with which the script itself and its provider are tested
//     (pkg/providers/signon, e2e/signon).
//   - An introspection with another application's credentials says "not active" of every token.
//   - What the sync Job writes is the live token of a pair that expires last.
package signon

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Life is that of a token: two years of Rails.
const Life = 63113904 * time.Second

// Row is a token.
type Row struct {
	ID                int
	Name              string // under which remint minted it; "": somebody else made it
	User, Application string // email address; parameterized name
	Created, Expires  time.Time
	Revoked           time.Time // zero: it is not

	text string
}

// application is a server that tokens are for.
type application struct{ id, secret string }

// Server is one Signon. It is safe for concurrent use.
type Server struct {
	// Faults are planted by operation: "introspect", "user".
	Faults emulate.Faults
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	mu           sync.Mutex
	users        map[string]string // name by email address
	applications map[string]application
	rows         []*Row
	broken       map[string]Failure
}

// Failure is something that goes wrong with the script.
type Failure struct {
	Kind  string // of the error that is answered; "": no answer
	After bool   // the work is done first
}

// New returns a Signon without users and applications.
func New() *Server {
	return &Server{users: map[string]string{}, applications: map[string]application{}, broken: map[string]Failure{}}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// AddUser makes an API user.
func (s *Server) AddUser(email, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[email] = name
}

// AddApplication makes an application, by its parameterized name, and returns its OAuth credentials.
func (s *Server) AddApplication(name string) (id, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.applications[name]
	if !ok {
		a = application{rand.Text(), rand.Text()}
		s.applications[name] = a
	}
	return a.id, a.secret
}

// AddToken makes a token and returns its value.
func (s *Server) AddToken(r Row) (Row, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.add(r)
	return *x, x.text
}

func (s *Server) add(r Row) *Row {
	r.ID, r.Created = len(s.rows)+1, r.Created.Truncate(time.Second)
	r.Expires, r.text = r.Created.Add(Life), rand.Text()+"_"+rand.Text()[:16]
	s.rows = append(s.rows, &r)
	return &r
}

// Tokens returns all that were ever made, in the order in which they were.
func (s *Server) Tokens() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Row
	for _, r := range s.rows {
		out = append(out, *r)
	}
	return out
}

// Which returns the token that a text is the value of, and whether it lives.
func (s *Server) Which(text string) (r Row, live, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.which(text)
	if x == nil {
		return Row{}, false, false
	}
	return *x, s.lives(x), true
}

func (s *Server) which(text string) *Row {
	if i := slices.IndexFunc(s.rows, func(r *Row) bool { return r.text == text }); i >= 0 {
		return s.rows[i]
	}
	return nil
}

func (s *Server) lives(r *Row) bool { return r.Revoked.IsZero() && s.now().Before(r.Expires) }

// Break makes every further run of the script with this verb fail.
func (s *Server) Break(verb string, f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[verb] = f
}

// SecretName is what Signon calls the Secret of a pair.
func (s *Server) SecretName(email, app string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secretName(email, app)
}

func (s *Server) secretName(email, app string) string {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(s.users[email]))
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	return "signon-token-" + strings.Trim(name, "-") + "-" + app
}

// Sync returns what the sync Job writes now: the values by Secret.
func (s *Server) Sync() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := map[string]*Row{}
	for _, r := range s.rows {
		name := s.secretName(r.User, r.Application)
		if old := last[name]; r.Revoked.IsZero() && (old == nil || !r.Expires.Before(old.Expires)) {
			last[name] = r
		}
	}
	out := map[string]string{}
	for name, r := range last {
		out[name] = r.text
	}
	return out
}

// ask is a request to the script.
type ask struct {
	ID, Verb, User, Application, Name, Key, Token, SHA256 string
}

// Run answers one request to the script as rails runner does, with the noise of a boot around it.
func (s *Server) Run(line []byte) string {
	var q ask
	if json.Unmarshal(line, &q) != nil {
		return "the request is not JSON\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]any{}
	f, broken := s.broken[q.Verb]
	if !broken || f.After {
		out = s.do(q)
	}
	if broken && f.Kind == "" {
		return "a line of a boot\n"
	}
	if broken {
		out = refusal(f.Kind, "it is broken for a rehearsal")
	}
	out["id"] = q.ID
	out["secret"], out["client"] = s.secretName(q.User, q.Application), s.applications[q.Application].id
	out["life"], out["now"] = int64(Life/time.Second), s.now().Unix()
	text, err := json.Marshal(out)
	if err != nil {
		return err.Error()
	}
	return "a line of a boot\n{\"remint\":1," + string(text[1:]) + "\n"
}

func refusal(kind, text string) map[string]any {
	return map[string]any{"error": map[string]any{"kind": kind, "message": text}}
}

func (s *Server) do(q ask) map[string]any {
	switch _, ok := s.applications[q.Application]; {
	case s.users[q.User] == "":
		return refusal("not-found", "there is no API user "+q.User)
	case !ok:
		return refusal("not-found", "there is no application "+q.Application)
	}
	switch q.Verb {
	case "check", "list":
		var live []*Row
		for _, r := range s.rows {
			if r.User == q.User && r.Application == q.Application && s.lives(r) {
				live = append(live, r)
			}
		}
		return map[string]any{"tokens": described(live...)}
	case "mint":
		return s.mint(q)
	case "revoke":
		i, err := strconv.Atoi(q.Token)
		if err != nil || i < 1 || i > len(s.rows) {
			return map[string]any{"tokens": described()}
		}
		r := s.rows[i-1]
		switch {
		case r.User != q.User || r.Application != q.Application:
			return refusal("denied", "token "+q.Token+" is not of this API user and application")
		case digest(r.text) != q.SHA256:
			return refusal("conflict", "token "+q.Token+" is another one than was listed")
		}
		if r.Revoked.IsZero() {
			r.Revoked = s.now()
		}
		return map[string]any{"tokens": described()}
	}
	return refusal("config", "the request is of another version than this script")
}

func (s *Server) mint(q ask) map[string]any {
	der, err := base64.StdEncoding.DecodeString(q.Key)
	if err != nil {
		return refusal("temporary", "Signon failed with ArgumentError")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	public, ok := key.(*rsa.PublicKey)
	if err != nil || !ok {
		return refusal("temporary", "Signon failed with OpenSSL::PKey::PKeyError")
	}
	if slices.ContainsFunc(s.rows, func(r *Row) bool { return r.Name == q.Name }) {
		return refusal("conflict", "a token of this name was minted before")
	}
	r := s.add(Row{Name: q.Name, User: q.User, Application: q.Application, Created: s.now()})
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, []byte(r.text), nil)
	if err != nil {
		return refusal("temporary", "Signon failed with OpenSSL::PKey::PKeyError")
	}
	return map[string]any{"tokens": described(r), "sealed": sealed}
}

func described(rows ...*Row) []any {
	out := []any{}
	for _, r := range rows {
		out = append(out, map[string]any{"token": strconv.Itoa(r.ID), "name": r.Name, "created": r.Created.Unix(), "expires": r.Expires.Unix(), "sha256": digest(r.text)})
	}
	return out
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ServeHTTP implements [http.Handler]: POST /oauth/introspect and GET /user.json.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "POST /oauth/introspect":
		s.Faults.Serve("introspect", w, r, s.introspect)
	case "GET /user.json":
		s.Faults.Serve("user", w, r, s.user)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, secret, basic := r.BasicAuth()
	id, secret = cmp.Or(id, r.PostFormValue("client_id")), cmp.Or(secret, r.PostFormValue("client_secret"))
	if !basic && id == "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	who := ""
	for name, a := range s.applications {
		if a.id == id && a.secret == secret {
			who = name
		}
	}
	if who == "" {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	x := s.which(r.PostFormValue("token"))
	if x == nil || !s.lives(x) || x.Application != who {
		answer(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	answer(w, http.StatusOK, map[string]any{"active": true, "scope": nil, "client_id": id, "token_type": "Bearer", "exp": x.Expires.Unix(), "iat": x.Created.Unix()})
}

func (s *Server) user(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	x := s.which(text)
	id := r.URL.Query().Get("client_id")
	if x == nil || !s.lives(x) || id != "" && id != s.applications[x.Application].id {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Doorkeeper", error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer(w, http.StatusOK, map[string]any{"user": map[string]any{"uid": x.User, "name": s.users[x.User], "email": x.User, "permissions": []string{"signin"}, "disabled": false}})
}
