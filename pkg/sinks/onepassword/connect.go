package onepassword

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file speaks to a Connect server (its description 1.5.7 to 1.7.1: paths /v1/vaults…). A field is changed by
// PATCH, whose paths name fields by id, not by place. Every answer about an item has all of its secrets: what is not
// needed is dropped, and errors take a text of the server's only from what was asked with GET.

// maxAnswer is the largest answer in bytes that is read.
const maxAnswer = 4 << 20

// server is a Connect server.
type server struct {
	wire *httpx.Transport
}

func (f *Field) openConnect() (store, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	under := f.Transport
	if strings.HasPrefix(f.Host, "http://") && strings.HasPrefix(base, "https://") {
		under = unencrypted(under)
	}
	t, err := httpx.New(base, under)
	if err != nil {
		return nil, err
	}
	t.MaxBody = maxAnswer
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+f.Token.Reveal())
		return nil
	}
	return &server{wire: t}, nil
}

// call sends one request. body and into are JSON; nil body: none.
func (s *server) call(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
	u := s.wire.URL()
	u.Path += "v1" + path
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.wire.Client().Do(req)
	if err != nil {
		return httpx.Wrap(err)
	}
	answer, err := httpx.Drain(resp)
	if err != nil && resp.StatusCode < 300 {
		return fmt.Errorf("%s %s: %w", method, req.URL.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return s.explain(method, req.URL.Path, resp, answer)
	}
	if json.Unmarshal(answer, into) != nil { // what the decoder says may repeat a part of the answer
		return fmt.Errorf("%w: %s %s: the answer is not that of a Connect server; is host its address?", rotate.ErrTemporary, method, req.URL.Path)
	}
	return nil
}

// explain says why a request failed, and what to do.
func (s *server) explain(method, path string, resp *http.Response, answer []byte) error {
	var said struct{ Message string }
	_ = json.Unmarshal(answer, &said)
	hint := ""
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		hint = "the Connect token (OP_CONNECT_TOKEN) is mistyped, expired or revoked, or belongs to another Connect server"
	case resp.StatusCode == http.StatusForbidden && method == http.MethodGet:
		hint = "let the Connect token read and write items of this vault (1Password, Integrations, the server's page)"
	case resp.StatusCode == http.StatusForbidden:
		hint = "let the Connect token write items of this vault, not only read them (1Password, Integrations, the server's page)"
	case strings.Contains(said.Message, "requires ps value"):
		hint = "it is a password item without its password; put anything into its password field"
	case method != http.MethodGet && resp.StatusCode == http.StatusBadRequest:
		hint = "the server's text is left out, since it may repeat what was sent; the log of the Connect server has it"
	}
	if method != http.MethodGet {
		said.Message = ""
	}
	err := httpx.Status(method, path, resp, said.Message)
	if err == nil {
		return fmt.Errorf("%w: %s %s: %d, which is not what a Connect server answers; is host its address, and does a proxy stand before it?", rotate.ErrTemporary, method, path, resp.StatusCode)
	}
	if hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout {
		return refusal{err}
	}
	return err
}

// find asks for vault and item by name, each with one request if the name is right to the letter.
func (s *server) find(ctx context.Context, r reference) (vault, item string, err error) {
	if vault, err = s.named(ctx, "vault", "name", "/vaults", r.vault); err != nil {
		return "", "", err
	}
	item, err = s.named(ctx, "item", "title", "/vaults/"+vault+"/items", r.item)
	return vault, item, err
}

