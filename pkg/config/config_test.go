package config

import (
	"errors"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

var update = flag.Bool("update", false, "rewrite the golden files, the reference and the schema")

const day = 24 * time.Hour

const four = `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: FLY_DEPLOY_TOKEN}]
    verify: [{dispatch: deploy.yml}]
`

func mustLoad(t *testing.T, text string, o Options) *Config {
	t.Helper()
	c, err := load([]byte(text), o, fakes())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func TestFourLines(t *testing.T) {
	var told []string
	o := with(runner())
	o.OnSecret = func(s rotate.Secret) { told = append(told, s.Reveal()) }
	o.Transport = http.DefaultTransport
	c := mustLoad(t, four, o)
	if len(c.Rotations) != 1 || c.Parallel != 1 || len(c.Warnings) != 0 {
		t.Fatalf("%d rotations, parallel %d, warnings %v", len(c.Rotations), c.Parallel, c.Warnings)
	}
	r := c.Rotations[0]
	if r.ID != "git.example.com/example/web/web deploy" || r.Name != "web deploy" {
		t.Errorf("id %q, name %q", r.ID, r.Name)
	}
	if r.Every != 75*day || r.Grace != 0 || r.Spread != 0 || r.MaxRevoke != 10 || r.Deadline != time.Hour || !r.Compromised.IsZero() || r.Adopt != nil {
		t.Errorf("defaults: %+v", r.Rotation)
	}
	fly := r.Provider.(*fakeFly)
	if fly.App != "web" || fly.Expiry != 90*day || fly.MaxApps != 1 || fly.URL != "https://api.fly.example" || fly.Token.Reveal() != "fo1_canary_fly" || fly.Transport == nil || fly.Shared == nil {
		t.Errorf("fly: %+v", fly)
	}
	gh := r.Sinks[0].(*fakeGitHub)
	if gh.Name != "FLY_DEPLOY_TOKEN" || gh.Repository != "example/web" || gh.Kind != "repository" || gh.Token.Reveal() != "ghp_canary_github" || gh.App != nil || !gh.Current.IsZero() {
		t.Errorf("github: %+v", gh)
	}
	if len(told) != 2 || told[0] != "fo1_canary_fly" || told[1] != "ghp_canary_github" {
		t.Errorf("OnSecret was told %q", told)
	}
	var at []string
	for _, a := range r.Adapters {
		at = append(at, a.Key)
	}
	if want := []string{"rotations[0].provider.fly", "rotations[0].sinks[0].github", "rotations[0].verify[0].dispatch"}; !reflect.DeepEqual(at, want) {
		t.Errorf("adapters at %q", at)
	}
	if a := r.Adapters[1]; a.Line != 4 || a.Column != 14 || r.Line != 2 || r.Column != 5 {
		t.Errorf("positions: %+v, rotation %d:%d", a, r.Line, r.Column)
	}
}

const everything = `# every form once
defaults:
  grace: 1h
  fly: {expiry: 60d}
  github: {kind: environment}
  dispatch: {timeout: 5m}
parallel: 3
rotations:
  - name: deploy of ${env}
    id: example/${env}/$${x}
    matrix:
      - {env: staging, nr: 012}
      - {env: production, nr: 2}
    parallel: 2
    provider:
      fly:
        org: org-${nr}
        token: {env: "FLY_${nr}"}
        max-apps: 4
    prove: [sync, {command: [probe, --name, "${token.id}"]}]
    sinks:
      - github:
          name: TOKEN_${nr}
          kind: organization
          create: true
          app: {id: 17, key: {file: /keys/app}}
          current: {env: CURRENT}
      - github: OTHER_${env}
    verify:
      - sync:
      - dispatch:
          workflow: "${env}.yml"
          inputs: {a: 1, b: "", c: yes}
          checks:
            - /health
            - {path: /ready, status: [200, 301], strict: true}
      - command:
          args: one
          env: {A: {env: CURRENT}}
          from: 2026-01-01T00:00:00Z
    every: 1w2d
    spread: 12h
    adopt: [by hand *, "id: t-${nr}"]
    max-revoke: 3
    deadline: 90m
    compromised: 2025-05-05T05:05:05+02:00
  - name: second
    provider: {fly: {app: web, expiry: 1y}}
    sinks: [github: A]
    verify: [sync]
    grace: 0
    adopt: old
`

func TestEverything(t *testing.T) {
	env := runner()
	env["FLY_012"], env["FLY_2"], env["CURRENT"], env["file:/keys/app"] = "fly-twelve", "fly-two", "current-value", "-----KEY\nx\n-----END\n\n"
	c := mustLoad(t, everything, with(env))
	if c.Parallel != 3 || len(c.Rotations) != 3 {
		t.Fatalf("%+v", c)
	}
	if g := c.Groups(); len(g) != 2 || len(g[0]) != 2 || len(g[1]) != 1 {
		t.Errorf("groups %v", g)
	}
	r := c.Rotations[0]
	if r.Name != "deploy of staging" || r.ID != "example/staging/${x}" || r.Parallel != 2 || r.Group != 0 {
		t.Errorf("%q %q %d %d", r.Name, r.ID, r.Parallel, r.Group)
	}
	if r.Every != 9*day || r.Grace != time.Hour || r.Spread != 12*time.Hour || r.MaxRevoke != 3 || r.Deadline != 90*time.Minute ||
		!r.Compromised.Equal(time.Date(2025, 5, 5, 3, 5, 5, 0, time.UTC)) {
		t.Errorf("%+v", r.Rotation)
	}
	fly := r.Provider.(*fakeFly)
	if fly.Org != "org-012" || fly.Expiry != 60*day || fly.Token.Reveal() != "fly-twelve" || fly.MaxApps != 4 {
		t.Errorf("%+v", fly)
	}
	if cmd := r.Prove[1].(*fakeCommand); !reflect.DeepEqual(cmd.Args, []string{"probe", "--name", "${token.id}"}) {
		t.Errorf("%q", cmd.Args)
	}
	gh := r.Sinks[0].(*fakeGitHub)
	if gh.Name != "TOKEN_012" || gh.Kind != "organization" || !gh.Create || gh.App.ID != "17" || gh.App.Key.Reveal() != "-----KEY\nx\n-----END" || gh.App.Days != 7 || gh.Current.Reveal() != "current-value" {
		t.Errorf("%+v %+v", gh, gh.App)
	}
	if gh := r.Sinks[1].(*fakeGitHub); gh.Kind != "environment" || gh.Name != "OTHER_staging" {
		t.Errorf("%+v", gh)
	}
	d := r.Verify[1].(*fakeDispatch)
	if d.Workflow != "staging.yml" || d.Timeout != 5*time.Minute || !maps.Equal(d.Inputs, map[string]string{"a": "1", "b": "", "c": "yes"}) {
		t.Errorf("%+v", d)
	}
	if len(d.Checks) != 2 || d.Checks[0].Path != "/health" || !reflect.DeepEqual(d.Checks[0].Status, []int{200, 204}) || d.Checks[0].Strict != nil ||
		!reflect.DeepEqual(d.Checks[1].Status, []int{200, 301}) || !*d.Checks[1].Strict {
		t.Errorf("%+v", d.Checks)
	}
	if cmd := r.Verify[2].(*fakeCommand); cmd.Args[0] != "one" || cmd.Env["A"].Reveal() != "current-value" || cmd.From.Year() != 2026 {
		t.Errorf("%+v", cmd)
	}
	for text, want := range map[string]bool{"by hand 1": true, "other": false, "by hand 20260101T000000Z-abcdefghijklmn": false} {
		if r.Adopt(rotate.Token{Name: text}) != want {
			t.Errorf("adopt %q: %v", text, !want)
		}
	}
	if !r.Adopt(rotate.Token{ID: "t-012"}) || r.Adopt(rotate.Token{ID: "t-2"}) || r.Adopt(rotate.Token{}) {
		t.Error("adopt by id")
	}
	two := c.Rotations[2]
	if two.Grace != 0 || two.Every != (365*day/6*5).Truncate(time.Hour) || two.Group != 1 || two.Parallel != 1 || !two.Adopt(rotate.Token{Name: "old"}) {
		t.Errorf("%+v", two.Rotation)
	}
	if a, b := r.Provider.(*fakeFly).Shared, two.Provider.(*fakeFly).Shared; a == nil || a != b {
		t.Error("Shared is not shared")
	}
	other := mustLoad(t, four, with(env))
	if other.Rotations[0].Provider.(*fakeFly).Shared == two.Provider.(*fakeFly).Shared {
		t.Error("Shared is shared between configurations")
	}
}

// TestProblems loads every testdata/bad/*.yaml and compares what Load says with the .txt beside it. Lines that
// begin with "#env NAME=value" set the environment (without a value: unset).
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			env := runner()
			for line := range strings.Lines(string(text)) {
				if set, ok := strings.CutPrefix(line, "#env "); ok {
					name, value, _ := strings.Cut(strings.TrimSpace(set), "=")
					env[name] = value
				}
			}
			o := with(env)
			c, err := load(text, o, fakes())
			got := ""
			if err != nil {
				var ps Problems
				if !errors.As(err, &ps) || !errors.Is(err, rotate.ErrConfig) {
					t.Fatalf("%T is no Problems, or does not wrap ErrConfig", err)
				}
				got = err.Error() + "\n"
			} else {
				for _, w := range c.Warnings {
					got += "warning: " + w.String() + "\n"
				}
			}
			if strings.Contains(got, "canary") {
				t.Errorf("a message repeats a credential:\n%s", got)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", got)
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func TestInvent(t *testing.T) {
	env := map[string]string{"GITHUB_SERVER_URL": "https://h", "GITHUB_REPOSITORY": "a/b"}
	o := with(env)
	var asked []string
	o.Invent = func(adapter, key string) rotate.Secret {
		asked = append(asked, adapter+"."+key)
		return rotate.NewSecret("made-up-" + key)
	}
	told := 0
	o.OnSecret = func(rotate.Secret) { told++ }
	c := mustLoad(t, `
rotations:
  - name: n
    provider: {fly: {app: web, expiry: 90d, token: {env: NOT_SET}}}
    sinks: [{github: A}, {github: {name: B, app: {id: 1}, current: {file: /does/not/exist}}}]
    verify: [sync]
`, o)
	want := []string{"fly.token", "github.token", "github.current", "github.app.key"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	if told != 3 { // token is made up alike for both
		t.Errorf("OnSecret was told %d times", told)
	}
	if s := c.Rotations[0].Sinks[0].(*fakeGitHub); s.Token.Reveal() != "made-up-token" || !s.Current.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestHostile(t *testing.T) {
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		c, p := string(rune('b'+i)), string(rune('a'+i))
		bomb += c + ": &" + c + " [" + strings.Repeat("*"+p+",", 9) + "]\n"
	}
	var grow strings.Builder // a value of 1000 bytes, used 300 × 256 times
	grow.WriteString("rotations:\n- name: ${i}\n  provider: {fly: {app: '" + strings.Repeat("${x}", 300) + "', expiry: 90d}}\n  sinks: [github: '${i}']\n  matrix:\n")
	for i := range 256 {
		grow.WriteString("  - {i: n" + string(rune('A'+i/16)) + string(rune('A'+i%16)) + ", x: " + strings.Repeat("x", 1000) + "}\n")
	}
	for _, tt := range []struct{ name, text, want string }{
		{"size", strings.Repeat("#", 10<<20), "remint.yaml:1:1: a configuration of 10485760 bytes is refused; the limit is 262144"},
		{"depth", "a: " + deep, "remint.yaml:1:67: nested more than 64 deep"},
		{"very deep", strings.Repeat("[", 20000), "remint.yaml:1:1: not YAML: exceeded max depth of 10000"},
		{"bomb", bomb, "remint.yaml:5:17: up to here the configuration expands to more than 25000 values; a small text with many aliases must not fill the memory"},
		{"many", "rotations:\n" + strings.Repeat("- []\n", 40000), "remint.yaml:25001:3: up to here the configuration expands to more than 25000 values"},
		{"cycle", "a: &a [*a]", "remint.yaml:1:8: an alias stands for something that contains it"},
		{"far cycle", "a: &a {b: [c, {d: *a}]}", "remint.yaml:1:19: an alias stands for something that contains it"},
		{"no UTF-8", "a: b\nc: \xff", "remint.yaml:2:4: the text is not UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "remint.yaml:1:1: the text is UTF-16; save it as UTF-8"},
		{"NUL", "a: b\x00", "remint.yaml:1:5: control character U+0000; remove it"},
		{"empty", "", "remint.yaml:1:1: the configuration is empty; it needs at least `rotations:`"},
		{"comment", "# nothing\n", "remint.yaml:1:1: the configuration is empty; it needs at least `rotations:`"},
		{"scalar", "remint.yml", "remint.yaml:1:1: want a mapping with the key rotations, found a single value"},
		{"list", "- a", "remint.yaml:1:1: want a mapping with the key rotations, found a list"},
		{"null", "~", "remint.yaml:1:1: want a mapping with the key rotations, found nothing"},
		{"documents", four + "---\n" + four, "remint.yaml:6:1: a second document begins"},
		{"broken second document", four + "---\n[", "remint.yaml:"},
		{"tab", "rotations:\n\t- name: x\n", "remint.yaml:2:1: a tab cannot indent YAML; use spaces"},
		{"unclosed", "a: [1, 2\nb: 3\n", "remint.yaml:2:1: not YAML: did not find expected ',' or ']'"},
		{"indent", "a:\n  - b\n c: d\n", "remint.yaml:3:2: not YAML: did not find expected key"},
		{"colon", "a: b: c", "remint.yaml:1:1: not YAML: a second `: ` in one line"},
		{"at sign", "a:\n  b: @x", "remint.yaml:2:3: not YAML: a value cannot begin with @"},
		{"anchor", "a: *.yml", "remint.yaml:1:1: not YAML: an alias (*) to an anchor (&) that is not there"},
		{"merge", "x: &x {a: b}\ny: {<<: *x}", "remint.yaml:2:5: merge keys (<<) are not supported"},
		{"tag", "rotations: !!binary x", "remint.yaml:1:12: tags (!) have no meaning here; remove it"},
		{"complex key", "? [a]\n: b", "remint.yaml:1:3: a key must be text"},
		{"twice", "parallel: 1\nparallel: 2", "remint.yaml:2:1: the key parallel is given twice, first in line 1"},
		{"expansion", grow.String(), "remint.yaml:3:25: rotations[0].provider.fly.app: the variables of the matrices make the texts too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Now()
			_, err := load([]byte(tt.text), with(runner()), fakes())
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains("\n"+err.Error(), "\n"+tt.want) {
				t.Errorf("got %.300s\nwant %s", err, tt.want)
			}
			if len(err.Error()) > 200_000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	if _, err := load([]byte("\ufeff"+four), with(runner()), fakes()); err != nil {
		t.Errorf("with a byte order mark: %v", err)
	}
	if _, err := load([]byte("---\n"+strings.ReplaceAll(four, "\n", "\r\n")), with(runner()), fakes()); err != nil {
		t.Errorf("with CRLF: %v", err)
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration
		err  string
	}{
		{"0", 0, ""}, {"0s", 0, ""}, {"90d", 90 * day, ""}, {"2w", 14 * day, ""}, {"12h", 12 * time.Hour, ""},
		{"30m", 30 * time.Minute, ""}, {"45s", 45 * time.Second, ""}, {"1d12h", 36 * time.Hour, ""}, {"1y2w", 379 * day, ""},
		{"292y", 292 * 365 * day, ""},
		{"90", 0, `"90" has no unit; write 90d for days or 90h for hours`},
		{"1d12", 0, `"1d12": the last number has no unit`},
		{"", 0, "no duration"},
		{"-1d", 0, "negative"},
		{"1.5d", 0, `"1.5d" is no duration`},
		{"12h1d", 0, "is no duration"}, {"1d1d", 0, "is no duration"}, {"d", 0, "is no duration"}, {"1 d", 0, "is no duration"},
		{"3mo", 0, "months differ in length"}, {"3months", 0, "months differ in length"},
		{"300y", 0, "too long"}, {"99999999999999999999d", 0, "too long"}, {"292y200d", 0, "too long"},
		{"９d", 0, "is no duration"}, {"monday", 0, "is no duration"},
	} {
		got, err := ParseDuration(tt.text)
		if tt.err == "" && (err != nil || got != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%q: %v, %v; want %v, %s", tt.text, got, err, tt.want, tt.err)
		}
		if err == nil {
			if back, err := ParseDuration(FormatDuration(got)); err != nil || back != got {
				t.Errorf("%v is written %s and read %v (%v)", got, FormatDuration(got), back, err)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		glob, text string
		want       bool
	}{
		{"*", "", true}, {"*", "a/b c", true}, {"", "", true}, {"", "a", false}, {"a*", "abc", true}, {"*c", "abcabc", true},
		{"a*b*c", "aXbYbZc", true}, {"a*b", "a", false}, {"?", "ä", true}, {"??", "ä", false}, {"[x]", "[x]", true}, {"[x]", "x", false},
		{"web deploy *", "web deploy 2025", true}, {"web deploy *", "Web deploy 2025", false}, {"***a", "bba", true},
	} {
		if Match(tt.glob, tt.text) != tt.want {
			t.Errorf("%q, %q: %v", tt.glob, tt.text, !tt.want)
		}
	}
	if Match(strings.Repeat("*a", 50)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if _, err := Find(dir); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), ".forgejo/remint.yaml") {
		t.Errorf("none: %v", err)
	}
	put := func(name string) string {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(four), 0o644)); err != nil {
			t.Fatal(err)
		}
		return at
	}
	want := put(".github/remint.yaml")
	if got, err := Find(dir); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if text, err := Read(want); err != nil || string(text) != four {
		t.Errorf("%q, %v", text, err)
	}
	put("remint.yaml")
	if _, err := Find(dir); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("two: %v", err)
	}
	if _, err := Read(dir); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("a folder: %v", err)
	}
}

func TestLooksInline(t *testing.T) {
	for text, want := range map[string]bool{
		four: true, "rotations: []": true, "rotations:": true, "{rotations: []}": true, "a\nb": true,
		"remint.yaml": false, ".github/remint.yaml": false, "": false, " x.yaml\n": false, `C:\x\remint.yaml`: false,
	} {
		if LooksInline(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// FuzzLoad: never a panic; an error is always Problems, each with a position and one line.
func FuzzLoad(f *testing.F) {
	f.Add(four)
	f.Add(everything)
	f.Add("a: &a [*a]\n---\n!!x {<<: 1}")
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(string(text))
		}
	}
	f.Add("rotations:\n- name: a\n  provider: {fly: {org: o, expiry: 1d, url: 'http://x'}}\n  sinks: [forgejo: A, aws-secrets-manager: b, {file: {path: c, key: D, mode: '0777'}}, {github: {name: A, app: {id: 1}}}]\n  prove: [{http: {url: 'https://h/{', status: [2xx], body: '('}}, {command: {run: [a], env: {B: c}}}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		o := with(runner())
		o.ReadFile = func(string) ([]byte, error) { return nil, os.ErrNotExist }
		for _, list := range []catalog{fakes(), adapters()} {
			c, err := load([]byte(text), o, list)
			if err == nil {
				for _, r := range c.Rotations {
					if r.ID == "" || r.Name == "" || r.Provider == nil || len(r.Sinks) == 0 || r.Every <= 0 {
						t.Errorf("accepted %+v", r.Rotation)
					}
				}
				continue
			}
			ps, ok := err.(Problems)
			if !ok || len(ps) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, p := range ps {
				if p.Line < 1 || p.Column < 1 || p.Message == "" || strings.ContainsAny(p.String(), "\n\r\x00") || strings.Contains(p.String(), "canary") {
					t.Errorf("%+q", p)
				}
			}
		}
	})
}

// BenchmarkLoad loads 60 rotations with the real adapters.
func BenchmarkLoad(b *testing.B) {
	var text strings.Builder
	text.WriteString("rotations:\n")
	for i := range 60 {
		n := string(rune('A'+i/26)) + string(rune('A'+i%26))
		text.WriteString("  - name: deploy " + n + "\n    provider: {fly: {app: web, expiry: 90d}}\n    sinks: [{github: TOKEN_" + n + "}]\n    verify: [{dispatch: deploy.yml}]\n    spread: 10d\n")
	}
	in := []byte(text.String())
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	o := with(runner())
	for b.Loop() {
		if _, err := Load(in, o); err != nil {
			b.Fatal(err)
		}
	}
}
