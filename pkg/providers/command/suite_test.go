//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// examples are the programs that the repository shows to authors, and what each needs.
var examples = map[string]string{"provider.py": "python3", "provider.sh": "jq"}

// python is how to start a program in Python. The system's own comes first: a wrapper in PATH may take longer than the program.
func python(path string) []string {
	const system = "/usr/bin/python3"
	if _, err := os.Stat(system); err == nil {
		return []string{system, path}
	}
	return []string{path}
}

func example(t *testing.T, name string) func() *Provider {
	t.Helper()
	if _, err := exec.LookPath(examples[name]); err != nil {
		t.Skipf("%s is not run: there is no %s on this machine", name, examples[name])
	}
	path, err := filepath.Abs("../../../examples/providers/" + name)
	if err != nil {
		t.Fatal(err)
	}
	run := []string{path}
	if strings.HasSuffix(name, ".py") {
		run = python(path)
	}
	store := filepath.Join(t.TempDir(), "store")
	return func() *Provider {
		return &Provider{Program: protocol.Program{Run: run, With: map[string]string{"store": store},
			Secrets: map[string]rotate.Secret{"api": rotate.NewSecret("credential-of-the-program")}}, Can: []string{"identify"}, Expiry: 90 * rotate.Tick}
	}
}

// TestSuite holds the example programs, and with them the adapter, to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			build := example(t, name)
			rotatetest.Provider(t, rotatetest.ProviderUnderTest{
				New:         func(*testing.T) rotate.Provider { return build().Adapter() },
				Credentials: []string{"credential-of-the-program"},
			})
		})
	}
}

// TestExamplesAreShort: they are what an author begins with.
func TestExamplesAreShort(t *testing.T) {
	for name := range examples {
		text, err := os.ReadFile("../../../examples/providers/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n >= 60 {
			t.Errorf("%s has %d lines", name, n)
		}
	}
}

// marked is a sink with a marker.
type marked struct{ mark rotate.Mark }

func (m *marked) Write(_ context.Context, c rotate.Credential) error {
	m.mark = rotate.Mark{Token: c.Token}
	return nil
}
func (m *marked) Mark(context.Context, rotate.Token) error { m.mark.Verified = true; return nil }
func (m *marked) Held(context.Context) (rotate.Holding, error) {
	return rotate.Holding{Mark: m.mark}, nil
}
func (m *marked) String() string { return "marked" }

// toy is a provider of shell alone, since it is run often. What it is told to do on a mint is its last argument.
const toy = `read -r line; field() { rest=${line#*"\"$1\":\""}; printf %s "${rest%%\"*}"; }
case $line in
*'"verb":"mint"'*)
	mint() { printf '{"id":"%s","name":"%s"}\n' $$ "$(field name)" >"$0/$$"; printf '{"remint":1,"token":%s,"secret":"sh_secret_%s"}' "$(read -r t <"$0/$$"; printf %s "$t")" $$; }
	eval "$1";;
*'"verb":"list"'*)
	all=; for f in "$0"/*; do [ -f "$f" ] && read -r t <"$f" && all=$all${all:+,}$t; done; printf '{"remint":1,"tokens":[%s]}' "$all";;
*'"verb":"revoke"'*) rm "$0/$(field id)"; printf '{"remint":1}';;
*) printf '{"remint":1}';;
esac`

