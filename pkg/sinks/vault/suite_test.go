package vault

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the sink to the contracts that the engine relies on, with the right to write the marker and without.
func TestSuite(t *testing.T) {
	for _, metadata := range []string{"patch", ""} {
		t.Run("metadata "+metadata, func(t *testing.T) {
			b := newBed()
			token := b.rights("read update", metadata)
			before := b.Data("secret", "ci/fly")
			rotatetest.Sink(t, rotatetest.SinkUnderTest{
				New:         func(*testing.T) rotate.Sink { return b.sink(token) },
				Content:     func(*testing.T) string { return b.value() },
				Credentials: []string{limited, sibling},
			})
			after := b.Data("secret", "ci/fly")
			delete(before, "token")
			delete(after, "token")
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("another key changed: %v", after)
			}
			if (len(b.Custom("secret", "ci/fly")) > 0) != (metadata != "") {
				t.Errorf("%v", b.Custom("secret", "ci/fly"))
			}
		})
	}
}

// TestReal is the suite against a real Vault, see internal/emulate/vault.
func TestReal(t *testing.T) {
	address, root := os.Getenv("REMINT_VAULT_ADDR"), os.Getenv("REMINT_VAULT_TOKEN")
	if address == "" || root == "" {
		t.Skip("no REMINT_VAULT_ADDR")
	}
	ask := func(method, path, body string) string {
		req, err := http.NewRequest(method, address+"/v1/"+path, strings.NewReader(body))
		must(t, err)
		req.Header.Set("X-Vault-Token", root)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		return string(text)
	}
	path := fmt.Sprint("app/", time.Now().UnixNano())
	ask("POST", "secret/data/"+path, `{"data":{"token":"old","user":"<web> & co","n":9007199254740993}}`)
	before := ask("GET", "secret/data/"+path, "")
	sink := func() *Secret {
		return &Secret{Path: path, Key: "token", Address: address, Token: rotate.NewSecret(root), Interval: 10 * time.Millisecond}
	}
	others := func(text string) string {
		return text[strings.Index(text, `"n":`):strings.Index(text, `,"token"`)] + text[strings.Index(text, `"user"`):strings.Index(text, `},"metadata"`)]
	}
	rotatetest.Sink(t, rotatetest.SinkUnderTest{
		New: func(*testing.T) rotate.Sink { return sink() },
		Content: func(t *testing.T) string {
			s, err := sink().Read(t.Context())
			must(t, err)
			return s.Reveal()
		},
		Credentials: []string{root},
	})
	if after := ask("GET", "secret/data/"+path, ""); others(after) != others(before) {
		t.Errorf("%s became %s", others(before), others(after))
	}
	kept := func() *Secret {
		s := sink()
		s.Previous = "token_previous"
		return s
	}
	one, rival := kept(), kept()
	for _, k := range []*Secret{one, rival} {
		_, err := k.Held(t.Context())
		must(t, err)
	}
	must(t, one.Write(t.Context(), credential("x")))
	fails(t, rival.Write(t.Context(), credential("y")), rotate.ErrConflict, "somebody else wrote it")
	h, err := kept().Held(t.Context())
	if err != nil || h.Mark.Token.ID != "x" || !keeping.IsByHand(h.Former) { // the suite's note is not one of this mode
		t.Errorf("held %+v, %v", h, err)
	}
	must(t, one.Mark(t.Context(), credential("x").Token))
	must(t, kept().Forget(t.Context(), h.Former))
	if h, err = kept().Held(t.Context()); err != nil || h.Mark.Token.ID != "x" || !h.Mark.Verified || h.Former.ID != "" {
		t.Errorf("held %+v, %v", h, err)
	}
	if limited := os.Getenv("REMINT_VAULT_LIMITED"); limited != "" { // may read and update, and not touch metadata
		s := sink()
		s.Token = rotate.NewSecret(limited)
		must(t, s.Write(t.Context(), credential("a")))
		if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "grant patch on secret/metadata/"+path) {
			t.Errorf("%q", w)
		}
	}
	writer, reader := os.Getenv("REMINT_VAULT_WRITE"), os.Getenv("REMINT_VAULT_READ")
	if writer == "" || reader == "" {
		return
	}
	s := sink()
	s.Token = rotate.NewSecret(reader)
	fails(t, s.Check(t.Context()), rotate.ErrDenied, "grant update on secret/data/"+path)
	if w := s.Warnings(); len(w) != 0 { // one thing at a time
		t.Errorf("%q", w)
	}
	fails(t, s.Write(t.Context(), credential("b")), rotate.ErrDenied, "update")
	s = sink()
	s.Token = rotate.NewSecret(writer)
	fails(t, s.Check(t.Context()), rotate.ErrDenied, "lacks read")
	s = sink()
	s.Token = rotate.NewSecret("hvs.none")
	fails(t, s.Check(t.Context()), rotate.ErrDenied, "invalid token")
	s = sink()
	s.Path += "/none"
	fails(t, s.Check(t.Context()), rotate.ErrNotFound, "no secret at this path")
	s = sink()
	s.Mount = "cubbyhole"
	fails(t, s.Check(t.Context()), rotate.ErrConfig, "type cubbyhole")
	old := fmt.Sprint("kv1-", time.Now().UnixNano())
	ask("POST", "sys/mounts/"+old, `{"type":"kv","options":{"version":"1"}}`)
	ask("POST", old+"/data/x", `{"token":"old"}`)
	for _, p := range []string{"x", "y"} {
		s = sink()
		s.Mount, s.Path = old, p
		fails(t, s.Check(t.Context()), rotate.ErrConfig, "version 1", "enable-versioning")
		fails(t, s.Write(t.Context(), credential("a")), rotate.ErrConfig, "version 1")
	}
	if got := ask("GET", old+"/data/x", ""); !strings.Contains(got, `"token":"old"`) || strings.Contains(got, "options") {
		t.Errorf("the secret of version 1: %s", got)
	}
}

