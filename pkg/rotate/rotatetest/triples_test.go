package rotatetest

import (
	"flag"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

var triples = flag.Bool("triples", false, "play every three faults of the flagship (about 730,000 worlds)")

// TestTriples breaks every three calls of the flagship, one sink with a marker, in every way. Its figures are in
// DESIGN.md.
func TestTriples(t *testing.T) {
	if !*triples {
		t.Skip("give -triples (about five minutes)")
	}
	topo := topologies[0]
	var first []Schedule
	synctest.Test(t, func(*testing.T) { first = singles(topo) })
	var worlds, broken, apart atomic.Int64
	t.Cleanup(func() {
		t.Logf("%s: %d worlds, %d broken; %d more where a person revoked what a marker that lags does not name", topo.Name, worlds.Load(), broken.Load(), apart.Load())
	})
	play := func(s Schedule) *World {
		w, why := Play(topo, s)
		worlds.Add(1)
		if why != "" && len(s) == 3 && w.met[Revoked] {
			apart.Add(1) // not promised, see TestNotPromised
			return w
		}
		if why != "" && broken.Add(1) <= 20 {
			t.Errorf("{%s}: %s; again: REMINT_TOPOLOGY=%q REMINT_SCHEDULE=%q go test -run TestSchedule -v ./pkg/rotate/rotatetest", s, why, topo.Name, s)
		}
		return w
	}
	const lanes = 4
	for lane := range lanes {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for i := lane; i < len(first); i += lanes {
				var pairs []Schedule
				synctest.Test(t, func(*testing.T) { pairs = extend(first[i], last(first[i])+1, play(first[i])) })
				bubble(t, len(pairs), func(n int) {
					for _, s := range extend(pairs[n], last(pairs[n])+1, play(pairs[n])) {
						play(s)
					}
				})
			}
		})
	}
}
