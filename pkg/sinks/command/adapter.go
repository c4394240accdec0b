package command

import (
	"context"

	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file gives the sink exactly the optional interfaces that its program has: the engine finds them by the type.

type (
	reader struct{ of *Sink }
	marker struct{ of *Sink }
	undoer struct{ of *Sink }
)

// Read implements [rotate.Reader].
func (r reader) Read(ctx context.Context) (rotate.Secret, error) { return r.of.read(ctx) }

// Held implements [rotate.Holder].
func (m marker) Held(ctx context.Context) (rotate.Holding, error) { return m.of.held(ctx) }

// Mark implements [rotate.Marker].
func (m marker) Mark(ctx context.Context, t rotate.Token) error { return m.of.mark(ctx, t) }

// Undo implements [rotate.Undoer].
func (u undoer) Undo(ctx context.Context) error { return u.of.undo(ctx) }

// Adapter returns what to hand to the engine: the sink with the methods Held, Mark, Read and Undo, as far as Can has them.
func (s *Sink) Adapter() rotate.Sink {
	r, m, u := reader{s}, marker{s}, undoer{s}
	switch [3]bool{s.can(protocol.Read), s.can(protocol.Mark), s.can(protocol.Undo)} {
	case [3]bool{true, true, true}:
		return &struct {
			*Sink
			reader
			marker
			undoer
		}{s, r, m, u}
	case [3]bool{true, true, false}:
		return &struct {
			*Sink
			reader
			marker
		}{s, r, m}
	case [3]bool{true, false, true}:
		return &struct {
			*Sink
			reader
			undoer
		}{s, r, u}
	case [3]bool{true, false, false}:
		return &struct {
			*Sink
			reader
		}{s, r}
	case [3]bool{false, true, true}:
		return &struct {
			*Sink
			marker
			undoer
		}{s, m, u}
	case [3]bool{false, true, false}:
		return &struct {
			*Sink
			marker
		}{s, m}
	}
	return s
}
