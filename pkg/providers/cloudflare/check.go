package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Check asks whether the credential works, may list, and whether what a new token is to have can be found out. That it may
// create tokens shows only where its own permissions are listed; if they seem to lack it, that is a warning. Two to four
// requests.
func (p *Provider) Check(ctx context.Context) error {
	return p.fail("check", p.check(ctx))
}

func (p *Provider) check(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	self, err := p.credential(ctx)
	if err != nil {
		return err // all that follows would say the same
	}
	if self.dead() {
		return fmt.Errorf("%w: the credential (CLOUDFLARE_API_TOKEN) is %s", rotate.ErrDenied, self.Status)
	}
	if left := self.Expires.Sub(p.now()); !self.Expires.IsZero() && left < soon {
		p.warnings.Add("the credential (CLOUDFLARE_API_TOKEN) itself expires %s; nothing replaces it by itself", when(self.Expires.Time))
	}
	s, err := p.known(ctx)
	if err != nil {
		return err
	}
	if own, ok := s.find(self.ID); ok && !mayMint(own) {
		p.warnings.Add("the credential (CLOUDFLARE_API_TOKEN) has the permissions %s, and not %s, by their names", rights{policies: own.Policies}, p.permission())
	}
	if p.Copy == "" {
		_, err = p.rights(ctx, "")
		return err
	}
	if _, err = p.copied(ctx, "", ""); !errors.Is(err, rotate.ErrNotFound) {
		return err
	}
	for _, t := range s.rows { // the rotation's name is not known here
		if _, minted := rotate.Minted(t.public()); minted && p.live(t) {
			return nil
		}
	}
	return fmt.Errorf("%w: there is no token %q to copy, and none was minted yet: correct copy, or give policies", rotate.ErrNotFound, httpx.Clean(p.Copy, 120))
}

// mayMint reports whether a token's permissions have the name of the one to create tokens, or have no names.
func mayMint(t token) bool {
	named := false
	for _, x := range t.Policies {
		for _, g := range x.Groups {
			named = named || g.Name != ""
			if name := strings.ToLower(g.Name); strings.Contains(name, "api tokens") && (strings.Contains(name, "write") || strings.Contains(name, "edit")) {
				return true
			}
		}
	}
	return !named
}
