package fly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// A whole rotation, in the order of the engine, costs Fly.io seven requests.
func TestRotation(t *testing.T) {
	w := newWorld(t)
	w.both(t, func(t *testing.T, p *Provider) {
		make := w.legacyOrg
		if p.App != "" {
			make = w.legacy
		}
		row, secret := make("old", 24*time.Hour)
		old, err := p.Identify(ctx(t), secret) // what a sink without a marker needs
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "id of the old token", old.ID, row.ID)
		equal(t, "name of the old token", old.Name, "old")
		w.ops()
		p = &Provider{App: p.App, Org: p.Org, Expiry: p.Expiry, Token: p.Token, URL: p.URL, Transport: w, Interval: time.Millisecond}

		list, err := p.List(ctx(t))
		if err != nil || !slices.Contains(list, old) {
			t.Fatalf("the old token is not in %v: %v", list, err)
		}
		if err := p.Check(ctx(t)); err != nil {
			t.Fatal(err)
		}
		c, err := p.Mint(ctx(t), "web 20261101T100000Z-abc")
		if err != nil {
			t.Fatal(err)
		}
		w.secrets = append(w.secrets, c.Secret.Reveal())
		if !strings.HasPrefix(c.Secret.Reveal(), "FlyV1 fm2_") || strings.Count(c.Secret.Reveal(), ",fm2_") != 1 {
			t.Error("the newborn is not whole")
		}
		equal(t, "life", c.Expires.Sub(c.Created), life)
		if list, err = p.List(ctx(t)); err != nil || !slices.Contains(list, c.Token) {
			t.Fatalf("the newborn %v is not in %v: %v", c.Token, list, err)
		}
		got, err := p.Identify(ctx(t), c.Secret)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "identity of the newborn", got, c.Token)
		if err := p.Revoke(ctx(t), old); err != nil {
			t.Fatal(err)
		}
		if n := w.ops(); len(n) != 7 {
			t.Errorf("a rotation took %d requests: %v", len(n), n)
		}
		equal(t, "the old token works", w.Live(secret.Reveal()), false)
		equal(t, "the newborn works", w.Live(c.Secret.Reveal()), true)
		if _, err := p.Identify(ctx(t), secret); !errors.Is(err, rotate.ErrDenied) {
			t.Errorf("a revoked secret: %v", err)
		}
		if warnings := p.Warnings(); len(warnings) > 0 {
			t.Errorf("warnings: %v", warnings)
		}
		if d, ok := p.Skew(); !ok || d.Abs() > 2*time.Second {
			t.Errorf("skew %v, %v", d, ok)
		}
		equal(t, "life", p.Life(), life)
	})
}

func TestValidate(t *testing.T) {
	good := func() *Provider { return &Provider{Org: "personal", Expiry: life, Token: rotate.NewSecret("fo1_x")} }
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		break_ func(*Provider)
		fields string
	}{
		"nothing":        {func(p *Provider) { *p = Provider{} }, "app expiry token"},
		"app and org":    {func(p *Provider) { p.App = "web" }, "org"},
		"strange org":    {func(p *Provider) { p.Org = "a b" }, "org"},
		"strange app":    {func(p *Provider) { p.Org, p.App = "", "a/b\n" }, "app"},
		"negative life":  {func(p *Provider) { p.Expiry = -time.Hour }, "expiry"},
		"short life":     {func(p *Provider) { p.Expiry = time.Second }, "expiry"},
		"uneven life":    {func(p *Provider) { p.Expiry = time.Hour + time.Millisecond }, "expiry"},
		"max-apps":       {func(p *Provider) { p.MaxApps = -1 }, "max-apps"},
		"two lines":      {func(p *Provider) { p.Token = rotate.NewSecret("fo1_SECRET\nfo1_SECRET") }, "token"},
		"empty part":     {func(p *Provider) { p.Token = rotate.NewSecret("fo1_SECRET,") }, "token"},
		"only a scheme":  {func(p *Provider) { p.Token = rotate.NewSecret("FlyV1 ") }, ""}, // a word like any other
		"only spaces":    {func(p *Provider) { p.Token = rotate.NewSecret("  ") }, "token"},
		"plain http":     {func(p *Provider) { p.URL = "http://api.fly.io" }, "url"},
		"user in url":    {func(p *Provider) { p.URL = "https://me:SECRET@api.fly.io" }, "url"},
		"everything bad": {func(p *Provider) { *p = Provider{App: "a", Org: "b", MaxApps: -1, URL: "x"} }, "org expiry max-apps token url"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good()
			c.break_(p)
			var got []string
			err := p.Validate()
			if err != nil {
				for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
					var f *rotate.Error
					if !errors.As(e, &f) || !errors.Is(e, rotate.ErrConfig) {
						t.Fatalf("not a field: %v", e)
					}
					got = append(got, f.At)
				}
				if strings.Contains(err.Error(), "SECRET") {
					t.Errorf("shows the credential: %v", err)
				}
				if _, err := p.List(t.Context()); !errors.Is(err, rotate.ErrConfig) {
					t.Errorf("used in spite of it: %v", err)
				}
			}
			equal(t, "fields", strings.Join(got, " "), c.fields)
		})
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.PageMax = 2 })
	now := time.Now()
	for _, r := range []emulated.Row{
		{Name: "a", App: "web"}, {Name: "b", Org: "personal"}, {Name: "elsewhere", App: "shop"},
		{Name: "revoked", App: "web", Revoked: now.Add(-time.Hour)}, {Name: "expired", App: "web", Created: now.Add(-2 * time.Hour), Expires: now.Add(-time.Hour)},
		{Name: "flyctl", Org: "personal"}, {Name: "flyctl-metrics", App: "web", Profile: "identity"}, {Name: "flyctl-metrics", App: "web"},
		{Name: "db", Org: "personal", Profile: "litefs_cloud"}, {Name: "c", App: "web"}, {Name: "d", Org: "personal"},
	} {
		w.AddToken(r)
	}
	for p, want := range map[*Provider]string{w.org(): "a b c d", w.app(): "a c"} {
		list, err := p.List(ctx(t))
		var names []string
		for _, r := range list {
			names = append(names, r.Name)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: %v, %v", p, names, err)
		}
	}
	equal(t, "pages", len(w.ops()), 5+3)
}

