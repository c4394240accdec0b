package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file verifies by a program that speaks the protocol. Its rule: only the program's own word, denied, not-found or
// conflict, says that the credential does not work. Everything else shows nothing, so nothing is restored for it.

var _ rotate.Repeater = (*Program)(nil)

// Repeatable implements [rotate.Repeater].
func (p *Program) Repeatable() bool { return p.Repeat }

// speaker is the program, as one that speaks the protocol.
func (p *Program) speaker() *protocol.Program {
	timeout := p.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &protocol.Program{Run: p.Run, With: p.With, Secrets: p.Secrets, Pass: p.Pass, Dir: p.Dir, Timeout: timeout, Pod: p.Pod}
}

// validateProtocol refuses keys that belong to the other way.
func (p *Program) validateProtocol() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if p.Protocol {
		const instead = "the program speaks the protocol, and gets %s with the request; remove this key"
		if p.SecretEnv != "" {
			bad("secret-env", instead, "the credential")
		}
		if p.Stdin {
			bad("stdin", instead, "the credential")
		}
		if len(p.Env) > 0 {
			bad("env", instead, "what is under with")
		}
		errs = append(errs, p.Pod.Validate())
		if p.Remote() && (len(p.Pass) > 0 || p.Dir != "") {
			bad("pod", "the program runs in a pod, with the environment and the working directory of its container; remove pass and dir")
		}
		return errors.Join(errs...)
	}
	for field, given := range map[string]bool{"with": len(p.With) > 0, "secrets": len(p.Secrets) > 0, "pod": p.Pod.Pod != "", "selector": p.Selector != "", "container": p.Container != ""} {
		if given {
			bad(field, "it is for programs that speak the protocol; add protocol: true, if this one does")
		}
	}
	return errors.Join(errs...)
}

// ask lets the program verify.
func (p *Program) ask(ctx context.Context, c rotate.Credential) error {
	a, err := p.speaker().Call(ctx, protocol.Request{Kind: protocol.Verifier, Verb: protocol.Verify, Token: protocol.Describe(c.Token), Secret: c.Secret.Reveal()})
	switch {
	case err == nil, errors.Is(err, rotate.ErrUnproven):
		return err
	case a.Error != nil && !errors.Is(err, rotate.ErrTemporary) && (errors.Is(err, rotate.ErrDenied) || errors.Is(err, rotate.ErrNotFound) || errors.Is(err, rotate.ErrConflict)):
		return err
	}
	return fmt.Errorf("%w: %w", rotate.ErrUnproven, err)
}
