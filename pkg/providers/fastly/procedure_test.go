package fastly

// The column "leads to" of the manual procedure for a Fastly token, row by row: what a person does at a fault, and
// what the provider does.

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/fastly"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Row 1: a wrong password is refused, and never sent again: Fastly locks users out.
func TestWrongPasswordIsSentOnce(t *testing.T) {
	w := newWorld(t)
	shared := &Account{}
	for i, p := range []*Provider{w.provider(), w.provider()} {
		p.Shared = shared
		p.Password = rotate.NewSecret("hunter2-hunter2")
		for range 2 {
			_, err := p.Mint(t.Context(), minted("x", 'a'))
			says(t, err, rotate.ErrDenied, "user name and password", "not sent again")
			w.quiet(err, "hunter2-hunter2")
			if i == 0 {
				continue
			}
			says(t, p.Check(t.Context()), rotate.ErrDenied, "before in this run")
		}
	}
	if n := w.Served()["sudo"]; n != 1 {
		t.Errorf("the password was sent %d times", n)
	}
	if n := w.Served()["mint"]; n != 0 {
		t.Errorf("%d creates", n)
	}
	if p := w.provider(); p.Check(t.Context()) != nil {
		t.Error("another password is suspected too")
	}
}

// Row 1: whether the password was right is not known, so it was not refused.
func TestLostSudoIsNoRefusal(t *testing.T) {
	for name, fault := range map[string]emulate.Fault{"lost": {}, "502": emulated.BadGateway(1), "429": emulated.Limited(time.Now().Add(time.Hour), 1)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.provider()
			w.Faults.Plant("sudo", fault)
			if _, err := p.Mint(t.Context(), minted("x", 'a')); err == nil {
				t.Fatal("minted without sudo")
			}
			if n := w.Served()["sudo"]; n != 1 {
				t.Errorf("sudo was sent %d times", n)
			}
			if _, err := p.Mint(t.Context(), minted("x", 'b')); err != nil {
				t.Error(err)
			}
		})
	}
}

// Row 1: the answer that asks for sudo leads to sudo and create once more, and no other answer does.
func TestSudoThatShowsLate(t *testing.T) {
	w := newWorld(t)
	w.Faults.Plant("mint", emulated.Refusal(403, sudoNeeded, 1))
	if _, err := w.provider().Mint(t.Context(), minted("x", 'a')); err != nil {
		t.Fatal(err)
	}
	if s := w.Served(); s["sudo"] != 2 || s["mint"] != 2 || len(w.live()) != 1 {
		t.Errorf("%v, alive %v", s, w.live())
	}
}

func TestSudoThatNeverShows(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.SudoDelay = time.Hour })
	_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrDenied, "POST /sudo", "hand-in")
	if s := w.Served(); s["sudo"] != 2 || s["mint"] != 2 {
		t.Errorf("%v", s)
	}
}

func TestOtherRefusalsOfACreateAreFinal(t *testing.T) {
	for name, f := range map[string]emulate.Fault{
		"403": emulated.Refusal(403, "You must POST /sudo to access this endpoint.", 1), "401": emulated.Refusal(401, sudoNeeded, 1),
		"429": emulated.Limited(time.Now().Add(time.Hour), 1), "502": emulated.BadGateway(1), "400": emulated.Refusal(400, "Bad request", 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Faults.Plant("mint", f)
			_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
			if err == nil {
				t.Fatal("no error")
			}
			w.quiet(err)
			if strings.Contains(err.Error(), "<html>") {
				t.Errorf("the body of a proxy is repeated: %v", err)
			}
			if s := w.Served(); s["sudo"] != 1 || s["mint"] != 1 {
				t.Errorf("%v", s)
			}
		})
	}
}

// Row 1: an account that forces single sign-on or MFA.
func TestForcedSSONamesHandIn(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.ForcedSSO = true })
	_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrDenied, "hand-in", "single sign-on")
	if n := w.Served()["mint"]; n != 1 {
		t.Errorf("%d creates", n)
	}
}

