package httpcheck

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	answers := func(status int) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(server.Close)
			return &Request{URL: server.URL, Timeout: time.Second, Within: 50 * time.Millisecond, Interval: 10 * time.Millisecond}
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{Good: answers(200), Bad: answers(401), Open: answers(503)})
}
