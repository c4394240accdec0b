package lab

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"

	hub "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// hubAt returns the GitHub whose API has this address.
func (l *Lab) hubAt(address string) *hub.Server {
	address = strings.TrimRight(cmp.Or(address, hubURL), "/")
	s := l.github[address]
	if s == nil {
		s = hub.New()
		s.URL = address
		s.OnRun = func(r *hub.Run) string {
			if l.deploy(run{s, r.Repository, r.Workflow, r.Secrets}) {
				return "success"
			}
			return "failure"
		}
		l.github[address] = s
	}
	return s
}

// fitGitHub makes the place of a secret, and a credential that may write there.
func (l *Lab) fitGitHub(s *github.Secret) *sink {
	h := l.hubAt(s.URL)
	at := hub.Place{Org: s.Org}
	owner := s.Org
	if s.Org == "" {
		at = hub.Place{Repository: s.Repository, Environment: s.Environment}
		owner, _, _ = strings.Cut(s.Repository, "/")
	}
	if s.App != nil {
		install(h, s.App, owner)
	} else {
		h.AddToken(hub.Token{Value: s.Token.Reveal()})
	}
	name := strings.ToUpper(s.Name)
	h.SetSecret(at, name, "nothing yet")
	out := &sink{
		look: func() string { text, _ := h.Secret(at, name); return text },
		carried: func(x run) (string, bool) {
			text, ok := x.secrets[name]
			return text, ok && x.forge == h && x.reads(s.Org, s.Repository)
		},
		hold: hold(&s.Current, func(text string) { h.SetSecret(at, name, text) }, func(c rotate.Credential) error { return write(twin(s), c) }),
	}
	s.Transport, out.refuse = l.refusing(h, puts(name), refusal(http.StatusForbidden,
		`{"message":"Resource not accessible by personal access token","documentation_url":"https://docs.github.com/rest","status":"403"}`))
	return out
}

// puts tells the request that writes a secret of Actions, at GitHub, Forgejo and Gitea.
func puts(name string) func(*http.Request, []byte) bool {
	return func(r *http.Request, _ []byte) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/secrets/"+name)
	}
}

// hold makes a secret of Actions hold a credential: as the workflow hands it in, if current says that it does, and else
// with what remint writes beside it.
func hold(current *rotate.Secret, set func(text string), write func(rotate.Credential) error) func(c rotate.Credential, byHand bool) error {
	return func(c rotate.Credential, byHand bool) error {
		set(c.Secret.Reveal())
		switch {
		case !current.IsZero():
			*current = c.Secret
			return nil
		case byHand:
			return nil
		}
		return write(c)
	}
}

// install makes the App of a configuration known, and installs it at the owner.
func install(h *hub.Server, a *github.App, owner string) {
	app := hub.App{ID: 1}
	if id, err := strconv.ParseInt(a.ID, 10, 64); err == nil {
		app.ID = id
	} else {
		app.ClientID = a.ID
	}
	if block, _ := pem.Decode([]byte(a.Key.Reveal())); block != nil {
		if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			app.Key = &k.PublicKey
		} else if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if k, ok := k.(*rsa.PrivateKey); ok {
				app.Key = &k.PublicKey
			}
		}
	}
	h.AddApp(app)
	h.AddInstallation(hub.Installation{ID: int64(a.Installation), App: app.ID, Account: owner, Rights: map[string]string{
		"secrets": "write", "actions_variables": "write", "environments": "write",
		"organization_secrets": "write", "organization_actions_variables": "write",
	}})
}
