package lab

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
	"github.com/remint-dev/remint/pkg/sinks/file"
	"github.com/remint-dev/remint/pkg/sinks/forgejo"
	"github.com/remint-dev/remint/pkg/sinks/github"
	"github.com/remint-dev/remint/pkg/sinks/ssm"
	"github.com/remint-dev/remint/pkg/verify/command"
	"github.com/remint-dev/remint/pkg/verify/dispatch"
	"github.com/remint-dev/remint/pkg/verify/httpcheck"
)

// Neither a credential of the user's nor a file nor the network is used, whatever the environment has and the
// configuration says. (That nothing connects anywhere is seen by TestMain.)
func TestNothingReal(t *testing.T) {
	dir := t.TempDir()
	secretFile, place := filepath.Join(dir, "fly"), filepath.Join(dir, "place")
	const canary = "CANARY"
	if err := os.WriteFile(secretFile, []byte("fo1_"+canary+"_file"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"GITHUB_REPOSITORY": "acme/web", "GITHUB_SERVER_URL": "https://git.example", "GITHUB_API_URL": "https://git.example/api/v1"}
	for _, name := range []string{"FLY_API_TOKEN", "REMINT_GITHUB_TOKEN", "REMINT_FORGEJO_TOKEN", "GITHUB_TOKEN", "INPUT_TOKEN", "REMINT_GITHUB_APP_KEY", "FORGEJO_TOKEN",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "MINE", "OLD"} {
		env[name] = "fo1_" + canary + "_" + name
		t.Setenv(name, env[name]) // the SDK of AWS looks there itself
	}
	text := `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    prove: [{http: "https://api.example/"}]
    sinks:
      - file: ` + place + `
      - forgejo: FLY_DEPLOY_TOKEN
      - forgejo: {name: OTHER, token: {env: MINE}, current: {env: OLD}}
      - github: {name: FLY, url: "https://api.github.com"}
      - github: {name: FLY, environment: live, app: {id: "1"}, url: "https://api.github.com"}
      - aws-secrets-manager: {secret: web, role: "arn:aws:iam::111111111111:role/remint", region: eu-west-1}
    verify: [{dispatch: deploy.yml}, {command: [touch, ` + place + `]}]
  - name: db deploy
    provider: {fly: {org: db, expiry: 90d, token: {file: ` + secretFile + `}}}
    sinks: [{file: {path: ` + place + `2, key: FLY}}]
    grace: 1d
`
	l := New(func(name string) string { return env[name] })
	defer func() { _ = l.Close() }()
	var told []rotate.Secret
	c, err := config.Load([]byte(text), l.Options(config.Options{OnSecret: func(s rotate.Secret) { told = append(told, s) }}))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Prepare(c); err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, r := range c.Rotations {
		for _, a := range r.Adapters {
			tap(a.Value, func(r *http.Request, body []byte) {
				sent = append(sent, r.URL.String(), string(body))
				for name, values := range r.Header {
					sent = append(sent, name+": "+strings.Join(values, "\n"))
				}
			})
		}
	}
	if _, err := runAll(t, c, rotate.Options{Secrets: func(s rotate.Secret) { told = append(told, s) }}); err != nil {
		t.Fatal(err)
	}
	works(t, l)
	if len(sent) < 100 || len(told) < 5 {
		t.Fatalf("the test saw %d texts and %d secrets only", len(sent), len(told))
	}
	for _, text := range append(sent, l.Requests()...) {
		if strings.Contains(text, canary) {
			t.Errorf("a credential of the user's was sent: %s", text)
		}
	}
	for _, s := range told {
		if strings.Contains(s.Reveal(), canary) {
			t.Error("a credential of the user's was read")
		}
		for _, text := range l.Requests() {
			if strings.Contains(text, s.Reveal()) {
				t.Errorf("the record of requests holds a secret: %s", text)
			}
		}
	}
	for _, name := range []string{place, place + "2"} {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s was touched", name)
		}
	}
	work := l.dir
	if err := l.Close(); err != nil || work == "" {
		t.Error(work, err)
	}
	if _, err := os.Stat(work); !os.IsNotExist(err) {
		t.Errorf("%s is left", work)
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// tap lets see look at every request of an adapter before it is sent. Rotations must run one after the other.
func tap(adapter any, see func(r *http.Request, body []byte)) {
	f := reflect.ValueOf(adapter).Elem().FieldByName("Transport")
	if !f.IsValid() {
		return
	}
	wire := f.Interface().(http.RoundTripper)
	f.Set(reflect.ValueOf(http.RoundTripper(tapped(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		see(r, body)
		return wire.RoundTrip(r)
	}))))
}

type tapped func(*http.Request) (*http.Response, error)

func (f tapped) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The variables that are read are those that adapters take for something else than a credential.
func TestIdentities(t *testing.T) {
	read := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			for name := range strings.SplitSeq(f.Tag.Get("env"), ",") {
				if name = strings.TrimSpace(name); name == "" {
					continue
				}
				secret := f.Type == reflect.TypeFor[rotate.Secret]()
				if secret == slices.Contains(identities, name) {
					t.Errorf("%s.%s: %s is a credential: %t; in the list of identities it is the other way round", of, f.Name, name, secret)
				}
				read[name] = true
			}
			sub := f.Type
			for sub.Kind() == reflect.Pointer || sub.Kind() == reflect.Slice {
				sub = sub.Elem()
			}
			if sub.Kind() == reflect.Struct && (f.Anonymous || f.Tag.Get("yaml") != "" && f.Tag.Get("yaml") != "-") && sub != reflect.TypeFor[rotate.Secret]() {
				walk(sub)
			}
		}
	}
	for _, a := range []any{fly.Provider{}, github.Secret{}, forgejo.Secret{}, awssecretsmanager.Secret{}, ssm.Parameter{}, file.File{}, dispatch.Workflow{}, httpcheck.Request{}, command.Program{}} {
		walk(reflect.TypeOf(a))
	}
	if len(read) < 10 {
		t.Errorf("only %d variables were found", len(read))
	}
}

