package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file finds the way in: each one ends in the same few facts, an address, what to trust, and how to say who we
// are. They are looked up once; a failure is not remembered, so that the next use tries again.

// way is how to reach the API server.
type way struct {
	server    string
	tls       *tls.Config
	proxy     func(*http.Request) (*url.URL, error)
	authorize func(*http.Request) error // per attempt, so that a token which is renewed is taken up
}

// podServer is the name of the API server in every cluster; its certificate is made for it
// (kubernetes.io, "Accessing the Kubernetes API from a Pod").
const podServer = "https://kubernetes.default.svc"

// podMount is where Kubernetes puts the files of a pod's service account.
const podMount = "/var/run/secrets/kubernetes.io/serviceaccount"

// connect returns the connection, made at the first use.
func (c *Cluster) connect(ctx context.Context) (*link, error) {
	c.dial.Lock() // who only asks for the fields need not wait for the network
	defer c.dial.Unlock()
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil {
		return l, nil
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	found, err := c.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be reached: %w", c, err)
	}
	if l, err = newLink(found, c.Transport); err != nil {
		return nil, fmt.Errorf("%s cannot be reached: %w", c, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	return l, nil
}

func (c *Cluster) find(ctx context.Context) (*way, error) {
	switch c.way() {
	case byEKS:
		return c.fromEKS(ctx)
	case byKubeconfig:
		return c.fromKubeconfig()
	case byPod:
		return c.fromPod()
	}
	w := &way{server: c.Server, authorize: bearer(func() (rotate.Secret, error) { return c.Token, nil })}
	if c.CA == "" || c.Transport != nil {
		return w, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("%w: ca: %w", rotate.ErrConfig, err)
	}
	w.tls, err = httpx.Trust(pem, "the file of ca")
	return w, err
}

// fromPod uses the service account of the pod.
func (c *Cluster) fromPod() (*way, error) {
	mount := c.Mount
	if mount == "" {
		mount = podMount
	}
	w := &way{server: podServer, authorize: bearer(c.fileToken(filepath.Join(mount, "token")))}
	if c.Transport != nil {
		return w, nil
	}
	pem, err := os.ReadFile(filepath.Join(mount, "ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no service account in %s: remint does not run in a pod, or in one with automountServiceAccountToken: false", rotate.ErrConfig, mount)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the service account's CA: %w", rotate.ErrConfig, err)
	}
	w.tls, err = httpx.Trust(pem, "ca.crt of the service account")
	return w, err
}

// bearer sets the token of each request.
func bearer(token func() (rotate.Secret, error)) func(*http.Request) error {
	return func(r *http.Request) error {
		t, err := token()
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+t.Reveal())
		return nil
	}
}

func (c *Cluster) tell(s rotate.Secret) {
	if c.OnSecret != nil && !s.IsZero() {
		c.OnSecret(s)
	}
}

// fileToken reads a token anew for each request: Kubernetes replaces those of pods within the hour.
func (c *Cluster) fileToken(path string) func() (rotate.Secret, error) {
	var last atomic.Pointer[string] // that was told
	return func() (rotate.Secret, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return rotate.Secret{}, fmt.Errorf("%w: the token's file: %w", rotate.ErrConfig, err)
		}
		token := strings.TrimSpace(string(text))
		if !httpx.Presentable(token) {
			return rotate.Secret{}, fmt.Errorf("%w: %s holds no token", rotate.ErrConfig, httpx.Clean(path, 300))
		}
		if was := last.Swap(&token); was == nil || *was != token {
			c.tell(rotate.NewSecret(token))
		}
		return rotate.NewSecret(token), nil
	}
}
