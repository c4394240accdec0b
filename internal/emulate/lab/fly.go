package lab

import (
	"net/http"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	flyio "github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/rotate"
)

// flyMint is the emulated Fly.io, as one provider of the configuration sees it.
type flyMint struct {
	*flyio.Server
	p *fly.Provider
}

// fitFly finds the app or organisation of a provider. Which organisation an app belongs to no configuration
// says; it is one of its own, so that no rotation of an organisation sees its tokens.
func (l *Lab) fitFly(p *fly.Provider) mint {
	at := host(p.URL)
	s := l.fly[at]
	if s == nil {
		s = flyio.New()
		l.fly[at] = s
	}
	if p.App != "" {
		s.AddOrg("rehearsal", p.App)
	} else {
		s.AddOrg(p.Org)
	}
	s.AddCredential(p.Token.Reveal(), "you@example.com")
	m := &flyMint{s, p}
	p.Interval = interval
	p.Transport = l.wire(s, func(r *http.Request, _ []byte) http.HandlerFunc {
		l.mu.Lock()
		refused := l.unproven
		l.mu.Unlock()
		if !refused || !l.newborn(m, r.Header.Get("Authorization")) {
			return nil
		}
		no := flyio.Refusal("UNAUTHORIZED", "You must be authenticated to view this.", 1)
		return refusal(no.Status, no.Body)
	})
	return m
}

func (m *flyMint) past(name string, born time.Time) rotate.Credential {
	row, text := m.AddToken(flyio.Row{Name: name, App: m.p.App, Org: m.p.Org, Created: born, Expires: born.Add(m.p.Expiry)})
	return rotate.Credential{Token: token(row), Secret: rotate.NewSecret(text)}
}

func (m *flyMint) whose(text string) (rotate.Token, bool, bool) {
	row, ok := m.Which(text)
	return token(row), ok && m.Live(text), ok
}

func (m *flyMint) tokens() []rotate.Token {
	var live []rotate.Token
	for _, row := range m.Tokens() {
		if row.Revoked.IsZero() && time.Now().Before(row.Expires) {
			live = append(live, token(row))
		}
	}
	return live
}

func (m *flyMint) fail(step string) {
	switch step {
	case "mint":
		m.Faults.Plant("mint", flyio.Refusal("", "Not authorized to access this createlimitedaccesstoken", -1))
	case "mint-lost":
		m.Faults.Plant("mint", emulate.Fault{After: true, Times: -1})
	case "revoke":
		m.Faults.Plant("revoke", flyio.Refusal("", "Not authorized to access this deletelimitedaccesstoken", -1))
	}
}

func token(r flyio.Row) rotate.Token {
	return rotate.Token{ID: r.ID, Name: r.Name, Created: r.Created, Expires: r.Expires}
}
