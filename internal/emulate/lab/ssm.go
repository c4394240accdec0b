package lab

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/ssm"
)

// fitSSM makes a parameter, and credentials that may write it.
func (l *Lab) fitSSM(p *ssm.Parameter) *sink {
	if full := strings.SplitN(p.Name, ":", 6); len(full) == 6 { // arn:aws:ssm:REGION:ACCOUNT:parameter/PATH
		p.Region, p.Account, p.Name = full[3], full[4], strings.TrimPrefix(full[5], "parameter")
	}
	a := l.account(&p.Access)
	a.AddParameter(p.Name, "nothing yet", aws.Parameter{Description: "made for the rehearsal"})
	var refuse func()
	p.Transport, refuse = l.refusing(a, func(r *http.Request, body []byte) bool {
		var in struct{ Overwrite bool }
		return r.Header.Get("X-Amz-Target") == "AmazonSSM.PutParameter" && json.Unmarshal(body, &in) == nil && in.Overwrite
	}, refusal(http.StatusBadRequest, `{"__type":"AccessDeniedException","Message":"User is not authorized to perform: ssm:PutParameter"}`))
	name := p.Name
	return &sink{
		look: func() string { return a.Parameter(name) },
		hold: func(c rotate.Credential, byHand bool) error {
			if byHand {
				c.Token = rotate.Token{} // so that no label speaks for it
			}
			return write(twin(p), c)
		},
		remote: &remote{name, "", func() string { return a.Parameter(name) }},
		refuse: refuse,
	}
}
