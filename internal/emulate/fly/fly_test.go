package fly

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/tokens"
	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// post sends one document and returns the decoded answer.
func post(t *testing.T, s *Server, credential, query string, vars map[string]any) (data map[string]any, errors []failure) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Authorization", credential)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var a struct {
		Data   map[string]any
		Errors []failure
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a.Data, a.Errors
}

// Fly.io's own client gets on with the emulation: aliases, no operation names, lists without a size.
func TestOwnClient(t *testing.T) {
	s := New()
	s.AddOrg("personal", "web")
	user := s.AddUser("bot@example.com")
	row, text := s.AddToken(Row{Name: "by hand", App: "web"})
	h := httptest.NewServer(s)
	defer h.Close()
	c := flygo.NewClientFromOptions(flygo.ClientOptions{Tokens: tokens.Parse(user), BaseURL: h.URL, Name: "test", Version: "1"})
	ctx := context.Background()
	if u, err := c.GetCurrentUser(ctx); err != nil || u.Email != "bot@example.com" {
		t.Errorf("user: %+v, %v", u, err)
	}
	if o, err := c.GetOrganizationBySlug(ctx, "personal"); err != nil || o.RawSlug == "personal" || o.InternalNumericID == "" {
		t.Errorf("organisation: %+v, %v", o, err)
	}
	if o, err := c.GetOrganizationBySlug(ctx, "nowhere"); err != nil || o != nil {
		t.Errorf("unknown organisation: %+v, %v", o, err)
	}
	for _, list := range []func() ([]flygo.LimitedAccessToken, error){
		func() ([]flygo.LimitedAccessToken, error) { return c.GetOrgLimitedAccessTokens(ctx, "personal") },
		func() ([]flygo.LimitedAccessToken, error) { return c.GetAppLimitedAccessTokens(ctx, "web") },
	} {
		l, err := list()
		if err != nil || len(l) != 1 || l[0].Id != row.ID || l[0].RevokedAt != nil {
			t.Errorf("list: %+v, %v", l, err)
		}
	}
	if !s.Live(text) {
		t.Error("a token made by hand does not live")
	}
	for range 2 {
		if err := c.RevokeLimitedAccessToken(ctx, row.ID); err != nil {
			t.Error(err)
		}
	}
	if s.Live(text) {
		t.Error("a revoked token lives")
	}
	if l, err := c.GetOrgLimitedAccessTokens(ctx, "personal"); err != nil || len(l) != 1 || l[0].RevokedAt == nil {
		t.Errorf("a revoked token is not listed as such: %+v, %v", l, err)
	}
}

const mintQuery = `mutation($input: CreateLimitedAccessTokenInput!) { createLimitedAccessToken(input: $input) { limitedAccessToken { id tokenHeader createdAt expiresAt } } }`

