package fly

// The fields of the emulated part of the schema. Every function here runs under Server.mu.

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/macaroon"
)

// farthest is the life of a token minted without an expiry; flyctl asks for it by default.
const farthest = 175200 * time.Hour

type user struct {
	number      uint64
	email, text string
	orgs        []string
}

func (u *user) member(o *org) bool {
	return len(u.orgs) == 0 || slices.Contains(u.orgs, o.slug)
}

type org struct {
	number        uint64
	id, slug, raw string
}

type app struct {
	number  uint64
	name    string
	org     *org
	builder bool
}

type row struct {
	number            uint64
	id, name, profile string
	params            map[string]any
	org               *org
	app               *app
	user              *user
	created, expires  time.Time
	revoked           time.Time
	by                any
	header, root      string
	shown             bool // lists have shown it, or it was there before births began to be hidden
}

func (r *row) public() Row {
	p := Row{ID: r.id, Name: r.name, Profile: r.profile, Org: r.org.slug, User: r.user.email, Created: r.created, Expires: r.expires, Revoked: r.revoked}
	if r.app != nil {
		p.App = r.app.name
	}
	return p
}

// opaque makes an id that says nothing, and is another for every server.
func opaque(kind string, n uint64, key macaroon.SigningKey) string {
	mixed := fmt.Sprintf("%s:%x:%d", kind, key[:3], n)
	return strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(mixed)), "=")
}

func (s *Server) org(slug string) *org {
	for _, o := range s.orgs {
		if slug != "" && (o.slug == slug || o.raw == slug || o.id == slug) {
			return o
		}
	}
	return nil
}

func (s *Server) app(name string) *app {
	for _, a := range s.apps {
		if name != "" && a.name == name {
			return a
		}
	}
	return nil
}

