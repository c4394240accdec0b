// Package cli holds the commands of remint and what they print. It knows no service. Its rules:
//
//   - Every byte that leaves passes the redactor, which knows each credential before it is used; only the commands
//     that tell a runner what to hide do not.
//   - Exit codes say what a person has to do, see [Exit codes].
//   - Results go to standard output, progress and faults to standard error; with --format json standard
//     output holds one JSON document and nothing else.
//
// [Exit codes]: https://github.com/remint-dev/remint#exit-codes
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Exit codes of remint.
const (
	Done     = 0 // done, or nothing to do
	Failed   = 1 // failed or held; consumers are unharmed
	Misused  = 2 // the configuration or the command line is wrong; nothing was called
	Alarming = 3 // a person is needed now: consumers may hold something that does not work, or a compromised token lives on
)

// Process is what a command line runs in.
type Process struct {
	Args           []string // without the program's name
	Getenv         func(string) string
	Stdin          io.Reader // identify reads it; nil: there is none
	Stdout, Stderr io.Writer
}

// command is one run of the program.
type command struct {
	name    string
	runner  *action.Runner
	acting  bool // started as an action: arguments come as inputs
	owed    bool // the outputs of the action are not written yet
	getenv  func(string) string
	stdin   io.Reader
	out     *stream
	err     *stream
	secrets *redact.Set
	started time.Time

	config      string // path, inline YAML, or ""
	only        string
	force       bool
	alone       bool
	compromised string
	acknowledge bool
	format      string
	fail        string
	allFaults   bool
	sabotage    func(*config.Config) // in tests, see lab.Drill
	token       string               // an ID
	evenIfHeld  bool
	dryRun      bool
}

const usage = `remint rotates API tokens: it mints a successor, proves it, writes it to every sink, verifies
that consumers took it up, and only then revokes what it replaced.

Usage:

  remint run        rotate what is due; what to run every day
  remint plan       print what run would do now, and why; changes nothing
  remint check      probe every permission and target; changes nothing
  remint rehearse   run this configuration against emulated services: no network, no account
  remint status     print what lives at the providers, what each sink holds, and what is due when; changes nothing
  remint identify   print whose a secret is and where it is held; reads it from standard input
  remint revoke     revoke one token by hand, --token ID, if no sink holds it
  remint egress     print every host that this configuration may contact; calls nobody
  remint conform    try a program that speaks remint's protocol; remint conform -h says how
  remint schema     print the JSON Schema of the configuration, for editors
  remint version    print the version

Flags:

  -c, --config FILE        the configuration; by default remint.yaml, here or in .github, .forgejo or .gitea
      --only GLOB[,GLOB]   only rotations with such a name
      --format text|json   what is printed (default text); status also knows markdown and openmetrics
      --force              run, plan: rotate although nothing is due
      --alone              run, plan, revoke: I know that no other run is alive
      --acknowledge        run, plan: I know that the consumers of rotations with acknowledge took up what
                           is held; needs --only
      --compromised TIME   run, plan: tokens born before TIME (RFC 3339, or now) are not to be trusted:
                           replace them at once, without grace; needs --only. status: which are there
      --token ID           revoke: the token, by the id that status shows
      --even-if-held       revoke: although consumers hold it, and break
      --dry-run            revoke: print what it would do
      --fail STEP          rehearse: let this step fail: mint, prove, write, verify or revoke
      --all-faults         rehearse: every fault at every request, and what consumers hold then; ends with 3
                           if the promise was broken in one

Exit codes: 0 done or nothing to do; 1 failed or held, consumers are unharmed; 2 configuration;
3 a person is needed now.
`

