package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

const drilled = `rotations:
  - name: web deploy
    id: web
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: {name: FLY_DEPLOY_TOKEN, repository: example/web}}]
    verify: [{dispatch: {workflow: deploy.yml, repository: example/web}}]
`

// rehearsed runs a command line with a sabotage, and returns its exit code and what it printed.
func rehearsed(t *testing.T, sabotage func(*config.Config), env map[string]string, args ...string) (code int, out, errs string) {
	t.Helper()
	set := &redact.Set{}
	var stdout, stderr bytes.Buffer
	o, e := newStream(set, &stdout), newStream(set, &stderr)
	getenv := func(name string) string { return env[name] }
	c := &command{getenv: getenv, out: o, err: e, secrets: set, sabotage: sabotage}
	c.runner = &action.Runner{Getenv: getenv, Out: o, Masks: masks{e}}
	code = c.main(context.Background(), args)
	_, _ = o.Close(), e.Close()
	return code, stdout.String(), stderr.String()
}

// mute is a wire on which writes of the secret are answered, and not carried out.
type mute struct{ http.RoundTripper }

func (m mute) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r, Header: http.Header{}}, nil
	}
	return m.RoundTripper.RoundTrip(r)
}

func liar(c *config.Config) {
	s := c.Rotations[0].Sinks[0].(*github.Secret)
	s.Transport = mute{s.Transport}
}

func TestAllFaults(t *testing.T) {
	code, out, errs := rehearsed(t, nil, nil, "rehearse", "--all-faults", "-c", drilled)
	if code != Done || !strings.Contains(out, "\n✓ ") || !strings.Contains(out, "killed") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, errs = rehearsed(t, liar, nil, "rehearse", "--all-faults", "-c", drilled, "--format", "json")
	var doc struct {
		Faults, Broken int
		Trials         []struct{ Broken []string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != Alarming || doc.Broken == 0 || doc.Faults != len(doc.Trials) || len(doc.Trials[0].Broken) == 0 {
		t.Errorf("a sink that lies: exit %d, %d of %d broken: %v\n%s", code, doc.Broken, doc.Faults, err, errs)
	}
	code, _, errs = rehearsed(t, nil, nil, "rehearse", "--all-faults", "-c", strings.Replace(drilled, "expiry", "expirry", 1))
	if code != Misused || strings.Count(errs, "expirry: unknown key") != 1 {
		t.Errorf("a wrong configuration: exit %d\n%s", code, errs)
	}
	if code, _, _ := rehearsed(t, nil, nil, "rehearse", "--all-faults", "--fail", "mint", "-c", drilled); code != Misused {
		t.Errorf("two kinds of faults: exit %d", code)
	}
}

// As an action, the table is in the step summary.
func TestAllFaultsAction(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"GITHUB_ACTIONS": "true", "INPUT_COMMAND": "rehearse", "INPUT_ALL-FAULTS": "true", "INPUT_CONFIG": drilled}
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_STATE", "GITHUB_PATH"} {
		env[name] = filepath.Join(dir, name)
		if err := os.WriteFile(env[name], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := rehearsed(t, liar, env)
	summary, err := os.ReadFile(env["GITHUB_STEP_SUMMARY"])
	if err != nil || code != Alarming || !strings.Contains(string(summary), "[!CAUTION]") || !strings.Contains(string(summary), "| survey `fly:app/web` | ") {
		t.Errorf("exit %d, %v\n%s\n%s%s", code, err, summary, out, errs)
	}
	if !strings.Contains(out, "::error ") {
		t.Errorf("no annotation:\n%s", out)
	}
}
