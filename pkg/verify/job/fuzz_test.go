package job

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// FuzzAnswers: no answer of a server makes the decoders panic, and of any CronJob a Job can be made and encoded.
func FuzzAnswers(f *testing.F) {
	f.Add(cronText)
	f.Add(`{"spec": {"jobTemplate": {"spec": {"suspend": "yes", "ttlSecondsAfterFinished": null}}}}`)
	f.Add(`{"metadata": {"name": "` + "\u00ff" + `", "ownerReferences": [{"kind": "CronJob"}]}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}
		if c, err := objects.Decode[cronJob](o); err == nil {
			_ = c.stuck()
			made := newJob(c, c.Name, time.Hour)
			if _, err := json.Marshal(made); err != nil {
				t.Error(err)
			}
			if n := len(made["metadata"].(map[string]any)["name"].(string)); n > 63 {
				t.Errorf("a name of %d bytes", n)
			}
		}
		if j, err := objects.Decode[batchJob](o); err == nil && j.is("Complete") && len(j.Status.Conditions) == 0 {
			t.Error("complete without a condition")
		}
	})
}
