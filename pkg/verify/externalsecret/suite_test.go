package externalsecret

import (
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	world := func(p operator) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			p := p
			p.api = &kubetest.API{Versions: []string{"v1"}, On: p.on()}
			p.api.On = p.on()
			p.api.Put(t, "external-secrets.io/v1", "ExternalSecret", `{"metadata": {"name": "web"}}`)
			p.secret = p.api.Put(t, "v1", "Secret", `{"metadata": {"name": "web"}}`)
			return &Sync{Name: "web", Timeout: 100 * time.Millisecond, Interval: 5 * time.Millisecond, Cluster: p.api.Cluster()}
		}
	}
	holds := func(text string) func(int) map[string]string {
		return func(int) map[string]string { return map[string]string{"token": text} }
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        world(operator{serve: holds(secretText)}),
		Bad:         world(operator{errors: 99, message: secretText}),
		Open:        world(operator{dead: true}),
		Credential:  newborn,
		Credentials: []string{kubetest.Token, oldText},
	})
}
