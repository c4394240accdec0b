package main_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// step is one step of a workflow: the program started as the container action is, with a runner's environment, the
// two command files, and inputs.
type step struct {
	*world
	t               *testing.T
	env             map[string]string
	output, summary string // the command files

	process atomic.Pointer[os.Process] // of the last run
}

func newStep(t *testing.T, configuration string) *step {
	t.Helper()
	w, env := worldOf(t)
	s := &step{world: w, t: t, env: env, output: filepath.Join(w.dir, "output"), summary: filepath.Join(w.dir, "summary")}
	env["GITHUB_ACTIONS"], env["GITHUB_OUTPUT"], env["GITHUB_STEP_SUMMARY"] = "true", s.output, s.summary
	for _, f := range []string{s.output, s.summary} {
		s.file(f, "")
	}
	if _, err := w.handmade("web by hand", 80, "github:"+secretName); err != nil {
		t.Fatal(err)
	}
	if configuration != "" {
		s.file(filepath.Join(w.dir, "remint.yaml"), configuration)
	}
	return s
}

func (s *step) file(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *step) read(path string) string {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(b)
}

// ended is what became of a step.
type ended struct {
	code    int
	log     string // stdout and stderr as the runner sees them, together
	outputs map[string]string
	summary string
}

// run starts the program without arguments, with these inputs, and looks for secrets in everything that it left.
func (s *step) run(inputs map[string]string) ended {
	s.t.Helper()
	s.begin()
	env := maps.Clone(s.env)
	for name, value := range inputs {
		env["INPUT_"+strings.ToUpper(name)] = value
	}
	cmd := exec.Command(build(s.t))
	cmd.Dir = s.dir
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	err := cmd.Start()
	if err == nil {
		s.process.Store(cmd.Process)
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		timer.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	e := ended{code: cmd.ProcessState.ExitCode(), log: log.String(), summary: s.read(s.summary)}
	outputs := s.read(s.output)
	for name, text := range map[string]string{"log": unmasked(e.log), "outputs": outputs, "summary": e.summary} {
		for _, found := range s.leaks(text) {
			s.t.Errorf("%s: %s", name, found)
		}
	}
	if e.outputs, err = commandFile(outputs); err != nil {
		s.t.Errorf("outputs: %v\n%s", err, outputs)
	}
	if s.t.Failed() {
		s.t.Logf("exit code %d\n%s", e.code, unmasked(e.log))
	}
	return e
}

// commandFile reads a file of outputs as GitHub's runner does (actions/runner, FileCommandManager.cs).
func commandFile(text string) (map[string]string, error) {
	all := map[string]string{}
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\n")
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		if equals > 0 && (heredoc < 0 || equals < heredoc) {
			all[line[:equals]] = line[equals+1:]
			continue
		}
		name, delimiter, ok := strings.Cut(line, "<<")
		if !ok || name == "" || delimiter == "" {
			return all, fmt.Errorf("line %d is neither NAME=VALUE nor NAME<<DELIMITER", i+1)
		}
		var value []string
		for i++; ; i++ {
			if i >= len(lines) || lines[i] == "" {
				return all, fmt.Errorf("the delimiter of %s is missing", name)
			}
			if lines[i] == delimiter || lines[i] == delimiter+"\n" {
				break
			}
			value = append(value, strings.TrimSuffix(lines[i], "\n"))
		}
		all[name] = strings.Join(value, "\n")
	}
	return all, nil
}

// has complains about what a text lacks.
func has(t *testing.T, where, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", where, want, unmasked(text))
		}
	}
}

// same complains if a list in JSON is another one.
func same(t *testing.T, what, text string, want ...string) {
	t.Helper()
	var got []string
	if err := json.Unmarshal([]byte(text), &got); err != nil || got == nil || !slices.Equal(got, want) {
		t.Errorf("%s is %s, want %q", what, text, want)
	}
}

