// Package connect is a 1Password Connect server, as far as one is needed to read and change fields. It follows the
// description that 1Password publishes (testdata/connect.json; contract_test.go holds it to that). What the description
// leaves open is as follows:
//
//   - A PATCH is carried out whole or not at all, and makes one version. Without an operation it makes none.
//   - In a PATCH a field is named by its id, not by its place; the server chooses the ids of fields that are added.
//   - A password item without its password takes no change ("Password item requires ps value").
package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/pattern"
)

// Operations, for Faults.
const (
	Vaults = "vaults"
	Items  = "items"
	Get    = "get"
	Patch  = "patch"
)

// Server is the service. It is safe for concurrent use.
type Server struct {
	Faults emulate.Faults
	Now    func() time.Time // nil: time.Now

	mu         sync.Mutex
	tokens     map[string]Token
	vaults     []*vault
	operations []string
}

// Token is an access token.
type Token struct {
	Value    string
	Vaults   []string // names of those it reaches; nil: all
	ReadOnly bool
}

type vault struct {
	id, name string
	items    []*item
}

// item keeps what was given, so that nothing that is not known here is lost.
type item struct {
	id, title string
	category  string
	state     string
	version   int
	created   time.Time
	updated   time.Time
	tags      []string
	sections  []Section
	fields    []*Field
}

// Section is a part of an item.
type Section struct{ ID, Label string }

// Field is a field of an item.
type Field struct {
	ID      string
	Section string // its id; "": in none
	Label   string
	Type    string // "": STRING
	Purpose string // PASSWORD, USERNAME, NOTES or ""
	Value   string
}

