package command

import (
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	exits := func(status string) func(*testing.T) rotate.Verifier {
		return func(*testing.T) rotate.Verifier {
			return &Program{Run: []string{"sh", "-c", "exit " + status}, SecretEnv: "TOKEN"}
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{Good: exits("0"), Bad: exits("1"), Open: exits("75")})
}
