package onepassword

import (
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
)

// This file carries requests to a Connect server in plain http, for those who ask for it with insecure. Many servers
// stand inside a cluster without a certificate. Package httpx sends nothing unencrypted to another machine; so it is told
// https, and the scheme is changed below it.

// unencrypted returns a wire that speaks plain http. nil: one of its own.
func unencrypted(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = httpx.Pool(nil)
	}
	return plain{next}
}

type plain struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.Clone(r.Context())
	q.URL.Scheme = "http"
	resp, err := p.next.RoundTrip(q)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}
