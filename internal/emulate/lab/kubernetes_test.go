package lab

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// clusters has every adapter that needs a cluster, and every way into one.
const clusters = `rotations:
  - name: in secrets
    provider: {fly: {app: web, expiry: 90d}}
    cluster: {context: production, namespace: apps}
    sinks:
      - kubernetes-secret: web/FLY_API_TOKEN
      - kubernetes-secret: {secret: other, key: token, namespace: jobs}
    verify:
      - rollout: {deployment: web, restart: true}
      - rollout: {consumers: auto, secret: web, restart: true}
      - rollout: {statefulset: db, restart: true}
      - rollout: {daemonset: agent, restart: true}
      - job-from-cronjob: {cronjob: sync, namespace: jobs}
      - pod-logs: {deployment: web, refuse: ['status_code=401'], require: ['service=found']}
      - prometheus: {service: "https:prometheus:web/prefix", query: 'up{job="web"}', above: "0", below: "2", for: 2m}
  - name: reloaded
    provider: {fly: {app: api, expiry: 90d}}
    cluster: {in-cluster: true}
    sinks:
      - kubernetes-secret: web/TOKEN
      - file: /etc/api/token
    verify:
      - rollout: {deployment: api, secret: web}
      - pod-logs: {selector: "app.kubernetes.io/name=api,tier!=db", refuse: [Unauthorized]}
      - prometheus: {url: "https://prometheus.example/prefix", user: remint, password: {env: PROMETHEUS}, query: 'token_created{id="${token.id}"}', equals: "${token.created.unix}"}
      - prometheus: {url: "https://prometheus.example", token: {env: PROMETHEUS}, query: 'sum(rate(errors_total[5m]))', below: "1", within: 10m}
  - name: fetched
    provider: {fly: {org: acme, expiry: 90d}}
    cluster: {server: "https://kube.example:6443", token: {env: KUBE_TOKEN}, ca: /etc/kube/ca.pem}
    sinks:
      - aws-secrets-manager: web/fly
      - file: {path: /etc/api/env, key: TOKEN}
    verify:
      - external-secret: {name: web, key: token}
      - rollout: {deployment: web, restart: true}
      - rollout: {deployment: alone, namespace: other, restart: true}
      - rollout: {consumers: auto, secret: copied, namespace: other, restart: true}
      - job-from-cronjob: {cronjob: sync, namespace: other}
  - name: on eks
    provider: {fly: {org: acme, expiry: 90d}}
    cluster: {eks: production, region: eu-west-2, account: "222222222222", role: "arn:aws:iam::222222222222:role/ci/remint", namespace: apps}
    adopt: ["on eks*"]
    sinks:
      - aws-secrets-manager: {secret: web/fly, key: token}
      - kubernetes-secret: beside/token
    verify:
      - external-secret: web
      - rollout: {deployment: web, restart: true}
  - name: by argo
    provider: {fly: {app: argo, expiry: 90d}}
    sinks: [{aws-secrets-manager: {secret: argo/fly, key: token}}]
    verify:
      - argocd:
          application: exporter
          server: argocd.example.com/argo
          token: {env: ARGOCD}
          actions:
            - {kind: ExternalSecret, name: exporter, action: refresh, namespace: monitoring}
            - {kind: Deployment, name: exporter, action: restart, namespace: monitoring}
            - {kind: CronJob, name: report, action: create-job}
            - {kind: Rollout, group: argoproj.io, version: v1alpha1, name: other, action: restart}
      - argocd: {application: whole, app-namespace: apps, project: web, server: "https://argocd.example.com/argo", token: {env: ARGOCD}, sync: true}
`

const verified = `
    verify:
      - external-secret: web
      - rollout: {deployment: web, restart: true}
      - pod-logs: {deployment: web, refuse: [x]}
      - prometheus: {service: "prometheus:9090", query: 'up{id="${token.id}"}', above: "0"}
`

// argoOnly reaches its consumers through Argo CD only.
const argoOnly = `rotations:
  - name: web
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{aws-secrets-manager: {secret: web/fly, key: token}}]
    verify:
      - argocd:
          application: web
          server: argocd.example.com
          token: {env: ARGOCD}
          actions: [{kind: ExternalSecret, name: web, action: refresh}, {kind: Deployment, name: web, action: restart}]
`

// inCluster is one rotation whose consumers run in a cluster.
const inCluster = `rotations:
  - name: web
    provider: {fly: {app: web, expiry: 90d}}
    cluster: {eks: production, region: eu-west-1}
    sinks: [{aws-secrets-manager: {secret: web/fly, key: token}}]` + verified

