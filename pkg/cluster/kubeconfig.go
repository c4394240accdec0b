package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads a kubeconfig as kubectl does, and refuses with words what it cannot or will not honour. Texts of the
// parser are not repeated: the file holds credentials.

// fromKubeconfig reads the file, or the files that are merged into one, and picks the context.
func (c *Cluster) fromKubeconfig() (*way, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	where := c.Kubeconfig
	if where == "" {
		rules.Precedence = clientcmd.NewDefaultClientConfigLoadingRules().Precedence // its other rules would move old files
		where = strings.Join(rules.Precedence, ", ")
		if !slices.ContainsFunc(rules.Precedence, exists) {
			return nil, fmt.Errorf("%w: there is no kubeconfig (%s); give its path as kubeconfig, or set KUBECONFIG", rotate.ErrConfig, where)
		}
	} else if _, err := os.Stat(where); err != nil {
		return nil, fmt.Errorf("%w: the kubeconfig: %w", rotate.ErrConfig, err)
	}
	conf, err := rules.Load()
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return nil, fmt.Errorf("%w: the kubeconfig: %w", rotate.ErrConfig, path)
		}
		return nil, fmt.Errorf("%w: %s is not a kubeconfig, or a damaged one; see what kubectl config view says of it", rotate.ErrConfig, where)
	}
	name := c.Context
	if name == "" {
		name = conf.CurrentContext
	}
	if name == "" {
		return nil, fmt.Errorf("%w: %s has no current context; name one with context", rotate.ErrConfig, where)
	}
	at, ok := conf.Contexts[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s has no context %q; it has %s", rotate.ErrConfig, where, name, contexts(conf))
	}
	server, ok := conf.Clusters[at.Cluster]
	if !ok {
		return nil, fmt.Errorf("%w: context %q of %s names the cluster %q, which is not in it", rotate.ErrConfig, name, where, at.Cluster)
	}
	user, ok := conf.AuthInfos[at.AuthInfo]
	if !ok {
		return nil, fmt.Errorf("%w: context %q of %s names the user %q, who is not in it", rotate.ErrConfig, name, where, at.AuthInfo)
	}
	if err := refused(server, user); err != nil {
		return nil, fmt.Errorf("%w: context %q of %s: %w", rotate.ErrConfig, name, where, err)
	}
	w := &way{server: server.Server, authorize: c.identity(user)}
	if c.Transport != nil {
		return w, nil
	}
	if server.ProxyURL != "" {
		u, err := url.Parse(server.ProxyURL)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
			return nil, fmt.Errorf("%w: context %q of %s: its proxy-url is none of http, https or socks5", rotate.ErrConfig, name, where)
		}
		w.proxy = http.ProxyURL(u)
	}
	if w.tls, err = certificates(server, user); err != nil {
		return nil, fmt.Errorf("%w: context %q of %s: %w", rotate.ErrConfig, name, where, err)
	}
	return w, nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// contexts lists the names, for a person who mistyped one.
func contexts(conf *api.Config) string {
	if len(conf.Contexts) == 0 {
		return "none"
	}
	var names []string
	for name := range conf.Contexts {
		names = append(names, fmt.Sprintf("%q", name))
	}
	slices.Sort(names)
	return httpx.Clean(strings.Join(names, ", "), 300)
}

// refused says what of a context is not honoured.
func refused(server *api.Cluster, user *api.AuthInfo) error {
	var errs []error
	no := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if x := user.Exec; x != nil {
		switch program := httpx.Clean(x.Command, 100); {
		case strings.Contains(x.Command, "aws"):
			no("its user gets a token by running %s, which remint never does; give eks: NAME and region instead, and remint makes that token itself", program)
		default:
			no("its user gets a token by running %s, which remint never does; make a token (kubectl create token) and give server, token and ca instead, or use a context whose user has a token or a certificate", program)
		}
	}
	if x := user.AuthProvider; x != nil {
		no("its user has the auth provider %q, which Kubernetes has removed; use a user with a token or a certificate", httpx.Clean(x.Name, 100))
	}
	if server.InsecureSkipTLSVerify {
		no("it sets insecure-skip-tls-verify, and credentials are sent to nobody unknown; give the cluster's CA (certificate-authority)")
	}
	if server.Server == "" {
		no("its cluster has no server")
	}
	if user.Token == "" && user.TokenFile == "" && user.Username == "" && user.Exec == nil && user.AuthProvider == nil &&
		len(user.ClientCertificateData) == 0 && user.ClientCertificate == "" {
		no("its user has neither token nor certificate")
	}
	if user.Token != "" && !httpx.Presentable(user.Token) {
		no("its user's token has spaces or control characters")
	}
	return errors.Join(errs...)
}

// identity says who we are. A token file outranks a token, as in client-go, and is read anew for each request.
func (c *Cluster) identity(user *api.AuthInfo) func(*http.Request) error {
	who := func(*http.Request) error { return nil } // the client certificate says it
	switch {
	case user.TokenFile != "":
		who = bearer(c.fileToken(user.TokenFile))
	case user.Token != "":
		token := rotate.NewSecret(user.Token)
		c.tell(token)
		who = bearer(func() (rotate.Secret, error) { return token, nil })
	case user.Username != "":
		name, password := user.Username, rotate.NewSecret(user.Password)
		c.tell(password)
		who = func(r *http.Request) error { r.SetBasicAuth(name, password.Reveal()); return nil }
	}
	if user.Impersonate == "" && user.ImpersonateUID == "" && len(user.ImpersonateGroups) == 0 && len(user.ImpersonateUserExtra) == 0 {
		return who
	}
	as := http.Header{}
	if user.Impersonate != "" {
		as.Set("Impersonate-User", user.Impersonate)
	}
	if user.ImpersonateUID != "" {
		as.Set("Impersonate-Uid", user.ImpersonateUID)
	}
	for _, g := range user.ImpersonateGroups {
		as.Add("Impersonate-Group", g)
	}
	for k, values := range user.ImpersonateUserExtra {
		for _, v := range values {
			as.Add("Impersonate-Extra-"+url.PathEscape(k), v)
		}
	}
	return func(r *http.Request) error {
		for k, v := range as {
			r.Header[k] = v
		}
		return who(r)
	}
}

// certificates returns the rules of TLS: whom to trust, under which name, and the client's own certificate.
func certificates(server *api.Cluster, user *api.AuthInfo) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	ca, err := either(server.CertificateAuthorityData, server.CertificateAuthority, "certificate-authority")
	if err != nil {
		return nil, err
	}
	if len(ca) > 0 {
		if conf, err = httpx.Trust(ca, "its certificate-authority"); err != nil {
			return nil, err
		}
	}
	conf.ServerName = server.TLSServerName
	cert, err := either(user.ClientCertificateData, user.ClientCertificate, "client-certificate")
	if err != nil {
		return nil, err
	}
	key, err := either(user.ClientKeyData, user.ClientKey, "client-key")
	if err != nil {
		return nil, err
	}
	if len(cert) == 0 && len(key) == 0 {
		return conf, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, errors.New("its client-certificate and client-key are not a pair in PEM")
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}

// either returns what stands in the kubeconfig itself, or in the file that it names.
func either(text []byte, file, what string) ([]byte, error) {
	if len(text) > 0 || file == "" {
		return text, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return text, nil
}
