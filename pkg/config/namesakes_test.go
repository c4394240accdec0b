package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	providercommand "github.com/remint-dev/remint/pkg/providers/command"
	"github.com/remint-dev/remint/pkg/rotate"
	sinkcommand "github.com/remint-dev/remint/pkg/sinks/command"
	"github.com/remint-dev/remint/pkg/verify/command"
)

const namesakes = `
defaults:
  command: {timeout: 7s, secret-env: TOKEN}
rotations:
  - name: try
    id: try
    provider: {command: {run: [./provider], can: [identify], expiry: 90d, secrets: {api: {env: FLY_API_TOKEN}}}}
    sinks:
      - command: {run: [./sink], can: [held, mark, undo]}
      - command: {run: [./sink, other], can: read, timeout: 8s}
    verify:
      - command: ./smoke-test.sh
`

// TestNamesakes: three adapters of different kinds have one name, one entry of defaults, and each its own keys. What the
// engine gets has the optional interfaces that `can` says.
func TestNamesakes(t *testing.T) {
	c, err := Load([]byte(namesakes), with(runner()))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Rotations[0]
	p, ok := r.Provider.(*providercommand.Identifier)
	if !ok || p.Timeout != 7*time.Second || r.Every != 75*day || p.Secrets["api"].Reveal() != "fo1_canary_fly" {
		t.Errorf("provider: %T %+v, every %s", r.Provider, r.Provider, r.Every)
	}
	for i, want := range []struct {
		holds, reads, undoes bool
		timeout              time.Duration
	}{{true, false, true, 7 * time.Second}, {false, true, false, 8 * time.Second}} {
		_, holds := r.Sinks[i].(rotate.Holder)
		_, marks := r.Sinks[i].(rotate.Marker)
		_, reads := r.Sinks[i].(rotate.Reader)
		_, undoes := r.Sinks[i].(rotate.Undoer)
		s := r.Sinks[i].(interface{ Configured() *sinkcommand.Sink }).Configured()
		if holds != want.holds || marks != want.holds || reads != want.reads || undoes != want.undoes || s.Timeout != want.timeout {
			t.Errorf("sink %d: %T, %t %t %t %t, timeout %s", i, r.Sinks[i], holds, marks, reads, undoes, s.Timeout)
		}
	}
	if v := r.Verify[0].(*command.Program); v.Timeout != 7*time.Second || v.SecretEnv != "TOKEN" {
		t.Errorf("verifier: %+v", v)
	}
	for _, a := range r.Adapters {
		if a.Value != any(r.Provider) && a.Value != any(r.Sinks[0]) && a.Value != any(r.Sinks[1]) && a.Value != any(r.Verify[0]) {
			t.Errorf("%s is not what the engine gets: %T", a.Key, a.Value)
		}
	}
	j := newJudge(t, Schema())
	if !j.valid(j.root, fromYAML(t, namesakes)) {
		t.Error("the schema refuses it")
	}
}

func TestNamesakesRefused(t *testing.T) {
	for _, tt := range []struct{ from, to, says string }{
		{"timeout: 7s", "tiemout: 7s", "defaults.command.tiemout: unknown key"},
		{"can: [held, mark, undo]", "can: [held]", "sinks[0].command.can: held and mark go together"},
		{"can: read", "can: []", "sinks[1].command.can: the list is empty"},
		{"can: [identify]", "can: []", "sinks[1].command: cannot say which token it holds"},
		{"can: [identify]", "can: [undo]", `provider.command.can[0]: "undo" is none of identify`},
		{"run: [./sink]", "run: [./sink], pod: web-0", "sinks[0].command.cluster: give the cluster of the pod"},
		{"- command: ./smoke-test.sh", "- fly: {app: web}", "fly is a provider, not a verifier"},
		{"- command: ./smoke-test.sh", "- command: {run: ./x, protocol: true, stdin: true}", "the program speaks the protocol, and gets the credential with the request"},
		{"- command: ./smoke-test.sh", "- command: {run: ./x, with: {a: b}}", "add protocol: true"},
	} {
		text := strings.Replace(namesakes, tt.from, tt.to, 1)
		_, err := Load([]byte(text), with(runner()))
		var ps Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: want %s, got %v", tt.to, tt.says, err)
		}
	}
}
