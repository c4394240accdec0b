package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	flagship = `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: FLY_DEPLOY_TOKEN}]
    verify: [{dispatch: deploy.yml}]
`
	blumeops = `rotations:
  - name: blumeops-proxy deploy
    provider: {fly: {org: personal, expiry: 90d}}
    every: 75d
    adopt: ["blumeops-proxy deploy *"]
    sinks:
      - aws-secrets-manager: {secret: blumeops/fly.io, key: deploy-token}
      - forgejo: FLY_DEPLOY_TOKEN
    verify: [{dispatch: deploy-fly.yaml}]
`
	// undoable has only sinks that can be put back.
	undoable = `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    sinks:
      - file: {path: /etc/web/env, key: FLY_API_TOKEN}
      - aws-secrets-manager: {secret: web/fly}
      - file: /etc/web/fly-token
    verify: [{dispatch: deploy.yml}]
`
	// current has no marker; the workflow hands the old value in.
	current = `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: {name: FLY_DEPLOY_TOKEN, current: {env: FLY_DEPLOY_TOKEN}}}]
    verify: [{dispatch: deploy.yml}]
`
	// shared has rotations that share an app, an organisation, a repository, a workflow, a secret and a file.
	shared = `rotations:
  - name: one
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: ONE}, {aws-secrets-manager: {secret: web/fly, key: one}}, {file: {path: env, key: ONE}}]
    verify: [{dispatch: deploy.yml}]
  - name: two
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: TWO}, {aws-secrets-manager: {secret: web/fly, key: two}}, {file: {path: env, key: TWO}}]
    verify: [{dispatch: deploy.yml}]
  - name: three
    provider: {fly: {org: acme, expiry: 30d}}
    sinks: [{github: {name: THREE, org: example}}, {aws-secrets-manager: {secret: web/fly, key: three}}]
    verify: [{dispatch: deploy.yml}]
  - name: four
    provider: {fly: {org: acme, expiry: 30d}}
    adopt: ["four*"]
    sinks: [{github: {name: FOUR, environment: production}}]
    verify: [{dispatch: deploy.yml}]
`
	// parameters are in Parameter Store only.
	parameters = `rotations:
  - name: parameters
    id: parameters
    provider: {fly: {app: web, expiry: 90d}}
    sinks:
      - aws-parameter-store: /web/fly
      - aws-parameter-store: {name: "arn:aws:ssm:us-east-1:222222222222:parameter/web/fly", plaintext: true}
      - aws-parameter-store: {name: /web/other, account: "333333333333", role: "arn:aws:iam::333333333333:role/ci/remint", oidc-url: "https://runner.example/token?v=1"}
    verify: [{dispatch: deploy.yml}]
`
	// wide has every key that leads to another path of an adapter.
	wide = `rotations:
  - name: an app
    provider: {fly: {app: web, expiry: 5d, token: {file: /run/secrets/fly}, url: "https://fly.example"}}
    spread: 2d
    prove: [{http: {url: "https://api.example/whoami?x=1", status: [4xx, 204], body: '"ok"', refuse: 'no', scheme: token}}]
    sinks:
      - github: {name: WEB, repository: acme/web, app: {id: Iv23abc}}
      - github: {name: WEB, org: acme, app: {id: "7", installation: 9}, url: "https://github.example/api/v3"}
      - forgejo: {name: WEB, org: acme, url: "https://git.example", token: {env: OTHER}}
      - forgejo: {name: WEB, user: true, url: "https://gitea.example/api/v1"}
      - aws-secrets-manager: "arn:aws:secretsmanager:us-east-1:222222222222:secret:web/fly-AbCdEf"
      - aws-secrets-manager: {secret: web/fly, key: token, role: "arn:aws:iam::333333333333:role/ci/remint", oidc-url: "https://runner.example/token?v=1"}
      - aws-secrets-manager: {secret: web/other, role: "arn:aws:iam::333333333333:role/remint"}
    verify:
      - dispatch: {workflow: deploy.yml, repository: acme/web, ref: production, inputs: {env: live, run: "1"}, correlation: rotation}
      - dispatch: {workflow: deploy.yml, repository: acme/web, url: "https://git.example", forge: forgejo, ref: v1, correlation: rotation}
      - dispatch: {workflow: other.yml, repository: acme/web, url: "https://gitea.example/api/v1", inputs: {env: live}}
      - http: {url: "https://app.example/health", header: X-Token}
      - command: [/usr/bin/false, --deploy]
`
)

// many is a matrix of 60, of one organisation.
func many() string {
	var b strings.Builder
	b.WriteString(`rotations:
  - name: deploy ${app}
    provider: {fly: {app: "${app}", expiry: 60d}}
    sinks: [{github: {name: FLY_DEPLOY_TOKEN, repository: "example/${app}"}}]
    verify: [{dispatch: {workflow: deploy.yml, repository: "example/${app}"}}]
    matrix:
`)
	for i := range 60 {
		fmt.Fprintf(&b, "      - {app: app-%d}\n", i)
	}
	return b.String()
}

// configurations are all that the lab is tried with.
func configurations(t testing.TB) map[string]string {
	all := map[string]string{
		"flagship":   flagship,
		"blumeops":   blumeops,
		"matrix":     many(),
		"undoable":   undoable,
		"parameters": parameters,
		"current":    current,
		"shared":     shared,
		"kept":       kept,
		"wide":       wide,
		"clusters":   clusters,
		"govuk":      govuk(t),
	}
	for _, name := range []string{"fly-github.yaml", "fly-forgejo.yaml"} {
		text, err := os.ReadFile("../../../examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}
