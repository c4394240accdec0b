package rotatetest

import (
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
		res, err, lived := w.Tick()
		w.ends = append(w.ends, w.call)
		if lived {
			if why := w.outOfPlan(res); why != "" {
				w.breaks("%s", why)
			}
			if why := w.claims(res, err); why != "" {
				w.breaks("%s", why)
			}
			if day == 0 && len(s) == 1 && s.hits(w, "mint") && err != nil && w.Generations() > 1 {
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
	for left := t.Grace; left > 0; left -= rotate.Tick {
		time.Sleep(rotate.Tick)
		w.Tick()
	}
	if t.Grace > 0 {
		time.Sleep(rotate.Tick)
		w.Tick()
	}
	if len(w.Broken) > 0 {
		return w, w.Broken[0]
	}
	if why := w.Settled(); why != "" {
		return w, "after a clean tick: " + why
	}
	time.Sleep(rotate.Tick)
	if w.Tick(); len(w.Effects) > 0 {
		return w, "an idle tick did something: " + strings.Join(w.Effects, ", ")
	}
	return w, ""
}

// claims says where a run reported success falsely, or "".
func (w *World) claims(res rotate.Result, err error) string {
	if err != nil || res.Outcome != rotate.Rotated {
		return ""
	}
	for _, f := range w.faults {
		if f == ByHand || f == Rival {
			return "" // what somebody else did after the run wrote is not its claim
		}
	}
	for i, p := range w.places {
		if t := w.bySecret(p.content); t == nil || t.ID != res.Newborn.ID {
			return fmt.Sprintf("the run reports success, but sink %d does not hold %s", i, res.Newborn.ID)
		}
	}
	if !w.verified[res.Newborn.ID] {
		return "the run reports success, but the newborn was not verified"
	}
	return ""
}

// outOfPlan says which effect of a run its plan did not announce, or "". Effects come in the order of the
// plan's steps, those of its failure branch last; a step that failed has none.
func (w *World) outOfPlan(res rotate.Result) string {
	var allowed []string
	for _, steps := range [][]rotate.Step{res.Plan.Steps, res.Plan.OnFailure} {
		for _, s := range steps {
			switch s.Do {
			case rotate.Minting:
				allowed = append(allowed, "mint")
			case rotate.Writing:
				allowed = append(allowed, "write "+s.At, "write mark "+s.At)
			case rotate.Verify:
				allowed = append(allowed, "verify")
			case rotate.Marking:
				allowed = append(allowed, "mark "+s.At)
			case rotate.Revoke:
				allowed = append(allowed, "revoke")
			case rotate.Restore:
				allowed = append(allowed, "undo "+s.At, "write mark "+s.At, "write "+s.At)
			}
		}
	}
	i := 0
	for _, e := range w.Effects {
		kind := e
		if strings.HasPrefix(e, "mint ") || strings.HasPrefix(e, "revoke ") {
			kind, _, _ = strings.Cut(e, " ")
		}
		for i < len(allowed) && allowed[i] != kind {
			i++
		}
		if i == len(allowed) {
			return fmt.Sprintf("%q was not planned (did %s; planned %s)", e, strings.Join(w.Effects, ", "), strings.Join(allowed, ", "))
		}
		i++
	}
	return ""
}
