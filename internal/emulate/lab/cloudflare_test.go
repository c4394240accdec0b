package lab

import (
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// cloudflares are an account's tokens by policies and the user's by copy.
const cloudflares = `rotations:
  - name: dns of the account
    provider: {cloudflare: {account-id: 023e105f4ecef8ad9ca31a8372d0c353, expiry: 90d, ips: [192.0.2.0/24], policies: [
      {permissions: [DNS Write, "Access: Apps and Policies Read"], resources: [com.cloudflare.api.account.023e105f4ecef8ad9ca31a8372d0c353/com.cloudflare.api.account.zone.*]}]}}
    sinks: [{github: CLOUDFLARE_API_TOKEN}, {aws-secrets-manager: web/cloudflare}]
    verify: [{http: {url: "https://app.example/health"}}]
  - name: dns of the user
    provider: {cloudflare: {copy: dns updater}}
    every: 60d
    sinks: [{aws-secrets-manager: user/cloudflare}]
    verify: [{http: {url: "https://app.example/health"}}]
`

// tailscales has a name that does not fit a description as it is.
const tailscales = `rotations:
  - name: production kubernetes nodes
    provider: {tailscale: {tags: [tag:server], preauthorized: true}}
    sinks: [{github: TS_AUTHKEY}, {aws-secrets-manager: nodes/tailscale}]
    verify: [{http: {url: "https://app.example/health"}}]
`

// TestCloudTokens rotates tokens and looks at what a tick with nothing to do asks.
func TestCloudTokens(t *testing.T) {
	for _, x := range []struct {
		text, host string
		rotations  int
		idle, most int // requests to the host
	}{{cloudflares, "api.cloudflare.com", 2, 2, 2 * 11}, {tailscales, "api.tailscale.com", 1, 1, 8}} {
		t.Run(x.host, func(t *testing.T) {
			l, c := begin(t, x.text, nil)
			asked := func(from int) (to []string) {
				for _, q := range l.Requests()[from:] {
					if strings.Contains(q, x.host) {
						to = append(to, q)
					}
				}
				return to
			}
			for _, r := range c.Rotations {
				res, err := r.Run(t.Context(), rotate.Options{})
				if err != nil || res.Outcome != rotate.Rotated || len(res.Revoked) != 1 || len(res.Warnings) > 0 {
					t.Fatalf("%s: %s, %v revoked, %q: %v", r.Name, res.Outcome, res.Revoked, res.Warnings, err)
				}
			}
			works(t, l)
			if live := l.Tokens(); len(live) != x.rotations {
				t.Errorf("live: %v", live)
			}
			if all := asked(0); len(all) > x.most {
				t.Errorf("%d requests, at most %d:%s", len(all), x.most, lines(all))
			} else {
				t.Logf("%d rotations:%s", x.rotations, lines(all))
			}
			seen := len(l.Requests())
			if res, err := runAll(t, c, rotate.Options{}); err != nil || res.Outcome != rotate.Idle {
				t.Errorf("the next tick: %s, %v", res.Outcome, err)
			}
			if all := asked(seen); len(all) != x.idle || changes(strings.Join(all[:1], "")) {
				t.Errorf("a tick with nothing to do:%s", lines(all))
			}
		})
	}
}

// Nothing is sent that was not announced.
func TestCloudTokenEgress(t *testing.T) {
	for name, text := range map[string]string{"cloudflare": cloudflares, "tailscale": tailscales} {
		_, c := begin(t, text, nil)
		meters, silent := wiretap(c, hostile.Answer{})
		if _, err := runAll(t, c, rotate.Options{}); err != nil {
			t.Fatal(err)
		}
		for _, s := range silent {
			if strings.Contains(s, name) {
				t.Errorf("%s does not say what it contacts", s)
			}
		}
		for _, m := range meters {
			if len(m.bad) > 0 || m.sent == 0 {
				t.Errorf("%v: %d requests, not announced: %q", m.by, m.sent, m.bad)
			}
		}
	}
}

func TestCloudTokenFailures(t *testing.T) {
	for name, text := range map[string]string{"cloudflare": cloudflares, "tailscale": tailscales} {
		for _, step := range []string{"mint", "mint-lost", "prove", "write", "verify", "revoke"} {
			if name == "tailscale" && step == "prove" {
				continue // an auth key is not proven
			}
			t.Run(name+" "+step, func(t *testing.T) {
				l, c := begin(t, text, nil)
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
}