func (s *server) named(ctx context.Context, kind, attribute, path, part string) (string, error) {
	if id.MatchString(part) {
		return part, nil
	}
	ask := func(query url.Values) (all []named, err error) {
		var list []struct{ ID, Name, Title, State string }
		if err := s.call(ctx, http.MethodGet, path, query, nil, &list); err != nil {
			return nil, err
		}
		for _, x := range list {
			if id.MatchString(x.ID) && x.State == "" {
				all = append(all, named{x.ID, cmp.Or(x.Name, x.Title)})
			}
		}
		return all, nil
	}
	if !strings.ContainsAny(part, `"\`) { // how a filter would escape them is not documented
		all, err := ask(url.Values{"filter": {attribute + ` eq "` + part + `"`}})
		if err != nil {
			return "", err
		}
		for _, n := range all {
			if strings.EqualFold(n.name, part) {
				return choose(kind, part, all)
			}
		}
	}
	all, err := ask(nil)
	if err != nil {
		return "", err
	}
	return choose(kind, part, all)
}

// fullItem is what is read of an item.
type fullItem struct {
	ID       string
	Vault    struct{ ID string }
	Category string
	State    string
	Version  int64
	Sections []struct{ ID, Label string }
	Fields   []struct {
		ID, Label, Type, Purpose string
		Section                  struct{ ID string }
		Value                    string
	}
}

func (s *server) load(ctx context.Context, vault, itemID string) (*item, error) {
	var full fullItem
	if err := s.call(ctx, http.MethodGet, itemPath(vault, itemID), nil, nil, &full); err != nil {
		return nil, err
	}
	return full.item(vault, itemID)
}

func itemPath(vault, item string) string { return "/vaults/" + vault + "/items/" + item }

var errStrange = fmt.Errorf("%w: the answer is not the item that was asked for; is host the address of a Connect server?", rotate.ErrTemporary)

// item is the item, if it is the one that was asked for.
func (x *fullItem) item(vault, itemID string) (*item, error) {
	if x.ID != itemID || x.Vault.ID != vault || x.Version < 1 {
		return nil, errStrange
	}
	it := &item{vault: vault, id: itemID, category: x.Category, archived: x.State != "", version: x.Version}
	labels := map[string]string{}
	for _, s := range x.Sections {
		it.sections = append(it.sections, named{s.ID, s.Label})
		labels[s.ID] = s.Label
	}
	for _, f := range x.Fields {
		if f.ID == "" {
			return nil, errStrange
		}
		it.fields = append(it.fields, field{
			id: f.ID, label: f.Label, kind: cmp.Or(f.Type, kindText), password: f.Purpose == "PASSWORD",
			section: named{f.Section.ID, labels[f.Section.ID]}, value: rotate.NewSecret(f.Value),
		})
	}
	return it, nil
}

// operation is one operation of a PATCH.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitzero"`
}

// newField is a field to be added; the server chooses its id.
type newField struct {
	Section *struct {
		ID string `json:"id"`
	} `json:"section,omitempty"`
	Type  string `json:"type"`
	Label string `json:"label"`
	Value string `json:"value"`
}

func (s *server) save(ctx context.Context, was *item, edits []edit) (version int64, err error) {
	full, err := s.patch(ctx, was, operations(edits))
	if err != nil {
		return 0, err
	}
	return full.Version, nil
}

// operations is what a PATCH says.
func operations(edits []edit) []operation {
	ops := []operation{}
	for _, e := range edits {
		at := "/fields/" + pointer(e.field.id)
		switch e.do {
		case remove:
			ops = append(ops, operation{Op: "remove", Path: at})
		case add:
			f := newField{Type: e.field.kind, Label: e.field.label, Value: e.field.value.Reveal()}
			if s := e.field.section.id; s != "" {
				f.Section = &struct {
					ID string `json:"id"`
				}{s}
			}
			ops = append(ops, operation{Op: "add", Path: "/fields", Value: f})
		case put:
			op := operation{Op: "replace", Path: at + "/value", Value: e.field.value.Reveal()}
			if e.was.IsZero() { // there may be no value to replace
				op.Op = "add"
			}
			ops = append(ops, op)
		}
	}
	return ops
}

// pointer escapes a part of a JSON pointer (RFC 6901).
func pointer(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}

func (s *server) patch(ctx context.Context, was *item, ops []operation) (*fullItem, error) {
	body, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	var full fullItem
	if err := s.call(ctx, http.MethodPatch, itemPath(was.vault, was.id), nil, body, &full); err != nil {
		return nil, err
	}
	if full.ID != was.id || full.Vault.ID != was.vault || full.Version < was.version {
		return nil, errStrange
	}
	return &full, nil
}

// permitted sends a PATCH without an operation, which is documented to leave the item as it is.
func (s *server) permitted(ctx context.Context, was *item) error {
	_, err := s.patch(ctx, was, []operation{})
	return err
}
