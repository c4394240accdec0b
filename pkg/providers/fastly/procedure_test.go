package fastly

// The manual procedure for a Fastly token, and what a fault in each of its steps leads to. A test is named after the step
// that it is about; docs/fastly-exporter.md has the steps, and names every test that is called so.

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

// TestProcedure runs what is one test for a step. Tests with a table are further below, and their rows are named likewise.
func TestProcedure(t *testing.T) {
	for _, x := range []struct {
		name string
		test func(*testing.T)
	}{
		{"step 1: a wrong password is refused and not sent again", wrongPasswordIsSentOnce},
		{"step 1: a lost answer to the password is no refusal", lostSudoIsNoRefusal},
		{"step 1: Fastly asks for the password again and gets it once", sudoThatShowsLate},
		{"step 1: Fastly asks for the password for ever and gets it twice", sudoThatNeverShows},
		{"step 1: no other refusal of a create is repeated", otherRefusalsOfACreateAreFinal},
		{"step 1: forced single sign-on is refused, and hand-in named", forcedSSONamesHandIn},
		{"step 1: a missing password is refused before anything is minted", missingPasswordIsRefusedBeforehand},
		{"step 1: a missing one-time code is named", oneTimeCodes},
		{"step 2: every page of the list is read", listReadsAllPages},
		{"step 2: old and new of one name are told apart", sameNameIsToldApartByID},
		{"step 3: a token that is gone counts as revoked", revokeOfATokenThatIsGone},
		{"step 3: a refused revocation is repeated, then given back", refusedRevocationIsRepeatedThenGivenBack},
		{"step 3: a revocation counts once the list shows it", revocationIsConfirmed},
		{"step 3: the credential in use and the legacy token are never revoked", untouchableTokens},
		{"step 4: a wider token that cannot be revoked is reported", widerTokenThatCannotBeRevoked},
		{"step 4: with a hundred live tokens nothing is minted", limitReached},
		{"step 5: an empty or over-long name is refused", namesThatAreRefused},
		{"step 7: the limit to services holds however Fastly reads the request", servicesAloneOrLimited},
		{"step 7: an account without services is refused", emptyAccountIsRefused},
		{"step 7: a set that differs from the old token's is a warning", setIsComparedWithTheOldTokens},
		{"step 8: a year is a calendar year", calendarYears},
		{"step 8: an expiry that Fastly refuses is a wrong configuration", refusedExpiry},
		{"step 9: a create whose answer is lost is not repeated", lostCreateIsNotRepeated},
		{"hand-in: every difference from what was asked for is named", handedInIsInspected},
		{"hand-in: a user token is of the user who asks", handedInUserToken},
		{"hand-in: a person is told what to click", peopleAreInstructed},
		{"token rule: an expired token answers 401, a revoked one 401 or 403", deadSecrets},
		{"token rule: only a superuser's unlimited token mints", checkOfWrongCredentials},
		{"token rule: scopes are a set, however they are written", scopesAreASet},
		{"token rule: a token that may only purge is known without asking", purgersThatMayNotAsk},
		{"token rule: a token is never edited", nothingIsEdited},
		{"token rule: expired tokens and other users' are not among the hundred", othersDoNotCount},
		{"token rule: what is unused for long is a warning", unusedForLong},
		{"token rule: every service only if said", allServicesOnlyIfSaid},
		{"token rule: an error repeats no secret", echoedCredentialsAreBlotted},
		{"token rule: a list keeps no secret", listKeepsNoSecret},
	} {
		t.Run(x.name, x.test)
	}
}

// A wrong password is refused, and never sent again: Fastly locks users out.
func wrongPasswordIsSentOnce(t *testing.T) {
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

// Whether the password was right is not known, so it was not refused.
func lostSudoIsNoRefusal(t *testing.T) {
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

// The answer that asks for sudo leads to sudo and create once more, and no other answer does.
func sudoThatShowsLate(t *testing.T) {
	w := newWorld(t)
	w.Faults.Plant("mint", emulated.Refusal(403, sudoNeeded, 1))
	if _, err := w.provider().Mint(t.Context(), minted("x", 'a')); err != nil {
		t.Fatal(err)
	}
	if s := w.Served(); s["sudo"] != 2 || s["mint"] != 2 || len(w.live()) != 1 {
		t.Errorf("%v, alive %v", s, w.live())
	}
}

func sudoThatNeverShows(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.SudoDelay = time.Hour })
	_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrDenied, "POST /sudo", "hand-in")
	if s := w.Served(); s["sudo"] != 2 || s["mint"] != 2 {
		t.Errorf("%v", s)
	}
}

