package lab

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"

	hashicorp "github.com/remint-dev/remint/internal/emulate/vault"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/vault"
)

// vaultAt is a namespace of a Vault.
type vaultAt struct{ address, namespace string }

// The login of a job: who gives it the token that the auth method takes, and that token.
const (
	oidcURL  = "https://oidc.invalid/token?v=1"
	jobToken = "made-up-token-of-the-job"
)

// fitVault makes the secret, with another key beside, and a token that may do everything: it may be that of other sinks too.
func (l *Lab) fitVault(s *vault.Secret) *sink {
	s.Interval = interval
	namespace := strings.Trim(s.Namespace, "/")
	at := vaultAt{strings.TrimRight(s.Address, "/"), namespace}
	v := l.vaults[at]
	if v == nil {
		v = hashicorp.New()
		l.vaults[at] = v
	}
	mount := strings.Trim(cmp.Or(s.Mount, "secret"), "/")
	v.AddMount(mount, 2)
	if s.Auth != nil {
		j := s.Auth.JWT
		j.OIDCURL, j.OIDCBearer = oidcURL, rotate.NewSecret("made-up-bearer-of-the-job")
		v.AddRole(hashicorp.Role{Path: strings.Trim(strings.TrimPrefix(strings.Trim(cmp.Or(j.Path, "jwt"), "/"), "auth/"), "/"), Name: j.Role, JWT: jobToken, Namespace: namespace})
	} else {
		v.AddToken(hashicorp.Token{Value: s.Token.Reveal(), Namespace: namespace})
	}
	if v.Data(mount, s.Path) == nil {
		v.Put(mount, s.Path, map[string]any{"neighbour": "of another program"})
	}
	v.Set(mount, s.Path, s.Key, "nothing yet")
	var refused atomic.Bool
	s.Transport = l.wire(v, func(r *http.Request, _ []byte) http.HandlerFunc {
		switch {
		case r.URL.Host == host(oidcURL):
			return refusal(http.StatusOK, `{"value":"`+jobToken+`"}`)
		case refused.Load() && r.Method == http.MethodPost && r.URL.Path == "/v1/"+mount+"/data/"+s.Path:
			return refusal(http.StatusForbidden, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`)
		}
		return nil
	})
	path, key := s.Path, s.Key
	out := &sink{
		look: func() string { return v.Text(mount, path, key) },
		hold: func(c rotate.Credential, byHand bool) error {
			if byHand {
				v.Set(mount, path, key, c.Secret.Reveal())
				return nil
			}
			return write(twin(s), c)
		},
		remote: &remote{path, key, func() string {
			b, _ := json.Marshal(v.Data(mount, path))
			return string(b)
		}},
		refuse: func() { refused.Store(true) },
	}
	if s.Keeps() {
		out.beside = func() (former, note string) {
			return v.Text(mount, path, s.Previous), v.Text(mount, path, keeping.NoteKey(s.Previous))
		}
	}
	return out
}
