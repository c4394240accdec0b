package aws

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// This file verifies Signature Version 4: a request must be signed for this region and service, by a key
// that was given out here and has not expired, within fifteen minutes. The signature is computed again
// over the headers that the request says it covers.

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// maxAge is how old a signed request may be (docs.aws.amazon.com, "Signature Version 4").
const maxAge = 15 * time.Minute

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
	if age := time.Since(at); age > maxAge || age < -maxAge {
		return key{}, fail("InvalidSignatureException", "Signature expired: %s is not within 15 minutes", at)
	}
	k, known := s.keys[id]
	if !known || subtle.ConstantTimeCompare([]byte(k.SessionToken), []byte(r.Header.Get("X-Amz-Security-Token"))) != 1 {
		return key{}, fail("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if k.CanExpire && !s.now().Before(k.Expires) {
		return key{}, fail("ExpiredTokenException", "The security token included in the request is expired")
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
