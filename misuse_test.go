package main_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// What people get wrong, and what they read then. Every message says where and what to do; nothing is minted, nothing is
// changed. The exit code is 2 where the configuration alone tells, and 1 where only a service could.

// misuse is one wrong way to run the program.
type misuse struct {
	name   string
	config string            // {provider}, {sinks}, {verify}, {more} or the whole of it
	env    map[string]string // "" unsets; $NAME is a variable of the world
	before func(w *world)
	code   int
	run    string   // the command, if only one is tried; a refused connection is tried again for seconds
	want   []string // patterns, each of which matches a line of standard error or output
}

// asked is the configuration of a test that differs in one place.
func asked(provider, sinks, verify string) string {
	return "rotations:\n  - name: web deploy\n    provider: " + provider + "\n    sinks: " + sinks + "\n    verify: " + verify + "\n"
}

const (
	goodProvider = "{fly: {app: web, expiry: 90d}}"
	goodSinks    = "[{github: FLY_DEPLOY_TOKEN}]"
	goodVerify   = "[{dispatch: deploy.yml}]"
)

func provider(text string) string { return asked(text, goodSinks, goodVerify) }
func sinks(text string) string    { return asked(goodProvider, text, goodVerify) }
func verify(text string) string   { return asked(goodProvider, goodSinks, text) }

