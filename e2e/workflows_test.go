//go:build e2e

package e2e

// The workflows and configurations of the repositories under test.

import (
	"fmt"
	"strings"
	"testing"
)

// deployYAML is what rotation must not break: it calls Fly.io with the secret, and fails if Fly.io refuses it or if the
// variable DEPLOY_FAILS is 1. The secret reaches curl by its standard input.
func deployYAML(fly string) string {
	return strings.NewReplacer("FLY_URL", fly, "AGENT", deployAgent).Replace(`name: deploy
on: {workflow_dispatch: {}}
jobs:
  deploy:
    runs-on: self-hosted
    steps:
      - name: call Fly.io as a deploy does
        env:
          FLY_DEPLOY_TOKEN: ${{ secrets.FLY_DEPLOY_TOKEN }}
          DEPLOY_FAILS: ${{ vars.DEPLOY_FAILS }}
        run: |
          set -eu
          answer=$(printf 'header = "Authorization: %s"\n' "$FLY_DEPLOY_TOKEN" |
            curl -sS -m 20 --config - -A AGENT -H 'Content-Type: application/json' -d '{"query":"{ viewer { __typename } }"}' FLY_URL/graphql)
          echo "Fly.io says $answer"
          case $answer in
            *'"errors"'*) echo "refused"; exit 1 ;;
            *Macaroon*) ;;
            *) echo "strange"; exit 1 ;;
          esac
          test "$DEPLOY_FAILS" != 1
`)
}

// rotateYAML runs the binary in a job on the host, with the configuration of a clone. The clone's credential is in the
// environment.
func rotateYAML(fly string, env ...string) string {
	return strings.NewReplacer("FLY_URL", fly, "BINARY", remint, "MORE_ENV", strings.Join(env, "\n          ")).Replace(`name: rotate
on:
  workflow_dispatch:
    inputs:
      force: {type: string, default: "false"}
      only: {type: string}
      compromised: {type: string}
      alone: {type: string, default: "false"}
jobs:
  rotate:
    runs-on: self-hosted
    steps:
      - name: rotate
        env:
          FLY_API_BASE_URL: FLY_URL
          FLY_API_TOKEN: ${{ secrets.FLY_API_TOKEN }}
          REMINT_FORGEJO_TOKEN: ${{ secrets.REMINT_FORGEJO_TOKEN }}
          GITHUB_TOKEN: ${{ github.token }}
          FORCE: ${{ inputs.force }}
          ONLY: ${{ inputs.only }}
          COMPROMISED: ${{ inputs.compromised }}
          ALONE: ${{ inputs.alone }}
          MORE_ENV
        run: |
          set -u
          export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraHeader GIT_CONFIG_VALUE_0="Authorization: token $GITHUB_TOKEN"
          git clone -q --depth 1 "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY.git" tree || exit 90
          set -- run -c tree/remint.yaml --force="$FORCE" --alone="$ALONE"
          test -z "$ONLY" || set -- "$@" --only "$ONLY"
          test -z "$COMPROMISED" || set -- "$@" --compromised "$COMPROMISED"
          code=0
          BINARY "$@" || code=$?
          echo "remint exits with $code"
          exit $code
`)
}

// remintYAML is a configuration like a user's, but that it looks at the deploy more often.
func remintYAML(adopt, sink string) string {
	return fmt.Sprintf(`rotations:
  - name: web deploy
    provider: {fly: {org: %s, expiry: 90d}}
    adopt: [%q]
    sinks: [%s]
    verify: [{dispatch: {workflow: deploy.yml, interval: 1s, timeout: 1m}}]
`, flyOrg, adopt, sink)
}

// consumer makes a repository whose secret FLY_DEPLOY_TOKEN holds a token made by hand, with the workflows deploy.yml
// and rotate.yml and what they need.
func consumer(t *testing.T, x *tenant, f *flyio, byHand, sink string, env ...string) (r *repository, old string) {
	t.Helper()
	_, old = f.byHand(byHand)
	r = x.repository(x.org, true, map[string]string{
		".gitea/workflows/deploy.yml": deployYAML(f.url),
		".gitea/workflows/rotate.yml": rotateYAML(f.url, env...),
		"remint.yaml":                 remintYAML(byHand, sink),
	})
	r.fly = f
	r.secret("FLY_DEPLOY_TOKEN", old)
	r.secret("FLY_API_TOKEN", f.bot)
	r.secret("REMINT_FORGEJO_TOKEN", x.accessToken("write:repository"))
	return r, old
}