func TestMissingPasswordIsRefusedBeforehand(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	p.Username, p.Password = rotate.Secret{}, rotate.Secret{}
	says(t, p.Check(t.Context()), rotate.ErrConfig, "FASTLY_PASSWORD", "hand-in")
	_, err := p.Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrConfig, "FASTLY_PASSWORD", "hand-in")
	if s := w.Served(); s["sudo"]+s["mint"] != 0 {
		t.Errorf("%v", s)
	}
	if _, err := p.List(t.Context()); err != nil {
		t.Error(err)
	}
}

// Row 1: one-time codes.
func TestOneTimeCodes(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXP"
	setup := func(t *testing.T) *world {
		w := newWorld(t)
		key, err := seed(rotate.NewSecret(secret))
		if err != nil {
			t.Fatal(err)
		}
		w.key = w.AddUser(emulated.User{Login: "second@example.com", Password: password, OTP: func() string { return code(key, time.Now()) }})
		return w
	}
	for _, kind := range []string{automation, user} {
		t.Run(kind, func(t *testing.T) {
			w := setup(t)
			p := w.provider()
			if p.Username = rotate.NewSecret("second@example.com"); kind == user {
				p.Type, p.Role = user, ""
			}
			_, err := p.Mint(t.Context(), minted("x", 'a'))
			says(t, err, rotate.ErrDenied, "one-time code", "FASTLY_TOTP_SECRET")
			err = p.Check(t.Context())
			if kind == user {
				says(t, err, rotate.ErrDenied, "two-factor")
			} else if err != nil {
				t.Error(err)
			} else {
				has(t, p.Warnings(), "two-factor")
			}
			p.TOTP = rotate.NewSecret("jbsw y3dp ehpk 3pxp")
			if err := p.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := p.Mint(t.Context(), minted("x", 'b')); err != nil {
				t.Error(err)
			}
		})
	}
}

// Row 2: all pages are read, and a page that cannot be had fails the list.
func TestListReadsAllPages(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.AddToken(emulated.Row{Name: "exporter " + string(rune('a'+i)), Automation: true})
	}
	w.AddToken(emulated.Row{Name: "expired", Automation: true, Expires: time.Now().Add(-time.Second)})
	w.AddToken(emulated.Row{Name: "a user's"})
	w.Set(func(q *emulated.Quirks) { q.PageMax = 3 })
	p := w.provider()
	got, err := p.List(t.Context())
	if err != nil || len(got) != 7 {
		t.Fatalf("%d tokens, %v", len(got), err)
	}
	if n := count(w.lines(), "GET /automation-tokens"); n != 3 {
		t.Errorf("%d requests", n)
	}
	w.Faults.Plant("list", emulate.Fault{Delay: time.Nanosecond})
	w.Faults.Plant("list", emulated.Refusal(403, "no", 1))
	_, err = p.List(t.Context())
	says(t, err, rotate.ErrDenied, "superuser")
}

