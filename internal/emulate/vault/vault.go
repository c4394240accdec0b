// Package vault is HashiCorp Vault, as far as one is needed to keep secrets in a KV secrets engine: its answers are those
// of Vault 1.21.0, and real_test.go compares the two. Its rules:
//
//   - A secret has versions; a write may name the one it was made for (cas). A deleted or destroyed version answers 404
//     with its metadata.
//   - Custom metadata belongs to the secret. It is changed by a merge patch.
//   - A token has rights on paths, which may end in a star; root has all. A path without a right answers 403, whether it
//     is there or not.
//   - Numbers in what is kept become 64-bit floats, as in Vault.
package vault

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// Operations, for Faults.
const (
	Read         = "read"
	Write        = "write"
	Metadata     = "metadata"
	Capabilities = "capabilities"
	Mounts       = "mounts"
	Login        = "login"
	Revoke       = "revoke"
)

// Server is the service. It is safe for concurrent use.
type Server struct {
	Faults emulate.Faults
	Now    func() time.Time // nil: time.Now

	mu         sync.Mutex
	mounts     map[string]int     // version by path
	secrets    map[string]*secret // by mount/path
	tokens     map[string]Token
	roles      map[string]Role // by auth path/role
	logins     int
	operations []string
}

// Token is a token with its rights by path, such as "secret/data/app/*"; nil: root.
type Token struct {
	Value     string
	Namespace string // that it is of
	Rights    map[string][]string
}

// Role is a role of an auth method jwt.
type Role struct {
	Path, Name string
	JWT        string // that it takes
	Namespace  string
	Rights     map[string][]string
}

type secret struct {
	versions []*version // the first is version 1
	custom   map[string]string
}

type version struct {
	data      map[string]any
	created   time.Time
	deleted   time.Time
	destroyed bool
}

// New returns a server with a KV secrets engine of version 2 at secret/.
func New() *Server {
	return &Server{mounts: map[string]int{"secret": 2}, secrets: map[string]*secret{}, tokens: map[string]Token{}, roles: map[string]Role{}}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		fail(w, http.StatusNotFound, "")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	serve := func(operation string, next func(w http.ResponseWriter, r *http.Request)) {
		s.Faults.Serve(operation, w, r, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.operations = append(s.operations, operation)
			next(w, r)
		})
	}
	rest, isLogin := strings.CutSuffix(path, "/login")
	switch {
	case isLogin && strings.HasPrefix(path, "auth/"):
		serve(Login, func(w http.ResponseWriter, _ *http.Request) { s.login(w, strings.TrimPrefix(rest, "auth/"), body) })
	case path == "auth/token/revoke-self":
		serve(Revoke, func(w http.ResponseWriter, r *http.Request) {
			if _, ok := s.token(w, r); ok {
				delete(s.tokens, r.Header.Get("X-Vault-Token"))
				w.WriteHeader(http.StatusNoContent)
			}
		})
	case path == "sys/capabilities-self":
		serve(Capabilities, func(w http.ResponseWriter, r *http.Request) { s.capabilities(w, r, body) })
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		serve(Mounts, func(w http.ResponseWriter, r *http.Request) {
			s.mount(w, r, strings.TrimPrefix(path, "sys/internal/ui/mounts/"))
		})
	default:
		operation := map[string]string{http.MethodGet: Read, http.MethodPost: Write, http.MethodPut: Write}[r.Method]
		if r.Method == http.MethodPatch {
			operation = Metadata
		}
		serve(operation, func(w http.ResponseWriter, r *http.Request) { s.engine(w, r, path, body) })
	}
}