// TestHostile: whatever is answered in place of Vault.
func TestHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		b := newBed()
		b.Put("secret", "ci/fly", map[string]any{"token": "old", "password": sibling})
		must(t, b.sink().Write(context.Background(), credential("a")))
		s := b.sink(func(s *Secret) { s.Transport = wrap(b.wire) })
		var got rotate.Holding
		says := func(id string, verified bool) string {
			h, err := b.sink().Held(context.Background())
			if err != nil || h.Mark.Token.ID != id || h.Mark.Verified != verified {
				return "the marker was not written"
			}
			return ""
		}
		return hostile.Bench{
			Secrets: func() []string {
				return []string{root, sibling, credential("a").Secret.Reveal(), credential("b").Secret.Reveal()}
			},
			Calls: []hostile.Call{
				{Name: "held", Do: func(ctx context.Context) (err error) { got, err = s.Held(ctx); return err }, Wrong: func() string {
					if id := got.Mark.Token.ID; id != "" && id != "a" {
						return "it holds " + id
					}
					return ""
				}},
				{Name: "check", Do: s.Check},
				{Name: "write", Do: func(ctx context.Context) error { return s.Write(ctx, credential("b")) }, Wrong: func() string {
					if b.value() != credential("b").Secret.Reveal() {
						return "the secret was not written"
					}
					if s.unmarked { // it was told that it may not
						return ""
					}
					return says("b", false)
				}},
				{Name: "mark", Do: func(ctx context.Context) error { return s.Mark(ctx, credential("a").Token) }, Wrong: func() string {
					if s.unmarked {
						return ""
					}
					return says("a", true)
				}},
			},
		}
	}})
}

// TestRequests: a tick with nothing to do is one request.
func TestRequests(t *testing.T) {
	b := newBed()
	s := b.sink()
	hold := func() error { _, err := s.Held(t.Context()); return err }
	write := func(id string) func() error { return func() error { return s.Write(t.Context(), credential(id)) } }
	for _, x := range []struct {
		do   func() error
		want string
	}{
		{hold, "read"}, {write("a"), "write read metadata"}, {write("a"), "read"}, {func() error { return s.Mark(t.Context(), credential("a").Token) }, "read metadata"},
		{func() error { return s.Mark(t.Context(), credential("a").Token) }, "read"}, {hold, "read"},
		{write("b"), "write read metadata"}, {func() error { return s.Undo(t.Context()) }, "write read metadata"},
	} {
		if got := b.took(t, x.do); got != x.want {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
}
