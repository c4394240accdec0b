package forgejo

import (
	"context"
	"net/http"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of Forgejo or Gitea.
func TestHostile(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
				f := newForge(kind)
				const secret, variable = "FLY_DEPLOY_TOKEN", "FLY_DEPLOY_TOKEN_REMINT"
				f.SetSecret("alice/web", secret, "old", "")
				mark := rotate.Mark{Token: credential(1).Token}
				f.SetVariable("alice/web", variable, mark.String())
				s := f.sink()
				s.Transport = wrap(f.wire)
				var held rotate.Holding
				return hostile.Bench{
					Secrets: func() []string { return []string{ownerToken, credential(2).Secret.Reveal()} },
					Calls: []hostile.Call{
						{Name: "held", Do: func(ctx context.Context) (err error) { held, err = s.Held(ctx); return err }, Wrong: func() string {
							if id := held.Mark.Token.ID; id != "" && id != mark.Token.ID {
								return "it holds " + id
							}
							return ""
						}},
						{Name: "check", Do: s.Check},
						{Name: "write", Do: func(ctx context.Context) error { return s.Write(ctx, credential(2)) }, Wrong: func() string {
							if v, _, _ := f.Secret("alice/web", secret); v != credential(2).Secret.Reveal() {
								return "the secret was not written"
							}
							if v, _ := f.Variable("alice/web", variable); v == mark.String() {
								return "the marker was not written"
							}
							return ""
						}},
						{Name: "mark", Do: func(ctx context.Context) error { return s.Mark(ctx, mark.Token) }, Wrong: func() string {
							if v, _ := f.Variable("alice/web", variable); v != (rotate.Mark{Token: mark.Token, Verified: true}).String() {
								return "the marker was not written"
							}
							return ""
						}},
					},
				}
			}})
		})
	}
}