// Rows 2 and 3: old and new bear one name, so only the ID counts.
func TestSameNameIsToldApartByID(t *testing.T) {
	w := newWorld(t)
	const name = "GOV.UK prometheus-fastly-exporter token for Integration"
	old, _ := w.AddToken(emulated.Row{Name: name, Automation: true, Services: w.integration(), Created: time.Now().Add(-300 * 24 * time.Hour)})
	p := w.provider()
	c, err := p.Mint(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Revoke(t.Context(), rotate.Token{ID: old.ID, Name: name}); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Identify(t.Context(), c.Secret); err != nil || got.ID != c.ID {
		t.Errorf("the new token: %v, %v", got, err)
	}
	if l, _ := p.List(t.Context()); len(l) != 1 || l[0].ID != c.ID {
		t.Errorf("listed %v", l)
	}
}

// Row 3: a token that is gone is revoked; a refusal is asked again, then given back; the wrong ones are never touched.
func TestRevokeOfATokenThatIsGone(t *testing.T) {
	w := newWorld(t)
	if err := w.provider().Revoke(t.Context(), rotate.Token{ID: emulated.NewID(), Name: "x"}); err != nil {
		t.Error(err)
	}
}

func TestRefusedRevocationIsRepeatedThenGivenBack(t *testing.T) {
	for _, status := range []int{401, 403} {
		w := newWorld(t)
		r, _ := w.AddToken(emulated.Row{Name: "x", Automation: true})
		w.Faults.Plant("revoke", emulated.Refusal(status, "no", 2))
		if err := w.provider().Revoke(t.Context(), rotate.Token{ID: r.ID}); err != nil {
			t.Errorf("%d twice: %v", status, err)
		}
		r, text := w.AddToken(emulated.Row{Name: "y", Automation: true})
		w.Faults.Plant("revoke", emulated.Refusal(status, "no", -1))
		says(t, w.provider().Revoke(t.Context(), rotate.Token{ID: r.ID}), rotate.ErrDenied, "DELETE /tokens/")
		if !w.Live(text) {
			t.Error("revoked after all")
		}
	}
}

func TestRevocationIsConfirmed(t *testing.T) {
	w := newWorld(t)
	r, _ := w.AddToken(emulated.Row{Name: "x", Automation: true})
	w.Set(func(q *emulated.Quirks) { q.UnseenRevocations = 2 })
	if err := w.provider().Revoke(t.Context(), rotate.Token{ID: r.ID}); err != nil {
		t.Fatal(err)
	}
	if n := w.Served()["list"]; n != 3 {
		t.Errorf("looked %d times", n)
	}
	r, _ = w.AddToken(emulated.Row{Name: "y", Automation: true})
	w.Set(func(q *emulated.Quirks) { q.UnseenRevocations = 1 << 20 })
	says(t, w.provider().Revoke(t.Context(), rotate.Token{ID: r.ID}), rotate.ErrUnproven, "accepted the revocation")
}

func TestUntouchableTokens(t *testing.T) {
	w := newWorld(t)
	legacy, a := w.AddToken(emulated.Row{Name: "Global API Token"})
	session, b := w.AddToken(emulated.Row{Name: "manage.fastly.com browser session"})
	p := w.user()
	listed, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mine, _ := w.Which(w.key)
	for _, l := range listed {
		if l.ID == legacy.ID || l.ID == session.ID {
			t.Errorf("%q is listed", l.Name)
		}
	}
	for _, r := range []emulated.Row{legacy, session, mine} {
		for _, name := range []string{r.Name, "another name"} {
			says(t, p.Revoke(t.Context(), rotate.Token{ID: r.ID, Name: name}), rotate.ErrConflict, "refusing")
		}
	}
	if !w.Live(a) || !w.Live(b) || !w.Live(w.key) {
		t.Error("revoked")
	}
	if n := w.Served()["revoke"]; n != 0 {
		t.Errorf("%d revocations were sent", n)
	}
	_, err = p.Mint(t.Context(), "Global API Token")
	says(t, err, rotate.ErrConfig)
}

// Row 4 and 6: what was minted is other than asked for.
func TestOtherThanAskedForIsRevoked(t *testing.T) {
	for name, x := range map[string]struct {
		quirk func(*emulated.Quirks)
		says  string
	}{
		"limit ignored":            {func(q *emulated.Quirks) { q.IgnoreLimit = true }, "every service"},
		"limit ignored but echoed": {func(q *emulated.Quirks) { q.IgnoreLimit, q.Echo = true, true }, "every service"},
		"one service more":         {func(q *emulated.Quirks) { q.ExtraServices = []string{"extraServiceId"} }, "extraServiceId"},
		"one more, not said":       {func(q *emulated.Quirks) { q.ExtraServices, q.Echo = []string{"extraServiceId"}, true }, "extraServiceId"},
		"wider scope":              {func(q *emulated.Quirks) { q.Scope = "global:read global" }, "scope"},
		"other scope":              {func(q *emulated.Quirks) { q.Scope = "purge_all" }, "scope"},
		"other role":               {func(q *emulated.Quirks) { q.Role = "engineer" }, "role"},
		"longer life":              {func(q *emulated.Quirks) { q.Life = 91 * 24 * time.Hour }, "expires"},
		"shorter life":             {func(q *emulated.Quirks) { q.Life = 89 * 24 * time.Hour }, "expires"},
		"TLS":                      {func(q *emulated.Quirks) { q.TLS = true }, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Set(x.quirk)
			c, err := w.provider().Mint(t.Context(), minted("x", 'a'))
			says(t, err, rotate.ErrConflict, x.says, "it was revoked")
			w.quiet(err, c.Secret.Reveal())
			if len(w.live()) != 0 {
				t.Errorf("alive: %v", w.live())
			}
			if c.ID == "" {
				t.Error("the engine is not told which token it is")
			}
		})
	}
}

