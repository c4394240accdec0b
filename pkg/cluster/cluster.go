// Package cluster reaches the API server of a Kubernetes cluster without any other program: no kubectl, no aws, no
// exec plugin. The adapters of one rotation share one [Cluster]. Its rules:
//
//   - Exactly one way in is configured: an EKS cluster by name, a context of a kubeconfig, the service account of the
//     pod, or a server with a token. Nothing is read or asked before the first use (connect.go).
//   - Everything goes to that one server, through the transport under all adapters (internal/httpx): pinned, no
//     redirect, TLS 1.2 or later, answers of bounded size. client-go's dynamic client stands on top of it; its own
//     retries, rate limit, warnings and log are off (wire.go).
//   - No text of the API server is repeated where it could hold a Secret's data (fault.go).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/dynamic"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Cluster says how to reach one cluster, and does. It connects once, at the first use, and is safe for concurrent use.
type Cluster struct {
	EKS string `yaml:"eks" example:"production" doc:"Name of an EKS cluster. Its address and CA are asked of AWS (eks:DescribeCluster), and the AWS credentials, or those of role, make a token for it; no aws program is needed. The cluster needs an access entry for them."`
	awsaccess.Access
	EKSURL string `yaml:"eks-endpoint" env:"AWS_ENDPOINT_URL_EKS,AWS_ENDPOINT_URL" doc:"URL of EKS, for a VPC endpoint or a test. Plain http only to loopback. Without it the region's own."`

	Kubeconfig string        `yaml:"kubeconfig" example:"/etc/remint/kubeconfig" doc:"Path of a kubeconfig. Users with an exec plugin or an auth provider are refused: the programs they name are not there."`
	Context    string        `yaml:"context" example:"production" doc:"Context of the kubeconfig; without it its current one. Without kubeconfig the files that KUBECONFIG names are read, or else .kube/config in the home directory."`
	InCluster  bool          `yaml:"in-cluster" doc:"Use the service account of the pod that remint runs in."`
	Server     string        `yaml:"server" example:"https://kube.example:6443" doc:"URL of the API server; needs token. Plain http only to loopback."`
	Token      rotate.Secret `yaml:"token" doc:"Bearer token for server."`
	CA         string        `yaml:"ca" example:"/etc/remint/kube-ca.pem" doc:"File with the certificates, in PEM, that sign the certificate of server. Without it those of the system are trusted."`
	Namespace  string        `yaml:"namespace" example:"monitoring" doc:"Namespace of everything that names none itself; default if that is empty too. The namespace in a kubeconfig's context is not looked at."`

	// Transport carries the requests to the API server and to AWS; no certificate is read then. Nil: connections of our
	// own, with certificates checked as configured.
	Transport http.RoundTripper `yaml:"-" json:"-"`
	// Mount is the folder with the token and the CA of the pod's service account; "": where Kubernetes puts them.
	Mount string `yaml:"-" json:"-"`

	dial sync.Mutex // held while connecting
	mu   sync.Mutex
	link *link // nil: not connected yet
}

var _ rotate.Connector = (*Cluster)(nil)

// The ways in.
const (
	none = iota
	byEKS
	byKubeconfig
	byPod
	byServer
)

// ways lists those that are configured.
func (c *Cluster) ways() []int {
	var w []int
	for way, given := range []bool{byEKS: c.EKS != "", byKubeconfig: c.Kubeconfig != "" || c.Context != "", byPod: c.InCluster, byServer: c.Server != ""} {
		if given {
			w = append(w, way)
		}
	}
	return w
}

func (c *Cluster) way() int {
	if w := c.ways(); len(w) == 1 {
		return w[0]
	}
	return none
}

// String names the cluster as it is configured: "eks:eu-west-1/production", "kube:context", "kube:path",
// "kube:in-cluster", "kube:kube.example:6443".
func (c *Cluster) String() string {
	switch {
	case c.EKS != "" && c.Account != "":
		return "eks:" + c.Account + "/" + c.Region + "/" + c.EKS
	case c.EKS != "":
		return "eks:" + c.Region + "/" + c.EKS
	case c.Context != "":
		return "kube:" + c.Context
	case c.Kubeconfig != "":
		return "kube:" + c.Kubeconfig
	case c.InCluster:
		return "kube:in-cluster"
	}
	u, err := url.Parse(c.Server)
	if err != nil {
		return "kube:"
	}
	return "kube:" + u.Host + strings.TrimSuffix(u.Path, "/")
}

