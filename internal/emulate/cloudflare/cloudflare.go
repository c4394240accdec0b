// Package cloudflare emulates the part of Cloudflare's API that mints, lists, verifies and deletes API tokens, of one user
// and of any number of accounts. Its rules:
//
//   - Forms and paths are those of developers.cloudflare.com/api (resources user/tokens and accounts/tokens); the texts of
//     errors are those that people reported: github.com/jeessy2/ddns-go issues 916 and 1341, and
//     github.com/pl4nty/cloudflare-kubernetes-gateway issue 262.
//   - What nobody reported is chosen to be hard on the client: a token that is gone is 404, a list has pages of the least
//     size that is asked for, and there are switches for newborns that are other than asked for.
package cloudflare

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/pattern"
)

const base = "/client/v4/"

// Server is the emulated service. It is safe for concurrent use.
type Server struct {
	// Faults are met by the operations "mint", "list", "token" (one, by ID), "verify", "revoke" and "groups".
	Faults emulate.Faults
	// Now is the service's clock; nil: the process's. It is set before the first request.
	Now func() time.Time

	mu     sync.Mutex
	quirks Quirks
	rows   []*row
	groups []Group
	seen   []string
}

// Quirks are lasting habits that go wrong or are not known of Cloudflare.
type Quirks struct {
	Page              int           // entries of a page at the most; 0: 50
	Life              time.Duration // of newborns, whatever they were asked to have; 0: as asked
	Extra             []string      // IDs of permission groups that newborns have beside those asked for
	Open              bool          // newborns lose their conditions
	Name              string        // of newborns; "": as asked
	Away              bool          // requests come from where no token with a condition may be used
	UnseenRevocations int           // lists in which a deletion does not show yet
}

// New returns a service without tokens and permission groups.
func New() *Server { return &Server{} }

// Set changes the quirks.
func (s *Server) Set(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
}

// Operations are the requests served so far, in order.
func (s *Server) Operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Refusal is a fault that answers as Cloudflare words an error.
func Refusal(status, code int, message string, times int) emulate.Fault {
	b, _ := json.Marshal(envelope{Errors: []note{{Code: code, Message: message}}, Messages: []note{}})
	return emulate.Fault{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: string(b), Times: times}
}

// note is an entry of errors and messages.
type note struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Chain   []note `json:"error_chain,omitempty"`
}

type envelope struct {
	Result   any    `json:"result"`
	Success  bool   `json:"success"`
	Errors   []note `json:"errors"`
	Messages []note `json:"messages"`
	Page     *page  `json:"result_info,omitempty"`
}

type page struct {
	Page    int `json:"page"`
	PerPage int `json:"per_page"`
	Count   int `json:"count"`
	Total   int `json:"total_count"`
}

func write(w http.ResponseWriter, status int, e envelope) {
	if e.Errors == nil {
		e.Errors = []note{}
	}
	if e.Messages == nil {
		e.Messages = []note{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}

func refuse(w http.ResponseWriter, status int, n note) {
	write(w, status, envelope{Errors: []note{n}})
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// request is a request that was read.
type request struct {
	*http.Request
	account string // "": the user's tokens
	id      string // of the token
	text    string // presented
	body    []byte
}

var tokenForm = pattern.New(`^[A-Za-z0-9_-]{40,}$`)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q := &request{Request: r, body: body}
	var ok bool
	if q.text, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || !tokenForm.MatchString(q.text) {
		refuse(w, http.StatusBadRequest, note{Code: 6003, Message: "Invalid request headers", Chain: []note{{Code: 6111, Message: "Invalid format for Authorization header"}}})
		return
	}
	name, do := s.route(q)
	if do == nil {
		refuse(w, http.StatusNotFound, note{Code: 7003, Message: "Could not route to " + r.URL.Path + ", perhaps your object identifier is invalid?"})
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, name)
	s.mu.Unlock()
	s.Faults.Serve(name, w, r, func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		do(w, q)
	})
}

// route finds what a request asks for, and its name for the faults.
func (s *Server) route(q *request) (string, func(http.ResponseWriter, *request)) {
	path, ok := strings.CutPrefix(q.URL.Path, base)
	parts := strings.Split(path, "/")
	switch {
	case !ok:
		return "", nil
	case len(parts) > 2 && parts[0] == "accounts":
		q.account, parts = parts[1], parts[2:]
	case len(parts) > 1 && parts[0] == "user":
		parts = parts[1:]
	default:
		return "", nil
	}
	if parts[0] != "tokens" || len(parts) > 2 {
		return "", nil
	}
	last := ""
	if len(parts) == 2 {
		last = parts[1]
	}
	switch m := q.Method; {
	case m == http.MethodGet && last == "verify":
		return "verify", s.verify
	case m == http.MethodGet && last == "permission_groups":
		return "groups", s.managed(s.listGroups)
	case m == http.MethodGet && last == "":
		return "list", s.managed(s.list)
	case m == http.MethodPost && last == "":
		return "mint", s.managed(s.mint)
	case m == http.MethodGet:
		q.id = last
		return "token", s.managed(s.one)
	case m == http.MethodDelete && last != "":
		q.id = last
		return "revoke", s.managed(s.revoke)
	}
	return "", nil
}

// managed answers itself unless the token presented may care for tokens.
func (s *Server) managed(next func(http.ResponseWriter, *request)) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, q *request) {
		r := s.byText(q.text)
		switch {
		case r == nil || !s.alive(r):
			refuse(w, http.StatusForbidden, note{Code: 9109, Message: "Invalid access token"})
		case s.away(r):
			refuse(w, http.StatusForbidden, away)
		case !r.Manages || r.Account != "" && r.Account != q.account:
			refuse(w, http.StatusForbidden, note{Code: 9109, Message: "Unauthorized to access requested resource"})
		default:
			next(w, q)
		}
	}
}