func TestActionRotates(t *testing.T) {
	t.Parallel()
	s := newStep(t, flagship)
	e := s.run(map[string]string{"command": "run", "force": "false", "token": s.env["GITHUB_TOKEN"], "config": "", "only": "", "compromised": ""})
	if e.code != 0 || s.live("web *") != 1 {
		t.Errorf("exit code %d, %d live tokens", e.code, s.live("web *"))
	}
	if err := s.check("github:FLY_DEPLOY_TOKEN", "web deploy *"); err != nil {
		t.Error(err)
	}
	same(t, "rotated", e.outputs["rotated"], "web deploy")
	same(t, "failed", e.outputs["failed"])
	if at, err := time.Parse(time.RFC3339, e.outputs["next"]); err != nil || time.Until(at) < 70*24*time.Hour || at.Location() != time.UTC {
		t.Errorf("next is %q: %v", e.outputs["next"], err)
	}
	var result struct {
		Rotations []struct{ Name, Outcome string }
	}
	if err := json.Unmarshal([]byte(e.outputs["result"]), &result); err != nil || len(result.Rotations) != 1 || result.Rotations[0].Outcome != "rotated" {
		t.Errorf("result: %v\n%s", err, e.outputs["result"])
	}
	has(t, "the summary", e.summary, "web deploy", "```mermaid", "gantt", "revoke")
	has(t, "the log", e.log, "\n::group::web deploy\n", "\n::endgroup::\n", "✓ mint ")
	if strings.Contains(e.log, "::error") {
		t.Errorf("error annotations although nothing failed:\n%s", unmasked(e.log))
	}

	e = s.run(nil)
	if wrote := s.writes(); e.code != 0 || len(wrote) != 0 {
		t.Errorf("second tick: exit code %d, wrote %q", e.code, wrote)
	}
	same(t, "rotated", e.outputs["rotated"])
}

// TestActionMasks: every form of a secret is masked before the line that would show it; the newborn before the step
// that mints it is reported as done.
func TestActionMasks(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"GitHub", "Forgejo"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			s := newStep(t, flagship)
			if platform == "Forgejo" {
				s.env["FORGEJO_ACTIONS"], s.env["GITEA_ACTIONS"], s.env["ACT"] = "true", "true", "true"
			}
			e := s.run(nil)
			if e.code != 0 {
				t.Fatalf("exit code %d\n%s", e.code, unmasked(e.log))
			}
			newborn, err := s.value("github:FLY_DEPLOY_TOKEN")
			if err != nil {
				t.Fatal(err)
			}
			first, credentials, done := map[string]int{}, []string{newborn, s.env["FLY_API_TOKEN"], s.env["REMINT_GITHUB_TOKEN"]}, -1
			for i, line := range strings.Split(e.log, "\n") {
				if text, ok := strings.CutPrefix(line, "::add-mask::"); ok {
					if _, ok := first[text]; !ok {
						first[text] = i
					}
				}
				if strings.Contains(line, "✓ mint ") {
					done = i
				}
			}
			if done < 0 {
				t.Fatal("no line says that the mint is done")
			}
			bare := strings.TrimPrefix(newborn, "FlyV1 ")
			forms := append(credentials, bare)
			forms = append(forms, strings.Split(bare, ",")...)
			for _, text := range slices.Clone(forms) {
				forms = append(forms, encodings(text)...)
			}
			for _, form := range forms {
				// Runners decode the data of a command.
				escaped := strings.NewReplacer("%", "%25").Replace(form)
				at, ok := first[escaped]
				switch {
				case !ok:
					t.Errorf("a form of %d bytes is not masked: begins with %.12q", len(form), form)
				case at > done:
					t.Errorf("a form of %d bytes is masked only after the mint", len(form))
				}
			}
		})
	}
}

// encodings are forms that no runner masks by itself.
func encodings(s string) []string {
	all := []string{strings.ToLower(fmt.Sprintf("%x", s)), fmt.Sprintf("%X", s)}
	for offset := range 3 {
		all = append(all, aligned(rawBase64, s, offset), aligned(rawBase64URL, s, offset))
	}
	return all
}

// TestActionFails: outputs and summary are written all the same, and failures are annotations.
func TestActionFails(t *testing.T) {
	t.Parallel()
	s := newStep(t, flagship)
	s.broken = "*"
	e := s.run(nil)
	if e.code != 3 {
		t.Errorf("exit code %d", e.code)
	}
	same(t, "rotated", e.outputs["rotated"])
	same(t, "failed", e.outputs["failed"], "web deploy")
	has(t, "the outputs", e.outputs["result"], `"personNeeded":true`)
	if _, ok := e.outputs["next"]; !ok {
		t.Error("the output next is missing")
	}
	has(t, "the log", e.log, "\n::error title=remint%3A web deploy::")
	has(t, "the summary", e.summary, "web deploy", "person")
}

// TestActionCancelled: the runner interrupts the program between the mint and the first write. The newborn is revoked,
// and the outputs are written.
func TestActionCancelled(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			s := newStep(t, flagship)
			s.after = func(request string) {
				if request == "fly mint" {
					_ = s.process.Load().Signal(signal)
					time.Sleep(500 * time.Millisecond) // the answer waits until a busy machine has delivered it
				}
			}
			e := s.run(nil)
			if e.code != 1 || s.minted() != 1 || s.live("web *") != 1 {
				t.Errorf("exit code %d, %d tokens minted, %d live", e.code, s.minted(), s.live("web *"))
			}
			if err := s.check("github:FLY_DEPLOY_TOKEN", "web by hand"); err != nil {
				t.Error(err)
			}
			same(t, "failed", e.outputs["failed"], "web deploy")
		})
	}
}