func TestRunner(t *testing.T) {
	for _, x := range []struct {
		env        map[string]string
		name, want string
	}{
		{nil, "GITHUB_REPOSITORY", repository},
		{nil, "AWS_REGION", "eu-west-1"},
		{map[string]string{"AWS_DEFAULT_REGION": "us-east-1"}, "AWS_REGION", ""},
		{map[string]string{"AWS_REGION": "us-east-2"}, "AWS_REGION", "us-east-2"},
		{map[string]string{"GITHUB_REPOSITORY": "a/b"}, "GITHUB_REPOSITORY", "a/b"},
		{map[string]string{"FLY_API_TOKEN": "x", "HOME": "y"}, "FLY_API_TOKEN", ""},
		{map[string]string{"FLY_API_TOKEN": "x", "HOME": "y"}, "HOME", ""},
	} {
		o := New(func(name string) string { return x.env[name] }).Options(config.Options{})
		if got := o.Getenv(x.name); got != x.want {
			t.Errorf("%v: %s = %q, want %q", x.env, x.name, got, x.want)
		}
	}
}

// Where the user's workflow runs decides which forge is meant, and elsewhere the secrets do.
func TestHome(t *testing.T) {
	const dispatches = `rotations:
  - name: web deploy
    id: web
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [SINK]
    verify: [{dispatch: DISPATCH}]
`
	for _, x := range []struct {
		name           string
		env            map[string]string
		sink, dispatch string
		want           string // host and path of the dispatch
	}{
		{"github, no runner", nil, "{github: T}", "deploy.yml", "api.github.com /repos/example/app/"},
		{"forgejo, no runner", nil, "{forgejo: T}", "deploy.yml", "forge.example /api/v1/repos/example/app/"},
		{"own server, no runner", nil, `{forgejo: {name: T, url: "https://git.example"}}`, "deploy.yml", "git.example /api/v1/repos/example/app/"},
		{"other repository, no runner", nil, "{github: {name: T, repository: a/b}}", "deploy.yml", "api.github.com /repos/a/b/"},
		{"both, no runner", nil, "{github: T}, {forgejo: T}", "deploy.yml", "api.github.com /repos/example/app/"},
		{"forced, no runner", nil, "{github: T}, {forgejo: T}", "{workflow: deploy.yml, forge: forgejo}", "forge.example /api/v1/repos/example/app/"},
		{"forced the other way", nil, "{forgejo: T}, {github: T}", "{workflow: deploy.yml, forge: github}", "api.github.com /repos/example/app/"},
		{"none", nil, "{aws-secrets-manager: T}", "deploy.yml", "api.github.com /repos/example/app/"},
		{"enterprise server", map[string]string{"GITHUB_API_URL": "https://ghe.example/api/v3", "GITHUB_REPOSITORY": "o/r"}, "{github: T}", "deploy.yml", "ghe.example /api/v3/repos/o/r/"},
		{"gitea", map[string]string{"GITHUB_API_URL": "http://127.0.0.1:3000/api/v1", "GITHUB_REPOSITORY": "o/r", "GITEA_ACTIONS": "true"}, "{forgejo: T}", "deploy.yml", "127.0.0.1:3000 /api/v1/repos/o/r/"},
		{"a runner outranks the secrets", map[string]string{"GITHUB_API_URL": "https://api.github.com", "GITHUB_REPOSITORY": "o/r"}, "{github: {name: T, repository: a/b}}", "deploy.yml", "api.github.com /repos/o/r/"},
	} {
		t.Run(x.name, func(t *testing.T) {
			l, c := begin(t, strings.NewReplacer("SINK", x.sink, "DISPATCH", x.dispatch).Replace(dispatches), x.env)
			if _, err := runAll(t, c, rotate.Options{}); err != nil {
				t.Fatal(err)
			}
			works(t, l)
			if !slices.ContainsFunc(l.Requests(), func(q string) bool {
				return strings.HasPrefix(q, "POST "+x.want) && strings.HasSuffix(q, "/dispatches")
			}) {
				t.Errorf("no dispatch at %s: %s", x.want, lines(l.Requests()))
			}
			for _, s := range c.Rotations[0].Sinks {
				if strings.Contains(s.String(), "invalid") {
					t.Errorf("%s", s)
				}
			}
		})
	}
}

