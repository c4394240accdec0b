package fly

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// token makes the text of a token with these caveats.
func token(t testing.TB, caveats ...macaroon.Caveat) string {
	t.Helper()
	m, err := macaroon.New([]byte("12345678"), flyio.LocationPermission, macaroon.NewSigningKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Add(caveats...); err != nil {
		t.Fatal(err)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return macaroon.ToAuthorizationHeader(b)
}

func part(b ...byte) string { return "fm2_" + base64.StdEncoding.EncodeToString(b) }

func TestDecode(t *testing.T) {
	org := &flyio.Organization{ID: 5, Mask: resset.ActionAll}
	unregistered := &macaroon.UnregisteredCaveat{Type: macaroon.CavMinUserDefined + 7, RawMsgpack: []byte{0x91, 0x01}}
	for name, c := range map[string]struct {
		text string
		want string // in the error; "": it is read
		look func(*passport) bool
	}{
		"no window":         {token(t, org), "", func(m *passport) bool { return m.ends.IsZero() && m.until.IsZero() && m.apps == nil }},
		"window":            {token(t, org, &macaroon.ValidityWindow{NotBefore: 1000, NotAfter: 2000}), "", func(m *passport) bool { return m.ends.Unix() == 2000 && m.from.Unix() == 1000 }},
		"narrowed":          {token(t, org, &macaroon.ValidityWindow{NotBefore: 1000, NotAfter: 2000}, &macaroon.ValidityWindow{NotBefore: 1000, NotAfter: 1500}), "", func(m *passport) bool { return m.ends.Unix() == 1500 && m.until.Unix() == 2000 }},
		"nested window":     {token(t, org, &resset.IfPresent{Ifs: macaroon.NewCaveatSet(&macaroon.ValidityWindow{NotAfter: 1500}), Else: resset.ActionRead}), "", func(m *passport) bool { return m.ends.Unix() == 1500 && m.until.IsZero() }},
		"window for ever":   {token(t, org, &macaroon.ValidityWindow{NotAfter: 1<<63 - 1}), "", func(m *passport) bool { return m.ends.IsZero() }},
		"window never":      {token(t, org, &macaroon.ValidityWindow{NotAfter: -1 << 63}), "", func(m *passport) bool { return m.ends.Unix() == 1 }},
		"disjoint apps":     {token(t, org, &flyio.Apps{Apps: resset.New(resset.ActionAll, uint64(1))}, &flyio.Apps{Apps: resset.New(resset.ActionAll, uint64(2))}), "", func(m *passport) bool { return m.apps != nil && len(m.apps) == 0 }},
		"app 0":             {token(t, org, &flyio.Apps{Apps: resset.New(resset.ActionRead, uint64(0))}), "", func(m *passport) bool { return m.apps == nil }},
		"unregistered":      {token(t, org, unregistered), "", func(m *passport) bool { return m.org == 5 && m.rights == resset.ActionAll }},
		"read only":         {token(t, org, &flyio.Organization{ID: 5, Mask: resset.ActionRead}), "", func(m *passport) bool { return m.rights == resset.ActionRead }},
		"another scheme":    {"  bearer FlyV1 " + strings.TrimPrefix(token(t, org), "FlyV1 "), "", func(m *passport) bool { return strings.HasPrefix(m.header, "FlyV1 fm2_") }},
		"no organisation":   {token(t), "one organisation", nil},
		"empty":             {"", "part 1 of 1", nil},
		"scheme only":       {"FlyV1 ", "part 1 of 1", nil},
		"a user's":          {"fo1_SECRET", "user's token", nil},
		"words":             {"hunter2 SECRET", "part 1 of 1", nil},
		"a user's beside":   {token(t, org) + ",fo1_SECRET", "part 2 of 2", nil},
		"no base64":         {"fm2_SECRET!!", "damaged", nil},
		"no macaroon":       {token(t, org) + "," + part(0x01), "no macaroons", nil},
		"trailing bytes":    {part(0x93, 0x01, 0x02, 0x03, 0x04), "damaged", nil},
		"twice":             {token(t, org) + "," + strings.TrimPrefix(token(t, org), "FlyV1 "), "exactly one permission", nil},
		"huge array":        {part(0x94, 0x93, 0xc4, 0, 0xc4, 0, 0xc2, 0xa0, 0xdd, 0x7f, 0xff, 0xff, 0xfe, 0xc4, 0), "damaged", nil},
		"huge text":         {part(0xdb, 0xff, 0xff, 0xff, 0xff), "damaged", nil},
		"deep":              {part(append([]byte(strings.Repeat("\x91", 5000)), 0)...), "damaged", nil},
		"long":              {"fm2_" + strings.Repeat("A", maxToken), "longer", nil},
		"unhashable key":    {part(append(append([]byte{0x94, 0x93, 0xc4, 0, 0xc4, 0, 0xc2, 0xd9, 21}, flyio.LocationPermission...), 0x92, 0xcf, 1, 0, 0, 0, 0, 0, 0, 1, 0x91, 0x81, 0x81, 1, 1, 1, 0xc4, 0)...), "", nil},
		"half of it, sound": {part(0x90), "no", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := decode(c.text)
			switch {
			case name == "unhashable key": // must only not panic
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case c.look != nil && !c.look(m):
				t.Errorf("got %+v", m)
			case err != nil && strings.Contains(err.Error(), "SECRET"):
				t.Errorf("shows the text: %v", err)
			}
			if m != nil {
				if _, err := json.Marshal(rotate.Token{Expires: m.ends}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Whatever a sink holds, reading it neither panics, nor takes much memory, nor repeats it.
func FuzzDecode(f *testing.F) {
	s := emulated.New()
	s.AddOrg("o", "a")
	for _, r := range []emulated.Row{{Org: "o"}, {App: "a"}} {
		_, text := s.AddToken(r)
		f.Add(text)
		f.Add(text[:len(text)-9])
		perm, discharges, err := flyio.ParsePermissionAndDischargeTokens(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(perm))
		f.Add(string(discharges[0]))
	}
	f.Add("fo1_x,fm2_")
	f.Add(part(0x94, 0x93, 0xc4, 0, 0xc4, 0, 0xc2, 0xa0, 0xdd, 0x7f, 0xff, 0xff, 0xfe, 0xc4, 0))
	f.Fuzz(func(t *testing.T, text string) {
		// As the text of a token, and as what is inside its only part.
		for _, text := range []string{text, part([]byte(text)...)} {
			m, err := decode(text)
			if (m == nil) == (err == nil) {
				t.Fatal("neither or both")
			}
			if err != nil && len(text) > 40 && strings.Contains(err.Error(), text) {
				t.Fatal("the error repeats the text")
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	s := emulated.New()
	s.AddOrg("o", "a")
	_, text := s.AddToken(emulated.Row{App: "a"})
	for b.Loop() {
		if _, err := decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

// Whose a secret is, by what is held and what Fly.io lists and says.
func TestIdentify(t *testing.T) {
	type held struct {
		text string
		id   string
	}
	for name, c := range map[string]struct {
		hold    func(t *testing.T, w *world, p *Provider) held
		want    error
		warning string
		sent    string // operations, the first list left out
	}{
		"plain": {func(t *testing.T, w *world, p *Provider) held {
			w.legacyOrg("another", 2*time.Hour)
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "", "WhoOrg"},
		"bare, and in another scheme": {func(t *testing.T, w *world, p *Provider) held {
			r, s := w.legacyOrg("old", time.Hour)
			return held{"Bearer " + strings.TrimPrefix(s.Reveal(), "FlyV1 ") + "\n", r.ID}
		}, nil, "", "WhoOrg"},
		"born at the same time": {func(t *testing.T, w *world, p *Provider) held {
			w.legacyOrg("twin", time.Hour)
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "", "WhoOrg Nonces"},
		"born at the same time, nonces hidden": {func(t *testing.T, w *world, p *Provider) held {
			w.legacyOrg("twin", time.Hour)
			_, s := w.legacyOrg("old", time.Hour)
			w.Set(func(q *emulated.Quirks) { q.NoNonces = true })
			return held{s.Reveal(), ""}
		}, nil, "cannot be told which", "WhoOrg Nonces"},
		"born at the same time, nonces refused": {func(t *testing.T, w *world, p *Provider) held {
			w.legacyOrg("twin", time.Hour)
			_, s := w.legacyOrg("old", time.Hour)
			w.Faults.Plant("node", emulated.Refusal("INVALID", "no", 1))
			return held{s.Reveal(), ""}
		}, nil, "cannot be told which", "WhoOrg Nonces"},
		"window and list a minute apart": {func(t *testing.T, w *world, p *Provider) held {
			w.Set(func(q *emulated.Quirks) { q.Backdated = time.Minute })
			w.legacyOrg("twin", time.Hour)
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "", "WhoOrg Nonces"},
		"not in the list": {func(t *testing.T, w *world, p *Provider) held {
			_, s := w.AddToken(emulated.Row{Name: "flyctl", Org: "personal"})
			return held{s, ""}
		}, rotate.ErrConflict, "", "WhoOrg OrgTokens"},
		"not in the list, a twin is": {func(t *testing.T, w *world, p *Provider) held {
			at := time.Now().Add(-time.Hour)
			for range 2 {
				w.AddToken(emulated.Row{Name: "twin", Org: "personal", Created: at})
			}
			_, s := w.AddToken(emulated.Row{Name: "flyctl", Org: "personal", Created: at})
			return held{s, ""}
		}, rotate.ErrConflict, "", "WhoOrg Nonces OrgTokens Nonces"},
		"minted since the list": {func(t *testing.T, w *world, p *Provider) held {
			if _, err := p.List(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, s := w.legacyOrg("new", time.Minute)
			return held{s.Reveal(), r.ID}
		}, nil, "", "WhoOrg OrgTokens"},
		"own newborn that no list shows": {func(t *testing.T, w *world, p *Provider) held {
			w.Set(func(q *emulated.Quirks) { q.UnseenBirths = 1 << 30 })
			c, err := p.Mint(t.Context(), "newborn")
			if err != nil {
				t.Fatal(err)
			}
			return held{c.Secret.Reveal(), c.ID}
		}, nil, "", "WhoOrg"},
		"revoked": {func(t *testing.T, w *world, p *Provider) held {
			_, s := w.AddToken(emulated.Row{Org: "personal", Revoked: time.Now()})
			return held{s, ""}
		}, rotate.ErrDenied, "", "WhoOrg"},
		"revoked, still accepted": {func(t *testing.T, w *world, p *Provider) held {
			w.Set(func(q *emulated.Quirks) { q.RevocationDelay = time.Hour })
			r, s := w.AddToken(emulated.Row{Org: "personal", Revoked: time.Now()})
			return held{s, r.ID}
		}, rotate.ErrDenied, "still accepts", "WhoOrg"},
		"expired": {func(t *testing.T, w *world, p *Provider) held {
			_, s := w.AddToken(emulated.Row{Org: "personal", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(-time.Minute)})
			return held{s, ""}
		}, rotate.ErrDenied, "", "WhoOrg"},
		"permission without discharge": {func(t *testing.T, w *world, p *Provider) held {
			_, s := w.legacyOrg("old", time.Hour)
			first, _, _ := strings.Cut(s.Reveal(), ",")
			return held{first, ""}
		}, rotate.ErrDenied, "", "WhoOrg"},
		"garbage":  {func(t *testing.T, w *world, p *Provider) held { return held{"hunter2", ""} }, rotate.ErrDenied, "", "none"},
		"nothing":  {func(t *testing.T, w *world, p *Provider) held { return held{"", ""} }, rotate.ErrDenied, "", "none"},
		"a user's": {func(t *testing.T, w *world, p *Provider) held { return held{w.user, ""} }, rotate.ErrDenied, "", "none"},
		"another organisation's": {func(t *testing.T, w *world, p *Provider) held {
			_, s := w.AddToken(emulated.Row{Org: "acme"})
			return held{s, ""}
		}, rotate.ErrConflict, "", "Who"},
		"another organisation's, dead": {func(t *testing.T, w *world, p *Provider) held {
			_, s := w.AddToken(emulated.Row{Org: "acme", Revoked: time.Now()})
			return held{s, ""}
		}, rotate.ErrDenied, "", "Who"},
		"another address": {func(t *testing.T, w *world, p *Provider) held {
			w.Set(func(q *emulated.Quirks) { q.OtherViewer = true })
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "another address", "WhoOrg"},
		"not authorized for a moment": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulated.Refusal("", "Not authorized to access this organization", 2))
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "", "WhoOrg WhoOrg WhoOrg"},
		"a proxy in the way": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulate.Fault{Status: 403, Body: "blocked"})
			_, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), ""}
		}, rotate.ErrTemporary, "", "WhoOrg"},
		"may not see its organisation": {func(t *testing.T, w *world, p *Provider) held {
			w.t = &testing.T{}
			w.Faults.Plant("viewer", emulate.Fault{Status: 200, Times: -1, Body: `{"data":{"viewer":{"__typename":"Macaroon","email":"x@tokens.fly.io"},"organization":null},"errors":[{"message":"Not authorized to access this organization"}]}`})
			_, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), ""}
		}, rotate.ErrUnproven, "", "WhoOrg WhoOrg WhoOrg WhoOrg"},
		"answers as a user": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulate.Fault{Status: 200, Body: `{"data":{"viewer":{"__typename":"User","email":"x@example.com"},"organization":null}}`})
			_, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), ""}
		}, rotate.ErrConflict, "", "WhoOrg"},
		"answers as a user, oddly": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulate.Fault{Status: 200, Body: `{"data":{"viewer":{"__typename":"User","email":"x@tokens.fly.io"},"organization":null}}`})
			_, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), ""}
		}, rotate.ErrConflict, "", "WhoOrg"},
		"answers as something else": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulate.Fault{Status: 200, Body: `{"data":{"viewer":{"__typename":"Macaroon","email":"x@example.com"},"organization":null}}`})
			_, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), ""}
		}, rotate.ErrConflict, "", "WhoOrg"},
		"sees no organisation": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulate.Fault{Status: 200, Body: `{"data":{"viewer":{"__typename":"Macaroon","email":"x@tokens.fly.io"},"organization":null}}`})
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "neither its organisation", "WhoOrg"},
		"sees another organisation": {func(t *testing.T, w *world, p *Provider) held {
			w.Faults.Plant("viewer", emulate.Fault{Status: 200, Body: `{"data":{"viewer":{"__typename":"Macaroon","email":"x@tokens.fly.io"},"organization":{"id":"other","internalNumericId":"1"}}}`})
			_, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), ""}
		}, rotate.ErrConflict, "another address", "WhoOrg"},
		"discharge ends before the token": {func(t *testing.T, w *world, p *Provider) held {
			w.Set(func(q *emulated.Quirks) { q.DischargeLife = 2 * time.Hour })
			r, s := w.legacyOrg("old", time.Hour)
			return held{s.Reveal(), r.ID}
		}, nil, "", "WhoOrg"},
		"attenuated by its user": {func(t *testing.T, w *world, p *Provider) held {
			r, s := w.legacyOrg("old", time.Hour)
			perm, rest, _ := flyio.ParsePermissionAndDischargeTokens(s.Reveal())
			m, err := macaroon.Decode(perm)
			if err != nil {
				t.Fatal(err)
			}
			read := resset.ActionRead
			if err := m.Add(&read, &macaroon.ValidityWindow{NotBefore: time.Now().Add(-time.Hour).Unix(), NotAfter: time.Now().Add(time.Hour).Unix()}); err != nil {
				t.Fatal(err)
			}
			child, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			return held{macaroon.ToAuthorizationHeader(append([][]byte{child}, rest...)...), r.ID}
		}, nil, "", "WhoOrg"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.org()
			h := c.hold(t, w, p)
			w.secrets = append(w.secrets, h.text)
			if c.sent != "none" {
				if _, err := p.known(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.ops()
			got, err := p.Identify(ctx(t), rotate.NewSecret(h.text))
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			equal(t, "id", got.ID, h.id)
			if err == nil && (got.Created.IsZero() || got.Expires.IsZero() || got.Expires.Before(time.Now())) {
				t.Errorf("no times in %+v", got)
			}
			if c.want == nil && strings.HasPrefix(name, "discharge") && got.Expires.After(time.Now().Add(2*time.Hour)) {
				t.Errorf("expires %s, after its discharge", got.Expires)
			}
			sent := strings.Join(w.ops(), " ")
			if sent == "" {
				sent = "none"
			}
			equal(t, "requests", sent, c.sent)
			warnings := strings.Join(p.Warnings(), "\n")
			if c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings: %q, want %q", warnings, c.warning)
			}
			w.clean(t, err, warnings)
		})
	}
}

