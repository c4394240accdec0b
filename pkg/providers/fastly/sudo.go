package fastly

// Sudo, which lets a user's token mint for five minutes. Rules: nothing but the user's credentials is sent there; a
// refused password is remembered, and not sent again by any provider that shares the memory.

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- what RFC 6238 and Fastly use for one-time codes
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Account remembers for the providers of one process which passwords Fastly refused, so that rotations with the same
// wrong password do not lock the user out. The zero value is ready. Passwords are kept as digests.
type Account struct {
	mu      sync.Mutex
	refused map[[sha256.Size]byte]bool
}

func (p *Provider) account() *Account {
	if p.Shared != nil {
		return p.Shared
	}
	return &p.own
}

// pair is a digest of where which password was given for whom.
func (p *Provider) pair() [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{p.wire.URL().String(), p.Token.Reveal(), p.Username.Reveal(), p.Password.Reveal()}, "\x00")))
}

func (a *Account) refuse(pair [sha256.Size]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused = map[[sha256.Size]byte]bool{}
	}
	a.refused[pair] = true
}

// usable says why sudo must not or cannot be asked for, or nil.
func (p *Provider) usable() error {
	if p.Password.IsZero() {
		return fmt.Errorf("%w: Fastly mints only after the password of the credential's user was given: give password (FASTLY_PASSWORD), or %s", rotate.ErrConfig, handIn)
	}
	if p.kind() == user && p.Username.IsZero() {
		return fmt.Errorf("%w: Fastly mints user tokens only with the login of the user: give username (FASTLY_USERNAME)", rotate.ErrConfig)
	}
	a := p.account()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused[p.pair()] {
		return fmt.Errorf("%w: Fastly refused this user name and password before in this run; they are not sent again, since that would lock the user out", rotate.ErrDenied)
	}
	return nil
}

// sudo sends the password, once.
func (p *Provider) sudo(ctx context.Context) error {
	if err := p.usable(); err != nil {
		return err
	}
	form := url.Values{"password": {p.Password.Reveal()}}
	if !p.Username.IsZero() {
		form.Set("username", p.Username.Reveal())
	}
	_, err := p.ask(ctx, call{method: http.MethodPost, path: "sudo", form: form, otp: p.otp(), confidential: true})
	return p.password(err)
}

// password explains an error of a request that carried the password.
func (p *Provider) password(err error) error {
	var r *refusal
	if !errors.As(err, &r) || r.foreign || r.status >= 500 || r.status == http.StatusTooManyRequests {
		return err
	}
	if r.otp() {
		return fmt.Errorf("%w: Fastly asks for a one-time code: give totp (FASTLY_TOTP_SECRET) or a fresh otp; %s (%s)", rotate.ErrDenied, handIn, r)
	}
	p.account().refuse(p.pair())
	return fmt.Errorf("%w: Fastly refused the user name and password, which are not sent again, since that would lock the user out; they must be "+
		"those of the user to whom the token (FASTLY_API_TOKEN) belongs; %s (%s)", rotate.ErrDenied, handIn, r)
}

// otp is the one-time code for now; "": none.
func (p *Provider) otp() string {
	if p.TOTP.IsZero() {
		return p.OTP.Reveal()
	}
	key, err := seed(p.TOTP)
	if err != nil {
		return ""
	}
	return code(key, p.now())
}

// seed decodes the secret of one-time codes as people copy it: with or without spaces and padding, in any case.
func seed(s rotate.Secret) ([]byte, error) {
	text := strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "=", "").Replace(s.Reveal()))
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err == nil && len(key) == 0 {
		err = httpx.ErrForm
	}
	return key, err
}

// code is the one-time code of RFC 6238 with SHA-1, six digits and 30 seconds, as authenticator programs make it.
func code(key []byte, at time.Time) string {
	h := hmac.New(sha1.New, key)
	_ = binary.Write(h, binary.BigEndian, at.Unix()/30) // a hash never fails
	sum := h.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & (1<<31 - 1)
	return fmt.Sprintf("%06d", n%1_000_000)
}
