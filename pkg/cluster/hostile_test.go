package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/pkg/rotate"
)

// hosts carries requests to an emulated EKS and to the cluster that it tells of. Another host may be asked only if EKS
// told of it: where a cluster is, EKS alone can say.
type hosts struct {
	t            *testing.T
	eks, cluster http.RoundTripper
	told         string // by the hostile answers of EKS
}

const (
	eksHost     = "eks.eu-west-1.amazonaws.com"
	clusterHost = "0123.gr7.eu-west-1.eks.amazonaws.com"
)

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Host {
	case eksHost:
		return h.eks.RoundTrip(r)
	case clusterHost:
		return h.cluster.RoundTrip(r)
	}
	if h.told == "" || !strings.HasPrefix(r.URL.String(), h.told) {
		h.t.Errorf("asked elsewhere: %s %s", r.Method, r.URL)
	}
	return (&emulate.Wire{Route: func(string) http.Handler { return nil }}).RoundTrip(r)
}

// TestHostile: whatever is answered in place of EKS, or of the cluster behind it.
func TestHostile(t *testing.T) {
	for _, host := range []string{eksHost, clusterHost} {
		t.Run(host, func(t *testing.T) {
			hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
				const value = "old-secret-of-the-cluster"
				amazon, api := aws.New("eu-west-1", "111111111111"), kube.New()
				amazon.AddCluster("production", "https://"+clusterHost, []byte("PEM"))
				api.AddToken("known", "rotator", kube.Rule{Verbs: []string{"get"}, Resources: []string{"secrets"}})
				api.AddSecret("apps", "web", map[string]string{"token": value})
				var shown []string // tokens that the cluster saw
				behind := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
					shown = append(shown, token)
					r.Header.Set("Authorization", "Bearer unknown")
					if _, ok := amazon.WhoIs("production", token); ok {
						r.Header.Set("Authorization", "Bearer known")
					}
					api.ServeHTTP(w, r)
				})
				to := func(h http.Handler) http.RoundTripper {
					return &emulate.Wire{Route: func(string) http.Handler { return h }}
				}
				wire := &hosts{t: t, eks: to(amazon), cluster: to(behind)}
				if host == eksHost {
					wire.eks, wire.told = wrap(wire.eks), hostile.Elsewhere
				} else {
					wire.cluster = wrap(wire.cluster)
				}
				c := &Cluster{EKS: "production", Transport: wire}
				c.Region, c.Account, c.Credentials = "eu-west-1", "111111111111", amazon.Credentials()
				key, err := c.Credentials.Retrieve(t.Context())
				must(t, err)
				said := func(err error) error {
					if err == nil {
						return nil
					}
					return &rotate.Error{Op: "held", At: c.String(), Err: err}
				}
				wrong := ""
				return hostile.Bench{
					Secrets: func() []string { return append(shown, key.SecretAccessKey, value) },
					Calls: []hostile.Call{
						{Name: "get", Do: func(ctx context.Context) error {
							_, err := get(ctx, c)
							return said(c.Fault(err, "get", "secrets", "apps", "web"))
						}},
						{Name: "permitted", Do: func(ctx context.Context) error {
							return said(c.Permitted(ctx, "get", "", "secrets", "apps", "web"))
						}},
						{Name: "not permitted", Wrong: func() string { return wrong }, Do: func(ctx context.Context) error {
							err := c.Permitted(ctx, "patch", "", "secrets", "apps", "web")
							switch {
							case err == nil:
								wrong = "a right that is not there is seen"
							case errors.Is(err, rotate.ErrDenied):
								return nil
							}
							return said(err)
						}},
						{Name: "raw", Do: func(ctx context.Context) error {
							_, err := c.Raw(ctx, http.MethodGet, "/api/v1/namespaces/apps/secrets/web", url.Values{}, nil, "")
							return said(c.Fault(err, "get", "secrets", "apps", "web"))
						}},
					},
				}
			}})
		})
	}
}
