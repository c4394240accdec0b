package podlogs

// What the Prometheus exporter for Fastly logs, and what that says about its token. The patterns are those of
// docs/fastly-exporter.md; the lines are in the form of github.com/fastly/fastly-exporter.

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestExporterLines(t *testing.T) {
	const began = `level=info msg="starting" `
	for _, c := range []struct {
		name, line string
		bad        bool
	}{
		{"log line: services cannot be fetched", badLine, true},
		{"log line: a subscriber is answered 401", `level=error service_id=abc type=default status_code=401 response="Unauthorized" msg="token may be invalid"`, true},
		{"log line: the token's own expiry cannot be asked for", `level=error during="set token gauge metric" err="api.fastly.com responded with Unauthorized"`, true},
		{"log line: the key is missing in the Secret", `level=error err="-token or FASTLY_API_TOKEN is required"`, true},
		{"log line: certificates cannot be read, which is harmless", harmlessLine, false},
		{"log line: a subscriber is answered 403, which a missing product may explain", `level=error service_id=abc type=origins status_code=403 msg="token may be invalid"`, false},
		{"log line: a service is found", goodLine, false},
		{"log line: a subscriber begins", `level=info subscriber=create service_id=abc type=default`, false},
		{"log line: Fastly is out of order", `level=warn during="initial fetch of service IDs" err="api.fastly.com responded with Bad Gateway" msg="service metrics unavailable, will retry"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, l := start(t, logs{"new": {{at: time.Second, text: began}, {at: 2 * time.Second, text: c.line}}})
				l.Refuse = []string{"responded with Unauthorized", "status_code=401", "FASTLY_API_TOKEN is required"}
				judgeError(t, l.Verify(t.Context(), newborn()), nil, c.bad, c.line)
			})
		})
	}
}

// Errors are no measure: a token that is refused may show at level warn only, and an error may have another reason.
func TestNoErrorIsNoProof(t *testing.T) {
	t.Run("not proof: no line at level error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, l := start(t, logs{"new": {{at: time.Second, text: badLine}}})
			l.Refuse = []string{"level=error"}
			judgeError(t, l.Verify(t.Context(), newborn()), nil, false, "") // it passes, and yet the token is refused
			if !l.Advisory() {
				t.Error("this alone would be taken for a proof")
			}
		})
	})
}
