package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/remint-dev/remint/pkg/rotate"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func file(t *testing.T, text string) string { return write(t, filepath.Join(t.TempDir(), "f"), text) }

// config is a kubeconfig with one context, in flow style.
func config(cluster, user string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: %s}], users: [{name: u, user: %s}], contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}", cluster, user)
}

// server is an API server with TLS, which answers with the credential it was shown.
type server struct {
	*httptest.Server
	ca string // PEM
}

func start(t *testing.T, change func(*tls.Config)) *server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		who := map[string]string{"auth": r.Header.Get("Authorization"), "as": r.Header.Get("Impersonate-User"), "groups": strings.Join(r.Header.Values("Impersonate-Group"), " "), "extra": r.Header.Get("Impersonate-Extra-Reason")}
		if len(r.TLS.PeerCertificates) > 0 {
			who["cert"] = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": map[string]any{"name": "web", "labels": who}})
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return &server{s, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))}
}

// key makes a certificate that signs itself, and its key.
func key(t *testing.T, name string) (cert, private string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// shown returns what the server was shown.
func shown(t *testing.T, c *Cluster) (map[string]string, error) {
	o, err := get(t.Context(), c)
	if err != nil {
		return nil, c.Fault(err, "get", "secrets", "apps", "web")
	}
	return o.GetLabels(), nil
}

func TestServer(t *testing.T) {
	s := start(t, nil)
	other, _ := key(t, "other")
	old := start(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := "https://" + closed.Addr().String()
	must(t, closed.Close())
	for _, tt := range []struct {
		name, server, ca string
		want             error
		says             string
	}{
		{"its CA", s.URL, s.ca, nil, ""},
		{"another CA", s.URL, other, rotate.ErrConfig, "is not trusted"},
		{"the system's CAs", s.URL, "", rotate.ErrConfig, "is not trusted"},
		{"no CA in the file", s.URL, "no PEM", rotate.ErrConfig, "no certificate in PEM"},
		{"old TLS", old.URL, old.ca, rotate.ErrTemporary, "protocol version"},
		{"nobody there", nobody, s.ca, rotate.ErrTemporary, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Cluster{Server: tt.server, Token: rotate.NewSecret("bearer-of-the-cluster")}
			if tt.ca != "" {
				c.CA = file(t, tt.ca)
			}
			if l, err := c.connect(t.Context()); err == nil {
				l.wire.under.Attempts = 1
			}
			who, err := shown(t, c)
			if tt.want == nil {
				if err != nil || who["auth"] != "Bearer bearer-of-the-cluster" {
					t.Errorf("shown %v, %v", who, err)
				}
				return
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "bearer-of-the-cluster") {
				t.Errorf("%v, want %v: %s", err, tt.want, tt.says)
			}
		})
	}
	c := &Cluster{Server: s.URL, Token: rotate.NewSecret("t"), CA: filepath.Join(t.TempDir(), "none")}
	if _, err := c.Dynamic(t.Context()); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("a CA file that is not there: %v", err)
	}
}

