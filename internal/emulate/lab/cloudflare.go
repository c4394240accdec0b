package lab

import (
	"net/http"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	cloudflareio "github.com/remint-dev/remint/internal/emulate/cloudflare"
	"github.com/remint-dev/remint/pkg/providers/cloudflare"
	"github.com/remint-dev/remint/pkg/rotate"
)

// cloudflareMint is the emulated Cloudflare, as one provider of the configuration sees it.
type cloudflareMint struct {
	*cloudflareio.Server
	p          *cloudflare.Provider
	at         string // host
	credential string // ID of the minting credential
	policies   []cloudflareio.Policy
}

// fitCloudflare makes the permission groups that a provider names, and the token that it copies. Where the credential may
// mint no configuration says; it is everywhere.
func (l *Lab) fitCloudflare(p *cloudflare.Provider) mint {
	m := &cloudflareMint{p: p, at: host(p.URL)}
	for _, r := range l.rotations {
		if other, ok := r.mint.(*cloudflareMint); ok && other.at == m.at {
			m.Server = other.Server
		}
	}
	if m.Server == nil {
		m.Server = cloudflareio.New()
		m.AddGroups()
	}
	m.credential = m.AddCredential(p.Token.Reveal(), "").ID // a user, who may care for the tokens of accounts too
	l.seeded[m.credential] = true
	for _, x := range p.Policies {
		m.policies = append(m.policies, m.policy(x))
	}
	if p.Copy != "" {
		m.copy(l)
	}
	p.Interval = interval
	p.Transport = l.wire(m.Server, func(r *http.Request, _ []byte) http.HandlerFunc {
		l.mu.Lock()
		refused := l.unproven
		l.mu.Unlock()
		if !refused || !l.newborn(m, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			return nil
		}
		no := cloudflareio.Refusal(http.StatusUnauthorized, 1000, "Invalid API Token", 1)
		return refusal(no.Status, no.Body)
	})
	return m
}

// policy is a policy of the configuration as the service keeps it; its groups are made.
func (m *cloudflareMint) policy(x cloudflare.Policy) cloudflareio.Policy {
	y := cloudflareio.Policy{Effect: "allow", Resources: map[string]any{}}
	for _, r := range x.Resources {
		y.Resources[strings.SplitN(r, "/", 2)[0]] = "*"
	}
	for _, name := range x.Permissions {
		g := cloudflareio.Group{Name: name, Scopes: []string{cloudflareio.Zone}}
		for _, known := range m.Groups() {
			if known.Name == name || known.ID == name {
				g = known
			}
		}
		if len(name) == 32 && !strings.ContainsAny(name, " ") && g.ID == "" {
			g.ID = name
		}
		y.Groups = append(y.Groups, cloudflareio.PolicyGroup{ID: m.AddGroup(g), Name: g.Name})
	}
	return y
}

// copy finds or makes the token that is copied.
func (m *cloudflareMint) copy(l *Lab) {
	m.policies = []cloudflareio.Policy{{Effect: "allow", Groups: []cloudflareio.PolicyGroup{{ID: m.Groups()[0].ID, Name: m.Groups()[0].Name}}, Resources: map[string]any{cloudflareio.Zone + ".*": "*"}}}
	for _, t := range m.Tokens() {
		if t.Account == m.p.Account && (t.Name == m.p.Copy || t.ID == m.p.Copy) {
			return
		}
	}
	row := cloudflareio.Row{Name: m.p.Copy, Account: m.p.Account, Policies: m.policies, Created: l.began.Add(-1000 * 24 * time.Hour)}
	if len(m.p.Copy) == 32 && !strings.Contains(m.p.Copy, " ") {
		row.ID, row.Name = m.p.Copy, "what is copied"
	}
	made, _ := m.AddToken(row)
	l.seeded[made.ID] = true
}

func (m *cloudflareMint) past(name string, born time.Time) rotate.Credential {
	row := cloudflareio.Row{Name: name, Account: m.p.Account, Policies: m.policies, Created: born, LastUsed: time.Now().Add(-time.Hour)}
	if m.p.Expiry > 0 {
		row.Expires = born.Add(m.p.Expiry)
	}
	row, text := m.AddToken(row)
	return rotate.Credential{Token: cloudflareToken(row), Secret: rotate.NewSecret(text)}
}

func (m *cloudflareMint) whose(text string) (rotate.Token, bool, bool) {
	row, ok := m.Which(text)
	return cloudflareToken(row), ok && m.Live(text), ok
}

func (m *cloudflareMint) tokens() []rotate.Token {
	var live []rotate.Token
	for _, row := range m.Tokens() {
		copied := m.p.Copy != "" && (row.Name == m.p.Copy || row.ID == m.p.Copy)
		if row.Account == m.p.Account && !row.Manages && !copied && (row.Expires.IsZero() || time.Now().Before(row.Expires)) {
			live = append(live, cloudflareToken(row))
		}
	}
	return live
}

func (m *cloudflareMint) fail(step string) {
	no := cloudflareio.Refusal(http.StatusForbidden, 9109, "Unauthorized to access requested resource", -1)
	switch step {
	case "mint":
		m.Faults.Plant("mint", no)
	case "mint-lost":
		m.Faults.Plant("mint", emulate.Fault{After: true, Times: -1})
	case "revoke":
		m.Faults.Plant("revoke", no)
	}
}

func cloudflareToken(r cloudflareio.Row) rotate.Token {
	return rotate.Token{ID: r.ID, Name: r.Name, Created: r.Created, Expires: r.Expires, LastUsed: r.LastUsed}
}
