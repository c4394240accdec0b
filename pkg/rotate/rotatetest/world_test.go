package rotatetest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

var singlesOnly = flag.Bool("singles", false, "explore single faults only (for mutants)")

var topologies = []Topology{
	{Name: "one marker sink", Sinks: []SinkKind{Marked}},
	{Name: "one readable sink that cannot undo", Sinks: []SinkKind{Readable}},
	{Name: "a file", Sinks: []SinkKind{File}},
	{Name: "a current sink", Sinks: []SinkKind{Current}},
	{Name: "a marker, and what was handed in", Sinks: []SinkKind{Both}},
	{Name: "the same beside one that is read back", Sinks: []SinkKind{Both, Readable}},
	{Name: "digest and marker", Sinks: []SinkKind{Digest, Marked}},
	{Name: "three, one write-only", Sinks: []SinkKind{Digest, Readable, Marked}},
	{Name: "current and digest", Sinks: []SinkKind{Current, Digest}},
	{Name: "grace shorter than the gap", Sinks: []SinkKind{Marked, Digest}, Grace: time.Hour},
	{Name: "grace longer than the gap", Sinks: []SinkKind{Digest, Marked}, Grace: 60 * time.Hour},
	{Name: "grace, a file", Sinks: []SinkKind{File}, Grace: 60 * time.Hour},
	{Name: "adopted legacy token", Sinks: []SinkKind{Digest, Readable}, Adopted: true},
	{Name: "adopted, first run of a marker", Sinks: []SinkKind{Marked}, Adopted: true},
	{Name: "what is held is unknown", Sinks: []SinkKind{Digest, Marked}, Unknown: true},
	{Name: "compromised", Sinks: []SinkKind{Digest, Marked}, Compromised: true},
	{Name: "compromised, one sink", Sinks: []SinkKind{Current}, Compromised: true},
	{Name: "compromised, in grace", Sinks: []SinkKind{Marked, Readable}, Compromised: true, Grace: 60 * time.Hour},
	{Name: "about to expire", Sinks: []SinkKind{Digest, Both}, Every: 118 * rotate.Tick},
	{Name: "no creation times", Sinks: []SinkKind{Marked, Digest}, Nameless: true},
	{Name: "no identify", Sinks: []SinkKind{Marked, Digest}, Blind: true},
	{Name: "two attempts", Sinks: []SinkKind{Digest, Both}, Attempts: 2},
	{Name: "a careful one", Sinks: []SinkKind{Digest, Marked}, Careful: true},
	{Name: "beside another of the same name", Sinks: []SinkKind{Marked}, Beside: true},
	{Name: "no names", Sinks: []SinkKind{Digest}, Unnamed: true},
	{Name: "no names, grace", Sinks: []SinkKind{Readable, Digest}, Unnamed: true, Grace: 60 * time.Hour},
	{Name: "handed in", Sinks: []SinkKind{Digest, Marked}, HandIn: true},
	{Name: "handed in, a file", Sinks: []SinkKind{File}, HandIn: true},
	{Name: "handed in, grace", Sinks: []SinkKind{Digest, Both}, HandIn: true, Grace: 60 * time.Hour},
	{Name: "handed in, compromised", Sinks: []SinkKind{Readable, Marked}, HandIn: true, Compromised: true},
	{Name: "no service", Sinks: []SinkKind{Keeps}, Listless: true},
	{Name: "no service, grace", Sinks: []SinkKind{Keeps}, Listless: true, Grace: 60 * time.Hour},
	{Name: "no service, adopted", Sinks: []SinkKind{Keeps}, Listless: true, Adopted: true},
	{Name: "no service, compromised", Sinks: []SinkKind{Keeps}, Listless: true, Compromised: true},
	{Name: "no service, compromised, in grace", Sinks: []SinkKind{Keeps}, Listless: true, Compromised: true, Grace: 60 * time.Hour},
}

// bubble runs f in bubbles of many worlds each: simulated time is limited to 292 years.
func bubble(t *testing.T, n int, f func(i int)) {
	const each = 2000
	for from := 0; from < n; from += each {
		synctest.Test(t, func(*testing.T) {
			for i := from; i < min(from+each, n); i++ {
				f(i)
			}
		})
	}
}