// Main runs the program and returns its exit code.
func Main(ctx context.Context, p Process) int {
	set := &redact.Set{}
	out, err := newStream(set, p.Stdout), newStream(set, p.Stderr)
	c := &command{getenv: p.Getenv, stdin: p.Stdin, out: out, err: err, secrets: set, started: time.Now()}
	// Somebody may keep the standard output of a command in a file. An action has nothing but the log.
	c.runner = &action.Runner{Getenv: p.Getenv, Out: out, Masks: masks{err}, Redact: set.String}
	c.guard()
	code := c.guarded(ctx, p.Args)
	if errors.Join(out.Close(), err.Close()) != nil && code == Done {
		code = Failed // somebody believes to have read a result that was cut off
	}
	return code
}

func (c *command) main(ctx context.Context, args []string) int {
	if len(args) == 0 && c.runner.Present() {
		c.acting, c.runner.Masks = true, masks{c.out}
		return c.act(ctx)
	}
	if len(args) == 0 {
		fmt.Fprint(c.err, usage)
		return Misused
	}
	c.name = args[0]
	switch c.name {
	case "help", "-h", "--help", "-help":
		fmt.Fprint(c.out, usage)
		return Done
	case "version", "--version":
		if len(args) > 1 {
			return c.misused(fmt.Errorf("unexpected argument %q", args[1]))
		}
		fmt.Fprintln(c.out, "remint", Version())
		return Done
	case "schema":
		if len(args) > 1 {
			return c.misused(fmt.Errorf("unexpected argument %q", args[1]))
		}
		_, _ = c.out.Write(config.Schema())
		return Done
	case "conform":
		return c.conform(ctx, args[1:])
	case "run", "plan", "check", "status", "identify", "revoke", "rehearse", "egress":
	default:
		return c.misused(fmt.Errorf("no command %q; there are run, plan, check, status, identify, revoke, rehearse, egress, conform, schema, version and help", c.name))
	}
	flags := flag.NewFlagSet("remint "+c.name, flag.ContinueOnError)
	flags.SetOutput(c.err)
	flags.Usage = func() { fmt.Fprint(c.err, usage) }
	flags.StringVar(&c.config, "config", "", "")
	flags.StringVar(&c.config, "c", "", "")
	flags.StringVar(&c.only, "only", "", "")
	flags.StringVar(&c.format, "format", "text", "")
	switch c.name {
	case "run", "plan":
		flags.BoolVar(&c.force, "force", false, "")
		flags.BoolVar(&c.alone, "alone", false, "")
		flags.BoolVar(&c.acknowledge, "acknowledge", false, "")
		flags.StringVar(&c.compromised, "compromised", "", "")
	case "status":
		flags.StringVar(&c.compromised, "compromised", "", "")
	case "revoke":
		flags.StringVar(&c.token, "token", "", "")
		flags.BoolVar(&c.evenIfHeld, "even-if-held", false, "")
		flags.BoolVar(&c.dryRun, "dry-run", false, "")
		flags.BoolVar(&c.alone, "alone", false, "")
	case "rehearse":
		flags.StringVar(&c.fail, "fail", "", "")
		flags.BoolVar(&c.allFaults, "all-faults", false, "")
	}
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return Done
		}
		return Misused
	}
	if flags.NArg() > 0 && c.name == "identify" {
		// It may be the secret, so it is not repeated.
		return c.misused(errors.New("identify reads the secret from standard input, never from its arguments: others see those, and the shell remembers them"))
	}
	if flags.NArg() > 0 {
		return c.misused(fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	return c.run(ctx)
}

// act carries out what the inputs of the action ask for. The outputs are owed whatever happens.
func (c *command) act(ctx context.Context) int {
	if err := c.runner.Check(); err != nil {
		// Nothing was done yet, and what would be done could not be told to the workflow.
		c.runner.Error(action.Annotation{Title: "remint", Text: err.Error()})
		c.runner.Flush()
		return Failed
	}
	c.owed = true
	code := c.inputs()
	if code == Done {
		code = c.run(ctx)
	}
	if c.owed {
		return c.outputs(nil, code)
	}
	return code
}

// inputs takes the command and its flags from the inputs of the action.
func (c *command) inputs() int {
	c.name, c.format = "run", "text"
	input := func(name string, to *string) {
		if v, ok := c.runner.Input(name); ok && v != "" {
			*to = v
		}
	}
	input("command", &c.name)
	input("config", &c.config)
	input("only", &c.only)
	input("compromised", &c.compromised)
	for name, to := range map[string]*bool{"force": &c.force, "acknowledge": &c.acknowledge, "all-faults": &c.allFaults} {
		var text string
		switch input(name, &text); strings.ToLower(text) {
		case "", "false":
		case "true":
			*to = true
		default:
			return c.misused(fmt.Errorf("the input %s is %q; write true or false", name, text))
		}
	}
	if !slices.Contains([]string{"run", "plan", "status", "check", "rehearse"}, c.name) {
		return c.misused(fmt.Errorf("the input command is %q; write run, plan, status, check or rehearse", c.name))
	}
	return Done
}

// run carries out a command that needs a configuration.
func (c *command) run(ctx context.Context) int {
	if formats := c.formats(); !slices.Contains(formats, c.format) {
		n := len(formats) - 1
		return c.misused(fmt.Errorf("--format %q; write %s or %s", c.format, strings.Join(formats[:n], ", "), formats[n]))
	}
	if c.acknowledge && c.only == "" {
		return c.misused(errors.New("--acknowledge needs --only: name the rotations whose consumers took the token up"))
	}
	o := rotate.Options{Force: c.force, Alone: c.alone, Acknowledged: c.acknowledge, Secrets: c.hide}
	if c.compromised != "" {
		at, err := c.instant(c.compromised)
		if err != nil {
			return c.misused(err)
		}
		if c.only == "" && c.name != "status" {
			return c.misused(errors.New("--compromised needs --only: name the rotations whose tokens are not to be trusted"))
		}
		o.Compromised = at
	}
	switch c.name {
	case "run":
		return c.rotate(ctx, o)
	case "plan":
		return c.plan(ctx, o)
	case "check":
		return c.check(ctx, o)
	case "status":
		return c.status(ctx, o)
	case "identify":
		return c.identify(ctx, o)
	case "revoke":
		return c.revoke(ctx, o)
	case "rehearse":
		return c.rehearse(ctx, o)
	case "egress":
		return c.egress()
	}
	return c.misused(fmt.Errorf("no command %q", c.name))
}

// formats are what a command can print.
func (c *command) formats() []string {
	if c.name == "status" {
		return []string{"text", "json", "markdown", "openmetrics"}
	}
	return []string{"text", "json"}
}

// instant reads the time of --compromised. The clock of a provider may be behind ours and counts in seconds:
// `now` is fixed once, here, so that what this run mints is younger.
func (c *command) instant(text string) (time.Time, error) {
	if text == "now" {
		return c.started.Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--compromised %q is no time: write it like 2026-11-22T06:00:00Z, or now", text)
	}
	if at.After(c.started) {
		return at, fmt.Errorf("--compromised %s is in the future: every token would be replaced again and again", text)
	}
	return at, nil
}

// hide registers a secret with the redactor and, in a runner, with the runner's masks.
func (c *command) hide(s rotate.Secret) {
	text := s.Reveal()
	c.secrets.Add(text)
	if c.runner.Present() {
		for _, form := range redact.Forms(text) {
			c.runner.Mask(form)
		}
	}
}

// read finds the text of the configuration.
func (c *command) read() (text []byte, name string, err error) {
	if config.LooksInline(c.config) {
		return []byte(c.config), "", nil
	}
	name = c.config
	if name == "" {
		if name, err = config.Find("."); err != nil {
			if c.acting {
				err = fmt.Errorf("%w; is the repository checked out before this step?", err)
			}
			return nil, "", err
		}
	}
	text, err = config.Read(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, name, fmt.Errorf("%w: there is no file %q%s", rotate.ErrConfig, name, c.checkedOut())
	}
	return text, name, err
}

// checkedOut reminds of the step that workflows forget.
func (c *command) checkedOut() string {
	if c.runner.Present() {
		return ", and it is no inline YAML either; is the repository checked out before this step?"
	}
	return ""
}

// load reads the configuration and keeps the rotations of --only.
func (c *command) load(o config.Options) (*config.Config, bool) {
	text, name, err := c.read()
	if err != nil {
		c.misused(err)
		return nil, false
	}
	o.Path = name
	o.OnSecret = c.hide
	cfg, err := config.Load(text, o)
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			c.fault(p)
		}
		return nil, false
	}
	if err != nil {
		c.misused(err)
		return nil, false
	}
	for _, p := range cfg.Warnings {
		c.warn(p.String())
	}
	if err := c.choose(cfg); err != nil {
		c.misused(err)
		return nil, false
	}
	c.leave(cfg)
	return cfg, true
}