// The list judges expiry by Fly.io's clock.
func TestListClock(t *testing.T) {
	w := newWorld(t)
	w.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
	w.AddToken(emulated.Row{Name: "alive there", Org: "personal", Expires: time.Now().Add(-time.Hour)})
	p := w.org()
	if list, err := p.List(ctx(t)); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if d, ok := p.Skew(); !ok || (d+24*time.Hour).Abs() > 2*time.Second {
		t.Errorf("skew: %v, %v", d, ok)
	}
}

// What goes wrong with a query, how often it is sent, and what comes of it.
func TestQueryFaults(t *testing.T) {
	const unauthorized = "Not authorized to access this limitedaccesstokenconnection"
	for name, c := range map[string]struct {
		fault emulate.Fault
		want  error // nil: it heals
		sent  int
	}{
		"not authorized, thrice":   {emulated.Refusal("", unauthorized, 3), nil, 4},
		"not authorized, coded":    {emulated.Refusal("UNAUTHORIZED", unauthorized, 2), nil, 3},
		"not authorized, for ever": {emulated.Refusal("", unauthorized, -1), rotate.ErrDenied, 4},
		"dead credential":          {emulated.Refusal("UNAUTHORIZED", "You must be authenticated to view this.", 1), rotate.ErrDenied, 1},
		"dead, without a code":     {emulated.Refusal("", "You must be authenticated to view this.", 1), rotate.ErrDenied, 1},
		"dead, said second":        {emulate.Fault{Status: 200, Body: `{"errors":[{"message":"hm"},{"message":"x","extensions":{"code":"UNAUTHORIZED"}}]}`}, rotate.ErrDenied, 1},
		"maintenance":              {emulated.Refusal("MAINTENANCE", "down", 1), rotate.ErrTemporary, 1},
		"server error":             {emulated.Refusal("SERVER_ERROR", "oops", 1), nil, 2},
		"slow list":                {emulated.Refusal("", "Timeout on LimitedAccessTokenConnection.nodes", 1), nil, 2},
		"service unavailable":      {emulated.Refusal("SERVICE_UNAVAILABLE", "oops", -1), rotate.ErrTemporary, 4},
		"not found":                {emulated.Refusal("", "Could not find App", 1), rotate.ErrNotFound, 1},
		"invalid":                  {emulated.Refusal("INVALID_ARGUMENTS", "no", 1), rotate.ErrConfig, 1},
		"unknown error":            {emulated.Refusal("", "hm", 1), rotate.ErrTemporary, 1},
		"502":                      {emulate.Fault{Status: 502}, nil, 2},
		"503 for ever":             {emulate.Fault{Status: 503, Times: -1}, rotate.ErrTemporary, 4},
		"502 after the work":       {emulate.Fault{Status: 502, After: true, Times: 3}, nil, 4},
		"500":                      {emulate.Fault{Status: 500}, nil, 2},
		"429":                      {emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"0"}}}, nil, 2},
		"429 for long":             {emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"7200"}}}, rotate.ErrLimit, 1},
		"400":                      {emulate.Fault{Status: 400, Body: `{"errors":[{"message":"bad query"}]}`}, rotate.ErrConfig, 1},
		"401":                      {emulate.Fault{Status: 401}, rotate.ErrDenied, 1},
		"204":                      {emulate.Fault{Status: 204}, rotate.ErrTemporary, 1},
		"lost":                     {emulate.Fault{}, nil, 2},
		"no JSON":                  {emulate.Fault{Status: 200, Body: "<html>"}, rotate.ErrTemporary, 1},
		"half an answer":           {emulate.Fault{Status: 200, Body: `{"data":{"organ`}, rotate.ErrTemporary, 1},
		"another form":             {emulate.Fault{Status: 200, Body: `{"data":{"organization":[1]}}`}, rotate.ErrTemporary, 1},
		"nothing":                  {emulate.Fault{Status: 200, Body: `{}`}, rotate.ErrNotFound, 1},
		"no ids":                   {emulate.Fault{Status: 200, Body: `{"data":{"organization":{"slug":"personal"}}}`}, rotate.ErrTemporary, 1},
		"a list without end": {emulate.Fault{Status: 200, Times: -1, Body: `{"data":{"organization":{"id":"o","internalNumericId":"1",
			"limitedAccessTokens":{"pageInfo":{"hasNextPage":true,"endCursor":"x"},"nodes":[]}}}}`}, rotate.ErrTemporary, 2},
		"an entry that is null": {emulate.Fault{Status: 200, Body: `{"data":{"organization":{"id":"o","internalNumericId":"1",
			"limitedAccessTokens":{"pageInfo":{},"nodes":[null]}}}}`}, rotate.ErrTemporary, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.t = &testing.T{} // planted answers need not fit the schema
			w.Faults.Plant("list", c.fault)
			_, err := w.org().List(ctx(t))
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			equal(t, "requests", w.Served()["list"], c.sent)
			if err != nil && !strings.HasPrefix(err.Error(), "list fly:org/personal: ") {
				t.Errorf("not said where: %v", err)
			}
			w.clean(t, err)
		})
	}
}

