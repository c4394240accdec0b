// Package command writes a credential by a program of the user's that speaks the protocol of pkg/protocol. Its rules:
//
//   - A sink must be able to say what it holds: by held and mark, which go together, or by read. Which of them the program
//     has is said in the configuration, since the engine must know it before anything is run.
//   - Whoever runs the program for a write and for its undo are two processes: undo gets the token that was written.
package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Sink is a program that writes. Run and Can are needed; hand what [Sink.Adapter] returns to the engine.
type Sink struct {
	protocol.Program
	Can []string `yaml:"can" required:"true" enum:"held,mark,read,undo" example:"[held, mark]" doc:"The optional verbs of the program. held and mark go together: the program keeps beside the secret which token it is and whether it was verified. read: it gives the secret back, for providers that can identify it. At least one of the two ways is needed. undo: it puts back what the last write replaced."`

	mu      sync.Mutex
	written *rotate.Token // by the last Write that was not undone
}

var (
	_ rotate.Sink      = (*Sink)(nil)
	_ rotate.Checker   = (*Sink)(nil)
	_ rotate.Accepter  = (*Sink)(nil)
	_ rotate.Connector = (*Sink)(nil)
)

// Configured is the configuration, whatever type [Sink.Adapter] returned.
func (s *Sink) Configured() *Sink { return s }

func (s *Sink) can(verb string) bool { return slices.Contains(s.Can, verb) }

// Validate reports all that is wrong with the fields. It starts nothing.
func (s *Sink) Validate() error {
	errs := []error{s.Program.Validate(), protocol.Known(protocol.Sink, s.Can)}
	switch held, mark := s.can(protocol.Held), s.can(protocol.Mark); {
	case held != mark:
		errs = append(errs, rotate.Field("can", "held and mark go together: who says which token a sink holds must also remember that it was verified"))
	case !held && !s.can(protocol.Read):
		errs = append(errs, rotate.Field("can", "the sink could not say what it holds, so each run would rotate; the program must have held and mark, or read"))
	}
	return errors.Join(errs...)
}

func (s *Sink) call(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	r.Kind = protocol.Sink
	if err := s.Validate(); err != nil {
		return protocol.Answer{}, s.fault(r.Verb, err)
	}
	a, err := s.Call(ctx, r)
	return a, s.fault(r.Verb, err)
}

func (s *Sink) fault(verb string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: verb, At: s.String(), Err: err}
}

// Check implements [rotate.Checker]: the program is there, speaks the protocol, can what the configuration says, and is
// content itself.
func (s *Sink) Check(ctx context.Context) error {
	err := s.Validate()
	if err == nil {
		err = s.Ready(ctx, protocol.Request{Kind: protocol.Sink}, s.Can)
	}
	return s.fault("check", err)
}

// Accept implements [rotate.Accepter].
func (s *Sink) Accept(c rotate.Credential) error {
	if n := len(c.Secret.Reveal()); n > protocol.MaxSecret {
		return s.fault("write", fmt.Errorf("%w: the credential has %d bytes, a program gets at most %d", rotate.ErrLimit, n, protocol.MaxSecret))
	}
	return nil
}

// Write implements [rotate.Sink].
func (s *Sink) Write(ctx context.Context, c rotate.Credential) error {
	if c.Secret.IsZero() {
		return s.fault("write", fmt.Errorf("%w: there is no secret to write", rotate.ErrConfig))
	}
	_, err := s.call(ctx, protocol.Request{Verb: protocol.Write, Token: protocol.Describe(c.Token), Secret: c.Secret.Reveal()})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written = nil; err == nil {
		s.written = &c.Token
	}
	return err
}

func (s *Sink) held(ctx context.Context) (rotate.Holding, error) {
	a, err := s.call(ctx, protocol.Request{Verb: protocol.Held})
	if err != nil || a.Token == nil {
		return rotate.Holding{}, err
	}
	return rotate.Holding{Mark: rotate.Mark{Token: a.Token.Rotate(), Verified: a.Verified}}, nil
}

func (s *Sink) read(ctx context.Context) (rotate.Secret, error) {
	a, err := s.call(ctx, protocol.Request{Verb: protocol.Read})
	if err != nil {
		return rotate.Secret{}, err
	}
	return rotate.NewSecret(a.Secret), nil
}

func (s *Sink) mark(ctx context.Context, t rotate.Token) error {
	_, err := s.call(ctx, protocol.Request{Verb: protocol.Mark, Token: protocol.Describe(t)})
	return err
}

func (s *Sink) undo(ctx context.Context) error {
	s.mu.Lock()
	t := s.written
	s.mu.Unlock()
	if t == nil {
		return s.fault("undo", fmt.Errorf("%w: nothing was written that could be put back", rotate.ErrConflict))
	}
	_, err := s.call(ctx, protocol.Request{Verb: protocol.Undo, Token: protocol.Describe(*t)})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = nil
	return nil
}
