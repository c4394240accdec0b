package github_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/internal/emulate/github/contract"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

const (
	credential = "github_pat_11AAAAAAA0credential"
	value      = "FlyV1 fm2_newborn-value"
	name       = "FLY_DEPLOY_TOKEN"
)

var (
	birth = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	old   = rotate.Token{ID: "t1", Name: "web 1", Created: birth, Expires: birth.AddDate(0, 3, 0)}
	young = rotate.Token{ID: "t2", Name: "web 2", Created: birth.AddDate(0, 2, 0), Expires: birth.AddDate(0, 5, 0)}
	repo  = emulated.Place{Repository: "example/web"}
	envir = emulated.Place{Repository: "example/web", Environment: "prod/eu west"}
	org   = emulated.Place{Org: "example"}
)

// world is an emulated GitHub behind the contract, and what was asked of it.
type world struct {
	*testing.T
	*emulated.Server
	wire   *emulate.Wire
	asked  []string // "METHOD /path"
	bodies []string
	auth   []string // Authorization headers
}

// in runs a test in a world whose clock is fake, so that waits cost nothing.
func in(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := emulated.New()
		s.AddRepository(emulated.Repository{Name: "example/web"})
		s.AddEnvironment("example/web", emulated.Environment{Name: envir.Environment})
		s.AddOrg("example")
		s.AddToken(emulated.Token{Value: credential})
		for _, p := range []emulated.Place{repo, envir, org} {
			s.SetSecret(p, name, "old value")
		}
		w := &world{T: t, Server: s}
		h := contract.Wrap(t, s)
		w.wire = &emulate.Wire{
			Route: func(host string) http.Handler {
				if host == "unreachable.example.com" {
					return nil
				}
				return h
			},
			Before: func(r *http.Request) error {
				w.asked = append(w.asked, r.Method+" "+r.URL.EscapedPath())
				w.auth = append(w.auth, r.Header.Get("Authorization"))
				if r.Body != nil {
					b, err := io.ReadAll(r.Body)
					if err != nil {
						return err
					}
					w.bodies = append(w.bodies, string(b))
				}
				return nil
			},
		}
		f(w)
	})
}

func (w *world) sink(change func(*github.Secret)) *github.Secret {
	s := &github.Secret{Name: name, Repository: "example/web", Token: rotate.NewSecret(credential), Transport: keepBody{w.wire}}
	if change != nil {
		change(s)
	}
	return s
}

// keepBody lets Before read a body that the handler reads again.
type keepBody struct{ wire *emulate.Wire }

func (k keepBody) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	seen := r.Clone(r.Context())
	seen.Body = io.NopCloser(bytes.NewReader(body))
	if err := k.wire.Before(seen); err != nil {
		return nil, err
	}
	q := r.Clone(r.Context())
	q.Body = io.NopCloser(bytes.NewReader(body))
	return (&emulate.Wire{Route: k.wire.Route}).RoundTrip(q)
}

func credentialOf(t rotate.Token) rotate.Credential {
	return rotate.Credential{Token: t, Secret: rotate.NewSecret(value)}
}

// take returns what was asked since the last call.
func (w *world) take() []string {
	a := w.asked
	w.asked = nil
	return a
}

func (w *world) wants(want ...string) {
	w.Helper()
	if got := w.take(); !slices.Equal(got, want) {
		w.Errorf("asked\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (w *world) holds(p emulated.Place, want string) {
	w.Helper()
	if got, ok := w.Secret(p, name); !ok || got != want {
		w.Errorf("the secret holds %q, want %q", got, want)
	}
}

// mark returns what the marker of a place says.
func (w *world) mark(p emulated.Place) rotate.Mark {
	w.Helper()
	text, ok := w.Variable(p, name+"_REMINT")
	if !ok {
		return rotate.Mark{}
	}
	m, err := rotate.ParseMark(text)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func (w *world) setMark(p emulated.Place, t rotate.Token, verified bool) {
	w.SetVariable(p, name+"_REMINT", rotate.Mark{Token: t, Verified: verified}.String())
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// fails expects an error that wraps want and says every one of texts.
func fails(t testing.TB, err, want error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !errors.Is(err, want) {
		t.Errorf("%v\nis not %v", err, want)
	}
	for _, x := range texts {
		if !strings.Contains(err.Error(), x) {
			t.Errorf("%v\ndoes not say %q", err, x)
		}
	}
	for _, secret := range []string{credential, value, "PRIVATE KEY"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}
