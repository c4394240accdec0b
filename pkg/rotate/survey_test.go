package rotate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// observed is a provider whose list, clock and knowledge are told.
type observed struct {
	providerStub
	listed []Token
	skew   time.Duration
	whose  Token
	err    error
}

func (s observed) List(context.Context) ([]Token, error)           { return s.listed, nil }
func (s observed) Skew() (time.Duration, bool)                     { return s.skew, true }
func (s observed) Identify(context.Context, Secret) (Token, error) { return s.whose, s.err }

// plainSink is a sink that can only be read back.
type plainSink struct {
	fakeSink
	secret string
	err    error
}

func (plainSink) Write(context.Context, Credential) error { return nil }
func (s plainSink) Read(context.Context) (Secret, error)  { return NewSecret(s.secret), s.err }

// TestSurvey looks at what a run may conclude from what it sees, and when it must not conclude anything.
func TestSurvey(t *testing.T) {
	old := gen(1, 30*day)
	old.Created = time.Now().Add(-30 * day)
	old.Expires = time.Now().Add(60 * day)
	from := old
	from.Created = time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name  string
		p     observed
		s     plainSink
		state state
		kind  error // of the whole survey
		says  string
	}{
		{"a token that is listed", observed{listed: []Token{old}, whose: old}, plainSink{secret: "x"}, known, nil, ""},
		{"nothing is held", observed{listed: []Token{old}}, plainSink{}, unknown, nil, ""},
		{"what is held is dead", observed{listed: []Token{old}, err: ErrDenied}, plainSink{secret: "x"}, dead, nil, ""},
		{"whose it is cannot be told", observed{listed: []Token{old}, whose: Token{Created: old.Created}}, plainSink{secret: "x"}, unclear, nil, ""},
		{"the sink cannot be asked", observed{listed: []Token{old}}, plainSink{err: ErrTemporary}, mute, nil, ""},
		{"the provider cannot be asked about it", observed{listed: []Token{old}, err: ErrTemporary}, plainSink{secret: "x"}, mute, nil, ""},
		{"what works is not listed", observed{whose: old}, plainSink{secret: "x"}, 0, ErrConflict, "does not list that token"},
		{"the provider's clock is far ahead", observed{skew: 6 * time.Minute}, plainSink{}, 0, ErrConflict, "set the clock"},
		{"the provider's clock is far behind", observed{skew: -6 * time.Minute}, plainSink{}, 0, ErrConflict, "set the clock"},
		{"the clocks differ a little", observed{skew: 4 * time.Minute}, plainSink{}, unknown, nil, ""},
		{"a token of ours comes from the future", observed{listed: []Token{from}}, plainSink{}, 0, ErrConflict, "set the clock"},
		{"a token of ours that could never be revoked", observed{listed: []Token{{Name: old.Name}}}, plainSink{}, 0, ErrConflict, "without an ID"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Rotation{ID: "id", Name: "web", Provider: tt.p, Sinks: []Sink{tt.s}, Every: 75 * day}
			obs, err := r.survey(t.Context(), Options{})
			if tt.kind != nil {
				if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("got %v, want %v that says %q", err, tt.kind, tt.says)
				}
				return
			}
			if err != nil || obs.held[0].state != tt.state {
				t.Errorf("got %+v, %v; want state %d", obs, err, tt.state)
			}
		})
	}
}

// handed is a sink that was set up without the marker that it could keep.
type handed struct {
	fakeSink
	Holding
}

func (handed) Write(context.Context, Credential) error { return nil }
func (h handed) Held(context.Context) (Holding, error) { return h.Holding, nil }
func (handed) Mark(context.Context, Token) error       { return nil }

// TestUnmarked: where neither a marker nor the provider can ever say what is held, each run would rotate.
func TestUnmarked(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Provider
		h    Holding
		kind error
	}{
		{"no marker, and a provider that cannot tell", providerStub{}, Holding{Secret: NewSecret("x"), Snapshot: true, Unmarked: true}, ErrConfig},
		{"no marker yet", providerStub{}, Holding{Secret: NewSecret("x"), Snapshot: true}, nil},
		{"no marker, and a provider that can tell", observed{err: ErrDenied}, Holding{Secret: NewSecret("x"), Snapshot: true, Unmarked: true}, nil},
	} {
		r := &Rotation{ID: "id", Name: "web", Provider: tt.p, Sinks: []Sink{handed{Holding: tt.h}}, Every: 75 * day}
		if _, err := r.survey(t.Context(), Options{}); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.kind)
		}
	}
}
