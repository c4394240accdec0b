package rotatetest

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestWithdraw lets a person try to revoke every token there is, by the hand of rotate.Withdraw and without insisting, in
// every state that one fault leaves: at once after the run, and a day later. Nobody may be harmed. Allowed is only what
// a person is warned of: to shorten a grace, and, where no sink records verifications, not to wait for one.
func TestWithdraw(t *testing.T) {
	var tried, revoked atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d withdrawals tried, %d carried out", tried.Load(), revoked.Load())
		if revoked.Load() == 0 {
			t.Error("none was carried out")
		}
	})
	for _, topo := range topologies {
		t.Run(topo.Name, func(t *testing.T) {
			t.Parallel()
			var all []Schedule
			synctest.Test(t, func(*testing.T) { all = append(singles(topo), Schedule{}) })
			bubble(t, 2*len(all), func(i int) {
				if raceEnabled && i%30 != 0 {
					return // the whole without the race detector
				}
				s := all[i/2]
				w := NewWorld(topo)
				w.faults = s
				w.Tick()
				if i%2 == 1 {
					time.Sleep(rotate.Tick)
				}
				if len(w.Broken) > 0 || w.Dead() != "" {
					return // TestWorld's business
				}
				for _, x := range w.list() {
					p := w.start(identity)
					p.quiet = true
					did, err := p.rotation().Withdraw(context.Background(), x.ID, rotate.WithdrawOptions{Options: rotate.Options{Compromised: w.emergency}})
					tried.Add(1)
					if did.Revoked {
						revoked.Add(1)
					}
					for _, why := range w.Broken {
						if !strings.Contains(why, "in its grace") && (records(topo) || !strings.Contains(why, "was verified") && !strings.Contains(why, "still work with it")) {
							t.Errorf("{%s}, %d: %s: %s (%v)", s, i%2, x.Name, why, err)
						}
					}
					if why := w.Dead(); why != "" {
						t.Errorf("{%s}, %d: %s: %s (%v)", s, i%2, x.Name, why, err)
						return
					}
					w.Broken = nil
				}
			})
		})
	}
}

// records reports whether a sink of the topology can say that what it holds was verified.
func records(t Topology) bool {
	for _, k := range t.Sinks {
		if k == Marked || k == Digest || k == Both || k == Keeps {
			return true
		}
	}
	return false
}