var away = note{Code: 9109, Message: "Cannot use the access token from location: 192.0.2.1"}

func (s *Server) away(r *row) bool { return s.quirks.Away && r.Condition != nil }

func (s *Server) verify(w http.ResponseWriter, q *request) {
	r := s.byText(q.text)
	switch {
	case r == nil || r.Account != q.account || !r.gone.IsZero():
		refuse(w, http.StatusUnauthorized, note{Code: 1000, Message: "Invalid API Token"})
		return
	case s.away(r):
		refuse(w, http.StatusForbidden, away)
		return
	}
	result := map[string]any{"id": r.ID, "status": s.status(r)}
	if !r.Expires.IsZero() {
		result["expires_on"] = r.Expires.UTC().Format(time.RFC3339)
	}
	write(w, http.StatusOK, envelope{Success: true, Result: result, Messages: []note{{Code: 10000, Message: "This API Token is valid and active"}}})
}

func (s *Server) listGroups(w http.ResponseWriter, _ *request) {
	write(w, http.StatusOK, envelope{Success: true, Result: s.groups})
}

func (s *Server) list(w http.ResponseWriter, q *request) {
	size, _ := strconv.Atoi(q.URL.Query().Get("per_page"))
	n, _ := strconv.Atoi(q.URL.Query().Get("page"))
	size, n = min(max(size, 5), cmp.Or(s.quirks.Page, 50)), max(n, 1)
	var all []any
	for _, r := range s.rows {
		if r.Account != q.account {
			continue
		}
		if !r.gone.IsZero() {
			if r.shows == 0 {
				continue
			}
			r.shows--
		}
		all = append(all, s.shown(r, false))
	}
	from := min((n-1)*size, len(all))
	some := append([]any{}, all[from:min(from+size, len(all))]...)
	write(w, http.StatusOK, envelope{Success: true, Result: some, Page: &page{n, size, len(some), len(all)}})
}

func (s *Server) one(w http.ResponseWriter, q *request) {
	if r := s.byID(q.account, q.id); r != nil {
		write(w, http.StatusOK, envelope{Success: true, Result: s.shown(r, false)})
		return
	}
	refuse(w, http.StatusNotFound, note{Code: 1001, Message: "Token not found"})
}

func (s *Server) revoke(w http.ResponseWriter, q *request) {
	r := s.byID(q.account, q.id)
	if r == nil {
		refuse(w, http.StatusNotFound, note{Code: 1001, Message: "Token not found"})
		return
	}
	r.gone, r.shows = s.now(), s.quirks.UnseenRevocations
	write(w, http.StatusOK, envelope{Success: true, Result: map[string]any{"id": r.ID}})
}

// wish is the body of a create.
type wish struct {
	Name      string         `json:"name"`
	Policies  []Policy       `json:"policies"`
	Expires   *time.Time     `json:"expires_on"`
	Condition map[string]any `json:"condition"`
}

func (s *Server) mint(w http.ResponseWriter, q *request) {
	var x wish
	if json.Unmarshal(q.body, &x) != nil || x.Name == "" || len(x.Name) > 120 || len(x.Policies) == 0 {
		refuse(w, http.StatusBadRequest, note{Code: 1001, Message: "Invalid token: name and policies are required"})
		return
	}
	for i, p := range x.Policies {
		for j, g := range p.Groups {
			at := slices.IndexFunc(s.groups, func(known Group) bool { return known.ID == g.ID })
			if at < 0 || len(p.Resources) == 0 {
				refuse(w, http.StatusBadRequest, note{Code: 1001, Message: "Invalid policy: permission group or resource not found"})
				return
			}
			x.Policies[i].Groups[j].Name = s.groups[at].Name
		}
		x.Policies[i].ID = newID()
	}
	for _, id := range s.quirks.Extra {
		x.Policies[0].Groups = append(x.Policies[0].Groups, PolicyGroup{ID: id})
	}
	r := &row{Row: Row{ID: newID(), Name: cmp.Or(s.quirks.Name, x.Name), Account: q.account, Created: s.instant(), Policies: x.Policies, Condition: x.Condition}, text: newText()}
	if x.Expires != nil {
		r.Expires = *x.Expires
	}
	if s.quirks.Life > 0 {
		r.Expires = r.Created.Add(s.quirks.Life)
	}
	if s.quirks.Open {
		r.Condition = nil
	}
	s.rows = append(s.rows, r)
	write(w, http.StatusOK, envelope{Success: true, Result: s.shown(r, true)})
}
