package onepassword

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/connect"
	"github.com/remint-dev/remint/pkg/rotate"
)

func fails(t *testing.T, err error, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v, want %v", err, kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
	for _, s := range []string{token, password, "secret-of", "FlyV1"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("%v shows a secret", err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Field)
		says   []string // none: it is valid
	}{
		{"as it is", func(*Field) {}, nil},
		{"with the path of the API", func(f *Field) { f.Host += "/v1/" }, nil},
		{"loopback", func(f *Field) { f.Host = "http://127.0.0.1:8080" }, nil},
		{"insecure", func(f *Field) { f.Host, f.Insecure = "http://connect.ops:8080", true }, nil},
		{"plain http", func(f *Field) { f.Host = "http://connect.ops:8080" }, []string{"field host:", "insecure"}},
		{"no reference", refers(""), []string{"field reference:", "op://vault"}},
		{"no host", func(f *Field) { f.Host = "" }, []string{"field host:", "OP_CONNECT_HOST"}},
		{"no token", func(f *Field) { f.Token = rotate.Secret{} }, []string{"field token:", "OP_CONNECT_TOKEN"}},
		{"nothing", func(f *Field) { f.Host, f.Token = "", rotate.Secret{} }, []string{"OP_CONNECT_HOST", "OP_CONNECT_TOKEN"}},
		{"line break in the token", func(f *Field) { f.Token = rotate.NewSecret(token + "\n") }, []string{"field token:", "line break"}},
		{"marker", func(f *Field) { f.Marker = "a\nb" }, []string{"field marker:"}},
		{"Connect beside a service account", func(f *Field) { f.ServiceAccount = rotate.NewSecret("ops_x") }, nil},
	} {
		f := newBed().sink(x.change)
		err := f.Validate()
		if len(x.says) == 0 {
			must(t, err)
			continue
		}
		fails(t, err, rotate.ErrConfig, x.says...)
		f.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("something was called")
			return nil, http.ErrAbortHandler
		})
		fails(t, f.Write(t.Context(), credential("a")), rotate.ErrConfig)
		fails(t, f.Check(t.Context()), rotate.ErrConfig)
	}
}

// TestServiceAccount: a build without the SDK says so.
func TestServiceAccount(t *testing.T) {
	f := &Field{Reference: ref, ServiceAccount: rotate.NewSecret("ops_service-account-of-the-test")}
	if sdk {
		must(t, f.Validate())
	} else {
		fails(t, f.Validate(), rotate.ErrConfig, "field service-account:", "onepassword_sdk", "OP_CONNECT_HOST")
	}
	if strings.Contains(fmt.Sprintf("%v %+v", f.Validate(), f), "ops_") {
		t.Error("the token is shown")
	}
	if e := f.Endpoints(); len(e) != 1 || e[0].Origin != "" || e[0].Why == "" {
		t.Errorf("%+v", e)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestInsecure: what is asked for in plain http goes to that host in plain http, and only then.
func TestInsecure(t *testing.T) {
	b := newBed()
	var asked []string
	s := b.sink(func(f *Field) {
		f.Host, f.Insecure = "http://connect.example", true
		f.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Scheme)
			return b.wire.RoundTrip(r)
		})
	})
	must(t, s.Write(t.Context(), credential("a")))
	if got := strings.Join(asked, " "); strings.Trim(got, "htp ") != "" {
		t.Error(got)
	}
	if e := s.Endpoints(); e[0].Origin != "http://connect.example" {
		t.Errorf("%+v", e)
	}
	web := httptest.NewServer(b.Server) // a real socket, with the wire of its own
	defer web.Close()
	f := &Field{Reference: ref, Host: web.URL, Insecure: true, Token: rotate.NewSecret(token)}
	if h := held(t, f); h.Mark.Token.ID != "a" {
		t.Errorf("%+v", h.Mark)
	}
	asked = nil
	must(t, b.sink(func(f *Field) {
		f.Insecure = true // says nothing of https
		f.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Scheme)
			return b.wire.RoundTrip(r)
		})
	}).Check(t.Context()))
	if got := strings.Join(asked, " "); !strings.HasPrefix(got, "https https") {
		t.Error(got)
	}
}

