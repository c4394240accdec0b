package forgejo

// The variable beside the secret. It is written with the two requests that both servers have (POST makes, PUT
// replaces), and what a failed request may have done is never guessed.

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// marker is the variable as this process last saw or wrote it.
type marker struct {
	seen bool // the rest is known
	set  bool // the variable exists
	mark rotate.Mark
}

// missingVariable is what both servers answer with 404 for a variable that does not exist. Their other 404s
// (a repository or organization that is missing or hidden) say something else.
const missingVariable = "variable not found"

// readMarker asks the server for the marker.
func (s *Secret) readMarker(ctx context.Context) (rotate.Mark, error) {
	s.marker = marker{}
	c, err := s.client(ctx)
	if err != nil {
		return rotate.Mark{}, err
	}
	text, resp, err := s.where.variable(c, s.markerName())
	if err != nil && resp != nil && resp.StatusCode == http.StatusNotFound && strings.EqualFold(err.Error(), missingVariable) {
		s.marker.seen = true
		return rotate.Mark{}, nil
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		return rotate.Mark{}, s.explain(resp, err)
	}
	m, err := rotate.ParseMark(text)
	if err != nil {
		return rotate.Mark{}, fmt.Errorf("variable %s: %w; name another variable with marker, or delete this one if nothing needs it", s.markerName(), err)
	}
	s.marker = marker{seen: true, set: true, mark: m}
	return m, nil
}

// writeMarker makes the variable say m. If that fails, what it says is not known any more.
func (s *Secret) writeMarker(ctx context.Context, m rotate.Mark) error {
	exists := s.marker.set
	s.marker = marker{}
	c, err := s.client(ctx)
	if err != nil {
		return err
	}
	name, text := s.markerName(), m.String()
	write, other, turn := s.where.createVariable, s.where.updateVariable, http.StatusConflict
	if exists {
		write, other, turn = other, write, http.StatusNotFound
	}
	resp, err := write(c, name, text)
	if resp != nil && resp.StatusCode == turn && (!exists || err != nil && strings.EqualFold(err.Error(), missingVariable)) {
		// Made meanwhile, by a first attempt whose answer was lost, or deleted meanwhile.
		resp, err = other(c, name, text)
	}
	// Forgejo answers 204 to all of them, Gitea 201 to POST.
	if err != nil || resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		return s.markerFailed(s.explain(resp, err))
	}
	s.marker = marker{seen: true, set: true, mark: m}
	return nil
}

// dropMarker deletes the variable: nothing is known then, which is always true.
func (s *Secret) dropMarker(ctx context.Context) error {
	s.marker = marker{}
	c, err := s.client(ctx)
	if err != nil {
		return err
	}
	resp, err := s.where.deleteVariable(c, s.markerName())
	gone := err != nil && resp != nil && resp.StatusCode == http.StatusNotFound && strings.EqualFold(err.Error(), missingVariable)
	if !gone && (err != nil || resp.StatusCode != http.StatusNoContent) {
		return s.markerFailed(s.explain(resp, err))
	}
	s.marker.seen = true
	return nil
}

func (s *Secret) markerFailed(err error) error {
	return fmt.Errorf("variable %s: %w", s.markerName(), err)
}
