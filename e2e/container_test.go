//go:build e2e

package e2e

// The container action, built by the real runner from this repository's action.yml and Dockerfile.

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	builds    = 4 * time.Minute // a run whose first step builds the image, cold
	imageMost = 32_000_000      // bytes of the released image: the binary and the roots of trust
)

// published pushes the working tree to a repository of x, as a release would be, and returns its name.
func published(t *testing.T, x *tenant) string {
	t.Helper()
	tree := t.TempDir()
	list := command(t, "git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for path := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
		if copied := copyFile(t, filepath.Join("..", path), filepath.Join(tree, path)); !copied {
			t.Logf("%s is tracked but not there", path)
		}
	}
	name := x.user + "/remint"
	x.admin("POST", "/admin/users/"+x.user+"/repos", map[string]any{"name": "remint", "default_branch": "main"}, nil)
	command(t, "git", "init", "-q", "-b", "main", tree)
	command(t, "git", "-C", tree, "add", "-A")
	command(t, "git", "-C", tree, "-c", "user.name=e2e", "-c", "user.email=e2e@example.invalid", "commit", "-q", "-m", "tree")
	// The credential goes through the environment: arguments are for everybody to see.
	push := exec.Command("git", "-C", tree, "push", "-q", forge.base+"/"+name+".git", "main")
	push.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: token "+forge.token)
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("git push: %v\n%s", err, out)
	}
	return name
}

// copyFile reports false if there is no such file.
func copyFile(t *testing.T, from, to string) bool {
	t.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return false
	}
	fatal(t, err)
	defer func() { _ = in.Close() }()
	stat, err := in.Stat()
	fatal(t, err)
	fatal(t, os.MkdirAll(filepath.Dir(to), 0o755))
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, stat.Mode().Perm())
	fatal(t, err)
	_, err = io.Copy(out, in)
	fatal(t, err)
	fatal(t, out.Close())
	return true
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command runs a program that must succeed and returns what it printed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var errs strings.Builder
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// The runner empties the file of the summary before every step, so this step leaves something behind that saves it, and
// that starts no program to wait, since a busy machine would let it come too late.
const saveSummary = `nohup bash -c 'exec {clock}<> <(:); for ((i = 0; i < 20000; i++)); do if [[ -s $0 ]]; then cp "$0" "$HOME/summary.md"; fi; read -rt 0.01 -u "$clock"; done' "$GITHUB_STEP_SUMMARY" >/dev/null 2>&1 &`

// actionYAML uses the action as the README says, in a job of this label, then shows what it reported.
func actionYAML(action, fly, label, config string) string {
	save := saveSummary
	if label != "ubuntu-latest" {
		save = "true" // on the host it would go on after the job
	}
	return strings.NewReplacer("ACTION", action, "FLY_URL", fly, "LABEL", label, "SAVE", save,
		"CONFIG", strings.ReplaceAll(strings.TrimSpace(config), "\n", "\n            ")).Replace(`name: rotate
on:
  workflow_dispatch:
    inputs:
      force: {type: string, default: "false"}
jobs:
  rotate:
    runs-on: LABEL
    steps:
      - name: save the summary
        run: |
          SAVE
      - id: remint
        uses: ACTION@main
        with:
          force: ${{ inputs.force }}
          config: |
            CONFIG
        env:
          FLY_API_BASE_URL: FLY_URL
          FLY_API_TOKEN: ${{ secrets.FLY_API_TOKEN }}
          REMINT_FORGEJO_TOKEN: ${{ secrets.REMINT_FORGEJO_TOKEN }}
      - name: what the action reported
        if: always()
        env:
          OUTCOME: ${{ steps.remint.outcome }}
          ROTATED: ${{ steps.remint.outputs.rotated }}
          FAILED: ${{ steps.remint.outputs.failed }}
          NEXT: ${{ steps.remint.outputs.next }}
          RESULT: ${{ steps.remint.outputs.result }}
        run: |
          printf 'saw-%s %s\n' outcome "$OUTCOME" rotated "$ROTATED" failed "$FAILED" next "$NEXT" result "$RESULT"
          sleep 0.2
          echo saw-summary
          cat "$HOME/summary.md" || true
`)
}

// reported is what a later step of the job saw of the action.
type reported struct {
	outcome, rotated, failed, next, summary string
	result                                  struct {
		Rotations []struct {
			Name, Outcome string
			Revoked       []struct{ Name string }
			Sinks         []struct {
				State    string
				Token    struct{ Name string }
				Verified bool
			}
		}
	}
}

func report(t *testing.T, x run) reported {
	t.Helper()
	var r reported
	var lines []string
	for line := range strings.Lines(x.log) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ") // after the time
		lines = append(lines, text)
	}
	saw := func(name string) string {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "saw-"+name+" ") || l == "saw-"+name })
		if i < 0 {
			t.Fatalf("run %d: no step saw %s; its log ends:\n%s", x.id, name, last(x.log, 60))
		}
		return strings.TrimPrefix(strings.TrimPrefix(lines[i], "saw-"+name), " ")
	}
	r.outcome, r.rotated, r.failed, r.next = saw("outcome"), saw("rotated"), saw("failed"), saw("next")
	if err := json.Unmarshal([]byte(saw("result")), &r.result); err != nil {
		t.Fatalf("run %d: result: %v in %s", x.id, err, saw("result"))
	}
	saw("summary")
	r.summary = strings.Join(lines[slices.Index(lines, "saw-summary")+1:], "\n")
	return r
}

