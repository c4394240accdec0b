package kubernetessecret

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is about the annotation that names the token. Beside what every marker says it has a check of the value, so
// that a change by hand is noticed: 32 bits of SHA-256 over the object, the key and the value. Annotations are shown where
// data is not (kubectl describe, metrics, GitOps pages), and so the check is kept that short on purpose: it tells two
// values apart, and of a token that cannot be guessed anyway it gives away next to nothing. Whoever could use it
// to try out guesses of a weak password would be left with one in four thousand million of them, not with one.

// qualified is what may stand behind the prefix of an annotation's name.
var qualified = pattern.New(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)

// Annotation names the marker of a key. Each key of a Secret has its own.
func Annotation(key string) string {
	if qualified.MatchString(key) {
		return "marker.remint.dev/" + key
	}
	sum := sha256.Sum256([]byte(key)) // too long, or with a dot at an end
	return "marker-sha256.remint.dev/" + hex.EncodeToString(sum[:20])
}

// check is the check of a value.
func check(now *sight, key string, value []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(now.object.GetUID()), []byte(key), value} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// markText is the marker of a token with the check of its value; "" for a token without an id, which no marker can name.
func markText(m rotate.Mark, check string) string {
	if m.Token.ID == "" {
		return ""
	}
	return strings.TrimSuffix(m.String(), "}") + `,"value":"` + check + `"}`
}

// errByHand says that the value is not the one that the marker was written with.
var errByHand = errors.New("the value is not the one that its marker was written with")

// mark reads the marker; without one it is zero.
func (s *Secret) mark(now *sight) (rotate.Mark, error) {
	if now.marker == "" {
		return rotate.Mark{}, nil
	}
	_, _, key := s.place()
	m, err := rotate.ParseMark(now.marker)
	if err != nil {
		return m, fmt.Errorf("annotation %s: %w; delete it if nothing else needs it", Annotation(key), err)
	}
	var with struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal([]byte(now.marker), &with); err != nil || with.Value != check(now, key, now.value) {
		return m, errByHand
	}
	return m, nil
}
