// Package command verifies a credential by a program of the user's. Its rules:
//
//   - No shell: a program and its arguments. The secret is never among them; it is handed over in one named environment
//     variable or on standard input.
//   - The program gets a small list of environment variables and what the configuration adds, never a credential of
//     remint's own.
//   - Exit status 0 passes and 75 (EX_TEMPFAIL of sysexits.h) says "not yet"; every other status fails. A program that
//     cannot be started, does not end in time or dies by a signal shows nothing: [rotate.ErrUnproven].
//   - Its output is bounded, and passes the redactor before anybody sees it.
//   - When it is over, its whole process group is gone.
//   - With protocol: true it speaks the protocol of pkg/protocol instead, and these rules give way to those (protocol.go).
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/process"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultTimeout = 5 * time.Minute

	tempFail = 75 // EX_TEMPFAIL
)

// Program is a program that tries the credential. Run is needed. It is safe for concurrent use.
type Program struct {
	Run       []string          `yaml:"run" required:"true" scalar:"true" example:"[./scripts/smoke-test.sh, --env, production]" doc:"The program and its arguments, without a shell. A name without a slash is looked up in PATH. Exit status 0 passes, 75 means not proven yet, any other one fails. Id, name and expiry (RFC 3339) of the token are in REMINT_TOKEN_ID, REMINT_TOKEN_NAME and REMINT_TOKEN_EXPIRES."`
	SecretEnv string            `yaml:"secret-env" example:"FLY_API_TOKEN" doc:"Name of the environment variable in which the program gets the credential."`
	Stdin     bool              `yaml:"stdin" doc:"Give the program the credential on standard input, without a line break after it."`
	Env       map[string]string `yaml:"env" doc:"Further environment variables. No secrets: configuration files are read by many."`
	Pass      []string          `yaml:"pass" example:"[GITHUB_REPOSITORY]" doc:"Names of variables of remint's own environment that the program gets besides PATH, HOME, USER, LOGNAME, LANG, LC_ALL, TZ, TMPDIR, TERM, SSL_CERT_FILE, SSL_CERT_DIR and those of proxies. Not the ones that hold credentials of remint."`
	Dir       string            `yaml:"dir" doc:"Working directory; by default remint's own."`
	Timeout   time.Duration     `yaml:"timeout" default:"5m" doc:"How long the program may run. When it is over, it is ended and nothing is proven."`
	Repeat    bool              `yaml:"repeat" doc:"The program may run more than once in one run: it only looks, or makes consumers take up what they should have. attempts needs it."`

	Protocol bool                     `yaml:"protocol" doc:"The program speaks the protocol of docs/protocol.md: it gets a request on standard input and prints an answer. Its exit status must be 0, and of the environment it gets PATH, HOME, TMPDIR, LANG and pass."`
	With     map[string]string        `yaml:"with" example:"{account: web}" doc:"protocol: settings for the program; it gets them with every request. No secrets."`
	Secrets  map[string]rotate.Secret `yaml:"secrets" example:"{api: {env: MY_API_TOKEN}}" doc:"protocol: credentials for the program, by names that it knows; it gets them on standard input."`
	protocol.Pod

	// Output, if not nil, gets what the program prints, as it comes and redacted. It is somebody else's text.
	Output io.Writer `yaml:"-"`
}

var (
	_ rotate.Verifier = (*Program)(nil)
	_ rotate.Checker  = (*Program)(nil)
)

// String names the program and its arguments, such as "command:./smoke-test.sh --env production".
func (p *Program) String() string {
	if p.Protocol {
		return p.speaker().String()
	}
	return "command:" + httpx.Clean(strings.Join(p.Run, " "), 80)
}

// inherited variables say who and where, not with what right.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}

var (
	// ours are variables that may hold credentials of remint or of the job, and the runner's command files.
	ours = pattern.New(`^(?:REMINT_|INPUT_|ACTIONS_)` +
		`|^(?:AWS|FASTLY|FLY|FORGEJO|GITEA|GITHUB|OP|SIGNON|VAULT)_.*(?:TOKEN|SECRET|PASSWORD|KEY|CREDENTIAL)` +
		`|^(?:FORGEJO|GITEA|GITHUB)_(?:ENV|OUTPUT|PATH|STATE|STEP_SUMMARY)$`)
)

