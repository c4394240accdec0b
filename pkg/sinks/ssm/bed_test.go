package ssm

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	region  = "eu-west-1"
	account = "111111111111"
	name    = "/govuk/fastly/api-token"
	ssmHost = "ssm.eu-west-1.amazonaws.com"
	stsHost = "sts.eu-west-1.amazonaws.com"
)

// bed is an emulated region and the wire to it.
type bed struct {
	*aws.Server
	wire *emulate.Wire
}

// newBed has the parameter, as a person made it.
func newBed(about ...aws.Parameter) *bed {
	b := &bed{Server: aws.New(region, account)}
	b.wire = &emulate.Wire{Route: func(host string) http.Handler {
		if host == ssmHost || host == stsHost {
			return b.Server
		}
		return nil
	}}
	b.AddParameter(name, "old", append(about, aws.Parameter{})[0])
	return b
}

// sink returns the sink as a fresh process has it.
func (b *bed) sink(change ...func(*Parameter)) *Parameter {
	p := &Parameter{Name: name, Access: awsaccess.Access{Region: region, Transport: b.wire, Credentials: b.Credentials(), Interval: time.Second}}
	for _, c := range change {
		c(p)
	}
	return p
}

func credential(id string) rotate.Credential {
	return rotate.Credential{Token: rotate.Token{ID: id, Name: "web " + id}, Secret: rotate.NewSecret("secret-of-" + id)}
}

// since returns the operations after the first n.
func (b *bed) since(n int) string { return strings.Join(b.Operations()[n:], " ") }

// took returns the operations of a call.
func (b *bed) took(t *testing.T, do func() error) string {
	t.Helper()
	n := len(b.Operations())
	check(t, do())
	return b.since(n)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds reports what Held says of a token.
func holds(t *testing.T, p *Parameter, id string) (is, verified bool) {
	t.Helper()
	h, err := p.Held(t.Context())
	check(t, err)
	return h.Is != nil && h.Is(rotate.Token{ID: id}), h.Verified
}

// ours returns the labels of ours, with the number of their version from the end: 0 is the latest.
func (b *bed) ours() map[string]int {
	out := map[string]int{}
	all := b.ParameterVersions(name)
	for i, v := range all {
		for _, l := range v.Labels {
			if ourLabel.MatchString(l) {
				out[l] = len(all) - 1 - i
			}
		}
	}
	return out
}

// crash breaks the process off at its nth request: before the service sees it, or after it acted.
func (b *bed) crash(n int, after bool) {
	var seen atomic.Int32
	dead := errors.New("killed")
	b.wire.Before = func(r *http.Request) error {
		switch i := int(seen.Add(1)) - 1; {
		case i < n || after && i == n:
			return nil
		}
		return dead
	}
	if after {
		route := b.wire.Route
		var got atomic.Int32
		b.wire.Route = func(host string) http.Handler {
			if int(got.Add(1))-1 < n {
				return route(host)
			}
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				route(host).ServeHTTP(discard{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			})
		}
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// rival calls act just before the service sees a request of the operation, the first times only.
func (b *bed) rival(operation string, times int, act func()) {
	b.wire.Before = func(r *http.Request) error {
		if times > 0 && strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+operation) {
			times--
			act()
		}
		return nil
	}
}