// TestActionConfiguration: what is wrong is an annotation at its line, and nothing is asked.
func TestActionConfiguration(t *testing.T) {
	t.Parallel()
	const wrong = "rotations:\n  - name: web deploy\n    provider: {fly: {app: web, expirry: 90d}}\n    sinks: [{github: GITHUB_TOKEN}]\n"
	tests := []struct {
		name, file string
		inputs     map[string]string
		want       []string
	}{
		{"in a file", wrong, nil, []string{"\n::error col=32,file=remint.yaml,line=3,title=remint%3A configuration::rotations[0].provider.fly.expirry: ", "did you mean expiry?", "line=4,"}},
		{"inline", "", map[string]string{"config": wrong}, []string{"inline:3:32: ", "did you mean expiry?", "inline:4:"}},
		{"neither a file nor YAML", "", map[string]string{"config": "web-deploy"}, []string{`there is no file "web-deploy"`, "no inline YAML", "is the repository checked out"}},
		{"not checked out", "", nil, []string{"remint.yaml", "checked out"}},
		{"inline, but a list", "", map[string]string{"config": "- name: web\n- name: api\n"}, []string{"rotations"}},
		{"force", flagship, map[string]string{"force": "yes"}, []string{`the input force is "yes"; write true or false`}},
		{"command", flagship, map[string]string{"command": "rotate"}, []string{`the input command is "rotate"; write run, plan, status, check or rehearse`}},
		{"compromised", flagship, map[string]string{"compromised": "now"}, []string{"only"}},
	}
	for _, test := range tests {
		for _, platform := range []string{"GitHub", "Forgejo"} {
			t.Run(test.name+" on "+platform, func(t *testing.T) {
				t.Parallel()
				s := newStep(t, test.file)
				if platform == "Forgejo" {
					s.env["FORGEJO_ACTIONS"] = "true"
				}
				e := s.run(test.inputs)
				if e.code != 2 || len(s.requests()) != 0 {
					t.Errorf("exit code %d, requests %q", e.code, s.requests())
				}
				for _, want := range test.want {
					if platform != "GitHub" && (strings.HasPrefix(want, "\n::") || strings.HasPrefix(want, "line=")) {
						continue
					}
					has(t, "the log", "\n"+e.log, want)
				}
				raw := strings.Contains(e.log, "::error")
				if raw != (platform == "GitHub") {
					t.Errorf("raw annotations: %t\n%s", raw, unmasked(e.log))
				}
				// A workflow that reads the outputs must not take "nothing" for an answer.
				same(t, "rotated", cmp.Or(e.outputs["rotated"], "none"))
				same(t, "failed", cmp.Or(e.outputs["failed"], "none"))
			})
		}
	}
}

// TestActionCommandFiles: a command file that cannot be written fails the step before anything is minted.
func TestActionCommandFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(s *step)
		want  string
	}{
		{"no variable", func(s *step) { delete(s.env, "GITHUB_OUTPUT") }, "GITHUB_OUTPUT: configuration error: the variable is not set"},
		{"no file", func(s *step) { s.env["GITHUB_OUTPUT"] = filepath.Join(s.dir, "none") }, "GITHUB_OUTPUT: configuration error: it names a file that does not exist in this container"},
		{"no summary", func(s *step) { s.env["GITHUB_STEP_SUMMARY"] = filepath.Join(s.dir, "none") }, "GITHUB_STEP_SUMMARY: configuration error: it names a file that does not exist"},
		{"a folder", func(s *step) { s.env["GITHUB_OUTPUT"] = s.dir }, "GITHUB_OUTPUT: configuration error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStep(t, flagship)
			test.spoil(s)
			e := s.run(nil)
			if e.code != 1 || len(s.requests()) != 0 {
				t.Errorf("exit code %d, requests %q", e.code, s.requests())
			}
			has(t, "the log", e.log, test.want)
		})
	}
}

// TestActionCommands: the other commands work as an action too, and change nothing.
func TestActionCommands(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"plan", "status", "check", "rehearse"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := newStep(t, "")
			e := s.run(map[string]string{"command": command, "config": flagship})
			if wrote := s.writes(); e.code != 0 || len(wrote) != 0 {
				t.Errorf("exit code %d, wrote %q\n%s", e.code, wrote, unmasked(e.log))
			}
			if command == "rehearse" && len(s.requests()) != 0 {
				t.Errorf("a rehearsal asked real services: %q", s.requests())
			}
			has(t, "the log", e.log, "web deploy")
			same(t, "failed", cmp.Or(e.outputs["failed"], "none"))
		})
	}
}
