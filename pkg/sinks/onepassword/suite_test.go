package onepassword

import (
	"context"
	"net/http"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the sink to the contracts that the engine relies on.
func TestSuite(t *testing.T) {
	for name, text := range map[string]string{"in a section": ref, "without one": "op://blumeops/fly.io admin/password"} {
		t.Run(name, func(t *testing.T) {
			b := newBed()
			r, err := parse(text)
			must(t, err)
			rotatetest.Sink(t, rotatetest.SinkUnderTest{
				New:         func(*testing.T) rotate.Sink { return b.sink(refers(text)) },
				Content:     func(*testing.T) string { return b.value(r.field) },
				Credentials: []string{token, password},
			})
			if b.value("username") != "admin" || b.value("read-token") != "other" {
				t.Error("another field changed")
			}
		})
	}
}

// TestHostile: whatever is answered in place of a Connect server.
func TestHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		b := newBed()
		b.RemoveOthers("blumeops", "fly.io admin", "deploy-token") // lists made long are less long then
		s := b.sink()
		if err := s.Write(context.Background(), credential("a")); err != nil {
			t.Fatal(err)
		}
		under := wrap(b.wire)
		names := b.sink(func(f *Field) { f.Transport = under })
		s = b.sink(refers("op://"+b.VaultID("blumeops")+"/"+b.ItemID("blumeops", "fly.io admin")+"/deploy-token"), func(f *Field) { f.Transport = under })
		var got rotate.Holding
		says := func(id string, verified bool) string {
			h, err := b.sink().Held(context.Background())
			if err != nil || h.Mark.Token.ID != id || h.Mark.Verified != verified {
				return "the marker was not written"
			}
			return ""
		}
		return hostile.Bench{
			Secrets: func() []string {
				return []string{token, password, credential("a").Secret.Reveal(), credential("b").Secret.Reveal()}
			},
			Calls: []hostile.Call{
				{Name: "held", Do: func(ctx context.Context) (err error) { got, err = names.Held(ctx); return err }, Wrong: func() string {
					if id := got.Mark.Token.ID; id != "" && id != "a" {
						return "it holds " + id
					}
					return ""
				}},
				{Name: "check", Do: s.Check},
				{Name: "write", Do: func(ctx context.Context) error { return s.Write(ctx, credential("b")) }, Wrong: func() string {
					if b.value("deploy-token") != credential("b").Secret.Reveal() {
						return "the field was not written"
					}
					return says("b", false)
				}},
				{Name: "mark", Do: func(ctx context.Context) error { return s.Mark(ctx, credential("a").Token) }, Wrong: func() string { return says("a", true) }},
			},
		}
	}})
}

// TestOnlyTheField: a write names the field and its marker, and nothing else of the item changes.
func TestOnlyTheField(t *testing.T) {
	b := newBed()
	before := b.Fields("blumeops", "fly.io admin")
	must(t, b.sink().Write(t.Context(), credential("a")))
	after := b.Fields("blumeops", "fly.io admin")
	if len(after) != len(before)+1 {
		t.Fatalf("%d fields became %d", len(before), len(after))
	}
	for i, f := range before {
		if f.ID == "f1" {
			f.Value = credential("a").Secret.Reveal()
		}
		if after[i] != f {
			t.Errorf("%q became %q", f, after[i])
		}
	}
	if m := after[len(before)]; m.Section != "add more" || m.Label != marker || m.Type != "STRING" {
		t.Errorf("the marker is %+v", m)
	}
	if v := b.Version("blumeops", "fly.io admin"); v != 2 {
		t.Errorf("version %d: value and marker are one step", v)
	}
	must(t, b.sink().Write(t.Context(), credential("b")))
	if got := b.Fields("blumeops", "fly.io admin"); len(got) != len(after) {
		t.Errorf("a second marker: %+v", got)
	}
}

// TestRequests: a tick with nothing to do is one request if the reference has ids, and three with names.
func TestRequests(t *testing.T) {
	b := newBed()
	s := b.sink()
	hold := func() error { _, err := s.Held(t.Context()); return err }
	write := func(id string) func() error { return func() error { return s.Write(t.Context(), credential(id)) } }
	if got := b.took(t, hold); got != "vaults items get" {
		t.Error(got)
	}
	if got := b.took(t, hold); got != "get" {
		t.Error(got)
	}
	if got := b.took(t, write("a")); got != "get patch get" {
		t.Error(got)
	}
	if got := b.took(t, write("a")); got != "get" {
		t.Error(got)
	}
	if got := b.took(t, func() error { return s.Mark(t.Context(), credential("a").Token) }); got != "get patch get" {
		t.Error(got)
	}
	s = b.sink(refers("op://" + b.VaultID("blumeops") + "/" + b.ItemID("blumeops", "fly.io admin") + "/f1"))
	if got := b.took(t, hold); got != "get" {
		t.Error(got)
	}
}