func TestKubeconfig(t *testing.T) {
	cert, private := key(t, "the-user")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	s := start(t, func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequestClientCert, pool })
	in := func(text string) string { return encode(text) }
	at := fmt.Sprintf(`{server: %q, certificate-authority-data: %s}`, s.URL, in(s.ca))
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	other, _ := key(t, "other")
	for _, tt := range []struct {
		name, cluster, user string
		want                map[string]string // shown to the server
		says                string            // refused
	}{
		{name: "a token", cluster: at, user: `{token: bearer-of-the-user}`, want: map[string]string{"auth": "Bearer bearer-of-the-user"}},
		{name: "a token file", cluster: at, user: fmt.Sprintf(`{token: old, tokenFile: %q}`, file(t, "bearer-of-the-file\n")), want: map[string]string{"auth": "Bearer bearer-of-the-file"}},
		{name: "a CA file", cluster: fmt.Sprintf(`{server: %q, certificate-authority: %q}`, s.URL, file(t, s.ca)), user: `{token: t}`, want: map[string]string{"auth": "Bearer t"}},
		{name: "a certificate", cluster: at, user: fmt.Sprintf(`{client-certificate-data: %s, client-key-data: %s}`, in(cert), in(private)), want: map[string]string{"cert": "the-user"}},
		{name: "a certificate in files", cluster: at, user: fmt.Sprintf(`{client-certificate: %q, client-key: %q}`, file(t, cert), file(t, private)), want: map[string]string{"cert": "the-user"}},
		{name: "a password", cluster: at, user: `{username: u, password: swordfish}`, want: map[string]string{"auth": "Basic " + encode("u:swordfish")}},
		{name: "somebody else", cluster: at, user: `{token: t, as: admin, as-groups: [a, b], as-user-extra: {reason: [rotation]}}`, want: map[string]string{"as": "admin", "groups": "a b", "extra": "rotation", "auth": "Bearer t"}},
		{name: "another name", cluster: fmt.Sprintf(`{server: "https://localhost%s", certificate-authority-data: %s, tls-server-name: example.com}`, port, in(s.ca)), user: `{token: t}`, want: map[string]string{"auth": "Bearer t"}},

		{name: "aws", cluster: at, user: `{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never, args: [eks, get-token]}}`, says: "by running aws, which remint never does; give eks: NAME and region instead"},
		{name: "gcloud", cluster: at, user: `{exec: {apiVersion: client.authentication.k8s.io/v1, command: gke-gcloud-auth-plugin, interactiveMode: Never}}`, says: "by running gke-gcloud-auth-plugin, which remint never does; make a token"},
		{name: "an auth provider", cluster: at, user: `{auth-provider: {name: oidc, config: {}}}`, says: `auth provider "oidc"`},
		{name: "no checks", cluster: fmt.Sprintf(`{server: %q, insecure-skip-tls-verify: true}`, s.URL), user: `{token: t}`, says: "insecure-skip-tls-verify"},
		{name: "nobody", cluster: at, user: `{}`, says: "neither token nor certificate"},
		{name: "no server", cluster: `{}`, user: `{token: t}`, says: "has no server"},
		{name: "plain http", cluster: `{server: "http://kube.example"}`, user: `{token: t}`, says: "unencrypted"},
		{name: "a token of two lines", cluster: at, user: `{token: "bearer-of-the-user\nx"}`, says: "control characters"},
		{name: "a token file that is not there", cluster: at, user: `{tokenFile: /none}`, says: "/none"},
		{name: "an empty token file", cluster: at, user: fmt.Sprintf(`{tokenFile: %q}`, file(t, "\n")), says: "holds no token"},
		{name: "a CA that is none", cluster: fmt.Sprintf(`{server: %q, certificate-authority-data: %s}`, s.URL, in("x")), user: `{token: t}`, says: "no certificate in PEM"},
		{name: "another CA", cluster: fmt.Sprintf(`{server: %q, certificate-authority-data: %s}`, s.URL, in(other)), user: `{token: t}`, says: "not trusted"},
		{name: "another name, wrong", cluster: fmt.Sprintf(`{server: %q, certificate-authority-data: %s, tls-server-name: elsewhere.example}`, s.URL, in(s.ca)), user: `{token: t}`, says: "not trusted"},
		{name: "half a certificate", cluster: at, user: fmt.Sprintf(`{client-certificate-data: %s}`, in(cert)), says: "not a pair"},
		{name: "a proxy of another kind", cluster: strings.TrimSuffix(at, "}") + `, proxy-url: "ftp://proxy.example"}`, user: `{token: t}`, says: "proxy-url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Cluster{Kubeconfig: file(t, config(tt.cluster, tt.user))}
			who, err := shown(t, c)
			if tt.says != "" {
				if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "bearer-of-the-user") {
					t.Errorf("%v, want %s", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range who {
				if v != tt.want[k] {
					t.Errorf("shown %s %q, want %q", k, v, tt.want[k])
				}
			}
			if e := c.Endpoints(); len(e) != 1 || !strings.HasSuffix(e[0].Origin, port) {
				t.Errorf("endpoints %+v", e)
			}
		})
	}
}

