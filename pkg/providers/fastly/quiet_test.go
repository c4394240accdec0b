package fastly

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	emulated "github.com/remint-dev/remint/internal/emulate/fastly"
	"github.com/remint-dev/remint/pkg/rotate"
)

// An answer that repeats a credential does not get it into an error, not even a part of it where the text is cut.
func echoedCredentialsAreBlotted(t *testing.T) {
	const key = "short-key.with.dots" // not of the form of an opaque text
	w := newWorld(t)
	for _, at := range []int{0, 190} {
		w.Faults.Plant("self", emulated.Refusal(404, strings.Repeat("x.", at/2)+key, 1))
		_, err := w.provider().Identify(t.Context(), rotate.NewSecret(key))
		if err == nil || strings.Contains(err.Error(), key[:8]) {
			t.Errorf("%v", err)
		}
	}
}

// Whatever a list says, no secret in it is kept.
func listKeepsNoSecret(t *testing.T) {
	body, _ := json.Marshal(map[string]any{"data": []any{map[string]any{"id": "T", "access_token": "listed-secret"}}, "meta": map[string]any{"total_pages": 1}})
	p := newWorld(t).provider()
	p.Transport = scripted{200, "application/json", body, true}
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fmt.Sprintf("%+v", *p.last), "listed-secret") {
		t.Error("it is kept")
	}
}
