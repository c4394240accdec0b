package vault

import (
	"net/http"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/vault"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	jwt    = "eyJhbGciOiJSUzI1NiJ9.token-of-the-job.c2lnbmF0dXJl"
	bearer = "bearer-of-the-job"
)

// byJob makes the sink log in with the token of the job.
func (b *bed) byJob(t *testing.T) func(*Secret) {
	b.AddRole(vault.Role{Path: "jwt", Name: "remint", JWT: jwt, Rights: map[string][]string{"secret/data/ci/fly": {"read", "update"}, "secret/metadata/ci/fly": {"patch"}}})
	inner := b.wire.Route
	b.wire.Route = func(host string) http.Handler {
		if host != "oidc.example" {
			return inner(host)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Vault-Token") != "" {
				t.Error("the runner got Vault's token")
			}
			if r.Header.Get("Authorization") != "Bearer "+bearer {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = w.Write([]byte(`{"value":"` + jwt + `","aud":"` + r.URL.Query().Get("audience") + `"}`))
		})
	}
	return func(s *Secret) {
		s.Token = rotate.Secret{}
		s.Auth = &Auth{JWT: &JWT{Role: "remint", OIDCURL: "https://oidc.example/run/1?api-version=2.0", OIDCBearer: rotate.NewSecret(bearer)}}
	}
}

// TestLogin: one login for a run, and its token is revoked at the end.
func TestLogin(t *testing.T) {
	b := newBed()
	s := b.sink(b.byJob(t))
	must(t, s.Check(t.Context()))
	must(t, s.Write(t.Context(), credential("a")))
	const made = "hvs.of-login-1-of-the-emulation"
	if !b.Live(made) || s.session.Reveal() != made {
		t.Error("no token of a login")
	}
	must(t, s.Close(t.Context()))
	must(t, s.Close(t.Context()))
	if b.Live(made) {
		t.Error("the token of the login is alive")
	}
	if got := strings.Join(b.Operations(), " "); got != "login read capabilities write read metadata revoke" {
		t.Error(got)
	}
	must(t, s.Mark(t.Context(), credential("a").Token)) // it may be used again
	must(t, s.Close(t.Context()))
	if e := s.Endpoints(); len(e) != 2 || e[0].Origin != "https://vault.example:8200" || e[1].Origin != "https://oidc.example" {
		t.Errorf("%+v", e)
	}
}

func TestLoginRefused(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*JWT)
		kind   error
		says   []string
	}{
		{"no id-token", func(j *JWT) { j.OIDCURL = "" }, rotate.ErrConfig, []string{"id-token: write"}},
		{"no bearer", func(j *JWT) { j.OIDCBearer = rotate.NewSecret("wrong") }, rotate.ErrDenied, []string{"the runner gave no OIDC token"}},
		{"unknown role", func(j *JWT) { j.Role = "remnit" }, rotate.ErrDenied, []string{`role "remnit" could not be found`, "bound to this repository"}},
		{"no such method", func(j *JWT) { j.Path = "auth/github" }, rotate.ErrNotFound, []string{"auth/github/login"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBed()
			s := b.sink(b.byJob(t))
			x.change(s.Auth.JWT)
			err := s.Check(t.Context())
			fails(t, err, x.kind, x.says...)
			if strings.Contains(err.Error(), jwt) || strings.Contains(err.Error(), bearer) || strings.Count(err.Error(), "check ") != 1 {
				t.Error(err)
			}
		})
	}
}