// Row 4: what cannot be revoked at once is told to the engine, and to a person.
func TestWiderTokenThatCannotBeRevoked(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.IgnoreLimit = true })
	w.Faults.Plant("revoke", emulated.Refusal(403, "no", 3))
	p := w.provider()
	c, err := p.Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrConflict, "every service", "could not be revoked", "by hand")
	if err := p.Revoke(t.Context(), c.Token); err != nil || len(w.live()) != 0 {
		t.Errorf("%v, alive %v", err, w.live())
	}
}

// Row 4: both ways in which Fastly may understand services.
func TestServicesAloneOrLimited(t *testing.T) {
	for _, alone := range []bool{false, true} {
		for _, status := range []int{0, 201} {
			w := newWorld(t)
			w.Set(func(q *emulated.Quirks) { q.ServicesAlone, q.Created = alone, status })
			for _, p := range []*Provider{w.provider(), w.user()} {
				c, err := p.Mint(t.Context(), minted("x", 'a'))
				if err != nil {
					t.Fatal(err)
				}
				r, _ := w.Which(c.Secret.Reveal())
				if !slices.Equal(set(r.Services), w.integration()) || r.Scope != "global:read" || r.Automation != (p.kind() == automation) {
					t.Errorf("minted %+v", r)
				}
				if off := c.Expires.Sub(c.Created.Add(90 * 24 * time.Hour)).Abs(); off > time.Second {
					t.Errorf("expires %s, born %s", c.Expires, c.Created)
				}
			}
		}
	}
}

func TestLimitReached(t *testing.T) {
	w := newWorld(t)
	for range 99 {
		w.AddToken(emulated.Row{Name: "stray", Automation: true})
	}
	w.AddToken(emulated.Row{Name: "expired", Automation: true, Expires: time.Now().Add(-time.Hour)})
	p := w.provider()
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(t, p.Warnings(), "99 live automation tokens")
	w.AddUser(emulated.User{Login: "other@example.com", Password: "x"})
	w.AddToken(emulated.Row{Name: "another user's", User: "other@example.com", Automation: true})
	if err := w.provider().Check(t.Context()); err != nil {
		t.Errorf("another user's token counts: %v", err)
	}
	w.AddToken(emulated.Row{Name: "the last", Automation: true})
	says(t, w.provider().Check(t.Context()), rotate.ErrLimit, "100 live automation tokens", "revoke")
	_, err := p.Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrConfig, "number of live tokens")
}

// Row 5: names.
func TestNamesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "  ", strings.Repeat("x", 256), "a\nb", "a\x00"} {
		_, err := w.provider().Mint(t.Context(), name)
		says(t, err, rotate.ErrConfig, "name")
	}
	if len(w.lines()) != 0 {
		t.Error("something was asked")
	}
}

