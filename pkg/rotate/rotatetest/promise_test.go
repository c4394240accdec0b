package rotatetest

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestPromises breaks each promise by hand and expects its function to say so; before that it must be content.
func TestPromises(t *testing.T) {
	type made struct {
		w   *World
		x   *process
		old *token // held by both sinks
		new *token // held by none
	}
	tests := []struct {
		name, want string
		broken     func(made) string // content before act
		act        func(made)
	}{
		{"a token is revoked while a sink holds it", "while sink 1 holds it",
			func(m made) string { return NoGapByRevoking(m.w, m.old) },
			func(m made) { m.w.places[1].content = m.old.secret }},
		{"a token is revoked while a queued run carries it", "is queued",
			func(m made) string { return NoGapByRevoking(m.w, m.old) },
			func(m made) { m.w.places[0].queued = m.old.secret }},
		{"a token is revoked while consumers work with it", "still work with it",
			func(m made) string { return NoGapByRevoking(m.w, m.old) },
			func(m made) { m.w.places[0].running = m.old.secret }},
		{"a token is revoked before its successor was verified", "was verified",
			func(m made) string { return NoGapByRevoking(m.w, m.old) },
			func(m made) { m.w.places[0].running = ""; delete(m.w.verified, m.new.ID) }},
		{"a token is revoked in its grace", "in its grace",
			func(m made) string { return NoGapByRevoking(m.w, m.old) },
			func(m made) { m.w.Grace = 48 * time.Hour }},
		{"a compromised token is revoked and nobody has another", "although no sink holds anything better",
			func(m made) string { return NoGapByRevoking(m.w, m.old) },
			func(m made) {
				m.w.emergency = time.Now()
				for _, p := range m.w.places {
					p.content = m.old.secret
				}
			}},
		{"a dead token is written", "wrote dead",
			func(m made) string { return NoGapByWriting(m.w, m.w.places[0], m.new.secret) },
			func(m made) { m.new.revoked = true }},
		{"what is about to expire is put back", "about to expire",
			func(m made) string {
				if m.old.Expires.After(time.Now().Add(2 * rotate.Tick)) {
					return ""
				}
				return NoGapByWriting(m.w, m.w.places[0], m.old.secret)
			},
			func(m made) { m.old.revoked, m.old.Expires = false, time.Now().Add(rotate.Tick) }},
		{"an orphan is left", "2 live tokens",
			func(m made) string { return NoOrphan(m.w) },
			func(m made) { m.w.add(m.new.Name+"x", time.Now(), identity) }},
		{"a sink is forgotten", "does not hold",
			func(m made) string { return NoOrphan(m.w) },
			func(m made) { m.w.places[1].content = m.old.secret }},
		{"nobody saw it work", "never verified",
			func(m made) string { return NoOrphan(m.w) },
			func(m made) { delete(m.w.verified, m.new.ID) }},
		{"a result tells a secret", "tells the secret",
			func(m made) string { return NoLeak(m.w, m.x.res, m.x.err) },
			func(m made) { m.x.res.Left = []string{"see secret-of-t1"} }},
		{"an error tells a secret", "tells the secret",
			func(m made) string { return NoLeak(m.w, m.x.res, m.x.err) },
			func(m made) { m.x.err = errors.New("401 for secret-of-t1") }},
		{"somebody else's token is revoked", "nobody's to revoke",
			func(m made) string { return NobodyElses(m.w, m.x, m.old) },
			func(m made) { m.old.owner = "" }},
		{"the neighbour's token is revoked", "which is of",
			func(m made) string { return NobodyElses(m.w, m.x, m.old) },
			func(m made) { m.old.owner = neighbour }},
		{"too many are revoked", "more than ten",
			func(m made) string { return NobodyElses(m.w, m.x, m.old) },
			func(m made) { m.x.revokes = 10 }},
		{"an idle tick writes", "did something",
			func(m made) string { return NothingDone(m.x) },
			func(m made) { m.x.effect("write sink") }},
		{"a step was not planned", "not planned there",
			func(m made) string { return PlanIsTruth(m.w, m.x) },
			func(m made) {
				m.x.res.Steps = append(m.x.res.Steps, rotate.StepResult{Step: rotate.Step{Do: rotate.Verify, At: "consumers"}})
			}},
		{"a step is left out", "left out",
			func(m made) string { return PlanIsTruth(m.w, m.x) },
			func(m made) {
				m.x.res.Plan.Steps = append(m.x.res.Plan.Steps, rotate.Step{Do: rotate.Marking, At: "sink"})
			}},
		{"a change belongs to no step", "belongs to no step",
			func(m made) string { return PlanIsTruth(m.w, m.x) },
			func(m made) { m.x.effect("revoke somebody") }},
		{"success is told falsely", "does not hold",
			func(m made) string { return Truthful(m.w, m.x) },
			func(m made) { m.old.revoked = false; m.w.places[0].content = m.old.secret }},
		{"a dead consumer is passed over", "calls nobody",
			func(m made) string { return Truthful(m.w, m.x) },
			func(m made) { m.new.revoked = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := NewWorld(Topology{Sinks: []SinkKind{Digest, Marked}})
				x := w.Tick()
				if x.err != nil || x.res.Outcome != rotate.Rotated {
					t.Fatalf("%v, %v", x.res.Outcome, x.err)
				}
				m := made{w: w, x: x, old: w.tokens[0], new: w.tokens[len(w.tokens)-1]}
				if tt.name == "an idle tick writes" {
					time.Sleep(rotate.Tick)
					m.x = w.Tick()
				}
				if why := tt.broken(m); why != "" {
					t.Fatalf("before anything was broken: %s", why)
				}
				tt.act(m)
				if why := tt.broken(m); !strings.Contains(why, tt.want) {
					t.Errorf("got %q, want it to say %q", why, tt.want)
				}
			})
		})
	}
}
