package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Check implements [rotate.Checker]: it reads the secret, and asks Vault what the token may do, which changes nothing.
func (s *Secret) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.look(ctx)
	if err != nil && !errors.Is(err, rotate.ErrDenied) || s.wire == nil {
		return s.fault("check", err) // nothing else can be known
	}
	errs := []error{err}
	if n != nil {
		if !n.has && !s.CreateKey {
			errs = append(errs, s.noKey())
		}
		if s.Keeps() {
			errs = append(errs, s.unsuited(n))
		} else if _, err := s.mark(n); err != nil && !errors.Is(err, errByHand) {
			errs = append(errs, err)
		}
	}
	if n != nil || s.signedIn() {
		errs = append(errs, s.permitted(ctx))
	}
	var all []error
	for _, err := range errs {
		if err != nil {
			all = append(all, s.fault("check", err))
		}
	}
	return errors.Join(all...)
}

// permitted asks what the token may do. If it may not even ask that, nothing is known, which is no fault.
func (s *Secret) permitted(ctx context.Context) error {
	data, metadata := s.mount()+"/data/"+s.Path, s.mount()+"/metadata/"+s.Path
	const at = "sys/capabilities-self"
	r, resp, err := s.call(httpx.Repeatable(ctx), http.MethodPost, at, map[string]any{"paths": []string{data, metadata}}, "application/json")
	switch {
	case err != nil:
		return err
	case r.status == http.StatusForbidden:
		return nil
	case r.status != http.StatusOK:
		return explain(http.MethodPost, at, resp, r.said(), "")
	}
	var may map[string][]string
	if json.Unmarshal(r.Data, &may) != nil || len(may[data]) == 0 {
		return strange(http.MethodPost, at, r.status)
	}
	can := func(path, right string) bool {
		return slices.Contains(may[path], right) || slices.Contains(may[path], "root")
	}
	if !can(data, "update") {
		return fmt.Errorf("%w: the token may not write the secret; grant update on %s", rotate.ErrDenied, data)
	}
	if !s.Keeps() && !can(metadata, "patch") {
		s.degrade("the token may not write the marker; grant patch on " + metadata)
	}
	return nil
}
