package forgejo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/remint-dev/remint/internal/emulate"
	emu "github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/pkg/rotate"
)

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		set  func(*Secret)
		want []string // the fields that are named, each with a part of its text
	}{
		"all good":           {func(*Secret) {}, nil},
		"api address":        {func(s *Secret) { s.URL = "https://forge.example.com/api/v1/" }, nil},
		"below a path":       {func(s *Secret) { s.URL = "https://example.com/git/api/v1" }, nil},
		"loopback":           {func(s *Secret) { s.URL = "http://127.0.0.1:3000" }, nil},
		"lower case":         {func(s *Secret) { s.Name = "fly_token" }, nil},
		"gitea only name":    {func(s *Secret) { s.Name = "MY_GITHUB_TOKEN" }, nil},
		"forgejo prefix":     {func(s *Secret) { s.Name = "FORGEJO_X" }, nil},
		"org, no repository": {func(s *Secret) { s.Org, s.Repository = "acme", "" }, nil},
		"org with a default": {func(s *Secret) { s.Org = "acme" }, nil},
		"user":               {func(s *Secret) { s.User, s.Repository = true, "" }, nil},

		"no name":             {func(s *Secret) { s.Name = "" }, []string{"field name"}},
		"digit":               {func(s *Secret) { s.Name = "1A" }, []string{"field name"}},
		"dash":                {func(s *Secret) { s.Name = "FLY-TOKEN" }, []string{"field name"}},
		"path":                {func(s *Secret) { s.Name = "../../x" }, []string{"field name"}},
		"GITHUB_":             {func(s *Secret) { s.Name = "github_x" }, []string{"field name"}},
		"GITEA_":              {func(s *Secret) { s.Name = "GITEA_TOKEN" }, []string{"field name"}},
		"marker":              {func(s *Secret) { s.Marker = "a b" }, []string{"field marker"}},
		"org and user":        {func(s *Secret) { s.Org, s.User = "acme", true }, []string{"field user"}},
		"odd org":             {func(s *Secret) { s.Org = "ac/me" }, []string{"field org"}},
		"nobody's":            {func(s *Secret) { s.Repository = "" }, []string{"field repository"}},
		"no slash":            {func(s *Secret) { s.Repository = "web" }, []string{"field repository"}},
		"two slashes":         {func(s *Secret) { s.Repository = "a/b/c" }, []string{"field repository"}},
		"dots":                {func(s *Secret) { s.Repository = "../web" }, []string{"field repository"}},
		"no url":              {func(s *Secret) { s.URL = "" }, []string{"field url"}},
		"GitHub":              {func(s *Secret) { s.URL = "https://api.github.com" }, []string{"field url", "github sink"}},
		"GitHub itself":       {func(s *Secret) { s.URL = "https://github.com" }, []string{"github sink"}},
		"GitHub Enterprise":   {func(s *Secret) { s.URL = "https://ghe.example.com/api/v3" }, []string{"github sink"}},
		"GitHub with a tail":  {func(s *Secret) { s.URL = "https://api.example.ghe.com/" }, []string{"github sink"}},
		"plain http":          {func(s *Secret) { s.URL = "http://forge.example.com" }, []string{"field url", "unencrypted"}},
		"with a user":         {func(s *Secret) { s.URL = "https://u:hunter2@forge.example.com" }, []string{"field url"}},
		"no token":            {func(s *Secret) { s.Token = rotate.Secret{} }, []string{"field token", "REMINT_FORGEJO_TOKEN"}},
		"token with a line":   {func(s *Secret) { s.Token = rotate.NewSecret("abc\n") }, []string{"field token"}},
		"everything at once":  {func(s *Secret) { *s = Secret{} }, []string{"field name", "field repository", "field url", "field token"}},
		"nothing leaks":       {func(s *Secret) { s.URL = "https://u:hunter2@forge.example.com" }, []string{"user name or password"}},
		"not an address":      {func(s *Secret) { s.URL = "forge" }, []string{"field url"}},
		"only api path":       {func(s *Secret) { s.URL = "/api/v1" }, []string{"field url"}},
		"another scheme":      {func(s *Secret) { s.URL = "ssh://forge.example.com" }, []string{"field url"}},
		"query in the url":    {func(s *Secret) { s.URL = "https://forge.example.com?token=hunter2" }, []string{"field url"}},
		"default marker of 1": {func(s *Secret) { s.Name = "1" }, []string{"field name"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newForge(emu.Forgejo).sink()
			test.set(s)
			err := s.Validate()
			if (err == nil) != (test.want == nil) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				return
			}
			if !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("%v is no configuration error", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "configuration error: configuration error") {
				t.Errorf("reads badly: %v", err)
			}
			// Nothing is called with a configuration that is wrong.
			for _, err := range []error{s.Check(t.Context()), s.Write(t.Context(), credential(1)), s.Mark(t.Context(), credential(1).Token)} {
				if !errors.Is(err, rotate.ErrConfig) {
					t.Errorf("a call: %v", err)
				}
			}
		})
	}
}

