package cluster

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file gets at an EKS cluster: AWS says where it is, what signs its certificate, and in which account it is, which
// is held against the configured one before anything is sent to the cluster.

// fromEKS asks AWS, with one request beside those for credentials.
func (c *Cluster) fromEKS(ctx context.Context) (*way, error) {
	access := c.amazon()
	endpoint, ca, err := access.EKSCluster(ctx, c.EKS)
	if err != nil {
		return nil, err
	}
	t := &eksToken{access: access, cluster: c.EKS}
	w := &way{server: endpoint, authorize: t.authorize}
	if u, err := httpx.Base(endpoint); err != nil || u.Scheme == "http" || c.Transport != nil {
		return w, err
	}
	w.tls, err = httpx.Trust(ca, "what AWS says of its certificateAuthority") // the system's roots sign no EKS cluster
	return w, err
}

// amazon is the access with what the cluster lends it.
func (c *Cluster) amazon() *awsaccess.Access {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Access.Transport == nil {
		c.Access.Transport = c.Transport
	}
	if c.Access.EKS == "" {
		c.Access.EKS = c.EKSURL
	}
	return &c.Access
}

// eksToken is a token for the cluster, replaced when its time is over.
type eksToken struct {
	access  *awsaccess.Access
	cluster string

	mu    sync.Mutex
	token rotate.Secret
	until time.Time
}

func (t *eksToken) authorize(r *http.Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.until) {
		token, until, err := t.access.EKSToken(r.Context(), t.cluster)
		if err != nil {
			return err
		}
		t.token, t.until = token, until
	}
	return bearer(func() (rotate.Secret, error) { return t.token, nil })(r)
}
