package cloudflare

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/cloudflare"
	"github.com/remint-dev/remint/pkg/rotate"
)

// A newborn has exactly what the configuration says.
func TestMintAsAsked(t *testing.T) {
	w := newWorld(t)
	c, err := w.provider().Mint(t.Context(), minted("x", 0))
	if err != nil {
		t.Fatal(err)
	}
	row, _ := w.Which(c.Secret.Reveal())
	if got := fmt.Sprint(row.Policies[0].Groups[0].ID, row.Policies[0].Groups[1].ID, row.Policies[0].Effect, row.Policies[0].Resources, row.Condition); got !=
		"4755a26eedb94da69e1066d98aa820bec8fed203ed3043cba015a93ad1616f1fallowmap["+zone+":*] map[request_ip:map[in:[192.0.2.1/32]]]" {
		t.Error(got)
	}
	if d := row.Expires.Sub(row.Created) - 90*rotate.Tick; d.Abs() > time.Second {
		t.Errorf("lives %s", row.Expires.Sub(row.Created))
	}
	c, err = w.owned().Mint(t.Context(), minted("x", 1))
	if err != nil {
		t.Fatal(err)
	}
	row, _ = w.Which(c.Secret.Reveal())
	if got := fmt.Sprint(row.Account, row.Policies[0].Resources); got != account+"map[com.cloudflare.api.account."+account+":map[com.cloudflare.api.account.zone.*:*]]" {
		t.Error(got)
	}
}

// A newborn that is other than asked for does not live.
func TestMintOtherThanAsked(t *testing.T) {
	for name, x := range map[string]struct {
		quirk func(*emulated.Quirks)
		says  string
	}{
		"more":   {func(q *emulated.Quirks) { q.Extra = []string{"82e64a83756745bbbb1c9c2701bf816b"} }, "other policies"},
		"open":   {func(q *emulated.Quirks) { q.Open = true }, "other conditions"},
		"longer": {func(q *emulated.Quirks) { q.Life = 365 * rotate.Tick }, "it expires"},
		"name":   {func(q *emulated.Quirks) { q.Name = "x" }, "another name"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Set(x.quirk)
			_, err := w.provider().Mint(t.Context(), minted("x", 0))
			says(t, err, rotate.ErrConflict, x.says, "it was deleted")
			if n := len(w.Tokens()); n != 1 {
				t.Errorf("%d tokens live, the credential among them", n)
			}
		})
	}
}

// A copy takes after the token that copy names, and once that is gone, after the rotation's youngest.
func TestCopy(t *testing.T) {
	w := newWorld(t)
	condition := map[string]any{"request_ip": map[string]any{"in": []any{"198.51.100.0/24"}}, "later": map[string]any{"x": "y"}}
	meta := []emulated.Policy{{ID: "p", Effect: "allow", Resources: map[string]any{zone: "*"}, Groups: []emulated.PolicyGroup{{ID: "82e64a83756745bbbb1c9c2701bf816b", Name: "DNS Read", Meta: map[string]any{"key": "value"}}}}}
	template, _ := w.byHand(emulated.Row{Name: "template", Condition: condition, Policies: meta})
	p := w.copying("template")
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := p.Mint(t.Context(), minted("x", 0))
	if err != nil {
		t.Fatal(err)
	}
	row, _ := w.Which(first.Secret.Reveal())
	if fmt.Sprint(row.Condition) != fmt.Sprint(condition) || row.Policies[0].Groups[0].ID != meta[0].Groups[0].ID || fmt.Sprint(row.Policies[0].Groups[0].Meta) != "map[key:value]" {
		t.Errorf("%+v", row)
	}
	if err := w.copying(template.ID).Revoke(t.Context(), rotate.Token{ID: template.ID}); err != nil {
		t.Fatal(err)
	}
	if err := w.copying("template").Check(t.Context()); err != nil {
		t.Error(err)
	}
	second, err := w.copying("template").Mint(t.Context(), minted("x", 1))
	if err != nil {
		t.Fatal(err)
	}
	row, _ = w.Which(second.Secret.Reveal())
	if fmt.Sprint(row.Condition) != fmt.Sprint(condition) {
		t.Errorf("%+v", row)
	}
	_, err = w.copying("template").Mint(t.Context(), minted("y", 2))
	says(t, err, rotate.ErrNotFound, "template")
	other := strings.Replace(minted("x", 2), "aaaaaaaa", "cccccccc", 1) // another rotation of the same name
	_, err = w.copying("template").Mint(t.Context(), other)
	says(t, err, rotate.ErrNotFound)
}