// govuk is the example with three environments.
func govuk(t testing.TB) string {
	text, err := os.ReadFile("../../../examples/govuk-fastly.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// held is what each sink and each workload holds: old or newborn.
func held(l *Lab) map[string][]string {
	out := map[string][]string{}
	for _, h := range l.Holdings() {
		name := "newborn"
		for _, r := range l.rotations {
			if r.past.Name == h.Token {
				name = "old"
			}
		}
		out[h.Rotation+" "+h.Sink] = append(out[h.Rotation+" "+h.Sink], name)
	}
	return out
}

// Every verifier in a cluster can be what fails; then all that consumers hold and run with is the old token.
func TestFailInCluster(t *testing.T) {
	for _, x := range []struct {
		config, step string
		outcome      rotate.Outcome
		want         string
	}{
		{inCluster, "write", rotate.Failed, "old"},
		{inCluster, "verify:1", rotate.Restored, "old"},
		{inCluster, "verify:2", rotate.Restored, "old"},
		{inCluster, "verify:3", rotate.Restored, "old"},
		{inCluster, "verify:4", rotate.Restored, "old"},
		{inCluster, "revoke", rotate.Failed, "newborn"},
		{argoOnly, "verify:1", rotate.Restored, "old"},
		{strings.Replace(inCluster, "pod-logs: {deployment: web, refuse: [x]}", "job-from-cronjob: sync", 1), "verify:3", rotate.Restored, "old"},
	} {
		t.Run(x.step, func(t *testing.T) {
			l, c := begin(t, x.config, nil)
			if err := l.Fail(x.step); err != nil {
				t.Fatal(err)
			}
			res, err := runAll(t, c, rotate.Options{})
			if err == nil || res.Outcome != x.outcome {
				t.Errorf("outcome %q, want %q: %v", res.Outcome, x.outcome, err)
			}
			works(t, l)
			all := held(l)
			if len(all) != 2 {
				t.Errorf("%v", all)
			}
			for at, tokens := range all {
				if !slices.Equal(tokens, []string{x.want}) {
					t.Errorf("%s: %s, want %s", at, tokens, x.want)
				}
			}
		})
	}
}

// Pods run with what their Secret held when they started, and metrics and logs tell what they run with.
func TestTruth(t *testing.T) {
	l, c := begin(t, inCluster, nil)
	r := l.rotations[0]
	k := r.consumers[0].in
	newborn, err := r.Provider.Mint(t.Context(), r.Name+" 20260102T030405Z-aaaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	if err := write(r.Sinks[0], newborn); err != nil {
		t.Fatal(err)
	}
	try := func(i int, want bool) {
		t.Helper()
		if err := c.Rotations[0].Verify[i].Verify(t.Context(), newborn); (err == nil) != want {
			t.Errorf("%s: %v", c.Rotations[0].Verify[i], err)
		}
	}
	runs := func(want string) {
		t.Helper()
		texts, _ := r.running()
		for _, text := range texts {
			if token, _, _ := r.mint.whose(text); token.Name != want {
				t.Errorf("it runs with %s, not %s", token.Name, want)
			}
		}
		if len(texts) == 0 {
			t.Error("nothing runs")
		}
	}
	k.Settle()
	runs(r.past.Name)
	try(3, false) // the exporter still works with the old one
	try(0, true)
	k.Settle()
	runs(r.past.Name) // the Secret is new, the pods are not
	try(3, false)
	try(1, true)
	runs(newborn.Name)
	try(2, true)
	try(3, true)
	// A token that the provider does not accept rolls out all the same, but nothing works with it.
	if err := r.Provider.Revoke(t.Context(), newborn.Token); err != nil {
		t.Fatal(err)
	}
	try(1, true)
	try(2, false)
	try(3, false)
	for _, h := range l.Holdings() {
		if h.Works {
			t.Errorf("%s is said to work", h.Sink)
		}
	}
}

// The environments go one after the other; the first that fails is restored, and later ones are not begun.
func TestGovuk(t *testing.T) {
	for _, step := range []string{"", "verify", "verify:2", "verify:3", "verify:4"} {
		t.Run(step, func(t *testing.T) {
			l, c := begin(t, govuk(t), nil)
			if step != "" {
				if err := l.Fail(step); err != nil {
					t.Fatal(err)
				}
			}
			before := len(l.Requests())
			res, err := c.Rotations[0].Run(t.Context(), rotate.Options{})
			want, outcome := "newborn", rotate.Outcome(rotate.Rotated)
			if step != "" {
				want, outcome = "old", rotate.Restored
			}
			if res.Outcome != outcome || (err == nil) != (step == "") {
				t.Errorf("%s: %v", res.Outcome, err)
			}
			works(t, l)
			for at, tokens := range held(l) {
				expect := "old"
				if strings.HasPrefix(at, c.Rotations[0].Name+" ") {
					expect = want
				}
				if !slices.Equal(tokens, []string{expect}) {
					t.Errorf("%s: %s, want %s", at, tokens, expect)
				}
			}
			for _, q := range l.Requests()[before:] {
				if strings.Contains(q, "staging") || strings.Contains(q, "production") {
					t.Errorf("another environment was touched: %s", q)
				}
			}
		})
	}
}
