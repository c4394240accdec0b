//go:build unix

package protocol

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is a rogues' gallery: each program is bad in a way of its own.

const (
	known = "known-secret-0123456789" // went out with the request
	api   = "program-credential-0123" // the program's own
	fresh = "newborn-secret-abcdefgh" // minted by the program
)

func sh(script string) *Program {
	return &Program{Run: []string{"/bin/sh", "-c", script}, Secrets: map[string]rotate.Secret{"api": rotate.NewSecret(api)}, Timeout: 20 * time.Second}
}

const good = `echo '{"remint":1,"token":{"id":"1","name":"n"},"secret":"` + fresh + `"}'`

func TestBadPrograms(t *testing.T) {
	for _, tt := range []struct {
		name, verb string
		program    *Program
		timeout    time.Duration
		says       string
		is         error
	}{
		{"hangs", Mint, sh(`sleep 60`), 200 * time.Millisecond, "did not end within 200ms and was killed", rotate.ErrTemporary},
		{"hangs deaf to signals", Mint, sh(`trap '' TERM; sleep 60; sleep 60`), 200 * time.Millisecond, "did not end within 200ms and was killed", rotate.ErrTemporary},
		{"hangs after its answer", Mint, sh(good + `; sleep 60`), 200 * time.Millisecond, "did not end within 200ms and was killed", rotate.ErrTemporary},
		{"floods standard output", List, sh(`yes ` + known), 0, "more than 1 MiB on standard output", rotate.ErrTemporary},
		{"floods standard error", List, sh(`yes ` + known + ` >&2`), 0, "more than 1 MiB on standard error", rotate.ErrTemporary},
		{"prints rubbish", Mint, sh(`echo 'token: ` + fresh + `'`), 0, "is no JSON from byte", rotate.ErrTemporary},
		{"prints rubbish before its answer", Mint, sh(`echo "minting…"; ` + good), 0, "is no JSON from byte", rotate.ErrTemporary},
		{"prints bytes that are no text", Mint, sh(`printf '{"remint":1,"secret":"\377"}'`), 0, "not valid UTF-8", rotate.ErrTemporary},
		{"prints half of a character", Mint, sh(`echo '{"remint":1,"token":{"id":"1"},"secret":"a\ud800b"}'`), 0, "no Unicode text", rotate.ErrTemporary},
		{"prints a list", Mint, sh(`echo '["` + fresh + `"]'`), 0, "is no JSON object", rotate.ErrTemporary},
		{"prints a wrong type", Mint, sh(`echo '{"remint":1,"token":{"id":7,"name":"` + fresh + `"}}'`), 0, "a wrong type at token.id, which is string", rotate.ErrTemporary},
		{"prints a wrong time", Mint, sh(`echo '{"remint":1,"token":{"id":"7","created":"` + fresh + `"}}'`), 0, "a time that is not RFC 3339", rotate.ErrTemporary},
		{"prints half an answer", Mint, sh(`printf '{"remint":1,"secret":"` + fresh + `'`), 0, "cut off", rotate.ErrTemporary},
		{"exits 0 without an answer", Mint, sh(`exit 0`), 0, "printed no answer", rotate.ErrTemporary},
		{"exits 3 without an answer", List, sh(`echo "no such zone" >&2; exit 3`), 0, "ended with exit status 3 (it printed no answer); on standard error: no such zone", rotate.ErrTemporary},
		{"exits 3 after its answer", Mint, sh(good + `; exit 3`), 0, "answered that all is well, and then: it ended with exit status 3", rotate.ErrTemporary},
		{"dies by a signal", Mint, sh(`kill -9 $$`), 0, "signal: killed", rotate.ErrTemporary},
		{"answers twice", Mint, sh(good + `; ` + good), 0, "more than one answer", rotate.ErrTemporary},
		{"answers without a secret", Mint, sh(`echo '{"remint":1,"token":{"id":"1"}}'`), 0, "has no secret", rotate.ErrTemporary},
		{"answers without an id", Mint, sh(`echo '{"remint":1,"secret":"` + fresh + `"}'`), 0, "no token.id", rotate.ErrTemporary},
		{"lists without an id", List, sh(`echo '{"remint":1,"tokens":[{"name":"x"}]}'`), 0, "a token without id, at 0", rotate.ErrTemporary},
		{"lists one id twice", List, sh(`echo '{"remint":1,"tokens":[{"id":"x"},{"id":"x"}]}'`), 0, "two tokens of one id, at 1", rotate.ErrTemporary},
		{"identifies nothing", Identify, sh(`echo '{"remint":1}'`), 0, "has no token", rotate.ErrTemporary},
		{"writes the new secret to standard error", Mint, sh(`echo 'got ` + fresh + `' >&2; exit 1`), 0, "exit status 1", rotate.ErrTemporary},
		{"writes its request to standard error", List, sh(`cat >&2; exit 1`), 0, `"api":"[secret]"`, rotate.ErrTemporary},
		{"repeats secrets in its error", Identify, sh(`read r; echo '{"remint":1,"error":{"kind":"denied","message":"bad ` + known + ` with ` + api + `"}}'`), 0, "permission denied: bad [secret] with [secret]", rotate.ErrDenied},
		{"repeats the new secret in its error", Mint, sh(`echo '{"remint":1,"secret":"` + fresh + `","error":{"kind":"limit","message":"minted ` + fresh + `, too many"}}'`), 0, "limit reached: minted [secret], too many", rotate.ErrLimit},
		{"forks a child that holds the pipe", Mint, sh(good + `; sleep 60 &`), 0, "a process that it left behind held its output", rotate.ErrTemporary},
		{"wrong version", Mint, sh(`echo '{"remint":2,"token":{"id":"1"},"secret":"x"}'`), 0, "version 2 of the protocol, this remint version 1", rotate.ErrTemporary},
		{"no version", Mint, sh(`echo '{"token":{"id":"1"},"secret":"x"}'`), 0, `give "remint": 1`, rotate.ErrTemporary},
		{"huge secret", Mint, sh(`printf '{"remint":1,"token":{"id":"1"},"secret":"'; head -c 70000 /dev/zero | tr '\0' x; echo '"}'`), 0, "the secret in its answer has 70000 bytes; the limit is 65536", rotate.ErrLimit},
		{"huge id", Mint, sh(`printf '{"remint":1,"secret":"x","token":{"id":"'; head -c 70000 /dev/zero | tr '\0' x; echo '"}}'`), 0, "more than 1000 bytes", rotate.ErrTemporary},
		{"unknown kind of error", Mint, sh(`echo '{"remint":1,"error":{"kind":"sad","message":"m"}}'`), 0, `unknown kind "sad": m`, rotate.ErrTemporary},
		{"error without a word", Mint, sh(`echo '{"remint":1,"error":{}}'`), 0, "the program gives no reason", rotate.ErrTemporary},
		{"error with control characters", Mint, sh(`printf '%s\n' '{"remint":1,"error":{"kind":"config","message":"a\n::error::b\u001b[31m"}}'; exit 1`), 0, "configuration error: a ::error::b [31m", rotate.ErrConfig},
		{"no such program", Mint, &Program{Run: []string{"no-such-program-here"}}, 0, "cannot be run", rotate.ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.timeout > 0 {
				tt.program.Timeout = tt.timeout
			}
			began := time.Now()
			a, err := tt.program.Call(t.Context(), Request{Kind: Provider, Verb: tt.verb, Name: "n", Secret: known})
			if err == nil || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("want %q; got %v", tt.says, err)
			}
			for _, secret := range []string{known, api, fresh} {
				if strings.Contains(fmt.Sprint(err), secret[:12]) {
					t.Errorf("shows a secret: %v", err)
				}
			}
			if len(fmt.Sprint(err)) > 4000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("took %s", took)
			}
			if tt.name == "huge secret" && (a.Token.Rotate().ID != "1" || a.Secret != "") {
				t.Errorf("the token that was minted cannot be found: %+v", a)
			}
		})
	}
}

