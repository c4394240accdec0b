//go:build unix

package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// try runs `remint conform`.
func try(t *testing.T, env map[string]string, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Main(t.Context(), Process{Args: append([]string{"conform"}, args...), Getenv: func(name string) string { return env[name] },
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr})
	return code, stdout.String(), stderr.String()
}

// python is how to start a program in Python. The system's own comes first: a wrapper in PATH may take longer than the program.
func python(path string) []string {
	const system = "/usr/bin/python3"
	if _, err := os.Stat(system); err == nil {
		return []string{system, path}
	}
	return []string{path}
}

func TestConformExamples(t *testing.T) {
	for _, x := range []struct {
		file, needs string
		flags       []string
	}{
		{"providers/provider.py", "python3", nil},
		{"providers/provider.sh", "jq", nil},
		{"sinks/sink.py", "python3", []string{"--sink"}},
	} {
		t.Run(x.file, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(x.needs); err != nil {
				t.Skipf("%s is not run: there is no %s on this machine", x.file, x.needs)
			}
			path, err := filepath.Abs("../../examples/" + x.file)
			if err != nil {
				t.Fatal(err)
			}
			at := filepath.Join(t.TempDir(), "store")
			args := append(x.flags, "--with", "store="+at, "--with", "file="+at, "--secret", "api=MY_TOKEN", "--")
			if args = append(args, path); x.needs == "python3" {
				args = append(args[:len(args)-1], python(path)...)
			}
			code, out, errs := try(t, map[string]string{"MY_TOKEN": "credential-of-the-program"}, "", args...)
			if code != Done || errs != "" || !strings.Contains(out, "\nIt conforms: ") || strings.Contains(out, "FAIL") {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
		})
	}
}

// toyProgram is a provider of shell alone that conforms; each mutation breaks one rule.
const toyProgram = `read -r line; field() { rest=${line#*"\"$1\":\""}; printf %s "${rest%%\"*}"; }
case $line in *'"kind":"provider"'*) ;; *) echo '{"remint":1,"error":{"kind":"unsupported"}}'; exit;; esac
each() { for f in "$0"/*; do [ -f "$f" ] && { read -r token; read -r secret; } <"$f" && "$@"; done; }
row() { all=$all${all:+,}$token; }
known() { [ "$secret" != "$(field secret)" ] || found=$token; }
case $(field verb) in
check) echo '{"remint":1,"can":["identify"]}';;
mint) n=$(($(cat "$0/.n" 2>/dev/null || echo 0) + 1)); echo $n >"$0/.n"; token="{\"id\":\"$n\",\"name\":\"$(field name)\",\"created\":\"2026-11-22T06:00:0${n}Z\"}"
	printf '%s\nsecret-number-%s\n' "$token" $n >"$0/$n"; printf '{"remint":1,"token":%s,"secret":"secret-number-%s"}' "$token" $n;;
list) all=; each row; printf '{"remint":1,"tokens":[%s]}' "$all";;
identify) found=; each known; if [ "$found" ]; then printf '{"remint":1,"token":%s}' "$found"; else echo '{"remint":1,"error":{"kind":"denied"}}'; fi;;
revoke) rm -f "$0/$(field id)"; echo '{"remint":1}';;
*) echo '{"remint":1,"error":{"kind":"unsupported"}}';;
esac`