// TestProxy: a kubeconfig's proxy-url is used, and only then.
func TestProxy(t *testing.T) {
	s := start(t, nil)
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host+" "+r.Header.Get("Authorization"))
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		down, rest, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(up, rest); _ = up.Close() }()
		_, _ = io.Copy(down, up)
		_ = down.Close()
	}))
	defer proxy.Close()
	c := &Cluster{Kubeconfig: file(t, config(fmt.Sprintf(`{server: %q, certificate-authority-data: %s, proxy-url: %q}`, s.URL, encode(s.ca), proxy.URL), `{token: t}`))}
	who, err := shown(t, c)
	if err != nil || who["auth"] != "Bearer t" {
		t.Fatalf("shown %v, %v", who, err)
	}
	if want := "CONNECT " + strings.TrimPrefix(s.URL, "https://") + " "; len(asked) != 1 || asked[0] != want {
		t.Errorf("the proxy was asked %q, want %q", asked, want)
	}
}

// TestContexts: which file and which context.
func TestContexts(t *testing.T) {
	dir := t.TempDir()
	one := write(t, filepath.Join(dir, "one"), "{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: 'https://one.example'}}], users: [{name: u, user: {token: t}}], contexts: [{name: a, context: {cluster: c, user: u}}], current-context: a}")
	two := write(t, filepath.Join(dir, "two"), "{apiVersion: v1, kind: Config, clusters: [{name: d, cluster: {server: 'https://two.example'}}], contexts: [{name: b, context: {cluster: d, user: u}}, {name: lost, context: {cluster: gone, user: u}}, {name: nobody, context: {cluster: d, user: gone}}], current-context: b}")
	t.Setenv("HOME", dir)
	for _, tt := range []struct {
		name, env, kubeconfig, context string
		origin, says                   string
	}{
		{"the current context", "", one, "", "https://one.example", ""},
		{"a context", "", one, "a", "https://one.example", ""},
		{"the usual files, merged", one + string(os.PathListSeparator) + two, "", "b", "https://two.example", ""},
		{"a path outranks KUBECONFIG", two, one, "a", "https://one.example", ""},
		{"a context that is not there", "", one, "b", "", `has no context "b"; it has "a"`},
		{"a cluster that is not there", one + string(os.PathListSeparator) + two, "", "lost", "", `names the cluster "gone"`},
		{"a user who is not there", one + string(os.PathListSeparator) + two, "", "nobody", "", `names the user "gone"`},
		{"no file", "", filepath.Join(dir, "none"), "", "", "no such file"},
		{"no usual file", filepath.Join(dir, "none"), "", "a", "", "there is no kubeconfig"},
		{"no kubeconfig", "", write(t, filepath.Join(dir, "bad"), "token: "+hidden+"\n\t- : {"), "", "", "is not a kubeconfig"},
		{"no current context", "", write(t, filepath.Join(dir, "empty"), "{apiVersion: v1, kind: Config}"), "", "", "has no current context"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			c := &Cluster{Kubeconfig: tt.kubeconfig, Context: tt.context, Transport: &told{}}
			_, err := c.Dynamic(t.Context())
			if tt.says != "" {
				if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), hidden) {
					t.Errorf("%v, want %s", err, tt.says)
				}
				if e := c.Endpoints(); len(e) != 1 || e[0].Origin != "" {
					t.Errorf("endpoints %+v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e := c.Endpoints(); len(e) != 1 || e[0].Origin != tt.origin {
				t.Errorf("endpoints %+v", e)
			}
		})
	}
}

