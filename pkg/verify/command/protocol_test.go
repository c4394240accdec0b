//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

func speaks(script string) *Program { return &Program{Run: sh(script), Protocol: true} }

func TestProtocolSuite(t *testing.T) {
	answers := func(text string) func(*testing.T) rotate.Verifier {
		return func(*testing.T) rotate.Verifier {
			p := speaks(`read -r line; case $line in *'"kind":"verifier"'*) printf '%s\n' '` + text + `';; esac`)
			p.Secrets = map[string]rotate.Secret{"api": rotate.NewSecret("credential-of-the-program")}
			return p
		}
	}
	rotatetest.Verifier(t, rotatetest.VerifierUnderTest{
		Good:        answers(`{"remint":1}`),
		Bad:         answers(`{"remint":1,"error":{"kind":"denied","message":"401"}}`),
		Open:        answers(`{"remint":1,"error":{"kind":"unproven","message":"no replicas"}}`),
		Credentials: []string{"credential-of-the-program"},
	})
}

// TestOnlyItsWordCounts: a failure makes the engine restore, so only a program that says so fails a credential.
func TestOnlyItsWordCounts(t *testing.T) {
	for script, fails := range map[string]bool{
		`echo '{"remint":1,"error":{"kind":"denied","message":"401"}}'`:    true,
		`echo '{"remint":1,"error":{"kind":"conflict","message":"old"}}'`:  true,
		`echo '{"remint":1,"error":{"kind":"not-found","message":"404"}}'`: true,
		`echo '{"remint":1,"error":{"kind":"temporary"}}'`:                 false,
		`echo '{"remint":1,"error":{"kind":"config"}}'`:                    false,
		`echo '{"remint":1,"error":{"kind":"limit"}}'`:                     false,
		`echo '{"remint":1,"error":{"kind":"unsupported"}}'`:               false,
		`echo '{"remint":1,"error":{"kind":"sad"}}'`:                       false,
		`echo rubbish`:           false,
		`exit 0`:                 false,
		`exit 1`:                 false,
		`echo '{"remint":2}'`:    false,
		`cat >&2; exit 1`:        false,
		`kill -9 $$`:             false,
		`exec no-such-program-x`: false,
	} {
		err := speaks(script).Verify(t.Context(), credential)
		if err == nil || errors.Is(err, rotate.ErrUnproven) == fails || strings.Contains(fmt.Sprint(err), newborn) {
			t.Errorf("%s: %v", script, err)
		}
	}
	p := speaks(`sleep 60`)
	p.Timeout = 200 * time.Millisecond
	if err := p.Verify(t.Context(), credential); !errors.Is(err, rotate.ErrUnproven) {
		t.Errorf("hangs: %v", err)
	}
}

func TestProtocolCheck(t *testing.T) {
	if err := speaks(`echo '{"remint":1}'`).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := speaks(`echo '{"remint":1,"error":{"kind":"denied","message":"no right"}}'`).Check(context.Background()); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if (&Program{}).Repeatable() || !(&Program{Repeat: true}).Repeatable() {
		t.Error("repeat is not what Repeatable says")
	}
}