var misuses = []misuse{
	// The configuration.
	{name: "unknown key", config: provider("{fly: {app: web, expirry: 90d}}"), code: 2,
		want: []string{`^remint\.yaml:3:32: rotations\[0\]\.provider\.fly\.expirry: unknown key; did you mean expiry\?`}},
	{name: "wrong type", config: provider("{fly: {app: [web], expiry: soon}}"), code: 2,
		want: []string{`^remint\.yaml:3:27: .*\.app: want text`, `^remint\.yaml:3:42: .*\.expiry: .*soon.*90d`}},
	{name: "unknown adapter", config: asked("{flyio: {app: web}}", "[{githib: X}]", "[{dispach: x.yml}]"), code: 2,
		want: []string{`^remint\.yaml:3:\d+: .*flyio.*\bfly\b`, `^remint\.yaml:4:\d+: .*githib.*\bgithub\b`, `^remint\.yaml:5:\d+: .*dispach.*\bdispatch\b`}},
	{name: "missing credential", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"FLY_API_TOKEN": "", "REMINT_GITHUB_TOKEN": ""}, code: 2,
		want: []string{`^remint\.yaml:3:\d+: .*provider\.fly\.token: .*FLY_API_TOKEN`, `^remint\.yaml:4:\d+: .*github.*REMINT_GITHUB_TOKEN`}},
	{name: "credential in a missing file", config: provider("{fly: {app: web, expiry: 90d, token: {file: none}}}"), code: 2,
		want: []string{`^remint\.yaml:3:\d+: .*token: .*file.*does not exist`}},
	{name: "credential written down", config: provider("{fly: {app: web, expiry: 90d, token: fo1_a_token_in_a_file_that_many_read}}"), code: 2,
		want: []string{`^remint\.yaml:3:\d+: .*token: .*\{env: `}},
	{name: "name that GitHub refuses", config: sinks("[{github: GITHUB_TOKEN}, {github: 1ST}, {github: A-B}]"), code: 2,
		want: []string{`^remint\.yaml:4:\d+: .*"GITHUB_TOKEN": names that begin with GITHUB_`, `^remint\.yaml:4:\d+: .*"1ST"`, `^remint\.yaml:4:\d+: .*"A-B"`}},
	{name: "name that Forgejo refuses", config: sinks("[{forgejo: {name: GITEA_TOKEN, url: $FORGEJO_API_URL}}]"), code: 2,
		want: []string{`^remint\.yaml:4:\d+: .*GITEA_`}},
	{name: "plain http", config: provider("{fly: {app: web, expiry: 90d, url: 'http://fly.example.com'}}"), code: 2,
		want: []string{`^remint\.yaml:3:\d+: .*url: .*http`}},
	{name: "renewal after the end", config: asked(goodProvider, goodSinks, goodVerify) + "    every: 89d\n", code: 2,
		want: []string{`^remint\.yaml:\d+:\d+: .*every: .*two days|^remint\.yaml:\d+:\d+: .*every`}},
	{name: "no identity outside a runner", config: asked(goodProvider, "[{file: token}]", "[]"), env: map[string]string{"GITHUB_REPOSITORY": "", "GITHUB_SERVER_URL": ""}, code: 2,
		want: []string{`^remint\.yaml:2:\d+: .*\bid\b`}},
	{name: "two of one name", config: asked(goodProvider, goodSinks, goodVerify) + strings.TrimPrefix(asked(goodProvider, "[{github: OTHER}]", "[]"), "rotations:\n"), code: 2,
		want: []string{`^remint\.yaml:6:\d+: .*name.*"web deploy" is not unique`}},
	{name: "empty", config: "", code: 2, want: []string{`^remint\.yaml.*rotations`}},
	{name: "not YAML", config: "rotations: [\n", code: 2, want: []string{`^remint\.yaml:\d+:\d+: `}},
	{name: "binary", config: "\x7fELF\x00\x01\xff", code: 2, want: []string{`^remint\.yaml:\d+:\d+: `}},
	{name: "bomb", config: bomb(), code: 2, want: []string{`^remint\.yaml:\d+:\d+: .*(alias|large|many)`}},
	{name: "deep", config: "rotations: " + strings.Repeat("[", 100_000), code: 2, want: []string{`^remint\.yaml:\d+:\d+: `}},
	{name: "10 MB", config: "rotations:\n" + strings.Repeat("# nothing at all, but a lot of it\n", 300_000), code: 2, want: []string{`^remint\.yaml:\d+:\d+: .*limit`}},

	// What only a service can tell.
	{name: "unreachable host", config: asked("{fly: {app: web, expiry: 90d, url: $CLOSED_URL}}", goodSinks, goodVerify), code: 1, run: "run",
		want: []string{`fly:app/web: .*temporary failure: .*connection refused`}},
	{name: "unreachable forge", config: sinks("[{github: {name: FLY_DEPLOY_TOKEN, url: $CLOSED_URL}}]"), code: 1, run: "run",
		want: []string{`github:.*FLY_DEPLOY_TOKEN: .*temporary failure: .*connection refused`}},
	{name: "unknown app", config: provider("{fly: {app: wep, expiry: 90d}}"), code: 1, want: []string{`fly:app/wep: not found: .*wep`}},
	{name: "unknown organisation", config: provider("{fly: {org: nobody, expiry: 90d}}"), code: 1, want: []string{`fly:org/nobody: not found: .*nobody`}},
	{name: "organisation token as minting credential", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"FLY_API_TOKEN": "$FLY_ORG_TOKEN"}, code: 1, run: "check",
		want: []string{`fly:app/web: permission denied: .*organisation or deploy token.*give a user's token`}},
	{name: "dead minting credential", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"FLY_API_TOKEN": "fo1_nobody_knows_this_credential"}, code: 1,
		want: []string{`fly:app/web: permission denied`}},
	{name: "no right to write secrets", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"REMINT_GITHUB_TOKEN": "$PAT_WITHOUT_SECRETS"}, code: 1,
		want: []string{`github:.*FLY_DEPLOY_TOKEN: permission denied: .*403.*; grant .*Secrets: write`}},
	{name: "no right to write variables", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"REMINT_GITHUB_TOKEN": "$PAT_WITHOUT_VARIABLES"}, code: 1,
		want: []string{`github:.*FLY_DEPLOY_TOKEN: .*permission denied: .*403.*; grant .*Variables: write`}},
	{name: "the job's own token", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"REMINT_GITHUB_TOKEN": "$GITHUB_TOKEN"}, code: 1,
		want: []string{`github:.*FLY_DEPLOY_TOKEN: .*GITHUB_TOKEN`}},
	{name: "dead GitHub token", config: asked(goodProvider, goodSinks, goodVerify), env: map[string]string{"REMINT_GITHUB_TOKEN": "$PAT_UNKNOWN"}, code: 1,
		want: []string{`github:.*FLY_DEPLOY_TOKEN: .*permission denied: .*401`}},
	{name: "unknown repository", config: sinks("[{github: {name: FLY_DEPLOY_TOKEN, repository: example/wep}}]"), code: 1,
		want: []string{`github:.*example/wep/FLY_DEPLOY_TOKEN: not found: .*there is no repository example/wep`}},
	{name: "unknown environment", config: sinks("[{github: {name: FLY_DEPLOY_TOKEN, environment: prod}}]"), code: 1,
		want: []string{`github:.*prod.*FLY_DEPLOY_TOKEN: not found: .*prod`}},
	{name: "unknown org", config: sinks("[{github: {name: FLY_DEPLOY_TOKEN, org: exampel}}]"), code: 1,
		want: []string{`github:.*exampel/FLY_DEPLOY_TOKEN: not found: .*exampel`}},
	{name: "unknown secret", config: sinks("[{github: FLY_DEPLOY_TOKNE}]"), code: 1,
		want: []string{`github:.*FLY_DEPLOY_TOKNE: not found: .*has no Actions secret FLY_DEPLOY_TOKNE: correct the name`}},
	{name: "unknown workflow", config: verify("[{dispatch: deplyo.yml}]"), code: 1,
		want: []string{`dispatch:example/web/deplyo\.yml: not found: .*there is no workflow deplyo\.yml`}},
	{name: "unknown secret in AWS", config: sinks("[{aws-secrets-manager: no/such}]"), code: 1,
		want: []string{`aws-secrets-manager:.*no/such: not found: .*exists in region eu-west-1`}},
	{name: "unknown key in AWS", config: sinks("[{aws-secrets-manager: {secret: example/web/fly, key: tokne}}]"), code: 1,
		want: []string{`aws-secrets-manager:.*fly#tokne: .*tokne`}},
	{name: "no right in AWS", config: sinks("[{aws-secrets-manager: {secret: example/web/fly, key: token}}]"), code: 1,
		before: func(w *world) {
			w.aws.Overwrite(awsSecret, `{"token":"`+w.old+`"}`)
			w.aws.Deny("secretsmanager:PutSecretValue")
		},
		want: []string{`aws-secrets-manager:.*fly#token: permission denied: .*secretsmanager:PutSecretValue`}},
	{name: "another account", config: sinks(`[{aws-secrets-manager: {secret: example/web/fly, key: token, account: "222222222222"}}]`), code: 1,
		want: []string{`aws-secrets-manager:.*222222222222`}},
	{name: "no folder", config: sinks("[{file: none/token}]"), code: 1, want: []string{`file:none/token: not found`}},
	{name: "no variable in a dotenv file", config: sinks("[{file: {path: remint.yaml, key: FLY}}]"), code: 1, want: []string{`file:remint\.yaml#FLY: .*FLY`}},
}

