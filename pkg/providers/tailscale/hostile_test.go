package tailscale

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/hostile"
	emulated "github.com/remint-dev/remint/internal/emulate/tailscale"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of Tailscale.
func TestHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		w := newWorld()
		k, old := w.AddKey(emulated.Key{Description: "old", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour), Tags: []string{"tag:server"}})
		p := w.client()
		p.Transport, p.Interval = wrap(p.Transport), 0
		var born rotate.Credential
		var listed []rotate.Token
		return hostile.Bench{
			Secrets: func() []string { // the other parts of a key are its kind and its ID, which may be shown
				var parts []string
				for _, text := range []string{secret, old, born.Secret.Reveal(), p.granted.text.Reveal()} {
					parts = append(parts, text[strings.LastIndexByte(text, '-')+1:])
				}
				return parts
			},
			Calls: []hostile.Call{
				{Name: "list", Do: func(ctx context.Context) (err error) { listed, err = p.List(ctx); return err }, Wrong: func() string {
					for _, l := range listed {
						if l.ID == k.ID {
							return ""
						}
					}
					return fmt.Sprintf("the list lacks the key: %d keys", len(listed))
				}},
				{Name: "mint", Do: func(ctx context.Context) (err error) {
					born, err = p.Mint(ctx, "x 20260102T030405Z-aaaaaaaabbbbbc")
					return err
				}, Wrong: func() string {
					if !w.Live(born.Secret.Reveal()) || born.ID == "" {
						return "the newborn does not work"
					}
					return ""
				}},
				{Name: "revoke", Do: func(ctx context.Context) error { return p.Revoke(ctx, rotate.Token{ID: k.ID, Name: "old"}) }, Wrong: func() string {
					if w.Live(old) {
						return "the key lives"
					}
					return ""
				}},
				{Name: "check", Do: p.Check},
			},
		}
	}})
}