// TestBadProgramRevokesNothing: the engine runs a program that turns bad on its second mint. Whatever it does then, what the
// sink holds lives on, nothing else is revoked, and the next good run recovers.
func TestBadProgramRevokesNothing(t *testing.T) {
	for name, bad := range map[string]string{
		"rubbish":       `echo rubbish`,
		"no answer":     `exit 0`,
		"twice":         `mint; mint`,
		"answer lost":   `mint >/dev/null`,
		"wrong version": `mint >/dev/null; printf '{"remint":9,"secret":"sh_secret_9"}'`,
		"to stderr":     `mint >&2; exit 1`,
		"hangs":         `mint >/dev/null; sleep 60`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := t.TempDir()
			sink := &marked{}
			program := func(mint string) *Provider {
				return &Provider{Program: protocol.Program{Run: []string{"/bin/sh", "-c", toy, store, mint}, Timeout: 20 * time.Second}}
			}
			run := func(p *Provider) (rotate.Result, error) {
				r := &rotate.Rotation{ID: "suite", Name: "web", Provider: p.Adapter(), Sinks: []rotate.Sink{sink}, Every: 75 * rotate.Tick}
				return r.Run(t.Context(), rotate.Options{Force: true, Alone: true})
			}
			good := program("mint")
			if _, err := run(good); err != nil {
				t.Fatal(err)
			}
			first, worse := sink.mark.Token, program(bad)
			if name == "hangs" {
				worse.Timeout = 2 * time.Second
			}
			res, err := run(worse)
			if err == nil || !errors.Is(err, rotate.ErrTemporary) || strings.Contains(fmt.Sprint(err), "sh_secret") {
				t.Errorf("got %v", err)
			}
			for _, r := range res.Revoked {
				if r.ID == first.ID {
					t.Error("the token that the sink holds was revoked")
				}
			}
			if listed, err := good.List(t.Context()); err != nil || len(listed) != 1 || listed[0].ID != first.ID || sink.mark.Token.ID != first.ID {
				t.Errorf("the sink holds %s of %v (%v)", sink.mark.Token.Name, listed, err)
			}
			if _, err := run(good); err != nil {
				t.Error(err)
			}
			if listed, err := good.List(t.Context()); err != nil || len(listed) != 1 || listed[0].ID != sink.mark.Token.ID || listed[0].ID == first.ID {
				t.Errorf("after recovery there are %v (%v)", listed, err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	build := example(t, "provider.sh")
	for _, tt := range []struct {
		change func(*Provider)
		says   string
	}{
		{func(*Provider) {}, ""},
		{func(p *Provider) { p.With = nil }, "say where the tokens are"},
		{func(p *Provider) { p.Run = []string{"./none"} }, "the program cannot be run"},
		{func(p *Provider) { p.Run = []string{"/bin/sh", "-c", `echo '{"remint":1}'`} }, "the program says that it cannot identify (it can: only what every program can); correct can"},
		{func(p *Provider) { p.Run = []string{"/bin/sh", "-c", `echo '{"remint":3}'`} }, "version 3"},
		{func(p *Provider) { p.Can = []string{"undo"} }, `"undo" is no optional verb of a provider; there are: identify`},
		{func(p *Provider) { p.Expiry = -1 }, "must not be negative"},
	} {
		p := build()
		tt.change(p)
		err := p.Check(t.Context())
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("want %q, got %v", tt.says, err)
		}
	}
}

func TestMintIsHeldToTheOrder(t *testing.T) {
	for says, answer := range map[string]string{
		"another name": `{"remint":1,"token":{"id":"7","name":"other"},"secret":"abcdefgh"}`,
		"lives 1 day":  `{"remint":1,"token":{"id":"7","name":"n","created":"2026-11-22T06:00:00Z","expires":"2026-11-23T06:00:00Z"},"secret":"abcdefgh"}`,
	} {
		p := &Provider{Program: protocol.Program{Run: []string{"/bin/sh", "-c", "echo '" + answer + "'"}}, Expiry: 90 * rotate.Tick}
		c, err := p.Mint(t.Context(), "n")
		if err == nil || !strings.Contains(err.Error(), says) || c.ID != "7" {
			t.Errorf("want %q and the token, got %v, %v", says, err, c)
		}
	}
	gone := &Provider{Program: protocol.Program{Run: []string{"/bin/sh", "-c", `echo '{"remint":1,"error":{"kind":"not-found"}}'`}}}
	if err := gone.Revoke(t.Context(), rotate.Token{ID: "7"}); err != nil {
		t.Errorf("a token already gone: %v", err)
	}
	if _, ok := gone.Adapter().(rotate.Identifier); ok {
		t.Error("a program that cannot identify is an Identifier")
	}
}
