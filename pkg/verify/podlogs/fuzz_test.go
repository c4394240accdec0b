package podlogs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// FuzzAnswers: no answer of a server makes the decoders panic, and what is shown of a log is one line without the secret.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"metadata": {"name": "a", "labels": {"pod-template-hash": "h"}}, "spec": {"containers": [{"name": "c"}]}}`)
	f.Add(`{"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}`)
	f.Add("2026-01-02T15:04:05.000000000Z level=warn Unauthorized " + secretText)
	f.Add("\xff\n\x1b[1m\r 2026-01-02T15:04:05Z")
	f.Fuzz(func(t *testing.T, text string) {
		at, rest := split(text)
		if at.IsZero() && rest != text {
			t.Error("a line without a time is changed")
		}
		shown := objects.Shown(text+secretText+text, rotate.NewSecret(secretText), 300)
		if strings.Contains(shown, secretText) || strings.ContainsAny(shown, "\n\r\x1b") || len(shown) > 700 {
			t.Errorf("shown: %q", shown)
		}
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}
		if p, err := objects.Decode[objects.Pod](o); err == nil {
			if got := current([]objects.Pod{p, p}, true); len(got) != 2 && !p.Leaving() {
				t.Errorf("%d of two pods of one template count", len(got))
			}
		}
		_, _ = objects.Decode[application](o)
	})
}