func TestCopyRefused(t *testing.T) {
	w := newWorld(t)
	_, err := w.copying("minting credential").Mint(t.Context(), minted("x", 0))
	says(t, err, rotate.ErrConfig, "the credential in use")
	w.byHand(emulated.Row{Name: "twice"})
	w.byHand(emulated.Row{Name: "twice"})
	says(t, w.copying("twice").Check(t.Context()), rotate.ErrConfig, "2 tokens")
	w.byHand(emulated.Row{Name: "off", Disabled: true})
	says(t, w.copying("off").Check(t.Context()), rotate.ErrNotFound)
	if n := count(w.Operations(), "mint"); n > 0 {
		t.Errorf("%d creates were sent", n)
	}
}

func count(all []string, one string) (n int) {
	for _, x := range all {
		if x == one {
			n++
		}
	}
	return n
}

// Of two groups of one name that is meant which is for the resources.
func TestPermissionNames(t *testing.T) {
	w := newWorld(t)
	for _, x := range []struct {
		permission, resource, id string
	}{
		{"Access: Apps and Policies Read", zone, "eb258a38ea634c86a0c89da6b27cb6b6"},
		{"Access: Apps and Policies Read", "com.cloudflare.api.account." + account, "7ea222f6d5064cfa89ea366d7c1fee89"},
		{"Access: Apps and Policies Read", "com.cloudflare.api.account." + account + "/com.cloudflare.api.account.zone.*", "eb258a38ea634c86a0c89da6b27cb6b6"},
		{"dns write", zone, ""},
		{"Access: Apps and Policies Read", "com.cloudflare.api.user.x", ""},
	} {
		p := w.provider()
		p.Policies = []Policy{{Permissions: []string{x.permission}, Resources: []string{x.resource}}}
		r, err := p.rights(t.Context(), "")
		switch {
		case x.id == "":
			says(t, err, rotate.ErrConfig, x.permission)
		case err != nil || r.policies[0].Groups[0].ID != x.id:
			t.Errorf("%+v: %+v, %v", x, r, err)
		}
	}
}

