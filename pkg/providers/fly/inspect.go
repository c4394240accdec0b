package fly

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Whether a token that a person made is what a mint would have made.

var _ rotate.Inspector = (*Provider)(nil)

// Inspect implements [rotate.Inspector]: what a mint makes sure of is looked at in the macaroon and in the list.
func (p *Provider) Inspect(ctx context.Context, s rotate.Secret) error {
	return p.fail("inspect", p.inspect(ctx, s))
}

func (p *Provider) inspect(ctx context.Context, s rotate.Secret) error {
	t, err := p.identify(ctx, s)
	if err != nil {
		return err
	}
	m, err := decode(s.Reveal())
	if err != nil {
		return fmt.Errorf("%w: not a Fly.io deploy token: %w", rotate.ErrDenied, err)
	}
	list, err := p.known(ctx)
	if err != nil {
		return err
	}
	r, err := p.settle(ctx, m, s, list)
	if err != nil {
		return err
	}
	faults := p.prove(m, list.place, t.Created, r.token().Expires)
	var errs []error
	for _, f := range faults {
		errs = append(errs, fmt.Errorf("%w: %s", rotate.ErrConflict, f))
	}
	return errors.Join(errs...)
}

// Instructions implements [rotate.Inspector].
func (p *Provider) Instructions(name string) []string {
	where := "org --org " + p.Org
	if p.App != "" {
		where = "deploy --app " + p.App
	}
	return []string{
		"Log in as a user who may create tokens: fly auth login",
		fmt.Sprintf("Create the token: fly tokens create %s --name %q --expiry %dh", where, strings.ReplaceAll(name, `"`, ""), int(p.Expiry.Hours())),
		"Put all that it prints, FlyV1 and the commas included, into the secret that hand-in names, and run remint again.",
	}
}
