package lab

import (
	"os"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// inSignon has two pairs of one Signon, of which one has another sink beside.
const inSignon = `rotations:
  - name: short-url-manager publishing-api
    cluster: {eks: production, region: eu-west-1, namespace: apps}
    provider: {signon: {user: short-url-manager@alphagov.co.uk, application: publishing-api, url: "https://signon.example"}}
    every: 650d
    adopt: ["*"]
    sinks: [{signon-sync: {secret: signon-token-short-url-manager-publishing-api}}]
    verify: [{rollout: {consumers: auto, secret: signon-token-short-url-manager-publishing-api}}]
  - name: whitehall router
    cluster: {eks: production, region: eu-west-1, namespace: apps}
    provider: {signon: {user: whitehall@alphagov.co.uk, application: router-api, url: "https://signon.example", via: job}}
    every: 650d
    sinks: [{signon-sync: {secret: signon-token-whitehall-router-api}}, {aws-secrets-manager: {secret: whitehall/router, key: token}}]
    verify: [{rollout: {deployment: whitehall, restart: true}}]
`

func TestSignon(t *testing.T) {
	l, c := begin(t, inSignon, nil)
	if _, err := runAll(t, c, rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	works(t, l)
	if n := len(l.Tokens()); n != 2 {
		t.Errorf("%d tokens live, want one for each pair", n)
	}
	all := strings.Join(l.Requests(), "\n")
	for _, want := range []string{"POST signon.example /oauth/introspect", "GET signon.example /user.json"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
}

func TestSignonFailures(t *testing.T) {
	for _, step := range []string{"mint", "mint-lost", "prove", "write:1", "verify", "revoke"} {
		t.Run(step, func(t *testing.T) {
			l, c := begin(t, inSignon, nil)
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

func TestSignonExample(t *testing.T) {
	text, err := os.ReadFile("../../../examples/signon.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l, c := begin(t, string(text), nil)
	if _, err := runAll(t, c, rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	works(t, l)
}