// leave takes out the rotations that are not to be touched, and says so.
func (c *command) leave(cfg *config.Config) {
	if !slices.Contains([]string{"run", "plan", "check"}, c.name) {
		return
	}
	for _, m := range cfg.Manual {
		c.line(fmt.Sprintf("%s: left to people: %s", m.Name, m.How))
	}
	cfg.Rotations = slices.DeleteFunc(cfg.Rotations, func(r *config.Rotation) bool {
		if r.Skip == "" || c.compromised != "" {
			return false
		}
		c.line(fmt.Sprintf("%s: skipped: %s", r.Name, r.Skip))
		return true
	})
}

// choose keeps the rotations that --only names.
func (c *command) choose(cfg *config.Config) error {
	if c.only == "" {
		return nil
	}
	globs := strings.Split(c.only, ",")
	hit := make([]bool, len(globs))
	var names []string
	for _, m := range cfg.Manual {
		for i, g := range globs {
			hit[i] = hit[i] || config.Match(strings.TrimSpace(g), m.Name)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(cfg.Rotations), func(r *config.Rotation) bool {
		names = append(names, r.Name)
		keep := false
		for i, g := range globs {
			g = strings.TrimSpace(g)
			if config.Match(g, r.Name) {
				hit[i], keep = true, true
			}
		}
		return !keep
	})
	for i, g := range globs {
		if !hit[i] {
			return fmt.Errorf("--only %q matches no rotation; there are: %s", g, strings.Join(names, ", "))
		}
	}
	cfg.Rotations = kept
	cfg.Manual = slices.DeleteFunc(cfg.Manual, func(m config.Manual) bool {
		return !slices.ContainsFunc(globs, func(g string) bool { return config.Match(strings.TrimSpace(g), m.Name) })
	})
	return nil
}

// fault prints a problem of the configuration, in a runner as an annotation at its line.
func (c *command) fault(p config.Problem) {
	if !c.acting {
		fmt.Fprintln(c.err, p.String())
		return
	}
	a := action.Annotation{Title: "remint: configuration", Text: p.String()}
	if p.Path != "inline" { // else it has no lines that the host could show
		a.File, a.Line, a.Column, a.Text = p.Path, p.Line, p.Column, p.Message
		if p.Key != "" {
			a.Text = p.Key + ": " + p.Message
		}
	}
	c.runner.Error(a)
}

func (c *command) misused(err error) int {
	if c.acting {
		c.runner.Error(action.Annotation{Title: "remint", Text: err.Error()})
	} else {
		fmt.Fprintf(c.err, "remint: %v\n", err)
	}
	return Misused
}

func (c *command) warn(text string) {
	if c.acting {
		c.runner.Warning(action.Annotation{Title: "remint", Text: text})
		return
	}
	fmt.Fprintf(c.err, "warning: %s\n", text)
}

// Version is the module's version, and the revision it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "development"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				version += " " + s.Value[:12]
			}
		}
	}
	return version + " " + info.GoVersion
}
