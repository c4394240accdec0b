// Package tailscale emulates the part of Tailscale's API that makes, lists, reads and deletes the auth keys of one tailnet,
// and the OAuth endpoint that gives access tokens to clients. Its rules:
//
//   - Forms are those of Tailscale's OpenAPI description (github.com/tailscale/tailscale-client-go-v2,
//     tools/openapi/spec/tailscale-v2-openapi.yaml): a description has at most 50 letters, digits, hyphens and spaces; a key
//     lives at most 90 days; what is listed without all=true depends on who asks; a deleted key is still read, as invalid.
//   - What is not said there is chosen to be hard on the client, and there are switches for the other choices: older answers
//     to a list, which have nothing but ids, and a deleted key that is 404.
package tailscale

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/pattern"
)

const longest = 90 * 24 * time.Hour

// Server is the emulated service, with one tailnet. It is safe for concurrent use.
type Server struct {
	// Faults are met by the operations "mint", "list", "key" (one), "revoke" and "token" (OAuth).
	Faults emulate.Faults
	// Now is the service's clock; nil: the process's. It is set before the first request.
	Now func() time.Time
	// Tailnet is the name by which it is addressed, beside "-". It is set before the first request.
	Tailnet string

	mu      sync.Mutex
	quirks  Quirks
	keys    []*key
	clients map[string]client // by secret
	access  map[string]access // by access token
	seen    []string
}

// Quirks are lasting habits that go wrong or are not known of Tailscale.
type Quirks struct {
	Bare              bool          // lists have nothing but ids
	Forgets           bool          // a deleted key is 404 at once
	Tags              []string      // newborns have these in place of those asked for
	Life              time.Duration // of newborns, whatever they were asked to have; 0: as asked
	OneOff            bool          // newborns are not reusable
	UnseenRevocations int           // reads in which a deletion does not show yet
}

// New returns a service with an empty tailnet.
func New() *Server {
	return &Server{clients: map[string]client{}, access: map[string]access{}}
}

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

// Refusal is a fault that answers as Tailscale words an error.
func Refusal(status int, message string, times int) emulate.Fault {
	b, _ := json.Marshal(map[string]string{"message": message})
	return emulate.Fault{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: string(b), Times: times}
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, message string) {
	write(w, status, map[string]string{"message": message})
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v2/")
	if !ok {
		refuse(w, http.StatusNotFound, "not found")
		return
	}
	if path == "oauth/token" && r.Method == http.MethodPost {
		s.serve("token", w, r, s.token)
		return
	}
	parts := strings.Split(path, "/")
	if len(parts) < 3 || len(parts) > 4 || parts[0] != "tailnet" || parts[2] != "keys" {
		refuse(w, http.StatusNotFound, "not found")
		return
	}
	id := ""
	if len(parts) == 4 {
		id = parts[3]
	}
	name, do := "", (func(http.ResponseWriter, *http.Request, access, string))(nil)
	switch {
	case id == "" && r.Method == http.MethodGet:
		name, do = "list", s.list
	case id == "" && r.Method == http.MethodPost:
		name, do = "mint", s.mint
	case id != "" && r.Method == http.MethodGet:
		name, do = "key", s.read
	case id != "" && r.Method == http.MethodDelete:
		name, do = "revoke", s.revoke
	default:
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	s.serve(name, w, r, func(w http.ResponseWriter, r *http.Request) {
		text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		a, ok := s.access[text]
		switch {
		case !ok || !a.ends.IsZero() && !s.now().Before(a.ends):
			refuse(w, http.StatusUnauthorized, "API token invalid")
		case parts[1] != "-" && parts[1] != s.Tailnet:
			refuse(w, http.StatusNotFound, "tailnet not found")
		case !a.mayWrite && r.Method != http.MethodGet:
			refuse(w, http.StatusForbidden, "calling actor does not have enough permissions to perform this function")
		default:
			do(w, r, a, id)
		}
	})
}

func (s *Server) serve(name string, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	s.mu.Lock()
	s.seen = append(s.seen, name)
	s.mu.Unlock()
	s.Faults.Serve(name, w, r, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		next(w, r)
	})
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
		refuse(w, http.StatusBadRequest, "unsupported grant type")
		return
	}
	c, ok := s.clients[r.PostForm.Get("client_secret")]
	if !ok || c.id != r.PostForm.Get("client_id") {
		refuse(w, http.StatusUnauthorized, "API token invalid")
		return
	}
	text := "tskey-api-" + letters(11) + "CNTRL-" + letters(32)
	s.access[text] = access{ends: s.now().Add(time.Hour), client: true, tags: c.tags, mayWrite: true}
	write(w, http.StatusOK, map[string]any{"access_token": text, "token_type": "Bearer", "expires_in": 3600, "scope": "auth_keys"})
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, a access, _ string) {
	out := []any{}
	for _, k := range s.keys {
		if !s.alive(k) || r.URL.Query().Get("all") != "true" && (a.client || k.ByClient) {
			continue
		}
		if s.quirks.Bare {
			out = append(out, map[string]string{"id": k.ID})
			continue
		}
		out = append(out, s.shown(k, false))
	}
	write(w, http.StatusOK, map[string]any{"keys": out})
}

