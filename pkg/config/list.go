package config

import (
	"github.com/remint-dev/remint/pkg/providers/cloudflare"
	providercommand "github.com/remint-dev/remint/pkg/providers/command"
	"github.com/remint-dev/remint/pkg/providers/fastly"
	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/providers/random"
	"github.com/remint-dev/remint/pkg/providers/signon"
	"github.com/remint-dev/remint/pkg/providers/tailscale"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
	sinkcommand "github.com/remint-dev/remint/pkg/sinks/command"
	"github.com/remint-dev/remint/pkg/sinks/file"
	"github.com/remint-dev/remint/pkg/sinks/forgejo"
	"github.com/remint-dev/remint/pkg/sinks/github"
	"github.com/remint-dev/remint/pkg/sinks/kubernetessecret"
	"github.com/remint-dev/remint/pkg/sinks/onepassword"
	"github.com/remint-dev/remint/pkg/sinks/signonsync"
	"github.com/remint-dev/remint/pkg/sinks/ssm"
	"github.com/remint-dev/remint/pkg/sinks/vault"
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
		provider("signon", func() *signon.Provider { return new(signon.Provider) },
			"Tokens of an API user for an application in Signon, the single sign-on of GOV.UK, by a script that runs in Signon.",
			"cluster: {eks: production, region: eu-west-1, namespace: apps}\nprovider: {signon: {user: web@example.org, application: publishing-api, url: \"https://signon.example.org\"}}"),
		provider("cloudflare", func() *cloudflare.Provider { return new(cloudflare.Provider) },
			"API tokens of Cloudflare, of a user or owned by an account: created and deleted, never rolled. Built from Cloudflare's documentation and from reports; not yet tried on the real service: the answer to the deletion of a token that is gone, how soon changes show, and when a token was last used.",
			`provider: {cloudflare: {policies: [{permissions: [DNS Write], resources: ["com.cloudflare.api.account.zone.eb78d65290b24279ba6f44721b3ea3c4"]}], expiry: 90d}}`),
		provider("tailscale", func() *tailscale.Provider { return new(tailscale.Provider) },
			"Auth keys of a tailnet, which devices register with. No request but a registration shows that one works, so the sinks need markers. Built from Tailscale's OpenAPI description; not yet tried on the real service: whether lists have all fields, the answer to the deletion of a key that is gone, and how soon a deletion shows. The rotation's name may have 28 letters, digits, hyphens and spaces.",
			`provider: {tailscale: {tags: ["tag:server"], preauthorized: true}}`),
		provider("random", func() *random.Provider { return new(random.Provider) },
			"Passwords, HMAC keys and webhook keys that remint makes itself. No service knows them: whoever checks accepts what the sink holds and what it keeps beside, so there must be exactly one sink, with previous, and whoever checks must take up a new value before anybody presents it: let it read the sink each time, or restart it by the first verifier. The old value stops working when the sink forgets it, which with grace is a later day; who was given it in its environment needs a restart to forget it too.",
			"provider: {random: {bytes: 32}}\nsinks: [{kubernetes-secret: {secret: web/WEBHOOK_SECRET, previous: WEBHOOK_SECRET_PREVIOUS}}]\nverify: [{rollout: {deployment: receiver, restart: true}}, {rollout: {deployment: sender, restart: true}}]"),
		provider("command", func() *providercommand.Provider { return new(providercommand.Provider) },
			"Tokens of any service, by a program of yours that speaks the protocol of docs/protocol.md.",
			"provider: {command: {run: [./my-provider], can: [identify], expiry: 90d}}"),

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
		sink("onepassword", func() *onepassword.Field { return new(onepassword.Field) },
			"One field of an item in 1Password, through a Connect server.",
			`sinks: [{onepassword: {reference: "op://blumeops/fly.io admin/add more/deploy-token", host: "https://connect.example.com"}}]`),
		sink("vault", func() *vault.Secret { return new(vault.Secret) },
			"One key of a secret in HashiCorp Vault or OpenBao, in a KV secrets engine of version 2.",
			`sinks: [{vault: {address: "https://vault.example.com:8200", path: ci/fly, key: token}}]`),
		sink("signon-sync", func() *signonsync.Sync { return new(signonsync.Sync) },
			"The Secret that Signon copies a token of its own into: runs its sync Job. Stands only beside the provider signon.",
			"cluster: {eks: production, region: eu-west-1, namespace: apps}\nsinks: [signon-sync]"),
		sink("file", func() *file.File { return new(file.File) },
			"A file: the credential and nothing else, or one line of a dotenv file.", ""),
		sink("command", func() *sinkcommand.Sink { return new(sinkcommand.Sink) },
			"Any place, by a program of yours that speaks the protocol of docs/protocol.md.",
			"sinks:\n  - command: {run: [./my-sink], can: [held, mark]}"),

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
