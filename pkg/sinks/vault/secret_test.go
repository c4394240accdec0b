package vault

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/vault"
	"github.com/remint-dev/remint/pkg/rotate"
)

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Secret)
		says   []string // none: it is valid
	}{
		{"as it is", func(*Secret) {}, nil},
		{"loopback", func(s *Secret) { s.Address = "http://127.0.0.1:8200" }, nil},
		{"a deep mount", func(s *Secret) { s.Mount = "/team/kv/" }, nil},
		{"plain http", func(s *Secret) { s.Address = "http://vault.example:8200" }, []string{"field address:", "https"}},
		{"no address", func(s *Secret) { s.Address = "" }, []string{"field address:", "VAULT_ADDR"}},
		{"no path", func(s *Secret) { s.Path = "" }, []string{"field path:", "ci/fly"}},
		{"slashes", func(s *Secret) { s.Path = "/ci/fly" }, []string{"field path:", "slash"}},
		{"dots", func(s *Secret) { s.Path = "ci/../fly" }, []string{"field path:"}},
		{"a path of the API", func(s *Secret) { s.Path = "secret/data/ci/fly" }, []string{"field path:", "leave secret/data/ out"}},
		{"dots in the mount", func(s *Secret) { s.Mount = ".." }, []string{"field mount:"}},
		{"no key", func(s *Secret) { s.Key = "" }, []string{"field key:"}},
		{"no token", func(s *Secret) { s.Token = rotate.Secret{} }, []string{"field token:", "VAULT_TOKEN", "jwt"}},
		{"line break in the token", func(s *Secret) { s.Token = rotate.NewSecret(root + "\n") }, []string{"field token:", "line break"}},
		{"a namespace", func(s *Secret) { s.Namespace = "a b" }, []string{"field vault-namespace:"}},
		{"auth without a way", func(s *Secret) { s.Auth = &Auth{} }, []string{"field auth:"}},
		{"no role", func(s *Secret) { s.Auth = &Auth{JWT: &JWT{OIDCURL: "https://oidc.example/x"}} }, []string{"field auth.jwt.role:"}},
		{"plain OIDC", func(s *Secret) { s.Auth = &Auth{JWT: &JWT{Role: "r", OIDCURL: "http://oidc.example/x"}} }, []string{"field auth.jwt.oidc-url:"}},
	} {
		s := newBed().sink(x.change)
		err := s.Validate()
		if len(x.says) == 0 {
			must(t, err)
			continue
		}
		fails(t, err, rotate.ErrConfig, x.says...)
		s.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("something was called")
			return nil, http.ErrAbortHandler
		})
		fails(t, s.Write(t.Context(), credential("a")), rotate.ErrConfig)
		fails(t, s.Check(t.Context()), rotate.ErrConfig)
		must(t, s.Close(t.Context()))
	}
}

// TestCheck: what is wrong is said before anything is minted, and nothing is changed.
func TestCheck(t *testing.T) {
	for _, x := range []struct {
		name    string
		prepare func(*bed)
		change  func(*bed) func(*Secret)
		kind    error
		says    []string
	}{
		{"no secret", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Path = "ci/fly.io" } }, rotate.ErrNotFound, []string{"no secret at this path", "vault kv put"}},
		{"data in the path", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Path = "data/ci/fly" } }, rotate.ErrNotFound, []string{"without data/"}},
		{"no mount", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Mount = "kv" } }, rotate.ErrNotFound, []string{"no secrets engine at this mount"}},
		{"no key", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Key = "tokne" } }, rotate.ErrNotFound, []string{`no key "tokne"`, "create-key"}},
		{"no text", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Key = "list" } }, rotate.ErrConfig, []string{"no text"}},
		{"deleted", func(b *bed) { b.Delete("secret", "ci/fly", false) }, nil, rotate.ErrNotFound, []string{"version 1 was deleted at 20", "undelete"}},
		{"destroyed", func(b *bed) { b.Delete("secret", "ci/fly", true) }, nil, rotate.ErrNotFound, []string{"version 1 is destroyed"}},
		{"version 1", func(b *bed) { b.AddMount("old", 1); b.Put("old", "data/ci/fly", map[string]any{"token": "old"}) },
			func(*bed) func(*Secret) { return func(s *Secret) { s.Mount = "old" } }, rotate.ErrConfig, []string{"version 1", "enable-versioning"}},
		{"version 1, nothing there", func(b *bed) { b.AddMount("old", 1) },
			func(*bed) func(*Secret) { return func(s *Secret) { s.Mount = "old" } }, rotate.ErrConfig, []string{"version 1", "enable-versioning"}},
		{"a marker that is somebody's", func(b *bed) { b.SetCustom("secret", "ci/fly", "remint-token", "mine") }, nil, rotate.ErrConflict, []string{"remint-token"}},
		{"dead token", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Token = rotate.NewSecret("hvs.none-of-theirs") } }, rotate.ErrDenied, []string{"invalid token"}},
		{"another namespace", nil, func(*bed) func(*Secret) { return func(s *Secret) { s.Namespace = "teams/web" } }, rotate.ErrDenied, nil},
		{"may not read", nil, func(b *bed) func(*Secret) { return b.rights("update", "patch") }, rotate.ErrDenied, []string{"lacks read on secret/data/ci/fly"}},
		{"may not write", nil, func(b *bed) func(*Secret) { return b.rights("read", "patch") }, rotate.ErrDenied, []string{"grant update on secret/data/ci/fly"}},
		{"may do neither", nil, func(b *bed) func(*Secret) { return b.rights("list", "patch") }, rotate.ErrDenied, []string{"lacks read", "grant update"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBed()
			if x.prepare != nil {
				x.prepare(b)
			}
			s := b.sink()
			if x.change != nil {
				x.change(b)(s)
			}
			versions := b.Versions("secret", "ci/fly")
			fails(t, s.Check(t.Context()), x.kind, x.says...)
			if err := s.Write(t.Context(), credential("a")); !errors.Is(err, x.kind) {
				t.Errorf("write: %v", err)
			}
			if b.Versions("secret", "ci/fly") != versions || b.value() != "old" {
				t.Error("something changed")
			}
			if got := b.Data("old", "data/ci/fly"); len(got) > 1 || got["options"] != nil {
				t.Errorf("the secret of version 1 is %v", got)
			}
		})
	}
}