func TestMissing(t *testing.T) {
	w := newWorld(t)
	w.user = w.AddUser("outsider@example.com", "acme")
	w.both(t, func(t *testing.T, p *Provider) {
		_, err := p.List(ctx(t))
		if !errors.Is(err, rotate.ErrNotFound) || !strings.Contains(err.Error(), "member") {
			t.Errorf("list: %v", err)
		}
		if err := p.Check(ctx(t)); !errors.Is(err, rotate.ErrNotFound) {
			t.Errorf("check: %v", err)
		}
		if _, err := p.Mint(ctx(t), "x"); !errors.Is(err, rotate.ErrNotFound) {
			t.Errorf("mint: %v", err)
		}
	})
	equal(t, "tokens", len(w.Tokens()), 0)
}

// A mutation is sent once, whatever is answered.
func TestOnce(t *testing.T) {
	refused := emulated.Refusal("", "Not authorized to access this createlimitedaccesstoken", 1)
	for name, c := range map[string]struct {
		fault emulate.Fault
		want  error
		born  int
	}{
		"502 before":         {emulate.Fault{Status: 502}, rotate.ErrTemporary, 0},
		"502 after":          {emulate.Fault{Status: 502, After: true}, rotate.ErrTemporary, 1},
		"503 before":         {emulate.Fault{Status: 503, Header: http.Header{"Retry-After": {"0"}}}, rotate.ErrTemporary, 0},
		"503 after":          {emulate.Fault{Status: 503, After: true}, rotate.ErrTemporary, 1},
		"500":                {emulate.Fault{Status: 500}, rotate.ErrTemporary, 0},
		"504":                {emulate.Fault{Status: 504, After: true}, rotate.ErrTemporary, 1},
		"429":                {emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"0"}}}, rotate.ErrLimit, 0},
		"401":                {emulate.Fault{Status: 401}, rotate.ErrDenied, 0},
		"lost before":        {emulate.Fault{}, rotate.ErrTemporary, 0},
		"lost after":         {emulate.Fault{After: true}, rotate.ErrTemporary, 1},
		"redirect":           {emulate.Fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}}, rotate.ErrConfig, 0},
		"no JSON":            {emulate.Fault{Status: 200, Body: "FlyV1 fm2_SECRETSECRET", After: true}, rotate.ErrTemporary, 1},
		"secret in an error": {emulate.Fault{Status: 400, Body: `{"errors":[{"message":"SECRETSECRET"}]}`}, rotate.ErrConfig, 0},
		"secret in a 200":    {emulated.Refusal("X_Y", "SECRETSECRET", 1), rotate.ErrTemporary, 0},
		"secret as a code":   {emulated.Refusal("SECRET-SECRET 12", "hm", 1), rotate.ErrTemporary, 0},
		"refused":            {refused, rotate.ErrDenied, 0},
		"server error":       {emulated.Refusal("SERVER_ERROR", "hm", 1), rotate.ErrTemporary, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.t = &testing.T{}
			w.secrets = append(w.secrets, "SECRETSECRET")
			p := w.org()
			w.Faults.Plant("mint", c.fault)
			got, err := p.Mint(ctx(t), "newborn")
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "SECRET") {
				t.Errorf("the answer of a mint is in the error: %v", err)
			}
			w.clean(t, err, fmt.Sprintf("%+v", got))
			equal(t, "requests", w.Served()["mint"], 1)
			equal(t, "born", len(w.Tokens()), c.born)

			_, secret := w.legacyOrg("old", time.Hour)
			old, err := p.Identify(ctx(t), secret)
			if err != nil {
				t.Fatal(err)
			}
			c.fault.Times = 0
			w.Faults.Plant("revoke", c.fault)
			err = p.Revoke(ctx(t), old)
			equal(t, "requests to revoke", w.Served()["revoke"], 1)
			equal(t, "still accepted", w.Live(secret.Reveal()), !c.fault.After)
			if c.fault.After != (err == nil) || err != nil && (!errors.Is(err, c.want) || errors.Is(err, rotate.ErrUnproven)) {
				t.Errorf("revoke: %v", err) // if it took effect, the list says so; else it is not waited for
			}
			w.clean(t, err)
		})
	}
}

