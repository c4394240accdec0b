package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the sink to the contracts that the engine relies on, for both forms of a file.
func TestSuite(t *testing.T) {
	for form, key := range map[string]string{"made by hand": "", "A=b\nTOKEN=made-by-hand\n": "TOKEN"} {
		t.Run("key "+key, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(form), 0o600); err != nil {
				t.Fatal(err)
			}
			rotatetest.Sink(t, rotatetest.SinkUnderTest{
				New: func(*testing.T) rotate.Sink { return &File{Path: path, Key: key} },
				Content: func(t *testing.T) string {
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					text := strings.TrimSpace(string(b))
					if key != "" {
						_, text, _ = strings.Cut(text, key+"=")
					}
					return strings.Trim(text, `"'`)
				},
			})
		})
	}
}