func TestContainerAction(t *testing.T) {
	t.Parallel()
	x := newTenant(t)
	action := published(t, x)
	docker := func(args ...string) string {
		return command(t, "docker", append([]string{"-H", forge.docker}, args...)...)
	}
	built := func() []string {
		return strings.Fields(docker("images", "--format", "{{.Repository}}", "--filter", "reference=act-*-dockeraction"))
	}
	before := built()

	f := newFly(t)
	config := remintYAML("by hand", "forgejo: FLY_DEPLOY_TOKEN")
	workflow := actionYAML(action, f.url, "ubuntu-latest", config)
	r, old := consumer(t, x, f, "by hand", "forgejo: FLY_DEPLOY_TOKEN")
	r.put(map[string]string{".gitea/workflows/action.yml": workflow})

	began := time.Now()
	done := r.waitFor(r.start("action.yml", nil), builds)
	t.Logf("the first run, image included: %s", time.Since(began).Round(time.Second))
	images := slices.DeleteFunc(built(), func(i string) bool { return slices.Contains(before, i) })
	t.Cleanup(func() {
		for _, i := range images {
			_ = exec.Command("docker", "-H", forge.docker, "image", "rm", "-f", i).Run()
		}
	})
	want(t, done, "success")
	got := report(t, done)
	if got.outcome != "success" || got.rotated != `["web deploy"]` || got.failed != "[]" {
		t.Errorf("outputs: %+v", got)
	}
	if next, err := time.Parse(time.RFC3339, got.next); err != nil || time.Until(next) < 74*24*time.Hour || time.Until(next) > 76*24*time.Hour {
		t.Errorf("next is %q (%v), want in 75 days", got.next, err)
	}
	newborn := f.deployed()[0]
	rs := got.result.Rotations
	if len(rs) != 1 || rs[0].Outcome != "rotated" || len(rs[0].Revoked) != 1 || rs[0].Revoked[0].Name != "by hand" ||
		len(rs[0].Sinks) != 1 || rs[0].Sinks[0].Token.Name != newborn || !rs[0].Sinks[0].Verified {
		t.Errorf("result: %+v", got.result)
	}
	for _, s := range []string{"### ✅ `web deploy`: rotated", "| revoke | `fly:org/" + flyOrg + "`", "```mermaid"} {
		if !strings.Contains(got.summary, s) {
			t.Errorf("the summary does not say %q:\n%s", s, got.summary)
		}
	}
	want(t, done, "success", "✓ web deploy: rotated", "::group::web deploy")
	if f.Live(old) {
		t.Error("the old token still works")
	}
	f.onlyLive(newborn)

	// A tick with nothing to do reports that.
	done = r.dispatch("action.yml", nil)
	want(t, done, "success", "nothing to do")
	if got = report(t, done); got.rotated != "[]" || got.failed != "[]" || got.next == "" || got.result.Rotations[0].Outcome != "nothing to do" {
		t.Errorf("outputs: %+v", got)
	}

	// Outputs and summary are there when the step fails, too. A young generation stops a forced run.
	done = r.dispatch("action.yml", map[string]string{"force": "true"})
	want(t, done, "failure", "another run may be alive")
	if got = report(t, done); got.outcome != "failure" || got.rotated != "[]" || got.failed != `["web deploy"]` || !strings.Contains(got.summary, "another run may be alive") {
		t.Errorf("outputs: %+v", got)
	}
	f.onlyLive(newborn)

	// What is wrong with the configuration is said with its line, before anything is called.
	served := f.Served()
	r.put(map[string]string{".gitea/workflows/wrong.yml": actionYAML(action, f.url, "ubuntu-latest", strings.Replace(config, "adopt:", "adapt:", 1))})
	done = r.dispatch("wrong.yml", nil)
	want(t, done, "failure", "inline:4:", `adapt`)
	if n := f.since(served); len(n) > 0 {
		t.Errorf("with a wrong configuration Fly.io was asked for %v", n)
	}

	// In a job on the host the runner starts the container without the files it names, and with no network.
	r.put(map[string]string{".gitea/workflows/host.yml": actionYAML(action, f.url, "self-hosted", config)})
	done = r.dispatch("host.yml", nil)
	want(t, done, "failure", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "does not exist in this container", "exit code 1", "saw-outcome failure")
	f.onlyLive(newborn)

	// The image itself.
	if len(images) != 1 {
		t.Fatalf("the runner built %q, want one image", images)
	}
	image := images[0]
	size, err := strconv.Atoi(strings.TrimSpace(docker("image", "inspect", "-f", "{{.Size}}", image)))
	fatal(t, err)
	t.Logf("the released image has %d bytes", size)
	if size > imageMost {
		t.Errorf("the released image has %d bytes, more than %d", size, imageMost)
	}
	out := docker("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", image, "version")
	if !strings.HasPrefix(out, "remint ") {
		t.Errorf("version: %q", out)
	}
	t.Logf("read-only and without capabilities: %s", strings.TrimSpace(out))
}
