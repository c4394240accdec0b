package rotatetest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

var randoms = flag.Int("randoms", 20_000, "random schedules of TestRandom")

// turns is how an order of turns is reported and run again.
func turns(n int, order []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", n)
	for _, i := range order {
		fmt.Fprint(&b, i)
	}
	return b.String()
}

// TestRivals lets two runs of one rotation begin at once, and switches between them twice, at every pair of calls.
func TestRivals(t *testing.T) {
	var worlds atomic.Int64
	t.Cleanup(func() { t.Logf("%d worlds", worlds.Load()) })
	for i, topo := range topologies {
		t.Run(topo.Name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			synctest.Test(t, func(*testing.T) {
				w, why := Play(topo, Schedule{})
				calls = w.ends[0]
				if why != "" {
					t.Error(why)
				}
			})
			var orders [][]int
			for a := range calls + 1 {
				for b := 1; b <= calls+1; b++ {
					orders = append(orders, append(slices.Repeat([]int{0}, a), slices.Repeat([]int{1}, b)...))
				}
			}
			if raceEnabled {
				rng := rand.New(rand.NewPCG(2, uint64(i)))
				orders = slices.DeleteFunc(orders, func([]int) bool { return rng.Float64() > 0.03 })
			}
			failures := 0
			bubble(t, len(orders), func(i int) {
				if failures > 10 {
					return
				}
				_, why := Race(topo, nil, 2, orders[i])
				worlds.Add(1)
				if why != "" {
					failures++
					t.Errorf("%s; again: REMINT_TOPOLOGY=%q REMINT_TURNS=%s go test -run TestSchedule -v ./pkg/rotate/rotatetest", why, topo.Name, turns(2, orders[i]))
				}
			})
		})
	}
}

// random is one schedule of TestRandom: up to five faults, and up to three runs that take turns.
func random(seed uint64) (Topology, Schedule, int, []int) {
	rng := rand.New(rand.NewPCG(3, seed))
	topo := topologies[rng.IntN(len(topologies))]
	s := Schedule{}
	for range 1 + rng.IntN(5) {
		s[rng.IntN(60)] = Faults[rng.IntN(len(Faults))]
	}
	n := 1 + rng.IntN(3)
	var order []int
	for len(order) < 80 && n > 1 {
		order = append(order, slices.Repeat([]int{rng.IntN(n)}, 1+rng.IntN(12))...)
	}
	return topo, s, n, order
}

// TestRandom plays random schedules. A failure prints the seed; REMINT_SEED plays it again.
func TestRandom(t *testing.T) {
	var worlds, broken, apart atomic.Int64
	share := *randoms
	if raceEnabled {
		share /= 30
	}
	const lanes = 4
	for lane := range lanes {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			bubble(t, share/lanes, func(i int) {
				seed := uint64(i*lanes + lane)
				topo, s, n, order := random(seed)
				_, why := Race(topo, s, n, order)
				worlds.Add(1)
				if why == "" {
					return
				}
				if meddles(s, n) {
					apart.Add(1) // not promised, see TestNotPromised
					return
				}
				if broken.Add(1) <= 40 {
					t.Errorf("%s: {%s} %s: %s; again: REMINT_SEED=%d go test -run TestSchedule -v ./pkg/rotate/rotatetest", topo.Name, s, turns(n, order), why, seed)
				}
			})
		})
	}
	t.Cleanup(func() {
		t.Logf("%d random schedules, %d broken; %d more where a person meddled while several runs were at it", worlds.Load(), broken.Load(), apart.Load())
	})
}

// meddles reports whether a person acts while several runs are at it.
func meddles(s Schedule, n int) bool {
	person, others := false, n > 1
	for _, f := range s {
		person = person || f == Revoked || f == ByHand
		others = others || f == Rival
	}
	return person && others
}

// TestNotPromised plays what DESIGN.md says is not promised. If one of these goes well some day, the page is to be
// changed; whatever happens, a rotation later all is well again.
func TestNotPromised(t *testing.T) {
	for _, tt := range []struct {
		name, topology string
		schedule       Schedule
	}{
		{"a person revokes the newborn, a run restores, and another, which sees no young generation, rotates at that moment",
			"a marker, and what was handed in", Schedule{5: Revoked, 12: Rival}},
		{"the marker could not be written, so that it names an older token, and a person revokes the newborn, which consumers hold",
			"one marker sink", Schedule{14: Stale, 19: FailBefore, 20: Revoked}},
		{"the same in a grace: what the other run superseded is revoked early",
			"grace shorter than the gap", Schedule{20: Revoked, 23: Rival}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			topo := topologies[slices.IndexFunc(topologies, func(t Topology) bool { return t.Name == tt.topology })]
			synctest.Test(t, func(t *testing.T) {
				w, why := Play(topo, tt.schedule)
				if why == "" {
					t.Error("this went well; is it promised now?")
				}
				w.faults, w.Broken = nil, nil
				for range int((w.Every+w.Grace)/rotate.Tick) + 3 {
					time.Sleep(rotate.Tick)
					w.Tick()
				}
				if why := NoOrphan(w); why != "" {
					t.Errorf("a rotation later: %s", why)
				}
			})
		})
	}
}

// again plays what the environment names: REMINT_SEED, or REMINT_TOPOLOGY with REMINT_TURNS.
func again(t *testing.T) (w *World, why string, ok bool) {
	var seed uint64
	if _, err := fmt.Sscan(os.Getenv("REMINT_SEED"), &seed); err == nil {
		topo, s, n, order := random(seed)
		t.Logf("%s: {%s} %s", topo.Name, s, turns(n, order))
		w, why = Race(topo, s, n, order)
		return w, why, true
	}
	text := os.Getenv("REMINT_TURNS")
	i := slices.IndexFunc(topologies, func(t Topology) bool { return t.Name == os.Getenv("REMINT_TOPOLOGY") })
	if text == "" || i < 0 {
		return nil, "", false
	}
	n := 2
	_, digits, _ := strings.Cut(text, ":")
	fmt.Sscan(text[:1], &n)
	var order []int
	for _, d := range digits {
		order = append(order, int(d-'0'))
	}
	w, why = Race(topologies[i], nil, n, order)
	return w, why, true
}
