package lab

import (
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// kept has the sinks that are places of their own for secrets, each in two ways, and two rotations in one item and one
// secret.
const kept = `rotations:
  - name: blumeops-proxy deploy
    provider: {fly: {org: personal, expiry: 90d}}
    every: 75d
    adopt: ["blumeops-proxy deploy *"]
    sinks:
      - onepassword: op://blumeops/fly.io admin/add more/deploy-token
      - vault: {path: ci/fly, key: token}
      - forgejo: FLY_DEPLOY_TOKEN
    verify: [{dispatch: deploy-fly.yaml}]
  - name: another
    provider: {fly: {app: web, expiry: 90d}}
    sinks:
      - onepassword: {reference: "op://abcdefghijklmnopqrstuvwxyz/fly.io admin/web-token", host: "http://connect.ops:8080", insecure: true, token: {file: /run/token}}
      - onepassword: {reference: op://blumeops/fly.io admin/other, marker: who}
      - vault: {path: ci/fly, key: other}
      - vault: {mount: team/kv, path: web, key: token, address: "https://bao.example", vault-namespace: teams/web, auth: {jwt: {role: remint, path: auth/github}}}
    verify: [{dispatch: deploy.yml}]
`

func TestKept(t *testing.T) {
	l, c := begin(t, kept, nil)
	if _, err := runAll(t, c, rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	works(t, l)
	for _, token := range l.Tokens() {
		if _, ours := rotate.Minted(token); !ours {
			t.Errorf("%s is alive", token.Name)
		}
	}
	all := strings.Join(l.Requests(), "\n")
	for _, want := range []string{"PATCH connect.example /v1/vaults/", "PATCH connect.ops:8080 /v1/vaults/abcdefghijklmnopqrstuvwxyz/items/", "POST vault.example:8200 /v1/secret/data/ci/fly",
		"PATCH vault.example:8200 /v1/secret/metadata/ci/fly", "POST bao.example /v1/auth/github/login", "POST bao.example /v1/team/kv/data/web"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
}

func TestKeptFailures(t *testing.T) {
	for _, step := range []string{"mint", "mint-lost", "prove", "write", "verify", "revoke"} {
		t.Run(step, func(t *testing.T) {
			l, c := begin(t, kept, nil)
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
