package forgejo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// real is a real Gitea server, given by REMINT_GITEA (its address) and REMINT_GITEA_TOKEN (a token of a site
// admin with all scopes).
type real struct {
	t           *testing.T
	root, token string
}

func (g real) call(method, path, body string) (int, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.root+"/api/v1"+path, bytes.NewReader([]byte(body)))
	must(g.t, err)
	r.Header.Set("Authorization", "token "+g.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	must(g.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	must(g.t, err)
	return resp.StatusCode, string(b)
}

// ok makes a call that must succeed.
func (g real) ok(method, path, body string) string {
	g.t.Helper()
	status, text := g.call(method, path, body)
	if status >= 300 {
		g.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// user makes a user and returns a maker of tokens, which only basic authentication can make.
func (g real) user(name string) func(scopes ...string) rotate.Secret {
	g.t.Helper()
	const password = "correct-horse-battery"
	g.ok("POST", "/admin/users", fmt.Sprintf(`{"username":%q,"email":%q,"password":%q,"must_change_password":false}`, name, name+"@example.invalid", password))
	n := 0
	return func(scopes ...string) rotate.Secret {
		g.t.Helper()
		n++
		body, err := json.Marshal(map[string]any{"name": fmt.Sprintf("t%d", n), "scopes": scopes})
		must(g.t, err)
		r, err := http.NewRequestWithContext(g.t.Context(), "POST", g.root+"/api/v1/users/"+name+"/tokens", bytes.NewReader(body))
		must(g.t, err)
		r.SetBasicAuth(name, password)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		must(g.t, err)
		defer func() { _ = resp.Body.Close() }()
		var answer struct {
			SHA1 string `json:"sha1"`
		}
		must(g.t, json.NewDecoder(resp.Body).Decode(&answer))
		if answer.SHA1 == "" {
			g.t.Fatalf("no token for %s: %d", name, resp.StatusCode)
		}
		return rotate.NewSecret(answer.SHA1)
	}
}

// The sink against a real Gitea: what the emulation says is what the server says.
func TestRealGitea(t *testing.T) {
	g := real{t: t, root: os.Getenv("REMINT_GITEA"), token: os.Getenv("REMINT_GITEA_TOKEN")}
	if g.root == "" || g.token == "" {
		t.Skip("set REMINT_GITEA and REMINT_GITEA_TOKEN to run against a real Gitea")
	}
	tail := fmt.Sprintf("%x", time.Now().UnixNano())
	alice, bob, org := "alice"+tail, "bob"+tail, "acme"+tail
	aliceToken, bobToken := g.user(alice), g.user(bob)
	ctx := t.Context()
	owner := aliceToken("write:repository", "write:organization", "write:user")
	full := alice + "/web"
	g.ok("POST", "/admin/users/"+alice+"/repos", `{"name":"web","private":true,"auto_init":true}`)
	g.ok("POST", "/admin/users/"+alice+"/orgs", fmt.Sprintf(`{"username":%q}`, org))
	g.ok("PUT", "/repos/"+full+"/collaborators/"+bob, `{"permission":"admin"}`)
	sink := func(set ...func(*Secret)) *Secret {
		s := &Secret{Name: "FLY_DEPLOY_TOKEN", Repository: full, URL: g.root + "/api/v1", Token: owner}
		for _, f := range set {
			f(s)
		}
		return s
	}

	levels := map[string]struct {
		set  func(*Secret)
		path string // of its Actions, for the admin; "": only its user sees it
	}{
		"repository":   {func(*Secret) {}, "/repos/" + full + "/actions"},
		"organization": {func(s *Secret) { s.Org = org }, "/orgs/" + org + "/actions"},
		"user":         {func(s *Secret) { s.User = true }, ""},
	}
	for level, l := range levels {
		t.Run(level, func(t *testing.T) {
			g := real{t, g.root, g.token}
			if l.path != "" {
				if err := sink(l.set).Check(ctx); !errors.Is(err, rotate.ErrNotFound) {
					t.Errorf("check of a missing secret: %v", err)
				}
				g.ok("PUT", l.path+"/secrets/FLY_DEPLOY_TOKEN", `{"data":"by hand","description":"deploys the web"}`)
			}
			s := sink(l.set)
			must(t, s.Check(ctx))
			h, err := s.Held(ctx)
			must(t, err)
			if h.Mark.Token.ID != "" {
				t.Errorf("never written, it holds %+v", h)
			}
			must(t, s.Write(ctx, credential(1)))
			must(t, s.Write(ctx, credential(2)))
			must(t, s.Mark(ctx, credential(2).Token))
			again := sink(l.set)
			h, err = again.Held(ctx)
			must(t, err)
			if h.Mark.Token != credential(2).Token || !h.Mark.Verified {
				t.Errorf("held: %+v", h)
			}
			must(t, again.Write(ctx, credential(1))) // restored
			h, err = again.Held(ctx)
			must(t, err)
			if h.Mark.Token != credential(1).Token || h.Mark.Verified {
				t.Errorf("restored: %+v", h)
			}
			ageless := credential(1)
			ageless.ID = "tok-1b" // of the same age: the marker is dropped on the way
			must(t, again.Write(ctx, ageless))
			if h, err = again.Held(ctx); err != nil || h.Mark.Token.ID != "tok-1b" {
				t.Errorf("of the same age: %+v, %v", h, err)
			}
			if l.path != "" {
				if list := g.ok("GET", l.path+"/secrets", ""); !strings.Contains(list, `"description":"deploys the web"`) || strings.Contains(list, `"name":"0"`) {
					t.Errorf("the list says %s", list)
				}
			}
			// Made by somebody else between our look and our write.
			late := sink(l.set)
			_, err = late.Held(ctx)
			must(t, err)
			late.marker = marker{seen: true}
			must(t, late.Write(ctx, credential(3))) // POST answers 409
		})
	}

	rights := map[string]struct {
		set  func(*Secret)
		kind error
		want string
	}{
		"unknown token":    {func(s *Secret) { s.Token = rotate.NewSecret(strings.Repeat("d", 40)) }, rotate.ErrDenied, "not valid"},
		"read only":        {func(s *Secret) { s.Token = aliceToken("read:repository") }, rotate.ErrDenied, "the scope write:repository"},
		"wrong scope":      {func(s *Secret) { s.Token = aliceToken("write:user") }, rotate.ErrDenied, "the scope write:repository"},
		"wrong org scope":  {func(s *Secret) { s.Org, s.Token = org, aliceToken("write:repository") }, rotate.ErrDenied, "the scope write:organization"},
		"wrong user scope": {func(s *Secret) { s.User, s.Token = true, aliceToken("write:repository") }, rotate.ErrDenied, "the scope write:user"},
		"collaborator":     {func(s *Secret) { s.Token = bobToken("all") }, rotate.ErrDenied, "a collaborator cannot"},
		"not an org owner": {func(s *Secret) { s.Org, s.Token = org, bobToken("all") }, rotate.ErrDenied, "only an owner of the organization"},
		"no repository":    {func(s *Secret) { s.Repository = alice + "/nope" }, rotate.ErrNotFound, "no repository"},
		"no owner":         {func(s *Secret) { s.Repository = "nobody" + tail + "/nope" }, rotate.ErrNotFound, "no repository"},
		"no organization":  {func(s *Secret) { s.Org = "nope" + tail }, rotate.ErrNotFound, "no organization"},
		"name":             {func(s *Secret) { s.Name, s.Marker, s.Create = "CI", "M", true }, rotate.ErrConfig, "Gitea reserves"},
		"fine names":       {func(s *Secret) { s.Name, s.Create = "MY_GITHUB_TOKEN", true }, nil, ""},
		"CIRCLE":           {func(s *Secret) { s.Name, s.Create = "CIRCLE_TOKEN", true }, nil, ""},
	}
	for name, test := range rights {
		t.Run(name, func(t *testing.T) {
			s := sink(test.set)
			check := func(what string, err error) {
				t.Helper()
				if test.kind == nil && err != nil || test.kind != nil && (!errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("%s: %v", what, err)
				}
			}
			check("check", s.Check(ctx))
			if name != "name" { // the server's own words there
				check("write", sink(test.set).Write(ctx, credential(1)))
			}
			if test.kind != nil && name != "read only" && name != "name" {
				_, err := sink(test.set).Held(ctx)
				check("held", err)
			}
		})
	}
	t.Run("the server refuses what Accept refuses", func(t *testing.T) {
		g := real{t, g.root, g.token}
		for _, test := range []struct {
			size int
			want int
		}{{largest, 204}, {largest + 1, 400}} {
			body := `{"data":"` + strings.Repeat("a", test.size) + `"}`
			if status, text := g.call("PUT", "/repos/"+full+"/actions/secrets/FLY_DEPLOY_TOKEN", body); status != test.want {
				t.Errorf("%d bytes: %d %s", test.size, status, text)
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := sink().Held(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
