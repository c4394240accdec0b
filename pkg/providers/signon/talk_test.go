package signon

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// played is a script that answers as the test says.
type played func(ctx context.Context, q request) (output string, err error)

func (f played) run(ctx context.Context, line []byte) ([]byte, error) {
	var q request
	if err := json.Unmarshal(line, &q); err != nil {
		return nil, err
	}
	out, err := f(ctx, q)
	return []byte(out), err
}

func playing(f played) *Provider {
	nobody := &emulate.Wire{Route: func(string) http.Handler { return http.NotFoundHandler() }}
	return &Provider{User: "a@example.org", Application: "app", URL: "https://signon.example", run: f, Transport: nobody,
		Cluster: &cluster.Cluster{Server: "https://kube.example", Token: rotate.NewSecret("cluster-token"), Transport: nobody}}
}

const value = "the-value-of-a-token-0123456789_0123456789a"

// good is an answer with one token.
func good(id string, change func(map[string]any)) string {
	sum := sha256.Sum256([]byte(value))
	a := map[string]any{"id": id, "secret": "signon-token-a-app", "client": "c", "life": 63113904, "now": time.Now().Unix(), "unknown": []int{1},
		"tokens": []any{map[string]any{"token": "7", "name": "", "created": 1700000000, "expires": 1763113904, "sha256": hex.EncodeToString(sum[:]), "more": nil}}}
	if change != nil {
		change(a)
	}
	text, _ := json.Marshal(a)
	return `{"remint":1,` + string(text[1:])
}

func token(a map[string]any) map[string]any { return a["tokens"].([]any)[0].(map[string]any) }

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer played
		kind   error // nil: one token
		says   string
	}{
		{"amid noise", func(_ context.Context, q request) (string, error) {
			return "DEPRECATION WARNING: {\n{\"remint\":2,\"id\":\"x\"}\n{\"remint\": 1\n" + good("another", nil) + "\n" + good(q.ID, nil) + "\r\nbye", nil
		}, nil, ""},
		{"an exit status after it", func(_ context.Context, q request) (string, error) {
			return good(q.ID, nil), fmt.Errorf("%w: exit status 3", rotate.ErrTemporary)
		}, nil, ""},
		{"nothing", func(context.Context, request) (string, error) { return "", nil }, rotate.ErrTemporary, "no answer that is understood"},
		{"rubbish", func(context.Context, request) (string, error) { return strings.Repeat("\x00\xff{", 1<<16), nil }, rotate.ErrTemporary, "no answer"},
		{"one endless line", func(_ context.Context, q request) (string, error) {
			return strings.Repeat("x", 2*longest) + "\n" + good(q.ID, nil), nil
		}, rotate.ErrTemporary, "no answer"},
		{"twice", func(_ context.Context, q request) (string, error) {
			return good(q.ID, nil) + "\n" + good(q.ID, nil), nil
		}, rotate.ErrConflict, "answered twice"},
		{"somebody else's", func(context.Context, request) (string, error) { return good("another", nil), nil }, rotate.ErrTemporary, "no answer"},
		{"too much", func(context.Context, request) (string, error) {
			return "", fmt.Errorf("%w: the program wrote more than 1 bytes", rotate.ErrLimit)
		}, rotate.ErrLimit, "wrote more"},
		{"hangs", func(ctx context.Context, _ request) (string, error) { <-ctx.Done(); return "", ctx.Err() }, rotate.ErrTemporary, "did not end within 2m"},
		{"an error", refusing("not-found", "there is no API user"), rotate.ErrNotFound, "there is no API user"},
		{"an error of no known kind", refusing("", "what"), rotate.ErrTemporary, "what"},
		{"an error that quotes a value", refusing("temporary", "bad row "+value+"\n\x1b[2J"), rotate.ErrTemporary, "bad row …"},
		{"no secret's name", changed(func(a map[string]any) { a["secret"] = "../x" }), rotate.ErrTemporary, "name of the Secret"},
		{"no client", changed(func(a map[string]any) { delete(a, "client") }), rotate.ErrTemporary, "client id"},
		{"no life", changed(func(a map[string]any) { a["life"] = -1 }), rotate.ErrTemporary, "life"},
		{"no time", changed(func(a map[string]any) { a["now"] = 1 << 60 }), rotate.ErrTemporary, "time"},
		{"a token without number", changed(func(a map[string]any) { token(a)["token"] = "1 or 1=1" }), rotate.ErrTemporary, "token"},
		{"a token without digest", changed(func(a map[string]any) { token(a)["sha256"] = "ab" }), rotate.ErrTemporary, "token"},
		{"a token of no time", changed(func(a map[string]any) { token(a)["created"] = 0 }), rotate.ErrTemporary, "token"},
		{"one name for two", changed(func(a map[string]any) {
			a["tokens"] = []any{
				map[string]any{"token": "7", "name": "ours", "created": 1, "sha256": strings.Repeat("a", 64)},
				map[string]any{"token": "8", "name": "ours", "created": 1, "sha256": strings.Repeat("b", 64)}}
		}), rotate.ErrConflict, "two tokens have one number, value or name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := playing(c.answer)
				got, err := p.List(t.Context())
				if c.kind == nil {
					if err != nil || len(got) != 1 || got[0].ID != "7" || got[0].Expires.Unix() != 1763113904 {
						t.Errorf("got %v, %v", got, err)
					}
					return
				}
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				if err != nil && (strings.Contains(err.Error(), value) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 1000) {
					t.Errorf("not fit to be shown: %q", err)
				}
				if p.revoke(t.Context(), rotate.Token{ID: "7"}) == nil {
					t.Error("something was revoked")
				}
			})
		})
	}
}