func text(args map[string]any, names ...string) string {
	for _, n := range names {
		if v, ok := args[n].(string); ok && v != "" {
			return v
		}
	}
	return ""
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func denied(what string) *failure {
	return &failure{Message: "Not authorized to access this " + what}
}

func unknown(what string) *failure {
	return &failure{Message: "Could not find " + what, Extensions: map[string]any{"code": "NOT_FOUND"}}
}

func invalid(format string, args ...any) *failure {
	return &failure{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": "UNPROCESSABLE"}}
}

// authenticated makes a resolver that needs a principal.
func (s *Server) authenticated(header string, f func(*principal, map[string]any) (any, *failure)) resolver {
	return func(args map[string]any) (any, *failure) {
		who, e := s.principal(header)
		if e != nil {
			return nil, e
		}
		return f(who, args)
	}
}

// query is the root of queries.
func (s *Server) query(header string) object {
	organization := func(who *principal, args map[string]any) (any, *failure) {
		o := s.org(text(args, "slug", "id", "name"))
		if o == nil || !who.sees(o) {
			return nil, nil
		}
		return s.orgObject(who, o), nil
	}
	node := func(who *principal, id string) object {
		for _, r := range s.rows {
			if r.id == id && who.user != nil && who.user.member(r.org) {
				if s.quirks.NoNonces {
					return nil
				}
				return s.tokenObject(who, r)
			}
		}
		return nil
	}
	return object{
		"__typename": "Queries",
		"viewer": s.authenticated(header, func(who *principal, _ map[string]any) (any, *failure) {
			return s.viewer(who), nil
		}),
		"userOnlyToken": s.authenticated(header, func(who *principal, _ map[string]any) (any, *failure) {
			return false, nil
		}),
		"organization": s.authenticated(header, organization),
		"app": s.authenticated(header, func(who *principal, args map[string]any) (any, *failure) {
			a := s.app(text(args, "name", "id", "internalId"))
			if a == nil || !who.sees(a.org) {
				return nil, unknown("App")
			}
			if !who.reads(a) {
				return nil, denied("app")
			}
			return s.appObject(who, a), nil
		}),
		"node": s.authenticated(header, func(who *principal, args map[string]any) (any, *failure) {
			if o := node(who, text(args, "id")); o != nil {
				return o, nil
			}
			return nil, nil
		}),
		"nodes": s.authenticated(header, func(who *principal, args map[string]any) (any, *failure) {
			ids, _ := args["ids"].([]any)
			list := make([]object, len(ids))
			for i, id := range ids {
				text, _ := id.(string)
				list[i] = node(who, text)
			}
			return list, nil
		}),
	}
}

func (s *Server) viewer(who *principal) object {
	if who.user != nil {
		return object{"__typename": "User", "id": opaque("User", who.user.number, s.key), "email": who.user.email, "name": nil, "enablePaidHobby": false}
	}
	email := who.address
	if s.quirks.OtherViewer {
		email = "00000000-0000-5000-8000-000000000000@tokens.fly.io"
	}
	return object{"__typename": "Macaroon", "id": nil, "email": email, "name": nil}
}

func (s *Server) orgObject(who *principal, o *org) object {
	kind := "SHARED"
	if o.raw != o.slug {
		kind = "PERSONAL"
	}
	return object{
		"__typename": "Organization", "id": o.id, "internalNumericId": strconv.FormatUint(o.number, 10), "slug": o.slug, "rawSlug": o.raw,
		"name": o.slug, "type": kind, "billable": true, "paidPlan": false, "viewerRole": "admin",
		"limitedAccessTokens": resolver(func(args map[string]any) (any, *failure) {
			return s.listing(who, args, func(r *row) bool { return r.org == o })
		}),
		"apps": resolver(func(args map[string]any) (any, *failure) {
			var nodes []object
			for _, a := range s.apps {
				if a.org == o && who.reads(a) {
					nodes = append(nodes, s.appObject(who, a))
				}
			}
			return s.connection("App", nodes, args), nil
		}),
	}
}

func (s *Server) appObject(who *principal, a *app) object {
	role := object{"__typename": "EmptyAppRole", "name": "EmptyAppRole"}
	if a.builder {
		role = object{"__typename": "RemoteDockerBuilderAppRole", "name": "RemoteDockerBuilderAppRole"}
	}
	return object{
		"__typename": "App", "id": a.name, "name": a.name, "internalNumericId": a.number, "internalId": strconv.FormatUint(a.number, 10), "role": role,
		"organization": resolver(func(map[string]any) (any, *failure) { return s.orgObject(who, a.org), nil }),
		"limitedAccessTokens": resolver(func(args map[string]any) (any, *failure) {
			return s.listing(who, args, func(r *row) bool { return r.app == a })
		}),
	}
}

func (s *Server) tokenObject(who *principal, r *row) object {
	by, revoked := r.by, stamp(r.revoked)
	if s.quirks.UnseenRevocations > 0 {
		by, revoked = nil, nil
	}
	return object{
		"__typename": "LimitedAccessToken", "id": r.id, "name": r.name, "profile": r.profile, "profileParams": r.params,
		"createdAt": stamp(r.created), "expiresAt": stamp(r.expires), "revokedAt": revoked, "revokedBy": by,
		"token": r.root, "tokenHeader": r.header,
		"organization": resolver(func(map[string]any) (any, *failure) { return s.orgObject(who, r.org), nil }),
		"user":         object{"__typename": "User", "id": opaque("User", r.user.number, s.key), "email": r.user.email},
	}
}

// listing lists tokens, which takes a user.
func (s *Server) listing(who *principal, args map[string]any, of func(*row) bool) (any, *failure) {
	if who.user == nil {
		return nil, denied("limitedaccesstokenconnection")
	}
	var nodes []object
	for _, r := range s.rows {
		if of(r) && (r.shown || s.quirks.UnseenBirths == 0) {
			nodes = append(nodes, s.tokenObject(who, r))
		}
	}
	s.quirks.UnseenBirths = max(s.quirks.UnseenBirths-1, 0)
	s.quirks.UnseenRevocations = max(s.quirks.UnseenRevocations-1, 0)
	return s.connection("LimitedAccessToken", nodes, args), nil
}

// connection cuts a page out of nodes.
func (s *Server) connection(kind string, nodes []object, args map[string]any) object {
	from := 0
	for i := range nodes {
		if s.cursor(kind, i) == text(args, "after") {
			from = i + 1
		}
	}
	to := len(nodes)
	if first, ok := count(args["first"]); ok {
		to = min(to, from+first)
	}
	if s.quirks.PageMax > 0 {
		to = min(to, from+s.quirks.PageMax)
	}
	var edges []object
	var start, end any
	for i := from; i < to; i++ {
		c := s.cursor(kind, i)
		if start == nil {
			start = c
		}
		end = c
		edges = append(edges, object{"__typename": kind + "Edge", "cursor": c, "node": nodes[i]})
	}
	return object{
		"__typename": kind + "Connection", "nodes": nodes[from:to], "edges": edges, "totalCount": len(nodes),
		"pageInfo": object{"__typename": "PageInfo", "hasNextPage": to < len(nodes), "hasPreviousPage": from > 0, "startCursor": start, "endCursor": end},
	}
}

func (s *Server) cursor(kind string, i int) string { return opaque(kind+"Cursor", uint64(i), s.key) } // #nosec G115 -- an index is not negative

// count reads an Int, which JSON and the parser of literals carry differently.
func count(v any) (int, bool) {
	switch v := v.(type) {
	case float64:
		return int(v), true
	case int64:
		return int(v), true
	}
	return 0, false
}

// mutation is the root of mutations.
func (s *Server) mutation(header string) object {
	return object{
		"__typename": "Mutations",
		"createLimitedAccessToken": s.authenticated(header, func(who *principal, args map[string]any) (any, *failure) {
			in, _ := args["input"].(map[string]any)
			if who.user == nil {
				return nil, denied("createlimitedaccesstoken")
			}
			r, e := s.mint(who.user, in)
			if e != nil {
				return nil, e
			}
			if s.quirks.MintError != "" {
				e = &failure{Message: s.quirks.MintError, Extensions: map[string]any{"code": "SERVER_ERROR"}, beside: true}
			}
			return object{"__typename": "CreateLimitedAccessTokenPayload", "clientMutationId": in["clientMutationId"], "limitedAccessToken": s.tokenObject(who, r)}, e
		}),
		"deleteLimitedAccessToken": s.authenticated(header, func(who *principal, args map[string]any) (any, *failure) {
			in, _ := args["input"].(map[string]any)
			if who.user == nil {
				return nil, denied("deletelimitedaccesstoken")
			}
			for _, r := range s.rows {
				if !who.user.member(r.org) || r.id != text(in, "id") && (r.root != text(in, "token") || text(in, "id") != "") {
					continue
				}
				if r.revoked.IsZero() {
					r.revoked = s.now().UTC().Truncate(time.Second)
					r.by = in["revokedBy"]
				}
				return object{"__typename": "DeleteLimitedAccessTokenPayload", "clientMutationId": in["clientMutationId"], "revokedBy": r.by, "token": r.root}, nil
			}
			return nil, unknown("LimitedAccessToken")
		}),
	}
}

// mint makes what a user asks for.
func (s *Server) mint(u *user, in map[string]any) (*row, *failure) {
	o := s.org(text(in, "organizationId"))
	if o == nil || o.id != text(in, "organizationId") || !u.member(o) {
		return nil, unknown("Organization")
	}
	if text(in, "name") == "" {
		return nil, invalid("Name can't be blank")
	}
	life := farthest
	if e := text(in, "expiry"); e != "" {
		d, err := time.ParseDuration(e)
		if err != nil || d <= 0 {
			return nil, invalid("Expiry is not a duration")
		}
		life = d
	}
	if s.quirks.Life > 0 {
		life = s.quirks.Life
	}
	params, _ := in["profileParams"].(map[string]any)
	now := s.now().UTC().Truncate(time.Second)
	r := &row{name: text(in, "name"), profile: text(in, "profile"), params: params, org: o, user: u, created: now, expires: now.Add(life).Truncate(time.Second)}
	switch r.profile {
	case "deploy_organization":
	case "deploy":
		if r.app = s.app(text(params, "app_id")); r.app == nil || r.app.org != o {
			return nil, unknown("App")
		}
	default:
		return nil, invalid("Profile is not included in the list")
	}
	s.issue(r)
	return r, nil
}
