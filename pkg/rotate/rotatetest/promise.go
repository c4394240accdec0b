package rotatetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file says what the promise means in a [World]: each function returns what breaks it, or "". That each can
// say so is shown by TestPromises.

// NoGapByRevoking is the first promise, as a token is about to be revoked: it works until every sink holds its
// successor, the consumers have taken that up, and it was seen to work. A compromised token only has to wait until
// a sink holds something better.
func NoGapByRevoking(w *World, t *token) string {
	compromised := t.stamp.Before(w.emergency)
	better := 0
	for i, p := range w.of(t.owner) {
		holds := w.bySecret(p.content)
		if holds != nil && (w.live(holds) || holds.byPerson) && holds != t && !holds.stamp.Before(w.emergency) {
			better++
		}
		if compromised {
			continue
		}
		switch {
		case p.content == t.secret:
			return fmt.Sprintf("revoked %s while sink %d holds it", t.ID, i)
		case p.queued == t.secret:
			return fmt.Sprintf("revoked %s while a run that carries it is queued", t.ID)
		case p.running == t.secret:
			return fmt.Sprintf("revoked %s while the consumers of sink %d still work with it", t.ID, i)
		}
		if w.ever[t.ID] && holds != nil && holds != t && holds.stamp.After(t.stamp) {
			if !w.verified[holds.ID] && p.running != p.content {
				return fmt.Sprintf("revoked %s before %s, which sink %d holds, was verified", t.ID, holds.ID, i)
			}
			if w.Grace > 0 && time.Now().Before(holds.stamp.Add(w.Grace)) {
				return fmt.Sprintf("revoked %s in its grace", t.ID)
			}
		}
	}
	if compromised && better == 0 {
		return fmt.Sprintf("revoked compromised %s although no sink holds anything better", t.ID)
	}
	return ""
}

// NoGapByWriting is the first promise, as a secret is about to be written: what is dead or about to expire
// replaces nothing that lives longer. What a person revoked a moment ago nobody can know.
func NoGapByWriting(w *World, p *place, content string) string {
	t := w.bySecret(content)
	if t == nil || t.byPerson || w.Listless { // without a service a value works as soon as it is written
		return ""
	}
	if !w.live(t) {
		return fmt.Sprintf("wrote dead %s", t.ID)
	}
	if now := w.bySecret(p.content); now != nil && t.stamp.Before(now.stamp) && !t.Expires.IsZero() && time.Until(t.Expires) < 2*rotate.Tick {
		return fmt.Sprintf("put %s, which is about to expire, back", t.ID)
	}
	return ""
}

// NoOrphan is the second promise, after a run that could do all it wanted: of each rotation one token lives, it
// is in all of its sinks, and it was seen to work there.
func NoOrphan(w *World) string {
	owners := []string{identity}
	if w.Beside {
		owners = append(owners, neighbour)
	}
	for _, owner := range owners {
		var ours []*token
		for _, t := range w.tokens {
			if t.owner == owner && w.live(t) {
				ours = append(ours, t)
			}
		}
		if len(ours) != 1 {
			return fmt.Sprintf("%d live tokens of %s", len(ours), owner)
		}
		says := false
		for i, p := range w.of(owner) {
			if p.content != ours[0].secret {
				return fmt.Sprintf("sink %d does not hold %s", i, ours[0].ID)
			}
			says = says || p.kind == Marked || p.kind == Digest || p.kind == Both || p.kind == Keeps
		}
		if says && !w.verified[ours[0].ID] {
			return ours[0].ID + " was never verified"
		}
	}
	return ""
}

// NoLeak is the third promise: what a run tells holds no secret.
func NoLeak(w *World, res rotate.Result, err error) string {
	text, failed := json.Marshal(res)
	if failed != nil {
		return failed.Error()
	}
	told := fmt.Sprintf("%s %+v %v %+v", text, res, err, res.Plan)
	for _, t := range w.tokens {
		if strings.Contains(told, t.secret) {
			return fmt.Sprintf("the result tells the secret of %s", t.ID)
		}
	}
	return ""
}