// TestPod: the service account's token is read anew, since it is replaced while we run.
func TestPod(t *testing.T) {
	s := start(t, nil)
	dir := t.TempDir()
	c := &Cluster{InCluster: true, Mount: dir}
	if _, err := c.Dynamic(t.Context()); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "does not run in a pod") {
		t.Errorf("outside of a pod: %v", err)
	}
	write(t, filepath.Join(dir, "ca.crt"), s.ca)
	found, err := c.find(t.Context())
	must(t, err)
	if found.server != "https://kubernetes.default.svc" || found.tls.RootCAs == nil {
		t.Errorf("found %+v", found)
	}
	wire := &told{answer: answer{code: 200, kind: "application/json", body: []byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"web"}}`)}}
	c = &Cluster{InCluster: true, Mount: dir, Transport: wire}
	for _, token := range []string{"first", "second"} {
		write(t, filepath.Join(dir, "token"), token+"\n")
		if _, err := get(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := wire.seen[len(wire.seen)-1].Header.Get("Authorization"); got != "Bearer "+token {
			t.Errorf("shown %q", got)
		}
	}
	if e := c.Endpoints(); len(e) != 1 || e[0].Origin != "https://kubernetes.default.svc" {
		t.Errorf("endpoints %+v", e)
	}
	must(t, os.Remove(filepath.Join(dir, "token")))
	if _, err = get(t.Context(), c); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("without a token: %v", err)
	}
}

// amazon answers DescribeCluster, and keeps what the cluster was shown.
type amazon struct {
	account string
	code    int
	asked   []string
	tokens  []string
}

func (a *amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	say := func(code int, v any) (*http.Response, error) {
		b, err := json.Marshal(v)
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, err
	}
	a.asked = append(a.asked, r.URL.Host+r.URL.Path)
	switch r.URL.Host {
	case "eks.eu-west-1.amazonaws.com":
		if a.code != 0 {
			return say(a.code, map[string]any{"__type": "AccessDeniedException", "message": "no"})
		}
		return say(200, map[string]any{"cluster": map[string]any{"name": "production", "arn": "arn:aws:eks:eu-west-1:" + a.account + ":cluster/production", "status": "ACTIVE",
			"endpoint": "https://0123.gr7.eu-west-1.eks.amazonaws.com", "certificateAuthority": map[string]any{"data": encode("PEM")}}})
	case "0123.gr7.eu-west-1.eks.amazonaws.com":
		a.tokens = append(a.tokens, r.Header.Get("Authorization"))
		return say(200, map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": map[string]any{"name": "web"}})
	}
	return nil, fmt.Errorf("nobody is at %s", r.URL.Host)
}

func eks(a *amazon) *Cluster {
	c := &Cluster{EKS: "production", Transport: a}
	c.Region, c.Account = "eu-west-1", "111111111111"
	c.Credentials = aws.CredentialsProvider(credentials.NewStaticCredentialsProvider("AKIA", hidden, ""))
	return c
}

// TestEKS: one request to AWS, then a token that is replaced before the cluster refuses it, after 15 minutes.
func TestEKS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &amazon{account: "111111111111"}
		c := eks(a)
		for _, wait := range []time.Duration{0, 10 * time.Minute, 5 * time.Minute} {
			time.Sleep(wait)
			if _, err := get(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if want := "eks.eu-west-1.amazonaws.com/clusters/production"; len(a.asked) != 4 || a.asked[0] != want {
			t.Errorf("asked %q", a.asked)
		}
		if len(a.tokens) != 3 || a.tokens[0] != a.tokens[1] || a.tokens[1] == a.tokens[2] || !strings.HasPrefix(a.tokens[0], "Bearer k8s-aws-v1.") {
			t.Errorf("shown %q", a.tokens)
		}
		if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, hidden) || strings.Contains(text, "AKIA") {
			t.Errorf("credentials show: %s", text)
		}
	})
}

func TestEKSWrongAccount(t *testing.T) {
	a := &amazon{account: "222222222222"}
	c := eks(a)
	_, err := get(t.Context(), c)
	if err = c.Fault(err, "get", "secrets", "apps", "web"); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "222222222222") || len(a.tokens) > 0 {
		t.Errorf("%v, and the cluster was shown %q", err, a.tokens)
	}
	a.code = 403
	if _, err := get(t.Context(), c); !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "eks:DescribeCluster") {
		t.Errorf("%v", err)
	}
}

func TestEKSEndpoints(t *testing.T) {
	c := eks(&amazon{})
	e := c.Reach("holds it", "GET")
	if len(e) != 2 || e[0].Origin != "" || e[1].Origin != "https://eks.eu-west-1.amazonaws.com" || e[0].Why != "holds it, at the address that AWS tells" {
		t.Errorf("%+v", e)
	}
	c.EKSURL = "https://eks.vpc.example/x"
	if u, err := url.Parse(c.Endpoints()[1].Origin); err != nil || u.String() != "https://eks.vpc.example" {
		t.Errorf("%v, %v", u, err)
	}
}
