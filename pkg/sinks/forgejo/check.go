package forgejo

// The check before a mint: everything that would make a write fail, found without changing anything.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// kind is which of the two servers it is, as far as that matters.
type kind int

const (
	kindGitea kind = iota + 1
	kindForgejo
)

// Check changes nothing. It asks for
//
//   - the kind of the server, only if it decides whether a name is allowed
//   - the list of secrets: does the secret exist, may its owner's token see it
//   - a write that cannot succeed: are owner and scope enough to write (see mayWrite)
//   - the marker, if it was not read yet: is the variable ours
func (s *Secret) Check(ctx context.Context) error {
	if err := s.setup(); err != nil {
		return s.failed("check", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	note := func(err error) bool {
		if err != nil {
			errs = append(errs, s.failed("check", err))
		}
		return err == nil
	}
	note(s.namesAllowed(ctx))
	seen := s.where.user()
	if !seen {
		if seen = note(s.find(ctx)); seen {
			note(s.missing())
		}
	}
	// Without the list the rest would repeat the same refusal.
	if seen && note(s.mayWrite(ctx)) && s.keepsMarker() && !s.marker.seen {
		_, err := s.readMarker(ctx)
		note(err)
	}
	return errors.Join(errs...)
}

// namesAllowed checks names on which the two servers disagree.
func (s *Secret) namesAllowed(ctx context.Context) error {
	variable := s.keepsMarker()
	if !contested(s.Name, false) && !(variable && contested(s.markerName(), true)) {
		return nil
	}
	k, err := s.kind(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if why := refusedBy(k, s.Name, false); why != "" {
		errs = append(errs, fmt.Errorf("%w: name %s: %s; choose another name, and use it in the workflows", rotate.ErrConfig, s.Name, why))
	} else if why := refusedBy(k, s.markerName(), true); variable && why != "" {
		errs = append(errs, fmt.Errorf("%w: marker variable %s: %s; choose another with marker, such as REMINT_%s", rotate.ErrConfig, s.markerName(), why, strings.ToUpper(s.Name)))
	}
	return errors.Join(errs...)
}

// kind asks which server it is: only Forgejo has a version of its own API.
func (s *Secret) kind(ctx context.Context) (kind, error) {
	resp, message, err := s.call(ctx, http.MethodGet, "api/forgejo/v1/version", "")
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusOK:
		return kindForgejo, nil
	case resp.StatusCode == http.StatusNotFound:
		return kindGitea, nil
	}
	return 0, s.refused(resp, message)
}

// mayWrite sends a write that no server can carry out: a secret with an empty value, under a name that
// begins with a digit. Both servers look at the token, its scope and its owner first (401, 403, 404), and
// only then refuse the value (422) or the name (400).
func (s *Secret) mayWrite(ctx context.Context) error {
	resp, message, err := s.call(ctx, http.MethodPut, "api/v1/"+s.where.path()+"/secrets/0", `{"data":""}`)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusUnprocessableEntity, resp.StatusCode == http.StatusBadRequest:
		return nil
	case resp.StatusCode < 300:
		return s.strange(resp, nil)
	}
	return s.refused(resp, message)
}

// call makes a request that the SDK cannot make, and returns the message of a refusal.
func (s *Secret) call(ctx context.Context, method, path, body string) (*http.Response, string, error) {
	u := s.wire.URL().JoinPath(path)
	r, err := http.NewRequestWithContext(httpx.Repeatable(ctx), method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.wire.Client().Do(r)
	if err != nil {
		return nil, "", httpx.Wrap(err)
	}
	b, err := httpx.Drain(resp)
	if err != nil {
		return nil, "", err
	}
	var answer struct{ Message string }
	if json.Unmarshal(b, &answer) != nil {
		answer.Message = ""
	}
	return resp, answer.Message, nil
}
