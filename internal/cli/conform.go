package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/contract"
	"github.com/remint-dev/remint/pkg/protocol"
	providercommand "github.com/remint-dev/remint/pkg/providers/command"
	"github.com/remint-dev/remint/pkg/rotate"
	sinkcommand "github.com/remint-dev/remint/pkg/sinks/command"
	verifycommand "github.com/remint-dev/remint/pkg/verify/command"
)

// This file holds a program of an author's to the protocol and to the contracts that the engine relies on: the suites that
// the adapters of this repository pass. Its rule: one line for each check, and for each that fails what to do.

const conformUsage = `Usage: remint conform [flags] -- PROGRAM [ARGUMENT…]

Runs a program that speaks remint's protocol (docs/protocol.md) through the checks that every adapter passes.
A provider mints tokens and revokes them; a sink is written with made-up credentials: use an account and a place for tests.

      --sink               the program is a sink
      --verify             the program is a verifier
      --with NAME=VALUE    a setting for the program; may be given again
      --secret NAME=ENV    a credential for it, from the environment variable ENV; may be given again
      --pass ENV           an environment variable that it gets; may be given again
      --timeout DURATION   of each request (default 1m)
      --stdin              with --verify: a credential that works, to be tried too, comes by standard input

Exit codes: 0 it conforms; 1 it does not; 2 the command line is wrong.
`

// pairsFlag are values NAME=VALUE.
type pairsFlag map[string]string

func (p pairsFlag) String() string { return "" }

func (p pairsFlag) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("write NAME=VALUE")
	}
	p[name] = value
	return nil
}

type listFlag []string

func (l *listFlag) String() string { return "" }

func (l *listFlag) Set(text string) error { *l = append(*l, text); return nil }

// conform is the command.
func (c *command) conform(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("remint conform", flag.ContinueOnError)
	flags.SetOutput(c.err)
	flags.Usage = func() { fmt.Fprint(c.err, conformUsage) }
	sink, verify, stdin := flags.Bool("sink", false, ""), flags.Bool("verify", false, ""), flags.Bool("stdin", false, "")
	timeout := flags.Duration("timeout", time.Minute, "")
	with, secrets := pairsFlag{}, pairsFlag{}
	var pass listFlag
	flags.Var(with, "with", "")
	flags.Var(secrets, "secret", "")
	flags.Var(&pass, "pass", "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return Done
	} else if err != nil {
		return Misused
	}
	switch {
	case flags.NArg() == 0:
		return c.misused(errors.New("conform needs a program: remint conform -- ./my-provider"))
	case *sink && *verify:
		return c.misused(errors.New("a program is tried as one kind at a time: give --sink or --verify"))
	case *stdin && !*verify:
		return c.misused(errors.New("--stdin is for --verify"))
	}
	x := &conformity{command: c, ctx: ctx, can: nil}
	x.program = protocol.Program{Run: flags.Args(), With: with, Pass: pass, Timeout: *timeout, Secrets: map[string]rotate.Secret{}, Watch: x.watch}
	for name, variable := range secrets {
		s := rotate.NewSecret(c.getenv(variable))
		if s.IsZero() {
			return c.misused(fmt.Errorf("--secret %s: the environment variable %s is not set or empty", name, variable))
		}
		c.hide(s)
		x.program.Secrets[name] = s
	}
	var good rotate.Secret
	if *stdin {
		var err error
		if good, err = c.readSecret(); err != nil {
			return c.misused(err)
		}
		c.hide(good)
	}
	if err := errors.Join(x.program.Validate(), x.program.Find()); err != nil {
		return c.misused(err)
	}
	x.kind = protocol.Provider
	switch {
	case *sink:
		x.kind = protocol.Sink
	case *verify:
		x.kind = protocol.Verifier
	}
	return x.run(good)
}

// conformity is one trial of a program.
type conformity struct {
	*command
	ctx     context.Context
	program protocol.Program
	kind    string
	can     []string
	leaks   []string // verbs at which a secret was on standard error
	passed  int
	failed  int
}

