package fastly

import (
	"errors"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

func isKind(err, kind error) bool { return errors.Is(err, kind) }

// TestSuite holds the provider to the contracts that the engine relies on, for both kinds of token.
func TestSuite(t *testing.T) {
	for _, kind := range []string{automation, user} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			rotatetest.Provider(t, rotatetest.ProviderUnderTest{
				New: func(*testing.T) rotate.Provider {
					if kind == user {
						return w.user()
					}
					return w.provider()
				},
				Credentials: []string{w.key, login, password},
			})
		})
	}
}
