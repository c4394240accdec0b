package lab

import (
	"net/http"
	"strings"

	forge "github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/forgejo"
)

// person owns everything at a Forgejo or Gitea server: whose the user's own secrets are cannot be known, so they
// are those of the owner of the repository that remint runs in.
func (l *Lab) person() string {
	owner, _, _ := strings.Cut(l.env("GITHUB_REPOSITORY"), "/")
	return owner
}

// forgeAt returns the Forgejo or Gitea server with this address, with or without the path of its API.
func (l *Lab) forgeAt(address string) *forge.Server {
	address = strings.TrimSuffix(strings.TrimRight(address, "/"), "/api/v1")
	s := l.forgejo[address]
	if s == nil {
		kind := forge.Forgejo
		if strings.Contains(host(address), "gitea") || l.getenv("GITEA_ACTIONS") == "true" && l.getenv("FORGEJO_ACTIONS") != "true" {
			kind = forge.Gitea
		}
		s = forge.New(kind)
		s.OnRun = func(r forge.Run) bool { return l.deploy(run{s, r.Repository, r.Workflow, r.Secrets}) }
		s.AddAdmin(l.person())
		l.forgejo[address] = s
	}
	return s
}

// fitForgejo makes the place of a secret, and a credential that may write there.
func (l *Lab) fitForgejo(s *forgejo.Secret) *sink {
	f := l.forgeAt(s.URL)
	f.AddToken(l.person(), s.Token.Reveal(), "all")
	at := s.Repository
	switch {
	case s.Org != "":
		at = s.Org
		f.AddOrg(at, l.person())
	case s.User:
		at = l.person()
	}
	name := strings.ToUpper(s.Name)
	f.SetSecret(at, name, "nothing yet", "")
	out := &sink{
		look: func() string { text, _, _ := f.Secret(at, name); return text },
		carried: func(x run) (string, bool) {
			owner, repository, _ := strings.Cut(at, "/")
			if repository != "" {
				owner = ""
			}
			text, ok := x.secrets[name]
			return text, ok && x.forge == f && x.reads(owner, at)
		},
		hold: hold(&s.Current, func(text string) { f.SetSecret(at, name, text, "") }, func(c rotate.Credential) error { return write(twin(s), c) }),
	}
	s.Transport, out.refuse = l.refusing(f, puts(name), refusal(http.StatusForbidden, `{"message":"user should be the owner of the repo","url":""}`))
	return out
}
