package fly

// Minting. Rules: one request, whatever is answered; what came is returned even beside an error, so that it
// can be revoked; a newborn is fit to be used only if its own caveats say what was asked for.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/superfly/macaroon/resset"
)

// Mint creates a token under this name and proves from its caveats that it is what was asked for: one
// permission, for just this organisation and app, with every right, demanding nothing undischarged of third
// parties, and ending when asked, to the [tolerance]. If it is not, the Credential comes with an error. So
// it does when Fly.io answers with both a token and an error.
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	c, err := p.mint(ctx, name)
	return c, p.fail("mint", err)
}

func (p *Provider) mint(ctx context.Context, name string) (rotate.Credential, error) {
	if err := p.open(); err != nil {
		return rotate.Credential{}, err
	}
	if !p.mints {
		return rotate.Credential{}, p.cannotMint()
	}
	if name == "" || name != httpx.Clean(name, len(name)) || own(name) {
		return rotate.Credential{}, fmt.Errorf("%w: %q cannot be the name of a token", rotate.ErrConfig, httpx.Clean(name, 80))
	}
	s, err := p.known(ctx)
	if err != nil {
		return rotate.Credential{}, err
	}
	params := map[string]any{}
	if p.App != "" {
		params["app_id"] = s.place.app
	}
	begun := p.now()
	p.Shared.change()
	a, err := p.ask(ctx, call{query: mutationMint, vars: map[string]any{"input": map[string]any{
		"name":           name,
		"organizationId": s.place.org,
		"profile":        p.profile(),
		"profileParams":  params,
		"expiry":         p.Expiry.String(),
	}}})
	p.Shared.change()
	var t tokenAnswer
	if a.Mint != nil && a.Mint.Token != nil {
		t = *a.Mint.Token
	}
	c := rotate.Credential{
		Token:  rotate.Token{ID: t.ID, Name: t.Name, Created: t.CreatedAt.Time, Expires: t.ExpiresAt.Time},
		Secret: rotate.NewSecret(t.TokenHeader),
	}
	if err != nil {
		var r *refusal
		if errors.As(err, &r) && r.heals && r.kind == rotate.ErrDenied {
			err = fmt.Errorf("%w; minting needs the token of a user (fo1_…) who may create tokens in this organisation", err)
		}
		return c, err
	}
	if t.ID == "" || c.Secret.IsZero() {
		return c, fmt.Errorf("%w: Fly.io answered without the token; it may have been created", rotate.ErrTemporary)
	}
	if c.Created.IsZero() {
		c.Created = begun
	}
	m, err := decode(t.TokenHeader)
	if err != nil {
		return c, fmt.Errorf("%w: what was minted is not a deploy token: %w", rotate.ErrConflict, err)
	}
	listed := c.Expires
	c.Expires = sooner(c.Expires, m.ends)
	faults := p.prove(m, s.place, c.Created, listed)
	if t.Name != name {
		faults = append(faults, "it bears another name")
	}
	if t.Profile != p.profile() {
		faults = append(faults, fmt.Sprintf("its profile is %q, not %s", httpx.Clean(t.Profile, 40), p.profile()))
	}
	if len(faults) > 0 {
		return c, fmt.Errorf("%w: what was minted is not what was asked for and must not be used: %s", rotate.ErrConflict, strings.Join(faults, "; "))
	}
	p.mu.Lock()
	p.newborns = append(p.newborns, c)
	p.mu.Unlock()
	return c, nil
}

// tolerance is how far the end of a token may be from creation + life: a hundredth of the life, between a
// minute and an hour. Windows are cut to the second and clocks differ; a discharge that ends weeks before
// its token is not a difference of clocks.
func tolerance(life time.Duration) time.Duration {
	return min(max(life/100, time.Minute), time.Hour)
}

// prove says what about a newborn is other than asked for. listed is the expiry that Fly.io states.
func (p *Provider) prove(m *passport, at place, created, listed time.Time) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if m.org != at.orgNumber {
		fault("it is for organisation number %d, not %d", m.org, at.orgNumber)
	}
	switch {
	case p.App != "" && !slices.Equal(m.apps, []uint64{at.appNumber}):
		fault("it is for %s, not only for app number %d", reach(m.apps), at.appNumber)
	case p.App == "" && m.apps != nil:
		fault("it is for %s, not for the whole organisation", reach(m.apps))
	}
	if m.rights != resset.ActionAll {
		fault("its rights are %q, not %q", m.rights, resset.ActionAll)
	}
	slices.Sort(m.open)
	for _, location := range m.open {
		fault("it demands a proof of %s that is not part of it, which no CI can give: the organisation requires a third party (single sign-on); exempt tokens from it", httpx.Clean(location, 80))
	}
	asked, tol := created.Add(p.Expiry), tolerance(p.Expiry)
	off := func(t time.Time) bool { return t.IsZero() || t.Sub(asked).Abs() > tol }
	switch {
	case off(m.perm):
		fault("it ends %s, where %s was asked for", when(m.perm), when(asked))
	case off(m.ends):
		fault("its proof of a third party ends %s, where %s was asked for", when(m.ends), when(asked))
	case off(listed):
		fault("Fly.io lists that it ends %s, where %s was asked for", when(listed), when(asked))
	}
	return faults
}

// reach puts the scope of a token into words.
func reach(apps []uint64) string {
	switch {
	case apps == nil:
		return "the whole organisation"
	case len(apps) == 0:
		return "no app at all"
	case len(apps) > 5:
		return fmt.Sprintf("%d apps", len(apps))
	}
	return "app number " + strings.Trim(fmt.Sprint(apps), "[]")
}

// when puts a time into words, where zero means never.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
