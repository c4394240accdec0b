package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	emulated "github.com/remint-dev/remint/internal/emulate/cloudflare"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of Cloudflare.
func TestHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		w := &world{emulated.New(), t} // small, since every list in it is made long
		w.AddGroup(emulated.Group{ID: "4755a26eedb94da69e1066d98aa820be", Name: "DNS Write", Scopes: []string{emulated.Zone}})
		w.AddCredential(key, "")
		row, old := w.byHand(emulated.Row{Name: "old", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(90*rotate.Tick - time.Hour), Policies: []emulated.Policy{{
			Effect: "allow", Resources: map[string]any{zone: "*"}, Groups: []emulated.PolicyGroup{{ID: "4755a26eedb94da69e1066d98aa820be", Name: "DNS Write"}}}}})
		p, q := w.provider(), w.copying("old")
		p.Policies[0].Permissions, p.IPs = []string{"DNS Write"}, nil
		p.Transport, p.Interval = wrap(p.Transport), 0
		q.Transport, q.Interval = p.Transport, 0
		var born rotate.Credential
		var listed []rotate.Token
		var who rotate.Token
		newborn := func() string {
			if !w.Live(born.Secret.Reveal()) || born.ID == "" {
				return "the newborn does not work"
			}
			return ""
		}
		mint := func(p *Provider) func(context.Context) error {
			return func(ctx context.Context) (err error) {
				born, err = p.Mint(ctx, "x 20260102T030405Z-aaaaaaaabbbbbc")
				return err
			}
		}
		return hostile.Bench{Secrets: func() []string { return []string{key, old, born.Secret.Reveal()} }, Calls: []hostile.Call{
			{Name: "mint", Do: mint(p), Wrong: newborn},
			{Name: "mint a copy", Do: mint(q), Wrong: newborn},
			{Name: "check", Do: p.Check},
			{Name: "inspect", Do: func(ctx context.Context) error { return p.Inspect(ctx, rotate.NewSecret(old)) }},
			{Name: "list", Do: func(ctx context.Context) (err error) { listed, err = p.List(ctx); return err }, Wrong: func() string {
				for _, l := range listed {
					if l.ID == row.ID {
						return ""
					}
				}
				return fmt.Sprintf("the list lacks the token: %d tokens", len(listed))
			}},
			{Name: "identify", Do: func(ctx context.Context) (err error) { who, err = p.Identify(ctx, rotate.NewSecret(old)); return err }, Wrong: func() string {
				if who.ID != row.ID {
					return "it is taken for " + who.ID
				}
				return ""
			}},
			{Name: "revoke", Do: func(ctx context.Context) error { return p.Revoke(ctx, rotate.Token{ID: row.ID, Name: row.Name}) }, Wrong: func() string {
				if w.Live(old) {
					return "the token lives"
				}
				return ""
			}},
		}}
	}})
}