// NobodyElses is the fourth promise, as a token is about to be revoked: it is the rotation's own, and one run
// revokes ten at the most.
func NobodyElses(w *World, x *process, t *token) string {
	switch {
	case t.owner == "":
		return fmt.Sprintf("revoked %s (%s), which is nobody's to revoke", t.ID, t.Name)
	case t.owner != x.owner:
		return fmt.Sprintf("%s revoked %s, which is of %s", x.owner, t.ID, t.owner)
	case w.HandIn && t.secret == w.handed && t.Name != handMade:
		return fmt.Sprintf("revoked %s, which a person made and handed in", t.ID)
	case x.revokes >= 10:
		return "one run revoked more than ten tokens"
	}
	return ""
}

// NothingDone is the fifth promise, after a run that had nothing to do.
func NothingDone(x *process) string {
	if len(x.effects) > 0 {
		return "an idle tick did something: " + strings.Join(x.effects, ", ")
	}
	return ""
}

// PlanIsTruth is the sixth promise: the steps that a run took are those of its plan, in that order, then those of
// its failure branch; nothing that was planned is left out unless it is said why; and every change belongs to a step.
func PlanIsTruth(w *World, x *process) string {
	plan := x.res.Plan
	planned := slices.DeleteFunc(slices.Clone(plan.Steps), func(s rotate.Step) bool { return s.Do == rotate.Check })
	told := slices.DeleteFunc(slices.Clone(x.res.Steps), func(s rotate.StepResult) bool { return s.Do == rotate.Check })
	kept := func(s rotate.Step) bool {
		return s.Do == rotate.Revoke && slices.ContainsFunc(x.res.Kept, func(k rotate.Kept) bool { return k.Token.Name == s.What || "token "+k.Token.ID == s.What })
	}
	failure := plan.OnFailure
	i, branch, begun := 0, 0, 1
	for n, s := range told {
		for branch == 0 && i < len(planned) && !same(planned[i], s) && kept(planned[i]) {
			i++
		}
		first := slices.IndexFunc(planned, func(p rotate.Step) bool { return p.Do == rotate.Verify })
		switch {
		case branch == 0 && i < len(planned) && same(planned[i], s):
			i++
		case branch == 0 && n > 0 && told[n-1].Do == rotate.Verify && told[n-1].Result == rotate.Wrong && w.Attempts > 1 && s.Do == rotate.Verify && same(planned[first], s):
			i = first + 1
			if begun++; begun > w.Attempts {
				return fmt.Sprintf("verified %d times, and %d attempts were planned", begun, w.Attempts)
			}
		default:
			if x.err == nil {
				return fmt.Sprintf("%q was not planned there, and nothing failed (planned %v, did %v)", s.Step, planned, told)
			}
			again := branch > 0 && w.Attempts > 1 && s.Do == rotate.Verify && told[n-1].Do == rotate.Verify
			for branch < len(failure) && !same(failure[branch], s) && !again {
				branch++
			}
			if branch >= len(failure) {
				return fmt.Sprintf("%q is not of the failure branch (planned %v, on failure %v)", s.Step, planned, failure)
			}
			branch = max(branch, 1)
		}
	}
	if x.err == nil && (x.res.Outcome == rotate.Rotated || x.res.Outcome == rotate.Retired) {
		for ; i < len(planned); i++ {
			if !kept(planned[i]) {
				return fmt.Sprintf("%q was planned and left out", planned[i])
			}
		}
	}
	return unexplained(x.effects, told)
}

// same reports whether a step that was taken is the one that was planned.
func same(p rotate.Step, s rotate.StepResult) bool {
	if p.Do != s.Do || p.At != s.At {
		return false
	}
	switch p.Do {
	case rotate.Revoke:
		const newborn = "the newborn"
		return p.What == s.What || strings.HasPrefix(p.What, newborn) && strings.HasPrefix(s.What, newborn)
	case rotate.Minting:
		return strings.HasPrefix(s.What, rotationName+" ")
	}
	return true
}

