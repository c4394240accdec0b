package podlogs

import (
	"net/url"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	world := func(code int, text string) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			api := &kubetest.API{Logs: func(string, url.Values) (int, string) { return code, text }}
			pod(api, t, "web", "h", "")
			return &Logs{Selector: "app=web", Refuse: []string{"Unauthorized"}, Require: []string{"service=found"}, Container: "main",
				Watch: 20 * time.Millisecond, Timeout: 200 * time.Millisecond, Interval: 5 * time.Millisecond, Cluster: api.Cluster()}
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        world(200, goodLine),
		Bad:         world(200, goodLine+"\n"+badLine+" "+secretText),
		Open:        world(400, "ContainerCreating"),
		Credential:  rotate.Credential{Token: rotate.Token{ID: "42", Created: time.Now()}, Secret: rotate.NewSecret(secretText)},
		Credentials: []string{kubetest.Token},
	})
}
