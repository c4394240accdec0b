package forgejo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emu "github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	host       = "forge.example.com"
	ownerToken = "0wnert0ken0wnert0ken0wnert0ken0wnert0ken"
)

// forge is an emulated server with the requests that reached it.
type forge struct {
	*emu.Server
	wire *emulate.Wire

	mu   sync.Mutex
	seen []string
}

// newForge makes a server with the repository alice/web and the organization acme, both alice's.
func newForge(kind emu.Kind) *forge {
	f := &forge{Server: emu.New(kind)}
	f.AddUser("alice")
	f.AddToken("alice", ownerToken, "write:repository", "write:organization", "write:user")
	f.AddRepository("alice/web")
	f.AddOrg("acme", "alice")
	f.wire = &emulate.Wire{
		Route: func(h string) http.Handler {
			if h == host {
				return f.Server
			}
			return nil
		},
		Before: func(r *http.Request) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.seen = append(f.seen, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v1/"))
			return nil
		},
	}
	return f
}

// requests returns what was asked since it was last called, one a line.
func (f *forge) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.seen, "\n")
	f.seen = nil
	return s
}

// sink returns a sink of alice/web.
func (f *forge) sink() *Secret {
	return &Secret{Name: "FLY_DEPLOY_TOKEN", Repository: "alice/web", URL: "https://" + host, Token: rotate.NewSecret(ownerToken), Transport: f.wire}
}

var born = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// credential is the nth token that was minted.
func credential(n int) rotate.Credential {
	at := born.AddDate(0, n, 0)
	return rotate.Credential{
		Token:  rotate.Token{ID: fmt.Sprintf("tok-%d", n), Name: fmt.Sprintf("web deploy %d", n), Created: at, Expires: at.AddDate(0, 3, 0)},
		Secret: rotate.NewSecret(fmt.Sprintf("FlyV1 fm2_value-%d", n)),
	}
}

var kinds = map[string]emu.Kind{"forgejo": emu.Forgejo, "gitea": emu.Gitea}

// each runs a test against both kinds of server, in a bubble with a clock of its own.
func each(t *testing.T, test func(t *testing.T, ctx context.Context, f *forge)) {
	t.Helper()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, t.Context(), newForge(kind)) })
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds returns the value of a secret at the server.
func (f *forge) holds(t *testing.T, where, name string) string {
	t.Helper()
	value, _, ok := f.Secret(where, name)
	if !ok {
		t.Fatalf("%s has no secret %s", where, name)
	}
	return value
}

// marked returns what the marker says; the zero Mark if there is none.
func (f *forge) marked(t *testing.T, where, name string) rotate.Mark {
	t.Helper()
	text, ok := f.Variable(where, name)
	if !ok {
		return rotate.Mark{}
	}
	m, err := rotate.ParseMark(text)
	must(t, err)
	return m
}
