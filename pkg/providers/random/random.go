// Package random makes passwords, HMAC keys and webhook keys from the system's source of random numbers. There is no service
// behind it: whoever reads the sink accepts what is in it. Its rules:
//
//   - A value works as long as the sink holds it or keeps it beside (see [rotate.Listless]), so it needs exactly one sink, with
//     the key previous.
//   - The ID of a value is random too, and no digest of it: an ID stands in notes and logs.
//   - Every character of an alphabet is as likely as any other.
//   - A value with less than 80 bits is not made.
//
// Two sides use such a value: one presents it or signs with it, one checks. Who checks must accept the value and the former
// one, and must have taken up the new one before anybody presents it: it reads the sink at each check, or it is the first
// that a verifier restarts.
package random

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	usualBytes    = 32
	mostBytes     = 1024
	mostLength    = 1024
	leastBits     = 80
	usualAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// Provider makes values of one form. The fields are set once, before the first use; the methods are safe for concurrent use.
type Provider struct {
	Bytes    int    `yaml:"bytes" example:"32" doc:"How many random bytes a key has, from 10 to 1024; 32 if neither this nor length is given."`
	Encoding string `yaml:"encoding" enum:"base64,base64url,hex" default:"base64" doc:"How the bytes are written: base64 (with padding), base64url (without) or hex."`
	Length   int    `yaml:"length" example:"32" doc:"Makes a password in place of a key: how many characters of the alphabet it has. At least 80 bits: 14 letters and digits."`
	Alphabet string `yaml:"alphabet" example:"abcdefghijkmnpqrstuvwxyz23456789" doc:"The characters of a password: printable ones of ASCII, each once, no space. By default letters and digits."`

	mu    sync.Mutex
	alive []rotate.Token // what this process made and did not revoke
}

var (
	_ rotate.Provider  = (*Provider)(nil)
	_ rotate.Connector = (*Provider)(nil)
	_ rotate.Listless  = (*Provider)(nil)
)

// String returns "random:" and the form, such as "random:32 bytes/base64" or "random:20 characters".
func (p *Provider) String() string {
	if p.Length != 0 {
		return fmt.Sprintf("random:%d characters", p.Length)
	}
	return fmt.Sprintf("random:%d bytes/%s", p.bytes(), p.encoding())
}

func (p *Provider) bytes() int       { return cmp.Or(p.Bytes, usualBytes) }
func (p *Provider) encoding() string { return cmp.Or(p.Encoding, "base64") }
func (p *Provider) alphabet() string { return cmp.Or(p.Alphabet, usualAlphabet) }

// Validate reports everything that is wrong with the fields.
func (p *Provider) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch {
	case p.Length == 0 && (p.bytes() < leastBits/8 || p.bytes() > mostBytes):
		fault("bytes", "%d: want %d to %d", p.Bytes, leastBits/8, mostBytes)
	case p.Length != 0 && p.Bytes != 0:
		fault("length", "bytes (a key) and length (a password) exclude each other")
	case p.Length == 0 && p.Alphabet != "":
		fault("alphabet", "is for passwords: give length, or remove it")
	}
	if !slices.Contains([]string{"base64", "base64url", "hex"}, p.encoding()) {
		fault("encoding", "%q is none of base64, base64url, hex", httpx.Clean(p.Encoding, 40))
	}
	a := p.alphabet()
	seen := map[rune]bool{}
	for _, r := range a {
		if r <= ' ' || r >= 0x7f {
			fault("alphabet", "%q is not a printable character of ASCII", r)
		} else if seen[r] {
			fault("alphabet", "%q is there twice, and would be more likely than others", r)
		}
		seen[r] = true
	}
	if bits := float64(p.Length) * math.Log2(float64(len(a))); p.Length != 0 && (p.Length < 0 || p.Length > mostLength || bits < leastBits) {
		fault("length", "%d characters out of %d: want at least %d bits, and at most %d characters", p.Length, len(a), leastBits, mostLength)
	}
	return errors.Join(errs...)
}

// Listless implements [rotate.Listless].
func (p *Provider) Listless() bool { return true }

// Endpoints implements [rotate.Connector]: nothing is contacted.
func (p *Provider) Endpoints() []rotate.Endpoint { return nil }

// Mint makes a value.
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	if err := cmp.Or(p.Validate(), ctx.Err()); err != nil {
		return rotate.Credential{}, &rotate.Error{Op: "mint", At: p.String(), Err: err}
	}
	c := rotate.Credential{
		Token:  rotate.Token{ID: strings.ToLower(rand.Text()), Name: name, Created: time.Now().UTC().Truncate(time.Second)},
		Secret: rotate.NewSecret(p.value()),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive = append(p.alive, c.Token)
	return c, nil
}

// value is a new value. That of crypto/rand does not fail.
func (p *Provider) value() string {
	if p.Length != 0 {
		return pick(p.alphabet(), p.Length)
	}
	b := make([]byte, p.bytes())
	_, _ = rand.Read(b)
	switch p.encoding() {
	case "hex":
		return hex.EncodeToString(b)
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// pick draws n characters. A byte beyond the last multiple of the alphabet's size is thrown away: it would make the first
// characters more likely.
func pick(alphabet string, n int) string {
	fair := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	for b := make([]byte, 1); len(out) < n; {
		_, _ = rand.Read(b)
		if int(b[0]) < fair {
			out = append(out, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(out)
}

// List returns what this process made and did not revoke. The engine does not ask: the sink says what works.
func (p *Provider) List(ctx context.Context) ([]rotate.Token, error) {
	if err := cmp.Or(p.Validate(), ctx.Err()); err != nil {
		return nil, &rotate.Error{Op: "list", At: p.String(), Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.alive), nil
}

// Revoke forgets what this process knows of a value. That it works no longer is the sink's doing.
func (p *Provider) Revoke(ctx context.Context, t rotate.Token) error {
	if err := ctx.Err(); err != nil {
		return &rotate.Error{Op: "revoke", At: p.String(), Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive = slices.DeleteFunc(p.alive, func(known rotate.Token) bool { return known.ID == t.ID })
	return nil
}
