package rollout

import (
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	world := func(steps ...string) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			api := &kubetest.API{On: controller(steps...)}
			api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
			return &Rollout{Deployment: "web", Restart: true, Timeout: 100 * time.Millisecond, Interval: 5 * time.Millisecond, Cluster: api.Cluster()}
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        world("", "observed"),
		Bad:         world("observed reason=ProgressDeadlineExceeded"),
		Open:        world("observed updatedReplicas=1"),
		Credential:  newborn,
		Credentials: []string{kubetest.Token},
	})
}
