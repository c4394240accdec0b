package httpx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestNoRedirect: whatever header carries the credential, whatever the status, to the same host or another, in a read or a
// change: a redirect is an error, and nobody gets a second request. net/http drops Authorization on the way to another host,
// and no other header.
func TestNoRedirect(t *testing.T) {
	var second atomic.Int32
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { second.Add(1) })
	other := httptest.NewServer(count)
	defer other.Close()
	var to atomic.Value
	mux := http.NewServeMux()
	mux.Handle("/second", count)
	mux.HandleFunc("/first", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to.Load().(string))
		status := map[string]int{"301": 301, "302": 302, "303": 303, "307": 307, "308": 308}[r.URL.Query().Get("status")]
		w.WriteHeader(status)
	})
	mine := httptest.NewServer(mux)
	defer mine.Close()
	port := strings.TrimPrefix(mine.URL, "http://127.0.0.1")
	n := 0
	for _, header := range []string{"Authorization", "Fastly-Key", "X-Vault-Token", "PRIVATE-TOKEN", "X-Api-Key", "Cookie", "Proxy-Authorization"} {
		tr, err := New(mine.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		tr.Authorize = func(r *http.Request) error { r.Header.Set(header, "hunter2-hunter2"); return nil }
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			for _, status := range []string{"301", "302", "303", "307", "308"} {
				for _, at := range []string{other.URL + "/x?token=hunter2", mine.URL + "/second", "/second", "//localhost" + port + "/second", "https://elsewhere.invalid/", "http://user:hunter2@127.0.0.1" + port + "/second"} {
					to.Store(at)
					for _, client := range []*http.Client{tr.Client(), {Transport: tr}} { // an SDK may make its own
						req, _ := http.NewRequest(method, mine.URL+"/first?status="+status, nil)
						resp, err := client.Do(req)
						if err == nil {
							_ = resp.Body.Close()
							t.Fatalf("%s, %s %s to %s: answered %d", header, method, status, at, resp.StatusCode)
						}
						if !errors.Is(err, rotate.ErrConfig) || strings.Contains(Wrap(err).Error(), "hunter2") {
							t.Errorf("%s, %s %s to %s: %v", header, method, status, at, err)
						}
						n++
					}
				}
			}
		}
	}
	if second.Load() > 0 {
		t.Errorf("%d of %d redirects were followed", second.Load(), n)
	}
	t.Logf("%d redirects, none followed", n)
}

// TestOneHost: a URL that a service answered leads nowhere but to its own scheme, host and port.
func TestOneHost(t *testing.T) {
	sent := 0
	tr, err := New("https://api.example.com/v1", wire(func(*http.Request) (*http.Response, error) { sent++; return answer(200, ""), nil }))
	if err != nil {
		t.Fatal(err)
	}
	tr.Authorize = func(r *http.Request) error { r.Header.Set("Fastly-Key", "hunter2"); return nil }
	for _, u := range []string{"http://api.example.com/", "https://api.example.com:8443/", "https://api.example.com.evil.example/", "https://evil.example/", "https://api.example.com@evil.example/",
		"https://API.EXAMPLE.COM/", "https://api.example.com./", "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data/", "ftp://api.example.com/", "file:///etc/passwd", "//evil.example/"} {
		x, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.RoundTrip(&http.Request{Method: "GET", URL: x, Header: http.Header{}}); !errors.Is(err, rotate.ErrConfig) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
	}
	if sent > 0 {
		t.Errorf("%d requests were sent", sent)
	}
	if resp, err := tr.Client().Get("https://api.example.com/other"); err != nil || resp.StatusCode != 200 || sent != 1 {
		t.Errorf("its own host: %v", err)
	}
}

// TestTLS: 1.2 at least, and a certificate that fits. The wire is the process's own but for the roots that it trusts.
func TestTLS(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  uint16
		trust bool
		host  string
		says  string // "": it works
	}{
		{"1.3", tls.VersionTLS13, true, "example.com", ""},
		{"1.2", tls.VersionTLS12, true, "example.com", ""},
		{"1.1", tls.VersionTLS11, true, "example.com", "protocol version"},
		{"1.0", tls.VersionTLS10, true, "example.com", "protocol version"},
		{"an unknown authority", tls.VersionTLS13, false, "example.com", "unknown authority"},
		{"another name", tls.VersionTLS13, true, "localhost", "not localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var served atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: c.most}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			w := shared().(*http.Transport).Clone()
			w.TLSClientConfig.RootCAs = x509.NewCertPool()
			if c.trust {
				w.TLSClientConfig.RootCAs.AddCert(server.Certificate())
			}
			if c.host == "example.com" {
				w.TLSClientConfig.ServerName = c.host
			}
			tr, err := New("https://localhost:"+server.URL[strings.LastIndex(server.URL, ":")+1:], w)
			if err != nil {
				t.Fatal(err)
			}
			tr.Backoff = time.Microsecond
			tr.Attempts = 1
			resp, err := tr.Client().Get(tr.URL().String())
			switch {
			case c.says == "":
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("refused: %v", err)
				}
			case err == nil || served.Load() > 0:
				t.Errorf("accepted")
			case !strings.Contains(err.Error(), c.says) && !strings.Contains(err.Error(), "certificate is"):
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
}

func TestBlot(t *testing.T) {
	r := &http.Request{Header: http.Header{"Authorization": {"Bearer hunter2-hunter2"}, "Fastly-Key": {"key-0123456789"}, "Cookie": {"a=1; session=0123456789"},
		"Accept": {"application/json"}, "X-Word": {"denied"}}}
	for in, want := range map[string]string{
		"":                                    "",
		"Bearer hunter2-hunter2 is not valid": "[secret] is not valid",
		"token hunter2-hunter2, key key-0123456789": "token [secret], key [secret]",
		"session=0123456789":                        "[secret]",
		"application/json was denied":               "application/json was denied",
	} {
		if got := Blot(in, r); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	if got := Blot("x hunter2-hunter2", nil); got != "x hunter2-hunter2" {
		t.Errorf("without a request: %q", got)
	}
	resp := answer(403, "")
	resp.Request = r
	if err := Status("GET", "/x", resp, "no: Bearer hunter2-hunter2"); strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://api.fly.io":                 "https://api.fly.io",
		"https://API.fly.io:443/graphql?x=1": "https://api.fly.io",
		"http://127.0.0.1:80/":               "http://127.0.0.1",
		"https://git.example:3000/api/v1":    "https://git.example:3000",
		"http://[::1]:8080/x":                "http://[::1]:8080",
		"https://user:hunter2@git.example/":  "https://git.example",
		"":                                   "",
		"not a URL":                          "",
		"https://exa mple":                   "",
	} {
		if got := Origin(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
