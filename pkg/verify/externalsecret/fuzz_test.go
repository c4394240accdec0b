package externalsecret

import (
	"encoding/json"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// FuzzAnswers: no answer of a server makes the decoders panic, and none that is no object passes for one.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"kind": "APIGroup", "versions": [{"version": "v1"}]}`)
	f.Add(`{"metadata": {"name": "a"}, "spec": {"refreshInterval": "1h", "target": {"manifest": {"kind": "Secret"}}}, "status": {"refreshTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "True"}]}}`)
	f.Add(`{"data": {"k": "bm90IHRoaXM="}}`)
	f.Add(`{"status": {"conditions": [null, 3]}, "spec": {"refreshInterval": 3}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if served, err := servedVersions([]byte(text)); err != nil && served != nil {
			t.Error("versions and an error")
		}
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}
		if x, err := objects.Decode[external](o); err == nil {
			_, _ = x.refusal(), x.target()
			if x.synced(x) {
				t.Error("an ExternalSecret is synced later than itself")
			}
		}
		if c, err := objects.Decode[content](o); err == nil && len(c.Data) == 0 && len(c.equal(rotate.NewSecret("s"))) > 0 {
			t.Error("a key of no key equals")
		}
	})
}
