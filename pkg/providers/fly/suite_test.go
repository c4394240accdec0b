package fly

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the provider to the contracts that the engine relies on, for both kinds of token.
func TestSuite(t *testing.T) {
	for _, where := range []struct{ app, org string }{{app: "web"}, {org: "personal"}} {
		t.Run(where.app+where.org, func(t *testing.T) {
			server := fly.New()
			server.AddOrg("personal", "web")
			user := server.AddUser("bot@example.com", "personal")
			wire := httptest.NewServer(server)
			t.Cleanup(wire.Close)
			rotatetest.Provider(t, rotatetest.ProviderUnderTest{
				New: func(*testing.T) rotate.Provider {
					return &Provider{App: where.app, Org: where.org, Expiry: 90 * rotate.Tick, Token: rotate.NewSecret(user), URL: wire.URL, Interval: time.Millisecond}
				},
				Credentials: []string{user},
			})
		})
	}
}
