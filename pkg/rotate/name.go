package rotate

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
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

const digits = "abcdefghijklmnopqrstuvwxyz234567"

var alphabet = base32.NewEncoding(digits).WithPadding(base32.NoPadding)

// tail returns the fingerprint of an identity.
func tail(id string) string {
	sum := sha256.Sum256([]byte("remint rotation " + id))
	return alphabet.EncodeToString(sum[:])[:fingerprint]
}

// mintName returns a new unique name with the birth stamp at.
func mintName(id, name string, at time.Time) string {
	return name + " " + at.UTC().Format(stampForm) + "-" + tail(id) + strings.ToLower(rand.Text())[:randomPart]
}

// parts takes a minted name apart; false if it is none. It does not look whether the stamp is a date.
func parts(text string) (name, stamp, tail string, ok bool) {
	at := len(text) - len(" "+stampForm+"-") - fingerprint - randomPart
	if at < 1 || text[at] != ' ' || text[at+1+len(stampForm)] != '-' {
		return "", "", "", false
	}
	name, stamp, tail = text[:at], text[at+1:at+1+len(stampForm)], text[at+2+len(stampForm):]
	if strings.Contains(name, "\n") || stamp[8] != 'T' || stamp[15] != 'Z' {
		return "", "", "", false
	}
	for i := range len(stamp) {
		if c := stamp[i]; i != 8 && i != 15 && (c < '0' || c > '9') {
			return "", "", "", false
		}
	}
	return name, stamp, tail, strings.Trim(tail, digits) == ""
}

// Minted reports whether a token bears a name that this package gives, whatever the rotation, and when
// that was.
func Minted(t Token) (birth time.Time, ok bool) {
	_, stamp, _, ok := parts(t.Name)
	if !ok {
		return time.Time{}, false
	}
	birth, err := time.Parse(stampForm, stamp)
	return birth, err == nil
}

// owns reports whether a name was minted by the rotation with this identity and name.
func owns(id, name string, t Token) bool {
	its, _, end, ok := parts(t.Name)
	return ok && its == name && strings.HasPrefix(end, tail(id))
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
