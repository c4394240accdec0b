package onepassword

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/connect"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestRival: what somebody else does between two requests.
func TestRival(t *testing.T) {
	t.Run("another field at the same time", func(t *testing.T) {
		b := newBed()
		b.rival(http.MethodPatch, func() { b.set("username", "root") })
		s := b.sink()
		must(t, s.Write(t.Context(), credential("a")))
		if b.value("username") != "root" || b.value("deploy-token") != credential("a").Secret.Reveal() {
			t.Error("one of the two is lost")
		}
		if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "from version 1 to 3") {
			t.Errorf("%q", w)
		}
		if len(s.Warnings()) != 0 {
			t.Error("said twice")
		}
	})
	t.Run("this field after it was looked at", func(t *testing.T) {
		b := newBed()
		s := b.sink()
		held(t, s)
		b.set("deploy-token", "theirs")
		fails(t, s.Write(t.Context(), credential("a")), rotate.ErrConflict, "somebody else")
		if b.value("deploy-token") != "theirs" {
			t.Error("their value is gone")
		}
		if s.Undo(t.Context()) == nil {
			t.Error("there was nothing to put back")
		}
		must(t, b.sink().Write(t.Context(), credential("a"))) // the next run has seen it
	})
	t.Run("this field before the undo", func(t *testing.T) {
		b := newBed()
		s := b.sink()
		must(t, s.Write(t.Context(), credential("a")))
		b.set("deploy-token", "theirs")
		fails(t, s.Undo(t.Context()), rotate.ErrConflict, "somebody else")
		if b.value("deploy-token") != "theirs" {
			t.Error("their value is gone")
		}
	})
	t.Run("by hand after the marker", func(t *testing.T) {
		b := newBed()
		must(t, b.sink().Write(t.Context(), credential("a")))
		b.set("deploy-token", "theirs")
		s := b.sink()
		if h := held(t, s); h.Mark.Token.ID != "" || h.Secret.Reveal() != "theirs" || len(s.Warnings()) != 1 {
			t.Errorf("%+v", h)
		}
		// The engine found out whose it is, and a verification is recorded.
		must(t, s.Mark(t.Context(), rotate.Token{ID: "z"}))
		if h := held(t, b.sink()); h.Mark.Token.ID != "z" || !h.Mark.Verified {
			t.Errorf("%+v", h.Mark)
		}
		fails(t, b.sink().Mark(t.Context(), rotate.Token{ID: "y"}), rotate.ErrConflict, "names token z")
	})
}

// TestUndo: value and marker are as they were, and a marker that was made is gone.
func TestUndo(t *testing.T) {
	b := newBed()
	before := b.Fields("blumeops", "fly.io admin")
	s := b.sink()
	must(t, s.Write(t.Context(), credential("a")))
	must(t, s.Undo(t.Context()))
	after := b.Fields("blumeops", "fly.io admin")
	if len(before) != len(after) {
		t.Fatalf("%+v", after)
	}
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%+v became %+v", before[i], after[i])
		}
	}
	if s.Undo(t.Context()) == nil {
		t.Error("twice")
	}
	s = b.sink()
	must(t, s.Write(t.Context(), credential("a")))
	must(t, s.Mark(t.Context(), credential("a").Token))
	must(t, s.Write(t.Context(), credential("b")))
	must(t, s.Undo(t.Context()))
	if h := held(t, b.sink()); h.Mark.Token.ID != "a" || !h.Mark.Verified {
		t.Errorf("%+v", h.Mark)
	}
}

// TestLost: a change is sent once; what became of it is seen by reading.
func TestLost(t *testing.T) {
	for _, x := range []struct {
		name  string
		fault emulate.Fault
		wrote bool
	}{
		{"before", emulate.Fault{}, false}, {"after", emulate.Fault{After: true}, true},
		{"500 before", emulate.Fault{Status: 500}, false}, {"500 after", emulate.Fault{Status: 500, After: true}, true},
		{"403", emulate.Fault{Status: 403}, false}, {"429", emulate.Fault{Status: 429}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBed()
			must(t, b.sink().Write(t.Context(), credential("a")))
			b.Faults.Plant(connect.Patch, x.fault)
			s := b.sink()
			n := len(b.Operations())
			err := s.Write(t.Context(), credential("b"))
			if (err == nil) != x.wrote {
				t.Errorf("%v", err)
			}
			if strings.Count(strings.Join(b.Operations()[n:], " "), "patch") > 1 {
				t.Errorf("sent again: %v", b.Operations()[n:])
			}
			want := credential("a")
			if x.wrote {
				want = credential("b")
			}
			if b.value("deploy-token") != want.Secret.Reveal() {
				t.Error("another value")
			}
			if undone := s.Undo(t.Context()); (undone == nil) != (x.fault.Status < 400 || x.fault.Status >= 500) {
				t.Errorf("undo: %v", undone) // what was refused replaced nothing
			}
			if b.value("deploy-token") != credential("a").Secret.Reveal() {
				t.Error("not put back")
			}
		})
	}
}

// TestBehind: a reading that is behind for a while is not taken for a failed write, and nothing is sent twice.
func TestBehind(t *testing.T) {
	b := newBed()
	var old []byte
	stale := 0
	s := b.sink(func(f *Field) {
		f.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch {
				stale = 2
				id := b.ItemID("blumeops", "fly.io admin")
				q, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://connect.example/v1/vaults/"+b.VaultID("blumeops")+"/items/"+id, nil)
				q.Header.Set("Authorization", "Bearer "+token)
				resp, err := b.wire.RoundTrip(q)
				must(t, err)
				old = make([]byte, resp.ContentLength)
				_, _ = resp.Body.Read(old)
			} else if stale > 0 {
				stale--
				return (&emulate.Wire{Route: func(string) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(old) })
				}}).RoundTrip(r)
			}
			return b.wire.RoundTrip(r)
		})
	})
	must(t, s.Write(t.Context(), credential("a")))
	if stale != 0 || b.Version("blumeops", "fly.io admin") != 2 {
		t.Errorf("%d stale readings left, version %d", stale, b.Version("blumeops", "fly.io admin"))
	}
}

// TestOtherNames: what needs escaping in a filter or a pointer.
func TestOtherNames(t *testing.T) {
	b := newBed()
	b.AddVault(`Ops "prod" \ ü`)
	b.AddItem(`Ops "prod" \ ü`, connect.Item{Title: "A&B=C #1", Fields: []connect.Field{{ID: "a/b~1", Label: "täken", Value: "old"}}})
	s := b.sink(refers(`op://ops "PROD" \ Ü/a&b=c #1/TÄKEN`))
	must(t, s.Check(t.Context()))
	must(t, s.Write(t.Context(), credential("a")))
	if v, _ := b.Value(`Ops "prod" \ ü`, "A&B=C #1", "a/b~1"); v != credential("a").Secret.Reveal() {
		t.Error("it was not written")
	}
}

// TestNoID: a token that nobody can name leaves no marker.
func TestNoID(t *testing.T) {
	b := newBed()
	must(t, b.sink().Write(t.Context(), credential("a")))
	nameless := credential("b")
	nameless.ID = ""
	must(t, b.sink().Write(t.Context(), nameless))
	if h := held(t, b.sink()); h.Mark.Token.ID != "" || !h.Secret.Equal(nameless.Secret) {
		t.Errorf("%+v", h)
	}
	fails(t, b.sink().Mark(t.Context(), nameless.Token), rotate.ErrConfig, "no id")
}
