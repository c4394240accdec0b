package github_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// TestHostile: whatever is answered in place of GitHub, to each kind of secret and credential.
func TestHostile(t *testing.T) {
	key, pem := rsaKey(t)
	for _, x := range []struct {
		name   string
		place  emulated.Place
		change func(*github.Secret)
	}{
		{"repository", repo, func(*github.Secret) {}},
		{"organization", org, func(s *github.Secret) { s.Org = "example" }},
		{"app", repo, func(s *github.Secret) { s.App = &github.App{ID: "7", Key: rotate.NewSecret(pem)} }},
	} {
		t.Run(x.name, func(t *testing.T) {
			hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
				s := emulated.New()
				s.AddRepository(emulated.Repository{Name: "example/web"})
				s.AddOrg("example")
				s.AddToken(emulated.Token{Value: credential})
				s.AddApp(emulated.App{ID: 7, Key: &key.PublicKey})
				s.AddInstallation(emulated.Installation{App: 7, Account: "example", Rights: map[string]string{"secrets": "write", "actions_variables": "write"}})
				s.SetSecret(x.place, name, "old value")
				if x.place == org {
					s.SetVisibility("example", name, emulated.Visibility{Visibility: "selected", Selected: []string{"example/web"}})
				}
				mark := rotate.Mark{Token: old}
				s.SetVariable(x.place, name+"_REMINT", mark.String())
				sink := &github.Secret{Name: name, Repository: "example/web", Token: rotate.NewSecret(credential),
					Transport: wrap(&emulate.Wire{Route: func(string) http.Handler { return s }})}
				x.change(sink)
				var held rotate.Holding
				return hostile.Bench{
					Secrets: func() []string { return append(s.Tokens(), credential, value, pem[40:400]) },
					Calls: []hostile.Call{
						{Name: "held", Do: func(ctx context.Context) (err error) { held, err = sink.Held(ctx); return err }, Wrong: func() string {
							if id := held.Mark.Token.ID; id != "" && id != old.ID {
								return "it holds " + id
							}
							return ""
						}},
						{Name: "check", Do: sink.Check},
						{Name: "write", Do: func(ctx context.Context) error { return sink.Write(ctx, credentialOf(young)) }, Wrong: func() string {
							if v, _ := s.Secret(x.place, name); v != value {
								return "the secret was not written"
							}
							if v, _ := s.Variable(x.place, name+"_REMINT"); v == mark.String() {
								return "the marker was not written"
							}
							return ""
						}},
						{Name: "mark", Do: func(ctx context.Context) error { return sink.Mark(ctx, old) }, Wrong: func() string {
							if v, _ := s.Variable(x.place, name+"_REMINT"); v != (rotate.Mark{Token: old, Verified: true}).String() {
								return "the marker was not written"
							}
							return ""
						}},
						{Name: "close", Do: sink.Close},
					},
				}
			}})
		})
	}
}