// TestCheck: what is wrong is said before anything is minted, with candidates, and nothing is changed.
func TestCheck(t *testing.T) {
	limited := "eyJhbGciOiJFUzI1NiJ9.another-token.c2ln"
	for _, x := range []struct {
		name    string
		prepare func(*bed)
		change  func(*Field)
		kind    error
		says    []string
	}{
		{"unknown vault", nil, refers("op://blumops/fly.io admin/deploy-token"), rotate.ErrNotFound, []string{`no vault "blumops"`, `"blumeops" (id `}},
		{"unknown item", nil, refers("op://blumeops/fly.io/deploy-token"), rotate.ErrNotFound, []string{`no item "fly.io"`, `"fly.io admin"`}},
		{"unknown section", nil, refers("op://blumeops/fly.io admin/more/deploy-token"), rotate.ErrNotFound, []string{`no section "more"`, "add more", "Old ones"}},
		{"unknown field", nil, refers("op://blumeops/fly.io admin/add more/token"), rotate.ErrNotFound, []string{`no field "token"`, "deploy-token"}},
		{"unknown id", nil, refers("op://aaaaaaaaaaaaaaaaaaaaaaaaaa/fly.io admin/add more/token"), rotate.ErrNotFound, []string{"vault aaaaaaaaaaaaaaaaaaaaaaaaaa not found"}},
		{"two vaults", func(b *bed) { b.AddVault("blumeops") }, nil, rotate.ErrConfig, []string{"2 vaults are called", "id "}},
		{"two items", func(b *bed) { b.AddItem("blumeops", connect.Item{Title: "fly.io admin"}) }, nil, rotate.ErrConfig, []string{"2 items are called"}},
		{"two equal fields", func(b *bed) {
			b.AddField("blumeops", "fly.io admin", connect.Section{ID: "add more"}, connect.Field{ID: "f9", Label: "deploy-token"})
		}, nil, rotate.ErrConfig, []string{"2 fields are meant", "(id f1)", "(id f9)"}},
		{"a date", func(b *bed) {
			b.AddField("blumeops", "fly.io admin", connect.Section{ID: "add more"}, connect.Field{Label: "when", Type: "DATE"})
		}, refers("op://blumeops/fly.io admin/when"), rotate.ErrConfig, []string{"type DATE"}},
		{"a marker that is somebody's", func(b *bed) {
			b.AddField("blumeops", "fly.io admin", connect.Section{ID: "add more"}, connect.Field{Label: marker, Value: "mine"})
		}, nil, rotate.ErrConflict, []string{marker, "delete"}},
		{"archived", func(b *bed) {
			b.AddItem("blumeops", connect.Item{Title: "zzzzzzzzzzzzzzzzzzzzzzzzzz", State: "ARCHIVED", Fields: []connect.Field{{Label: "x"}}})
		}, refers("op://blumeops/zzzzzzzzzzzzzzzzzzzzzzzzzz/x"), rotate.ErrConfig, []string{"archived"}},
		{"password item without its password", func(b *bed) {
			b.AddItem("blumeops", connect.Item{Title: "p", Category: "PASSWORD", Fields: []connect.Field{{ID: "password", Purpose: "PASSWORD", Label: "password"}, {Label: "api"}}})
		}, refers("op://blumeops/p/api"), rotate.ErrConfig, []string{"password item without its password", "password field"}},
		{"dead token", nil, func(f *Field) { f.Token = rotate.NewSecret("eyJ-none") }, rotate.ErrDenied, []string{"OP_CONNECT_TOKEN", "Invalid token signature"}},
		{"vault out of scope", func(b *bed) { b.AddToken(connect.Token{Value: limited, Vaults: []string{"other"}}) },
			func(f *Field) { f.Token = rotate.NewSecret(limited) }, rotate.ErrNotFound, []string{"no vault", "none at all"}},
		{"read only", func(b *bed) { b.AddToken(connect.Token{Value: limited, ReadOnly: true}) },
			func(f *Field) { f.Token = rotate.NewSecret(limited) }, rotate.ErrDenied, []string{"write items of this vault"}},
		{"no Connect server", nil, func(f *Field) { f.Host = "https://elsewhere.example" }, rotate.ErrTemporary, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBed()
			if x.prepare != nil {
				x.prepare(b)
			}
			f := b.sink()
			if x.change != nil {
				x.change(f)
			}
			if x.name == "no Connect server" {
				f.Transport = &emulate.Wire{Route: func(string) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) })
				}}
			}
			version := b.Version("blumeops", "fly.io admin")
			err := f.Check(t.Context())
			fails(t, err, x.kind, x.says...)
			if x.kind != rotate.ErrDenied || x.name == "read only" {
				fails(t, f.Write(t.Context(), credential("a")), x.kind)
			}
			if v := b.Version("blumeops", "fly.io admin"); v != version || b.value("deploy-token") != "old" {
				t.Error("something changed")
			}
		})
	}
	// The item's own password may be what is written, though there is none yet.
	b := newBed()
	b.AddItem("blumeops", connect.Item{Title: "p", Category: "PASSWORD", Fields: []connect.Field{{ID: "password", Purpose: "PASSWORD", Label: "password", Type: "CONCEALED"}}})
	s := b.sink(refers("op://BLUMEOPS/P/Password"))
	must(t, s.Check(t.Context()))
	must(t, s.Write(t.Context(), credential("a")))
	if v, _ := b.Value("blumeops", "p", "password"); v != credential("a").Secret.Reveal() {
		t.Error("it was not written")
	}
}

func TestAccept(t *testing.T) {
	f := newBed().sink()
	for text, kind := range map[string]error{"": rotate.ErrConfig, "a\xff": rotate.ErrConfig, strings.Repeat("x", MaxValue+1): rotate.ErrLimit, strings.Repeat("x", MaxValue): nil} {
		if err := f.Accept(rotate.Credential{Secret: rotate.NewSecret(text)}); !errors.Is(err, kind) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}