func (s *Server) read(w http.ResponseWriter, _ *http.Request, _ access, id string) {
	k := s.byID(id)
	switch {
	case k == nil, !k.Revoked.IsZero() && s.quirks.Forgets:
		refuse(w, http.StatusNotFound, "key not found")
	default:
		write(w, http.StatusOK, s.shown(k, false))
		if k.hidden > 0 {
			k.hidden--
		}
	}
}

func (s *Server) revoke(w http.ResponseWriter, _ *http.Request, _ access, id string) {
	k := s.byID(id)
	if k == nil || !k.Revoked.IsZero() {
		refuse(w, http.StatusNotFound, "key not found")
		return
	}
	k.Revoked, k.hidden = s.instant(), s.quirks.UnseenRevocations
	w.WriteHeader(http.StatusOK)
}

// wish is the body of a create.
type wish struct {
	Type         string       `json:"keyType"`
	Description  string       `json:"description"`
	Expiry       *int64       `json:"expirySeconds"`
	Capabilities capabilities `json:"capabilities"`
}

type capabilities struct {
	Devices *devices `json:"devices,omitempty"`
}

type devices struct {
	Create create `json:"create"`
}

type create struct {
	Reusable      bool     `json:"reusable"`
	Ephemeral     bool     `json:"ephemeral"`
	Preauthorized bool     `json:"preauthorized"`
	Tags          []string `json:"tags,omitempty"`
}

var description = pattern.New(`^[A-Za-z0-9 -]{0,50}$`)

func (s *Server) mint(w http.ResponseWriter, r *http.Request, a access, _ string) {
	var x wish
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &x) != nil || x.Capabilities.Devices == nil || cmp.Or(x.Type, "auth") != "auth" {
		refuse(w, http.StatusBadRequest, "invalid request body")
		return
	}
	life := longest
	if x.Expiry != nil {
		life = time.Duration(*x.Expiry) * time.Second
	}
	made := x.Capabilities.Devices.Create
	switch {
	case !description.MatchString(x.Description):
		refuse(w, http.StatusBadRequest, "description is invalid")
		return
	case life <= 0 || life > longest:
		refuse(w, http.StatusBadRequest, "expirySeconds is invalid")
		return
	case a.client && (len(made.Tags) == 0 || slices.ContainsFunc(made.Tags, func(t string) bool { return !slices.Contains(a.tags, t) })):
		refuse(w, http.StatusBadRequest, "requested tags are invalid or not permitted")
		return
	}
	if s.quirks.Life > 0 {
		life = s.quirks.Life
	}
	if s.quirks.Tags != nil {
		made.Tags = s.quirks.Tags
	}
	made.Reusable = made.Reusable && !s.quirks.OneOff
	k := s.add(Key{Description: x.Description, Reusable: made.Reusable, Ephemeral: made.Ephemeral, Preauthorized: made.Preauthorized, Tags: made.Tags, ByClient: a.client, Expires: s.instant().Add(life)})
	write(w, http.StatusOK, s.shown(k, true))
}