// strange is an adapter that nobody emulates.
type strange struct{ rotate.Sink }

func (strange) String() string { return "strange:place" }

func TestCannot(t *testing.T) {
	l := New(nil)
	c, err := config.Load([]byte(flagship), l.Options(config.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Rotations[0]
	r.Adapters[1].Name, r.Adapters[1].Value = "strange", strange{}
	r.Sinks[0] = strange{}
	r.Prove = append(r.Prove, &standIn{name: "odd:verifier"})
	err = l.Prepare(c)
	if !errors.Is(err, rotate.ErrConfig) {
		t.Fatal(err)
	}
	for _, want := range []string{"rehearse cannot emulate strange (line 4, rotations[0].sinks[0].github)", "rehearse cannot emulate odd:verifier"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if err := l.Fail("mint"); err == nil {
		t.Error("a failure can be planted in a lab that is not prepared")
	}

	l = New(nil)
	c, err = config.Load([]byte(strings.Replace(undoable, "{secret: web/fly}", `{secret: web/fly, account: "222222222222", role: "arn:aws:iam::333333333333:role/x"}`, 1)), l.Options(config.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Prepare(c); err == nil || !strings.Contains(err.Error(), "rehearse cannot emulate aws-secrets-manager") {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestPast(t *testing.T) {
	day := 24 * time.Hour
	for _, x := range []struct {
		name string
		r    rotate.Rotation
		want time.Duration
	}{
		{"usual", rotate.Rotation{Every: 75 * day, Provider: &fly.Provider{Expiry: 90 * day}}, day},
		{"narrow", rotate.Rotation{Every: 87 * day, Provider: &fly.Provider{Expiry: 90 * day}}, 12 * time.Hour},
		{"narrowest", rotate.Rotation{Every: 88 * day, Provider: &fly.Provider{Expiry: 90 * day}}, time.Minute},
	} {
		if got := late(&x.r); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	_, due, err := usual(&rotate.Rotation{ID: "id", Name: "name", Every: 10 * day, Spread: 5 * day})
	if err != nil || due >= 10*day || due <= 5*day {
		t.Errorf("due after %s: %v", due, err)
	}
}

// A program of the user's is not run; its stand-in says so.
func TestStandIn(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	l, c := begin(t, strings.Replace(flagship, "dispatch: deploy.yml", "command: [touch, "+mark+"]", 1), nil)
	v := c.Rotations[0].Verify[0]
	if got := v.String(); got != "command:touch "+mark+" (not run in a rehearsal)" || c.Rotations[0].Adapters[2].Value != any(v) {
		t.Errorf("%s, %v", got, c.Rotations[0].Adapters[2].Value)
	}
	res, err := runAll(t, c, rotate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); !os.IsNotExist(err) {
		t.Error("the program was run")
	}
	if err := v.Verify(t.Context(), rotate.Credential{Token: res.Revoked[0]}); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("a revoked token passes: %v", err)
	}
	works(t, l)
}

// What stands behind a URL accepts tokens that live, and answers the rest so that the verifier does not pass.
func TestHTTP(t *testing.T) {
	for _, keys := range []string{"", ", status: 200", ", status: [401, 403, 2xx]", ", status: [4xx]", ", header: X-Key, status: [204], body: yes", ", scheme: token, method: POST"} {
		l, c := begin(t, strings.Replace(flagship, "dispatch: deploy.yml", `http: {url: "https://api.example/me"`+keys+`}`, 1), nil)
		r := c.Rotations[0]
		if err := r.Verify[0].Verify(t.Context(), l.rotations[0].past); err != nil {
			t.Errorf("%s: %v", keys, err)
		}
		if _, err := r.Run(t.Context(), rotate.Options{}); err != nil {
			t.Errorf("%s: %v", keys, err)
		}
		err := r.Verify[0].Verify(t.Context(), l.rotations[0].past)
		if err == nil || errors.Is(err, rotate.ErrUnproven) {
			t.Errorf("%s: a revoked token: %v", keys, err)
		}
	}
}
