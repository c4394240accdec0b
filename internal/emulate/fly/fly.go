// Package fly emulates the GraphQL API of Fly.io as far as deploy tokens go, with real macaroons. Its rules:
//
//   - POST /graphql only. Errors are answered with status 200, and may come beside other fields.
//   - What is done is told by the fields of the document, not by operationName, which Fly.io's own client leaves
//     out of some queries. Any selection of known fields is answered, under any alias.
//   - Only a user's credential (fo1_…) mints, lists and revokes. A macaroon is checked as Fly.io's library checks
//     it: signature, discharges, window, organisation, app; then its viewer is a Macaroon.
//   - Revoked tokens stay listed. Revoking twice succeeds and keeps the first time.
//   - What nobody has seen of Fly.io is chosen to be hard on the client: cursors and ids are opaque, the list of an
//     organisation shows the tokens of its apps too, "personal" has another rawSlug.
package fly

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/superfly/macaroon"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Server is the emulated service. It is safe for concurrent use.
type Server struct {
	// Faults are met by the operations "mint", "revoke", "list" (any query that selects limitedAccessTokens),
	// "viewer" (any other that selects viewer), "organization", "app" and "node". [Refusal] makes faults that
	// are GraphQL errors.
	Faults emulate.Faults
	// Now is the service's clock; nil: the process's. It is set before the first request.
	Now func() time.Time

	mu     sync.Mutex
	quirks Quirks
	key    macaroon.SigningKey    // signs permissions
	ours   macaroon.EncryptionKey // shared with Fly.io's own authentication, which discharges at once
	theirs macaroon.EncryptionKey // shared with a third party that nobody here discharges
	users  map[string]*user       // by the text of the credential
	orgs   []*org
	apps   []*app
	rows   []*row
	served map[string]int
}

// Quirks are lasting habits that go wrong, beside the single [emulate.Fault].
type Quirks struct {
	// MintError is a message of an error that accompanies the token in the answer to a mint.
	MintError string
	// RevocationDelay is how long a revoked token goes on being accepted.
	RevocationDelay time.Duration
	// UnseenRevocations is the number of lists in which revocations do not show yet.
	UnseenRevocations int
	// UnseenBirths is the number of lists in which tokens minted since it was set do not show.
	UnseenBirths int
	// Undischarged makes minted tokens demand a proof of a third party that they do not carry.
	Undischarged bool
	// DischargeLife ends the discharge of minted tokens before the token; 0: both end together.
	DischargeLife time.Duration
	// Life replaces the life that is asked for; 0: as asked.
	Life time.Duration
	// Backdated moves the windows in minted macaroons against the times listed.
	Backdated time.Duration
	// Caveats replaces the scope of minted tokens, given the number of organisation and app (0: none).
	Caveats func(org, app uint64) []macaroon.Caveat
	// PlainApps binds minted tokens to their app without a condition.
	PlainApps bool
	// OtherViewer makes the viewer of a macaroon bear another address than its nonce gives.
	OtherViewer bool
	// NoNonces hides tokens from nodes.
	NoNonces bool
	// PageMax is the most that one page lists; 0: what is asked for.
	PageMax int
}

// New returns a service without users and organisations.
func New() *Server {
	return &Server{
		key: macaroon.NewSigningKey(), ours: macaroon.NewEncryptionKey(), theirs: macaroon.NewEncryptionKey(),
		users: map[string]*user{}, served: map[string]int{},
	}
}

// Set changes the quirks.
func (s *Server) Set(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
	if s.quirks.UnseenBirths > 0 {
		for _, r := range s.rows {
			r.shown = true
		}
	}
}

// Served counts the requests by operation, faults included.
func (s *Server) Served() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for k, v := range s.served {
		n[k] = v
	}
	return n
}

// Refusal is a fault that answers with a GraphQL error; code may be empty.
func Refusal(code, message string, times int) emulate.Fault {
	e := failure{Message: message}
	if code != "" {
		e.Extensions = map[string]any{"code": code}
	}
	b, _ := json.Marshal(map[string]any{"data": nil, "errors": []failure{e}})
	return emulate.Fault{Status: http.StatusOK, Header: jsonHeader(), Body: string(b), Times: times}
}

func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json; charset=utf-8"}}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	if r.URL.Path != "/graphql" {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var q struct {
		Query         string
		Variables     map[string]any
		OperationName string
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
		answer(w, http.StatusBadRequest, nil, []failure{{Message: "request is not JSON"}})
		return
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: q.Query})
	if err != nil {
		answer(w, http.StatusOK, nil, []failure{{Message: "Parse error: " + err.Error(), Extensions: map[string]any{"code": "parse_error"}}})
		return
	}
	op := doc.Operations.ForName(q.OperationName)
	if op == nil {
		answer(w, http.StatusOK, nil, []failure{{Message: fmt.Sprintf("No operation named %q", q.OperationName)}})
		return
	}
	kind := operation(op, doc)
	s.mu.Lock()
	s.served[kind]++
	s.mu.Unlock()
	s.Faults.Serve(kind, w, r, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		x := &execution{vars: q.Variables, fragments: doc.Fragments}
		root := s.query(r.Header.Get("Authorization"))
		if op.Operation == ast.Mutation {
			root = s.mutation(r.Header.Get("Authorization"))
		}
		d := x.fields(op.SelectionSet, root, nil)
		answer(w, http.StatusOK, d, x.errors)
	})
}