// Format implements [fmt.Formatter] for every verb: credentials hang on the fields.
func (c *Cluster) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

var (
	eksName = pattern.New(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
)

// Validate reports all that is wrong with the fields. It makes no call and reads no file.
func (c *Cluster) Validate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.validate()
}

func (c *Cluster) validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	way := c.way()
	switch n := len(c.ways()); {
	case n == 0:
		bad("cluster", "say how to reach the cluster, in one way: eks (with region), kubeconfig or context, in-cluster, or server with token")
	case n > 1:
		bad("cluster", "eks, kubeconfig (with context), in-cluster and server are different ways to reach a cluster; give one of them")
	}
	if way == byEKS {
		if !eksName.MatchString(c.EKS) {
			bad("eks", "%q is not the name of an EKS cluster: letters, digits, - and _", c.EKS)
		}
		errs = append(errs, c.Access.Validate())
		if c.EKSURL != "" {
			if _, err := httpx.Base(c.EKSURL); err != nil {
				bad("eks-endpoint", "%w", err)
			}
		}
	}
	if way != byServer && way != none {
		if !c.Token.IsZero() {
			bad("token", "it is for server; the other ways have their own")
		}
		if c.CA != "" {
			bad("ca", "it is for server; the other ways have their own")
		}
	}
	if way == byServer {
		if _, err := httpx.Base(c.Server); err != nil {
			bad("server", "%w", err)
		}
		switch {
		case c.Token.IsZero():
			bad("token", "give a token for server, such as one made with kubectl create token")
		case !httpx.Presentable(c.Token.Reveal()):
			bad("token", "it has spaces or control characters; see that the variable or file holds the token and nothing else")
		}
	}
	if c.Namespace != "" && !pattern.DNSLabel.MatchString(c.Namespace) {
		bad("namespace", "%q is not the name of a namespace: small letters, digits and -", c.Namespace)
	}
	return errors.Join(errs...)
}

// Scope returns the namespace to use: the adapter's own, else the cluster's, else "default".
func (c *Cluster) Scope(namespace string) string {
	switch {
	case namespace != "":
		return namespace
	case c.Namespace != "":
		return c.Namespace
	}
	return "default"
}

// Endpoints implements [rotate.Connector]: the API server, with the methods that adapters of this module use, and AWS
// if it is asked where the cluster is. The kubeconfig is read for it; no call is made.
func (c *Cluster) Endpoints() []rotate.Endpoint {
	return c.Reach("the API server of "+c.String(), http.MethodGet, http.MethodPatch, http.MethodPost)
}

// Reach is [Cluster.Endpoints] with the words and methods of one adapter. Of no cluster (nil) there are none.
func (c *Cluster) Reach(why string, methods ...string) []rotate.Endpoint {
	if c == nil {
		return nil
	}
	server := rotate.Endpoint{Methods: methods, Why: why}
	switch c.way() {
	case byEKS:
		server.Why += ", at the address that AWS tells"
		c.mu.Lock()
		defer c.mu.Unlock()
		tells := c.EKSEndpoint()
		if c.EKSURL != "" {
			tells.Origin = origin(c.EKSURL)
		}
		return append([]rotate.Endpoint{server, tells}, c.Access.Endpoints()...)
	case byKubeconfig:
		if found, err := c.fromKubeconfig(); err == nil {
			server.Origin = origin(found.server)
		} else {
			server.Why += ", at the address in the kubeconfig"
		}
	case byPod:
		server.Origin = origin(podServer)
	case byServer:
		server.Origin = origin(c.Server)
	}
	return []rotate.Endpoint{server}
}

// origin is the part of a URL that a transport is bound to; "" if it is not one to be used.
func origin(text string) string {
	u, err := httpx.Base(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Dynamic returns client-go's dynamic client over our transport. What it cannot do is watch: an answer is read whole.
// Its errors may hold the data of a Secret and must go through [Cluster.Fault].
func (c *Cluster) Dynamic(ctx context.Context) (dynamic.Interface, error) {
	l, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	return l.api, nil
}
