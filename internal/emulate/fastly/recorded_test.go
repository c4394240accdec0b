package fastly

// This file holds the emulation to what go-fastly recorded of the real API. The recordings are read from the module,
// which the build has anyway; they are not copied here.

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/internal/emulate"
)

// hidden is what go-fastly put in the place of IDs and secrets.
const hidden = "XXXXXXXXXXXXXXXXXXXXXX"

type exchange struct {
	Request struct {
		Body    string
		Headers http.Header
		URL     string
		Method  string
	}
	Response struct {
		Body    string
		Headers http.Header
		Code    int
	}
}

// recordings reads one file.
func recordings(t *testing.T, name string) []exchange {
	t.Helper()
	// The test program runs inside the module, so the go command knows where its dependencies are.
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/fastly/go-fastly/v9").Output()
	if err != nil {
		t.Fatalf("go-fastly is not at hand: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "fastly", "fixtures", name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Interactions []exchange }
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Interactions) == 0 {
		t.Fatalf("%s has no exchange", name)
	}
	return file.Interactions
}

// shape is what a value looks like: the keys of an object, in any order, and what kind each value is. Texts are told
// apart by being empty, a time of either form, or another text.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = shape(x)
		}
		return out
	case []any:
		var out []any
		for _, x := range v {
			out = append(out, shape(x))
		}
		return out
	case string:
		if v == "" {
			return `""`
		}
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return "time like " + at.Format("2006-01-02T15:04:05")[10:11] + v[19:]
		}
		return "text"
	case nil:
		return "null"
	case bool:
		return "bool"
	}
	return "number"
}

// keys are the keys of an object in their order, and of the objects in it.
func keys(t *testing.T, body string) []string {
	var out []string
	d := json.NewDecoder(strings.NewReader(body))
	type level struct {
		object bool
		key    bool // a key is next
	}
	var stack []level
	for {
		tok, err := d.Token()
		if err != nil {
			return out
		}
		top := len(stack) - 1
		if text, ok := tok.(string); ok && top >= 0 && stack[top].object && stack[top].key {
			out = append(out, text)
			stack[top].key = false
			continue
		}
		if top >= 0 && stack[top].object {
			stack[top].key = true
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, level{true, true})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
		}
	}
}

// seeded is a service in the state in which a recording was made, and its only user's token.
type seeded struct {
	*Server
	key string
	t   *testing.T
}