// TestCreateKey: the key is added, and an undo takes it away.
func TestCreateKey(t *testing.T) {
	b := newBed()
	s := b.sink(func(s *Secret) { s.Key, s.CreateKey = "a \"new\" <key>", true })
	must(t, s.Check(t.Context()))
	must(t, s.Write(t.Context(), credential("a")))
	if b.Text("secret", "ci/fly", s.Key) != credential("a").Secret.Reveal() || b.value() != "old" {
		t.Errorf("%v", b.Data("secret", "ci/fly"))
	}
	must(t, s.Undo(t.Context()))
	if _, ok := b.Data("secret", "ci/fly")[s.Key]; ok || len(b.Custom("secret", "ci/fly")) != 0 {
		t.Errorf("%v, %v", b.Data("secret", "ci/fly"), b.Custom("secret", "ci/fly"))
	}
}

// TestRival: what somebody else does between two requests.
func TestRival(t *testing.T) {
	t.Run("another key at the same time", func(t *testing.T) {
		b := newBed()
		s := b.sink()
		held(t, s)
		b.rival(http.MethodPost, 2, func() { b.Set("secret", "ci/fly", "user", b.Text("secret", "ci/fly", "user")+"!") })
		must(t, s.Write(t.Context(), credential("a")))
		if b.value() != credential("a").Secret.Reveal() || b.Text("secret", "ci/fly", "user") != "web!!" {
			t.Errorf("%v", b.Text("secret", "ci/fly", "user"))
		}
	})
	t.Run("again and again", func(t *testing.T) {
		b := newBed()
		b.rival(http.MethodPost, 100, func() { b.Set("secret", "ci/fly", "user", "x") })
		fails(t, b.sink().Write(t.Context(), credential("a")), rotate.ErrConflict, "again and again")
		if n := strings.Count(strings.Join(b.Operations(), " "), "write"); n != rounds {
			t.Errorf("%d writes", n)
		}
	})
	t.Run("this key at the same time", func(t *testing.T) {
		b := newBed()
		b.rival(http.MethodPost, 1, func() { b.Set("secret", "ci/fly", "token", "theirs") })
		s := b.sink()
		fails(t, s.Write(t.Context(), credential("a")), rotate.ErrConflict, "somebody else")
		if b.value() != "theirs" {
			t.Error("their value is gone")
		}
		if s.Undo(t.Context()) == nil || b.value() != "theirs" {
			t.Error("there was nothing to put back")
		}
		must(t, b.sink().Write(t.Context(), credential("a")))
	})
	t.Run("this key just after", func(t *testing.T) {
		b := newBed()
		s := b.sink()
		held(t, s)
		b.rival(http.MethodGet, 1, func() { b.Set("secret", "ci/fly", "token", "theirs") })
		fails(t, s.Write(t.Context(), credential("a")), rotate.ErrConflict, "just after")
	})
	t.Run("this key before the undo", func(t *testing.T) {
		b := newBed()
		s := b.sink()
		must(t, s.Write(t.Context(), credential("a")))
		b.Set("secret", "ci/fly", "token", "theirs")
		fails(t, s.Undo(t.Context()), rotate.ErrConflict, "somebody else")
		if b.value() != "theirs" {
			t.Error("their value is gone")
		}
	})
	t.Run("another key before the undo", func(t *testing.T) {
		b := newBed()
		s := b.sink()
		must(t, s.Write(t.Context(), credential("a")))
		b.Set("secret", "ci/fly", "user", "theirs")
		must(t, s.Undo(t.Context()))
		if b.value() != "old" || b.Text("secret", "ci/fly", "user") != "theirs" {
			t.Error("one of the two is lost")
		}
	})
	t.Run("by hand after the marker", func(t *testing.T) {
		b := newBed()
		must(t, b.sink().Write(t.Context(), credential("a")))
		b.Set("secret", "ci/fly", "user", "x") // the marker is of the key
		if h := held(t, b.sink()); h.Mark.Token.ID != "a" {
			t.Errorf("%+v", h)
		}
		b.Set("secret", "ci/fly", "token", "theirs")
		s := b.sink()
		if h := held(t, s); h.Mark.Token.ID != "" || h.Secret.Reveal() != "theirs" || len(s.Warnings()) != 1 {
			t.Errorf("%+v", h)
		}
		must(t, s.Mark(t.Context(), rotate.Token{ID: "z"}))
		if h := held(t, b.sink()); h.Mark.Token.ID != "z" || !h.Mark.Verified {
			t.Errorf("%+v", h.Mark)
		}
		fails(t, b.sink().Mark(t.Context(), rotate.Token{ID: "y"}), rotate.ErrConflict, "names token z")
	})
}

