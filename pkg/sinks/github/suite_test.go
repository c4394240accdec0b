package github_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/internal/emulate/github/contract"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// The suite that every sink passes, at each level and with each credential.
func TestSuite(t *testing.T) {
	key, text := rsaKey(t)
	for _, x := range []struct {
		name   string
		place  emulated.Place
		change func(*github.Secret)
	}{
		{"repository", repo, func(*github.Secret) {}},
		{"environment", envir, func(s *github.Secret) { s.Environment = envir.Environment }},
		{"organization", org, func(s *github.Secret) { s.Org = "example" }},
		{"app", repo, func(s *github.Secret) { s.App = &github.App{ID: "7", Key: rotate.NewSecret(text)} }},
		{"current", repo, func(s *github.Secret) { s.Current = rotate.NewSecret("old value") }},
		{"current and marker", repo, func(s *github.Secret) { s.Current, s.Marker = rotate.NewSecret("old value"), "TOKEN_MARK" }},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := emulated.New()
			s.AddToken(emulated.Token{Value: credential})
			s.AddApp(emulated.App{ID: 7, Key: &key.PublicKey})
			s.AddInstallation(emulated.Installation{App: 7, Account: "example", Rights: map[string]string{"secrets": "write", "actions_variables": "write"}})
			s.SetSecret(x.place, name, "old value")
			wire := &emulate.Wire{Route: func(string) http.Handler { return contract.Wrap(t, s) }}
			rotatetest.Sink(t, rotatetest.SinkUnderTest{
				New: func(*testing.T) rotate.Sink {
					sink := &github.Secret{Name: name, Repository: "example/web", Token: rotate.NewSecret(credential), Transport: wire}
					x.change(sink)
					return sink
				},
				Content: func(t *testing.T) string {
					v, _ := s.Secret(x.place, name)
					return v
				},
				Credentials: []string{credential, text[40:100], "old value"},
			})
		})
	}
}

// Over a real connection, with the process's own pool: escapes in paths arrive as they were sent.
func TestOverSocket(t *testing.T) {
	s := emulated.New()
	s.AddToken(emulated.Token{Value: credential})
	s.SetSecret(envir, name, "old value")
	server := httptest.NewServer(contract.Wrap(t, s))
	defer server.Close()
	sink := &github.Secret{Name: name, Repository: "example/web", Environment: envir.Environment, URL: server.URL, Token: rotate.NewSecret(credential)}
	if err := sink.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), credentialOf(young)); err != nil {
		t.Fatal(err)
	}
	if v, _ := s.Secret(envir, name); v != value {
		t.Errorf("the secret holds %q", v)
	}
}
