package config

import (
	"github.com/remint-dev/remint/pkg/providers/fastly"
	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
	"github.com/remint-dev/remint/pkg/sinks/file"
	"github.com/remint-dev/remint/pkg/sinks/forgejo"
	"github.com/remint-dev/remint/pkg/sinks/github"
	"github.com/remint-dev/remint/pkg/sinks/kubernetessecret"
	"github.com/remint-dev/remint/pkg/sinks/ssm"
	"github.com/remint-dev/remint/pkg/verify/argocd"
	"github.com/remint-dev/remint/pkg/verify/command"
	"github.com/remint-dev/remint/pkg/verify/dispatch"
	"github.com/remint-dev/remint/pkg/verify/externalsecret"
	"github.com/remint-dev/remint/pkg/verify/httpcheck"
	"github.com/remint-dev/remint/pkg/verify/job"
	"github.com/remint-dev/remint/pkg/verify/podlogs"
	"github.com/remint-dev/remint/pkg/verify/prometheus"
	"github.com/remint-dev/remint/pkg/verify/rollout"
)

// adapters is the list: a new adapter is one entry here.
func adapters() catalog {
	return catalog{
		provider("fly", func() *fly.Provider { return new(fly.Provider) },
			"Deploy tokens of Fly.io, of one app or of a whole organisation.",
			"provider: {fly: {app: web, expiry: 90d}}"),
		provider("fastly", func() *fastly.Provider { return new(fastly.Provider) },
			"Automation tokens and user tokens of Fastly.",
			`provider: {fastly: {role: user, scope: "global:read", services: {contains: production}, expiry: 90d}}`),

		sink("github", func() *github.Secret { return new(github.Secret) },
			"An Actions secret on GitHub or GitHub Enterprise Server: of a repository, an environment or an organization.", ""),
		sink("forgejo", func() *forgejo.Secret { return new(forgejo.Secret) },
			"An Actions secret on Forgejo or Gitea: of a repository, an organization or a user.", ""),
		sink("aws-secrets-manager", func() *awssecretsmanager.Secret { return new(awssecretsmanager.Secret) },
			"A secret in AWS Secrets Manager: its whole value, or one key of a JSON object.", ""),
		sink("aws-parameter-store", func() *ssm.Parameter { return new(ssm.Parameter) },
			"A parameter of AWS Systems Manager Parameter Store.", ""),
		sink("kubernetes-secret", func() *kubernetessecret.Secret { return new(kubernetessecret.Secret) },
			"One key of a Secret in a Kubernetes cluster.",
			"cluster: {eks: production, region: eu-west-1, namespace: web}\nsinks: [{kubernetes-secret: web-token/FLY_API_TOKEN}]"),
		sink("file", func() *file.File { return new(file.File) },
			"A file: the credential and nothing else, or one line of a dotenv file.", ""),

		verifier("dispatch", func() *dispatch.Workflow { return new(dispatch.Workflow) },
			"Starts a workflow on GitHub, Forgejo or Gitea and follows that very run to its end: the verification deploy.", ""),
		verifier("http", func() *httpcheck.Request { return new(httpcheck.Request) },
			"Sends a request that carries the credential and looks at the answer.", ""),
		verifier("external-secret", func() *externalsecret.Sync { return new(externalsecret.Sync) },
			"Makes the External Secrets Operator sync now, and compares the resulting Kubernetes Secret.",
			"cluster: {eks: production, region: eu-west-1, namespace: monitoring}\nverify: [{external-secret: web-token}]"),
		verifier("rollout", func() *rollout.Rollout { return new(rollout.Rollout) },
			"Restarts workloads in a Kubernetes cluster, or waits until somebody did, and waits until every pod is a new one that is ready.",
			"cluster: {eks: production, region: eu-west-1, namespace: monitoring}\nverify: [{rollout: {deployment: web, restart: true}}]"),
		verifier("job-from-cronjob", func() *job.Run { return new(job.Run) },
			"Makes a Job from a CronJob in a Kubernetes cluster and waits for its end.",
			"cluster: {eks: production, region: eu-west-1, namespace: monitoring}\nverify: [{job-from-cronjob: sync-tokens}]"),
		verifier("pod-logs", func() *podlogs.Logs { return new(podlogs.Logs) },
			"Looks into what pods log with the credential. Advice only: never the one proof.",
			"cluster: {eks: production, region: eu-west-1, namespace: monitoring}\nverify: [{rollout: {deployment: web, restart: true}}, {pod-logs: {deployment: web, refuse: [Unauthorized]}}]"),
		verifier("prometheus", func() *prometheus.Query { return new(prometheus.Query) },
			"Asks Prometheus, until only samples scraped since the rollout say what they should: what the consumer reports of the token it runs with.",
			`verify: [{prometheus: {url: "https://prometheus.example.com", query: 'token_expiration{token_id="${token.id}"}', equals: "${token.expires.unix}"}}]`),
		verifier("argocd", func() *argocd.Application { return new(argocd.Application) },
			"Makes an application of Argo CD take up what was written (refresh, resource actions, sync) and waits until it is synced and healthy.",
			"verify: [{argocd: {application: web, server: argocd.example.com}}]"),
		verifier("command", func() *command.Program { return new(command.Program) },
			"Runs a program of yours, without a shell.", ""),
	}
}
