package lab

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// connections counts attempts to use the network: all of them go to a proxy that answers nobody.
var connections atomic.Int32

func TestMain(m *testing.M) {
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := trap.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = c.Close()
		}
	}()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		_ = os.Setenv(name, "http://"+trap.Addr().String())
	}
	_ = os.Setenv("NO_PROXY", "")
	code := m.Run()
	if n := connections.Load(); n > 0 && code == 0 {
		println("the network was used:", n)
		code = 1
	}
	_ = trap.Close()
	os.Exit(code)
}

// changes reports whether a request changes something.
func changes(request string) bool {
	method, _, _ := strings.Cut(request, " ")
	switch {
	case method == "GET", strings.HasSuffix(request, "Tokens"), strings.HasSuffix(request, "/graphql whoApp"), strings.HasSuffix(request, "/graphql whoOrg"),
		strings.HasSuffix(request, "/graphql nonces"), strings.HasSuffix(request, "/access_tokens"), strings.HasSuffix(request, "/installation/token"), strings.HasSuffix(request, "/login"), strings.HasSuffix(request, "/token/revoke-self"), strings.HasSuffix(request, " DescribeSecret"), strings.HasSuffix(request, " GetSecretValue"),
		strings.HasSuffix(request, " GetParameterHistory"), strings.HasSuffix(request, " GetParameter"):
		return false
	}
	return true
}

// begin loads a configuration into a lab.
func begin(t testing.TB, text string, env map[string]string) (*Lab, *config.Config) {
	t.Helper()
	l := New(func(name string) string { return env[name] })
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := config.Load([]byte(text), l.Options(config.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Prepare(c); err != nil {
		t.Fatal(err)
	}
	return l, c
}

// works asserts what no failure may break: every consumer holds a token that works.
func works(t testing.TB, l *Lab) {
	t.Helper()
	for _, h := range l.Holdings() {
		if h.Token == "" || !h.Works {
			t.Errorf("%s of %s holds %q, which does not work", h.Sink, h.Rotation, h.Token)
		}
	}
}

func lines(list []string) string { return "\n\t" + strings.Join(list, "\n\t") }

// runAll runs all rotations, one after the other, and returns what the first came to.
func runAll(t testing.TB, c *config.Config, o rotate.Options) (rotate.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var first rotate.Result
	var errs []error
	for i, r := range c.Rotations {
		res, err := r.Run(ctx, o)
		if i == 0 {
			first = res
		}
		errs = append(errs, err)
	}
	if ctx.Err() != nil {
		t.Fatal("a rotation hung")
	}
	return first, errors.Join(errs...)
}

func TestRotates(t *testing.T) {
	for name, text := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			l, c := begin(t, text, nil)
			works(t, l)
			before := l.Holdings()
			newborn := map[string]string{} // by rotation
			began := time.Now()
			for _, r := range c.Rotations {
				res, err := r.Run(context.Background(), rotate.Options{})
				if err != nil || res.Outcome != rotate.Rotated || len(res.Revoked) != 1 {
					t.Fatalf("%s: %s, %d revoked: %v", r.Name, res.Outcome, len(res.Revoked), err)
				}
				// Which services a token of Fastly sees is always said.
				warnings := slices.DeleteFunc(slices.Clone(res.Warnings), func(w string) bool { return strings.Contains(w, "a new token sees") })
				if len(warnings) > 0 || res.Overdue {
					t.Errorf("%s: overdue %t, warnings: %q", r.Name, res.Overdue, warnings)
				}
				newborn[r.Name] = res.Newborn.Name
			}
			if took := time.Since(began); took > time.Second*time.Duration(len(c.Rotations)) {
				t.Errorf("took %s", took)
			}
			works(t, l)
			for i, h := range l.Holdings() {
				if h.Token == before[i].Token || h.Token != newborn[h.Rotation] {
					t.Errorf("%s holds %q, not the newborn %q", h.Sink, h.Token, newborn[h.Rotation])
				}
			}
			if live := l.Tokens(); len(live) != len(c.Rotations) {
				t.Errorf("live: %v", live)
			}
			seen := len(l.Requests())
			if res, err := runAll(t, c, rotate.Options{}); err != nil || res.Outcome != rotate.Idle {
				t.Errorf("the next tick: %s, %v", res.Outcome, err)
			}
			for _, q := range l.Requests()[seen:] {
				if changes(q) {
					t.Errorf("the next tick changed something: %s", q)
				}
			}
		})
	}
}

