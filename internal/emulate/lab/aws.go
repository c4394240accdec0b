package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
)

// region is one region of one account.
type region struct{ name, account string }

// secretAt is a secret by its name.
type secretAt struct {
	where region
	name  string
}

// fitAWS makes a secret, and credentials that may write it.
func (l *Lab) fitAWS(s *awssecretsmanager.Secret) (*sink, error) {
	// arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-TAIL and arn:aws:iam::ACCOUNT:role/NAME
	var at region
	name, full := s.Secret, strings.Split(s.Secret, ":")
	if len(full) == 7 {
		at, name = region{full[3], full[4]}, full[6][:max(0, len(full[6])-7)]
	}
	roleAccount, role := "", ""
	if part := strings.SplitN(s.Role, ":", 6); len(part) == 6 {
		roleAccount, role = part[4], strings.TrimPrefix(part[5], "role/")
	}
	at.name = cmp.Or(at.name, s.Region)
	at.account = cmp.Or(at.account, s.Account, roleAccount, "111111111111")
	if roleAccount != "" && roleAccount != at.account {
		return nil, fmt.Errorf("%w: rehearse cannot emulate %s: its role is one of account %s, the secret is in account %s", rotate.ErrConfig, s, roleAccount, at.account)
	}
	a := l.aws[at]
	if a == nil {
		a = aws.New(at.name, at.account)
		l.aws[at] = a
	}
	if role != "" {
		a.AddRole(role, aws.Role{Audience: cmp.Or(s.Audience, "sts.amazonaws.com")})
	}
	if s.OIDCURL != "" {
		s.OIDCBearer = l.invent("aws-secrets-manager", "oidc-token")
	}
	s.Credentials = a.Credentials()
	s.Interval, s.Patience = interval, patience
	arn := l.keep(a, secretAt{at, name}, s.Key)
	if len(full) == 7 {
		s.Secret = arn // whoever made the secret chose the tail of its ARN; the emulation chose another one
	}
	out := &sink{
		look: func() string {
			if s.Key == "" {
				return a.Current(name)
			}
			return fields(a.Current(name))[s.Key]
		},
		hold: func(c rotate.Credential, byHand bool) error {
			to := twin(s)
			if byHand {
				c.Token, to.Previous = rotate.Token{}, "" // so that no version and no note speaks for it
			}
			return write(to, c)
		},
	}
	if s.Keeps() {
		out.beside = func() (former, note string) {
			all := fields(a.Current(name))
			return all[s.Previous], all[keeping.NoteKey(s.Previous)]
		}
	}
	out.remote = &remote{name, s.Key, func() string { return a.Current(name) }}
	s.Transport, out.refuse = l.refusing(a, func(r *http.Request, body []byte) bool {
		var in struct{ VersionStage string }
		return strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".UpdateSecretVersionStage") && json.Unmarshal(body, &in) == nil && in.VersionStage == "AWSCURRENT"
	}, refusal(http.StatusBadRequest, `{"__type":"AccessDeniedException","Message":"User is not authorized to perform: secretsmanager:UpdateSecretVersionStage"}`))
	return out, nil
}

// fields reads the JSON object in a secret, as far as its values are texts.
func fields(text string) map[string]string {
	out := map[string]string{}
	_ = json.Unmarshal([]byte(text), &out)
	return out
}

// keep makes the secret, or adds a key to it, and returns its ARN. A neighbour of the key is there too.
func (l *Lab) keep(a *aws.Server, at secretAt, key string) (arn string) {
	const nothing = "nothing yet"
	arn, there := l.secrets[at]
	now := map[string]string{"neighbour": "of another program"}
	if there {
		now = fields(a.Current(at.name))
	}
	now[key] = nothing
	b, _ := json.Marshal(now)
	text := string(b)
	if key == "" {
		text = nothing
	}
	if there {
		a.Overwrite(at.name, text)
		return arn
	}
	l.secrets[at] = a.AddSecret(at.name, text)
	return l.secrets[at]
}
