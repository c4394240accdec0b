package fastly

import (
	"strings"
	"testing"
	"time"

	emulated "github.com/remint-dev/remint/internal/emulate/fastly"
	"github.com/remint-dev/remint/pkg/rotate"
)

// What a person made is what was asked for, or every difference is named. No password is needed, and none is sent.
func handedInIsInspected(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	w := newWorld(t)
	good := emulated.Row{Name: "by hand", Automation: true, Role: "user", Scope: "global:read", Services: w.integration(),
		Created: now.Add(-time.Hour), Expires: now.Add(90 * 24 * time.Hour).Truncate(24 * time.Hour)}
	byPerson := func(p *Provider) *Provider {
		p.Username, p.Password = rotate.Secret{}, rotate.Secret{}
		return p
	}
	for name, x := range map[string]struct {
		change func(*emulated.Row)
		says   string // "": fine
	}{
		"as asked for":          {func(*emulated.Row) {}, ""},
		"a user token":          {func(r *emulated.Row) { r.Automation, r.Role = false, "" }, "not an automation token"},
		"another role":          {func(r *emulated.Row) { r.Role = "engineer" }, `role is "engineer"`},
		"a wider scope":         {func(r *emulated.Row) { r.Scope = "global" }, `scope is "global"`},
		"one scope more":        {func(r *emulated.Row) { r.Scope = "global:read purge_all" }, "purge_all"},
		"all services":          {func(r *emulated.Row) { r.Services = []string{} }, "every service of the account"},
		"services not said":     {func(r *emulated.Row) { r.Services = nil }, "names no service"},
		"a service less":        {func(r *emulated.Row) { r.Services = r.Services[:2] }, "sees the services"},
		"a service more":        {func(r *emulated.Row) { r.Services = append(w.integration(), w.ids["Production GOV.UK"]) }, "Production GOV.UK"},
		"never expires":         {func(r *emulated.Row) { r.Expires = time.Time{} }, "never expires"},
		"expires late":          {func(r *emulated.Row) { r.Expires = r.Expires.Add(10 * 24 * time.Hour) }, "expires"},
		"expires early":         {func(r *emulated.Row) { r.Expires = r.Expires.Add(-10 * 24 * time.Hour) }, "expires"},
		"manages certificates":  {func(r *emulated.Row) { r.TLS = true }, "TLS"},
		"everything at once, 1": {func(r *emulated.Row) { r.Scope, r.Role, r.Services = "global", "billing", nil }, `scope is "global"`},
		"everything at once, 2": {func(r *emulated.Row) { r.Scope, r.Role, r.Services = "global", "billing", nil }, `role is "billing"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			x.change(&r)
			_, text := w.AddToken(r)
			err := byPerson(w.provider()).Inspect(t.Context(), rotate.NewSecret(text))
			if x.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			says(t, err, rotate.ErrConflict, x.says)
			w.quiet(err, text)
			if !w.Live(text) {
				t.Error("a person's token was revoked")
			}
		})
	}
	says(t, byPerson(w.provider()).Inspect(t.Context(), rotate.NewSecret("none-of-fastlys")), rotate.ErrDenied)
	says(t, byPerson(w.provider()).Inspect(t.Context(), rotate.NewSecret(w.key)), rotate.ErrConflict, "credential in use")
	if s := w.Served(); s["sudo"]+s["mint"]+s["revoke"] != 0 {
		t.Errorf("%v", s)
	}
}

func handedInUserToken(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	w := newWorld(t)
	_, text := w.AddToken(emulated.Row{Name: "mine", Scope: "global:read", Services: w.integration(), Created: now, Expires: now.Add(90 * 24 * time.Hour)})
	if err := w.user().Inspect(t.Context(), rotate.NewSecret(text)); err != nil {
		t.Error(err)
	}
	w.AddUser(emulated.User{Login: "other@example.com", Password: "x"})
	_, text = w.AddToken(emulated.Row{Name: "another's", User: "other@example.com", Scope: "global:read", Services: w.integration(), Created: now, Expires: now.Add(90 * 24 * time.Hour)})
	says(t, w.user().Inspect(t.Context(), rotate.NewSecret(text)), rotate.ErrConflict, "does not list it")
}

func peopleAreInstructed(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	p.Customer = emulated.Customer
	p.Expiry = "1y"
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	steps := p.Instructions("exporter 20260101T000000Z-aaaaaaaabbbbba")
	has(t, steps, "superuser", emulated.Customer, "Create Token", "exporter 20260101T000000Z-aaaaaaaabbbbba", "Automation token, not User", "Role: User",
		"Read-only access (global:read)", "Integration Assets", time.Now().UTC().AddDate(1, 0, 0).Format(time.DateOnly), "TLS management: no access", "shown only once")
	all := strings.Join(steps, "\n")
	for _, s := range []string{w.key, password, login} {
		if strings.Contains(all, s) {
			t.Error("the instructions show a credential")
		}
	}
	q := w.user()
	q.Services, q.Expiry, q.Scope = Services{All: true}, "never", []string{"global", "purge_all"}
	has(t, q.Instructions("x"), "User token, not Automation", "All services", "Never expire", "Global API access (global) and Purge full cache (purge_all)")
}