// New returns a server without vaults and tokens.
func New() *Server { return &Server{tokens: map[string]Token{}} }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 2 || parts[0] != "v1" || parts[1] != "vaults" {
		fail(w, http.StatusNotFound, "Not Found")
		return
	}
	parts = parts[2:]
	serve := func(operation string, next func(w http.ResponseWriter, r *http.Request, token Token)) {
		s.Faults.Serve(operation, w, r, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.operations = append(s.operations, operation)
			text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			token, ok := s.tokens[text]
			if !ok {
				fail(w, http.StatusUnauthorized, "Invalid token signature")
				return
			}
			next(w, r, token)
		})
	}
	switch {
	case len(parts) == 0 && r.Method == http.MethodGet:
		serve(Vaults, s.listVaults)
	case len(parts) == 2 && parts[1] == "items" && r.Method == http.MethodGet:
		serve(Items, func(w http.ResponseWriter, r *http.Request, t Token) { s.listItems(w, r, t, parts[0]) })
	case len(parts) == 3 && parts[1] == "items" && r.Method == http.MethodGet:
		serve(Get, func(w http.ResponseWriter, _ *http.Request, t Token) {
			if v, it := s.at(w, t, parts[0], parts[2]); it != nil {
				answer(w, it.show(v, true))
			}
		})
	case len(parts) == 3 && parts[1] == "items" && r.Method == http.MethodPatch:
		serve(Patch, func(w http.ResponseWriter, r *http.Request, t Token) { s.patch(w, r, t, parts[0], parts[2]) })
	default:
		fail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

func (t Token) reaches(v *vault) bool {
	if t.Vaults == nil {
		return true
	}
	for _, name := range t.Vaults {
		if name == v.name {
			return true
		}
	}
	return false
}

// eq reads a filter: attribute eq "text".
var eq = pattern.New(`^(\w+) eq "(.*)"$`)

func filter(r *http.Request, attribute string) (want string, all, ok bool) {
	f := r.URL.Query().Get("filter")
	if f == "" {
		return "", true, true
	}
	m := eq.FindStringSubmatch(f)
	if m == nil || m[1] != attribute {
		return "", false, false
	}
	return m[2], false, true
}

func (s *Server) listVaults(w http.ResponseWriter, r *http.Request, t Token) {
	want, all, ok := filter(r, "name")
	if !ok {
		fail(w, http.StatusBadRequest, "Invalid filter")
		return
	}
	out := []any{}
	for _, v := range s.vaults {
		if t.reaches(v) && (all || v.name == want) {
			out = append(out, map[string]any{"id": v.id, "name": v.name, "attributeVersion": 1, "contentVersion": 1, "items": len(v.items), "type": "USER_CREATED",
				"createdAt": s.now().Format(time.RFC3339), "updatedAt": s.now().Format(time.RFC3339)})
		}
	}
	answer(w, out)
}

func (s *Server) listItems(w http.ResponseWriter, r *http.Request, t Token, id string) {
	v := s.vault(w, t, id)
	if v == nil {
		return
	}
	want, all, ok := filter(r, "title")
	if !ok {
		fail(w, http.StatusBadRequest, "Invalid filter")
		return
	}
	out := []any{}
	for _, it := range v.items {
		if all || it.title == want {
			out = append(out, it.show(v, false))
		}
	}
	answer(w, out)
}

// vault finds a vault, or answers that there is none.
func (s *Server) vault(w http.ResponseWriter, t Token, id string) *vault {
	for _, v := range s.vaults {
		if v.id != id {
			continue
		}
		if !t.reaches(v) {
			fail(w, http.StatusForbidden, "vault "+id+" is not in scope")
			return nil
		}
		return v
	}
	fail(w, http.StatusNotFound, "vault "+id+" not found")
	return nil
}

// at finds an item, or answers that there is none.
func (s *Server) at(w http.ResponseWriter, t Token, vaultID, itemID string) (*vault, *item) {
	v := s.vault(w, t, vaultID)
	if v == nil {
		return nil, nil
	}
	for _, it := range v.items {
		if it.id == itemID {
			return v, it
		}
	}
	fail(w, http.StatusNotFound, "item "+itemID+" not found")
	return nil, nil
}

// show is an item as it is answered.
func (it *item) show(v *vault, full bool) map[string]any {
	out := map[string]any{
		"id": it.id, "title": it.title, "vault": map[string]any{"id": v.id}, "category": it.category, "version": it.version, "favorite": false,
		"tags": append([]string{}, it.tags...), "createdAt": it.created.Format(time.RFC3339), "updatedAt": it.updated.Format(time.RFC3339), "lastEditedBy": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	}
	if it.state != "" {
		out["state"] = it.state
	}
	if !full {
		return out
	}
	sections := []any{}
	for _, s := range it.sections {
		x := map[string]any{"id": s.ID}
		if s.Label != "" {
			x["label"] = s.Label
		}
		sections = append(sections, x)
	}
	fields := []any{}
	for _, f := range it.fields {
		x := map[string]any{"id": f.ID, "type": f.Type, "label": f.Label}
		if f.Section != "" {
			x["section"] = map[string]any{"id": f.Section}
		}
		if f.Purpose != "" {
			x["purpose"] = f.Purpose
		}
		if f.Value != "" {
			x["value"] = f.Value
		}
		fields = append(fields, x)
	}
	out["sections"], out["fields"] = sections, fields
	return out
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request, t Token, vaultID, itemID string) {
	v, it := s.at(w, t, vaultID, itemID)
	if it == nil {
		return
	}
	if t.ReadOnly {
		fail(w, http.StatusForbidden, "Token does not have permission to write to vault "+vaultID)
		return
	}
	body, err := io.ReadAll(r.Body)
	var ops []operation
	d := json.NewDecoder(bytes.NewReader(body))
	if err != nil || d.Decode(&ops) != nil {
		fail(w, http.StatusBadRequest, "Unable to parse the patch document")
		return
	}
	if len(ops) == 0 {
		answer(w, it.show(v, true))
		return
	}
	fields := make([]*Field, len(it.fields))
	for i, f := range it.fields {
		twin := *f
		fields[i] = &twin
	}
	for _, op := range ops {
		if fields, err = op.apply(fields); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if it.category == "PASSWORD" && !hasPassword(fields) {
		fail(w, http.StatusBadRequest, "Unable to save the item: Validation: (Password item requires ps value)")
		return
	}
	it.fields = fields
	it.version++
	it.updated = s.now()
	answer(w, it.show(v, true))
}

func hasPassword(fields []*Field) bool {
	for _, f := range fields {
		if f.Purpose == "PASSWORD" && f.Value != "" {
			return true
		}
	}
	return false
}

// operation is one operation of a patch.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// apply changes fields; other attributes of items are not played.
func (op operation) apply(fields []*Field) ([]*Field, error) {
	parts := strings.Split(op.Path, "/")
	if len(parts) < 2 || parts[0] != "" || parts[1] != "fields" || len(parts) > 4 {
		return nil, fmt.Errorf("invalid path %q", op.Path)
	}
	if len(parts) == 2 {
		if op.Op != "add" {
			return nil, fmt.Errorf("invalid operation %q on fields", op.Op)
		}
		var in struct {
			ID, Label, Type, Purpose, Value string
			Section                         struct{ ID string }
		}
		if json.Unmarshal(op.Value, &in) != nil {
			return nil, fmt.Errorf("invalid value of a field")
		}
		f := &Field{ID: in.ID, Section: in.Section.ID, Label: in.Label, Type: strings.ToUpper(in.Type), Purpose: in.Purpose, Value: in.Value}
		if f.ID == "" {
			f.ID = newID()
		}
		if f.Type == "" {
			f.Type = "STRING"
		}
		return append(fields, f), nil
	}
	id := strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[2])
	for i, f := range fields {
		if f.ID != id {
			continue
		}
		if len(parts) == 3 {
			if op.Op != "remove" {
				return nil, fmt.Errorf("invalid operation %q on a field", op.Op) // replacing a whole field is not played
			}
			return append(fields[:i:i], fields[i+1:]...), nil
		}
		attribute := map[string]*string{"value": &f.Value, "label": &f.Label}[parts[3]]
		switch {
		case attribute == nil:
			return nil, fmt.Errorf("invalid attribute %q", parts[3])
		case op.Op == "remove":
			*attribute = ""
		case op.Op == "replace" && *attribute == "":
			return nil, fmt.Errorf("unable to replace %q: there is none", op.Path)
		case op.Op != "add" && op.Op != "replace", json.Unmarshal(op.Value, attribute) != nil:
			return nil, fmt.Errorf("invalid operation %q on %q", op.Op, op.Path)
		}
		return fields, nil
	}
	return nil, fmt.Errorf("field %s not found", id)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "message": message})
}
