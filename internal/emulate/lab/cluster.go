package lab

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/kube"
	prom "github.com/remint-dev/remint/internal/emulate/prometheus"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/cluster"
)

// This file makes the clusters. No kubeconfig is read, no pod's service account, no certificate: the way into a
// cluster is EKS as configured, with an account that is emulated too, or a made-up token.

// kubernetes is an emulated cluster, and what the configuration wants of it.
type kubernetes struct {
	*kube.Server
	name       string       // as the configuration calls it
	ticks      atomic.Int64 // requests so far
	refused    sync.Map     // paths that nobody may patch, with the emulate.Fault that says so
	externals  map[string]*external
	workloads  map[string]*workload
	prometheus map[string]*prom.Server // by service
}

// now is the clock of a cluster: a second passes with each request, so that what happens one after the other has
// different times, as it has in a real cluster. What was there before the rehearsal is an hour old.
func (l *Lab) now(k *kubernetes) time.Time {
	at := l.began.Add(time.Duration(k.ticks.Load()) * time.Second)
	if !l.prepared {
		at = at.Add(-time.Hour)
	}
	return at
}

// clusterOf returns the cluster that an adapter uses, and lets the adapter reach it. Adapters of one rotation share
// theirs; what is called the same is the same.
func (l *Lab) clusterOf(c *cluster.Cluster) *kubernetes {
	if k := l.clusters[c]; k != nil {
		return k
	}
	k := l.clusterNamed(c.String())
	l.clusters[c] = k
	var to http.Handler = k
	if c.EKS != "" {
		to = l.eks(c, k)
	} else {
		if c.Server == "" {
			c.Server = "https://" + address(cmp.Or(c.Context, c.Kubeconfig, "in-cluster")) + ".kube.example"
		}
		c.Kubeconfig, c.Context, c.InCluster, c.CA = "", "", false, ""
		if c.Token.IsZero() {
			c.Token = l.invent("cluster", "token")
		}
		k.AddToken(c.Token.Reveal(), "remint", kube.Everything)
	}
	c.Transport = l.wire(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.ticks.Add(1)
		to.ServeHTTP(w, r)
	}), func(r *http.Request, _ []byte) http.HandlerFunc {
		if no, ok := k.refused.Load(r.URL.Path); ok && r.Method == http.MethodPatch {
			return refusal(no.(emulate.Fault).Status, no.(emulate.Fault).Body)
		}
		return nil
	})
	return k
}

// eks puts a cluster into an account, and returns both.
func (l *Lab) eks(c *cluster.Cluster, k *kubernetes) http.Handler {
	a := l.account(&c.Access)
	endpoint := "https://" + address(c.EKS) + ".gr7." + c.Region + ".eks.amazonaws.com"
	a.AddCluster(c.EKS, endpoint, []byte("of no use: nothing is dialled"))
	c.EKSURL, c.Access.EKS, c.STS = "", "", ""
	k.Authenticate = func(token string) string {
		arn, _ := a.WhoIs(c.EKS, token)
		return arn
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == host(endpoint) {
			k.ServeHTTP(w, r)
			return
		}
		a.ServeHTTP(w, r)
	})
}

// account returns the account that somebody has access to, and gives them credentials of it.
func (l *Lab) account(x *awsaccess.Access) *aws.Server {
	at := region{x.Region, cmp.Or(x.Account, x.RoleAccount(), "111111111111")}
	a := l.aws[at]
	if a == nil {
		a = aws.New(at.name, at.account)
		l.aws[at] = a
	}
	if part := strings.SplitN(x.Role, ":", 6); len(part) == 6 {
		a.AddRole(strings.TrimPrefix(part[5], "role/"), aws.Role{Audience: cmp.Or(x.Audience, "sts.amazonaws.com")})
	}
	if x.OIDCURL != "" {
		x.OIDCBearer = l.invent("cluster", "oidc-token")
	}
	x.Credentials = a.Credentials()
	x.Interval = interval
	return a
}

// address makes a label of a host name out of a text.
func address(text string) string {
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(text))
	return cmp.Or(strings.Trim(clean[max(0, len(clean)-50):], "-"), "cluster")
}

// clusterNamed finds or makes a cluster.
func (l *Lab) clusterNamed(name string) *kubernetes {
	k := l.clustersByName[name]
	if k != nil {
		return k
	}
	k = &kubernetes{Server: kube.New(), name: name, externals: map[string]*external{}, workloads: map[string]*workload{}, prometheus: map[string]*prom.Server{}}
	k.Now = func() time.Time { return l.now(k) }
	k.Remote = k.remote(l)
	k.Ready = func(p kube.Pod) bool { return !l.failed(k, p) }
	k.Exit = func(p kube.Pod) int { return l.exit(k, p) }
	k.Start = func(namespace, kind, owner string) map[string]string { return k.fetch(namespace, kind, owner) }
	k.Output = func(p kube.Pod, _ string) string { return l.output(k, p) }
	l.clustersByName[name] = k
	return k
}
