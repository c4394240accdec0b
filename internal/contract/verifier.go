package contract

import (
	"context"
	"errors"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// VerifierCase describes a verifier for the suite. A nil function is not tried.
type VerifierCase struct {
	// Good, Bad and Open return a verifier in a world in which the credential works, does not, or in which it
	// cannot be said yet.
	Good, Bad, Open func(t T) rotate.Verifier
	Credential      rotate.Credential
	Credentials     []string // must never be printed
}

// Verifier checks the contract of [rotate.Verifier].
func Verifier(t T, u VerifierCase) {
	ctx := context.Background()
	if u.Credential.ID == "" {
		u.Credential = rotate.Credential{Token: rotate.Token{ID: "suite-1", Name: "suite one", Created: time.Now()}, Secret: rotate.NewSecret("secret-of-the-suite")}
	}
	secrets := append(u.Credentials, u.Credential.Secret.Reveal())
	try := func(name string, build func(T) rotate.Verifier, right func(error) bool) {
		if build == nil {
			return
		}
		t.Run(name, func(t T) {
			v := build(t)
			err := v.Verify(ctx, u.Credential)
			if !right(err) {
				t.Errorf("Verify: %v", err)
			}
			if err != nil {
				silent(t, "the error", err.Error(), secrets)
			}
			Silent(t, v, secrets)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if build(t).Verify(ended, u.Credential) == nil {
				t.Errorf("Verify with a context that ended succeeded")
			}
		})
	}
	try("good", u.Good, func(err error) bool { return err == nil })
	try("bad", u.Bad, func(err error) bool { return err != nil && !errors.Is(err, rotate.ErrUnproven) })
	try("open", u.Open, func(err error) bool { return errors.Is(err, rotate.ErrUnproven) })
}
