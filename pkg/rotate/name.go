package rotate

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
	"time"
)

// A minted name is "<name> <UTC stamp>-<tail>". The tail is a fingerprint of the rotation's identity and
// a random part, so that two rotations of the same name in one organisation never take each other's tokens
// for their own, and two runs never mint the same name.

const (
	stampForm   = "20060102T150405Z"
	fingerprint = 8 // characters, 40 bits
	randomPart  = 6 // characters, 30 bits
)

var (
	minted   = regexp.MustCompile(`^(.+) (\d{8}T\d{6}Z)-([a-z2-7]{14})$`)
	alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// tail returns the fingerprint of an identity.
func tail(id string) string {
	sum := sha256.Sum256([]byte("remint rotation " + id))
	return alphabet.EncodeToString(sum[:])[:fingerprint]
}

// mintName returns a new unique name with the birth stamp at.
func mintName(id, name string, at time.Time) string {
	return name + " " + at.UTC().Format(stampForm) + "-" + tail(id) + strings.ToLower(rand.Text())[:randomPart]
}

// Minted reports whether a token bears a name that this package gives, whatever the rotation, and when
// that was.
func Minted(t Token) (birth time.Time, ok bool) {
	m := minted.FindStringSubmatch(t.Name)
	if m == nil {
		return time.Time{}, false
	}
	birth, err := time.Parse(stampForm, m[2])
	return birth, err == nil
}

// owns reports whether a name was minted by the rotation with this identity and name.
func owns(id, name string, t Token) bool {
	m := minted.FindStringSubmatch(t.Name)
	return m != nil && m[1] == name && strings.HasPrefix(m[3], tail(id))
}

// born completes a token of a provider that gives no creation time with the stamp in its name.
func born(t Token) Token {
	if t.Created.IsZero() {
		if birth, ok := Minted(t); ok {
			t.Created = birth
		}
	}
	return t
}