// TestLost: the version guards a second attempt, so a lost answer is no lost write, and no second one.
func TestLost(t *testing.T) {
	for name, fault := range map[string]emulate.Fault{"before": {}, "after": {After: true}, "500": {Status: 500}, "500 after": {Status: 500, After: true}, "429": {Status: 429, Header: http.Header{"Retry-After": {"0"}}}} {
		t.Run(name, func(t *testing.T) {
			b := newBed()
			b.Faults.Plant(vault.Write, fault)
			s := b.sink()
			must(t, s.Write(t.Context(), credential("a")))
			if n := b.Versions("secret", "ci/fly"); n != 2 {
				t.Errorf("%d versions", n)
			}
			must(t, s.Undo(t.Context()))
			if b.value() != "old" {
				t.Error("not put back")
			}
		})
	}
}

// TestNoMarker: without the right to write metadata the sink works, says so once, and is known by its value.
func TestNoMarker(t *testing.T) {
	b := newBed()
	s := b.sink(b.rights("read update", ""))
	must(t, s.Check(t.Context()))
	must(t, s.Write(t.Context(), credential("a")))
	must(t, s.Mark(t.Context(), credential("a").Token))
	must(t, s.Undo(t.Context()))
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "grant patch on secret/metadata/ci/fly") {
		t.Errorf("%q", w)
	}
	if got := strings.Join(b.Operations(), " "); strings.Contains(got, "metadata") { // Check asked
		t.Error(got)
	}
	s = b.sink(b.rights("read update", ""))
	long := credential("b")
	must(t, s.Write(t.Context(), long))
	if h := held(t, b.sink()); h.Mark.Token.ID != "" || !h.Secret.Equal(long.Secret) {
		t.Errorf("%+v", h)
	}
	s = b.sink()
	long.Name = strings.Repeat("x", 600)
	must(t, s.Write(t.Context(), long))
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "too long") {
		t.Errorf("%q", w)
	}
}

// TestRedirect: a standby's answer is explained, and nobody else gets the token.
func TestRedirect(t *testing.T) {
	var asked []string
	s := newBed().sink(func(s *Secret) {
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Host)
			return (&emulate.Wire{Route: func(string) http.Handler {
				return http.RedirectHandler("https://active.example:8200"+r.URL.Path, http.StatusTemporaryRedirect)
			}}).RoundTrip(r)
		})
	})
	fails(t, s.Check(t.Context()), rotate.ErrConfig, "https://active.example:8200", "standby", "load balancer")
	if got := strings.Join(asked, " "); got != "vault.example:8200" {
		t.Error(got)
	}
}

// TestBehind: a performance standby that is behind is asked again.
func TestBehind(t *testing.T) {
	b := newBed()
	must(t, b.sink().Write(t.Context(), credential("a")))
	stale, first := 0, true
	s := b.sink(func(s *Secret) {
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.Method == http.MethodPost && first:
				first, stale = false, 2
			case r.Method == http.MethodGet && stale > 0:
				stale--
				return (&emulate.Wire{Route: func(string) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						_, _ = w.Write([]byte(`{"request_id":"1","data":{"data":{"token":"` + credential("a").Secret.Reveal() + `"},"metadata":{"version":2}}}`))
					})
				}}).RoundTrip(r)
			}
			return b.wire.RoundTrip(r)
		})
	})
	must(t, s.Write(t.Context(), credential("b")))
	if stale != 0 || b.Versions("secret", "ci/fly") != 3 {
		t.Errorf("%d stale readings left, %d versions", stale, b.Versions("secret", "ci/fly"))
	}
}

// TestAccept: what JSON or a storage entry cannot hold.
func TestAccept(t *testing.T) {
	s := newBed().sink()
	for text, kind := range map[string]error{"": rotate.ErrConfig, "a\xff": rotate.ErrConfig, strings.Repeat("x", MaxValue+1): rotate.ErrLimit, strings.Repeat("x", MaxValue): nil} {
		if err := s.Accept(rotate.Credential{Secret: rotate.NewSecret(text)}); !errors.Is(err, kind) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}
