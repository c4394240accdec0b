package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// TestEgress: one line for every host, whatever names it how often, without a credential and without a call.
func TestEgress(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "")
	const text = `rotations:
  - name: web deploy
    id: web
    provider: {fly: {app: web, expiry: 90d}}
    prove: [{http: {url: "https://API.fly.io:443/whoami?key=hidden-query", method: HEAD}}]
    sinks:
      - github: {name: A, repository: example/web, app: {id: "1"}}
      - github: {name: B, repository: example/web, current: {env: B}}
      - forgejo: {name: C, repository: example/web, url: "https://git.example:3000/api/v1"}
      - file: /etc/web/token
    verify: [{dispatch: {workflow: deploy.yml, repository: example/web}}, {command: [./smoke.sh, --fast]}]
`
	run := func(args ...string) string {
		var out, errs bytes.Buffer
		if code := Main(context.Background(), Process{Args: append([]string{"egress", "-c", text}, args...), Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &errs}); code != Done {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		if strings.Contains(out.String(), "hidden-query") {
			t.Errorf("a query is shown: %s", out.String())
		}
		return out.String()
	}
	want := []string{
		"https://api.fly.io", "HEAD,POST", "mints, lists, proves and revokes tokens; tries the credential",
		"https://api.github.com", "DELETE,GET,PATCH,POST,PUT",
		"https://git.example:3000", "DELETE,GET,POST,PUT", "writes the secret and its marker",
		"anything: command:./smoke.sh --fast: runs ./smoke.sh, which may contact anything",
	}
	got := run()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q is missing:\n%s", w, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 4 {
		t.Errorf("%d lines:\n%s", n, got)
	}
	var doc struct {
		Endpoints []contact
		Unknown   []open
	}
	if err := json.Unmarshal([]byte(run("--format", "json")), &doc); err != nil || len(doc.Endpoints) != 3 || len(doc.Unknown) != 1 ||
		doc.Endpoints[2].Host != "git.example" || doc.Endpoints[2].Port != "3000" || doc.Endpoints[0].Port != "443" {
		t.Errorf("%+v, %v", doc, err)
	}
}