// TestConformFinds: every rule that a program can break is found, by the right line, with what to do.
func TestConformFinds(t *testing.T) {
	for _, x := range []struct{ name, from, to, line string }{
		{"nothing", "", "", ""},
		{"no version", `{"remint":1,"can"`, `{"can"`, "answers check"},
		{"waits for the end", "read -r line;", `line=$(cat);`, "input may stay open"},
		{"any verb is fine", `*) echo '{"remint":1,"error":{"kind":"unsupported"}}';;
esac`, `*) echo '{"remint":1}';;
esac`, "unknown verb"},
		{"any kind is fine", `*) echo '{"remint":1,"error":{"kind":"unsupported"}}'; exit;;`, "*) ;;", "other kind"},
		{"one secret for all", `secret-number-%s\n' "$token" $n`, `secret-number-1\n' "$token"`, "identify"},
		{"a new name", `\"name\":\"$(field name)\"`, `\"name\":\"x\"`, "the rest"},
		{"nothing listed", "each row", ":", "list"},
		{"identifies anything", `echo '{"remint":1,"error":{"kind":"denied"}}'; fi`, `echo '{"remint":1,"token":{}}'; fi`, "identify"},
		{"another kind of error", `"kind":"denied"`, `"kind":"not-found"`, "identify"},
		{"revokes nothing", `rm -f "$0/$(field id)"; `, "", "revoke"},
		{"revokes all", `rm -f "$0/$(field id)"; `, `rm -f "$0"/*; `, "revoke"},
		{"gone is an error", `rm -f "$0/$(field id)"; `, `rm "$0/$(field id)" || exit 1; `, "revoke"},
		{"logs its request", "case $(field verb) in", `echo "$line" >&2; case $(field verb) in`, "standard error"},
		{"cannot what it says", "identify) found=", "identity) found=", "identify"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			script := toyProgram
			if x.from != "" {
				if script = strings.Replace(toyProgram, x.from, x.to, 1); script == toyProgram {
					t.Fatal("there is no such text in the program")
				}
			}
			timeout := "20s"
			if x.line == "input may stay open" {
				timeout = "2s"
			}
			code, out, errs := try(t, map[string]string{"T": "credential-of-the-program"}, "", "--timeout", timeout, "--secret", "api=T", "--", "/bin/sh", "-c", script, t.TempDir())
			if x.line == "" {
				if code != Done {
					t.Errorf("exit %d\n%s%s", code, out, errs)
				}
				return
			}
			if code != Failed || !strings.Contains(out, "FAIL  "+x.line+": ") || !strings.Contains(out, "      "+advice[x.line]) {
				t.Errorf("exit %d, want FAIL %s\n%s%s", code, x.line, out, errs)
			}
			if strings.Contains(out+errs, "credential-of-the-program") || strings.Contains(out+errs, "secret-number-1") {
				t.Errorf("a secret is shown\n%s%s", out, errs)
			}
		})
	}
}

func TestConformVerifier(t *testing.T) {
	const good = `read -r line; case $line in *'"kind":"verifier"'*'"verb":"check"'*|*works-*) echo '{"remint":1}';; *'"kind":"verifier"'*'"verb":"verify"'*) echo '{"remint":1,"error":{"kind":"denied"}}';; *) echo '{"remint":1,"error":{"kind":"unsupported"}}';; esac`
	for _, x := range []struct {
		script, stdin string
		code          int
		line          string
	}{
		{good, "", Done, "ok    made-up credential"},
		{good, "works-0123456789\n", Done, "ok    good"},
		{good, "other-0123456789\n", Failed, "FAIL  good: "},
		{strings.Replace(good, `"kind":"denied"`, `"kind":"unproven"`, 1), "", Done, "ok    made-up credential"},
		{strings.Replace(good, `"error":{"kind":"denied"}`, `"x":1`, 1), "", Failed, "FAIL  made-up credential: it says that it works"},
		{strings.Replace(good, `'{"remint":1,"error":{"kind":"denied"}}'`, `rubbish`, 1), "", Failed, "FAIL  made-up credential: "},
	} {
		args := []string{"--verify", "--", "/bin/sh", "-c", x.script}
		if x.stdin != "" {
			args = append([]string{"--stdin"}, args...)
		}
		code, out, errs := try(t, nil, x.stdin, args...)
		if code != x.code || !strings.Contains(out, x.line) || strings.Contains(out+errs, "0123456789") {
			t.Errorf("exit %d, want %d and %q\n%s%s", code, x.code, x.line, out, errs)
		}
	}
}

func TestConformMisused(t *testing.T) {
	for says, args := range map[string][]string{
		"conform needs a program":                           {},
		"one kind at a time":                                {"--sink", "--verify", "--", "true"},
		"--stdin is for --verify":                           {"--stdin", "--", "true"},
		"write NAME=VALUE":                                  {"--with", "x", "--", "true"},
		"the environment variable T is not set or empty":    {"--secret", "api=T", "--", "true"},
		"the program cannot be run":                         {"--", "./no-such-program"},
		"may hold a credential of remint's own":             {"--pass", "REMINT_GITHUB_TOKEN", "--", "true"},
		"flag provided but not defined: -no-such-flag":      {"--no-such-flag"},
		"standard input is empty; pipe the secret in: remi": {"--verify", "--stdin", "--", "true"},
	} {
		code, _, errs := try(t, nil, "", args...)
		if code != Misused || !strings.Contains(errs, says) {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}