// The api address, the server's address and one below a path lead to the same API.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"https://forge.example.com":            "https://forge.example.com",
		"https://forge.example.com/":           "https://forge.example.com",
		"https://forge.example.com/api/v1":     "https://forge.example.com",
		"https://forge.example.com/api/v1/":    "https://forge.example.com",
		"https://example.com/git/api/v1":       "https://example.com/git",
		"http://localhost:3000/api/v1":         "http://localhost:3000",
		"https://forge.example.com:8443/git//": "https://forge.example.com:8443/git",
	} {
		if got, err := root(address); err != nil || got != want {
			t.Errorf("root(%s) = %s, %v; want %s", address, got, err, want)
		}
	}
}

// Names on which the two servers disagree are looked at in Check, with one more request.
func TestContestedNames(t *testing.T) {
	tests := map[string]struct {
		name, marker   string
		gitea, forgejo bool // allowed
		asks           bool
	}{
		"plain":           {"FLY_TOKEN", "", true, true, false},
		"CI":              {"CI", "CI_TOKEN_MARK", false, false, true},
		"CI, own marker":  {"CI", "M", false, true, true},
		"CIRCLE":          {"CIRCLE_TOKEN", "", true, false, true},
		"CIRCLE, marked":  {"CIRCLE_TOKEN", "REMINT_CIRCLE_TOKEN", true, true, false},
		"GITHUB_ inside":  {"DEPLOY_GITHUB_TOKEN", "", true, false, true},
		"GITEA_ inside":   {"MY_GITEA_TOKEN", "", true, false, true},
		"FORGEJO_ first":  {"FORGEJO_TOKEN", "", true, false, true},
		"FORGEJO_ inside": {"MY_FORGEJO_TOKEN", "", true, true, false},
		"GH_":             {"GH_TOKEN", "", true, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, f *forge) {
				s := f.sink()
				s.Name, s.Marker, s.Create = test.name, test.marker, true
				err := s.Check(ctx)
				want := test.gitea
				if f.Kind == emu.Forgejo {
					want = test.forgejo
				}
				if (err == nil) != want || err != nil && !errors.Is(err, rotate.ErrConfig) {
					t.Errorf("check: %v", err)
				}
				if asked := strings.Contains(f.requests(), "/api/forgejo/v1/version"); asked != test.asks {
					t.Errorf("asked for the kind: %t", asked)
				}
				// The server agrees.
				s = f.sink()
				s.Name, s.Marker, s.Create = test.name, test.marker, true
				if err := s.Write(ctx, credential(1)); (err == nil) != want || err != nil && !errors.Is(err, rotate.ErrConfig) {
					t.Errorf("write: %v", err)
				}
			})
		})
	}
}

