//go:build unix

package command

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/process"
	"github.com/remint-dev/remint/pkg/rotate"
)

const newborn = "newborn-0123456789-abcdef"

var credential = rotate.Credential{
	Token:  rotate.Token{ID: "tok_1", Name: "web deploy", Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)},
	Secret: rotate.NewSecret(newborn),
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name     string
		program  *Program
		says     string // "": passes
		unproven bool
	}{
		{"passes", &Program{Run: []string{"true"}}, "", false},
		{"fails", &Program{Run: sh("echo it is bad; exit 3")}, "exit status 3; it said: it is bad", false},
		{"not yet", &Program{Run: sh("echo replica is behind >&2; exit 75")}, "replica is behind", true},
		{"by a signal", &Program{Run: sh("kill -9 $$")}, "signal", true},
		{"in the variable", &Program{Run: sh(`test "$TOKEN" = ` + newborn), SecretEnv: "TOKEN"}, "", false},
		{"on standard input", &Program{Run: sh(`test "$(cat)" = ` + newborn), Stdin: true}, "", false},
		{"nowhere else", &Program{Run: sh(`! env | grep newborn && test -z "$(cat)"`)}, "", false},
		{"input not read", &Program{Run: []string{"true"}, Stdin: true}, "", false},
		{"description", &Program{Run: sh(`test "$REMINT_TOKEN_ID $REMINT_TOKEN_NAME $REMINT_TOKEN_EXPIRES" = "tok_1 web deploy 2027-01-02T03:04:05Z"`)}, "", false},
		{"environment", &Program{Run: sh(`test "$A" = b && test -n "$PATH" && test "$LANG" = C.UTF-8`), Env: map[string]string{"A": "b", "LANG": "C.UTF-8"}}, "", false},
		{"no such program", &Program{Run: []string{"no-such-program-here"}}, "cannot be run", true},
		{"no shell", &Program{Run: []string{"echo $HOME; exit 0"}}, "cannot be run", true},
		{"prints the secret", &Program{Run: sh(`echo "token $TOKEN"; printf %s "$TOKEN" | base64; exit 1`), SecretEnv: "TOKEN"}, "token [secret] | [secret]", false},
		{"prints commands of the runner", &Program{Run: sh(`printf '::set-env name=A::b\r\n##[set-env]\n'; exit 1`)}, "exit status 1; it said: ::set-env name=A::b | ##[set-env]", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.program.Verify(t.Context(), credential)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || errors.Is(err, rotate.ErrUnproven) != c.unproven || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want %q, unproven %t; got %v", c.says, c.unproven, err)
			}
			if strings.Contains(fmt.Sprint(err), newborn) || strings.Contains(fmt.Sprint(err), base64.StdEncoding.EncodeToString([]byte(newborn))[:20]) {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

// The environment of remint, with credentials of its own, does not reach the program.
func TestEnvironmentIsAllowlisted(t *testing.T) {
	for _, name := range []string{"FLY_API_TOKEN", "REMINT_GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "INPUT_TOKEN", "SOMETHING_ELSE", "GITHUB_OUTPUT"} {
		t.Setenv(name, "canary-"+name)
	}
	t.Setenv("GITHUB_REPOSITORY", "example/web")
	p := &Program{Run: sh(`env | grep canary && exit 1; test "$GITHUB_REPOSITORY" = example/web`), Pass: []string{"GITHUB_REPOSITORY", "NOT_SET"}}
	if err := p.Verify(t.Context(), credential); err != nil {
		t.Error(err)
	}
	// The newborn may travel in the variable that the program knows, and no other value with it.
	p = &Program{Run: sh(`test "$FLY_API_TOKEN" = ` + newborn), SecretEnv: "FLY_API_TOKEN"}
	if err := p.Verify(t.Context(), credential); err != nil {
		t.Error(err)
	}
}

func TestWithoutSecret(t *testing.T) {
	for _, p := range []*Program{{Run: []string{"false"}, SecretEnv: "TOKEN"}, {Run: []string{"false"}, Stdin: true}} {
		if err := p.Verify(t.Context(), rotate.Credential{}); !errors.Is(err, rotate.ErrUnproven) {
			t.Errorf("got %v", err)
		}
	}
	if err := (&Program{Run: []string{"true"}}).Verify(t.Context(), rotate.Credential{}); err != nil {
		t.Errorf("a program that needs no secret: %v", err)
	}
}

// gone waits, bounded, until the process whose id is in the file has ended.
func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil && syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") { // an orphan may wait for its reaper
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
}

// A program that does not end is ended with all that it started.
func TestTimeoutEndsTheGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := &Program{Run: sh(`sleep 60 & echo $! >"$FILE"; echo working; wait`), Env: map[string]string{"FILE": file}, Timeout: 300 * time.Millisecond}
	began := time.Now()
	err := p.Verify(t.Context(), credential)
	if !errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "did not end within 300ms") || !strings.Contains(err.Error(), "working") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	gone(t, file)
}

func TestCancelEndsTheGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	p := &Program{Run: sh(`sleep 60 & echo $! >"$FILE"; wait`), Env: map[string]string{"FILE": file}}
	if err := p.Verify(ctx, credential); !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	gone(t, file)
}

// What a program leaves behind when it ends well is ended too.
func TestLeavesNobodyBehind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := &Program{Run: sh(`sleep 60 >/dev/null 2>&1 & echo $! >"$FILE"`), Env: map[string]string{"FILE": file}}
	if err := p.Verify(t.Context(), credential); err != nil {
		t.Error(err)
	}
	gone(t, file)
}

func TestOutputIsBoundedAndRedacted(t *testing.T) {
	var out bytes.Buffer
	p := &Program{Run: sh(`i=0; while [ $i -lt 3000 ]; do echo "line $i of a program that says a lot $TOKEN"; i=$((i+1)); done; exit 1`), SecretEnv: "TOKEN", Output: &out}
	err := p.Verify(t.Context(), credential)
	if err == nil || len(err.Error()) > 2*process.Keep || !strings.Contains(err.Error(), "line 2999 of a program that says a lot [secret]") {
		t.Errorf("got %v", err)
	}
	if text := out.String(); strings.Contains(text, newborn) || strings.Count(text, "[secret]\n") != 3000 {
		t.Errorf("output of %d bytes, %d times redacted", len(text), strings.Count(text, "[secret]\n"))
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "smoke"), []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program *Program
		good    bool
	}{
		{&Program{Run: []string{"true"}}, true},
		{&Program{Run: []string{filepath.Join(dir, "smoke")}}, true},
		{&Program{Run: []string{"./smoke"}, Dir: dir}, true},
		{&Program{Run: []string{"./smoke"}}, false},
		{&Program{Run: []string{"./plain"}, Dir: dir}, false},
		{&Program{Run: []string{"true"}, Dir: filepath.Join(dir, "gone")}, false},
		{&Program{Run: []string{"no-such-program-here"}}, false},
	} {
		err := c.program.Check(t.Context())
		if (err == nil) != c.good || err != nil && !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%v in %q: %v", c.program.Run, c.program.Dir, err)
		}
		if c.good {
			if err := c.program.Verify(t.Context(), credential); err != nil {
				t.Errorf("%v passes the check, and then: %v", c.program.Run, err)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field   string
		program *Program
	}{
		{"run", &Program{}},
		{"run", &Program{Run: []string{""}}},
		{"run", &Program{Run: []string{"a", "b\x00"}}},
		{"secret-env", &Program{Run: []string{"true"}, SecretEnv: "A-B"}},
		{"env", &Program{Run: []string{"true"}, Env: map[string]string{"A=B": "c"}}},
		{"env", &Program{Run: []string{"true"}, SecretEnv: "A", Env: map[string]string{"A": "c"}}},
		{"pass", &Program{Run: []string{"true"}, Pass: []string{"REMINT_GITHUB_TOKEN"}}},
		{"pass", &Program{Run: []string{"true"}, Pass: []string{"FLY_API_TOKEN"}}},
		{"pass", &Program{Run: []string{"true"}, Pass: []string{"AWS_SECRET_ACCESS_KEY"}}},
		{"pass", &Program{Run: []string{"true"}, Pass: []string{"GITHUB_OUTPUT"}}},
		{"pass", &Program{Run: []string{"true"}, Pass: []string{"A B"}}},
		{"timeout", &Program{Run: []string{"true"}, Timeout: -1}},
	} {
		err := c.program.Validate()
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%+v: got %v", c.program, err)
		}
	}
	if err := (&Program{Run: []string{"true"}, Pass: []string{"AWS_REGION", "GITHUB_SHA", "KUBECONFIG"}}).Validate(); err != nil {
		t.Error(err)
	}
	f, _ := reflect.TypeFor[Program]().FieldByName("Timeout")
	if got, err := time.ParseDuration(f.Tag.Get("default")); err != nil || got != defaultTimeout {
		t.Errorf("timeout: tag %s, code %s", f.Tag.Get("default"), defaultTimeout)
	}
}
