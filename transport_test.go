package main_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/github"
)

// tunnel is a proxy that leads every CONNECT to one server, and writes down what it was asked for.
type tunnel struct {
	to string

	mu    sync.Mutex
	asked []string // host and port
	other []string // requests that were no CONNECT
	auth  string
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.auth = r.Header.Get("Proxy-Authorization")
	if r.Method != http.MethodConnect {
		p.other = append(p.other, r.Method+" "+r.URL.String())
		p.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.asked = append(p.asked, r.Host)
	p.mu.Unlock()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = up.Close() }()
	down, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = down.Close() }()
	_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
	ended := make(chan bool, 2)
	go func() { _, _ = io.Copy(up, bufio.NewReader(buffered)); ended <- true }()
	go func() { _, _ = io.Copy(down, up); ended <- true }()
	<-ended
}

// authority makes a certificate authority, and a certificate of it for these names.
func authority(t *testing.T, names ...string) (ca []byte, cert tls.Certificate) {
	t.Helper()
	issue := func(parent *x509.Certificate, by *ecdsa.PrivateKey, names []string) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		x := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "of the test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			DNSNames: names, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
		if parent == nil {
			parent, by = x, key
		}
		der, err := x509.CreateCertificate(rand.Reader, x, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	root, rootKey := issue(nil, nil, nil)
	parent, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	leaf, key := issue(parent, rootKey, names)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
}

// TestBehindProxy: a whole rotation through a proxy, with an authority of the user's own; and what happens without either.
// Names that nobody resolves prove that nothing went another way.
func TestBehindProxy(t *testing.T) {
	t.Parallel()
	path := build(t)
	for _, c := range []struct {
		name   string
		most   uint16
		change func(env map[string]string)
		code   int
		says   string
		direct bool // the proxy is not used
	}{
		{name: "rotates", most: tls.VersionTLS13},
		{name: "TLS 1.2", most: tls.VersionTLS12},
		{name: "TLS 1.1", most: tls.VersionTLS11, code: 1, says: "protocol version"},
		{name: "without the authority", most: tls.VersionTLS13, change: func(env map[string]string) { delete(env, "SSL_CERT_FILE") }, code: 1, says: "certificate signed by unknown authority"},
		{name: "as a folder", most: tls.VersionTLS13, change: func(env map[string]string) {
			env["SSL_CERT_DIR"] = filepath.Dir(env["SSL_CERT_FILE"])
			delete(env, "SSL_CERT_FILE")
		}},
		{name: "in small letters", most: tls.VersionTLS13, change: func(env map[string]string) {
			env["https_proxy"] = env["HTTPS_PROXY"]
			delete(env, "HTTPS_PROXY")
		}},
		{name: "not for this host", most: tls.VersionTLS13, change: func(env map[string]string) { env["NO_PROXY"] = "other.example,.invalid" }, code: 1, says: "dial|lookup|no such host", direct: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, env := worldOf(t)
			if _, err := w.handmade("web by hand", 80, "github:"+secretName); err != nil {
				t.Fatal(err)
			}
			w.hub.AddWorkflow(repository, github.Workflow{File: "deploy.yml"})
			ca, cert := authority(t, "fly.invalid", "github.invalid")
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Host == "fly.invalid" {
					w.front("fly", w.fly).ServeHTTP(rw, r)
					return
				}
				w.front("github", w.hub).ServeHTTP(rw, r)
			}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: c.most}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			p := &tunnel{to: server.Listener.Addr().String()}
			proxy := httptest.NewServer(p)
			t.Cleanup(proxy.Close)
			file := filepath.Join(t.TempDir(), "authority.pem")
			if err := os.WriteFile(file, ca, 0o600); err != nil {
				t.Fatal(err)
			}
			env["FLY_API_BASE_URL"], env["GITHUB_API_URL"] = "https://fly.invalid", "https://github.invalid"
			env["HTTPS_PROXY"] = strings.Replace(proxy.URL, "http://", "http://proxy-user:proxy-password-0123@", 1)
			env["SSL_CERT_FILE"] = file
			if c.change != nil {
				c.change(env)
			}
			if err := os.WriteFile(filepath.Join(w.dir, "remint.yaml"), []byte(flagship), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, _ := w.launch(t, path, env, "run")
			says := slices.ContainsFunc(strings.Split(c.says, "|"), func(s string) bool { return strings.Contains(out, s) })
			if code != c.code || !says {
				t.Errorf("exit code %d, and not %q:\n%s", code, c.says, out)
			}
			if strings.Contains(out, "proxy-password") {
				t.Errorf("the proxy's password is printed:\n%s", out)
			}
			if served := len(w.requests()); (served > 0) != (c.code == 0) {
				t.Errorf("%d requests arrived", served)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			slices.Sort(p.asked)
			hosts := slices.Compact(p.asked)
			switch {
			case c.direct && len(hosts) > 0, len(p.other) > 0:
				t.Errorf("the proxy was asked for %q, %q", hosts, p.other)
			case c.code == 0:
				if !slices.Equal(hosts, []string{"fly.invalid:443", "github.invalid:443"}) || !strings.HasPrefix(p.auth, "Basic ") {
					t.Errorf("the proxy was asked for %q", hosts)
				}
				_, said, _ := w.launch(t, path, env, "egress")
				for _, h := range hosts {
					if !strings.Contains(said, "https://"+strings.TrimSuffix(h, ":443")+" ") || !strings.Contains(said, "(through the proxy 127.0.0.1:") {
						t.Errorf("egress does not say %s:\n%s", h, said)
					}
				}
			}
		})
	}
}