// broken is a wire that breaks under operations whose text has match, with an error that calls itself
// temporary and is a reset connection: what fly-go and rehttp repeat by themselves.
type broken struct {
	next  *world
	match string
	n     atomic.Int32
}

type temporary struct{ error }

func (temporary) Temporary() bool { return true }
func (temporary) Timeout() bool   { return true }
func (t temporary) Unwrap() error { return t.error }

func (b *broken) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(body), b.match) {
		b.n.Add(1)
		return nil, temporary{&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return b.next.RoundTrip(r)
}

func TestBrokenWire(t *testing.T) {
	for match, want := range map[string]int32{"mutation": 1, "query": 4} {
		w := newWorld(t)
		b := &broken{next: w, match: match}
		p := w.org()
		p.Transport = b
		_, err := p.Mint(ctx(t), "newborn")
		if !errors.Is(err, rotate.ErrTemporary) {
			t.Errorf("%s: %v", match, err)
		}
		equal(t, match+" sent", b.n.Load(), want)
	}
}

// A redirect to another host takes no credential along, whoever asks for what.
func TestRedirect(t *testing.T) {
	var hits atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		_, _ = io.WriteString(w, `{"data":{}}`)
	}))
	defer thief.Close()
	w := newWorld(t)
	_, secret := w.legacyOrg("old", time.Hour)
	away := emulate.Fault{Status: 307, Header: http.Header{"Location": {thief.URL + "/graphql?token=SECRET"}}, Times: -1}
	for _, op := range []string{"list", "mint", "revoke", "viewer"} {
		p := w.org()
		old, err := p.Identify(ctx(t), secret)
		if err != nil {
			t.Fatal(err)
		}
		w.Faults.Plant(op, away)
		err = map[string]func() error{
			"list":   func() error { _, err := p.List(ctx(t)); return err },
			"mint":   func() error { _, err := p.Mint(ctx(t), "x"); return err },
			"revoke": func() error { return p.Revoke(ctx(t), old) },
			"viewer": func() error { _, err := p.Identify(ctx(t), secret); return err },
		}[op]()
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "redirect") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", op, err)
		}
		w.clean(t, err)
		w.Faults.Clear()
	}
	equal(t, "requests to another host", hits.Load(), 0)
}

func TestCancelled(t *testing.T) {
	w := newWorld(t)
	c, cancel := context.WithCancel(t.Context())
	cancel()
	p := w.org()
	for op, err := range map[string]error{
		"list":  func() error { _, err := p.List(c); return err }(),
		"check": p.Check(c),
		"mint":  func() error { _, err := p.Mint(c, "x"); return err }(),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", op, err)
		}
	}
	equal(t, "tokens", len(w.Tokens()), 0)
}