// Everything that Check finds is found by it, says what to do, and is found without changing anything.
func TestCheck(t *testing.T) {
	user := func(f *forge, s *Secret, name string, scopes ...string) {
		const text = "an0thert0kenan0thert0kenan0thert0kenan0t"
		f.AddToken(name, text, scopes...)
		s.Token = rotate.NewSecret(text)
	}
	tests := map[string]struct {
		set  func(*forge, *Secret)
		kind error // nil: no error
		want []string
	}{
		"fine":         {func(f *forge, s *Secret) {}, nil, nil},
		"site admin":   {func(f *forge, s *Secret) { f.AddAdmin("root"); user(f, s, "root", "all") }, nil, nil},
		"owner's all":  {func(f *forge, s *Secret) { user(f, s, "alice", "all") }, nil, nil},
		"organization": {func(f *forge, s *Secret) { s.Org = "acme" }, nil, nil},
		"org repository": {func(f *forge, s *Secret) {
			f.SetSecret("acme/api", "FLY_DEPLOY_TOKEN", "x", "")
			s.Repository = "acme/api"
		}, nil, nil},
		"unknown token":    {func(f *forge, s *Secret) { s.Token = rotate.NewSecret("dead") }, rotate.ErrDenied, []string{"not valid", "REMINT_FORGEJO_TOKEN"}},
		"read only":        {func(f *forge, s *Secret) { user(f, s, "alice", "read:repository") }, rotate.ErrDenied, []string{"give the access token the scope write:repository"}},
		"wrong scope":      {func(f *forge, s *Secret) { user(f, s, "alice", "write:user") }, rotate.ErrDenied, []string{"scope write:repository"}},
		"wrong org scope":  {func(f *forge, s *Secret) { s.Org = "acme"; user(f, s, "alice", "write:repository") }, rotate.ErrDenied, []string{"scope write:organization"}},
		"wrong user scope": {func(f *forge, s *Secret) { s.User = true; user(f, s, "alice", "write:repository") }, rotate.ErrDenied, []string{"scope write:user"}},
		"collaborator": {func(f *forge, s *Secret) { f.AddCollaborator("alice/web", "bob", "admin"); user(f, s, "bob", "all") },
			rotate.ErrDenied, []string{"a collaborator cannot, even with admin rights", "the user alice", "write:repository"}},
		"job's own token": {func(f *forge, s *Secret) { f.AddJobToken("alice/web", "job"); s.Token = rotate.NewSecret("job") },
			rotate.ErrDenied, []string{"a job's own token never can"}},
		"job's own, org": {func(f *forge, s *Secret) {
			s.Org = "acme"
			f.AddJobToken("alice/web", "job")
			s.Token = rotate.NewSecret("job")
		}, rotate.ErrDenied, []string{"a job's own token never can"}},
		"job's own, user": {func(f *forge, s *Secret) {
			s.User = true
			f.AddJobToken("alice/web", "job")
			s.Token = rotate.NewSecret("job")
		}, rotate.ErrDenied, []string{"a job's own token"}},
		"not an org owner": {func(f *forge, s *Secret) { s.Org = "acme"; user(f, s, "bob", "all") }, rotate.ErrDenied, []string{"only an owner of the organization acme"}},
		"hidden":           {func(f *forge, s *Secret) { user(f, s, "bob", "all") }, rotate.ErrNotFound, []string{"no repository alice/web on forge.example.com", "may not see it"}},
		"no repository":    {func(f *forge, s *Secret) { s.Repository = "alice/nope" }, rotate.ErrNotFound, []string{"no repository alice/nope"}},
		"no such owner":    {func(f *forge, s *Secret) { s.Repository = "nobody/nope" }, rotate.ErrNotFound, []string{"no repository nobody/nope"}},
		"no organization":  {func(f *forge, s *Secret) { s.Org = "nope" }, rotate.ErrNotFound, []string{"no organization nope"}},
		"no secret":        {func(f *forge, s *Secret) { s.Name = "FLY_DEPLOY_TOKNE" }, rotate.ErrNotFound, []string{"alice/web has no Actions secret FLY_DEPLOY_TOKNE", "create: true"}},
		"somebody's variable": {func(f *forge, s *Secret) { f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", "blue") },
			rotate.ErrConflict, []string{"FLY_DEPLOY_TOKEN_REMINT", "marker"}},
		"two faults": {func(f *forge, s *Secret) {
			s.Name, s.Marker = "NOT_THERE", "TAKEN"
			f.SetVariable("alice/web", "TAKEN", "blue")
		}, rotate.ErrNotFound, []string{"NOT_THERE", "TAKEN"}},
		"down": {func(f *forge, s *Secret) {
			f.Faults.Plant("list-secrets", emulate.Fault{Status: 503, Body: "<html>a page of some proxy", Times: -1})
		}, rotate.ErrTemporary, []string{"503"}},
		"limited": {func(f *forge, s *Secret) { f.Faults.Plant("list-secrets", emulate.Fault{Status: 429, Times: -1}) }, rotate.ErrLimit, []string{"429"}},
		"a web page": {func(f *forge, s *Secret) {
			f.Faults.Plant("list-secrets", emulate.Fault{Status: 200, Body: "<html>welcome"})
		}, rotate.ErrConfig, []string{"is url the address of the server?"}},
		"no API": {func(f *forge, s *Secret) { f.Faults.Plant("list-secrets", emulate.Fault{Status: 404, Body: "nginx"}) }, rotate.ErrNotFound, []string{"404"}},
		"moved": {func(f *forge, s *Secret) {
			f.Faults.Plant("list-secrets", emulate.Fault{Status: 307, Header: http.Header{"Location": {"https://new.example.com/x"}}})
		}, rotate.ErrConfig, []string{"redirect to https://new.example.com/x"}},
		"unreachable":  {func(f *forge, s *Secret) { s.URL = "https://nowhere.example.com" }, rotate.ErrTemporary, []string{"nowhere.example.com"}},
		"write broken": {func(f *forge, s *Secret) { f.Faults.Plant("put-secret", emulate.Fault{Status: 500, Times: -1}) }, rotate.ErrTemporary, []string{"500"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, f *forge) {
				for _, where := range []string{"alice/web", "acme", "alice"} {
					f.SetSecret(where, "FLY_DEPLOY_TOKEN", "before", "d")
				}
				s := f.sink()
				test.set(f, s)
				err := s.Check(ctx)
				if test.kind == nil && err != nil || test.kind != nil && !errors.Is(err, test.kind) {
					t.Fatalf("got %v, want %v", err, test.kind)
				}
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is missing in: %v", want, err)
					}
				}
				if err != nil && strings.Contains(err.Error(), "<html>") {
					t.Errorf("repeats a page: %v", err)
				}
				var e *rotate.Error
				if err != nil && (!errors.As(err, &e) || e.Op != "check" || e.At != s.String()) {
					t.Errorf("not said where: %v", err)
				}
				for _, where := range []string{"alice/web", "acme", "alice"} {
					if value, description, _ := f.Secret(where, "FLY_DEPLOY_TOKEN"); value != "before" || description != "d" || len(f.Names(where)) != 1 {
						t.Errorf("%s was changed", where)
					}
				}
				// A sink that fails its check fails to write, for the same reason, and changes nothing.
				if test.kind == nil {
					return
				}
				if w := s.Write(ctx, credential(1)); name != "no API" && name != "a web page" && name != "moved" && w == nil {
					t.Error("and yet it was written")
				}
			})
		})
	}
}

