package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/process"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/rotate"
)

const defaultTimeout = time.Minute

// Program is a program that speaks the protocol, on this machine or in a pod. Run is needed. It is safe for concurrent use.
// The adapters in pkg/providers/command and pkg/sinks/command embed it.
type Program struct {
	Run     []string                 `yaml:"run" required:"true" scalar:"true" example:"[./my-program]" doc:"The program and its arguments, without a shell. A name without a slash is looked up in PATH. It speaks the protocol of docs/protocol.md."`
	With    map[string]string        `yaml:"with" example:"{account: web}" doc:"Settings for the program; it gets them with every request. No secrets: configuration files are read by many."`
	Secrets map[string]rotate.Secret `yaml:"secrets" example:"{api: {env: MY_API_TOKEN}}" doc:"Credentials for the program, by names that it knows; it gets them with every request, on standard input."`
	Pass    []string                 `yaml:"pass" example:"[AWS_REGION]" doc:"Names of variables of remint's own environment that the program gets besides PATH, HOME, TMPDIR and LANG. Credentials are better given under secrets."`
	Dir     string                   `yaml:"dir" doc:"Working directory; by default remint's own."`
	Timeout time.Duration            `yaml:"timeout" default:"1m" doc:"How long one request may take. Then the program is killed with all that it started."`
	Pod

	// Watch is told every exchange, with what the program printed on standard error as it is: secrets are in all three.
	// Nil: nobody is told.
	Watch func(Request, Answer, string) `yaml:"-" json:"-"`
	// OpenInput keeps the standard input of a program on this machine open, as exec in a pod may.
	OpenInput bool `yaml:"-" json:"-"`
}

var (
	// inherited variables say who and where, not with what right.
	inherited = []string{"PATH", "HOME", "TMPDIR", "LANG"}
	// ours are credentials of remint or of the job, and the runner's command files.
	ours = pattern.New(`^(?:REMINT_|INPUT_|ACTIONS_)|^(?:FORGEJO|GITEA|GITHUB)_(?:ENV|OUTPUT|PATH|STATE|STEP_SUMMARY)$`)
)

// String names the program, such as "command:./my-program --env production" or "command:apps/web-0:./my-program". Settings
// under with are named too, so that two programs that differ in them only are told apart.
func (p *Program) String() string {
	at := "command:"
	if p.Remote() {
		at += p.place() + ":"
	}
	text := strings.Join(p.Run, " ")
	keys := make([]string, 0, len(p.With))
	for k := range p.With {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		text += " " + k + "=" + p.With[k]
	}
	return at + httpx.Clean(text, 200)
}

// Validate reports all that is wrong with the fields. It starts nothing.
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
	for name, s := range p.Secrets {
		if n := len(s.Reveal()); n > MaxSecret {
			bad("secrets", "%s has %d bytes; the limit is %d", name, n, MaxSecret)
		}
	}
	for _, name := range p.Pass {
		switch {
		case !process.IsVariable(name):
			bad("pass", "%q is not the name of an environment variable", name)
		case ours.MatchString(name):
			bad("pass", "%s may hold a credential of remint's own or a command file of the runner, which no other program gets; credentials are given under secrets", name)
		}
	}
	if p.Timeout < 0 {
		bad("timeout", "must not be negative")
	}
	if p.Remote() {
		if len(p.Pass) > 0 {
			bad("pass", "the program runs in a pod, whose environment is its own; give settings under with and credentials under secrets")
		}
		if p.Dir != "" {
			bad("dir", "the program runs in a pod, in the working directory of its container")
		}
	}
	return errors.Join(append(errs, p.Pod.Validate())...)
}

// Find makes sure that there is such a program on this machine; of one in a pod that is not known beforehand.
func (p *Program) Find() error {
	if p.Remote() {
		return nil
	}
	return process.Find(p.Run[0], p.Dir)
}