func TestMint(t *testing.T) {
	now := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	s := New()
	s.Now = func() time.Time { return now }
	s.AddOrg("acme", "shop")
	s.AddOrg("other")
	user := s.AddUser("bot@example.com", "acme")
	ids := map[string]string{"acme": s.orgs[0].id, "other": s.orgs[1].id}
	input := func(change map[string]any) map[string]any {
		in := map[string]any{"name": "n", "organizationId": ids["acme"], "profile": "deploy_organization", "profileParams": map[string]any{}, "expiry": "2160h0m0s"}
		for k, v := range change {
			in[k] = v
		}
		return map[string]any{"input": in}
	}
	d, errs := post(t, s, "Bearer "+user, mintQuery, input(nil))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	token := d["createLimitedAccessToken"].(map[string]any)["limitedAccessToken"].(map[string]any)
	text := token["tokenHeader"].(string)
	if token["createdAt"] != "2026-11-01T10:00:00Z" || token["expiresAt"] != "2027-01-30T10:00:00Z" || !s.Live(text) {
		t.Errorf("%v", token)
	}
	for name, change := range map[string]map[string]any{
		"days":              {"expiry": "90d"},
		"no time":           {"expiry": "-1h"},
		"strange profile":   {"profile": "root"},
		"no name":           {"name": ""},
		"slug for an id":    {"organizationId": "acme"},
		"not a member":      {"organizationId": ids["other"]},
		"deploy, no app":    {"profile": "deploy"},
		"deploy, other app": {"profile": "deploy", "profileParams": map[string]any{"app_id": "nowhere"}},
	} {
		if d, errs := post(t, s, "Bearer "+user, mintQuery, input(change)); len(errs) != 1 || d["createLimitedAccessToken"] != nil {
			t.Errorf("%s: %v, %v", name, d, errs)
		}
	}
	if _, errs := post(t, s, text, mintQuery, input(nil)); len(errs) != 1 || !strings.HasPrefix(errs[0].Message, "Not authorized") {
		t.Errorf("minted by a macaroon: %v", errs)
	}
	if _, errs := post(t, s, "Bearer fo1_x", mintQuery, input(nil)); len(errs) != 1 || errs[0].Extensions["code"] != "UNAUTHORIZED" {
		t.Errorf("minted by a stranger: %v", errs)
	}
	if n := len(s.Tokens()); n != 1 {
		t.Errorf("%d tokens", n)
	}
	if _, errs := post(t, s, "Bearer "+user, mintQuery, input(map[string]any{"expiry": ""})); len(errs) > 0 || s.Tokens()[1].Expires.Sub(now) != farthest {
		t.Errorf("without expiry: %v, %+v", errs, s.Tokens()[1])
	}
	now = now.Add(2160*time.Hour + time.Second)
	if s.Live(text) {
		t.Error("an expired token lives")
	}
}

// What a macaroon may see, by its caveats, and which texts are none.
func TestMacaroons(t *testing.T) {
	s := New()
	s.AddOrg("personal", "web", "blog")
	s.AddOrg("acme")
	_, org := s.AddToken(Row{Org: "personal"})
	_, web := s.AddToken(Row{App: "web"})
	const query = `{ viewer { __typename email } personal: organization(slug: "personal") { slug } acme: organization(slug: "acme") { slug } web: app(name: "web") { name } blog: app(name: "blog") { name } }`
	sees := func(credential string) string {
		d, _ := post(t, s, credential, query, nil)
		var names []string
		for _, n := range []string{"viewer", "personal", "acme", "web", "blog"} {
			if d[n] != nil {
				names = append(names, n)
			}
		}
		return strings.Join(names, " ")
	}
	perm, discharges, err := flyio.ParsePermissionAndDischargeTokens(web)
	if err != nil {
		t.Fatal(err)
	}
	m, err := macaroon.Decode(perm)
	if err != nil {
		t.Fatal(err)
	}
	none := resset.ActionNone
	if err := m.Add(&none); err != nil {
		t.Fatal(err)
	}
	weak := macaroon.ToAuthorizationHeader(must(m.Encode()), discharges[0])
	forged := must(macaroon.New([]byte{0, 0, 0, 0, 0, 0, 0, 1}, flyio.LocationPermission, macaroon.NewSigningKey()))
	first, second, _ := strings.Cut(strings.TrimPrefix(web, "FlyV1 "), ",")
	for credential, want := range map[string]string{
		org: "viewer personal web blog",
		"Bearer " + strings.TrimPrefix(org, "FlyV1 "): "viewer personal web blog",
		web:  "viewer personal web",
		weak: "viewer personal",
		macaroon.ToAuthorizationHeader(must(forged.Encode())): "",
		"FlyV1 " + first:  "",
		"FlyV1 " + second: "",
		"FlyV1 " + strings.TrimPrefix(org, "FlyV1 ")[:40]: "",
		"": "",
	} {
		if got := sees(credential); got != want {
			t.Errorf("%.20s…: sees %q, want %q", credential, got, want)
		}
	}
	if _, errs := post(t, s, org, `{ organization(slug: "personal") { limitedAccessTokens { totalCount } } }`, nil); len(errs) != 1 {
		t.Errorf("a macaroon lists tokens: %v", errs)
	}
	if r, ok := s.Which(web); !ok || r.App != "web" {
		t.Errorf("%+v", r)
	}
	if _, ok := s.Which("FlyV1 " + first); ok {
		t.Error("half a token is known")
	}
}