// A service that does not answer is given up by itself.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emulated.New()
		s.AddOrg("personal", "web")
		s.Faults.Plant("list", emulate.Fault{Delay: 24 * time.Hour, Times: -1})
		p := &Provider{Org: "personal", Expiry: life, Token: rotate.NewSecret(s.AddUser("a@b.c")), Transport: &emulate.Wire{Route: func(string) http.Handler { return s }}}
		begun := time.Now()
		_, err := p.List(t.Context())
		if !errors.Is(err, rotate.ErrTemporary) || time.Since(begun) > queryTime {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// Sixty rotations of one organisation list once, at the same time or one after the other.
func TestShared(t *testing.T) {
	w := newWorld(t)
	w.legacyOrg("old", time.Hour)
	var account Account
	provider := func() *Provider {
		p := w.org()
		p.Shared = &account
		return p
	}
	list := func(p *Provider, want int) {
		t.Helper()
		tokens, err := p.List(ctx(t))
		if err != nil || len(tokens) != want {
			t.Errorf("%v, %v", tokens, err)
		}
	}
	var wg sync.WaitGroup
	all := make([]*Provider, 60)
	for i := range all {
		all[i] = provider()
		wg.Go(func() { list(all[i], 1) })
	}
	wg.Wait()
	equal(t, "lists of sixty surveys", len(w.ops()), 1)
	if _, ok := all[59].Skew(); !ok {
		t.Error("the clock is not shared")
	}
	list(all[7], 1)
	equal(t, "lists of a second look", len(w.ops()), 1)
	late := provider()
	c, err := all[7].Mint(ctx(t), "newborn")
	if err != nil {
		t.Fatal(err)
	}
	w.ops()
	list(late, 2)
	equal(t, "lists after a mint", len(w.ops()), 1)
	list(provider(), 2)
	equal(t, "lists of another survey", len(w.ops()), 0)
	if err := all[7].Revoke(ctx(t), c.Token); err != nil {
		t.Fatal(err)
	}
	w.ops()
	list(provider(), 1)
	equal(t, "lists after a revocation was confirmed", len(w.ops()), 0)

	other := provider()
	other.Token = rotate.NewSecret(w.AddUser("another@example.com"))
	list(other, 1)
	equal(t, "lists with another credential", len(w.ops()), 1)
	app := w.app()
	app.Shared = &account
	list(app, 0)
	equal(t, "lists of an app", len(w.ops()), 1)
	w.clean(t, nil, fmt.Sprintf("%v %+v %#v", &account, &account, &account), fmt.Sprintf("%+v", all[7]))
}

// A shared list is of use for a minute, and a list that a mint overtook is not shared.
func TestSharedAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emulated.New()
		s.AddOrg("personal", "web")
		user := rotate.NewSecret(s.AddUser("a@b.c"))
		var account Account
		provider := func() *Provider {
			return &Provider{Org: "personal", Expiry: life, Token: user, Shared: &account, Transport: &emulate.Wire{Route: func(string) http.Handler { return s }}}
		}
		list := func(p *Provider) int {
			t.Helper()
			before := s.Served()["list"]
			if _, err := p.List(t.Context()); err != nil {
				t.Error(err)
			}
			return s.Served()["list"] - before
		}
		equal(t, "first", list(provider()), 1)
		time.Sleep(59 * time.Second)
		equal(t, "within a minute", list(provider()), 0)
		time.Sleep(time.Second)
		minter := provider()
		equal(t, "after a minute", list(minter), 1)
		s.Faults.Plant("list", emulate.Fault{Delay: 10 * time.Second})
		go list(minter)
		time.Sleep(time.Second)
		if _, err := minter.Mint(t.Context(), "newborn"); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second)
		equal(t, "after a list that a mint overtook", list(provider()), 1)
	})
}

