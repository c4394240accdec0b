package fly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// builderRole is the role of apps that flyctl makes to build images.
const builderRole = "RemoteDockerBuilderAppRole"

// Check asks in one request whether the credential can mint and sees its app or organisation. That an
// organisation has more apps than max-apps is a warning, see Warnings.
func (p *Provider) Check(ctx context.Context) error {
	return p.fail("check", p.check(ctx))
}

func (p *Provider) check(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	if !p.mints {
		return p.cannotMint()
	}
	c := call{query: queryCheckOrg, vars: map[string]any{"slug": p.Org}}
	if p.App != "" {
		c = call{query: queryCheckApp, vars: map[string]any{"name": p.App}}
	}
	a, err := p.ask(ctx, c)
	var errs []error
	var r *refusal
	if v := a.Viewer; v != nil && v.Type != "User" {
		errs = append(errs, p.cannotMint())
	}
	switch {
	case errors.As(err, &r) && r.dead:
		errs = append(errs, fmt.Errorf("%w; give a new user's token (`fly auth login`, then `fly auth token`)", err))
	case err != nil:
		errs = append(errs, p.missing(err))
	case a.Viewer == nil:
		errs = append(errs, fmt.Errorf("%w: Fly.io answered without a viewer", rotate.ErrTemporary))
	default:
		if _, _, err := p.where(a); err != nil {
			errs = append(errs, err)
		} else if p.App == "" {
			p.count(a.Organization)
		}
	}
	return errors.Join(errs...)
}

// count warns when the organisation has more apps than its tokens should reach.
func (p *Provider) count(org *orgAnswer) {
	n := org.Apps.TotalCount
	var names []string
	for _, app := range org.Apps.Nodes {
		switch {
		case app == nil:
		case app.Role.Type == builderRole:
			n--
		default:
			names = append(names, httpx.Clean(app.Name, 60))
		}
	}
	if n <= p.maxApps() {
		return
	}
	slices.Sort(names)
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	p.warnings.Add("the organisation has %d apps (%s), more than max-apps (%d), and a token of the organisation reaches all of them; "+
		"use app: for a token of one app, or raise max-apps", n, strings.Join(names, ", "), p.maxApps())
}
