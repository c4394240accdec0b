package github_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// A person who puts an older value back into the secret does not change the marker. Before anything is revoked on
// the marker's word, the sink finds that out.
func TestPutBackByHand(t *testing.T) {
	for _, verified := range []bool{false, true} {
		s := emulated.New()
		now := time.Now()
		s.Now = func() time.Time { return now }
		s.AddToken(emulated.Token{Value: credential})
		s.SetSecret(repo, name, "old value")
		requests := 0
		wire := &emulate.Wire{Route: func(string) http.Handler { return s }, Before: func(*http.Request) error { requests++; return nil }}
		process := func() *github.Secret {
			return &github.Secret{Name: name, Repository: "example/web", Token: rotate.NewSecret(credential), Transport: wire}
		}
		held := func(sink *github.Secret) string {
			h, err := sink.Held(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return h.Mark.Token.ID
		}
		first := process()
		c := rotate.Credential{Token: rotate.Token{ID: "t2", Created: now}, Secret: rotate.NewSecret("the newborn's secret")}
		if err := first.Write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if verified {
			if err := first.Mark(t.Context(), c.Token); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(5 * time.Second)
		if got := held(process()); got != "t2" {
			t.Errorf("verified %t, untouched: %q", verified, got)
		}
		now = now.Add(time.Minute)
		s.SetSecret(repo, name, "old value")
		now = now.Add(24 * time.Hour)

		next := process()
		requests = 0
		got := held(next)
		if verified && (got != "t2" || requests != 1) {
			t.Errorf("a tick with nothing to do: %q with %d requests", got, requests)
		}
		if verified {
			got = held(next) // as the engine asks before it revokes
		}
		if got != "" {
			t.Errorf("verified %t: the marker is believed (%q) although the secret changed after it", verified, got)
		}
	}
}
