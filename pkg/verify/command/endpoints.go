package command

import (
	"fmt"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

var _ rotate.Connector = (*Program)(nil)

// Endpoints implements [rotate.Connector]. What a program contacts nobody can say but itself.
func (p *Program) Endpoints() []rotate.Endpoint {
	if p.Protocol {
		return p.speaker().Endpoints()
	}
	name := ""
	if len(p.Run) > 0 {
		name = httpx.Clean(p.Run[0], 80)
	}
	return []rotate.Endpoint{{Why: fmt.Sprintf("runs %s, which may contact anything", name)}}
}