func TestPages(t *testing.T) {
	s := New()
	s.AddOrg("personal")
	for range 5 {
		s.AddToken(Row{Org: "personal"})
	}
	user := s.AddUser("bot@example.com")
	const query = `query($n: Int, $after: String) { organization(slug: "personal") { limitedAccessTokens(first: $n, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { node { id } } } } }`
	vars := map[string]any{"n": 2}
	var seen int
	for page := 1; ; page++ {
		d, errs := post(t, s, user, query, vars)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		list := d["organization"].(map[string]any)["limitedAccessTokens"].(map[string]any)
		seen += len(list["edges"].([]any))
		info := list["pageInfo"].(map[string]any)
		if list["totalCount"] != 5.0 || (info["hasNextPage"] == true) != (page < 3) {
			t.Errorf("page %d: %v", page, list)
		}
		if info["hasNextPage"] != true {
			break
		}
		vars["after"] = info["endCursor"]
	}
	if seen != 5 {
		t.Errorf("%d tokens on all pages", seen)
	}
}

func TestRequests(t *testing.T) {
	s := New()
	for name, c := range map[string]struct {
		method, path, body string
		want               int
	}{
		"GET":           {http.MethodGet, "/graphql", "", 405},
		"elsewhere":     {http.MethodPost, "/", "", 404},
		"no JSON":       {http.MethodPost, "/graphql", "x", 400},
		"no query":      {http.MethodPost, "/graphql", "{}", 200},
		"bad query":     {http.MethodPost, "/graphql", `{"query":"{"}`, 200},
		"unknown field": {http.MethodPost, "/graphql", `{"query":"{ nothing }"}`, 200},
		"unknown name":  {http.MethodPost, "/graphql", `{"query":"query A { viewer { email } }","operationName":"B"}`, 200},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.want || c.want == 200 && !strings.Contains(w.Body.String(), `"errors":[`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// Faults are met by operation, whatever the document is called.
func TestFaults(t *testing.T) {
	s := New()
	s.AddOrg("personal", "web")
	user := s.AddUser("bot@example.com")
	for op, query := range map[string]string{
		"mint":         mintQuery,
		"revoke":       `mutation { deleteLimitedAccessToken(input: {id: "x"}) { token } }`,
		"list":         `{ viewer { email } organization(slug: "personal") { limitedAccessTokens { totalCount } } }`,
		"viewer":       `{ viewer { email } organization(slug: "personal") { id } }`,
		"organization": `{ a: organization(slug: "personal") { ...f } } fragment f on Organization { id }`,
		"app":          `{ app(name: "web") { organization { id } } }`,
		"node":         `{ nodes(ids: ["x"]) { id } }`,
	} {
		s.Faults.Plant(op, Refusal("MAINTENANCE", "planted", 1))
		_, errs := post(t, s, user, query, nil)
		if len(errs) != 1 || errs[0].Message != "planted" {
			t.Errorf("%s: %v", op, errs)
		}
		if s.Served()[op] != 1 {
			t.Errorf("%s: served %v", op, s.Served())
		}
	}
	s.Faults.Plant("viewer", emulate.Fault{Delay: time.Millisecond})
	if d, errs := post(t, s, user, `{ viewer { email } }`, nil); len(errs) > 0 || d["viewer"] == nil {
		t.Errorf("%v, %v", d, errs)
	}
}