func (x *conformity) run(good rotate.Secret) int {
	root := &trial{x: x, name: x.kind}
	root.Run("answers check", x.check)
	if x.failed > 0 {
		x.line("The program does not answer check, so nothing else was tried.")
		return Failed
	}
	root.Run("input may stay open", x.open)
	root.Run("unknown fields", x.unknownFields)
	root.Run("unknown verb", x.unknownVerb)
	root.Run("other kind", x.otherKind)
	root.whole(func(t contract.T) {
		switch x.kind {
		case protocol.Provider:
			contract.Provider(t, contract.ProviderCase{New: x.provider, Credentials: x.credentials()})
		case protocol.Sink:
			contract.Sink(t, contract.SinkCase{New: x.sink, Content: x.content(), Credentials: x.credentials()})
		default:
			x.verifier(t, good)
		}
	})
	root.Run("standard error", func(t contract.T) {
		if len(x.leaks) > 0 {
			t.Errorf("a secret stands there after %s", strings.Join(x.leaks, ", "))
		}
	})
	optional := protocol.Optional(x.kind)
	x.line("")
	if len(optional) > 0 {
		without := slices.DeleteFunc(slices.Clone(optional), func(v string) bool { return slices.Contains(x.can, v) })
		x.line(fmt.Sprintf("Configure it with can: [%s]. Verbs it does without: %s.", strings.Join(x.can, ", "), or(strings.Join(without, ", "), "none")))
	}
	if x.failed > 0 {
		x.line(fmt.Sprintf("It does not conform: %d of %d checks failed.", x.failed, x.failed+x.passed))
		return Failed
	}
	x.line(fmt.Sprintf("It conforms: %d checks passed.", x.passed))
	return Done
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// watch learns every secret before anything can be printed of it, and looks at standard error.
func (x *conformity) watch(r protocol.Request, a protocol.Answer, said string) {
	for _, text := range append([]string{r.Secret, a.Secret}, x.credentials()...) {
		if text == "" {
			continue
		}
		x.hide(rotate.NewSecret(text))
		if strings.Contains(said, text) && !slices.Contains(x.leaks, r.Verb) {
			x.leaks = append(x.leaks, r.Verb)
		}
	}
}

// credentials are the texts that the program was given.
func (x *conformity) credentials() []string {
	var texts []string
	for _, s := range x.program.Secrets {
		texts = append(texts, s.Reveal())
	}
	return texts
}

func (x *conformity) check(t contract.T) {
	a, err := x.program.Call(x.ctx, protocol.Request{Kind: x.kind, Verb: protocol.Check})
	if err != nil {
		t.Fatalf("%v", err)
	}
	x.can = a.Can
	if err := protocol.Known(x.kind, a.Can); err != nil {
		t.Errorf("%v", err)
	}
}

func (x *conformity) open(t contract.T) {
	p := x.program
	p.OpenInput, p.Timeout = true, min(p.Timeout, 10*time.Second)
	if _, err := p.Call(x.ctx, protocol.Request{Kind: x.kind, Verb: protocol.Check}); err != nil {
		t.Errorf("%v", err)
	}
}

// send sends a request with what no version of ours has.
func (x *conformity) send(kind, verb string) (protocol.Answer, error) {
	secrets := map[string]string{}
	for name, s := range x.program.Secrets {
		secrets[name] = s.Reveal()
	}
	line, err := json.Marshal(map[string]any{"remint": protocol.Version, "kind": kind, "verb": verb, "with": x.program.With, "secrets": secrets,
		"of_a_later_remint": map[string]any{"a": []int{1, 2}}})
	if err != nil {
		return protocol.Answer{}, err
	}
	return x.program.Send(x.ctx, verb, line)
}

func (x *conformity) unknownFields(t contract.T) {
	if _, err := x.send(x.kind, protocol.Check); err != nil {
		t.Errorf("%v", err)
	}
}

func (x *conformity) unknownVerb(t contract.T) {
	a, err := x.send(x.kind, "no-such-verb")
	switch {
	case a.Error == nil && err != nil:
		t.Errorf("%v", err)
	case a.Error == nil:
		t.Errorf("it says that it did what nobody knows")
	case a.Error.Kind != protocol.Unsupported:
		t.Errorf("its error is of another kind")
	}
}

func (x *conformity) otherKind(t contract.T) {
	other := protocol.Sink
	if x.kind == protocol.Sink {
		other = protocol.Provider
	}
	if _, err := x.send(other, protocol.Check); err == nil {
		t.Errorf("it takes itself for a %s too", other)
	}
}

func (x *conformity) provider(contract.T) rotate.Provider {
	return (&providercommand.Provider{Program: x.program, Can: x.can}).Adapter()
}

func (x *conformity) sink(t contract.T) rotate.Sink {
	s := &sinkcommand.Sink{Program: x.program, Can: x.can}
	if err := s.Validate(); err != nil {
		t.Fatalf("%v", err)
	}
	return s.Adapter()
}

// content reads what the sink holds, if that can be done.
func (x *conformity) content() func(contract.T) string {
	if !slices.Contains(x.can, protocol.Read) {
		return nil
	}
	return func(t contract.T) string {
		a, err := x.program.Call(x.ctx, protocol.Request{Kind: protocol.Sink, Verb: protocol.Read})
		if err != nil {
			t.Fatalf("%v", err)
		}
		return a.Secret
	}
}

// verifier tries a credential that works, if there is one, and one that cannot.
func (x *conformity) verifier(t contract.T, good rotate.Secret) {
	p := x.program
	v := &verifycommand.Program{Run: p.Run, Protocol: true, With: p.With, Secrets: p.Secrets, Pass: p.Pass, Timeout: p.Timeout}
	if !good.IsZero() {
		contract.Verifier(t, contract.VerifierCase{Good: func(contract.T) rotate.Verifier { return v }, Credentials: x.credentials(),
			Credential: rotate.Credential{Token: rotate.Token{ID: "by-hand", Name: "by hand"}, Secret: good}})
	}
	t.Run("made-up credential", func(t contract.T) {
		made := rotate.Credential{Token: rotate.Token{ID: "made-up", Name: "made up", Created: time.Now()}, Secret: rotate.NewSecret("made-up-secret-of-the-suite")}
		switch err := v.Verify(x.ctx, made); {
		case err == nil:
			t.Errorf("it says that it works")
		case errors.Is(err, rotate.ErrTemporary):
			t.Errorf("%v", err)
		}
	})
}