// Validate implements the configuration's check; it starts nothing.
func (p *Program) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if len(p.Run) == 0 || p.Run[0] == "" {
		bad("run", "the program is missing")
	}
	for _, a := range p.Run {
		if strings.ContainsRune(a, 0) {
			bad("run", "an argument holds a NUL byte")
		}
	}
	if p.SecretEnv != "" && !process.IsVariable(p.SecretEnv) {
		bad("secret-env", "%q is not the name of an environment variable", p.SecretEnv)
	}
	for name, value := range p.Env {
		switch {
		case !process.IsVariable(name):
			bad("env", "%q is not the name of an environment variable", name)
		case name == p.SecretEnv:
			bad("env", "%s holds the credential; it cannot have another value too", name)
		case strings.ContainsRune(value, 0):
			bad("env", "the value of %s holds a NUL byte", name)
		}
	}
	for _, name := range p.Pass {
		switch {
		case !process.IsVariable(name):
			bad("pass", "%q is not the name of an environment variable", name)
		case ours.MatchString(name):
			bad("pass", "%s may hold a credential of remint's own or a command file of the runner, which no other program gets", name)
		case name == p.SecretEnv:
			bad("pass", "%s holds the credential; it cannot have another value too", name)
		}
	}
	if p.Timeout < 0 {
		bad("timeout", "must not be negative")
	}
	return errors.Join(append(errs, p.validateProtocol())...)
}

// Check implements [rotate.Checker]: the program and its directory exist; if it speaks the protocol, it is asked.
func (p *Program) Check(ctx context.Context) error {
	err := p.Validate()
	switch {
	case err != nil:
	case p.Protocol:
		err = p.speaker().Ready(ctx, protocol.Request{Kind: protocol.Verifier}, nil)
	default:
		err = process.Find(p.Run[0], p.Dir)
	}
	if err != nil {
		return &rotate.Error{Op: "check", At: p.String(), Err: err}
	}
	return nil
}

// Verify implements [rotate.Verifier].
func (p *Program) Verify(ctx context.Context, c rotate.Credential) error {
	err := p.Validate()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: nothing was run: %w", rotate.ErrUnproven, err)
	case p.Protocol:
		err = p.ask(ctx, c)
	default:
		err = p.verify(ctx, c)
	}
	if err != nil {
		return &rotate.Error{Op: "verify", At: p.String(), Err: err}
	}
	return nil
}

func (p *Program) verify(ctx context.Context, c rotate.Credential) error {
	if c.Secret.IsZero() && (p.SecretEnv != "" || p.Stdin) {
		return fmt.Errorf("%w: the credential is not known in this run, since no sink could be read back", rotate.ErrUnproven)
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, p.Run[0], p.Run[1:]...) // #nosec G204 -- the program that the configuration names
	cmd.Dir, cmd.Env = p.Dir, p.environ(c)
	if p.Stdin {
		cmd.Stdin = strings.NewReader(c.Secret.Reveal())
	}
	var secrets redact.Set
	secrets.Add(c.Secret.Reveal())
	out := &process.Tail{}
	var to io.Writer = out
	if p.Output != nil {
		to = io.MultiWriter(out, lenient{p.Output})
	}
	w := secrets.Writer(to)
	cmd.Stdout, cmd.Stderr = w, w // one writer for both, so one pipe, and lines in their order
	end := process.Group(cmd)
	err := cmd.Run()
	end()
	_ = w.Close()
	said := ""
	if text := out.Last(); text != "" {
		said = "; it said: " + text
	}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the latter passed, and left somebody behind who held its output
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: stopped before it ended: %w%s", rotate.ErrUnproven, ctx.Err(), said)
	case bounded.Err() != nil:
		return fmt.Errorf("%w: did not end within %s and was killed%s", rotate.ErrUnproven, timeout, said)
	case !errors.As(err, &exit):
		return fmt.Errorf("%w: %w: the program cannot be run: %w", rotate.ErrUnproven, rotate.ErrConfig, err)
	case exit.ExitCode() == tempFail:
		return fmt.Errorf("%w: the program says so (exit status %d)%s", rotate.ErrUnproven, tempFail, said)
	case exit.ExitCode() < 0:
		return fmt.Errorf("%w: ended by a signal (%s)%s", rotate.ErrUnproven, exit.ProcessState, said)
	}
	return fmt.Errorf("exit status %d%s", exit.ExitCode(), said)
}

// environ returns the program's environment: what is inherited, what is passed on, what the configuration
// gives, the token's description, and the secret if it travels this way.
func (p *Program) environ(c rotate.Credential) []string {
	env := []string{"REMINT_TOKEN_ID=" + c.ID, "REMINT_TOKEN_NAME=" + c.Name}
	if !c.Expires.IsZero() {
		env = append(env, "REMINT_TOKEN_EXPIRES="+c.Expires.UTC().Format(time.RFC3339))
	}
	for _, name := range slices.Concat(inherited, p.Pass) {
		_, given := p.Env[name]
		if v, ok := os.LookupEnv(name); ok && !given && name != p.SecretEnv {
			env = append(env, name+"="+v)
		}
	}
	for name, v := range p.Env {
		env = append(env, name+"="+v)
	}
	if p.SecretEnv != "" {
		env = append(env, p.SecretEnv+"="+c.Secret.Reveal())
	}
	return env
}

// lenient is a writer whose failure does not end the program that prints.
type lenient struct{ to io.Writer }

func (l lenient) Write(p []byte) (int, error) {
	_, _ = l.to.Write(p)
	return len(p), nil
}