// What an app's provider makes of tokens of other reach in the same organisation.
func TestIdentifyApp(t *testing.T) {
	w := newWorld(t)
	w.AddOrg("personal", "other")
	r, s := w.legacy("old", time.Hour)
	if got, err := w.app().Identify(ctx(t), s); err != nil || got.ID != r.ID {
		t.Errorf("%v, %v", got, err)
	}
	w.Set(func(q *emulated.Quirks) { q.PlainApps = true })
	if r, s = w.legacy("plain", 2*time.Hour); true {
		if got, err := w.app().Identify(ctx(t), s); err != nil || got.ID != r.ID {
			t.Errorf("%v, %v", got, err)
		}
	}
	_, other := w.AddToken(emulated.Row{App: "other"})
	_, wide := w.AddToken(emulated.Row{Org: "personal"})
	for name, text := range map[string]string{"of another app": other, "of the organisation": wide} {
		if _, err := w.app().Identify(ctx(t), rotate.NewSecret(text)); !errors.Is(err, rotate.ErrConflict) || !strings.Contains(err.Error(), "nothing is revoked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An organisation lists the tokens of its apps, so it knows them.
	if got, err := w.org().Identify(ctx(t), s); err != nil || got.ID != r.ID {
		t.Errorf("%v, %v", got, err)
	}
}
