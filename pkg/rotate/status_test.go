package rotate

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// classed prints tokens with their classes: "1 held newest, 2 foreign".
func classed(ts []TokenStatus) string {
	var out []string
	for _, t := range ts {
		text := t.ID
		for _, c := range t.Classes {
			text += " " + string(c)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestStatus(t *testing.T) {
	holds := func(t Token) held { return held{state: known, token: t, says: true, verified: true} }
	namesake := Token{ID: "9", Name: "web 20260101T000000Z-zzzzzzzzaaaaaa", Created: now.Add(-30 * day)}
	mute := held{state: mute, err: ErrTemporary}
	tests := []struct {
		name    string
		change  func(*Rotation)
		o       Options
		listed  []Token
		held    []held
		classes string
		fate    map[string]string // of some, by ID: what it says
		until   map[string]time.Duration
		why     string // of the next due date
		alarms  int
	}{
		{name: "in order", listed: []Token{gen(1, 10*day)}, held: []held{holds(gen(1, 10*day))}, classes: "1 held newest", fate: map[string]string{"1": ""}, why: "a holds is then 75 days old"},
		{name: "it expires first", listed: []Token{{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-day), Expires: now.Add(9 * day)}},
			held: []held{holds(Token{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-day), Expires: now.Add(9 * day)})}, classes: "1 held newest", why: "a holds expires two days later"},
		{name: "superseded", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))}, classes: "1 superseded, 2 held newest",
			fate: map[string]string{"1": "the next run revokes it"}, until: map[string]time.Duration{"1": 0}},
		{name: "in grace", change: func(r *Rotation) { r.Grace = 15 * day }, listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))},
			classes: "1 superseded, 2 held newest", fate: map[string]string{"1": "in grace until 2026-11-27T06:00:00Z, then the next run revokes it"}, until: map[string]time.Duration{"1": 5 * day}},
		{name: "still in use", listed: []Token{func() Token { t := gen(1, 20*day); t.LastUsed = now.Add(-time.Hour); return t }(), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))},
			classes: "1 superseded, 2 held newest", fate: map[string]string{"1": "kept: still in use"}},
		{name: "a run may be alive", listed: []Token{gen(1, 20*day), gen(2, 30*time.Minute)}, held: []held{holds(gen(2, 30*time.Minute))},
			classes: "1 superseded, 2 held newest", fate: map[string]string{"1": "revoked by the first run after 2026-11-22T06:35:00Z"}, until: map[string]time.Duration{"1": 35 * time.Minute}},
		{name: "an orphan", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(1, 20*day))}, classes: "1 held, 2 newest orphan",
			fate: map[string]string{"1": "the next run revokes it when its successor is verified", "2": "the next run revokes it when its successor is verified"}},
		{name: "sinks differ", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(1, 20*day)), holds(gen(2, 10*day))}, classes: "1 held, 2 held newest"},
		{name: "a sink that could not be asked", listed: []Token{gen(1, 20*day), gen(2, 10*day)}, held: []held{holds(gen(2, 10*day)), mute}, classes: "1 uncertain, 2 held newest",
			fate: map[string]string{"1": "kept while a sink cannot say"}},
		{name: "nothing known", change: adopt("web"), listed: []Token{byHand("9", "web", 20*day)}, held: []held{{}}, classes: "9 uncertain adopted",
			fate: map[string]string{"9": "the next run revokes it when its successor is verified"}},
		{name: "adopted and held", change: adopt("web"), listed: []Token{byHand("9", "web", 20*day)}, held: []held{holds(byHand("9", "web", 20*day))}, classes: "9 held adopted"},
		{name: "adopted, younger than what is held", change: adopt("web"), listed: []Token{gen(1, 10*day), byHand("9", "web", 5*day)}, held: []held{holds(gen(1, 10*day))},
			classes: "1 held newest, 9 adopted", fate: map[string]string{"9": "left alone until the next rotation"}},
		{name: "foreign", listed: []Token{namesake, byHand("8", "another", 20*day), gen(1, 10*day)}, held: []held{holds(gen(1, 10*day))}, classes: "9 foreign, 8 foreign, 1 held newest",
			fate: map[string]string{"9": "the identity differs", "8": ""}},
		{name: "foreign and held", listed: []Token{byHand("8", "another", 20*day)}, held: []held{holds(byHand("8", "another", 20*day))}, classes: "8 held foreign", fate: map[string]string{"8": "not this rotation's"}},
		{name: "compromised", o: Options{Compromised: now.Add(-15 * day)}, listed: []Token{gen(1, 20*day), namesake, gen(2, 10*day)}, held: []held{holds(gen(2, 10*day))},
			classes: "1 compromised superseded, 9 foreign, 2 held newest", fate: map[string]string{"1": "as soon as a sink holds its successor"}, alarms: 1},
		{name: "compromised and held", o: Options{Compromised: now.Add(-time.Hour)}, listed: []Token{gen(1, 20*day)}, held: []held{holds(gen(1, 20*day))}, classes: "1 compromised held newest", alarms: 1},
		{name: "dead", held: []held{{state: dead, token: gen(1, 10*day)}}, classes: "", alarms: 1},
		{name: "expired by its caveats", listed: []Token{gen(1, 10*day)}, held: []held{holds(Token{ID: "1", Name: gen(1, 0).Name, Created: now.Add(-10 * day), Expires: now.Add(-time.Hour)})}, classes: "1 held newest", alarms: 1},
		{name: "too many to revoke", change: func(r *Rotation) { adopt("web*")(r); r.MaxRevoke = 2 }, listed: []Token{byHand("7", "web7", 40*day), byHand("8", "web8", 30*day), byHand("9", "web9", 20*day), gen(1, 10*day)},
			held: []held{holds(gen(1, 10*day))}, classes: "7 superseded adopted, 8 superseded adopted, 9 superseded adopted, 1 held newest", fate: map[string]string{"7": "the next run does nothing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Rotation{ID: "id", Name: "web", Every: 75 * day, Provider: providerStub{}}
			for i := range tt.held {
				r.Sinks = append(r.Sinks, sinkStub{fakeSink(rune('a' + i))})
			}
			if tt.change != nil {
				tt.change(r)
			}
			s := r.status(&observation{now: now, listed: tt.listed, held: tt.held}, tt.o)
			if got := classed(s.Tokens); got != tt.classes {
				t.Errorf("classes %q, want %q", got, tt.classes)
			}
			for _, x := range s.Tokens {
				if want, ok := tt.fate[x.ID]; ok && (!strings.Contains(x.Fate, want) || want == "" && x.Fate != "") {
					t.Errorf("fate of %s: %q, want %q", x.ID, x.Fate, want)
				}
				if want, ok := tt.until[x.ID]; ok && !x.Until.Equal(now.Add(want)) || !ok && tt.until != nil && !x.Until.IsZero() {
					t.Errorf("%s may be revoked from %v", x.ID, x.Until)
				}
			}
			if !strings.Contains(s.Why, tt.why) {
				t.Errorf("next %v: %q, want %q", s.Next, s.Why, tt.why)
			}
			if len(s.Alarms) != tt.alarms {
				t.Errorf("alarms %q, want %d", s.Alarms, tt.alarms)
			}
			for i, h := range s.Sinks {
				if h.Mute() != errors.Is(tt.held[i].err, ErrTemporary) || h.Works == (tt.name == "dead" || tt.name == "expired by its caveats") {
					t.Errorf("sink %s: %+v", h.Sink, h)
				}
			}
		})
	}
}

// TestStatusOrder: the classes of a token are in one order, which renderers and readers rely on.
func TestStatusOrder(t *testing.T) {
	if len(Classes()) != len(classes) {
		t.Fatal("not all")
	}
	Classes()[0] = "changed"
	if classes[0] != ClassCompromised {
		t.Error("a caller may change the classes of everybody")
	}
}
