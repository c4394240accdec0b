package kubernetessecret

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

func keeps(s *Secret) { s.Previous = "TOKEN_PREVIOUS" }

// TestPrevious leads a value through its life, and looks at the object after each step.
func TestPrevious(t *testing.T) {
	b := newBed()
	step := func(what, value, former, current, before string) {
		t.Helper()
		b.holds(t, "TOKEN", value)
		b.holds(t, "TOKEN_PREVIOUS", former)
		b.holds(t, "OTHER", neighbor)
		h, err := b.sink(keeps).Held(t.Context()) // a new process
		must(t, err)
		if h.Mark.Token.ID != current || h.Former.ID != before {
			t.Errorf("%s: it holds %q and keeps %q, want %q and %q", what, h.Mark.Token.ID, h.Former.ID, current, before)
		}
		o, _ := b.Object("secrets", "apps", "web")
		for _, note := range meta(o)["annotations"].(map[string]any) {
			silent(t, note.(string))
		}
	}
	s := b.sink(keeps)
	if _, err := s.Held(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := len(b.Operations())
	must(t, s.Write(t.Context(), older))
	if got := b.since(n); got != "patch secrets" {
		t.Errorf("a write is %q", got)
	}
	step("written", older.Secret.Reveal(), byHand, "1", keeping.ByHand)
	must(t, s.Mark(t.Context(), older.Token))
	must(t, s.Forget(t.Context(), rotate.Token{ID: keeping.ByHand}))
	step("forgotten", older.Secret.Reveal(), older.Secret.Reveal(), "1", "")
	must(t, s.Write(t.Context(), newer))
	step("replaced", newer.Secret.Reveal(), older.Secret.Reveal(), "2", "1")
	must(t, s.Undo(t.Context()))
	step("put back", older.Secret.Reveal(), newer.Secret.Reveal(), "1", "2")
	if strings.Join(s.Warnings(), "") != "" {
		t.Error("it warns")
	}
	rotatetest.Silent(t, s, []string{bearer, byHand, older.Secret.Reveal(), newer.Secret.Reveal()})
}

// TestPreviousOthers: what people and rivals do is noticed, and left alone.
func TestPreviousOthers(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(t *testing.T, b *bed)
		want error // of the write
		says string
	}{
		{"a rival wrote", func(t *testing.T, b *bed) { must(t, b.sink(keeps).Write(t.Context(), older)) }, rotate.ErrConflict, "somebody else wrote it"},
		{"a person changed the value", func(t *testing.T, b *bed) { b.AddSecret("apps", "web", map[string]string{"TOKEN": "theirs"}) }, rotate.ErrConflict, "somebody else wrote it"},
		{"a person changed the former value", func(t *testing.T, b *bed) { b.AddSecret("apps", "web", map[string]string{"TOKEN_PREVIOUS": "theirs"}) }, rotate.ErrConflict, "previous"},
		{"another key", func(t *testing.T, b *bed) { b.AddSecret("apps", "web", map[string]string{"THIRD": "theirs"}) }, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed()
			s := b.sink(keeps)
			_, err := s.Held(t.Context())
			must(t, err)
			tt.edit(t, b)
			before, _ := b.Object("secrets", "apps", "web")
			err = s.Write(t.Context(), newer)
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if after, _ := b.Object("secrets", "apps", "web"); err != nil && meta(after)["resourceVersion"] != meta(before)["resourceVersion"] {
				t.Error("it was changed all the same")
			}
			if err != nil {
				silent(t, err.Error())
			}
		})
	}
	b := newBed()
	b.AddSecret("apps", "web", map[string]string{"TOKEN_PREVIOUS": "theirs"})
	if err := b.sink(keeps).Check(t.Context()); !errors.Is(err, rotate.ErrConflict) || !strings.Contains(err.Error(), "TOKEN_PREVIOUS") {
		t.Errorf("check: %v", err)
	}
	must(t, newBed().sink(keeps).Check(t.Context()))
	b = newBed()
	must(t, b.sink(keeps).Write(t.Context(), older))
	b.AddSecret("apps", "web", map[string]string{"TOKEN": "theirs"})
	s := b.sink(keeps)
	if h, err := s.Held(t.Context()); err != nil || !keeping.IsByHand(h.Mark.Token) || !hasAll(strings.Join(s.Warnings(), ""), "by hand") {
		t.Errorf("held %+v, %v", h, err)
	}
}

// TestPreviousLost: the patch took effect, or did not, and its answer was lost.
func TestPreviousLost(t *testing.T) {
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			s := b.sink(keeps)
			must(t, s.Write(t.Context(), older))
			b.Faults.Plant("patch secrets", emulate.Fault{After: after, Status: http.StatusBadGateway, Times: 5})
			must(t, s.Write(t.Context(), newer))
			b.Faults.Clear()
			b.holds(t, "TOKEN", newer.Secret.Reveal())
			b.holds(t, "TOKEN_PREVIOUS", older.Secret.Reveal())
		})
	}
}

func TestPreviousValidate(t *testing.T) {
	for text, want := range map[string]string{"TOKEN": "the key itself", "..": "is not a key", "A B": "is not a key"} {
		err := newBed().sink(func(s *Secret) { s.Previous = text }).Validate()
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := newBed().sink().Forget(t.Context(), older.Token); err != nil {
		t.Errorf("without previous there is nothing to forget: %v", err)
	}
}