// token finds the token of a request, or answers that there is none.
func (s *Server) token(w http.ResponseWriter, r *http.Request) (Token, bool) {
	t, ok := s.tokens[r.Header.Get("X-Vault-Token")]
	if !ok || t.Namespace != strings.Trim(r.Header.Get("X-Vault-Namespace"), "/") {
		fail(w, http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
		return Token{}, false
	}
	return t, true
}

// may returns the rights on a path: those of the longest path that covers it.
func (t Token) may(path string) []string {
	if t.Rights == nil {
		return []string{"root"}
	}
	var rights []string
	longest := -1
	for p, r := range t.Rights {
		prefix, star := strings.CutSuffix(p, "*")
		if (p == path || star && strings.HasPrefix(path, prefix)) && len(p) > longest {
			longest, rights = len(p), r
		}
	}
	if rights == nil {
		return []string{"deny"}
	}
	return slices.Sorted(slices.Values(rights))
}

func (t Token) can(path, right string) bool {
	may := t.may(path)
	return slices.Contains(may, right) || slices.Contains(may, "root")
}

// engine answers for the paths of secrets engines.
func (s *Server) engine(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	t, ok := s.token(w, r)
	if !ok {
		return
	}
	mount := ""
	for m := range s.mounts {
		if strings.HasPrefix(path, m+"/") && len(m) > len(mount) {
			mount = m
		}
	}
	below := strings.TrimPrefix(path, mount+"/")
	kind, name, _ := strings.Cut(below, "/")
	right := map[string]string{http.MethodGet: "read", http.MethodPatch: "patch"}[r.Method]
	if right == "" {
		right = "update"
		if s.secrets[mount+"/"+name] == nil {
			right = "create"
		}
	}
	switch {
	case !t.can(path, right):
		fail(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	case mount == "":
		fail(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", path))
	case s.mounts[mount] == 1:
		s.old(w, r, mount+"/"+below, body)
	case kind == "data" && name != "" && r.Method == http.MethodGet:
		s.read(w, s.secrets[mount+"/"+name])
	case kind == "data" && name != "" && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		s.write(w, mount+"/"+name, body)
	case kind == "metadata" && name != "" && r.Method == http.MethodPatch:
		if r.Header.Get("Content-Type") != "application/merge-patch+json" {
			fail(w, http.StatusUnsupportedMediaType, "PATCH requires Content-Type of application/merge-patch+json, provided "+r.Header.Get("Content-Type"))
			return
		}
		s.patch(w, s.secrets[mount+"/"+name], body)
	case kind == "data" || kind == "metadata":
		fail(w, http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
	default:
		respond(w, http.StatusNotFound, map[string]any{"data": nil, "warnings": []string{"Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation."}})
	}
}

// old is an engine of version 1, where every path is a secret.
func (s *Server) old(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	switch r.Method {
	case http.MethodGet:
		x := s.secrets[path]
		if x == nil {
			fail(w, http.StatusNotFound, "")
			return
		}
		respond(w, http.StatusOK, map[string]any{"data": x.versions[0].data, "lease_duration": 2764800})
	case http.MethodPost, http.MethodPut:
		var data map[string]any
		if json.Unmarshal(body, &data) != nil {
			fail(w, http.StatusBadRequest, "error parsing JSON")
			return
		}
		s.secrets[path] = &secret{versions: []*version{{data: data, created: s.now()}}}
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
	}
}

// about is the metadata of the latest version.
func (x *secret) about() map[string]any {
	v := x.versions[len(x.versions)-1]
	out := map[string]any{"version": len(x.versions), "created_time": v.created.Format(time.RFC3339Nano), "deletion_time": "", "destroyed": v.destroyed, "custom_metadata": nil}
	if len(x.custom) > 0 {
		out["custom_metadata"] = x.custom
	}
	if !v.deleted.IsZero() {
		out["deletion_time"] = v.deleted.Format(time.RFC3339Nano)
	}
	return out
}

func (s *Server) read(w http.ResponseWriter, x *secret) {
	if x == nil || len(x.versions) == 0 {
		fail(w, http.StatusNotFound, "")
		return
	}
	v := x.versions[len(x.versions)-1]
	if v.destroyed || !v.deleted.IsZero() {
		respond(w, http.StatusNotFound, map[string]any{"data": map[string]any{"data": nil, "metadata": x.about()}})
		return
	}
	respond(w, http.StatusOK, map[string]any{"data": map[string]any{"data": v.data, "metadata": x.about()}, "mount_type": "kv"})
}

func (s *Server) write(w http.ResponseWriter, at string, body []byte) {
	var in struct {
		Data    map[string]any
		Options struct{ CAS *int }
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil:
		fail(w, http.StatusBadRequest, "error converting input for field \"data\"")
		return
	case in.Data == nil:
		fail(w, http.StatusBadRequest, "no data provided")
		return
	}
	x := s.secrets[at]
	if x == nil {
		x = &secret{}
	}
	if in.Options.CAS != nil && *in.Options.CAS != len(x.versions) {
		fail(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
		return
	}
	s.secrets[at] = x
	x.versions = append(x.versions, &version{data: in.Data, created: s.now()})
	respond(w, http.StatusOK, map[string]any{"data": x.about(), "mount_type": "kv"})
}

func (s *Server) patch(w http.ResponseWriter, x *secret, body []byte) {
	var in struct {
		CustomMetadata map[string]*string `json:"custom_metadata"`
	}
	switch {
	case x == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	case json.Unmarshal(body, &in) != nil:
		fail(w, http.StatusBadRequest, "error parsing JSON")
		return
	}
	for k, v := range in.CustomMetadata {
		if v != nil && (len(*v) == 0 || len(*v) > 512) {
			fail(w, http.StatusBadRequest, fmt.Sprintf("1 error occurred:\n\t* custom_metadata validation failed: length of value for key %q is %d but must be 0 < len(value) <= 512\n\n", k, len(*v)))
			return
		}
	}
	if x.custom == nil {
		x.custom = map[string]string{}
	}
	for k, v := range in.CustomMetadata {
		if v == nil {
			delete(x.custom, k)
		} else {
			x.custom[k] = *v
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) capabilities(w http.ResponseWriter, r *http.Request, body []byte) {
	t, ok := s.token(w, r)
	if !ok {
		return
	}
	var in struct{ Paths []string }
	if json.Unmarshal(body, &in) != nil || len(in.Paths) == 0 {
		fail(w, http.StatusBadRequest, "paths must be supplied")
		return
	}
	may := map[string]any{}
	for _, p := range in.Paths {
		may[p] = t.may(p)
	}
	if len(in.Paths) == 1 {
		may["capabilities"] = may[in.Paths[0]]
	}
	out := map[string]any{"data": may, "mount_type": "system"}
	for p, m := range may {
		out[p] = m
	}
	respond(w, http.StatusOK, out)
}

// mount says what is mounted, to who has any right below it.
func (s *Server) mount(w http.ResponseWriter, r *http.Request, name string) {
	t, ok := s.token(w, r)
	if !ok {
		return
	}
	name = strings.Trim(name, "/")
	v, ok := s.mounts[name]
	reaches := t.Rights == nil
	for p := range t.Rights {
		reaches = reaches || strings.HasPrefix(p, name+"/")
	}
	ok = ok && reaches
	if !ok {
		fail(w, http.StatusForbidden, fmt.Sprintf("preflight capability check returned 403, please ensure client's policies grant access to path %q", name+"/"))
		return
	}
	respond(w, http.StatusOK, map[string]any{"data": map[string]any{"type": "kv", "path": name + "/", "options": map[string]string{"version": fmt.Sprint(v)}}})
}

func (s *Server) login(w http.ResponseWriter, path string, body []byte) {
	var in struct{ Role, JWT string }
	_ = json.Unmarshal(body, &in)
	known := false
	for at := range s.roles {
		known = known || strings.HasPrefix(at, path+" ")
	}
	role, ok := s.roles[path+" "+in.Role]
	switch {
	case !known:
		fail(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", "auth/"+path+"/login"))
	case !ok:
		fail(w, http.StatusBadRequest, fmt.Sprintf("role %q could not be found", in.Role))
	case in.JWT != role.JWT:
		fail(w, http.StatusBadRequest, "error validating token: error verifying token signature: no known key successfully validated the token signature")
	default:
		s.logins++
		value := fmt.Sprintf("hvs.of-login-%d-of-the-emulation", s.logins)
		s.tokens[value] = Token{Value: value, Namespace: role.Namespace, Rights: role.Rights}
		respond(w, http.StatusOK, map[string]any{"data": nil, "auth": map[string]any{"client_token": value, "lease_duration": 3600, "renewable": true, "token_type": "service"}})
	}
}

// respond answers with what every answer has, and more.
func respond(w http.ResponseWriter, status int, more map[string]any) {
	out := map[string]any{"request_id": "00000000-0000-0000-0000-000000000000", "lease_id": "", "renewable": false, "lease_duration": 0, "wrap_info": nil, "warnings": nil, "auth": nil, "mount_type": ""}
	for k, v := range more {
		out[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

// fail answers with an error, or with an empty list of them.
func fail(w http.ResponseWriter, status int, message string) {
	errors := []string{}
	if message != "" {
		errors = append(errors, message)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": errors})
}