// Row 7: the set of services.
func TestServiceSets(t *testing.T) {
	w := newWorld(t)
	w.AddService(emulated.Service{Name: "twice"})
	w.AddService(emulated.Service{Name: "twice"})
	w.AddService(emulated.Service{Name: "gone", Deleted: true})
	w.Set(func(q *emulated.Quirks) { q.PageMax = 2 }) // Link has more to say than the number of rows
	for name, x := range map[string]struct {
		services Services
		want     []string // names
		says     string
	}{
		"contains, in any case and place": {Services{Contains: []string{"iNTEGRATION"}}, []string{"Integration GOV.UK", "Integration Assets", "GOV.UK App mobile backend - integration"}, ""},
		"exact name":                      {Services{Name: []string{"Staging GOV.UK"}}, []string{"Staging GOV.UK"}, ""},
		"ID and contains together":        {Services{ID: []string{w.ids["Staging GOV.UK"]}, Contains: []string{"production"}}, []string{"Staging GOV.UK", "Production GOV.UK"}, ""},
		"unknown name":                    {Services{Name: []string{"staging gov.uk"}}, nil, `did you mean "Staging GOV.UK"?`},
		"part of a name":                  {Services{Name: []string{"Staging"}}, nil, `no service named "Staging"`},
		"unknown ID":                      {Services{ID: []string{"nope"}}, nil, "no service with the ID nope"},
		"nothing contains it":             {Services{Contains: []string{"integration", "sandbox"}}, nil, `contains "sandbox"`},
		"a name of two":                   {Services{Name: []string{"twice"}}, nil, "2 services are named"},
		"a deleted one":                   {Services{Name: []string{"gone"}}, nil, "no service named"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.provider()
			p.Services = x.services
			err := p.Check(t.Context())
			if x.says != "" {
				says(t, err, rotate.ErrNotFound, x.says)
				_, err = p.Mint(t.Context(), minted("x", 'a'))
				says(t, err, rotate.ErrNotFound, x.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			warnings := p.Warnings()
			c, err := p.Mint(t.Context(), minted("x", 'a'))
			if err != nil {
				t.Fatal(err)
			}
			r, _ := w.Which(c.Secret.Reveal())
			var want []string
			for _, n := range x.want {
				want = append(want, w.ids[n])
				has(t, warnings, n)
			}
			if !slices.Equal(set(r.Services), set(want)) {
				t.Errorf("sees %v, want %v", r.Services, want)
			}
			if err := p.Revoke(t.Context(), c.Token); err != nil {
				t.Error(err)
			}
		})
	}
	if n := w.Served()["sudo"]; n != 3 {
		t.Errorf("sudo was asked for %d times: also for sets that were refused", n)
	}
}

func TestEmptyAccountIsRefused(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	p.Services = Services{Contains: []string{"x"}}
	says(t, p.Check(t.Context()), rotate.ErrNotFound, `contains "x"`)
}

func TestAllServicesOnlyIfSaid(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	p.Services = Services{All: true}
	c, err := p.Mint(t.Context(), minted("x", 'a'))
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := w.Which(c.Secret.Reveal()); len(r.Services) != 0 {
		t.Errorf("sees %v", r.Services)
	}
	if n := w.Served()["services"]; n != 0 {
		t.Errorf("the services were listed %d times", n)
	}
	p = w.provider()
	p.Services = Services{}
	says(t, p.Validate(), rotate.ErrConfig, "services")
}

func TestSetIsComparedWithTheOldTokens(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"exporter", "exporter 20260101T000000Z-aaaaaaaaccccca"} {
		t.Run(name, func(t *testing.T) {
			old, _ := w.AddToken(emulated.Row{Name: name, Automation: true, Created: time.Now().Add(-400 * 24 * time.Hour), LastUsed: time.Now().Add(-300*24*time.Hour - time.Minute),
				Services: []string{w.ids["Integration GOV.UK"], w.ids["Integration Assets"], w.ids["Staging GOV.UK"]}})
			w.AddToken(emulated.Row{Name: "exporter 20260101T000000Z-bbbbbbbbccccca", Automation: true, Services: []string{w.ids["Production GOV.UK"]}}) // foreign
			p := w.provider()
			if _, err := p.List(t.Context()); err != nil {
				t.Fatal(err)
			}
			c, err := p.Mint(t.Context(), "exporter 20260201T000000Z-aaaaaaaaddddda")
			if err != nil {
				t.Fatal(err)
			}
			warnings := p.Warnings()
			has(t, warnings, "new in comparison", "GOV.UK App mobile backend - integration", "that its successor does not: Staging GOV.UK", "last used 300 days ago")
			if strings.Contains(strings.Join(warnings, "\n"), "Production") {
				t.Errorf("compared with a foreign token: %v", warnings)
			}
			if p.Warnings() != nil {
				t.Error("warned twice")
			}
			for _, id := range []string{old.ID, c.ID} {
				if err := p.Revoke(t.Context(), rotate.Token{ID: id}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Row 8: the end of the life.
func TestCalendarYears(t *testing.T) {
	for _, x := range []struct{ life, from, want string }{
		{"1y", "2026-11-22T10:00:00Z", "2027-11-22T10:00:00Z"},
		{"1y", "2028-02-29T10:00:00Z", "2029-02-28T10:00:00Z"},
		{"4y", "2028-02-29T10:00:00Z", "2032-02-29T10:00:00Z"},
		{"1y", "2027-12-31T23:30:00-01:00", "2029-01-01T00:30:00Z"}, // the year is UTC's
		{"1y", "2027-03-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{"90d", "2028-02-29T10:00:00Z", "2028-05-29T10:00:00Z"},
		{"1w2d12h", "2026-01-01T00:00:00Z", "2026-01-10T12:00:00Z"},
		{"never", "2026-01-01T00:00:00Z", "never"},
	} {
		l, err := parseLife(x.life)
		if err != nil {
			t.Fatal(err)
		}
		from, _ := time.Parse(time.RFC3339, x.from)
		if got := when(l.end(from.Add(999 * time.Millisecond))); got != x.want {
			t.Errorf("%s from %s ends %s, want %s", x.life, x.from, got, x.want)
		}
	}
	for _, bad := range []string{"", "0", "0y", "-1y", "1y1d", "1", "d", "90", "59m", "101y", "9999999999999d", "1d1w", "1.5y", "1 y", "Never"} {
		if _, err := parseLife(bad); err == nil {
			t.Errorf("%q is a life", bad)
		}
	}
	for text, want := range map[string]time.Duration{"1y": 365 * 24 * time.Hour, "90d": 90 * 24 * time.Hour, "never": 0} {
		if got := (&Provider{Expiry: text}).Life(); got != want {
			t.Errorf("Life of %s is %s", text, got)
		}
	}
}

func TestRefusedExpiry(t *testing.T) {
	w := newWorld(t)
	w.Faults.Plant("mint", emulated.Refusal(422, "Invalid expires_at", 1))
	_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrConfig, "422", "expiry")
	p := w.provider()
	p.Expiry = "never"
	c, err := p.Mint(t.Context(), minted("x", 'b'))
	if err != nil || !c.Expires.IsZero() {
		t.Errorf("%s, %v", c.Expires, err)
	}
}

// Row 9: the answer to the create is lost. It is not repeated; the engine looks for the name.
func TestLostCreateIsNotRepeated(t *testing.T) {
	for name, f := range map[string]emulate.Fault{"lost": {After: true}, "500 after": {After: true, Status: 500, Body: "oops"}, "cut short": {After: true, Status: 200, Body: `{"id":"x`}, "empty": {After: true, Status: 201}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Faults.Plant("mint", f)
			p := w.provider()
			at := minted("x", 'a')
			_, err := p.Mint(t.Context(), at)
			says(t, err, rotate.ErrTemporary)
			if n := w.Served()["mint"]; n != 1 {
				t.Errorf("%d creates", n)
			}
			l, err := p.List(t.Context())
			if err != nil || len(l) != 1 || l[0].Name != at {
				t.Fatalf("listed %v, %v", l, err)
			}
			if err := p.Revoke(t.Context(), l[0]); err != nil || len(w.live()) != 0 {
				t.Errorf("%v, alive %v", err, w.live())
			}
		})
	}
}

// A newborn that not every server knows yet is waited for.
func TestNewbornThatShowsLate(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.UnseenBirths = 3 })
	if _, err := w.provider().Mint(t.Context(), minted("x", 'a')); err != nil {
		t.Error(err)
	}
	w.Set(func(q *emulated.Quirks) { q.UnseenBirths = 1 << 20 })
	_, err := w.provider().Mint(t.Context(), minted("x", 'b'))
	says(t, err, rotate.ErrDenied, "could not be looked at", "it was revoked")
	if len(w.live()) != 1 {
		t.Errorf("alive: %v", w.live())
	}
}

// Section 5: an expired token answers 401, a revoked one 401 or 403, and a proxy nothing that counts.
func TestDeadSecrets(t *testing.T) {
	w := newWorld(t)
	_, expired := w.AddToken(emulated.Row{Name: "x", Automation: true, Expires: time.Now().Add(-time.Second)})
	for _, forbidden := range []bool{false, true} {
		w.Set(func(q *emulated.Quirks) { q.DeadIsForbidden = forbidden })
		for _, text := range []string{expired, "none-of-fastlys", "with space", "ümlaut", "\n"} {
			_, err := w.provider().Identify(t.Context(), rotate.NewSecret(text))
			says(t, err, rotate.ErrDenied)
			if len(text) > 2 {
				w.quiet(err, text)
			}
		}
	}
	for _, status := range []int{401, 403} {
		w.Faults.Plant("self", emulate.Fault{Status: status, Body: "<html>blocked</html>", Header: http.Header{"Content-Type": {"text/html"}}})
		_, err := w.provider().Identify(t.Context(), rotate.NewSecret(w.key))
		says(t, err, rotate.ErrTemporary, "not answered by Fastly")
		if errors.Is(err, rotate.ErrDenied) {
			t.Errorf("a proxy killed the secret: %v", err)
		}
	}
	if _, err := w.provider().Identify(t.Context(), rotate.NewSecret(w.key)); err != nil {
		t.Error(err)
	}
}

// Section 5: purging tokens may not be able to ask who they are.
func TestPurgersThatMayNotAsk(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.PurgersMute = true })
	p := w.provider()
	p.Scope = []string{"purge_all purge_select"}
	c, err := p.Mint(t.Context(), minted("x", 'a'))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Identify(t.Context(), c.Secret); err != nil || got.ID != c.ID {
		t.Errorf("%v, %v", got, err)
	}
	q := w.provider()
	q.Scope = p.Scope
	_, err = q.Identify(t.Context(), c.Secret) // another process cannot tell
	says(t, err, rotate.ErrUnproven, "marker")
	if err := p.Revoke(t.Context(), c.Token); err != nil {
		t.Fatal(err)
	}
	_, err = q.Identify(t.Context(), c.Secret)
	says(t, err, rotate.ErrDenied)
}

