package fly

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of Fly.io.
func TestHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		server := fly.New()
		server.AddOrg("personal", "web")
		user := server.AddUser("bot@example.com", "personal")
		now := time.Now()
		row, old := server.AddToken(fly.Row{Name: "web by hand", App: "web", Created: now.Add(-time.Hour), Expires: now.Add(1000 * time.Hour)})
		p := &Provider{App: "web", Expiry: 90 * 24 * time.Hour, Token: rotate.NewSecret(user),
			Transport: wrap(&emulate.Wire{Route: func(string) http.Handler { return server }})}
		var minted rotate.Credential
		var listed []rotate.Token
		var who rotate.Token
		return hostile.Bench{
			Secrets: func() []string {
				return []string{user, old, minted.Secret.Reveal()}
			},
			Calls: []hostile.Call{
				{Name: "list", Do: func(ctx context.Context) (err error) { listed, err = p.List(ctx); return err }, Wrong: func() string {
					for _, l := range listed {
						if l.ID == row.ID {
							return ""
						}
					}
					return fmt.Sprintf("the list lacks the token: %d tokens", len(listed))
				}},
				{Name: "mint", Do: func(ctx context.Context) (err error) {
					minted, err = p.Mint(ctx, "web 20260102T030405Z-aaaaaaaabbbbbc")
					return err
				}, Wrong: func() string {
					if !server.Live(minted.Secret.Reveal()) || minted.ID == "" {
						return "the newborn does not work"
					}
					return ""
				}},
				{Name: "identify", Do: func(ctx context.Context) (err error) { who, err = p.Identify(ctx, rotate.NewSecret(old)); return err }, Wrong: func() string {
					if who.ID != "" && who.ID != row.ID {
						return "it is taken for " + who.ID
					}
					return ""
				}},
				{Name: "revoke", Do: func(ctx context.Context) error {
					return p.Revoke(ctx, rotate.Token{ID: row.ID, Name: row.Name, Created: row.Created, Expires: row.Expires})
				}, Wrong: func() string {
					if server.Live(old) {
						return "the token lives"
					}
					return ""
				}},
				{Name: "check", Do: p.Check},
			},
		}
	}})
}
