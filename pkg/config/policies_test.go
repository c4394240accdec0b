package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
	"github.com/remint-dev/remint/pkg/sinks/kubernetessecret"
	"github.com/remint-dev/remint/pkg/verify/rollout"
)

const borrowing = `
rotations:
  - name: ${env} token
    id: example/${env}
    matrix: [{env: staging, account: "222222222222"}]
    cluster: {eks: "${env}", region: eu-west-2, account: "${account}", role: "arn:aws:iam::${account}:role/remint", namespace: monitoring}
    provider: {fly: {app: web, expiry: 90d, token: {env: T}}}
    hand-in: {env: NEW_TOKEN}
    attempts: 3
    acknowledge: true
    skip: "overwritten from ${env}"
    sinks:
      - aws-secrets-manager: {secret: a, key: k}
      - aws-secrets-manager: {secret: b, region: us-east-1}
      - kubernetes-secret: web/key
      - kubernetes-secret: {secret: other, key: k, namespace: its-own}
      - kubernetes-secret: {secret: far, key: k, cluster: {server: "https://api.example.com", token: {env: T}}}
    verify: [{rollout: {deployment: web, restart: true}}]
  - name: by people
    manual: see the wiki
`

func TestBorrowing(t *testing.T) {
	env := map[string]string{"T": "fo1_canary"}
	c, err := Load([]byte(borrowing), with(env))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Rotations[0]
	if len(c.Rotations) != 1 || r.Attempts != 3 || !r.Acknowledge || r.Skip != "overwritten from staging" {
		t.Errorf("%d rotations, %+v, skip %q", len(c.Rotations), r.Rotation, r.Skip)
	}
	if len(c.Manual) != 1 || c.Manual[0].Name != "by people" || c.Manual[0].How != "see the wiki" {
		t.Errorf("manual: %+v", c.Manual)
	}
	if r.HandIn == nil || !r.HandIn.Secret.IsZero() {
		t.Errorf("nothing was handed in, and yet: %+v", r.HandIn)
	}
	first, second := r.Sinks[0].(*awssecretsmanager.Secret), r.Sinks[1].(*awssecretsmanager.Secret)
	if first.Region != "eu-west-2" || first.Role != "arn:aws:iam::222222222222:role/remint" || first.Account != "222222222222" {
		t.Errorf("the first sink borrowed %q %q %q", first.Region, first.Role, first.Account)
	}
	if second.Region != "us-east-1" || second.Account != "222222222222" {
		t.Errorf("what a sink says itself is kept: %q %q", second.Region, second.Account)
	}
	var clusters []*cluster.Cluster
	for _, s := range r.Sinks[2:] {
		clusters = append(clusters, s.(*kubernetessecret.Secret).Cluster)
	}
	clusters = append(clusters, r.Verify[0].(*rollout.Rollout).Cluster)
	if clusters[0] == nil || clusters[0] != clusters[1] || clusters[0] != clusters[3] || clusters[2] == clusters[0] {
		t.Errorf("clusters are not shared as they should be: %v", clusters)
	}
	if clusters[0].EKS != "staging" || clusters[2].Server != "https://api.example.com" {
		t.Errorf("%v, %v", clusters[0], clusters[2])
	}
	for i, want := range []string{"monitoring", "its-own", ""} {
		if got := r.Sinks[2+i].(*kubernetessecret.Secret).Namespace; got != want {
			t.Errorf("sink %d is in namespace %q, want %q", 2+i, got, want)
		}
	}

	env["NEW_TOKEN"] = "handed in canary"
	if c, err = Load([]byte(borrowing), with(env)); err != nil || c.Rotations[0].HandIn.Secret.Reveal() != "handed in canary" {
		t.Errorf("handed in: %+v, %v", c, err)
	}
}

func TestPolicyProblems(t *testing.T) {
	const head = "rotations:\n  - name: a\n    id: b\n    provider: {fly: {app: web, expiry: 90d, token: {env: T}}}\n    sinks: [{file: /tmp/x}]\n"
	for _, tt := range []struct{ name, text, want string }{
		{"attempts with a dispatch", head + "    attempts: 2\n    verify: [{dispatch: {workflow: deploy.yml, repository: a/b, forge: github, url: 'https://api.github.com', token: {env: T}}}]", "7:15: rotations[0].verify[0].dispatch: cannot be run again in one run"},
		{"attempts out of range", head + "    attempts: 11\n    verify: [{http: 'https://example.com'}]", "want a number from 1 to 10"},
		{"step 13: logs alone are no proof", head + "    cluster: {server: 'https://api.example.com', token: {env: T}}\n    verify: [{pod-logs: {deployment: web, refuse: [x]}}]", "shows that something is wrong, but never that a token works"},
		{"a cluster that is none", head + "    cluster: {namespace: x}\n    verify: [{rollout: web}]", "rotations[0].cluster"},
		{"a cluster of an adapter that is none", head + "    verify: [{rollout: {deployment: web, cluster: {eks: a, server: 'https://x.example.com'}}}]", "rotations[0].verify[0].rollout.cluster"},
		{"left to people and more", "rotations:\n  - name: a\n    manual: by hand\n    sinks: []\n", "4:5: rotations[0].sinks: a rotation that is left to people has a name and nothing else"},
		{"hand-in: a token written down is refused", head + "    hand-in: fo1_secret\n    verify: [{http: 'https://example.com'}]", "a credential is never written in a configuration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load([]byte(tt.text), with(map[string]string{"T": "fo1_canary"}))
			var p Problems
			if !errors.As(err, &p) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant it to say %q", err, tt.want)
			}
		})
	}
}
