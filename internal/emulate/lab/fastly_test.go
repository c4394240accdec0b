package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// threeEnvironments rotates a token for each environment of an account, adopting those made by hand.
const threeEnvironments = `rotations:
  - name: exporter token for ${env}
    matrix: [{env: Integration}, {env: Staging}, {env: Production}]
    provider: {fastly: {role: user, scope: "global:read", services: {contains: "${env}"}, expiry: 1y}}
    every: 335d
    adopt: ["exporter token for ${env}"]
    sinks: [{aws-secrets-manager: {secret: "exporter/${env}", key: fastly-api-token}}]
    verify: [{http: {url: "https://app.example/health"}}]
`

func TestFastlyEnvironments(t *testing.T) {
	l, c := begin(t, threeEnvironments, nil)
	if _, err := runAll(t, c, rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	works(t, l)
	var counted []string
	for _, q := range l.Requests() {
		if strings.Contains(q, "api.fastly.com") {
			counted = append(counted, q)
		}
	}
	t.Logf("%d requests to Fastly for three rotations:%s", len(counted), lines(counted))
	if most := 3 * 13; len(counted) > most {
		t.Errorf("%d requests, at most %d", len(counted), most)
	}
	for _, token := range l.Tokens() {
		if _, ours := rotate.Minted(token); !ours {
			t.Errorf("%s is alive", token.Name)
		}
	}
}

// A tick with nothing to do asks Fastly once for each rotation, and changes nothing.
func TestFastlyIdleTick(t *testing.T) {
	l, c := begin(t, strings.Replace(threeEnvironments, "    adopt: [\"exporter token for ${env}\"]\n", "", 1), nil)
	for _, r := range c.Rotations {
		r.Every += 20 * 24 * time.Hour
	}
	if _, err := runAll(t, c, rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, q := range l.Requests() {
		if strings.Contains(q, "api.fastly.com") {
			asked = append(asked, q)
		}
		if changes(q) {
			t.Errorf("it changed something: %s", q)
		}
	}
	if len(asked) != 3 {
		t.Errorf("%d requests to Fastly for three rotations:%s", len(asked), lines(asked))
	}
}

func TestFastlyFailures(t *testing.T) {
	for _, step := range []string{"mint", "mint-lost", "prove", "write", "verify", "revoke"} {
		t.Run(step, func(t *testing.T) {
			l, c := begin(t, threeEnvironments, nil)
			if err := l.Fail(step); err != nil {
				t.Fatal(err)
			}
			if _, err := runAll(t, c, rotate.Options{}); err == nil {
				t.Error("nothing failed")
			}
			works(t, l)
		})
	}
}