// bomb is a few hundred bytes that stand for a billion.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: &a [x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c <= 'j'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 9), ", "))
	}
	return b.String() + "rotations: *j\n"
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	path := build(t)
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, 6) // more than t.Parallel gives: they wait for refused connections, and do not compute
	each := func(m misuse) {
		t.Run(m.name, func(t *testing.T) {
			w, env := worldOf(t)
			var err error
			if w.old, err = w.handmade("web by hand", 80, "github:"+secretName); err != nil {
				t.Fatal(err)
			}
			if m.before != nil {
				m.before(w)
			}
			expand := func(text string) string {
				return os.Expand(text, func(name string) string {
					if v, ok := env[name]; ok {
						return v
					}
					return "$" + name
				})
			}
			for name, value := range m.env {
				env[name] = expand(value)
			}
			if err := os.WriteFile(filepath.Join(w.dir, "remint.yaml"), []byte(expand(m.config)), 0o600); err != nil {
				t.Fatal(err)
			}
			before := files(t, w.dir)
			for _, command := range []string{"run", "check"} {
				if m.run != "" && m.run != command {
					continue
				}
				code, out, took := w.launch(t, path, env, command)
				if code != m.code {
					t.Errorf("%s: exit code %d, want %d", command, code, m.code)
				}
				for _, want := range m.want {
					if !regexp.MustCompile(`(?m)` + want).MatchString(out) {
						t.Errorf("%s: no line matches %s", command, want)
					}
				}
				if m.code == 2 && len(w.requests()) != 0 {
					t.Errorf("%s: asked %q", command, w.requests())
				}
				if wrote := w.writes(); len(wrote) != 0 {
					t.Errorf("%s: wrote %q", command, wrote)
				}
				for _, found := range w.leaks(out) {
					t.Errorf("%s: %s", command, found)
				}
				if testing.Verbose() || t.Failed() {
					t.Logf("%s, %s:\n%.3000s", command, took.Round(time.Millisecond), out)
				}
				if m.code == 2 {
					break // no service was asked, and check reads the configuration in the same way
				}
			}
			if w.minted() != 0 || w.live("web by hand") != 1 {
				t.Errorf("%d tokens minted, %d of the old one live", w.minted(), w.live("web by hand"))
			}
			if after := files(t, w.dir); after != before {
				t.Error("files changed")
			}
		})
	}
	for _, m := range misuses {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			each(m)
		})
	}
}

// launch runs the program in this world and returns its exit code and all that it printed.
func (w *world) launch(t *testing.T, path string, env map[string]string, args ...string) (code int, out string, took time.Duration) {
	t.Helper()
	w.begin()
	cmd := exec.Command(path, args...)
	cmd.Dir = w.dir
	for name, value := range env {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	began := time.Now()
	err := cmd.Start()
	if err == nil {
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		timer.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), b.String(), time.Since(began)
}

// files is a digest of every file in a folder: its path, mode and content.
func files(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		stat, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %s %d\n%s\n", path, stat.Mode(), len(b), b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(sum.Sum(nil))
}
