package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestExamples loads configurations with the real adapters, and holds the schema to them.
func TestExamples(t *testing.T) {
	hub := runner()
	hub["GITHUB_SERVER_URL"], hub["GITHUB_API_URL"] = "https://github.com", "https://api.github.com"
	forge := runner()
	forge["GITHUB_API_URL"], forge["REMINT_FORGEJO_TOKEN"] = "https://git.example.com/api/v1", "forgejo-canary"
	forge["GITHUB_TOKEN"], forge["GITHUB_RUN_ID"], forge["AWS_REGION"] = "job-canary", "7", "eu-west-1"
	for _, tt := range []struct {
		name, text string
		env        map[string]string
		sinks      int
	}{
		{"Fly.io and GitHub, all of it", four, hub, 1},
		{"Fly.io, Forgejo and AWS", `
rotations:
  - name: blumeops-proxy deploy
    provider: {fly: {org: personal, expiry: 90d}}
    every: 75d
    adopt: ["blumeops-proxy deploy *"]
    sinks:
      - aws-secrets-manager: {secret: blumeops/fly, key: deploy-token}
      - forgejo: FLY_DEPLOY_TOKEN
    verify: [{dispatch: deploy-fly.yaml}]
`, forge, 2},
		{"a file and a program", `
rotations:
  - name: try
    id: try
    provider: {fly: {app: web, expiry: 90d}}
    prove: [{http: "https://api.example.com/whoami"}]
    sinks: [{file: /run/secrets/fly}]
    verify: [{command: {run: [./smoke-test.sh], secret-env: TOKEN}}]
`, hub, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := with(tt.env)
			o.ReadFile = nil
			c, err := Load([]byte(tt.text), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Warnings) > 0 {
				t.Errorf("warnings: %v", c.Warnings)
			}
			if r := c.Rotations[0]; r.Every != 75*day || len(r.Sinks) != tt.sinks || len(r.Verify) != 1 {
				t.Errorf("%+v", r.Rotation)
			}
			j := newJudge(t, Schema())
			if !j.valid(j.root, fromYAML(t, tt.text)) {
				t.Error("the schema refuses it")
			}
		})
	}
}

// TestExampleFiles loads what the repository shows to people.
func TestExampleFiles(t *testing.T) {
	files, _ := filepath.Glob("../../examples/*.yaml")
	for _, file := range files {
		if strings.HasSuffix(file, ".workflow.yaml") { // stands beside its configuration
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		env := map[string]string{"GITHUB_REPOSITORY": "example/web", "GITHUB_SERVER_URL": "https://github.com", "AWS_REGION": "eu-west-1"}
		if env["GITHUB_API_URL"] = "https://api.github.com"; strings.Contains(file, "forgejo") {
			env["GITHUB_SERVER_URL"], env["GITHUB_API_URL"] = "https://git.example.com", "https://git.example.com/api/v1"
		}
		o := with(env)
		o.Path = filepath.Base(file)
		o.Invent = func(_, key string) rotate.Secret { return rotate.NewSecret("made-up-" + key) }
		if _, err := Load(text, o); err != nil {
			t.Error(err)
		}
		if j := newJudge(t, Schema()); !j.valid(j.root, fromYAML(t, string(text))) {
			t.Errorf("the schema refuses %s", file)
		}
	}
}

// TestOutsideRunner: what a person meets who tries the first example on a desk.
func TestOutsideRunner(t *testing.T) {
	_, err := Load([]byte(four), with(map[string]string{}))
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rotations[0].id: no identity outside a runner",
		"rotations[0].provider.fly.token: no credential: environment variable FLY_API_TOKEN is not set",
		"rotations[0].sinks[0].github.repository: ",
		"rotations[0].sinks[0].github.token: ",
		"rotations[0].verify[0].dispatch.repository: missing; give repository, or set GITHUB_REPOSITORY",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}