func answer(w http.ResponseWriter, status int, fields map[string]any, errors []failure) {
	body := map[string]any{"data": fields}
	if len(errors) > 0 {
		body["errors"] = errors
	}
	for k, v := range jsonHeader() {
		w.Header()[k] = v
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// operation names what a document does, for Faults.
func operation(op *ast.OperationDefinition, doc *ast.QueryDocument) string {
	names := map[string]bool{}
	var walk func(ast.SelectionSet, int)
	walk = func(set ast.SelectionSet, depth int) {
		for _, sel := range set {
			switch f := sel.(type) {
			case *ast.Field:
				names[f.Name] = names[f.Name] || depth == 0 || f.Name == "limitedAccessTokens"
				walk(f.SelectionSet, depth+1)
			case *ast.InlineFragment:
				walk(f.SelectionSet, depth)
			case *ast.FragmentSpread:
				if d := doc.Fragments.ForName(f.Name); d != nil && depth < 20 {
					walk(d.SelectionSet, depth+1)
				}
			}
		}
	}
	walk(op.SelectionSet, 0)
	for _, k := range []struct{ field, name string }{
		{"createLimitedAccessToken", "mint"}, {"deleteLimitedAccessToken", "revoke"}, {"limitedAccessTokens", "list"}, {"viewer", "viewer"},
		{"organization", "organization"}, {"app", "app"}, {"nodes", "node"}, {"node", "node"},
	} {
		if names[k.field] {
			return k.name
		}
	}
	return "other"
}

// Row is a token as the service keeps it, without its secret.
type Row struct {
	ID, Name, Profile string
	Org               string // slug
	App               string // name; "": of the whole organisation
	User              string // email of the minter
	Created, Expires  time.Time
	Revoked           time.Time // zero: not
}

// AddUser makes a user who is a member of the organisations named, now or later; of all if none is named. It
// returns the user's credential.
func (s *Server) AddUser(email string, orgs ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{number: uint64(len(s.users) + 101), email: email, orgs: orgs}
	u.text = "fo1_" + opaque("oauth", u.number, s.key)
	s.users[u.text] = u
	return u.text
}

// AddCredential makes text a credential of a new user, for a rehearsal with what the configuration holds.
func (s *Server) AddCredential(text, email string, orgs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[text] = &user{number: uint64(len(s.users) + 101), email: email, orgs: orgs, text: text}
}

// AddOrg makes an organisation, or adds apps to it. The rawSlug of "personal" is another one.
func (s *Server) AddOrg(slug string, apps ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.org(slug)
	if o == nil {
		n := uint64(len(s.orgs) + 340001)
		o = &org{number: n, id: opaque("Organization", n, s.key), slug: slug, raw: slug}
		if slug == "personal" {
			o.raw = fmt.Sprintf("bot-%d", n)
		}
		s.orgs = append(s.orgs, o)
	}
	for _, name := range apps {
		if s.app(name) == nil {
			s.apps = append(s.apps, &app{number: uint64(len(s.apps) + 7001), name: name, org: o, builder: strings.HasPrefix(name, "fly-builder-")})
		}
	}
}

// AddToken makes a token by hand and returns it as kept, and its text. Org or App says where; an App decides
// the organisation. Times left out are now and in 20 years; the profile is that of a deploy token.
func (s *Server) AddToken(t Row) (Row, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &row{name: t.Name, profile: t.Profile, created: t.Created, expires: t.Expires, revoked: t.Revoked, user: &user{email: cmp.Or(t.User, "person@example.com"), number: 100}}
	if r.created.IsZero() {
		r.created = s.now()
	}
	if r.expires.IsZero() {
		r.expires = r.created.Add(farthest)
	}
	if r.app = s.app(t.App); r.app != nil {
		r.org = r.app.org
	} else if r.org = s.org(t.Org); r.org == nil {
		panic("emulated Fly.io: AddToken names neither an app nor an organisation that was added")
	}
	if r.profile == "" {
		r.profile = "deploy_organization"
		if r.app != nil {
			r.profile = "deploy"
		}
	}
	s.issue(r)
	return r.public(), r.header
}

// Tokens returns every token, revoked ones too, oldest first.
func (s *Server) Tokens() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Row, len(s.rows))
	for i, r := range s.rows {
		list[i] = r.public()
	}
	return list
}

// Live reports whether the service accepts the text of a token now, as a deploy would find out.
func (s *Server) Live(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	who, _ := s.principal(text)
	return who != nil && who.row != nil
}

// Which returns the token whose text this is; false if it is none of ours or damaged.
func (s *Server) Which(text string) (Row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, set := s.decode(text)
	if set == nil {
		return Row{}, false
	}
	return r.public(), true
}