// Check finds all faults at once, sends no password, and changes nothing.
func TestCheckFindsAllFaults(t *testing.T) {
	w := newWorld(t)
	key := w.AddUser(emulated.User{Login: "weak@example.com", Password: "x", Role: "engineer", Locked: true})
	p := w.provider()
	p.Token, p.Customer = rotate.NewSecret(key), "anotherAccount"
	p.Services.Contains = []string{"nothing like it"}
	err := p.Check(t.Context())
	says(t, err, rotate.ErrDenied, "no superuser", "locked", "another account", "another user than username", "nothing like it")
	w.quiet(err, key)
	if s := w.Served(); s["sudo"]+s["mint"]+s["revoke"] != 0 {
		t.Errorf("%v", s)
	}
	says(t, err, rotate.ErrConfig)
	says(t, err, rotate.ErrNotFound)
}

func TestCheckOfWrongCredentials(t *testing.T) {
	w := newWorld(t)
	_, auto := w.AddToken(emulated.Row{Name: "auto", Automation: true, Scope: "global"})
	_, read := w.AddToken(emulated.Row{Name: "read", Scope: "global:read", Expires: time.Now().Add(24 * time.Hour)})
	_, limited := w.AddToken(emulated.Row{Name: "limited", Services: w.integration()})
	for name, x := range map[string]struct{ key, says string }{
		"automation": {auto, "can mint nothing"}, "read only": {read, "need global"}, "limited": {limited, "limited to services"}, "dead": {"deadbeefdeadbeef", "expired, revoked or mistyped"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.provider()
			p.Token = rotate.NewSecret(x.key)
			err := p.Check(t.Context())
			says(t, err, rotate.ErrDenied, x.says)
			w.quiet(err, x.key)
			if name == "read only" {
				has(t, p.Warnings(), "itself expires")
			}
		})
	}
}

