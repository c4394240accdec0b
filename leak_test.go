package main_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

// How a secret may show itself in a text. Written apart from what the program hides by, and on purpose not with it.

var rawBase64, rawBase64URL = base64.RawStdEncoding, base64.RawURLEncoding

// piece is the length of the shortest part of a secret that counts: parts of this length occur in no other text.
// The secrets of these tests that are shorter count as a whole.
const piece = 24

// shows says in which form a secret, or a piece of one, stands in a text; "": in none.
func shows(text, secret string) string {
	if secret == "" {
		return ""
	}
	for name, encode := range map[string]func(string) string{
		"as it is":          func(s string) string { return s },
		"in base64":         func(s string) string { return aligned(rawBase64, s, 0) },
		"in base64, 1 off":  func(s string) string { return aligned(rawBase64, s, 1) },
		"in base64, 2 off":  func(s string) string { return aligned(rawBase64, s, 2) },
		"in base64url":      func(s string) string { return aligned(rawBase64URL, s, 0) },
		"in hexadecimal":    func(s string) string { return hex.EncodeToString([]byte(s)) },
		"in hexadecimal, X": func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"URL-escaped":       url.QueryEscape,
		"path-escaped":      url.PathEscape,
	} {
		for _, window := range windows(encode(secret)) {
			if strings.Contains(text, window) {
				return name
			}
		}
	}
	return ""
}

// aligned encodes s as it stands inside a longer text, some bytes after the start of a group of three, without
// the characters that depend on its neighbours.
func aligned(enc *base64.Encoding, s string, offset int) string {
	whole := enc.EncodeToString([]byte(strings.Repeat("\x00", offset) + s))
	from := []int{0, 2, 3}[offset]
	return whole[from : (len(s)+offset)*8/6]
}

func windows(s string) []string {
	if len(s) <= piece {
		return []string{s}
	}
	all := make([]string, 0, len(s)-piece)
	for i := 0; i+piece <= len(s); i++ {
		all = append(all, s[i:i+piece])
	}
	return all
}

// unmasked returns a log without the commands that tell the runner what to hide.
func unmasked(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "::add-mask::") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestShows(t *testing.T) {
	const secret = "FlyV1 fm2_lJPEabcdefgh+ijklmnop/qrstuvwxyz=,fm2_0123456789"
	b64 := base64.StdEncoding.EncodeToString
	for _, text := range []string{
		"token: " + secret, "token: " + secret[10:40],
		b64([]byte(secret)), b64([]byte("a" + secret)), b64([]byte(`{"token":"` + secret + `"}`)), b64([]byte("ab" + secret + "\n")),
		base64.URLEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"?q=" + url.QueryEscape(secret), url.PathEscape(secret),
	} {
		if shows(text, secret) == "" {
			t.Errorf("not seen in %s", text)
		}
	}
	for _, text := range []string{"", "FlyV1 [secret]", "FlyV1 fm2_", unmasked("::add-mask::" + secret + "\n")} {
		if form := shows(text, secret); form != "" {
			t.Errorf("seen %s in %q", form, text)
		}
	}
}
