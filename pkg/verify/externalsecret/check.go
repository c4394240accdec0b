package externalsecret

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// Check implements [rotate.Checker]: the rights, a policy that honours a forced sync, and the key. That the last sync
// failed is a warning, since it may be the old credential's fault.
func (s *Sync) Check(ctx context.Context) error { return s.fault("check", s.check(ctx)) }

func (s *Sync) check(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	kind, err := s.resource(ctx)
	if err != nil {
		return err
	}
	at := s.place()
	errs := []error{at.May(ctx, "get", kind, s.Name), at.May(ctx, "patch", kind, s.Name)}
	if errs[0] != nil {
		return errors.Join(append(errs, at.May(ctx, "get", objects.Secrets, s.Name))...)
	}
	x, err := objects.Get[external](ctx, at, kind, s.Name)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if why := x.refusal(); why != "" {
		errs = append(errs, fmt.Errorf("%w: %s", rotate.ErrConfig, why))
	}
	if c := x.ready(); c.Status == "False" {
		s.warnings.Add("not Ready even now: %s", said(c, rotate.Secret{}))
	}
	if err := at.May(ctx, "get", objects.Secrets, x.target()); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, s.checkKey(ctx, x.target()))...)
}

// checkKey sees that the Secret has the key, if there is a Secret yet.
func (s *Sync) checkKey(ctx context.Context, name string) error {
	if s.Key == "" {
		return nil
	}
	c, err := objects.Get[content](ctx, s.place(), objects.Secrets, name)
	switch {
	case errors.Is(err, rotate.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if _, ok := c.Data[s.Key]; !ok && len(c.Data) > 0 {
		return fmt.Errorf("%w: the Secret %s has no key %q; it has %s", rotate.ErrConfig, name, s.Key, keysOf(c))
	}
	return nil
}

func keysOf(c content) string {
	if len(c.Data) == 0 {
		return "no keys"
	}
	return httpx.Clean(strings.Join(slices.Sorted(maps.Keys(c.Data)), ", "), 200)
}

// said is what a condition says, fit to be shown.
func said(c objects.Condition, secret rotate.Secret) string {
	return objects.Shown(c.Reason+": "+c.Message, secret, 300)
}
