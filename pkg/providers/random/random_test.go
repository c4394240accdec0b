package random

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the provider to the contracts that the engine relies on. There is no service that another process could ask
// what this one made, so all of the suite's providers are one.
func TestSuite(t *testing.T) {
	for name, p := range map[string]*Provider{"key": {}, "hex": {Encoding: "hex", Bytes: 16}, "password": {Length: 20}} {
		t.Run(name, func(t *testing.T) {
			rotatetest.Provider(t, rotatetest.ProviderUnderTest{New: func(*testing.T) rotate.Provider { return p }})
		})
	}
}

func TestForms(t *testing.T) {
	for name, x := range map[string]struct {
		p    *Provider
		good func(string) bool
	}{
		"a key": {&Provider{}, func(s string) bool { b, err := base64.StdEncoding.DecodeString(s); return err == nil && len(b) == 32 }},
		"base64url": {&Provider{Bytes: 33, Encoding: "base64url"}, func(s string) bool {
			b, err := base64.RawURLEncoding.DecodeString(s)
			return err == nil && len(b) == 33
		}},
		"hex":      {&Provider{Bytes: 16, Encoding: "hex"}, func(s string) bool { b, err := hex.DecodeString(s); return err == nil && len(b) == 16 }},
		"password": {&Provider{Length: 99, Alphabet: "abc"}, func(s string) bool { return len(s) == 99 && strings.Trim(s, "abc") == "" }},
		"letters":  {&Provider{Length: 14}, func(s string) bool { return len(s) == 14 && strings.Trim(s, usualAlphabet) == "" }},
	} {
		seen := map[string]bool{}
		for range 200 {
			c, err := x.p.Mint(t.Context(), "x")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text := c.Secret.Reveal()
			if !x.good(text) || seen[text] || strings.Contains(c.ID, text) || seen[c.ID] {
				t.Errorf("%s: %q, or seen before", name, text)
			}
			seen[text], seen[c.ID] = true, true
		}
	}
}

// No character is likelier than another.
func TestFair(t *testing.T) {
	alphabet := ""
	for r := byte('!'); r <= '~'; r++ {
		alphabet += string(r)
	}
	const n = 94 * 2000
	counts := map[rune]int{}
	for _, r := range pick(alphabet, n) {
		counts[r]++
	}
	for _, r := range alphabet { // a remainder would give the first 68 of 94 half as many again as the others
		if c := counts[r]; c < 1700 || c > 2300 { // 6.7 standard deviations
			t.Errorf("%c came %d times, not about 2000", r, c)
		}
	}
}

func TestValidate(t *testing.T) {
	for field, p := range map[string]*Provider{
		"bytes": {Bytes: 9}, "bytes:": {Bytes: 1025}, "length": {Bytes: 16, Length: 20}, "length:": {Length: 13}, "length: ": {Length: 1025},
		"length:  ": {Length: -1}, "encoding": {Encoding: "base58"}, "alphabet": {Alphabet: "abc"}, "alphabet:": {Length: 200, Alphabet: "aab"},
		"alphabet: ": {Length: 200, Alphabet: "a b"}, "alphabet:  ": {Length: 200, Alphabet: "aé"},
	} {
		err := p.Validate()
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "field "+strings.Trim(field, ": ")) {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := p.Mint(t.Context(), "x"); !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: minted: %v", field, err)
		}
	}
	if err := (&Provider{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &Provider{}
	_, mint := p.Mint(ctx, "x")
	_, list := p.List(ctx)
	for _, err := range []error{mint, list, p.Revoke(ctx, rotate.Token{ID: "x"})} {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// FuzzForms shows that whatever is asked for is refused, or made as asked.
func FuzzForms(f *testing.F) {
	f.Add(32, "base64", 0, "")
	f.Add(0, "", 20, "ab\x00")
	f.Add(0, "hex", 400, "!~")
	f.Fuzz(func(t *testing.T, bytes int, encoding string, length int, alphabet string) {
		p := &Provider{Bytes: bytes, Encoding: encoding, Length: length, Alphabet: alphabet}
		c, err := p.Mint(t.Context(), "x")
		if (err != nil) != (p.Validate() != nil) {
			t.Errorf("%v, %v", err, p.Validate())
		}
		if err == nil && (len(c.Secret.Reveal()) < 13 || length > 0 && len(c.Secret.Reveal()) != length) {
			t.Errorf("%+v made %d characters", p, len(c.Secret.Reveal()))
		}
	})
}
