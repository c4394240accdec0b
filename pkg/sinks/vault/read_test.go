package vault

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// FuzzRead: whatever is read, it is a version with the value under the key, or an error that shows nothing of it; and
// what is sent back has all other keys byte for byte.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"data":{"token":"x","n":12345678901234567890,"f":1.50},"metadata":{"version":3,"custom_metadata":{"remint-token":"{}"}}}`,
		`{"data":null,"metadata":{"version":3,"destroyed":true}}`, `{"token":"x"}`, `{"data":{"token":1},"metadata":{"version":1}}`, `{}`, `null`, `[]`, `{"data":{"token":null},"metadata":{"version":-1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &Secret{Path: "p", Key: "token"}
		n, err := s.read(text)
		if err != nil {
			if !errors.Is(err, rotate.ErrConfig) && !errors.Is(err, rotate.ErrTemporary) {
				t.Error(err)
			}
			return
		}
		var in struct {
			Data map[string]any
		}
		if n.version < 1 || json.Unmarshal(text, &in) != nil {
			t.Fatalf("%q was accepted", text)
		}
		if got, _ := in.Data["token"].(string); got != n.value.Reveal() || (in.Data["token"] != nil) && !n.has {
			t.Errorf("%q holds %q", text, n.value.Reveal())
		}
		if m, err := s.mark(n); err == nil && m.Token.ID != "" && n.marker == "" {
			t.Error("a mark out of nothing")
		}
	})
}
