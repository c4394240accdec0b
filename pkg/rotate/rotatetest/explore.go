package rotatetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Schedule plants faults by the number of the call at which they happen.
type Schedule map[int]Fault

// String is the form in which a failing schedule is reported and run again.
func (s Schedule) String() string {
	var parts []string
	for n := range 4096 {
		if f, ok := s[n]; ok {
			parts = append(parts, fmt.Sprintf("%d:%s", n, f))
		}
		if len(parts) == len(s) {
			break
		}
	}
	return strings.Join(parts, ", ")
}

// unpromised reports whether a schedule is one that design and documents leave out: a person revokes the newborn, so
// that another run sees no young generation and rotates in the moment in which the first one restores.
func (s Schedule) unpromised() bool {
	revoked, rival := false, false
	for _, f := range s {
		revoked = revoked || f == Revoked
		rival = rival || f == Rival
	}
	return revoked && rival
}

// hits reports whether a fault of the schedule fails an operation after its effect.
func (s Schedule) hits(w *World, op string) bool {
	for n, f := range s {
		if n < len(w.ops) && w.ops[n] == op && f == FailAfter {
			return true
		}
	}
	return false
}

// Play runs a world through a schedule: a tick a day until every fault was met, then one clean tick (and as
// many more as a grace lasts), then an idle one. It returns the world and what is wrong, or "". It must be
// called inside a synctest bubble.
func Play(t Topology, s Schedule) (*World, string) {
	w := NewWorld(t)
	w.faults = s
	last := 0
	for n := range s {
		last = max(last, n+1)
	}
	const most = 4
	for day := 0; ; day++ {
		clean := day > 0 && w.call >= last || day == most // faults beyond the last call never happen
		var plan []rotate.Step
		if len(s) == 0 { // what plan prints is what run does
			asks := w.start(identity)
			asks.quiet = true
			p, _ := asks.rotation().Plan(context.Background(), rotate.Options{Compromised: w.emergency})
			plan = p.Steps
		}
		x := w.Tick()
		w.ends = append(w.ends, w.call)
		if x.lived {
			for _, why := range []string{PlanIsTruth(w, x), Truthful(w, x)} {
				if why != "" {
					w.breaks("%s", why)
				}
			}
			if len(s) == 0 && fmt.Sprint(plan) != fmt.Sprint(x.res.Plan.Steps) {
				w.breaks("planned %v, set out to do %v", plan, x.res.Plan.Steps)
			}
			if day == 0 && len(s) == 1 && !w.Unnamed && s.hits(w, "mint") && x.err != nil && w.Generations() > 1 {
				w.breaks("the answer of the mint was lost, and the run left the newborn alive")
			}
		}
		if len(w.Broken) > 0 {
			return w, w.Broken[0]
		}
		if clean {
			break
		}
		time.Sleep(rotate.Tick)
	}
	return w, w.converge()
}

// converge lets what was left ripen, and says what is wrong in the end, or "".
func (w *World) converge() string {
	if n := w.Generations(); n >= 4 { // the next mint waits for the back-off
		for range 1 << (n - 3) {
			time.Sleep(rotate.Tick)
			w.Tick()
		}
	}
	for left := w.Grace; left > 0; left -= rotate.Tick {
		time.Sleep(rotate.Tick)
		w.Tick()
	}
	if w.Grace > 0 {
		time.Sleep(rotate.Tick)
		w.Tick()
	}
	if w.Listless { // what a failed run left beside is retired first, and the run after rotates
		time.Sleep(rotate.Tick)
		w.Tick()
	}
	if len(w.Broken) > 0 {
		return w.Broken[0]
	}
	if why := NoOrphan(w); why != "" {
		return "after a clean tick: " + why
	}
	time.Sleep(rotate.Tick)
	return NothingDone(w.Tick())
}

// Race starts n runs at once, which take turns as order says (see [World.Race]), then a clean tick and an idle one.
// It returns the world and what is wrong, or "".
func Race(t Topology, s Schedule, n int, order []int) (*World, string) {
	w := NewWorld(t)
	w.faults = s
	w.met[Rival] = true
	for _, x := range w.Race(n, order) {
		if why := PlanIsTruth(w, x); x.lived && why != "" {
			w.breaks("%s", why)
		}
	}
	w.faults = nil
	for range 2 { // the second mends what a run that could not tell itself from a rival left for later
		if len(w.Broken) > 0 {
			return w, w.Broken[0]
		}
		time.Sleep(rotate.Tick)
		w.Tick()
	}
	return w, w.converge()
}
