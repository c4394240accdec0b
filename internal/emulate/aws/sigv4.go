package aws

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/remint-dev/remint/internal/pattern"
)

// This file verifies Signature Version 4: a request must be signed for this region and service, by a key
// that was given out here and has not expired, within fifteen minutes. The signature is computed again
// over the headers that the request says it covers.

var authorization = pattern.New(
	`^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// maxAge is how old a signed request may be (docs.aws.amazon.com, "Signature Version 4").
const maxAge = 15 * time.Minute

// keyOf returns the key of a request that was signed at a time. The caller holds the lock.
func (s *Server) keyOf(id, session string, at time.Time) (key, *failure) {
	if age := time.Since(at); age > maxAge || age < -maxAge {
		return key{}, fail("InvalidSignatureException", "Signature expired: %s is not within 15 minutes", at)
	}
	k, known := s.keys[id]
	if !known || subtle.ConstantTimeCompare([]byte(k.SessionToken), []byte(session)) != 1 {
		return key{}, fail("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if k.CanExpire && !s.now().Before(k.Expires) {
		return key{}, fail("ExpiredTokenException", "The security token included in the request is expired")
	}
	return k, nil
}

// verify returns whose request it is. The caller holds the lock.
func (s *Server) verify(r *http.Request, body []byte, api string) (key, *failure) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return key{}, fail("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	m := authorization.FindStringSubmatch(header)
	if m == nil {
		return key{}, fail("IncompleteSignatureException", "Authorization header does not have the form of Signature Version 4")
	}
	id, day, region, scope, signed := m[1], m[2], m[3], m[4], m[5]
	if region != s.region {
		return key{}, fail("InvalidSignatureException", "Credential should be scoped to a valid region, not '%s'.", region)
	}
	if scope != api {
		return key{}, fail("InvalidSignatureException", "Credential should be scoped to correct service: '%s'.", api)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != day {
		return key{}, fail("IncompleteSignatureException", "Date in Credential scope does not match X-Amz-Date")
	}
	k, f := s.keyOf(id, r.Header.Get("X-Amz-Security-Token"), at)
	if f != nil {
		return key{}, f
	}
	again := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}
	covered := map[string]bool{}
	for _, h := range strings.Split(signed, ";") {
		covered[h] = true
		switch h {
		case "host", "x-amz-date", "x-amz-security-token": // the signer sets them
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			again.Header[http.CanonicalHeaderKey(h)] = r.Header.Values(h)
		}
	}
	if !covered["host"] || !covered["x-amz-date"] || r.Header.Get("X-Amz-Target") != "" && !covered["x-amz-target"] {
		return key{}, fail("InvalidSignatureException", "host, x-amz-date and x-amz-target must be signed")
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(r.Context(), k.Credentials, again, hex.EncodeToString(sum[:]), api, s.region, at)
	if err != nil || subtle.ConstantTimeCompare([]byte(again.Header.Get("Authorization")), []byte(header)) != 1 {
		return key{}, fail("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
	}
	return k, nil
}

var (
	scopeForm   = pattern.New(`^([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request$`)
	expiresForm = pattern.New(`^[1-9]\d{0,5}$`)
)

// verifyPresigned returns whose GET it is that carries its signature in the query. headers are those that
// came along. The caller holds the lock.
//
// The security token service does not look at X-Amz-Expires: such a request is good for as long as any other.
func (s *Server) verifyPresigned(u *url.URL, host string, headers http.Header, api string) (key, *failure) {
	q := u.Query()
	m := scopeForm.FindStringSubmatch(q.Get("X-Amz-Credential"))
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if m == nil || err != nil || q.Get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" || at.Format("20060102") != m[2] || !expiresForm.MatchString(q.Get("X-Amz-Expires")) {
		return key{}, fail("IncompleteSignatureException", "The query does not have the form of Signature Version 4")
	}
	if m[3] != s.region || m[4] != api {
		return key{}, fail("InvalidSignatureException", "Credential should be scoped to %s and service '%s'.", s.region, api)
	}
	k, f := s.keyOf(m[1], q.Get("X-Amz-Security-Token"), at)
	if f != nil {
		return key{}, f
	}
	again := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: host, Path: u.Path}, Host: host, Header: http.Header{}}
	for _, h := range strings.Split(q.Get("X-Amz-SignedHeaders"), ";") {
		if h != "host" {
			again.Header[http.CanonicalHeaderKey(h)] = headers.Values(h)
		}
	}
	want := q.Get("X-Amz-Signature")
	for _, p := range []string{"Algorithm", "Credential", "Date", "Security-Token", "SignedHeaders", "Signature"} {
		q.Del("X-Amz-" + p) // the signer sets them
	}
	again.URL.RawQuery = q.Encode()
	sum := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), k.Credentials, again, hex.EncodeToString(sum[:]), api, s.region, at)
	if err != nil {
		return key{}, fail("InvalidSignatureException", "The request cannot be signed.")
	}
	got, err := url.Parse(signed)
	if err != nil || subtle.ConstantTimeCompare([]byte(got.Query().Get("X-Amz-Signature")), []byte(want)) != 1 {
		return key{}, fail("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	}
	return k, nil
}
