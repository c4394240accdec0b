package github

// routes is the part of the API that is emulated. The rights are those of GitHub's page "Permissions
// required for fine-grained personal access tokens".
func (s *Server) routes() []route {
	rt := []route{
		{pattern: "GET /user", operation: "get-user", do: s.getUser},
		{pattern: "GET /repos/{owner}/{repo}", operation: "get-repository", do: s.getRepository},
		{pattern: "GET /repos/{owner}/{repo}/environments/{environment}", operation: "get-environment",
			right: "actions", level: "read", do: s.getEnvironment},

		{pattern: "GET /repos/{owner}/{repo}/actions/workflows/{workflow}", operation: "get-workflow",
			right: "actions", level: "read", do: s.getWorkflow},
		{pattern: "PUT /repos/{owner}/{repo}/actions/workflows/{workflow}/enable", operation: "enable-workflow",
			right: "actions", level: "write", do: s.enableWorkflow},
		{pattern: "POST /repos/{owner}/{repo}/actions/workflows/{workflow}/dispatches", operation: "dispatch",
			right: "actions", level: "write", do: s.dispatch},
		{pattern: "GET /repos/{owner}/{repo}/actions/workflows/{workflow}/runs", operation: "list-runs",
			right: "actions", level: "read", do: s.listRuns},
		{pattern: "GET /repos/{owner}/{repo}/actions/runs", operation: "list-runs",
			right: "actions", level: "read", do: s.listRuns},
		{pattern: "GET /repos/{owner}/{repo}/actions/runs/{run}", operation: "get-run",
			right: "actions", level: "read", do: s.getRun},
		{pattern: "POST /repos/{owner}/{repo}/actions/runs/{run}/cancel", operation: "cancel-run",
			right: "actions", level: "write", do: s.cancelRun},

		{pattern: "GET /repos/{owner}/{repo}/installation", operation: "get-installation", app: true, do: s.getInstallation},
		{pattern: "GET /orgs/{org}/installation", operation: "get-installation", app: true, do: s.getInstallation},
		{pattern: "POST /app/installations/{installation}/access_tokens", operation: "create-token", app: true, do: s.createToken},
		{pattern: "DELETE /installation/token", operation: "revoke-token", do: s.revokeToken},

		{pattern: "GET /orgs/{org}/actions/secrets/{name}/repositories", operation: "list-selected",
			right: "organization_secrets", level: "read", do: s.listSelected},
	}
	for _, l := range []struct{ at, secrets, variables string }{
		{"/repos/{owner}/{repo}/actions", "secrets", "actions_variables"},
		{"/repos/{owner}/{repo}/environments/{environment}", "environments", "environments"},
		{"/orgs/{org}/actions", "organization_secrets", "organization_actions_variables"},
	} {
		rt = append(rt,
			route{"GET " + l.at + "/secrets/public-key", "public-key", l.secrets, "read", false, s.publicKey},
			route{"GET " + l.at + "/secrets/{name}", "get-secret", l.secrets, "read", false, s.getSecret},
			route{"PUT " + l.at + "/secrets/{name}", "put-secret", l.secrets, "write", false, s.putSecret},
			route{"DELETE " + l.at + "/secrets/{name}", "delete-secret", l.secrets, "write", false, s.deleteSecret},
			route{"GET " + l.at + "/variables/{name}", "get-variable", l.variables, "read", false, s.getVariable},
			route{"POST " + l.at + "/variables", "put-variable", l.variables, "write", false, s.createVariable},
			route{"PATCH " + l.at + "/variables/{name}", "put-variable", l.variables, "write", false, s.updateVariable},
			route{"DELETE " + l.at + "/variables/{name}", "delete-variable", l.variables, "write", false, s.deleteVariable},
		)
	}
	return rt
}