func otherRefusalsOfACreateAreFinal(t *testing.T) {
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

// An account that forces single sign-on or MFA.
func forcedSSONamesHandIn(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.ForcedSSO = true })
	_, err := w.provider().Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrDenied, "hand-in", "single sign-on")
	if n := w.Served()["mint"]; n != 1 {
		t.Errorf("%d creates", n)
	}
}

func missingPasswordIsRefusedBeforehand(t *testing.T) {
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

// One-time codes.
func oneTimeCodes(t *testing.T) {
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

// All pages are read, and a page that cannot be had fails the list.
func listReadsAllPages(t *testing.T) {
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

// Old and new bear one name, so only the ID counts.
func sameNameIsToldApartByID(t *testing.T) {
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

// A token that is gone is revoked; a refusal is asked again, then given back; the wrong ones are never touched.
func revokeOfATokenThatIsGone(t *testing.T) {
	w := newWorld(t)
	if err := w.provider().Revoke(t.Context(), rotate.Token{ID: emulated.NewID(), Name: "x"}); err != nil {
		t.Error(err)
	}
}

func refusedRevocationIsRepeatedThenGivenBack(t *testing.T) {
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

func revocationIsConfirmed(t *testing.T) {
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

func untouchableTokens(t *testing.T) {
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

// What was minted is other than asked for.
func TestOtherThanAskedForIsRevoked(t *testing.T) {
	for name, x := range map[string]struct {
		quirk func(*emulated.Quirks)
		says  string
	}{
		"step 7: a limit to services that is ignored": {func(q *emulated.Quirks) { q.IgnoreLimit = true }, "every service"},
		"step 7: a limit that is echoed, but ignored": {func(q *emulated.Quirks) { q.IgnoreLimit, q.Echo = true, true }, "every service"},
		"step 7: one service more":                    {func(q *emulated.Quirks) { q.ExtraServices = []string{"extraServiceId"} }, "extraServiceId"},
		"step 7: one service more, not said":          {func(q *emulated.Quirks) { q.ExtraServices, q.Echo = []string{"extraServiceId"}, true }, "extraServiceId"},
		"step 6: a scope more":                        {func(q *emulated.Quirks) { q.Scope = "global:read global" }, "scope"},
		"step 6: another scope":                       {func(q *emulated.Quirks) { q.Scope = "purge_all" }, "scope"},
		"step 4: another role":                        {func(q *emulated.Quirks) { q.Role = "engineer" }, "role"},
		"step 8: a longer life than configured":       {func(q *emulated.Quirks) { q.Life = 91 * 24 * time.Hour }, "expires"},
		"step 8: a shorter life than configured":      {func(q *emulated.Quirks) { q.Life = 89 * 24 * time.Hour }, "expires"},
		"step 4: TLS access":                          {func(q *emulated.Quirks) { q.TLS = true }, "TLS"},
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

// What cannot be revoked at once is told to the engine, and to a person.
func widerTokenThatCannotBeRevoked(t *testing.T) {
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

// Both ways in which Fastly may understand services.
func servicesAloneOrLimited(t *testing.T) {
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

func limitReached(t *testing.T) {
	w := newWorld(t)
	for range 99 {
		w.AddToken(emulated.Row{Name: "stray", Automation: true})
	}
	p := w.provider()
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(t, p.Warnings(), "99 live automation tokens")
	w.AddToken(emulated.Row{Name: "the last", Automation: true})
	says(t, w.provider().Check(t.Context()), rotate.ErrLimit, "100 live automation tokens", "revoke")
	_, err := p.Mint(t.Context(), minted("x", 'a'))
	says(t, err, rotate.ErrConfig, "number of live tokens")
}

func othersDoNotCount(t *testing.T) {
	w := newWorld(t)
	for range 99 {
		w.AddToken(emulated.Row{Name: "stray", Automation: true})
	}
	w.AddToken(emulated.Row{Name: "expired", Automation: true, Expires: time.Now().Add(-time.Hour)})
	if err := w.provider().Check(t.Context()); err != nil {
		t.Errorf("an expired token counts: %v", err)
	}
	w.AddUser(emulated.User{Login: "other@example.com", Password: "x"})
	w.AddToken(emulated.Row{Name: "another user's", User: "other@example.com", Automation: true})
	if err := w.provider().Check(t.Context()); err != nil {
		t.Errorf("another user's token counts: %v", err)
	}
	w.AddToken(emulated.Row{Name: "the hundredth", Automation: true})
	says(t, w.provider().Check(t.Context()), rotate.ErrLimit)
}

func namesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "  ", strings.Repeat("x", 256), "a\nb", "a\x00"} {
		_, err := w.provider().Mint(t.Context(), name)
		says(t, err, rotate.ErrConfig, "name")
	}
	if len(w.lines()) != 0 {
		t.Error("something was asked")
	}
}

// The set of services.
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
		"step 7: contains, in any case and place":          {Services{Contains: []string{"iNTEGRATION"}}, []string{"Integration GOV.UK", "Integration Assets", "GOV.UK App mobile backend - integration"}, ""},
		"step 7: an exact name":                            {Services{Name: []string{"Staging GOV.UK"}}, []string{"Staging GOV.UK"}, ""},
		"step 7: an ID and contains together":              {Services{ID: []string{w.ids["Staging GOV.UK"]}, Contains: []string{"production"}}, []string{"Staging GOV.UK", "Production GOV.UK"}, ""},
		"step 7: an unknown name is refused":               {Services{Name: []string{"staging gov.uk"}}, nil, `did you mean "Staging GOV.UK"?`},
		"step 7: part of a name is refused":                {Services{Name: []string{"Staging"}}, nil, `no service named "Staging"`},
		"step 7: an unknown ID is refused":                 {Services{ID: []string{"nope"}}, nil, "no service with the ID nope"},
		"step 7: an empty set is refused":                  {Services{Contains: []string{"integration", "sandbox"}}, nil, `contains "sandbox"`},
		"step 7: a name that two services bear is refused": {Services{Name: []string{"twice"}}, nil, "2 services are named"},
		"step 7: a deleted service is refused":             {Services{Name: []string{"gone"}}, nil, "no service named"},
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

func emptyAccountIsRefused(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	p.Services = Services{Contains: []string{"x"}}
	says(t, p.Check(t.Context()), rotate.ErrNotFound, `contains "x"`)
}

func allServicesOnlyIfSaid(t *testing.T) {
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

func setIsComparedWithTheOldTokens(t *testing.T) {
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

// The end of the life.
func calendarYears(t *testing.T) {
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

func refusedExpiry(t *testing.T) {
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

// The answer to the create is lost. It is not repeated; the engine looks for the name.
func lostCreateIsNotRepeated(t *testing.T) {
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

// An expired token answers 401, a revoked one 401 or 403, and a proxy nothing that counts.
func deadSecrets(t *testing.T) {
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

// Purging tokens may not be able to ask who they are.
func purgersThatMayNotAsk(t *testing.T) {
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

func scopesAreASet(t *testing.T) {
	w := newWorld(t)
	for _, written := range [][]string{{"purge_all", "global:read"}, {"global:read purge_all"}, {"global:read", "purge_all global:read"}} {
		w.Set(func(q *emulated.Quirks) { q.Scope = "purge_all global:read" }) // Fastly's own order
		p := w.provider()
		p.Scope = written
		c, err := p.Mint(t.Context(), minted("x", 'a'))
		if err != nil {
			t.Errorf("%q: %v", written, err)
			continue
		}
		if err := p.Revoke(t.Context(), c.Token); err != nil {
			t.Error(err)
		}
	}
}

// A rotation is a create and a deletion. What is sent besides only reads.
func nothingIsEdited(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := p.Mint(t.Context(), minted("x", 'a'))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Revoke(t.Context(), c.Token); err != nil {
		t.Fatal(err)
	}
	lines := w.lines()
	changes := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "GET ") })
	if want := []string{"POST /sudo", "POST /automation-tokens", "DELETE /tokens/" + c.ID}; !slices.Equal(changes, want) {
		t.Errorf("sent %q, want %q", changes, want)
	}
}

// Fastly deletes after two years what nobody uses, whatever its expiry.
func unusedForLong(t *testing.T) {
	day := 24 * time.Hour
	for _, x := range []struct {
		born, used int // days ago; 0: never used
		says       string
	}{{400, 181, "last used 181 days ago"}, {400, 0, "never used"}, {400, 170, ""}, {100, 0, ""}} {
		w := newWorld(t)
		r := emulated.Row{Name: "exporter", Automation: true, Services: w.integration(), Created: time.Now().Add(-time.Duration(x.born)*day - time.Minute)}
		if x.used > 0 {
			r.LastUsed = time.Now().Add(-time.Duration(x.used)*day - time.Minute)
		}
		w.AddToken(r)
		p := w.provider()
		if _, err := p.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Mint(t.Context(), minted("exporter", 'a')); err != nil {
			t.Fatal(err)
		}
		warned := strings.Join(p.Warnings(), "\n")
		if strings.Contains(warned, "two years") != (x.says != "") || !strings.Contains(warned, x.says) {
			t.Errorf("used %d days ago: warned of %q, want %q", x.used, warned, x.says)
		}
	}
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

func checkOfWrongCredentials(t *testing.T) {
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
