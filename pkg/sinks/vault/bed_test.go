package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/vault"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	root    = "hvs.root-token-of-the-test"
	limited = "hvs.limited-token-of-the-test"
	sibling = "the-password-of-somebody"
)

// bed is an emulated Vault with a secret of a person, and the wire to it.
type bed struct {
	*vault.Server
	wire *emulate.Wire
}

func newBed() *bed {
	b := &bed{Server: vault.New()}
	b.wire = &emulate.Wire{Route: func(host string) http.Handler {
		if host == "vault.example:8200" {
			return b.Server
		}
		return nil
	}}
	b.AddToken(vault.Token{Value: root})
	b.Put("secret", "ci/fly", map[string]any{"token": "old", "user": "web", "password": sibling, "count": 1.5, "list": []any{nil, true}})
	return b
}

// rights lets in the token limited, with these rights on the secret and its metadata.
func (b *bed) rights(data, metadata string) func(*Secret) {
	r := map[string][]string{}
	if data != "" {
		r["secret/data/ci/*"] = strings.Fields(data)
	}
	if metadata != "" {
		r["secret/metadata/ci/fly"] = strings.Fields(metadata)
	}
	b.AddToken(vault.Token{Value: limited, Rights: r})
	return func(s *Secret) { s.Token = rotate.NewSecret(limited) }
}

// sink returns the sink as a fresh process has it.
func (b *bed) sink(change ...func(*Secret)) *Secret {
	s := &Secret{Path: "ci/fly", Key: "token", Address: "https://vault.example:8200", Token: rotate.NewSecret(root), Transport: b.wire, Interval: time.Millisecond}
	for _, c := range change {
		c(s)
	}
	return s
}

func (b *bed) value() string { return b.Text("secret", "ci/fly", "token") }

func credential(id string) rotate.Credential {
	born := map[string]int{"a": 1, "b": 2, "c": 3}[id]
	return rotate.Credential{Token: rotate.Token{ID: id, Name: "web " + id, Created: time.Date(2026, 1, born, 0, 0, 0, 0, time.UTC)}, Secret: rotate.NewSecret("FlyV1 secret-of-" + id)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

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
	for _, s := range []string{root, limited, sibling, "secret-of", "FlyV1"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("%v shows a secret", err)
		}
	}
}

// took returns the operations of a call.
func (b *bed) took(t *testing.T, do func() error) string {
	t.Helper()
	n := len(b.Operations())
	must(t, do())
	return strings.Join(b.Operations()[n:], " ")
}

// rival calls act just before the service sees a request of a method, the first times only.
func (b *bed) rival(method string, times int, act func()) {
	b.wire.Before = func(r *http.Request) error {
		if r.Method == method && times > 0 {
			times--
			act()
		}
		return nil
	}
}

func held(t *testing.T, s *Secret) rotate.Holding {
	t.Helper()
	h, err := s.Held(context.Background())
	must(t, err)
	return h
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