// unexplained says which change belongs to no step, or "".
func unexplained(effects []string, told []rotate.StepResult) string {
	var allowed []string
	for _, s := range told {
		switch s.Do {
		case rotate.Minting:
			allowed = append(allowed, "mint "+s.What)
		case rotate.Writing:
			allowed = append(allowed, "write "+s.At, "write mark "+s.At)
		case rotate.Verify:
			allowed = append(allowed, "verify")
		case rotate.Marking:
			allowed = append(allowed, "mark "+s.At)
		case rotate.Revoke:
			allowed = append(allowed, "revoke "+strings.TrimPrefix(s.What, "the newborn "))
		case rotate.Restore:
			allowed = append(allowed, "undo "+s.At, "write mark "+s.At, "write "+s.At, "write mark "+s.At)
		}
	}
	i := 0
	for _, e := range effects {
		for i < len(allowed) && allowed[i] != e {
			i++
		}
		if i == len(allowed) {
			return fmt.Sprintf("%q belongs to no step (did %v; may have done %v)", e, effects, allowed)
		}
		i++
	}
	return ""
}

// Truthful says where a run told something that is not so, or "".
func Truthful(w *World, x *process) string {
	if w.disturbed() || w.met[Lies] {
		return "" // what somebody else did after the run looked is not its claim
	}
	res := x.res
	for i, h := range res.Sinks {
		t := w.bySecret(w.of(x.owner)[i].content)
		if t != nil && !w.live(t) && !res.Person && h.State != "could not be asked" && h.State != "nothing known" {
			return fmt.Sprintf("sink %d holds dead %s, and the run calls nobody", i, t.ID)
		}
	}
	for _, t := range w.tokens {
		if t.owner == x.owner && w.live(t) && t.stamp.Before(w.emergency) && len(res.Sinks) > 0 && !res.Person && !w.met[Stale] && !w.met[BlindList] {
			return fmt.Sprintf("compromised %s lives on, and the run calls nobody", t.ID)
		}
	}
	if x.err != nil || res.Outcome != rotate.Rotated {
		return ""
	}
	for i, p := range w.of(x.owner) {
		if t := w.bySecret(p.content); t == nil || t.ID != res.Newborn.ID {
			return fmt.Sprintf("the run reports success, but sink %d does not hold %s", i, res.Newborn.ID)
		}
		if h := res.Sinks[i]; h.State != "holds" || h.Token.ID != res.Newborn.ID || !h.Verified {
			return fmt.Sprintf("the run reports success, but of sink %d it says %+v", i, h)
		}
	}
	switch {
	case !w.verified[res.Newborn.ID]:
		return "the run reports success, but the newborn was not verified"
	case res.Person && !(w.Compromised && (w.met[Unclear] || w.Listless && w.met[Stale])):
		// What was held may be a compromised token of somebody else; or the sink said that it holds it still.
		return "the run reports success and calls a person"
	case res.Next.IsZero():
		return "the run reports success and not when it is due next"
	}
	if w.met[Stale] || w.met[BlindList] || w.Unnamed {
		return ""
	}
	var live []string
	for _, t := range w.tokens {
		if _, minted := rotate.Minted(t.Token); minted && t.owner == x.owner && w.live(t) {
			live = append(live, t.ID)
		}
	}
	var told []string
	for _, t := range res.Live {
		if _, minted := rotate.Minted(t); minted {
			told = append(told, t.ID)
		}
	}
	slices.Sort(live)
	slices.Sort(told)
	if !slices.Equal(live, told) {
		return fmt.Sprintf("the run says that %v live, in truth %v do", told, live)
	}
	return ""
}

// Dead says which sink holds a token that does not work, or "".
func (w *World) Dead() string {
	for i, p := range w.of(identity) {
		if t := w.bySecret(p.content); t != nil && !w.live(t) {
			return fmt.Sprintf("sink %d holds dead %s", i, t.ID)
		}
	}
	return ""
}

// Generations counts the live tokens that the rotation minted.
func (w *World) Generations() int {
	n := 0
	for _, t := range w.tokens {
		if _, minted := rotate.Minted(t.Token); minted && t.owner == identity && w.live(t) {
			n++
		}
	}
	return n
}
