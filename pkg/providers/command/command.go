// Package command mints, lists and revokes tokens by a program of the user's that speaks the protocol of pkg/protocol. Its
// rules:
//
//   - What the program can besides the needed verbs is said in the configuration, since the engine must know it before
//     anything is run; the check compares it with what the program says.
//   - Nothing is ever asked twice. A mint whose answer was no proper one may have minted: the engine looks for the name.
package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Provider is a program that mints. Run is needed; so is [Provider.Adapter] if the program can identify.
type Provider struct {
	protocol.Program
	Can    []string      `yaml:"can" enum:"identify" example:"[identify]" doc:"The optional verbs of the program: identify, if it can tell whose secret a secret is. Without it only sinks with a marker can be used, and nothing is proven by the provider itself."`
	Expiry time.Duration `yaml:"expiry" example:"90d" doc:"How long the tokens live that the program mints; it is told. every is 5/6 of it, if not given. Without expiry, give every."`
}

var (
	_ rotate.Provider  = (*Provider)(nil)
	_ rotate.Checker   = (*Provider)(nil)
	_ rotate.Lifetime  = (*Provider)(nil)
	_ rotate.Connector = (*Provider)(nil)

	_ rotate.Identifier = (*Identifier)(nil)
)

// Identifier is a [Provider] whose program can identify. [Provider.Adapter] makes it.
type Identifier struct{ *Provider }

// Adapter returns what to hand to the engine, which finds optional interfaces by the type.
func (p *Provider) Adapter() rotate.Provider {
	if p.can(protocol.Identify) {
		return &Identifier{p}
	}
	return p
}

// Configured is the configuration, whatever type [Provider.Adapter] returned.
func (p *Provider) Configured() *Provider { return p }

func (p *Provider) can(verb string) bool { return slices.Contains(p.Can, verb) }

// Validate reports all that is wrong with the fields. It starts nothing.
func (p *Provider) Validate() error {
	errs := []error{p.Program.Validate(), protocol.Known(protocol.Provider, p.Can)}
	if p.Expiry < 0 {
		errs = append(errs, rotate.Field("expiry", "must not be negative"))
	}
	return errors.Join(errs...)
}

// Life implements [rotate.Lifetime].
func (p *Provider) Life() time.Duration { return p.Expiry }

func (p *Provider) call(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	r.Kind = protocol.Provider
	if err := p.Validate(); err != nil {
		return protocol.Answer{}, p.fault(r.Verb, err)
	}
	a, err := p.Call(ctx, r)
	return a, p.fault(r.Verb, err)
}

func (p *Provider) fault(verb string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: verb, At: p.String(), Err: err}
}

// Check implements [rotate.Checker]: the program is there, speaks the protocol, can what the configuration says, and is
// content itself.
func (p *Provider) Check(ctx context.Context) error {
	err := p.Validate()
	if err == nil {
		err = p.Ready(ctx, protocol.Request{Kind: protocol.Provider, Life: p.life()}, p.Can)
	}
	return p.fault("check", err)
}

func (p *Provider) life() int64 { return int64(p.Expiry / time.Second) }

// Mint implements [rotate.Provider].
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	a, err := p.call(ctx, protocol.Request{Verb: protocol.Mint, Name: name, Life: p.life()})
	c := rotate.Credential{Token: a.Token.Rotate(), Secret: rotate.NewSecret(a.Secret)}
	if err != nil {
		return c, err
	}
	if c.Name == "" {
		c.Name = name
	}
	if c.Name != name {
		return c, p.fault("mint", fmt.Errorf("%w: the program minted a token with another name than it was told", rotate.ErrConflict))
	}
	if off := c.Expires.Sub(c.Created) - p.Expiry; p.Expiry > 0 && !c.Expires.IsZero() && !c.Created.IsZero() && off.Abs() > time.Hour {
		return c, p.fault("mint", fmt.Errorf("%w: the token lives %s, and the configuration says %s; correct expiry, or the program, which is told life in seconds",
			rotate.ErrConfig, rotate.Days(c.Expires.Sub(c.Created)), rotate.Days(p.Expiry)))
	}
	return c, nil
}

// List implements [rotate.Provider].
func (p *Provider) List(ctx context.Context) ([]rotate.Token, error) {
	a, err := p.call(ctx, protocol.Request{Verb: protocol.List})
	if err != nil {
		return nil, err
	}
	listed := make([]rotate.Token, len(a.Tokens))
	for i, t := range a.Tokens {
		listed[i] = t.Rotate()
	}
	return listed, nil
}

// Revoke implements [rotate.Provider].
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	a, err := p.call(ctx, protocol.Request{Verb: protocol.Revoke, Token: protocol.Describe(t)})
	if a.Error != nil && errors.Is(err, rotate.ErrNotFound) && !errors.Is(err, rotate.ErrTemporary) {
		return nil // already gone
	}
	return err
}

// Identify implements [rotate.Identifier].
func (p *Identifier) Identify(ctx context.Context, s rotate.Secret) (rotate.Token, error) {
	a, err := p.call(ctx, protocol.Request{Verb: protocol.Identify, Secret: s.Reveal()})
	if err != nil {
		return rotate.Token{}, err
	}
	return a.Token.Rotate(), nil
}
