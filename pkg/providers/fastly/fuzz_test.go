package fastly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

func unix(s int64) time.Time { return time.Unix(s, 0) }

// scripted answers every request alike, except that sudo and the services are as they should be.
type scripted struct {
	status int
	kind   string
	body   []byte
	all    bool // also sudo and the services
}

// RoundTrip implements [http.RoundTripper].
func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	status, kind, body := s.status, s.kind, s.body
	if !s.all && (r.URL.Path == "/sudo" || r.URL.Path == "/service") {
		status, kind, body = 200, "application/json", []byte(`[{"id":"SID","name":"production","deleted_at":null}]`)
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}, "Link": {`<x>; rel="last"`}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// FuzzAnswers shows that no answer makes the provider panic or show a secret, and that no mint without a token succeeds.
func FuzzAnswers(f *testing.F) {
	const secret = "QoU3neoxQQ6IPL8g7eRkkCjyWcwdNI7J"
	for _, body := range []string{
		`{"id":"T","services":["SID"],"name":"n","role":"user","access_token":"` + secret + `","scope":"global:read","created_at":"2026-01-01T00:00:00Z","expires_at":"","tls_access":false}`,
		`{"id":"T","services":null,"access_token":"` + secret + `"}`, `{"access_token":"` + secret + `","created_at":"` + secret + `"}`,
		`{"data":[{"id":"T","scopes":"global","services":[]}],"meta":{"total_pages":2}}`, `{"data":null}`, `[null,{"id":1}]`, `null`, ``, `[]`, `"x"`, `{"id":"T"} trailing`,
		`{"msg":"` + secret + `","detail":"` + secret + `"}`, `{"msg":"You must POST /sudo to access this endpoint"}`, `<html>` + secret, `{"errors":[{"title":"` + secret + `"}]}`, `{"errors":{}}`, `{"errors":[null]}`,
		`{"title":"` + secret + `","status":401,"errors":null}`, `{"msg":{"a":"` + secret + `"}}`,
	} {
		for _, status := range []int{200, 201, 204, 302, 400, 401, 403, 404, 422, 500} {
			for i, kind := range []string{"application/json", "application/vnd.api+json", "application/problem+json", "text/plain"} {
				f.Add(status, kind, []byte(body), i == 0)
			}
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte, all bool) {
		if status < 200 || status > 599 || len(body) > 1<<16 || strings.ContainsFunc(kind, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			return
		}
		const password = "correct horse battery staple"
		p := &Provider{Role: "user", Scope: []string{"global:read"}, Services: Services{Name: []string{"production"}}, Expiry: "never",
			Token: rotate.NewSecret("minting-credential-0123456789"), Password: rotate.NewSecret(password), Interval: time.Microsecond,
			Transport: scripted{status, kind, body, all}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		quiet := func(err error) {
			if err == nil {
				return
			}
			for _, s := range []string{password, "minting-credential-0123456789", "\r", "\x1b"} {
				if strings.Contains(err.Error(), s) {
					t.Errorf("shows %q: %v", s, err)
				}
			}
		}
		c, err := p.Mint(ctx, "n")
		quiet(err)
		if err == nil && (c.ID == "" || c.Secret.IsZero() || c.Name != "n") {
			t.Errorf("minted %v", c)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the mint's answer is in its error: %v", err)
		}
		var said struct {
			Text string `json:"access_token"`
		}
		if json.Unmarshal(body, &said) == nil && len(said.Text) > 20 {
			for _, shown := range []string{fmt.Sprint(err), fmt.Sprintf("%+v %#v", p, p), fmt.Sprintf("%+v", c), strings.Join(p.Warnings(), " ")} {
				if strings.Contains(shown, said.Text) && !strings.Contains(strings.ReplaceAll(string(body), said.Text, ""), said.Text) && strings.Count(string(body), said.Text) == 1 {
					t.Errorf("the minted secret shows")
				}
			}
		}
		var kinds = []error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict, rotate.ErrTemporary, rotate.ErrUnproven}
		one := func(op string, err error) {
			quiet(err)
			if err == nil {
				return
			}
			for _, k := range kinds {
				if errors.Is(err, k) {
					return
				}
			}
			t.Errorf("%s: no sentinel: %v", op, err)
		}
		if err != nil {
			one("mint", err)
		}
		_, err = p.List(ctx)
		one("list", err)
		_, err = p.Identify(ctx, rotate.NewSecret(secret))
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("shows the secret that was asked about: %v", err)
		}
		one("identify", err)
		one("inspect", p.Inspect(ctx, rotate.NewSecret(secret)))
		one("check", p.Check(ctx))
		one("revoke", p.Revoke(ctx, rotate.Token{ID: "T1", Name: "n"}))
		for _, w := range p.Warnings() {
			quiet(errors.New(w))
		}
	})
}
