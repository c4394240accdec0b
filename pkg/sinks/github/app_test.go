package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	emulated "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// Making a key takes up to a second, so all tests share two.
var newKey, foreignKey = sync.OnceValue(makeKey), sync.OnceValue(makeKey)

func makeKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

func rsaKey(t testing.TB) (*rsa.PrivateKey, string) {
	t.Helper()
	k := newKey()
	return k, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}

func TestApp(t *testing.T) {
	key, text := rsaKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	all := map[string]string{"secrets": "write", "actions_variables": "write", "environments": "write",
		"organization_secrets": "write", "organization_actions_variables": "write", "contents": "write"}
	for _, x := range []struct {
		name   string
		change func(*github.Secret)
		place  emulated.Place
		asks   string // the narrowed permissions
		want   int    // requests
	}{
		{"repository", func(s *github.Secret) {}, repo, `{"repositories":["web"],"permissions":{"actions_variables":"write","secrets":"write"}}`, 6},
		{"installation given", func(s *github.Secret) { s.App.Installation = 99 }, repo, `{"repositories":["web"],"permissions":{"actions_variables":"write","secrets":"write"}}`, 5},
		{"client id, PKCS #8", func(s *github.Secret) { s.App.ID, s.App.Key = "Iv23abc", rotate.NewSecret(other) }, repo, `{"repositories":["web"],"permissions":{"actions_variables":"write","secrets":"write"}}`, 6},
		{"no marker", func(s *github.Secret) { s.Current = rotate.NewSecret("x") }, repo, `{"repositories":["web"],"permissions":{"secrets":"write"}}`, 4},
		{"environment", func(s *github.Secret) { s.Environment = envir.Environment }, envir, `{"repositories":["web"],"permissions":{"environments":"write"}}`, 6},
		{"organization", func(s *github.Secret) { s.Org = "example" }, org, `{"permissions":{"organization_actions_variables":"write","organization_secrets":"write"}}`, 7},
	} {
		t.Run(x.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.AddApp(emulated.App{ID: 7, ClientID: "Iv23abc", Key: &key.PublicKey})
				w.AddInstallation(emulated.Installation{ID: 99, App: 7, Account: "example", Rights: all})
				s := w.sink(func(s *github.Secret) {
					s.App = &github.App{ID: "7", Key: rotate.NewSecret(text)}
					x.change(s)
				})
				w.must(s.Write(w.Context(), credentialOf(young)))
				w.holds(x.place, value)
				if got := w.take(); len(got) != x.want {
					t.Errorf("%d requests, want %d: %q", len(got), x.want, got)
				}
				if !slices.ContainsFunc(w.bodies, func(b string) bool { return strings.TrimSpace(b) == x.asks }) {
					t.Errorf("the token was not asked for as %s: %q", x.asks, w.bodies)
				}
				if slices.ContainsFunc(w.auth, func(a string) bool { return strings.Contains(a, credential) }) {
					t.Error("the token of the configuration was used, though there is an App")
				}
				if n := len(w.Tokens()); n != 2 {
					t.Errorf("%d tokens live", n)
				}
				w.must(s.Close(w.Context()))
				w.wants("DELETE /installation/token")
				if n := len(w.Tokens()); n != 1 {
					t.Errorf("%d tokens live after Close", n)
				}
				w.must(s.Close(w.Context()))
				w.wants()
				// It may be used again.
				_, err := s.Held(w.Context())
				w.must(err)
				// A lent token that ended by itself is replaced, and closing it is no error.
				w.take()
				time.Sleep(2 * time.Hour)
				w.must(s.Close(w.Context()))
			})
		})
	}

	for _, x := range []struct {
		name   string
		change func(*github.Secret, *world)
		want   error
		says   []string
	}{
		{"not installed", func(s *github.Secret, w *world) { s.Repository = "elsewhere/web" }, rotate.ErrNotFound, []string{"App is not installed"}},
		{"unknown installation", func(s *github.Secret, w *world) { s.App.Installation = 4 }, rotate.ErrNotFound, []string{"no installation 4"}},
		{"another App's key", func(s *github.Secret, w *world) { s.App.ID = "8" }, rotate.ErrDenied, []string{"could not be decoded", "do not belong together"}},
		{"unknown App", func(s *github.Secret, w *world) { s.App.ID = "9" }, rotate.ErrDenied, []string{"Integration not found"}},
		{"a right that was not granted", func(s *github.Secret, w *world) { s.App.Installation = 98 }, rotate.ErrDenied, []string{"grant the App", "Variables: write"}},
		{"a clock that is wrong", func(s *github.Secret, w *world) {
			w.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		}, rotate.ErrDenied, []string{"clock"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.AddApp(emulated.App{ID: 7, Key: &key.PublicKey})
				w.AddApp(emulated.App{ID: 8, Key: &foreignKey().PublicKey})
				w.AddInstallation(emulated.Installation{ID: 99, App: 7, Account: "example", Rights: all})
				w.AddInstallation(emulated.Installation{ID: 98, App: 7, Account: "example", Rights: map[string]string{"secrets": "write"}})
				s := w.sink(func(s *github.Secret) { s.App = &github.App{ID: "7", Key: rotate.NewSecret(text)} })
				x.change(s, w)
				fails(t, s.Check(w.Context()), x.want, x.says...)
				if n := len(w.Tokens()); n != 1 {
					t.Errorf("%d tokens live", n)
				}
			})
		})
	}
}
