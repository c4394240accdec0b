package httpx

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file makes the pools of connections below a [Transport]. Their rules: TLS 1.2 or later, proxies from the
// environment, and no wait without an end.

// Pool returns a pool that goes by these rules of TLS; nil: TLS 1.2 or later, with the roots of this machine.
func Pool(rules *tls.Config) *http.Transport {
	if rules == nil {
		rules = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       rules,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          20,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       90 * time.Second,
	}
}

// Trust returns the rules of TLS for a server whose certificate is signed by one of those in a PEM text, and by no
// other. where names the text in the error, which wraps [rotate.ErrConfig].
func Trust(pem []byte, where string) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no certificate in PEM", rotate.ErrConfig, where)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

// Trusting returns a pool for a server whose certificate is signed by one of those in a PEM file. Its errors are those of
// the configuration key ca.
func Trusting(file string) (*http.Transport, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, rotate.Field("ca", "%w", err)
	}
	rules, err := Trust(pem, file)
	if err != nil {
		return nil, &rotate.Error{Op: "field", At: "ca", Err: err}
	}
	return Pool(rules), nil
}