// A context that ends is the end, and a redirect takes no credential along.
func TestWireGuards(t *testing.T) {
	w := newWorld(t)
	t.Run("environment", func(t *testing.T) {
		t.Setenv("FASTLY_DEBUG_MODE", "true")
		t.Setenv("FASTLY_USER_AGENT", "someone")
		t.Setenv("FASTLY_API_URL", "https://elsewhere.invalid")
		p := w.provider()
		if err := p.open(); err != nil || p.sdk.DebugMode || !strings.HasPrefix(p.sdk.Address, w.url) {
			t.Errorf("%v, debug %t, at %s", err, p.sdk.DebugMode, p.sdk.Address)
		}
		w.lines()
		if _, err := p.List(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := w.provider().List(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		for _, op := range []string{"list", "sudo", "mint", "revoke"} {
			w.Faults.Clear()
			w.Faults.Plant(op, emulate.Fault{Status: 307, Header: http.Header{"Location": {"https://evil.invalid/x?y=z"}}, Times: -1})
			p := w.provider()
			before := w.Served()[op]
			var err error
			switch op {
			case "list":
				_, err = p.List(t.Context())
			case "revoke":
				err = p.Revoke(t.Context(), rotate.Token{ID: "x1"})
			default:
				_, err = p.Mint(t.Context(), minted("x", 'a'))
			}
			says(t, err, rotate.ErrConfig, "redirect")
			if n := w.Served()[op] - before; n != 1 {
				t.Errorf("%s was sent %d times", op, n)
			}
		}
		w.Faults.Clear()
	})
	t.Run("context", func(t *testing.T) {
		w.Faults.Plant("list", emulate.Fault{Delay: 5 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := w.provider().List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		w.Faults.Clear()
	})
}

// What a create sends.
func TestCreationForm(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	seen, err := p.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p.creation(wish{"n", time.Unix(1893456000, 5).UTC(), seen}).body)
	if err != nil {
		t.Fatal(err)
	}
	ids, _ := json.Marshal(w.integration())
	if want := `{"name":"n","role":"user","scope":"global:read","expires_at":"2030-01-01T00:00:00Z","services":` + string(ids) + `,"limit_services":true,"tls_access":false}`; string(b) != want {
		t.Errorf("sends %s, want %s", b, want)
	}
	p.Services, p.seen = Services{All: true}, nil
	b, _ = json.Marshal(p.creation(wish{"n", time.Time{}, &sighting{}}).body)
	if want := `{"name":"n","role":"user","scope":"global:read","expires_at":null,"services":[],"limit_services":false,"tls_access":false}`; string(b) != want {
		t.Errorf("sends %s, want %s", b, want)
	}
}

// Rate limits are told with the time at which they end.
func TestRateLimit(t *testing.T) {
	w := newWorld(t)
	reset := time.Now().Truncate(time.Hour).Add(time.Hour)
	w.Faults.Plant("mint", emulated.Limited(reset, 1))
	_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrLimit, reset.UTC().Format(time.RFC3339))
}
