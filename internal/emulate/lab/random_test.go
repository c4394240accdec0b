package lab

import (
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

const randoms = `defaults: {every: 30d}
rotations:
  - name: of a cluster
    cluster: {server: "https://kube.example:6443", token: {env: KUBE_TOKEN}, namespace: web}
    provider: {random: {bytes: 32}}
    sinks: [{kubernetes-secret: {secret: web/KEY, previous: KEY_PREVIOUS}}]
    verify: [{rollout: {deployment: receiver, restart: true}}, {rollout: {deployment: sender, restart: true}}]
  - name: of AWS
    provider: {random: {length: 24}}
    sinks: [{aws-secrets-manager: {secret: web/key, key: current, previous: former, region: eu-west-1}}]
    verify: [{http: {url: "https://app.example/health"}}]
  - name: of Vault
    provider: {random: {bytes: 16, encoding: hex}}
    sinks: [{vault: {address: "https://vault.example.com:8200", path: ci/key, key: current, previous: former, token: {env: VAULT_TOKEN}}}]
    verify: [{http: {url: "https://app.example/health"}}]
`

// TestRandom rotates values that no service knows, in every sink that keeps a former one.
func TestRandom(t *testing.T) {
	l, c := begin(t, randoms, nil)
	for _, r := range c.Rotations {
		res, err := r.Run(t.Context(), rotate.Options{})
		if err != nil || res.Outcome != rotate.Rotated || len(res.Revoked) != 1 || len(res.Warnings) > 0 {
			t.Errorf("%s: %s, %v revoked, %q: %v", r.Name, res.Outcome, res.Revoked, res.Warnings, err)
		}
	}
	works(t, l)
	if live := l.Tokens(); len(live) != len(c.Rotations) {
		t.Errorf("live: %v", live)
	}
	if res, err := runAll(t, c, rotate.Options{}); err != nil || res.Outcome != rotate.Idle {
		t.Errorf("the next tick: %s, %v", res.Outcome, err)
	}
}

// TestRandomFails: whatever fails, consumers hold what works.
func TestRandomFails(t *testing.T) {
	for step, want := range map[string]rotate.Outcome{"mint": rotate.Failed, "mint-lost": rotate.Failed, "write": rotate.Failed, "verify": rotate.Restored, "revoke": rotate.Failed} {
		t.Run(step, func(t *testing.T) {
			l, c := begin(t, randoms, nil)
			if err := l.Fail(step); err != nil {
				t.Fatal(err)
			}
			for _, r := range c.Rotations {
				res, err := r.Run(t.Context(), rotate.Options{})
				if err == nil || step != "revoke" && res.Outcome != want {
					t.Errorf("%s: %s, want %s: %v", r.Name, res.Outcome, want, err)
				}
			}
			works(t, l)
		})
	}
}
