package awsaccess

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/rotate"
)

// at sends requests for one host another way than those for the others, and none to unknown ones.
type at struct {
	t              *testing.T
	host           string
	hostile, other http.RoundTripper
}

func (a at) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Host {
	case a.host:
		return a.hostile.RoundTrip(r)
	case eksHost, stsHost, oidc:
	default:
		a.t.Errorf("asked elsewhere: %s %s", r.Method, r.URL)
	}
	return a.other.RoundTrip(r)
}

// TestHostile: whatever is answered in place of EKS, STS and the runner.
func TestHostile(t *testing.T) {
	const pem = "-----BEGIN CERTIFICATE-----"
	described := func(ctx context.Context, a *Access) (wrong string, err error) {
		address, ca, err := a.EKSCluster(ctx, cell)
		if err != nil || strings.HasPrefix(address, hostile.Elsewhere) { // where a cluster is, EKS alone can say
			return "", err
		}
		if address != endpoint || string(ca) != pem {
			return "the cluster is another one: " + address, nil
		}
		return "", nil
	}
	for _, c := range []struct {
		name, host string
		role       bool // of the job's OIDC token
		do         func(ctx context.Context, a *Access) (wrong string, err error)
	}{
		{"describe cluster", eksHost, false, described},
		{"identity", stsHost, false, func(ctx context.Context, a *Access) (string, error) {
			got, err := a.Identity(ctx)
			if err == nil && got != account {
				return "the account is " + got, nil
			}
			return "", err
		}},
		{"token of a role", stsHost, true, func(ctx context.Context, a *Access) (string, error) {
			_, _, err := a.EKSToken(ctx, cell)
			return "", err
		}},
		{"token of the runner", oidc, true, described},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
				b := newBed()
				b.AddCluster(cell, endpoint, []byte(pem))
				a := b.access()
				if c.role {
					b.RunnerToken = "bearer-of-the-job"
					byToken(b.AddRole("remint", aws.Role{Audience: "sts.amazonaws.com"}))(a)
				}
				a.Transport = at{t, c.host, wrap(b.wire), b.wire}
				key, err := b.Credentials().Retrieve(t.Context())
				check(t, err)
				wrong := ""
				return hostile.Bench{
					Secrets: func() []string { return []string{key.SecretAccessKey, "bearer-of-the-job"} },
					Calls: []hostile.Call{{Name: c.name, Wrong: func() string { return wrong }, Do: func(ctx context.Context) (err error) {
						if wrong, err = c.do(ctx, a); err != nil {
							return &rotate.Error{Op: "held", At: "eks", Err: err}
						}
						return nil
					}}},
				}
			}})
		})
	}
}
