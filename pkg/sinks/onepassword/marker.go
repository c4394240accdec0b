package onepassword

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is about the text field that names the token. Beside what every marker says it has a check of the value, 32
// bits of SHA-256 over item, field and value, so that a change by hand is noticed. Who sees the marker sees the value too.

func check(now *sight, value rotate.Secret) string {
	h := sha256.New()
	for _, part := range []string{now.id, now.field.id, value.Reveal()} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// markText is the marker of a token that stands beside a value; "" for a token without an id, which no marker can name.
func markText(now *sight, m rotate.Mark, value rotate.Secret) string {
	if m.Token.ID == "" {
		return ""
	}
	return strings.TrimSuffix(m.String(), "}") + `,"value":"` + check(now, value) + `"}`
}

// errByHand says that the value is not the one that the marker was written with.
var errByHand = errors.New("the value is not the one that its marker was written with")

// mark reads the marker; without one it is zero.
func (s *sight) mark() (rotate.Mark, error) {
	text := s.marker.value.Reveal()
	if text == "" {
		return rotate.Mark{}, nil
	}
	m, err := rotate.ParseMark(text)
	if err != nil {
		return m, fmt.Errorf("field %q: %w; name another with marker, or delete this one if nothing needs it", httpx.Clean(s.marker.title(), 80), err)
	}
	var with struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal([]byte(text), &with); err != nil || with.Value != check(s, s.field.value) {
		return m, errByHand
	}
	return m, nil
}

// marked adds the edit that makes the marker say text, if it does not.
func (s *sight) marked(edits []edit, text string) []edit {
	f := s.marker
	f.value = rotate.NewSecret(text)
	switch {
	case s.marker.value.Equal(f.value):
		return edits
	case f.id == "":
		return append(edits, edit{do: add, field: f})
	}
	return append(edits, edit{do: put, field: f, was: s.marker.value})
}