// singles are all schedules with one fault.
func singles(topo Topology) (out []Schedule) {
	w, _ := Play(topo, Schedule{})
	return extend(Schedule{}, 0, w)
}

// extend adds one further fault to a schedule, at each call from the given one on, in the run that met the
// schedule and in the one that recovers from it.
func extend(s Schedule, from int, w *World) (out []Schedule) {
	ops := w.ops[:w.ends[min(len(w.ends)-1, w.tickOf(from)+1)]]
	for n := from; n < len(ops); n++ {
		for _, f := range Faults {
			if !f.fits(ops[n]) {
				continue
			}
			more := Schedule{n: f}
			for k, v := range s {
				more[k] = v
			}
			if more.unpromised() {
				continue // see TestNotPromised
			}
			out = append(out, more)
		}
	}
	return out
}

// tickOf is the tick in which a call was made.
func (w *World) tickOf(call int) int {
	for day, end := range w.ends {
		if call < end {
			return day
		}
	}
	return len(w.ends) - 1
}

func last(s Schedule) int {
	n := -1
	for k := range s {
		n = max(n, k)
	}
	return n
}

// TestWorld breaks every call of a rotation in every way, singly and in pairs (the second fault may hit the
// run that recovers), and asserts the promise after each.
func TestWorld(t *testing.T) {
	var worlds atomic.Int64
	t.Cleanup(func() { t.Logf("%d worlds", worlds.Load()) })
	share := 1.0
	if raceEnabled {
		share = 0.02 // a seeded share; the whole without the race detector
	}
	for i, topo := range topologies {
		t.Run(topo.Name, func(t *testing.T) {
			t.Parallel()
			explore(t, topo, share, uint64(i), &worlds)
		})
	}
}

func explore(t *testing.T, topo Topology, share float64, seed uint64, worlds *atomic.Int64) {
	rng := rand.New(rand.NewPCG(1, seed))
	report := func(s Schedule, why string) {
		t.Errorf("%s: {%s}: %s; again: REMINT_TOPOLOGY=%q REMINT_SCHEDULE=%q go test -run TestSchedule -v ./pkg/rotate/rotatetest", topo.Name, s, why, topo.Name, s)
	}
	var first []Schedule
	synctest.Test(t, func(*testing.T) { first = singles(topo) })
	first = append(first, Schedule{})
	var pairs []Schedule
	bubble(t, len(first), func(i int) {
		w, why := Play(topo, first[i])
		worlds.Add(1)
		if why != "" {
			report(first[i], why)
		}
		if len(first[i]) == 1 && !*singlesOnly {
			// The recovering run is as long as this one, at least.
			pairs = append(pairs, extend(first[i], last(first[i])+1, w)...)
		}
	})
	if t.Failed() {
		return
	}
	if share < 1 {
		pairs = slices.DeleteFunc(pairs, func(Schedule) bool { return rng.Float64() > share })
	}
	failures := 0
	bubble(t, len(pairs), func(i int) {
		if failures > 10 {
			return
		}
		_, why := Play(topo, pairs[i])
		worlds.Add(1)
		if why != "" {
			failures++
			report(pairs[i], why)
		}
	})
}

// TestSchedule plays the schedule of the environment again, as a failing test printed it: REMINT_TOPOLOGY and
// REMINT_SCHEDULE="3:fail after, 17:rival".
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, why, ok := again(t)
		if !ok {
			if w, why, ok = replay(t); !ok {
				t.Skip("no REMINT_SEED, and no REMINT_TOPOLOGY with REMINT_SCHEDULE or REMINT_TURNS")
			}
		}
		for n, op := range w.ops {
			t.Logf("%3d %-12s %s", n, op, w.faults[n])
		}
		for _, x := range w.tokens {
			t.Logf("token %s %q live=%t verified=%t", x.ID, x.Name, w.live(x), w.verified[x.ID])
		}
		for _, p := range w.places {
			t.Logf("%s holds %s, mark %s digest %s", p.kind, p.content, p.mark, p.digest)
		}
		if why != "" {
			t.Error(why)
		}
	})
}

