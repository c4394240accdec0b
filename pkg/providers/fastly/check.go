package fastly

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// soon is from when on the end of the minting credential is worth a word.
const soon = 30 * 24 * time.Hour

// Check asks whether the credential could mint: who its user is, what it may do, which services are meant, and how
// many tokens there are. The password is not tried, since a wrong one counts towards a lock-out. Three requests, and
// the list of tokens if it was not seen yet.
func (p *Provider) Check(ctx context.Context) error {
	return p.fail("check", p.check(ctx))
}

func (p *Provider) check(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	var errs []error
	if err := p.usable(); err != nil {
		errs = append(errs, err)
	}
	who, err := p.checkUser(ctx)
	errs = append(errs, err)
	if dead(err) || ctx.Err() != nil { // all that follows would say the same
		return errors.Join(errs...)
	}
	errs = append(errs, p.checkCredential(ctx))
	if _, err := p.resolve(ctx); err != nil {
		errs = append(errs, p.explain(err))
	}
	errs = append(errs, p.checkLimit(ctx, who))
	return errors.Join(errs...)
}

// dead reports whether Fastly does not know the credential at all.
func dead(err error) bool {
	r, ok := asRefusal(err)
	return ok && !r.foreign && r.status == http.StatusUnauthorized
}

// checkUser looks at the user to whom the credential belongs.
func (p *Provider) checkUser(ctx context.Context) (person, error) {
	var who person
	if _, err := p.read(ctx, call{path: "current_user"}, &who); err != nil {
		err = p.explain(err)
		if errors.Is(err, rotate.ErrDenied) {
			err = fmt.Errorf("%w; an automation token, or a user token limited to services, can mint nothing", err)
		}
		return who, err
	}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.kind() == automation && who.Role != "superuser" {
		fault("%w: the credential's user is no superuser, and only a superuser can mint and revoke automation tokens: grant the role, or give the token of a superuser", rotate.ErrDenied)
	}
	if who.Locked {
		fault("%w: the credential's user is locked: unlock it in the account's user management", rotate.ErrDenied)
	}
	if p.Customer != "" && who.Customer != p.Customer {
		fault("%w: the credential is of another account than customer (%s): nothing is done there", rotate.ErrConfig, p.Customer)
	}
	if !p.Username.IsZero() && who.Login != "" && !strings.EqualFold(who.Login, p.Username.Reveal()) {
		fault("%w: the credential belongs to another user than username; Fastly demands the password of the very user to whom it belongs", rotate.ErrConfig)
	}
	if who.TwoFactor && p.OTP.IsZero() && p.TOTP.IsZero() {
		if p.kind() == user {
			fault("%w: the user has two-factor authentication: give totp (FASTLY_TOTP_SECRET), or a fresh otp", rotate.ErrDenied)
		} else {
			p.warnings.Add("the credential's user has two-factor authentication, and neither totp nor otp is given; %s", handIn)
		}
	}
	return who, errors.Join(errs...)
}

// checkCredential looks at the credential itself.
func (p *Provider) checkCredential(ctx context.Context) error {
	t, err := p.whoami(ctx, p.Token)
	if err != nil {
		return p.explain(err)
	}
	p.mu.Lock()
	p.self = t.ID
	p.mu.Unlock()
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s := t.scope(); s != nil && !slices.Contains(s, "global") {
		fault("%w: the scope of the credential is %q; minting and revoking need global", rotate.ErrDenied, strings.Join(s, " "))
	}
	if t.Services != nil && len(*t.Services) > 0 {
		fault("%w: the credential is limited to services, and such a token cannot mint", rotate.ErrDenied)
	}
	if left := t.Expires.Sub(p.now()); !t.Expires.IsZero() && left < soon {
		p.warnings.Add("the credential (FASTLY_API_TOKEN) itself expires on %s; nothing replaces it by itself", when(t.Expires.Time))
	}
	return errors.Join(errs...)
}

// checkLimit counts the live tokens of the user, of which Fastly allows a hundred.
func (p *Provider) checkLimit(ctx context.Context, who person) error {
	s, err := p.known(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, t := range s.rows {
		if p.live(t) && (t.Creator == "" || who.ID == "" || t.Creator == who.ID) {
			n++
		}
	}
	switch {
	case n >= mostTokens:
		return fmt.Errorf("%w: the credential's user has %d live %s tokens, and Fastly allows %d: revoke what is not used", rotate.ErrLimit, n, p.kind(), mostTokens)
	case n >= mostTokens-10:
		p.warnings.Add("the credential's user has %d live %s tokens, and Fastly allows %d", n, p.kind(), mostTokens)
	}
	return nil
}
