package prometheus

import (
	"testing"
	"time"

	fake "github.com/remint-dev/remint/internal/emulate/prometheus"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the verifier to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	build := func(change func(*exporter, *fake.Server)) func(*testing.T) rotate.Verifier {
		return func(t *testing.T) rotate.Verifier {
			e := &exporter{id: newborn.ID, value: float64(expiry.Unix())}
			s := fake.New(e.scrape)
			s.Token = "prometheus-token"
			change(e, s)
			q := decisive(s)
			q.Token, q.Within, q.Interval = rotate.NewSecret(s.Token), 50*time.Millisecond, 10*time.Millisecond
			return q
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        build(func(*exporter, *fake.Server) {}),
		Bad:         build(func(e *exporter, _ *fake.Server) { e.value = 1 }),
		Open:        build(func(_ *exporter, s *fake.Server) { s.Warn("partial") }),
		Credential:  newborn,
		Credentials: []string{"prometheus-token"},
	})
}
