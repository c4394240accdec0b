package lab

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/remint-dev/remint/internal/emulate/connect"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/onepassword"
)

// fitOnePassword makes vault, item and field of a reference, with another field beside, and a token that may write them.
func (l *Lab) fitOnePassword(f *onepassword.Field) *sink {
	f.Interval = interval
	at := strings.TrimRight(f.Host, "/")
	c := l.connect[at]
	if c == nil {
		c = connect.New()
		l.connect[at] = c
	}
	c.AddToken(connect.Token{Value: f.Token.Reveal()})
	parts := strings.Split(strings.TrimPrefix(f.Reference, "op://"), "/") // three or four: it was validated
	vault, item, field := parts[0], parts[1], parts[len(parts)-1]
	var section connect.Section
	if len(parts) == 4 {
		section = connect.Section{ID: strings.ToLower(parts[2]), Label: parts[2]}
	}
	if c.VaultID(vault) == "" {
		c.AddVault(vault)
	}
	if c.ItemID(vault, item) == "" {
		c.AddItem(vault, connect.Item{Title: item, Fields: []connect.Field{{Label: "neighbour", Type: "CONCEALED", Value: "of another program"}}})
	}
	if _, ok := c.Value(vault, item, field); !ok {
		c.AddField(vault, item, section, connect.Field{Label: field, Type: "CONCEALED", Value: "nothing yet"})
	}
	look := func() string { text, _ := c.Value(vault, item, field); return text }
	var refuse func()
	f.Transport, refuse = l.refusing(c, func(r *http.Request, body []byte) bool { return r.Method == http.MethodPatch && string(body) != "[]" },
		refusal(http.StatusForbidden, `{"status":403,"message":"token may not write to the vault"}`))
	return &sink{
		look: look,
		hold: func(cred rotate.Credential, byHand bool) error {
			if byHand {
				c.SetValue(vault, item, field, cred.Secret.Reveal())
				return nil
			}
			return write(twin(f), cred)
		},
		remote: &remote{item, field, func() string {
			all := map[string]string{}
			for _, x := range c.Fields(vault, item) {
				all[x.Label] = x.Value
			}
			b, _ := json.Marshal(all)
			return string(b)
		}},
		refuse: refuse,
	}
}
