package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is about the entry of the custom metadata that names the token. It is written after the secret, and belongs
// to the secret, not to one of its versions; so it has a check of the value, and says nothing of any other. The check is
// 32 bits of SHA-256 over mount, path, key and value: metadata may be shown to more people than data, and of a token that
// cannot be guessed anyway so short a check gives away next to nothing.
//
// Writing metadata is a right of its own. Who does not have it is told so once; then what the secret holds is found out
// by its value each time, and that it was verified is forgotten.

// Limits of custom metadata (Vault: "len(key) <= 128", "len(value) <= 512").
const (
	maxName = 128
	maxMark = 512
)

// markerName names the entry. Each key of a secret has its own.
func (s *Secret) markerName() string {
	name := "remint-" + s.Key
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(s.Key))
		name = "remint-sha256-" + hex.EncodeToString(sum[:20])
	}
	return name
}

func (s *Secret) check(value rotate.Secret) string {
	h := sha256.New()
	for _, part := range []string{s.mount(), s.Path, s.Key, value.Reveal()} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// markText is the marker of a token that stands beside a value; "" for a token without an id, which no marker can name.
func (s *Secret) markText(m rotate.Mark, value rotate.Secret) string {
	if m.Token.ID == "" {
		return ""
	}
	return strings.TrimSuffix(m.String(), "}") + `,"value":"` + s.check(value) + `"}`
}

// errByHand says that the value is not the one that the marker was written with.
var errByHand = errors.New("the value is not the one that its marker was written with")

// mark reads the marker; without one it is zero.
func (s *Secret) mark(n *sight) (rotate.Mark, error) {
	if n.marker == "" {
		return rotate.Mark{}, nil
	}
	m, err := rotate.ParseMark(n.marker)
	if err != nil {
		return m, fmt.Errorf("custom metadata %s: %w; remove it if nothing else needs it", s.markerName(), err)
	}
	var with struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal([]byte(n.marker), &with); err != nil || with.Value != s.check(n.value) {
		return m, errByHand
	}
	return m, nil
}

// names reports that the marker names a token and was written with the value that is there. Of a token without an id it
// is none at all.
func (s *Secret) names(n *sight, id string) bool {
	if id == "" {
		return n.marker == ""
	}
	m, err := s.mark(n)
	return err == nil && m.Token.ID == id
}

// note makes the marker say text; "": there is to be none. Without the right to it that is no error.
func (s *Secret) note(ctx context.Context, n *sight, text string) error {
	if n.marker == text || s.unmarked {
		return nil
	}
	if len(text) > maxMark {
		s.degrade(fmt.Sprintf("the token's description is too long for custom metadata, which takes %d bytes", maxMark))
		return nil
	}
	var value any
	if text != "" {
		value = text
	}
	at := path(s.mount(), "metadata", s.Path)
	body := map[string]any{"custom_metadata": map[string]any{s.markerName(): value}}
	r, resp, err := s.call(httpx.Repeatable(ctx), http.MethodPatch, at, body, "application/merge-patch+json")
	if err != nil {
		return err
	}
	switch {
	case r.status == http.StatusNoContent, r.status == http.StatusOK && r.ID != "": // with warnings
		n.marker = text
		return nil
	case r.status == http.StatusForbidden:
		s.degrade(fmt.Sprintf("the token may not write the marker; grant patch on %s/metadata/%s", s.mount(), s.Path))
		return nil
	}
	return explain(http.MethodPatch, at, resp, r.said(), "the secret itself was written, its marker (custom metadata) not")
}

func (s *Secret) degrade(why string) {
	s.unmarked = true
	s.warnings.Add("%s; until then what it holds is found out by its value, and that it was verified is not remembered", why)
}
