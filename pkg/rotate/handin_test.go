package rotate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// maker is a provider for which people mint.
type maker struct{ Provider }

func (maker) String() string                                  { return "maker" }
func (maker) Identify(context.Context, Secret) (Token, error) { return Token{}, nil }
func (maker) Inspect(context.Context, Secret) error           { return nil }
func (maker) Instructions(name string) []string               { return []string{"make " + name} }
func (maker) Check(context.Context) error                     { return errors.New("never asked") }

type markedSink struct{ Sink }

func (markedSink) String() string                        { return "sink" }
func (markedSink) Held(context.Context) (Holding, error) { return Holding{}, nil }

// TestHandIn decides what becomes of a rotation whose tokens a person makes.
func TestHandIn(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	days := func(n int) time.Time { return now.Add(time.Duration(n) * Tick) }
	token := func(id string, born, ends int) Token {
		return Token{ID: id, Name: id, Created: days(born), Expires: days(ends)}
	}
	old := token("old", -80, 40)     // due since five days; a third of its life is left
	dying := token("dying", -110, 8) // in the last tenth
	fresh := token("fresh", 0, 120)
	fresh.Created = now.Add(-2 * time.Hour)
	for _, tt := range []struct {
		name   string
		held   Token
		state  state
		handed *held
		o      Options
		first  Verb   // of the plan's steps
		stop   string // of the plan; "": none
		waits  bool   // and that is no failure
		warns  string
	}{
		{"not due", token("young", -10, 110), known, nil, Options{}, "", "", false, ""},
		{"hand-in: due, and nothing handed in, is a warning", old, known, nil, Options{}, "", "nothing that could be taken was handed in", true, "nothing that could be taken"},
		{"hand-in: due, nothing handed in, and the end is near", dying, known, nil, Options{}, "", "nothing that could be taken", false, "nothing that could be taken"},
		{"consumers are dead, nothing handed in", old, dead, nil, Options{}, "", "nothing that could be taken", false, ""},
		{"forced, nothing handed in", token("young", -10, 110), known, nil, Options{Force: true}, "", "nothing that could be taken", false, ""},
		{"hand-in: taken when due", old, known, &held{state: known, token: fresh}, Options{}, Taking, "", false, ""},
		{"handed in before it was due", token("young", -10, 110), known, &held{state: known, token: fresh}, Options{}, Taking, "", false, ""},
		{"hand-in: handed in again", fresh, known, &held{state: known, token: fresh}, Options{}, "", "", false, ""},
		{"what is held is handed in still, and due again", old, known, &held{state: known, token: old}, Options{}, "", "make a token and hand it in", true, "nothing that could be taken"},
		{"hand-in: older than what is held", fresh, known, &held{state: known, token: old}, Options{}, Revoke, "", false, "is older than fresh"},
		{"hand-in: dead", old, known, &held{state: dead}, Options{}, "", "nothing that could be taken", true, "does not work"},
		{"hand-in: itself compromised", old, known, &held{state: known, token: fresh}, Options{Compromised: now.Add(-time.Hour)}, "", "nothing that could be taken", false, "is itself compromised"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Rotation{ID: "id", Name: "web", Provider: maker{}, Sinks: []Sink{markedSink{}}, Every: 75 * Tick, HandIn: &HandIn{},
				Adopt: func(Token) bool { return true }}
			h := held{state: tt.state, token: tt.held, says: true, verified: true}
			obs := &observation{now: now, listed: []Token{tt.held}, held: []held{h}, handed: tt.handed}
			if tt.handed != nil && tt.handed.token.ID != "" && tt.handed.token.ID != tt.held.ID {
				obs.listed = append(obs.listed, tt.handed.token)
			}
			p := r.plan(obs, tt.o)
			var first Verb
			if len(p.Steps) > 0 {
				first = p.Steps[0].Do
			}
			if first != tt.first {
				t.Errorf("begins with %q, want %q: %v", first, tt.first, p.Steps)
			}
			if (p.Stop == "") != (tt.stop == "") || !strings.Contains(p.Stop, tt.stop) || p.Stop != "" && p.wait != tt.waits {
				t.Errorf("stop %q (waits %t), want %q (%t)", p.Stop, p.wait, tt.stop, tt.waits)
			}
			if warned := strings.Join(p.Warnings, "\n"); !strings.Contains(warned, tt.warns) {
				t.Errorf("warnings %q lack %q", warned, tt.warns)
			}
			if asks := len(p.HandIn) > 0; asks != (tt.stop != "") {
				t.Errorf("instructions: %q", p.HandIn)
			}
			for _, s := range append(p.Steps, p.OnFailure...) {
				if s.Do == Minting || s.Do == Check && s.At == "maker" || s.Do == Revoke && strings.Contains(s.What, "newborn") {
					t.Errorf("planned %q where a person mints", s)
				}
			}
		})
	}
}
