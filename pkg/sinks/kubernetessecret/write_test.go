package kubernetessecret

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestOthersWrite: between the look and the patch somebody else writes the object.
func TestOthersWrite(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(t *testing.T, b *bed)
		want error // of Write; nil: it succeeds
		then string
	}{
		{"a label", func(t *testing.T, b *bed) {
			b.edit(t, func(o map[string]any) { put(meta(o), "labels", "team", "b") })
		}, nil, newer.Secret.Reveal()},
		{"another key", func(t *testing.T, b *bed) { b.AddSecret("apps", "web", map[string]string{"THIRD": "x"}) }, nil, newer.Secret.Reveal()},
		{"this key", func(t *testing.T, b *bed) { b.AddSecret("apps", "web", map[string]string{"TOKEN": "theirs"}) }, rotate.ErrConflict, "theirs"},
		{"the very value", func(t *testing.T, b *bed) {
			b.AddSecret("apps", "web", map[string]string{"TOKEN": newer.Secret.Reveal()})
		}, nil, newer.Secret.Reveal()},
		{"the credential, by another run", func(t *testing.T, b *bed) { must(t, b.sink().Write(t.Context(), newer)) }, nil, newer.Secret.Reveal()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed()
			s := b.sink()
			if _, err := s.Held(t.Context()); err != nil {
				t.Fatal(err)
			}
			tt.edit(t, b)
			if err := s.Write(t.Context(), newer); tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("Write: %v, want %v", err, tt.want)
			} else if err != nil {
				silent(t, err.Error())
				if s.Undo(t.Context()) == nil {
					t.Error("a write that did not happen was undone")
				}
			}
			b.holds(t, "TOKEN", tt.then)
		})
	}
}

// TestOthersAlways: somebody writes the object before each of our patches. That ends, and is reported.
func TestOthersAlways(t *testing.T) {
	b := newBed()
	s := b.sink()
	wire := s.Cluster.Transport.(*emulate.Wire)
	wire.Before = func(r *http.Request) error {
		if r.Method == http.MethodPatch {
			b.edit(t, func(o map[string]any) {
				put(meta(o), "labels", "at", r.Header.Get("X")+meta(o)["resourceVersion"].(string))
			})
		}
		return nil
	}
	if err := s.Write(t.Context(), newer); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("Write: %v", err)
	}
	b.holds(t, "TOKEN", byHand)
	if n := len(b.Operations()); n > 2*rounds {
		t.Errorf("%d requests", n)
	}
}

// TestOthersUndo: what somebody wrote after us is not taken back.
func TestOthersUndo(t *testing.T) {
	b := newBed()
	s := b.sink()
	must(t, s.Write(t.Context(), newer))
	b.AddSecret("apps", "web", map[string]string{"THIRD": "x"})
	must(t, s.Undo(t.Context()))
	b.holds(t, "TOKEN", byHand)
	must(t, s.Write(t.Context(), newer))
	b.AddSecret("apps", "web", map[string]string{"TOKEN": "theirs"})
	if err := s.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("Undo: %v", err)
	}
	b.holds(t, "TOKEN", "theirs")
}

// TestLostAnswers: the patch took effect, or did not, and its answer was lost. Either way the write is told from a
// change by somebody else, and can be undone.
func TestLostAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault emulate.Fault
		fails bool
	}{
		{"after the effect", emulate.Fault{After: true}, false},
		{"before the effect", emulate.Fault{}, false},
		{"a gateway after the effect", emulate.Fault{After: true, Status: 504, Body: "upstream"}, false},
		{"busy", emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}}, false},
		{"busy for long", emulate.Fault{Status: 503, Times: -1}, true},
		{"lost for long", emulate.Fault{After: true, Times: -1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed()
				b.Faults.Plant("patch secrets", tt.fault)
				s := b.sink()
				err := s.Write(t.Context(), newer)
				b.Faults.Clear()
				if tt.fails != errors.Is(err, rotate.ErrTemporary) || tt.fails == (err == nil) {
					t.Fatalf("Write: %v", err)
				}
				if err == nil {
					b.holds(t, "TOKEN", newer.Secret.Reveal())
				}
				must(t, s.Undo(t.Context()))
				b.holds(t, "TOKEN", byHand)
				if h, err := b.sink().Held(t.Context()); err != nil || h.Mark.Token.ID != "" {
					t.Errorf("held %+v, %v", h, err)
				}
			})
		})
	}
}

// TestLostUndo: the same for what is put back.
func TestLostUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		s := b.sink()
		must(t, s.Write(t.Context(), newer))
		b.Faults.Plant("patch secrets", emulate.Fault{After: true, Times: 4})
		b.Faults.Plant("get secrets", emulate.Fault{Status: 500, Times: 8})
		if err := s.Undo(t.Context()); !errors.Is(err, rotate.ErrTemporary) {
			t.Fatalf("Undo: %v", err)
		}
		b.Faults.Clear()
		must(t, s.Undo(t.Context()))
		b.holds(t, "TOKEN", byHand)
		if s.Undo(t.Context()) == nil {
			t.Error("undone twice")
		}
	})
}

// TestRefusedPatch: the API server's text may hold the whole object.
func TestRefusedPatch(t *testing.T) {
	b := newBed()
	text := `Secret "web" is invalid: data: Invalid value: {"TOKEN":"` + encoded(byHand) + `","OTHER":"` + encoded(neighbor) + `"}: field is immutable when immutable is set`
	b.Faults.Plant("patch secrets", kube.Refusal(422, "Invalid", text, 1))
	s := b.sink()
	err := s.Write(t.Context(), newer)
	if !errors.Is(err, rotate.ErrConfig) {
		t.Fatalf("Write: %v", err)
	}
	silent(t, err.Error())
	if s.Undo(t.Context()) == nil {
		t.Error("what was refused was undone")
	}
}

// TestAltered: an admission webhook stores something else. That is noticed, and can be undone.
func TestAltered(t *testing.T) {
	b := newBed()
	s := b.sink()
	wire := s.Cluster.Transport.(*emulate.Wire)
	real := wire.Route
	wire.Route = func(host string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPatch {
				real(host).ServeHTTP(w, r)
				return
			}
			real(host).ServeHTTP(discard{http.Header{}}, r)
			b.AddSecret("apps", "web", map[string]string{"TOKEN": "altered"})
			r.Method, r.Body = http.MethodGet, http.NoBody
			real(host).ServeHTTP(w, r)
		})
	}
	if err := s.Write(t.Context(), newer); !errors.Is(err, rotate.ErrConfig) || !hasAll(err.Error(), "webhook") {
		t.Fatalf("Write: %v", err)
	}
	wire.Route = real
	must(t, s.Undo(t.Context()))
	b.holds(t, "TOKEN", byHand)
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
