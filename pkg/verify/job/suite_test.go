package job

import (
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	world := func(conditions ...string) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			_, r := start(t, ends(conditions...))
			r.Timeout, r.Interval = 100*time.Millisecond, 5*time.Millisecond
			return r
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        world("", "Complete"),
		Bad:         world("", "Failed"),
		Open:        world("", "Suspended", ""),
		Credential:  newborn,
		Credentials: []string{kubetest.Token},
	})
}