func at(t *testing.T, x exchange) *seeded {
	t.Helper()
	when, err := http.ParseTime(x.Response.Headers.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	s.Now = func() time.Time { return when }
	key := s.AddUser(User{Login: "testing@fastly.com", Password: "foobar"})
	return &seeded{s, key, t}
}

// rows makes the tokens that a recorded answer shows.
func (s *seeded) rows(automation bool, recorded []map[string]any) {
	for _, r := range recorded {
		text := func(key string) string { v, _ := r[key].(string); return v }
		date := func(key string) time.Time { v, _ := time.Parse(time.RFC3339, text(key)); return v }
		row := Row{Automation: automation, Name: text("name"), Role: text("role"), IP: text("ip"), Agent: text("user_agent"),
			Created: date("created_at"), Expires: date("expires_at"), LastUsed: date("last_used_at"), Sudo: date("sudo_expires_at")}
		if row.Scope = text("scope"); row.Scope == "" {
			row.Scope = text("scopes")
		}
		if list, ok := r["services"].([]any); ok {
			row.Services = []string{}
			for _, v := range list {
				row.Services = append(row.Services, v.(string))
			}
		}
		s.AddToken(row)
	}
}

// send repeats a recorded request, with our own IDs, credentials and key.
func (s *seeded) send(x exchange, id string) *http.Response {
	s.t.Helper()
	u, err := url.Parse(strings.ReplaceAll(x.Request.URL, hidden, id))
	if err != nil {
		s.t.Fatal(err)
	}
	body := x.Request.Body
	if form, err := url.ParseQuery(body); err == nil && form.Has("password") {
		form.Set("username", "testing@fastly.com")
		form.Set("password", "foobar")
		body = form.Encode()
	}
	r, err := http.NewRequest(x.Request.Method, u.String(), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range x.Request.Headers {
		r.Header[http.CanonicalHeaderKey(k)] = v
	}
	r.Header.Set("Fastly-Key", s.key)
	wire := &emulate.Wire{Route: func(string) http.Handler { return s.Server }}
	resp, err := wire.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// compare holds an answer to the recorded one. Headers that every answer of the time had are compared by value, if
// the recording has them: caching headers changed between 2021 and 2025. ordered says that the order of keys counts.
func compare(t *testing.T, x exchange, got *http.Response, ordered bool) {
	t.Helper()
	b := new(bytes.Buffer)
	if _, err := b.ReadFrom(got.Body); err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != x.Response.Code {
		t.Fatalf("%s %s: status %d, recorded %d: %s", x.Request.Method, x.Request.URL, got.StatusCode, x.Response.Code, b)
	}
	recent := slices.Equal(x.Response.Headers["Server"], []string{"fastly control-gateway"})
	for _, h := range []string{"Content-Type", "Status"} {
		if g, want := got.Header.Get(h), x.Response.Headers.Get(h); g != want {
			t.Errorf("%s is %q, recorded %q", h, g, want)
		}
	}
	for _, h := range []string{"Fastly-Ratelimit-Remaining", "Fastly-Ratelimit-Reset", "Link"} {
		if g, want := got.Header.Get(h) != "", x.Response.Headers.Get(h) != ""; g != want {
			t.Errorf("%s is there: %t, recorded: %t", h, g, want)
		}
	}
	if want := x.Response.Headers.Get("Fastly-Ratelimit-Reset"); got.Header.Get("Fastly-Ratelimit-Reset") != want {
		t.Errorf("the rate limit begins anew at %s, recorded %s", got.Header.Get("Fastly-Ratelimit-Reset"), want)
	}
	for _, h := range []string{"Cache-Control", "Pragma", "Server"} {
		if g, want := got.Header.Get(h), x.Response.Headers.Get(h); recent && g != want {
			t.Errorf("%s is %q, recorded %q", h, g, want)
		}
	}
	if (b.Len() == 0) != (x.Response.Body == "") {
		t.Fatalf("body %q, recorded %q", b, x.Response.Body)
	}
	if b.Len() == 0 {
		return
	}
	if strings.HasSuffix(b.String(), "\n") != strings.HasSuffix(x.Response.Body, "\n") {
		t.Error("the line end after the body differs")
	}
	var g, want any
	if err := json.Unmarshal(b.Bytes(), &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(x.Response.Body), &want); err != nil {
		t.Fatal(err)
	}
	gs, _ := json.MarshalIndent(shape(g), "", " ")
	ws, _ := json.MarshalIndent(shape(want), "", " ")
	if !bytes.Equal(gs, ws) {
		t.Errorf("%s %s\ngot  %s\nwant %s", x.Request.Method, x.Request.URL, gs, ws)
	}
	if ordered {
		if g, want := keys(t, b.String()), keys(t, x.Response.Body); !slices.Equal(g, want) {
			t.Errorf("keys %v, recorded %v", g, want)
		}
	}
}

func objects(t *testing.T, body string) []map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRecordedCreates(t *testing.T) {
	for _, name := range []string{"automation_tokens/create.yaml", "tokens/create.yaml", "tokens/create_and_bulk_delete.yaml"} {
		t.Run(name, func(t *testing.T) {
			all := recordings(t, name)
			s := at(t, all[0])
			s.Set(func(q *Quirks) { q.ServicesAlone = true }) // as it was then
			for _, id := range []string{hidden, "0Us63sb8R1BpWQBIhluncu", "7frORaFZvHgC6eRAJdA7kf"} {
				s.AddService(Service{ID: id, Name: id})
			}
			for _, x := range all {
				when, _ := http.ParseTime(x.Response.Headers.Get("Date"))
				s.Now = func() time.Time { return when }
				id := ""
				if rows := s.Tokens(); x.Request.Method == http.MethodDelete { // the two of the bulk deletion
					x.Request.Body = strings.NewReplacer("2j1hEyxXOEqYaSipeZHaW4", rows[1].ID, "5NSGsvF9ybBxXAdEQhcYPz", rows[2].ID).Replace(x.Request.Body)
				}
				compare(t, x, s.send(x, id+hidden), true)
			}
		})
	}
}

func TestRecordedReads(t *testing.T) {
	t.Run("automation list", func(t *testing.T) {
		x := recordings(t, "automation_tokens/list.yaml")[0]
		s := at(t, x)
		var body struct{ Data []map[string]any }
		if err := json.Unmarshal([]byte(x.Response.Body), &body); err != nil {
			t.Fatal(err)
		}
		s.rows(true, body.Data)
		compare(t, x, s.send(x, ""), true)
	})
	t.Run("automation one", func(t *testing.T) {
		x := recordings(t, "automation_tokens/get.yaml")[0]
		s := at(t, x)
		s.rows(true, objects(t, "["+x.Response.Body+"]"))
		compare(t, x, s.send(x, s.Tokens()[1].ID), true)
	})
	t.Run("self", func(t *testing.T) {
		x := recordings(t, "tokens/get_self.yaml")[0]
		s := at(t, x)
		s.rows(false, objects(t, "["+x.Response.Body+"]"))
		s.key = s.textOf(s.Tokens()[1].ID)
		compare(t, x, s.send(x, ""), true)
	})
	for name, path := range map[string]string{"own": "tokens/list.yaml", "customer": "tokens/list_customer.yaml"} {
		t.Run(name, func(t *testing.T) {
			x := recordings(t, path)[0]
			s := at(t, x)
			s.rows(false, objects(t, x.Response.Body))
			s.mu.Lock()
			first := s.byID(s.rowsID(0))
			s.Server.rows = append(s.Server.rows[1:], first) // the credential that asks is listed too: it is the last one
			s.mu.Unlock()
			var body []any
			resp := s.send(x, Customer)
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(body[:len(body)-1])
			var want []any
			if err := json.Unmarshal([]byte(x.Response.Body), &want); err != nil {
				t.Fatal(err)
			}
			gs, _ := json.Marshal(shape(body[:len(body)-1]))
			ws, _ := json.Marshal(shape(want))
			if !bytes.Equal(gs, ws) {
				t.Errorf("got  %s\nwant %s\n%s", gs, ws, b)
			}
			if resp.Header.Get("Link") != "" || resp.Header.Get("Fastly-Ratelimit-Reset") != "" || resp.Header.Get("Status") != x.Response.Headers.Get("Status") {
				t.Errorf("headers %v", resp.Header)
			}
		})
	}
	t.Run("current user", func(t *testing.T) {
		x := recordings(t, "users/get_current_user.yaml")[0]
		s := at(t, x)
		compare(t, x, s.send(x, ""), true)
	})
}

// rowsID is the ID of the nth token; the lock is held.
func (s *seeded) rowsID(n int) string { return s.Server.rows[n].ID }

// textOf is the secret of a token.
func (s *seeded) textOf(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID(id).text
}

func TestRecordedDeletions(t *testing.T) {
	for _, name := range []string{"automation_tokens/delete.yaml", "tokens/delete.yaml", "tokens/delete_self.yaml"} {
		t.Run(name, func(t *testing.T) {
			x := recordings(t, name)[0]
			s := at(t, x)
			r, text := s.AddToken(Row{Name: "x", Automation: strings.HasPrefix(name, "automation")})
			if strings.Contains(name, "self") {
				s.key = text
			}
			compare(t, x, s.send(x, r.ID), true)
			if s.Live(text) {
				t.Error("the token lives")
			}
		})
	}
}

func TestRecordedServices(t *testing.T) {
	t.Run("search", func(t *testing.T) {
		x := recordings(t, "services/search.yaml")[0]
		s := at(t, x)
		s.AddService(Service{Name: "test-service", Comment: "comment"})
		compare(t, x, s.send(x, ""), false)
	})
	t.Run("list", func(t *testing.T) {
		all := recordings(t, "services/list_paginator.yaml")
		s := at(t, all[0])
		s.Set(func(q *Quirks) { q.PageMax = 200 })
		n := 0
		for _, x := range all {
			n += len(objects(t, x.Response.Body))
		}
		for range n {
			s.AddService(Service{Name: NewID(), Comment: "Managed by Terraform"})
		}
		for i, x := range all {
			resp := s.send(x, "")
			var got []map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			want := objects(t, x.Response.Body)
			if len(got) != len(want) {
				t.Fatalf("page %d has %d services, recorded %d", i+1, len(got), len(want))
			}
			for k := range want[0] {
				if _, ok := got[0][k]; !ok {
					t.Errorf("a service lacks %s", k)
				}
			}
			for k := range got[0] {
				if _, ok := want[0][k]; !ok {
					t.Errorf("a recorded service lacks %s", k)
				}
			}
			if g, want := rels(resp.Header.Get("Link")), rels(x.Response.Headers.Get("Link")); !slices.Equal(g, want) || len(g) == 0 {
				t.Errorf("page %d links to %v, recorded %v", i+1, g, want)
			}
		}
	})
}

// rels are the links of a header: which rel leads to which page.
func rels(link string) []string {
	var out []string
	for one := range strings.SplitSeq(strings.Join(strings.Fields(link), " "), ", ") {
		at, rel, _ := strings.Cut(one, ">; ")
		u, err := url.Parse(strings.TrimPrefix(at, "<"))
		if err == nil {
			out = append(out, rel+" "+u.Host+u.Path+" "+u.RawQuery)
		}
	}
	return out
}