// gone waits, bounded, until the process whose id is in the file has ended.
func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
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

// What a program started is gone when it is over, however it ended.
func TestNobodyIsLeft(t *testing.T) {
	for name, script := range map[string]string{
		"timeout":  `sleep 60 & echo $! >"$0"; wait`,
		"answered": `sleep 60 >/dev/null 2>&1 & echo $! >"$0"; ` + good,
	} {
		file := filepath.Join(t.TempDir(), "pid")
		p := &Program{Run: []string{"/bin/sh", "-c", script, file}, Timeout: 300 * time.Millisecond}
		if name == "answered" {
			p.Timeout = 20 * time.Second
		}
		if _, err := p.Call(t.Context(), Request{Verb: Mint}); (err == nil) != (name == "answered") {
			t.Errorf("%s: %v", name, err)
		}
		gone(t, file)
	}
}

func TestCancelled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "started")
	p := &Program{Run: []string{"/bin/sh", "-c", `echo >"$0"`, file}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Call(ctx, Request{Verb: Mint}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it ran all the same")
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := sh(`sleep 60`).Call(ctx, Request{Verb: Mint}); !errors.Is(err, context.Canceled) || !errors.Is(err, rotate.ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

// The program gets no variable that is not listed, its input ends, and a request is one line.
func TestSurroundings(t *testing.T) {
	for _, name := range []string{"FLY_API_TOKEN", "REMINT_GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "USER", "LC_ALL"} {
		t.Setenv(name, "canary-"+name)
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("LANG", "C.UTF-8")
	p := sh(`env | grep -q canary && exit 1; test "$AWS_REGION $LANG" = "eu-west-1 C.UTF-8" || exit 2
		test -n "$PATH" || exit 3; read -r line || exit 4; test -z "$(cat)" || exit 5; cd "$PWD" || exit 6
		case "$line" in *"two\\nlines"*` + api + `*) ;; *) exit 7;; esac; echo '{"remint":1,"future":{"a":[1]}}'`)
	p.Pass, p.With = []string{"AWS_REGION", "NOT_SET"}, map[string]string{"text": "two\nlines"}
	if _, err := p.Call(t.Context(), Request{Kind: Sink, Verb: Check}); err != nil {
		t.Error(err)
	}
	p = sh(`echo '{"remint":1}'`) // which does not read
	if _, err := p.Call(t.Context(), Request{Kind: Sink, Verb: Write, Secret: strings.Repeat("x", MaxSecret)}); err != nil {
		t.Errorf("a program that does not read its request: %v", err)
	}
	if _, err := p.Call(t.Context(), Request{Kind: Sink, Verb: Write, Secret: strings.Repeat("x", MaxSecret+1)}); !errors.Is(err, rotate.ErrLimit) {
		t.Errorf("a secret that is too long: %v", err)
	}
}