// A lost answer to a create is not made up for by another one.
func TestMintIsSentOnce(t *testing.T) {
	for _, fault := range []emulate.Fault{{After: true}, {Status: 502}, {Status: 429, Header: map[string][]string{"Retry-After": {"1"}}}} {
		w := newWorld(t)
		w.Faults.Plant("mint", fault)
		if _, err := w.provider().Mint(t.Context(), minted("x", 0)); err == nil {
			t.Error("no error")
		}
		if n := count(w.Operations(), "mint"); n != 1 {
			t.Errorf("%d creates were sent", n)
		}
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	for i := range 123 {
		w.byHand(emulated.Row{Name: fmt.Sprint("t", i)})
	}
	w.byHand(emulated.Row{Name: "off", Disabled: true})
	w.byHand(emulated.Row{Name: "over", Expires: time.Now().Add(-time.Hour)})
	w.byHand(emulated.Row{Name: "owned", Account: account})
	for _, page := range []int{50, 7} {
		w.Set(func(q *emulated.Quirks) { q.Page = page })
		p := w.provider()
		listed, err := p.List(t.Context())
		if err != nil || len(listed) != 124 { // the credential, of which nothing is known yet
			t.Errorf("%d tokens, %v", len(listed), err)
		}
		if err := p.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if listed, err = p.List(t.Context()); err != nil || len(listed) != 123 || slices.ContainsFunc(listed, func(t rotate.Token) bool { return t.Name == "minting credential" }) {
			t.Errorf("%d tokens, %v", len(listed), err)
		}
	}
}

func TestIdentify(t *testing.T) {
	w := newWorld(t)
	p := w.owned()
	row, live := w.byHand(emulated.Row{Name: "live", Account: account, Expires: time.Now().Add(time.Hour)})
	_, off := w.byHand(emulated.Row{Name: "off", Account: account, Disabled: true})
	_, over := w.byHand(emulated.Row{Name: "over", Account: account, Expires: time.Now().Add(-time.Hour)})
	_, other := w.byHand(emulated.Row{Name: "of the user"})
	got, err := p.Identify(t.Context(), rotate.NewSecret(live))
	if err != nil || got.ID != row.ID || got.Expires.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{off, over, strings.Repeat("x", 40), "short", "with space " + live, "\r\n" + live} {
		_, err := p.Identify(t.Context(), rotate.NewSecret(text))
		says(t, err, rotate.ErrDenied)
	}
	_, err = p.Identify(t.Context(), rotate.NewSecret(other))
	says(t, err, rotate.ErrConflict, "token of a user")
	// Nothing but Cloudflare says that a secret is dead.
	for _, status := range []int{401, 403} {
		w.Faults.Plant("verify", emulate.Fault{Status: status, Body: "<html>sign in</html>"})
		_, err = p.Identify(t.Context(), rotate.NewSecret(live))
		says(t, err, rotate.ErrTemporary)
		if errors.Is(err, rotate.ErrDenied) {
			t.Errorf("%v", err)
		}
	}
}

// A token that may not be used from here is not taken for dead; of one that was just minted the ID is known.
func TestIdentifyFromElsewhere(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	c, err := p.Mint(t.Context(), minted("x", 0))
	if err != nil {
		t.Fatal(err)
	}
	w.Set(func(q *emulated.Quirks) { q.Away = true })
	if got, err := p.Identify(t.Context(), c.Secret); err != nil || got.ID != c.ID {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.provider().Identify(t.Context(), c.Secret)
	says(t, err, rotate.ErrUnproven, "from this machine's address")
	if err := p.Revoke(t.Context(), c.Token); err != nil {
		t.Fatal(err)
	}
	_, err = p.Identify(t.Context(), c.Secret)
	says(t, err, rotate.ErrDenied)
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	own, _ := w.Which(key)
	says(t, w.provider().Revoke(t.Context(), rotate.Token{ID: own.ID}), rotate.ErrConflict, "the credential in use")
	says(t, w.provider().Revoke(t.Context(), rotate.Token{ID: "verify"}), rotate.ErrConfig)
	if !w.Live(key) {
		t.Fatal("the credential is gone")
	}
	for name, x := range map[string]struct {
		fault emulate.Fault
		kind  error
	}{
		"answer lost":  {emulate.Fault{After: true}, nil},
		"gone already": {emulated.Refusal(400, 1001, "no such token", 1), rotate.ErrConfig}, // it is still listed
		"proxy":        {emulate.Fault{Status: 502, Times: -1}, rotate.ErrTemporary},
		"forbidden":    {emulated.Refusal(403, 9109, "Unauthorized to access requested resource", 1), rotate.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			row, text := w.byHand(emulated.Row{Name: "old"})
			w.Faults.Plant("revoke", x.fault)
			err := w.provider().Revoke(t.Context(), rotate.Token{ID: row.ID, Name: "old"})
			if x.kind != nil {
				says(t, err, x.kind)
			} else if err != nil || w.Live(text) {
				t.Errorf("%v", err)
			}
		})
	}
	row, _ := w.byHand(emulated.Row{Name: "late"})
	w.Set(func(q *emulated.Quirks) { q.UnseenRevocations = 3 })
	if err := w.provider().Revoke(t.Context(), rotate.Token{ID: row.ID}); err != nil {
		t.Error(err)
	}
	row, _ = w.byHand(emulated.Row{Name: "never"})
	w.Set(func(q *emulated.Quirks) { q.UnseenRevocations = 1 << 30 })
	says(t, w.provider().Revoke(t.Context(), rotate.Token{ID: row.ID}), rotate.ErrUnproven)
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	p.Token = rotate.NewSecret(strings.Repeat("dead", 10))
	says(t, p.Check(t.Context()), rotate.ErrDenied, "CLOUDFLARE_API_TOKEN", "API Tokens Write")
	_, weak := w.byHand(emulated.Row{Name: "weak"})
	p = w.provider()
	p.Token = rotate.NewSecret(weak)
	says(t, p.Check(t.Context()), rotate.ErrDenied, "API Tokens Write of the user")
	_, ending := w.byHand(emulated.Row{Name: "ending", Manages: true, Expires: time.Now().Add(rotate.Tick)})
	p = w.provider()
	p.Token = rotate.NewSecret(ending)
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(p.Warnings(), "\n"); !strings.Contains(all, "itself expires") || !strings.Contains(all, "DNS Write") {
		t.Error(all)
	}
	p = w.provider()
	p.Policies[0].Permissions = []string{"Nothing Of The Kind", "DNS write", "Zone Read"}
	says(t, p.Check(t.Context()), rotate.ErrConfig, "Nothing Of The Kind", `did you mean "DNS Write"`)
	// A user's credential may care for an account's tokens.
	if err := w.owned().Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t)
	right := emulated.Row{Name: "by hand", Expires: time.Now().Add(90*rotate.Tick + 5*time.Hour), Condition: map[string]any{"request_ip": map[string]any{"in": []any{"192.0.2.1"}, "not_in": []any{}}}}
	_, text := w.byHand(right)
	if err := w.provider().Inspect(t.Context(), rotate.NewSecret(text)); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*emulated.Row){
		"never":      func(r *emulated.Row) { r.Expires = time.Time{} },
		"it lives":   func(r *emulated.Row) { r.Expires = time.Now().Add(30 * rotate.Tick) },
		"conditions": func(r *emulated.Row) { r.Condition = nil },
		"policies": func(r *emulated.Row) {
			r.Policies = []emulated.Policy{{Effect: "deny", Resources: map[string]any{zone: "*"}}}
		},
	} {
		row := right
		change(&row)
		_, text := w.byHand(row)
		says(t, w.provider().Inspect(t.Context(), rotate.NewSecret(text)), rotate.ErrConflict, name)
	}
	says(t, w.provider().Inspect(t.Context(), rotate.NewSecret(key)), rotate.ErrConflict, "itself")
	p := w.copying("template")
	w.byHand(emulated.Row{Name: "template", Condition: right.Condition})
	if err := p.Inspect(t.Context(), rotate.NewSecret(text)); err != nil {
		t.Error(err)
	}
	for _, p := range []*Provider{p, w.provider(), w.owned()} {
		if all := strings.Join(p.Instructions("x 1"), "\n"); !strings.Contains(all, "x 1") || strings.Contains(all, key) {
			t.Error(all)
		}
	}
}

