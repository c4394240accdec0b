package httpcheck

import (
	"context"
	"net/http"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of the service that should know the credential.
func TestHostile(t *testing.T) {
	for name, r := range map[string]*Request{
		"status":  {},
		"body":    {Body: `"active": *true`},
		"refuse":  {Refuse: `denied`},
		"header":  {Header: "PRIVATE-TOKEN"},
		"no body": {Method: http.MethodHead},
	} {
		t.Run(name, func(t *testing.T) {
			hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
				q := &Request{URL: "https://api.example.com/whoami?key=query-secret-0123", Method: r.Method, Body: r.Body, Refuse: r.Refuse, Header: r.Header,
					Transport: wrap(&emulate.Wire{Route: func(string) http.Handler { return says(200, `{"active": true, "url": "https://api.example.com"}`) }})}
				return hostile.Bench{
					Secrets: func() []string { return []string{newborn, "query-secret-0123"} },
					Calls: []hostile.Call{{Name: "verify", Verdict: true, Do: func(ctx context.Context) error {
						return q.Verify(ctx, rotate.Credential{Secret: rotate.NewSecret(newborn)})
					}}},
				}
			}})
		})
	}
}
