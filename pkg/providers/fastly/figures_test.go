package fastly

import (
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestRequests counts what each operation asks, in the order in which a rotation needs them.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	var c rotate.Credential
	for _, x := range []struct {
		what string
		do   func() error
		most int
	}{
		{"list", func() error { _, err := p.List(t.Context()); return err }, 1},
		{"check", func() error { return p.Check(t.Context()) }, 3},
		{"mint", func() (err error) { c, err = p.Mint(t.Context(), minted("x", 'a')); return err }, 3},
		{"identify", func() error { _, err := p.Identify(t.Context(), c.Secret); return err }, 1},
		{"revoke", func() error { return p.Revoke(t.Context(), c.Token) }, 2},
		{"check in a new process", func() error { return w.provider().Check(t.Context()) }, 4},
		{"mint in a new process", func() error { _, err := w.provider().Mint(t.Context(), minted("x", 'b')); return err }, 4},
		{"revoke in a new process", func() error { return w.provider().Revoke(t.Context(), rotate.Token{ID: "T1"}) }, 3},
	} {
		w.lines()
		if err := x.do(); err != nil {
			t.Fatalf("%s: %v", x.what, err)
		}
		lines := w.lines()
		t.Logf("%s: %d requests: %v", x.what, len(lines), lines)
		if len(lines) > x.most {
			t.Errorf("%s: %d requests, at most %d", x.what, len(lines), x.most)
		}
	}
}
