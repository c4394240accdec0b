package lab

import (
	"net/http"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	tailscaleio "github.com/remint-dev/remint/internal/emulate/tailscale"
	"github.com/remint-dev/remint/pkg/providers/tailscale"
	"github.com/remint-dev/remint/pkg/rotate"
)

// tailscaleMint is an emulated tailnet, as one provider of the configuration sees it.
type tailscaleMint struct {
	*tailscaleio.Server
	p  *tailscale.Provider
	at string // host and tailnet
}

// fitTailscale makes the tailnet of a provider, with the credentials that are given for it.
func (l *Lab) fitTailscale(p *tailscale.Provider) mint {
	m := &tailscaleMint{p: p, at: host(p.URL) + "/" + p.Tailnet}
	for _, r := range l.rotations {
		if other, ok := r.mint.(*tailscaleMint); ok && other.at == m.at {
			m.Server = other.Server
		}
	}
	if m.Server == nil {
		m.Server = tailscaleio.New()
		m.Tailnet = p.Tailnet
	}
	if !p.Token.IsZero() {
		m.AddAccess(p.Token.Reveal(), false)
	}
	if !p.ClientSecret.IsZero() {
		m.AddClient(p.ClientID, p.ClientSecret.Reveal(), p.Tags...)
	}
	p.Interval = interval
	p.Transport = l.wire(m.Server, nil) // with a key itself nothing is asked
	return m
}

func (m *tailscaleMint) past(name string, born time.Time) rotate.Credential {
	description, err := tailscale.Description(name)
	if err != nil { // made by hand under a name that the rotation adopts
		description = name
	}
	k, text := m.AddKey(tailscaleio.Key{Description: description, Reusable: !m.p.OneOff, Ephemeral: m.p.Ephemeral, Preauthorized: m.p.Preauthorized,
		Tags: m.p.Tags, ByClient: m.p.Token.IsZero(), Created: born, Expires: born.Add(m.p.Life())})
	return rotate.Credential{Token: tailscaleToken(k), Secret: rotate.NewSecret(text)}
}

func (m *tailscaleMint) whose(text string) (rotate.Token, bool, bool) {
	k, ok := m.Which(text)
	return tailscaleToken(k), ok && m.Live(text), ok
}

func (m *tailscaleMint) tokens() []rotate.Token {
	var live []rotate.Token
	for _, k := range m.Keys() {
		if k.Type == "auth" && k.Revoked.IsZero() && !k.Used && time.Now().Before(k.Expires) {
			live = append(live, tailscaleToken(k))
		}
	}
	return live
}

func (m *tailscaleMint) fail(step string) {
	no := tailscaleio.Refusal(http.StatusForbidden, "calling actor does not have enough permissions to perform this function", -1)
	switch step {
	case "mint":
		m.Faults.Plant("mint", no)
	case "mint-lost":
		m.Faults.Plant("mint", emulate.Fault{After: true, Times: -1})
	case "revoke":
		m.Faults.Plant("revoke", no)
	}
}

func tailscaleToken(k tailscaleio.Key) rotate.Token {
	return rotate.Token{ID: k.ID, Name: tailscale.Name(k.Description, k.Created), Created: k.Created, Expires: k.Expires}
}