// Before a rehearsal, every sink holds a token that is due: minted by the rotation itself and verified, or made by
// hand where the rotation adopts such.
func TestPrepared(t *testing.T) {
	for name, text := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			l, c := begin(t, text, nil)
			born := map[time.Time]bool{}
			for i, r := range c.Rotations {
				if at := l.rotations[i].past.Created; born[at] {
					t.Errorf("two tokens were born %s", at)
				} else {
					born[at] = true
				}
				p, err := r.Plan(t.Context(), rotate.Options{})
				if err != nil || !p.Due || p.Stop != "" || len(p.Warnings) > 0 {
					t.Fatalf("due %t, stop %q, warnings %q: %v", p.Due, p.Stop, p.Warnings, err)
				}
				past := l.rotations[i].past.Token
				_, minted := rotate.Minted(past)
				if minted != (r.Adopt == nil) {
					t.Errorf("%s: the past token is called %q", r.Name, past.Name)
				}
				for j, s := range p.Sinks {
					_, marks := r.Sinks[j].(rotate.Marker)
					switch {
					case !minted && s.State == "nothing known": // without a marker
					case s.State != "holds" || s.Token.ID != past.ID || s.Verified && !minted:
						t.Errorf("%s: %+v", s.Sink, s)
					case name == "current", name == "shared" && strings.Contains(s.Sink, "#"): // no marker; a version of another key
					case minted && marks && !s.Verified:
						t.Errorf("%s is not verified", s.Sink)
					}
				}
			}
			if err := l.Prepare(c); err == nil {
				t.Error("it was prepared twice")
			}
		})
	}
}

// A configuration that does harm is seen to: here one rotation adopts what another one's consumers hold.
func TestHarm(t *testing.T) {
	l, c := begin(t, `rotations:
  - name: one
    provider: {fly: {app: web, expiry: 90d}}
    adopt: ["one by hand"]
    sinks: [{github: ONE}]
    verify: [{dispatch: deploy.yml}]
  - name: two
    provider: {fly: {app: web, expiry: 90d}}
    adopt: ["*"]
    sinks: [{github: TWO}]
    verify: [{http: "https://api.example/"}]
`, nil)
	works(t, l)
	if _, err := c.Rotations[1].Run(t.Context(), rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	hs := l.Holdings()
	want := Holding{Rotation: "one", Sink: "github:example/app/ONE", Token: "one by hand"}
	if len(hs) != 2 || hs[0] != want || !hs[1].Works {
		t.Errorf("%+v", hs)
	}
	at := l.rotations[0].verify[0].at
	if l.deploy(run{at.forge, at.repository, at.file, map[string]string{"ONE": l.rotations[0].past.Secret.Reveal()}}) {
		t.Error("a deploy with a dead token succeeds")
	}
}

// A run works with what it was handed; what it was not handed it reads for itself.
func TestCarried(t *testing.T) {
	l, _ := begin(t, `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    sinks:
      - github: {name: T, repository: acme/web}
      - github: {name: T, org: acme}
      - forgejo: {name: T, repository: acme/web, url: "https://git.example"}
      - forgejo: {name: T, org: acme, url: "https://git.example"}
      - forgejo: {name: T, user: true, url: "https://git.example"}
      - aws-secrets-manager: T
    verify: [{dispatch: {workflow: deploy.yml, repository: acme/web}}]
`, nil)
	h, f := l.hubAt(hubURL), l.forgeAt("https://git.example")
	for _, x := range []struct {
		name    string
		forge   any
		in      string
		carried string // by sink: y or n
	}{
		{"the repository's", h, "acme/web", "yynnnn"},
		{"another one of the organization", h, "acme/api", "nynnnn"},
		{"a stranger's", h, "other/web", "nnnnnn"},
		{"the other forge", f, "Acme/Web", "nnyynn"},
		{"of the user", f, "example/app", "nnnnyn"},
	} {
		r := run{x.forge, x.in, "deploy.yml", map[string]string{"T": "handed over"}}
		for i, s := range l.rotations[0].sinks {
			if got := s.value(r) == "handed over"; got != (x.carried[i] == 'y') {
				t.Errorf("%s: sink %d carried: %t", x.name, i, got)
			}
			r := r
			r.secrets = nil
			if got := s.value(r); got != l.rotations[0].past.Secret.Reveal() {
				t.Errorf("%s: sink %d, not handed over, is not read", x.name, i)
			}
		}
	}
}