func TestValidate(t *testing.T) {
	w := newWorld(t)
	for says, change := range map[string]func(*Provider){
		"account-id:":  func(p *Provider) { p.Account = "../user" },
		"policies:":    func(p *Provider) { p.Policies = nil },
		"copy:":        func(p *Provider) { p.Copy = "x" },
		"policies[0]:": func(p *Provider) { p.Policies[0].Resources = []string{"com.cloudflare.a/b/c"} },
		"no resource":  func(p *Provider) { p.Policies[0].Resources = nil },
		"no right":     func(p *Provider) { p.Policies[0].Permissions = nil },
		"effect":       func(p *Provider) { p.Policies[0].Effect = "maybe" },
		"ips:":         func(p *Provider) { p.IPs = []string{"192.0.2.1/33"} },
		"not-ips:":     func(p *Provider) { p.NotIPs = []string{"here"} },
		"expiry:":      func(p *Provider) { p.Expiry = time.Minute },
		"token:":       func(p *Provider) { p.Token = rotate.Secret{} },
		"form":         func(p *Provider) { p.Token = rotate.NewSecret("two words") },
		"url:":         func(p *Provider) { p.URL = "http://example.com" },
	} {
		p := w.provider()
		change(p)
		err := p.Validate()
		if !errors.Is(err, rotate.ErrConfig) || strings.HasSuffix(says, ":") && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if _, err := p.List(t.Context()); !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if err := w.provider().Validate(); err != nil {
		t.Error(err)
	}
	_, err := w.provider().Mint(t.Context(), strings.Repeat("long ", 25))
	says(t, err, rotate.ErrConfig, "shorten")
}

// TestRequests counts what each operation asks, in the order in which a rotation needs them.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	var c rotate.Credential
	sent := 0
	for _, x := range []struct {
		what string
		do   func() error
		most int
	}{
		{"list", func() error { _, err := p.List(t.Context()); return err }, 1},
		{"check", func() error { return p.Check(t.Context()) }, 2},
		{"mint", func() (err error) { c, err = p.Mint(t.Context(), minted("x", 0)); return err }, 1},
		{"identify", func() error { _, err := p.Identify(t.Context(), c.Secret); return err }, 1},
		{"revoke", func() error { return p.Revoke(t.Context(), c.Token) }, 2},
	} {
		if err := x.do(); err != nil {
			t.Fatalf("%s: %v", x.what, err)
		}
		all := w.Operations()
		t.Logf("%s: %v", x.what, all[sent:])
		if n := len(all) - sent; n > x.most {
			t.Errorf("%s: %d requests, at most %d", x.what, n, x.most)
		}
		sent = len(all)
	}
}
