package github

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file asks and says which token the secret holds. GitHub has no condition on a write, so two runs must
// not write at once; a marker that is somebody else's is left alone.

// marker is the variable as this process last saw or wrote it.
type marker struct {
	seen    bool      // the rest is known
	set     bool      // the variable exists
	at      time.Time // of its last change, as GitHub says
	mark    rotate.Mark
	readers audience // of the organization's secret, for a variable to be made
}

// Held reads the marker, with one request. With Current it asks, with one request, whether the secret changed
// since.
func (s *Secret) Held(ctx context.Context) (rotate.Holding, error) {
	if err := s.setup(); err != nil {
		return rotate.Holding{}, s.failed("held", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keepsMarker() {
		h, err := s.snapshot(ctx)
		if err != nil {
			return rotate.Holding{}, s.failed("held", err)
		}
		return h, nil
	}
	if err := s.readMarker(ctx); err != nil {
		return rotate.Holding{}, s.failed("held", err)
	}
	if err := s.overtaken(ctx); err != nil {
		return rotate.Holding{}, s.failed("held", err)
	}
	return rotate.Holding{Mark: s.marker.mark, Secret: s.Current, Snapshot: !s.Current.IsZero()}, nil
}

// keepsMarker reports whether a marker variable stands beside the secret: unless current is handed in, or also
// then if the configuration names one. What is handed in then only serves to restore.
func (s *Secret) keepsMarker() bool { return s.Current.IsZero() || s.Marker != "" }

// slack is how much later than our own write GitHub may say that the secret changed: its times are whole
// seconds, and so are those by which its clock is known.
const slack = 3 * time.Second

// snapshot says what the secret holds as far as Current and our own writes tell. GitHub shows changes with some
// delay, so a time that is too early says nothing, one that is too late is somebody's change.
func (s *Secret) snapshot(ctx context.Context) (rotate.Holding, error) {
	var now github.Secret
	resp, err := s.call(ctx, http.MethodGet, s.secretPath(), nil, &now)
	if status(resp) == http.StatusNotFound {
		return rotate.Holding{}, nil
	}
	if err != nil {
		return rotate.Holding{}, s.explain(err)
	}
	s.exists = true
	changed := now.UpdatedAt.UTC()
	switch w := s.wrote; {
	case w != nil && changed.After(w.at.Add(slack)):
		return rotate.Holding{}, fmt.Errorf("%w: the secret changed at %s, after this run wrote it; what it holds is looked at again next tick", rotate.ErrConflict, changed.Format(time.RFC3339))
	case w != nil:
		return rotate.Holding{Is: func(t rotate.Token) bool { return t.ID == w.token.ID }, Verified: w.verified}, nil
	case changed.After(s.Since):
		return rotate.Holding{}, fmt.Errorf("%w: the secret changed at %s, after this run was queued, so current is not what it holds; what it holds is looked at again next tick", rotate.ErrConflict, changed.Format(time.RFC3339))
	}
	return rotate.Holding{Secret: s.Current, Snapshot: true, Unmarked: true}, nil
}

// Mark records that t was verified. If the marker says so already nothing is sent.
func (s *Secret) Mark(ctx context.Context, t rotate.Token) error {
	if err := s.setup(); err != nil {
		return s.failed("mark", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verified(ctx, t); err != nil {
		return s.failed("mark", err)
	}
	return nil
}

func (s *Secret) verified(ctx context.Context, t rotate.Token) error {
	if !s.keepsMarker() { // there is no marker to say it
		if s.wrote != nil && s.wrote.token.ID == t.ID {
			s.wrote.verified = true
		}
		return nil
	}
	if !s.marker.seen {
		if err := s.readMarker(ctx); err != nil {
			return err
		}
	}
	switch m := s.marker.mark; {
	case !s.marker.set:
		return fmt.Errorf("%w: variable %s is gone; it named what the secret holds", rotate.ErrConflict, s.markerName())
	case m.Token.ID != t.ID:
		return fmt.Errorf("%w: variable %s names token %s, not %s", rotate.ErrConflict, s.markerName(), m.Token.ID, t.ID)
	case m.Verified:
		return nil
	}
	return s.writeMarker(ctx, rotate.Mark{Token: t, Verified: true})
}

func (s *Secret) variablePath() string { return s.level() + "/variables/" + s.markerName() }

// readMarker asks GitHub for the marker. A variable that is not there is a marker that names nothing; so is a
// place that is not there, which Check tells apart.
func (s *Secret) readMarker(ctx context.Context) error {
	s.marker = marker{}
	var v github.ActionsVariable
	resp, err := s.call(ctx, http.MethodGet, s.variablePath(), nil, &v)
	switch {
	case status(resp) == http.StatusNotFound:
		s.marker.seen = true
		return nil
	case err != nil:
		return s.markerFailed(err)
	}
	m, err := rotate.ParseMark(v.Value)
	if err != nil {
		return fmt.Errorf("variable %s: %w; name another variable with marker, or delete this one if nothing needs it", s.markerName(), err)
	}
	s.marker = marker{seen: true, set: true, mark: m, at: v.UpdatedAt.UTC()}
	return nil
}

// byHand is how much later than the marker the secret may have changed without a person's doing: a restore
// writes the marker first, and a pause lies between the two. Where a wait for a rate limit makes it longer, what is
// held counts as unknown and is replaced, which is due then anyway.
const byHand = 10 * time.Second

// overtaken finds out whether somebody changed the secret after the marker was written, in which case the marker says
// nothing. It asks only when that matters: while the token is not verified yet, and when a run that did not write the
// secret itself looks again before it revokes. A tick with nothing to do is one request.
func (s *Secret) overtaken(ctx context.Context) error {
	again := s.asked
	s.asked = true
	if !s.marker.set || s.wrote != nil || s.marker.mark.Verified && !again {
		return nil
	}
	var now github.Secret
	resp, err := s.call(ctx, http.MethodGet, s.secretPath(), nil, &now)
	switch {
	case status(resp) == http.StatusNotFound:
		s.marker.mark = rotate.Mark{}
	case err != nil:
		return s.explain(err)
	case now.UpdatedAt.After(s.marker.at.Add(byHand)):
		s.warnings.Add("the secret was changed at %s, after its marker: by hand, or by another tool; what it holds is not known", now.UpdatedAt.UTC().Format(time.RFC3339))
		s.marker.mark = rotate.Mark{}
	}
	return nil
}

// variable is the body of the requests that write the marker. Who may read it is said only when it is made.
type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	audience
}

// writeMarker makes the variable say m. If that fails, what it says is not known any more.
func (s *Secret) writeMarker(ctx context.Context, m rotate.Mark) error {
	exists, who := s.marker.set, s.marker.readers
	s.marker = marker{}
	ctx = httpx.Repeatable(ctx) // a second creation is refused with 409, and then it is an update
	create := func() (*github.Response, error) {
		return s.change(ctx, http.MethodPost, s.level()+"/variables", variable{s.markerName(), m.String(), who}, http.StatusCreated)
	}
	update := func() (*github.Response, error) {
		return s.change(ctx, http.MethodPatch, s.variablePath(), variable{Name: s.markerName(), Value: m.String()}, http.StatusNoContent)
	}
	first, second, turn := create, update, http.StatusConflict
	if exists {
		first, second, turn = update, create, http.StatusNotFound
		if s.Org != "" && who.Visibility == "" {
			second = update // who may read it is not known: the 404 stands
		}
	}
	resp, err := first()
	if status(resp) == turn {
		_, err = second() // made meanwhile, by us in a lost answer or by another; or deleted meanwhile
	}
	if err != nil {
		return s.markerFailed(err)
	}
	s.marker = marker{seen: true, set: true, mark: m, readers: who}
	return nil
}

// dropMarker deletes the variable: nothing is known then, which is always true.
func (s *Secret) dropMarker(ctx context.Context) error {
	s.marker = marker{}
	resp, err := s.change(httpx.Repeatable(ctx), http.MethodDelete, s.variablePath(), nil, http.StatusNoContent)
	if err != nil && status(resp) != http.StatusNotFound {
		return s.markerFailed(err)
	}
	s.marker.seen = true
	return nil
}

func (s *Secret) markerFailed(err error) error {
	return fmt.Errorf("variable %s: %w", s.markerName(), s.explain(err))
}