// The proof of a newborn, by what is wrong with it.
func TestMintProof(t *testing.T) {
	mask := func(m resset.Action) func(uint64, uint64) []macaroon.Caveat {
		return func(org, app uint64) []macaroon.Caveat {
			c := []macaroon.Caveat{&flyio.Organization{ID: org, Mask: resset.ActionAll}, &flyio.Organization{ID: org, Mask: m}}
			if app != 0 {
				c = append(c, &flyio.Apps{Apps: resset.New(resset.ActionAll, app)})
			}
			return c
		}
	}
	apps := func(sets ...resset.ResourceSet[uint64, resset.Action]) func(uint64, uint64) []macaroon.Caveat {
		return func(org, _ uint64) []macaroon.Caveat {
			c := []macaroon.Caveat{&flyio.Organization{ID: org, Mask: resset.ActionAll}}
			for _, s := range sets {
				c = append(c, &flyio.Apps{Apps: s})
			}
			return c
		}
	}
	for name, c := range map[string]struct {
		quirk func(*emulated.Quirks)
		want  string // "": it passes
		only  string // "org", "app": of one kind
	}{
		"plain":                 {func(q *emulated.Quirks) {}, "", ""},
		"plain apps":            {func(q *emulated.Quirks) { q.PlainApps = true }, "", "app"},
		"less than an hour off": {func(q *emulated.Quirks) { q.Backdated = 50 * time.Minute }, "", ""},
		"hours off":             {func(q *emulated.Quirks) { q.Backdated = 2 * time.Hour }, "it ends", ""},
		"short":                 {func(q *emulated.Quirks) { q.Life = time.Hour }, "it ends", ""},
		"for ever":              {func(q *emulated.Quirks) { q.Life = 20 * 365 * 24 * time.Hour }, "it ends", ""},
		"discharge ends early":  {func(q *emulated.Quirks) { q.DischargeLife = 630 * time.Second }, "its proof of a third party ends", ""},
		"undischarged":          {func(q *emulated.Quirks) { q.Undischarged = true }, "auth.fly.io", ""},
		"read only":             {func(q *emulated.Quirks) { q.Caveats = mask(resset.ActionRead) }, `its rights are "r"`, ""},
		"other organisation": {func(q *emulated.Quirks) {
			q.Caveats = func(uint64, uint64) []macaroon.Caveat {
				return []macaroon.Caveat{&flyio.Organization{ID: 9, Mask: resset.ActionAll}}
			}
		}, "organisation number 9", ""},
		"any organisation": {func(q *emulated.Quirks) {
			q.Caveats = func(uint64, uint64) []macaroon.Caveat {
				return []macaroon.Caveat{&flyio.Organization{Mask: resset.ActionAll}}
			}
		}, "organisation number 0", ""},
		"two organisations": {func(q *emulated.Quirks) {
			q.Caveats = func(org, _ uint64) []macaroon.Caveat {
				return []macaroon.Caveat{&flyio.Organization{ID: org, Mask: resset.ActionAll}, &flyio.Organization{ID: 9, Mask: resset.ActionAll}}
			}
		}, "not bound to one organisation", ""},
		"no organisation": {func(q *emulated.Quirks) { q.Caveats = func(uint64, uint64) []macaroon.Caveat { return nil } }, "not bound to one organisation", ""},
		"one app for org": {func(q *emulated.Quirks) { q.Caveats = apps(resset.New(resset.ActionAll, uint64(7001))) }, "not for the whole organisation", "org"},
		"no app for org": {func(q *emulated.Quirks) {
			q.Caveats = apps(resset.New(resset.ActionAll, uint64(1)), resset.New(resset.ActionAll, uint64(2)))
		}, "no app at all", "org"},
		"every app for org": {func(q *emulated.Quirks) { q.Caveats = apps(resset.New(resset.ActionAll, uint64(0))) }, "", "org"},
		"whole org for app": {func(q *emulated.Quirks) { q.Caveats = apps() }, "the whole organisation", "app"},
		"every app for app": {func(q *emulated.Quirks) { q.Caveats = apps(resset.New(resset.ActionAll, uint64(0))) }, "the whole organisation", "app"},
		"two apps":          {func(q *emulated.Quirks) { q.Caveats = apps(resset.New(resset.ActionAll, uint64(7001), uint64(7002))) }, "7001 7002", "app"},
		"other app":         {func(q *emulated.Quirks) { q.Caveats = apps(resset.New(resset.ActionAll, uint64(7002))) }, "7002", "app"},
		"no app": {func(q *emulated.Quirks) {
			q.Caveats = apps(resset.New(resset.ActionAll, uint64(1)), resset.New(resset.ActionAll, uint64(2)))
		}, "no app at all", "app"},
		"app read only": {func(q *emulated.Quirks) { q.Caveats = apps(resset.New(resset.ActionRead, uint64(7001))) }, `its rights are "r"`, "app"},
		"action without control": {func(q *emulated.Quirks) {
			q.Caveats = func(org, _ uint64) []macaroon.Caveat {
				a := resset.ActionAll &^ resset.ActionControl
				return []macaroon.Caveat{&flyio.Organization{ID: org, Mask: resset.ActionAll}, &a}
			}
		}, `its rights are "rwcd"`, "org"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Set(c.quirk)
			w.both(t, func(t *testing.T, p *Provider) {
				if c.only == "org" && p.App != "" || c.only == "app" && p.App == "" {
					t.Skip("of the other kind")
				}
				got, err := p.Mint(ctx(t), "newborn")
				w.secrets = append(w.secrets, got.Secret.Reveal())
				if got.ID == "" || got.Secret.IsZero() {
					t.Error("what was minted is not returned")
				}
				if c.want == "" != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.want) || !errors.Is(err, rotate.ErrConflict)) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if err == nil && name == "less than an hour off" && got.Expires.Sub(got.Created) != life-50*time.Minute {
					t.Errorf("expires %s, after its macaroon", got.Expires)
				}
				w.clean(t, err)
				if err := p.Revoke(ctx(t), got.Token); err != nil {
					t.Errorf("the newborn cannot be revoked: %v", err)
				}
			})
		})
	}
}

// An answer that carries both a token and an error is an error, with the token.
func TestMintPartial(t *testing.T) {
	w := newWorld(t)
	w.Set(func(q *emulated.Quirks) { q.MintError = "something about fm2_SECRETSECRET" })
	w.secrets = append(w.secrets, "SECRETSECRET")
	c, err := w.org().Mint(ctx(t), "newborn")
	if !errors.Is(err, rotate.ErrTemporary) || c.ID != w.Tokens()[0].ID || c.Name != "newborn" || c.Secret.IsZero() {
		t.Errorf("%v, %v", c, err)
	}
	w.secrets = append(w.secrets, c.Secret.Reveal())
	w.clean(t, err, fmt.Sprintf("%+v", c))
}

func TestMintNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "flyctl", "flyctl-metrics", "a\nb", " a"} {
		if _, err := w.org().Mint(ctx(t), name); !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%q: %v", name, err)
		}
	}
	equal(t, "requests", len(w.ops()), 0)
}