// A hidden repository is not a marker that is missing: that would read as "nothing known", and mint.
func TestHeldTellsMissingFromHidden(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, f *forge) {
		f.AddToken("bob", "b0b", "all")
		for name, set := range map[string]func(*Secret){
			"hidden":          func(s *Secret) { s.Token = rotate.NewSecret("b0b") },
			"no repository":   func(s *Secret) { s.Repository = "alice/nope" },
			"no organization": func(s *Secret) { s.Org = "nope" },
		} {
			s := f.sink()
			set(s)
			if _, err := s.Held(ctx); !errors.Is(err, rotate.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", "green")
		if _, err := f.sink().Held(ctx); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("somebody's variable: %v", err)
		}
	})
}

// However the server answers, and however a sink is printed, no secret shows.
func TestNoLeak(t *testing.T) {
	c := credential(1)
	value := c.Secret.Reveal()
	leaks := func(t *testing.T, text string) {
		t.Helper()
		for _, secret := range []string{value, ownerToken, "handed in"} {
			if strings.Contains(text, secret) {
				t.Errorf("leaked in: %s", text)
			}
		}
	}
	echo := fmt.Sprintf(`{"message":"invalid %s for %s, was handed in"}`, value, ownerToken)
	for _, operation := range []string{"list-secrets", "put-secret", "get-variable", "create-variable", "put-variable"} {
		for _, fault := range []emulate.Fault{{Status: 400, Body: echo}, {Status: 422, Body: value + ownerToken}, {Status: 403, Body: echo}, {Status: 200, Body: echo},
			{Status: 500, Body: echo, Times: -1}, {Times: -1}, {Status: 302, Header: http.Header{"Location": {"https://x.example.com/?" + ownerToken}}}} {
			synctest.Test(t, func(t *testing.T) {
				f := newForge(emu.Gitea)
				f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "x", "")
				f.Faults.Plant(operation, fault)
				s := f.sink()
				if operation == "put-variable" {
					f.SetVariable("alice/web", "FLY_DEPLOY_TOKEN_REMINT", rotate.Mark{Token: credential(0).Token}.String())
				}
				err := s.Write(t.Context(), c)
				if err == nil {
					t.Errorf("%s %d: no error", operation, fault.Status)
					return
				}
				leaks(t, err.Error())
				leaks(t, fmt.Sprintf("%+v %#v", err, err))
			})
		}
	}
	s := newForge(emu.Gitea).sink()
	s.Current = rotate.NewSecret("handed in")
	must(t, s.setup())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		leaks(t, fmt.Sprintf(verb, s))
	}
}
