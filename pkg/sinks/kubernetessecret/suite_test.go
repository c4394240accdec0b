package kubernetessecret

import (
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the sink to the contracts that the engine relies on.
func TestSuite(t *testing.T) {
	for name, change := range map[string]func(*Secret){
		"name/key":     func(*Secret) {},
		"a new key":    func(s *Secret) { s.Secret, s.CreateKey = "web/NEW", true },
		"a dotted key": func(s *Secret) { s.Secret, s.Key = "web", ".token" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed()
			_, _, key := b.sink(change).place()
			if key == ".token" {
				b.AddSecret("apps", "web", map[string]string{key: byHand})
			}
			rotatetest.Sink(t, rotatetest.SinkUnderTest{
				New: func(*testing.T) rotate.Sink { return b.sink(change) },
				Content: func(t *testing.T) string {
					b.holds(t, "OTHER", neighbor)
					got, _ := b.Secret("apps", "web", key)
					return got
				},
				Credentials: []string{bearer, byHand, neighbor},
			})
		})
	}
}