func refusing(kind, text string) played {
	return changed(func(a map[string]any) { a["error"] = map[string]any{"kind": kind, "message": text} })
}

func changed(change func(map[string]any)) played {
	return func(_ context.Context, q request) (string, error) { return good(q.ID, change), nil }
}

// TestMintIsBelievedOnlyWhole: what is not exactly what was asked for is an error, and names the token if it can, for
// the engine to revoke it.
func TestMintIsBelievedOnlyWhole(t *testing.T) {
	const name = "ours 20260101T000000Z-aaaaaaaabbbbbb"
	for _, c := range []struct {
		name   string
		change func(a map[string]any)
		right  bool
		names  bool
	}{
		{"as it should be", func(map[string]any) {}, true, true},
		{"another name", func(a map[string]any) { token(a)["name"] = "another" }, false, false},
		{"no token", func(a map[string]any) { a["tokens"] = []any{} }, false, false},
		{"no value", func(a map[string]any) { a["sealed"] = "" }, false, true},
		{"a value that is not sealed", func(a map[string]any) { a["sealed"] = base64.StdEncoding.EncodeToString([]byte(value)) }, false, true},
		{"another value", func(a map[string]any) { token(a)["sha256"] = strings.Repeat("a", 64) }, false, true},
		{"a short life", func(a map[string]any) { token(a)["expires"] = 1700003600 }, false, true},
		{"an endless life", func(a map[string]any) { token(a)["expires"] = nil }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			p := playing(func(_ context.Context, q request) (string, error) {
				calls++
				return good(q.ID, func(a map[string]any) {
					token(a)["name"], a["sealed"] = name, sealFor(t, q.Key, value)
					c.change(a)
				}), nil
			})
			got, err := p.Mint(t.Context(), name)
			if (err == nil) != c.right || (got.ID != "") != c.names || calls != 1 {
				t.Errorf("%v, %v, %d calls", got.Token, err, calls)
			}
			if c.right && got.Secret.Reveal() != value {
				t.Error("another value")
			}
			if err != nil && strings.Contains(err.Error(), value) {
				t.Error("the error shows the value")
			}
		})
	}
}

func TestRequestHoldsNoSecret(t *testing.T) {
	var asked string
	p := playing(func(_ context.Context, q request) (string, error) {
		text, _ := json.Marshal(q)
		asked += string(text)
		return good(q.ID, nil), nil
	})
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Identify(t.Context(), rotate.NewSecret(value))
	if err := p.Revoke(t.Context(), rotate.Token{ID: "7"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(asked, `"verb":"revoke"`) || strings.Contains(asked, value) {
		t.Errorf("asked %s", asked)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(*Provider)
	}{
		{"user", func(p *Provider) { p.User = "nobody" }},
		{"user", func(p *Provider) { p.User = "A <a@example.org>" }},
		{"application", func(p *Provider) { p.Application = "Publishing API" }},
		{"application", func(p *Provider) { p.Application = "" }},
		{"application", func(p *Provider) { p.Application = "a_b" }},
		{"initiator", func(p *Provider) { p.Initiator = "x" }},
		{"url", func(p *Provider) { p.URL = "http://signon.example" }},
		{"via", func(p *Provider) { p.Via = "ssh" }},
		{"deployment", func(p *Provider) { p.Deployment = "a/b" }},
		{"cronjob", func(p *Provider) { p.CronJob = "A" }},
		{"container", func(p *Provider) { p.Container = "../x" }},
		{"namespace", func(p *Provider) { p.Namespace = "a.b" }},
		{"timeout", func(p *Provider) { p.Timeout = -1 }},
		{"cluster", func(p *Provider) { p.Cluster = nil }},
	} {
		p := playing(nil)
		c.change(p)
		var field *rotate.Error
		if err := p.Validate(); !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: got %v", c.field, err)
		}
		if _, err := p.List(t.Context()); !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: List: %v", c.field, err)
		}
	}
	p := playing(nil)
	if err := p.Validate(); err != nil || p.String() != "signon:signon.example/a@example.org/app" || p.Life() != life || len(p.Endpoints()) != 2 {
		t.Errorf("%s, %v, %s, %v", p, err, p.Life(), p.Endpoints())
	}
	if _, ok := p.Skew(); ok {
		t.Error("a clock that was not seen")
	}
}

// FuzzAnswer: no output of a program makes the decoder panic, and what it takes for tokens can be told apart and stored.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(good("x", nil)))
	f.Add([]byte("noise\n" + good("x", nil) + "\n" + good("x", nil)))
	f.Add([]byte(good("x", func(a map[string]any) { a["error"] = map[string]any{"kind": "limit", "message": "\x00"} })))
	f.Add([]byte(good("x", func(a map[string]any) { a["tokens"] = []any{nil, 1, map[string]any{"expires": -1}} })))
	f.Fuzz(func(t *testing.T, output []byte) {
		s, found, err := understand(output, "x", time.Unix(1700000000, 0))
		if err == nil && !found {
			t.Error("nothing was found, and no error")
		}
		seen := map[string]bool{}
		for _, r := range s.rows {
			if err != nil || r.ID == "" || len(r.digest) != 64 || seen[r.ID] || seen[r.digest] || r.Created.IsZero() {
				t.Errorf("%+v, %v", r, err)
			}
			seen[r.ID], seen[r.digest] = true, true
			if m, bad := rotate.ParseMark(rotate.Mark{Token: r.Token}.String()); bad != nil || m.Token.ID != r.ID {
				t.Errorf("%+v cannot be stored: %v", r, bad)
			}
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Error("an endless error")
		}
	})
}