// Call sends one request and returns the answer. An error that the program answered with wraps the sentinel of its kind; all
// else that goes wrong wraps [rotate.ErrTemporary], or [rotate.ErrConfig] if nothing was started. The answer, as far as it
// was understood, comes with an error too. Nothing is ever sent twice.
func (p *Program) Call(ctx context.Context, r Request) (Answer, error) {
	if len(r.Secret) > MaxSecret {
		return Answer{}, fmt.Errorf("%w: nothing was run: the secret has %d bytes, a program gets at most %d", rotate.ErrLimit, len(r.Secret), MaxSecret)
	}
	r.Version, r.With = Version, p.With
	if len(p.Secrets) > 0 {
		r.Secrets = make(map[string]string, len(p.Secrets))
		for name, s := range p.Secrets {
			r.Secrets[name] = s.Reveal()
		}
	}
	line, err := json.Marshal(r) // #nosec G117 -- for the pipe to the program, which is where a secret goes
	if err != nil {              // only a year beyond 9999 gets here
		return Answer{}, fmt.Errorf("%w: nothing was run: the request has no JSON form: %w", rotate.ErrConfig, err)
	}
	a, said, err := p.send(ctx, r.Verb, r.Secret, line)
	if p.Watch != nil {
		p.Watch(r, a, said)
	}
	return a, err
}

// Send sends one line as the request, whatever it is, as [Program.Call] would.
func (p *Program) Send(ctx context.Context, verb string, line []byte) (Answer, error) {
	a, _, err := p.send(ctx, verb, "", line)
	return a, err
}

// send also returns what the program printed on standard error.
func (p *Program) send(ctx context.Context, verb, secret string, line []byte) (Answer, string, error) {
	if err := p.Validate(); err != nil {
		return Answer{}, "", fmt.Errorf("nothing was run: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, "", fmt.Errorf("nothing was run: %w", err)
	}
	var hidden redact.Set
	hidden.Add(secret)
	for _, s := range p.Secrets {
		hidden.Add(s.Reveal())
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not end within %s and was killed", timeout))
	defer cancel()
	over := p.start(bounded, append(line, '\n'))
	if over.never != nil {
		return Answer{}, "", over.never
	}
	a, wrong := Decode(verb, over.printed)
	hidden.Add(a.Secret)
	switch {
	case ctx.Err() != nil:
		wrong = fmt.Errorf("it was stopped before it ended: %w", context.Cause(ctx))
	case over.flood != nil:
		wrong = over.flood
	case bounded.Err() != nil:
		wrong = context.Cause(bounded)
	case a.Error != nil && over.clean():
		return a, over.said, a.Error.err(hidden.String)
	case over.held:
		wrong = errors.New("it ended, but a process that it left behind held its output; it was killed")
	case over.lost != nil:
		wrong = over.lost
	case wrong != nil && over.exit != "":
		wrong = fmt.Errorf("%s (%w)", over.exit, wrong)
	case wrong == nil && over.exit != "":
		wrong = fmt.Errorf("it answered that all is well, and then: %s", over.exit)
	}
	if wrong == nil {
		return a, over.said, nil
	}
	text := ""
	if over.said != "" && verb != Mint && verb != Read { // which may have learned a secret that we do not know
		text = "; on standard error: " + said(hidden.String(over.said))
	}
	return a, over.said, fmt.Errorf("%w: no proper answer to %s: %w%s", rotate.ErrTemporary, verb, wrong, text)
}

// said makes the end of what a program printed fit for a message.
func said(text string) string {
	t := &process.Tail{}
	_, _ = t.Write([]byte(text))
	return t.Last()
}

// environ is the environment of a program on this machine.
func (p *Program) environ() []string {
	var env []string
	for _, name := range slices.Concat(inherited, p.Pass) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// Endpoints implements [rotate.Connector]. What a program contacts nobody can say but itself.
func (p *Program) Endpoints() []rotate.Endpoint {
	name := ""
	if len(p.Run) > 0 {
		name = httpx.Clean(p.Run[0], 80)
	}
	own := rotate.Endpoint{Why: fmt.Sprintf("runs %s, which may contact anything", name)}
	if p.Remote() {
		own.Why = fmt.Sprintf("runs %s in %s, which may contact anything", name, p.place())
		return append(p.reach(), own)
	}
	return []rotate.Endpoint{own}
}
