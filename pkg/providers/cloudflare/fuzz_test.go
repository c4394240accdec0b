package cloudflare

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// scripted answers every request alike.
type scripted struct {
	status int
	body   []byte
}

// RoundTrip implements [http.RoundTripper].
func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.body)), Request: r}, nil
}

// FuzzAnswers shows that no answer makes the provider panic or show a secret, and that no mint without a token succeeds.
func FuzzAnswers(f *testing.F) {
	const secret = "made-up-token-0123456789-abcdefghijklmno"
	const id = "ed17574386854bf78a67040be0a770b0"
	for _, result := range []string{
		`{"id":"` + id + `","name":"n","status":"active","value":"` + secret + `","policies":[{"effect":"allow","permission_groups":[{"id":"` + id + `"}],"resources":{"com.cloudflare.a":"*"}}]}`,
		`[{"id":"` + id + `","name":"DNS Write","scopes":["com.cloudflare.api.account.zone"],"policies":null,"condition":{"request_ip":{"in":["192.0.2.1/24"]}}}]`,
		`[null]`, `{"id":1}`, `null`, `{"id":"` + id + `","status":"expired","expires_on":"0000-01-01T00:00:00Z"}`, `{"value":"` + secret + `"}`,
	} {
		for _, status := range []int{200, 201, 204, 400, 401, 403, 404, 429, 500} {
			f.Add(status, []byte(`{"success":true,"result":`+result+`,"result_info":{"total_count":1}}`))
			f.Add(status, []byte(`{"success":false,"errors":[{"code":9109,"message":"Cannot use the access token from location: `+secret+`","error_chain":[{"code":6111}]}],"result":`+result+`}`))
		}
	}
	f.Add(200, []byte(``))
	f.Add(403, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 || len(body) > 1<<16 {
			return
		}
		p := &Provider{Policies: []Policy{{Permissions: []string{id, "DNS Write"}, Resources: []string{"com.cloudflare.a"}}},
			Token: rotate.NewSecret(key), Interval: time.Microsecond, Transport: scripted{status, body}}
		if len(body)%2 == 0 {
			p.Policies, p.Copy = nil, "n"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		one := func(op string, err error) {
			if err == nil {
				return
			}
			if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), secret) || strings.ContainsAny(err.Error(), "\r\x1b") {
				t.Errorf("%s: it shows what it must not: %q", op, err)
			}
			for _, k := range []error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict, rotate.ErrTemporary, rotate.ErrUnproven} {
				if errors.Is(err, k) {
					return
				}
			}
			t.Errorf("%s: no sentinel: %v", op, err)
		}
		c, err := p.Mint(ctx, "n")
		one("mint", err)
		if err == nil && (c.ID == "" || c.Secret.IsZero() || c.Name != "n") {
			t.Errorf("minted %v", c)
		}
		_, err = p.List(ctx)
		one("list", err)
		_, err = p.Identify(ctx, rotate.NewSecret(secret))
		one("identify", err)
		one("inspect", p.Inspect(ctx, rotate.NewSecret(secret)))
		one("check", p.Check(ctx))
		one("revoke", p.Revoke(ctx, rotate.Token{ID: strings.Repeat("0", 32), Name: "n"}))
	})
}
