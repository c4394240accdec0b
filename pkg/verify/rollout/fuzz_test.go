package rollout

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// FuzzAnswers: no answer of a server makes the decoders panic, and none without a status passes for a rollout that is
// done.
func FuzzAnswers(f *testing.F) {
	f.Add(workloadJSON("web", ""))
	f.Add(`{"spec": {"replicas": 1e99, "template": {"spec": {"containers": [null], "volumes": [{"projected": {"sources": [{}]}}]}}}}`)
	f.Add(`{"metadata": {"managedFields": [{"time": null, "fieldsV1": {"f:data": 3}}, {"fieldsV1": []}]}, "data": {"k": "eA=="}}`)
	f.Add(`{"spec": {"containers": [{"name": "c"}]}, "status": {"containerStatuses": [{"state": {"running": {"startedAt": null}}}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}
		if w, err := objects.Decode[workload](o); err == nil {
			_ = w.Spec.Template.Spec.reads("s")
			for _, k := range []kind{deployment, statefulSet, daemonSet} {
				_, _ = w.empty(k), w.hindrance(k)
				if done, _, err := w.judge(k); done && (err != nil || w.Status.ObservedGeneration == 0) {
					t.Error("done without a status, or with an error")
				}
			}
		}
		if s, err := objects.Decode[secretObject](o); err == nil {
			_, _ = s.changed(), s.holds(rotate.NewSecret("0123456789"))
		}
		if p, err := objects.Decode[objects.Pod](o); err == nil {
			if startedAfter(p, time.Now()) && len(p.Status.ContainerStatuses) == 0 {
				t.Error("a pod without containers has started")
			}
			_ = p.Crash()
		}
	})
}
