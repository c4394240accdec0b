package dispatch

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of the forge, no run that did not succeed counts as one.
func TestHostile(t *testing.T) {
	for name, start := range map[string]func() service{
		"github":  func() service { s := github.New(); return newGitHubService(s, githubURL, s) },
		"forgejo": func() service { return newForgeService(forgejo.New(forgejo.Forgejo)) },
		"gitea":   func() service { return newForgeService(forgejo.New(forgejo.Gitea)) },
	} {
		t.Run(name, func(t *testing.T) {
			hostile.Try(t, hostile.Adapter{Patience: 31 * time.Minute, Requests: 6, New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
				s := start()
				s.set("new")
				w := s.workflow()
				w.Transport = wrap(w.Transport)
				return hostile.Bench{
					Secrets: func() []string { return []string{"dispatch-token-0123"} },
					Calls: []hostile.Call{
						{Name: "check", Do: w.Check},
						{Name: "verify", Verdict: true, Do: func(ctx context.Context) error { return w.Verify(ctx, rotate.Credential{}) }, Wrong: func() string {
							if s.runs() != 1 {
								return "there is no run"
							}
							return ""
						}},
						{Name: "drain", Do: func(ctx context.Context) error { return w.Drain(ctx, time.Now()) }},
					},
				}
			}})
		})
	}
}