// replay plays REMINT_SCHEDULE in REMINT_TOPOLOGY.
func replay(t *testing.T) (w *World, why string, ok bool) {
	name, text := os.Getenv("REMINT_TOPOLOGY"), os.Getenv("REMINT_SCHEDULE")
	if name == "" {
		return nil, "", false
	}
	i := slices.IndexFunc(topologies, func(t Topology) bool { return t.Name == name })
	if i < 0 {
		t.Fatalf("no topology %q", name)
	}
	s := Schedule{}
	for part := range strings.SplitSeq(text, ", ") {
		var n int
		at, fault, _ := strings.Cut(part, ":")
		if _, err := fmt.Sscan(at, &n); err == nil {
			s[n] = Fault(fault)
		}
	}
	w, why = Play(topologies[i], s)
	return w, why, true
}

// TestMain lets garbage lie longer: worlds are many and small.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

// TestPersistent lets one fault hit one operation for thirty days: nothing dies, and generations stay bounded.
func TestPersistent(t *testing.T) {
	ops := []string{"list", "identify", "mint", "revoke", "verify", "drain", "prove", "check", "inspect", "write", "write only", "write mark", "mark", "undo", "read", "forget", "held keeper", "held mark", "held digest", "held current"}
	var worlds atomic.Int64
	t.Cleanup(func() { t.Logf("%d worlds of 30 days", worlds.Load()) })
	for _, topo := range topologies {
		if topo.Every > 90*rotate.Tick {
			continue // what they hold first dies within the thirty days, whatever is done
		}
		t.Run(topo.Name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for _, op := range ops {
				for _, f := range Faults {
					if !f.fits(op) || f == Revoked || f == ByHand && op == "verify" {
						continue // no person does that every day
					}
					if n++; raceEnabled && n%30 != 0 {
						continue // the whole without the race detector
					}
					worlds.Add(1)
					synctest.Test(t, func(t *testing.T) { persist(t, topo, op, f) })
				}
			}
		})
	}
}

// persist lets a fault hit every call of an operation.
func persist(t *testing.T, topo Topology, op string, f Fault) {
	w := NewWorld(topo)
	w.persistent[op] = f
	most := 0
	for day := range 30 {
		if x := w.Tick(); x.lived {
			if why := PlanIsTruth(w, x); why != "" {
				t.Fatalf("%s at every %s, day %d: %s", f, op, day, why)
			}
		}
		most = max(most, w.Generations())
		if dead := w.Dead(); dead != "" && !topo.Compromised {
			t.Fatalf("%s at every %s, day %d: %s", f, op, day, dead)
		}
		if len(w.Broken) > 0 {
			t.Fatalf("%s at every %s, day %d: %s", f, op, day, w.Broken[0])
		}
		time.Sleep(rotate.Tick)
	}
	limit := 7 // births on days 0, 1, 2, 4, 8 and 16 beside the first
	if topo.Unknown || topo.Compromised {
		limit = 10 // consumers are in need: no back-off, but the limit
	}
	if most > limit {
		t.Errorf("%s at every %s: %d generations", f, op, most)
	}
}

// TestIdentities makes sure that the fingerprints of the world are those of its identities.
func TestIdentities(t *testing.T) {
	for id, want := range map[string]string{identity: fingerprint, neighbour: neighbours} {
		synctest.Test(t, func(t *testing.T) {
			w := NewWorld(Topology{Sinks: []SinkKind{Digest}})
			x := w.start(id)
			x.quiet = true
			r := &rotate.Rotation{ID: id, Name: rotationName, Every: time.Hour, Provider: provider{x}, Sinks: []rotate.Sink{digest{&sink{x: x, p: w.places[0], name: "s"}}}, Verify: []rotate.Verifier{consumers{x}}}
			res, _ := r.Run(t.Context(), rotate.Options{Force: true})
			if !strings.Contains(res.Newborn.Name, "-"+want) {
				t.Errorf("%s mints %q, want the fingerprint %s", id, res.Newborn.Name, want)
			}
		})
	}
}