// A credential of macaroons only is named as one that cannot mint, before anything is sent.
func TestMacaroonCannotMint(t *testing.T) {
	w := newWorld(t)
	_, secret := w.legacyOrg("old", time.Hour)
	p := w.org()
	p.Token = secret
	err := p.Check(ctx(t))
	if !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "user's token") {
		t.Errorf("check: %v", err)
	}
	w.clean(t, err)
	if _, err := p.Mint(ctx(t), "x"); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("mint: %v", err)
	}
	equal(t, "requests", len(w.ops()), 0)

	// One that does not look like it is told by its viewer, or by the refusal.
	p = w.org()
	p.Token = rotate.NewSecret(strings.ReplaceAll(secret.Reveal(), "FlyV1 ", "") + ",fo1_unknown")
	err = p.Check(ctx(t))
	if !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "user's token") {
		t.Errorf("check: %v", err)
	}
	if _, err := p.Mint(ctx(t), "x"); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("mint: %v", err)
	}
	equal(t, "tokens", len(w.Tokens()), 1)
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	w.AddOrg("acme", "fly-builder-quiet-sea-1")
	for name, c := range map[string]struct {
		change  func(*Provider)
		fault   *emulate.Fault
		want    error
		warning string
	}{
		"org":           {func(p *Provider) {}, nil, nil, ""},
		"app":           {func(p *Provider) { p.Org, p.App = "", "blog" }, nil, nil, ""},
		"two apps":      {func(p *Provider) { p.Org = "acme" }, nil, nil, "has 2 apps (blog, shop), more than max-apps (1)"},
		"two allowed":   {func(p *Provider) { p.Org, p.MaxApps = "acme", 2 }, nil, nil, ""},
		"unknown org":   {func(p *Provider) { p.Org = "nowhere" }, nil, rotate.ErrNotFound, ""},
		"unknown app":   {func(p *Provider) { p.Org, p.App = "", "nowhere" }, nil, rotate.ErrNotFound, ""},
		"dead":          {func(p *Provider) { p.Token = rotate.NewSecret("fo1_dead-and-gone") }, nil, rotate.ErrDenied, ""},
		"maintenance":   {func(p *Provider) {}, new(emulated.Refusal("MAINTENANCE", "x", 1)), rotate.ErrTemporary, ""},
		"nothing comes": {func(p *Provider) {}, &emulate.Fault{Status: 200, Body: "{}"}, rotate.ErrTemporary, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.org()
			c.change(p)
			if c.fault != nil {
				w.Faults.Plant("viewer", *c.fault)
			}
			w.ops()
			err := p.Check(ctx(t))
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			equal(t, "requests", len(w.ops()), 1)
			warnings := strings.Join(p.Warnings(), "\n")
			if c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings: %q, want %q", warnings, c.warning)
			}
			if c.warning != "" {
				if err := p.Check(ctx(t)); err != nil {
					t.Error(err)
				}
				equal(t, "warnings the second time", len(p.Warnings()), 0)
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	for name, c := range map[string]struct {
		quirk func(*emulated.Quirks)
		want  error
		lists int
	}{
		"at once":  {func(*emulated.Quirks) {}, nil, 1},
		"late":     {func(q *emulated.Quirks) { q.UnseenRevocations = 4 }, nil, 5},
		"never":    {func(q *emulated.Quirks) { q.UnseenRevocations = 1 << 30 }, rotate.ErrUnproven, 9},
		"unlisted": {func(q *emulated.Quirks) { q.PageMax = 1 }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			row, secret := w.legacyOrg("old", time.Hour)
			w.Set(c.quirk)
			p := w.org()
			old := rotate.Token{ID: row.ID, Name: row.Name, Created: row.Created, Expires: row.Expires}
			err := p.Revoke(ctx(t), old)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			equal(t, "lists", w.Served()["list"], c.lists)
			equal(t, "still accepted", w.Live(secret.Reveal()), false)
			if c.want == nil { // again, here and by somebody who has not seen the list
				w.ops()
				if err := errors.Join(p.Revoke(ctx(t), old)); err != nil {
					t.Errorf("again: %v", err)
				}
				equal(t, "requests for what is known to be revoked", len(w.ops()), 0)
				if err := w.org().Revoke(ctx(t), old); err != nil {
					t.Errorf("again: %v", err)
				}
			}
		})
	}
}

