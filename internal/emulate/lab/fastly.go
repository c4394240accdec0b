package lab

import (
	"net/http"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	fastlyio "github.com/remint-dev/remint/internal/emulate/fastly"
	"github.com/remint-dev/remint/pkg/providers/fastly"
	"github.com/remint-dev/remint/pkg/rotate"
)

// fastlyMint is the emulated Fastly, as one provider of the configuration sees it.
type fastlyMint struct {
	*fastlyio.Server
	p          *fastly.Provider
	at         string   // host and customer
	credential string   // ID of the minting credential
	login      string   // of its user
	services   []string // IDs of those that are meant; nil: all
}

// fitFastly makes the user and the services that a provider names. Which services an account has no configuration
// says; there is one for each name and text, and one that nobody means.
func (l *Lab) fitFastly(p *fastly.Provider) mint {
	m := &fastlyMint{p: p, at: host(p.URL) + "/" + p.Customer}
	for _, r := range l.rotations {
		if other, ok := r.mint.(*fastlyMint); ok && other.at == m.at {
			m.Server = other.Server
		}
	}
	if m.Server == nil {
		m.Server = fastlyio.New()
		m.Customer = p.Customer
		m.AddService(fastlyio.Service{Name: "another service"})
	}
	if p.Password.IsZero() {
		p.Password = l.invent("fastly", "password")
	}
	if p.Username.IsZero() {
		p.Username = l.invent("fastly", "username")
	}
	m.login = p.Username.Reveal()
	m.credential = m.AddCredential(p.Token.Reveal(), fastlyio.User{Login: m.login, Password: p.Password.Reveal()}).ID
	l.seeded[m.credential] = true
	add := func(id, name string) {
		for _, s := range m.Services() {
			if s.Name == name {
				id = s.ID
			}
		}
		m.services = append(m.services, m.AddService(fastlyio.Service{ID: id, Name: name}))
	}
	for _, id := range p.Services.ID {
		add(id, "service "+id)
	}
	for _, name := range p.Services.Name {
		add("", name)
	}
	for _, text := range p.Services.Contains {
		add("", text+" www")
	}
	p.Interval = interval
	p.Transport = l.wire(m.Server, func(r *http.Request, _ []byte) http.HandlerFunc {
		l.mu.Lock()
		refused := l.unproven
		l.mu.Unlock()
		if !refused || !l.newborn(m, r.Header.Get("Fastly-Key")) {
			return nil
		}
		no := fastlyio.Refusal(http.StatusUnauthorized, "Provided credentials are missing or invalid", 1)
		return refusal(no.Status, no.Body)
	})
	return m
}

func (m *fastlyMint) past(name string, born time.Time) rotate.Credential {
	row := fastlyio.Row{Name: name, Automation: m.automation(), User: m.login, Role: m.p.Role, TLS: m.p.TLSAccess, Services: m.services, Created: born, LastUsed: time.Now().Add(-time.Hour)}
	for i, s := range m.p.Scope {
		if i > 0 {
			row.Scope += " "
		}
		row.Scope += s
	}
	if life := m.p.Life(); life > 0 {
		row.Expires = born.Add(life)
	}
	row, text := m.AddToken(row)
	return rotate.Credential{Token: fastlyToken(row), Secret: rotate.NewSecret(text)}
}

func (m *fastlyMint) automation() bool { return m.p.Type != "user" }

func (m *fastlyMint) whose(text string) (rotate.Token, bool, bool) {
	row, ok := m.Which(text)
	return fastlyToken(row), ok && m.Live(text), ok
}

func (m *fastlyMint) tokens() []rotate.Token {
	var live []rotate.Token
	for _, row := range m.Tokens() {
		if row.Automation == m.automation() && row.ID != m.credential && row.Revoked.IsZero() && (row.Expires.IsZero() || time.Now().Before(row.Expires)) {
			live = append(live, fastlyToken(row))
		}
	}
	return live
}

func (m *fastlyMint) fail(step string) {
	switch step {
	case "mint":
		m.Faults.Plant("mint", fastlyio.Refusal(http.StatusForbidden, "You are not authorized to perform this action", -1))
	case "mint-lost":
		m.Faults.Plant("mint", emulate.Fault{After: true, Times: -1})
	case "revoke":
		m.Faults.Plant("revoke", fastlyio.Refusal(http.StatusForbidden, "You are not authorized to perform this action", -1))
	}
}

func fastlyToken(r fastlyio.Row) rotate.Token {
	return rotate.Token{ID: r.ID, Name: r.Name, Created: r.Created, Expires: r.Expires, LastUsed: r.LastUsed}
}
