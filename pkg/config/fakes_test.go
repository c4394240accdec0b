package config

import (
	"context"
	"net/http"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// The fakes have every type of field that the loader knows.

type account struct{ _ int } // not of size 0: those may share an address

type fakeFly struct {
	App       string        `yaml:"app" example:"web" doc:"The app."`
	Org       string        `yaml:"org" doc:"The organisation."`
	Expiry    time.Duration `yaml:"expiry" example:"90d" doc:"Life of a token."`
	MaxApps   int           `yaml:"max-apps" default:"1" doc:"Warns beyond."`
	Token     rotate.Secret `yaml:"token" required:"true" env:"FLY_API_TOKEN" doc:"Mints."`
	URL       string        `yaml:"url" default:"https://api.fly.example" env:"FLY_API_BASE_URL" doc:"The API."`
	Transport http.RoundTripper
	Shared    *account
}

func (p *fakeFly) Validate() error {
	if p.App == "" && p.Org == "" {
		return rotate.Field("app", "give app or org")
	}
	if p.App == "leak" {
		return rotate.Field("app", "the adapter repeats %s", p.Token.Reveal())
	}
	if p.URL == "ftp" {
		return rotate.Field("url", "not https")
	}
	return nil
}
func (p *fakeFly) Life() time.Duration { return p.Expiry }
func (p *fakeFly) Mint(context.Context, string) (rotate.Credential, error) {
	return rotate.Credential{}, nil
}
func (p *fakeFly) List(context.Context) ([]rotate.Token, error) { return nil, nil }
func (p *fakeFly) Revoke(context.Context, rotate.Token) error   { return nil }
func (p *fakeFly) Identify(context.Context, rotate.Secret) (rotate.Token, error) {
	return rotate.Token{}, nil
}
func (p *fakeFly) String() string { return "fly:" + p.App + p.Org }

type app struct {
	ID   string        `yaml:"id" required:"true" doc:"Its id."`
	Key  rotate.Secret `yaml:"key" required:"true" env:"APP_KEY" doc:"Its key."`
	Days int           `yaml:"days" default:"7"`
}

type fakeGitHub struct {
	Name       string        `yaml:"name" required:"true" scalar:"true" example:"FLY_DEPLOY_TOKEN" doc:"The secret."`
	Repository string        `yaml:"repository" required:"true" env:"GITHUB_REPOSITORY" doc:"The repository."`
	Kind       string        `yaml:"kind" default:"repository" enum:"repository,environment,organization" doc:"Which."`
	Create     bool          `yaml:"create" doc:"Create it."`
	Token      rotate.Secret `yaml:"token" env:"REMINT_GITHUB_TOKEN" doc:"Writes."`
	Current    rotate.Secret `yaml:"current" doc:"Handed in."`
	App        *app          `yaml:"app" doc:"Instead of a token."`
	Transport  http.RoundTripper
}

func (s *fakeGitHub) Validate() error {
	if s.Token.IsZero() && s.App == nil {
		return rotate.Field("token", "no credential: set REMINT_GITHUB_TOKEN, or give token or app")
	}
	return nil
}
func (s *fakeGitHub) Write(context.Context, rotate.Credential) error     { return nil }
func (s *fakeGitHub) Held(context.Context) (h rotate.Holding, err error) { return }
func (s *fakeGitHub) String() string                                     { return "github:" + s.Repository + "/" + s.Name }

type fakeMute struct{}

func (*fakeMute) Write(context.Context, rotate.Credential) error { return nil }
func (*fakeMute) String() string                                 { return "mute" }

type fakeDispatch struct {
	Workflow string            `yaml:"workflow" required:"true" scalar:"true" example:"deploy.yml" doc:"The file | name."`
	Inputs   map[string]string `yaml:"inputs" doc:"Its inputs."`
	Checks   []check           `yaml:"checks" doc:"Several."`
	Timeout  time.Duration     `yaml:"timeout" default:"30m" doc:"How long."`
}

type check struct {
	Path   string  `yaml:"path" required:"true" scalar:"true"`
	Status []int   `yaml:"status" default:"200,204"`
	Strict *bool   `yaml:"strict"`
	Ratio  []check `yaml:"-"`
}

func (*fakeDispatch) Verify(context.Context, rotate.Credential) error { return nil }
func (v *fakeDispatch) String() string                                { return "dispatch:" + v.Workflow }

type fakeCommand struct {
	Args []string                 `yaml:"args" required:"true" scalar:"true" example:"[true]" doc:"Program and arguments."`
	Env  map[string]rotate.Secret `yaml:"env" doc:"More."`
	From time.Time                `yaml:"from" doc:"Not before."`
}

func (*fakeCommand) Verify(context.Context, rotate.Credential) error { return nil }
func (*fakeCommand) String() string                                  { return "command" }

type fakeSync struct{}

func (*fakeSync) Verify(context.Context, rotate.Credential) error { return nil }
func (*fakeSync) String() string                                  { return "sync" }

func fakes() catalog {
	return catalog{
		provider("fly", func() *fakeFly { return new(fakeFly) }, "Tokens of Fly.", "provider: {fly: {app: web, expiry: 90d}}"),
		sink("github", func() *fakeGitHub { return new(fakeGitHub) }, "Secrets of GitHub.", ""),
		sink("mute", func() *fakeMute { return new(fakeMute) }, "Says nothing.", ""),
		verifier("dispatch", func() *fakeDispatch { return new(fakeDispatch) }, "Runs a workflow.", ""),
		verifier("command", func() *fakeCommand { return new(fakeCommand) }, "Runs a program.", ""),
		verifier("sync", func() *fakeSync { return new(fakeSync) }, "Needs nothing.", ""),
	}
}

// runner is the environment of a job.
func runner() map[string]string {
	return map[string]string{
		"GITHUB_SERVER_URL":   "https://Git.Example.com",
		"GITHUB_REPOSITORY":   "example/web",
		"FLY_API_TOKEN":       "fo1_canary_fly",
		"REMINT_GITHUB_TOKEN": "ghp_canary_github\n",
	}
}

func with(env map[string]string) Options {
	return Options{
		Path:   "remint.yaml",
		Getenv: func(name string) string { return env[name] },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := env["file:"+path]; ok {
				return []byte(text), nil
			}
			return readCredential(path)
		},
	}
}
