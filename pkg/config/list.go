package config

import (
	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
	"github.com/remint-dev/remint/pkg/sinks/file"
	"github.com/remint-dev/remint/pkg/sinks/forgejo"
	"github.com/remint-dev/remint/pkg/sinks/github"
	"github.com/remint-dev/remint/pkg/verify/command"
	"github.com/remint-dev/remint/pkg/verify/dispatch"
	"github.com/remint-dev/remint/pkg/verify/httpcheck"
)

// adapters is the list: a new adapter is one entry here.
func adapters() catalog {
	return catalog{
		provider("fly", func() *fly.Provider { return new(fly.Provider) },
			"Deploy tokens of Fly.io, of one app or of a whole organisation.",
			"provider: {fly: {app: web, expiry: 90d}}"),

		sink("github", func() *github.Secret { return new(github.Secret) },
			"An Actions secret on GitHub or GitHub Enterprise Server: of a repository, an environment or an organization.", ""),
		sink("forgejo", func() *forgejo.Secret { return new(forgejo.Secret) },
			"An Actions secret on Forgejo or Gitea: of a repository, an organization or a user.", ""),
		sink("aws-secrets-manager", func() *awssecretsmanager.Secret { return new(awssecretsmanager.Secret) },
			"A secret in AWS Secrets Manager: its whole value, or one key of a JSON object.", ""),
		sink("file", func() *file.File { return new(file.File) },
			"A file: the credential and nothing else, or one line of a dotenv file.", ""),

		verifier("dispatch", func() *dispatch.Workflow { return new(dispatch.Workflow) },
			"Starts a workflow on GitHub, Forgejo or Gitea and follows that very run to its end: the verification deploy.", ""),
		verifier("http", func() *httpcheck.Request { return new(httpcheck.Request) },
			"Sends a request that carries the credential and looks at the answer.", ""),
		verifier("command", func() *command.Program { return new(command.Program) },
			"Runs a program of yours, without a shell.", ""),
	}
}