// The wait for a revocation to show is two minutes with the default interval, and ends with the context.
func TestRevokeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emulated.New()
		s.AddOrg("personal", "web")
		row, _ := s.AddToken(emulated.Row{Name: "old", Org: "personal"})
		s.Set(func(q *emulated.Quirks) { q.UnseenRevocations = 1 << 30 })
		p := &Provider{Org: "personal", Expiry: life, Token: rotate.NewSecret(s.AddUser("a@b.c")), Transport: &emulate.Wire{Route: func(string) http.Handler { return s }}}
		begun := time.Now()
		if err := p.Revoke(t.Context(), rotate.Token{ID: row.ID}); !errors.Is(err, rotate.ErrUnproven) {
			t.Error(err)
		}
		equal(t, "waited", time.Since(begun), 2*time.Minute)
		c, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Revoke(c, rotate.Token{ID: row.ID}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestRevokeRefuses(t *testing.T) {
	w := newWorld(t)
	p := w.org()
	metrics, _ := w.AddToken(emulated.Row{Name: "flyctl-metrics", Org: "personal"})
	row, secret := w.legacyOrg("part of the credential", time.Hour)
	p.Token = rotate.NewSecret(w.user + "," + strings.TrimPrefix(secret.Reveal(), "FlyV1 "))
	if _, err := p.List(ctx(t)); err != nil {
		t.Fatal(err)
	}
	w.ops()
	for name, c := range map[string]struct {
		token rotate.Token
		want  error
	}{
		"no id":                       {rotate.Token{Name: "x"}, rotate.ErrConfig},
		"flyctl's by name":            {rotate.Token{ID: "x", Name: "flyctl"}, rotate.ErrConflict},
		"flyctl's, named differently": {rotate.Token{ID: metrics.ID, Name: "web"}, rotate.ErrConflict},
		"the minting credential":      {rotate.Token{ID: row.ID}, rotate.ErrConflict},
	} {
		if err := p.Revoke(ctx(t), c.token); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	equal(t, "requests", len(w.ops()), 0)
	// What nobody knows is gone.
	if err := w.org().Revoke(ctx(t), rotate.Token{ID: "unheard-of"}); err != nil {
		t.Error(err)
	}
	// But not if nobody could be asked to revoke it.
	w.Faults.Plant("revoke", emulate.Fault{Status: 503})
	if err := w.org().Revoke(ctx(t), rotate.Token{ID: "unheard-of"}); !errors.Is(err, rotate.ErrTemporary) {
		t.Error(err)
	}
}

// Printing a provider, however, shows no credential.
func TestLeak(t *testing.T) {
	w := newWorld(t)
	p := w.org()
	p.Transport = nil // w itself knows the secrets
	c, err := p.Mint(ctx(t), "newborn")
	if err != nil {
		t.Fatal(err)
	}
	w.secrets = append(w.secrets, c.Secret.Reveal())
	if _, err := p.Identify(ctx(t), c.Secret); err != nil {
		t.Fatal(err)
	}
	var texts []string
	inside := []any{p, c, []any{p, c}, p.last, struct{ P *Provider }{p}, struct{ p *Provider }{p}, map[string]*Provider{"p": p}}
	for _, v := range inside {
		for _, verb := range "vsqxXdtcbeopUTw" {
			texts = append(texts, fmt.Sprintf("%"+string(verb), v), fmt.Sprintf("%+"+string(verb), v), fmt.Sprintf("%#"+string(verb), v))
		}
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "provider", p, "credential", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "provider", p, "credential", c)
	texts = append(texts, log.String())
	if b, err := json.Marshal(c); err == nil {
		texts = append(texts, string(b))
	}
	w.clean(t, nil, texts...)
}

// A service that repeats the credential in its errors gives nothing away.
func TestEcho(t *testing.T) {
	w := newWorld(t)
	w.t = &testing.T{}
	w.user = "OldStyleCredentialWithoutAnyPrefix0123456789"
	w.secrets = append(w.secrets, w.user)
	for _, f := range []emulate.Fault{
		emulated.Refusal("", "You said Bearer "+w.user+" and fm2_AAAABBBBCCCC=", 1),
		{Status: 400, Body: `{"errors":[{"message":"You said ` + w.user + ` and fo1_AAAABBBBCCCC"}]}`},
		{Status: 500, Body: w.user, Times: 4},
	} {
		w.Faults.Plant("list", f)
		_, err := w.org().List(ctx(t))
		if err == nil || strings.Contains(err.Error(), "BBBB") {
			t.Error(err)
		}
		w.clean(t, err)
	}
}

// Every document fits Fly.io's schema with the variables it is sent with; the test's wire sees to that. Here
// each is seen to be sent.
func TestDocuments(t *testing.T) {
	w := newWorld(t)
	w.AddOrg("personal", "web")
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	var secrets []rotate.Secret
	for _, r := range []emulated.Row{{Org: "personal", Created: at}, {Org: "personal", Created: at}, {App: "web", Created: at}, {App: "web", Created: at}} {
		_, text := w.AddToken(r)
		secrets = append(secrets, rotate.NewSecret(text))
	}
	_, stranger := w.AddToken(emulated.Row{Org: "acme"})
	for i, p := range []*Provider{w.org(), w.app()} {
		c, err := p.Mint(ctx(t), "x")
		_, err1 := p.Identify(ctx(t), secrets[2*i])
		_, err2 := p.Identify(ctx(t), rotate.NewSecret(stranger))
		if !errors.Is(err2, rotate.ErrConflict) {
			t.Error(err2)
		}
		if err := errors.Join(err, err1, p.Check(ctx(t)), p.Revoke(ctx(t), c.Token)); err != nil {
			t.Error(err)
		}
	}
	sent := w.ops()
	for _, q := range []string{mutationMint, mutationRevoke, queryOrgTokens, queryAppTokens, queryCheckOrg, queryCheckApp, queryWho, queryWhoOrg, queryWhoApp, queryNonces} {
		if name := (call{query: q}).name(); !slices.Contains(sent, name) {
			t.Errorf("%s was not sent", name)
		}
	}
	if _, err := schema(); err != nil {
		t.Skipf("no schema to hold requests to: %v", err)
	}
}
