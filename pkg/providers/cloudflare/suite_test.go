package cloudflare

import (
	"testing"

	"github.com/remint-dev/remint/internal/emulate/cloudflare"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the provider to the contracts that the engine relies on.
func TestSuite(t *testing.T) {
	for name, build := range map[string]func(*world) *Provider{
		"user": (*world).provider, "account": (*world).owned,
		"copy": func(w *world) *Provider { return w.copying("template") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.byHand(cloudflare.Row{Name: "template"})
			rotatetest.Provider(t, rotatetest.ProviderUnderTest{
				New:         func(*testing.T) rotate.Provider { return build(w) },
				Credentials: []string{key},
			})
		})
	}
}
