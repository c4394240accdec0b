package dispatch

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// The tests in this file talk to a real Gitea with a runner for the label self-hosted: REMINT_GITEA is its
// API, REMINT_GITEA_TOKEN a credential that may do everything, REMINT_GITEA_REPOSITORY a repository to use
// (default forgeadmin/demo). Without REMINT_GITEA they are skipped.

const giteaWorkflow = `name: verify
run-name: verify ${{ inputs.id }}
on:
  workflow_dispatch:
    inputs:
      mode: {description: what to do, default: ok, type: string}
      id: {description: correlation, default: none, type: string}
jobs:
  one:
    runs-on: self-hosted
    steps:
      - env: {MODE: "${{ inputs.mode }}"}
        run: |
          case $MODE in fail) exit 3;; slow) sleep 6;; esac
`

func gitea(t *testing.T) *Workflow {
	t.Helper()
	api := os.Getenv("REMINT_GITEA")
	if api == "" {
		t.Skip("REMINT_GITEA is not set: not tried on a real server")
	}
	w := &Workflow{
		File: "remint-verify.yml", Repository: os.Getenv("REMINT_GITEA_REPOSITORY"), URL: api,
		Token: rotate.NewSecret(os.Getenv("REMINT_GITEA_TOKEN")), Interval: 300 * time.Millisecond, Timeout: time.Minute,
	}
	if w.Repository == "" {
		w.Repository = "forgeadmin/demo"
	}
	text, _ := json.Marshal(map[string]string{"message": "workflow of a test", "branch": "main", "content": base64.StdEncoding.EncodeToString([]byte(giteaWorkflow))})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/repos/%s/contents/.gitea/workflows/%s", api, w.Repository, w.File), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "token "+w.Token.Reveal())
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 201 && resp.StatusCode != 422 { // 422: it is there
		t.Fatalf("the workflow cannot be written: %s", resp.Status)
	}
	return w
}

// breaker lets the answer of a dispatch get lost on the way back.
type breaker struct {
	lose int
	sent int
}

func (b *breaker) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if r.Method == http.MethodPost {
		b.sent++
		if err == nil && b.lose > 0 {
			b.lose--
			_ = resp.Body.Close()
			return nil, errors.New("connection reset by peer")
		}
	}
	return resp, err
}

func TestGitea(t *testing.T) {
	ok := gitea(t)
	if err := ok.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ok.Verify(t.Context(), rotate.Credential{}); err != nil {
		t.Fatal(err)
	}
	fails := gitea(t)
	fails.Inputs = map[string]string{"mode": "fail"}
	if err := fails.Verify(t.Context(), rotate.Credential{}); err == nil || errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "/actions/runs/") {
		t.Errorf("a run that fails: %v", err)
	}
	for _, correlation := range []string{"", "id"} {
		lost := gitea(t)
		b := &breaker{lose: 1}
		lost.Transport, lost.Correlation = b, correlation
		if err := lost.Verify(t.Context(), rotate.Credential{}); err != nil || b.sent != 1 {
			t.Errorf("lost answer, correlation %q, sent %d times: %v", correlation, b.sent, err)
		}
	}
	for name, change := range map[string]func(*Workflow){
		"workflow": func(w *Workflow) { w.File = "gone.yml" },
		"ref":      func(w *Workflow) { w.Ref = "gone" },
	} {
		w := gitea(t)
		change(w)
		if err := w.Check(t.Context()); !errors.Is(err, rotate.ErrNotFound) {
			t.Errorf("check, missing %s: %v", name, err)
		}
		if err := w.Verify(t.Context(), rotate.Credential{}); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, rotate.ErrNotFound) {
			t.Errorf("verify, missing %s: %v", name, err)
		}
	}
	dead := gitea(t)
	dead.Token = rotate.NewSecret("0123456789012345678901234567890123456789")
	if err := dead.Check(t.Context()); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("check, dead token: %v", err)
	}
}

func TestGiteaDrain(t *testing.T) {
	slow := gitea(t)
	slow.Inputs = map[string]string{"mode": "slow"}
	h, err := slow.connect()
	if err != nil {
		t.Fatal(err)
	}
	r, err := slow.dispatch(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for r.state != running {
		if !pause(ctx, 200*time.Millisecond) {
			t.Fatal("no runner took the run")
		}
		if r, err = h.run(ctx, r.id); err != nil {
			t.Fatal(err)
		}
	}
	hasty := gitea(t)
	hasty.Timeout = time.Second
	if err := hasty.Drain(t.Context(), time.Now()); !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), r.url) {
		t.Errorf("a run is running, and: %v", err)
	}
	own := gitea(t) // what the runner tells: no workflow, the run
	own.Timeout = time.Second
	own.RunnerURL, own.RunnerRepository, own.RunnerRun = own.URL, own.Repository, fmt.Sprint(r.id)
	if err := own.Drain(t.Context(), time.Now()); err != nil {
		t.Errorf("only its own run is running, and: %v", err)
	}
	if err := gitea(t).Drain(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Errorf("nothing is as old: %v", err)
	}
	if err := gitea(t).Drain(t.Context(), time.Now()); err != nil {
		t.Errorf("drained: %v", err)
	}
	if r, err = h.run(t.Context(), r.id); err != nil || r.state != done {
		t.Errorf("the run is %s, %v", r.state, err)
	}
}
