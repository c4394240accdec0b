package cloudflare

// What a token may do. Rules: rights are compared by what they mean (order, read-only ids, names and empty conditions aside);
// what is copied is sent as it was read, also what this package does not know.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Policy allows or denies permissions on resources.
type Policy struct {
	Effect      string   `yaml:"effect" enum:"allow,deny" default:"allow" doc:"Whether the permissions are allowed or denied."`
	Permissions []string `yaml:"permissions" required:"true" example:"DNS Write" doc:"The permission groups, by exact name as in Cloudflare's list of API token permissions, or by ID. Of two groups of one name that is meant which is for the kind of the resources."`
	Resources   []string `yaml:"resources" required:"true" example:"com.cloudflare.api.account.zone.eb78d65290b24279ba6f44721b3ea3c4" doc:"What they are for, by Cloudflare's names: com.cloudflare.api.account.ID, com.cloudflare.api.account.zone.ID or com.cloudflare.api.user.ID, where * in place of an ID means all. One inside another is written with a slash: all zones of an account are com.cloudflare.api.account.ID/com.cloudflare.api.account.zone.*."`
}

// faults are what is wrong with a policy on its face.
func (x Policy) faults() (all []error) {
	if x.Effect != "" && x.Effect != "allow" && x.Effect != "deny" {
		all = append(all, fmt.Errorf("effect %q is neither allow nor deny", httpx.Clean(x.Effect, 40)))
	}
	if len(x.Permissions) == 0 || slices.Contains(x.Permissions, "") {
		all = append(all, errors.New("permissions are missing, such as DNS Write"))
	}
	if len(x.Resources) == 0 {
		all = append(all, errors.New("resources are missing, such as com.cloudflare.api.account.zone.ID"))
	}
	for _, r := range x.Resources {
		outer, inner, nested := strings.Cut(r, "/")
		if !resource(outer) || nested && !resource(inner) {
			all = append(all, fmt.Errorf("%q is not the name of a resource: want com.cloudflare.…, and at most one slash", httpx.Clean(r, 120)))
		}
	}
	return all
}

func resource(name string) bool {
	return strings.HasPrefix(name, "com.cloudflare.") && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == '"' })
}

// policy is one as sent and answered.
type policy struct {
	Effect    string         `json:"effect"`
	Groups    []group        `json:"permission_groups"`
	Resources map[string]any `json:"resources"` // to "*", or to a map of resources inside
}

type group struct {
	ID   string         `json:"id"`
	Name string         `json:"name,omitempty"` // read only
	Meta map[string]any `json:"meta,omitempty"`
}

// rights are what a token may do, and from where.
type rights struct {
	policies  []policy
	condition map[string]any // nil: none
}

// sent is the form in which rights are sent: without what is read only.
func (x rights) sent() rights {
	y := rights{condition: x.condition}
	for _, p := range x.policies {
		p.Groups = slices.Clone(p.Groups)
		for i := range p.Groups {
			p.Groups[i].Name = ""
		}
		y.policies = append(y.policies, p)
	}
	return y
}

// differs says what of the rights of a token is other than wanted.
func (x rights) differs(t token) (faults []string) {
	got := rights{t.Policies, t.Condition}
	if a, b := canon(got.list()), canon(x.list()); a != b {
		faults = append(faults, fmt.Sprintf("it has other policies (%s) than asked for (%s)", got, x))
	}
	if canon(got.condition) != canon(x.condition) {
		faults = append(faults, "it has other conditions (addresses) than asked for")
	}
	return faults
}

// list is the policies in a form that can be compared.
func (x rights) list() []any {
	out := []any{}
	for _, p := range x.policies {
		groups := []any{}
		for _, g := range p.Groups {
			groups = append(groups, map[string]any{"id": g.ID, "meta": g.Meta})
		}
		out = append(out, map[string]any{"effect": p.Effect, "groups": groups, "resources": p.Resources})
	}
	return out
}

// String names the permissions, for messages.
func (x rights) String() string {
	var names []string
	for _, p := range x.policies {
		for _, g := range p.Groups {
			name := g.Name
			if name == "" {
				name = g.ID
			}
			names = append(names, httpx.Clean(name, 60))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 12 {
		names = append(names[:12], "…")
	}
	return strings.Join(names, ", ")
}

// canon is a text that two values share if they mean the same: lists in order, networks in one form, nothing empty.
func canon(v any) string {
	b, err := json.Marshal(canonical(v))
	if err != nil {
		return "?" // no JSON value gets here
	}
	return string(b)
}

func canonical(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, y := range x {
			switch z := canonical(y).(type) {
			case nil:
			case map[string]any:
				if len(z) > 0 {
					out[k] = z
				}
			case []string:
				if len(z) > 0 {
					out[k] = z
				}
			default:
				out[k] = z
			}
		}
		return out
	case []any:
		texts := []string{}
		for _, y := range x {
			texts = append(texts, canon(y))
		}
		slices.Sort(texts)
		return slices.Compact(texts)
	case string:
		if n, ok := network(x); ok {
			return n.String()
		}
	}
	return v
}

// network reads an address or a network.
func network(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	n, err := netip.ParsePrefix(text)
	return n.Masked(), err == nil
}

// rights finds out what a new token of this name is to have. If a token is copied, it is read anew.
func (p *Provider) rights(ctx context.Context, name string) (rights, error) {
	if p.Copy != "" {
		return p.copied(ctx, name, "")
	}
	var x rights
	var errs []error
	for i, given := range p.Policies {
		y := policy{Effect: given.Effect, Resources: map[string]any{}}
		if y.Effect == "" {
			y.Effect = "allow"
		}
		for _, r := range given.Resources {
			outer, inner, nested := strings.Cut(r, "/")
			if !nested {
				y.Resources[outer] = "*"
				continue
			}
			in, ok := y.Resources[outer].(map[string]any)
			if !ok {
				in = map[string]any{}
				y.Resources[outer] = in
			}
			in[inner] = "*"
		}
		for _, want := range given.Permissions {
			g, err := p.group(ctx, want, given.Resources)
			if err != nil {
				errs = append(errs, fmt.Errorf("policies[%d]: %w", i, err))
				if !errors.Is(err, rotate.ErrConfig) {
					return x, errors.Join(errs...)
				}
				continue
			}
			y.Groups = append(y.Groups, g)
		}
		x.policies = append(x.policies, y)
	}
	addresses := map[string]any{}
	for _, f := range []struct {
		key  string
		list []string
	}{{"in", p.IPs}, {"not_in", p.NotIPs}} {
		var all []any
		for _, text := range f.list {
			n, _ := network(text)
			all = append(all, n.String())
		}
		if all != nil {
			addresses[f.key] = all
		}
	}
	if len(addresses) > 0 {
		x.condition = map[string]any{"request_ip": addresses}
	}
	return x, errors.Join(errs...)
}

// group finds the permission group of a name, or takes an ID.
func (p *Provider) group(ctx context.Context, want string, resources []string) (group, error) {
	if isID(want) {
		return group{ID: want}, nil
	}
	all, err := p.permissions(ctx)
	if err != nil {
		return group{}, err
	}
	var found []permission
	for _, g := range all {
		if g.Name == want && isID(g.ID) {
			found = append(found, g)
		}
	}
	if len(found) > 1 { // one for zones, one for accounts
		found = slices.DeleteFunc(found, func(g permission) bool { return !slices.Contains(g.Scopes, kind(resources)) })
	}
	switch len(found) {
	case 1:
		return group{ID: found[0].ID, Name: want}, nil
	case 0:
		near := ""
		for _, g := range all {
			if strings.EqualFold(g.Name, want) {
				near = fmt.Sprintf("; did you mean %q?", httpx.Clean(g.Name, 80))
			}
		}
		return group{}, fmt.Errorf("%w: Cloudflare has no permission group %q for these resources%s", rotate.ErrConfig, httpx.Clean(want, 80), near)
	}
	var ids []string
	for _, g := range found {
		ids = append(ids, g.ID)
	}
	return group{}, fmt.Errorf("%w: %d permission groups have the name %q; give the ID of the one that is meant: %s",
		rotate.ErrConfig, len(found), httpx.Clean(want, 80), httpx.Clean(strings.Join(ids, ", "), 300))
}

// kind is the scope that the resources have, such as com.cloudflare.api.account.zone; "" if they have several.
func kind(resources []string) string {
	scope := ""
	for i, r := range resources {
		if _, inner, nested := strings.Cut(r, "/"); nested {
			r = inner
		}
		r = r[:max(strings.LastIndexByte(r, '.'), 0)]
		if i > 0 && r != scope {
			return ""
		}
		scope = r
	}
	return scope
}

// permissions returns the permission groups, asked for once.
func (p *Provider) permissions(ctx context.Context) ([]permission, error) {
	p.mu.Lock()
	known := p.groups
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	var all []permission
	if _, err := p.read(ctx, call{path: p.tokens("permission_groups")}, &all); err != nil {
		return nil, p.explain(err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: GET /%s: no permission group is listed", rotate.ErrTemporary, p.tokens("permission_groups"))
	}
	p.mu.Lock()
	p.groups = all
	p.mu.Unlock()
	return all, nil
}

// copied reads the rights of the token that a new one of this name takes after: the one that copy means while it exists, or
// the youngest that the rotation minted. except is left out of account.
func (p *Provider) copied(ctx context.Context, name, except string) (rights, error) {
	s, err := p.known(ctx)
	if err != nil {
		return rights{}, err
	}
	var found []token
	for _, t := range s.rows {
		if (t.ID == p.Copy || t.Name == p.Copy) && t.ID != except && p.live(t) {
			found = append(found, t)
		}
	}
	if len(found) > 1 {
		return rights{}, fmt.Errorf("%w: %d tokens have the name %q (copy); give the ID of the one that is meant", rotate.ErrConfig, len(found), httpx.Clean(p.Copy, 120))
	}
	if len(found) == 0 {
		old, ok := predecessor(s, name, except)
		if !ok {
			return rights{}, fmt.Errorf("%w: there is neither a token %q (copy) nor one that this rotation minted, whose policies a new one could get", rotate.ErrNotFound, httpx.Clean(p.Copy, 120))
		}
		found = append(found, old)
	}
	self, err := p.me(ctx)
	if err != nil {
		return rights{}, err
	}
	if found[0].ID == self {
		return rights{}, fmt.Errorf("%w: copy means the credential in use; a copy of it could mint tokens too", rotate.ErrConfig)
	}
	t, err := p.single(ctx, found[0].ID)
	if err != nil {
		return rights{}, p.explain(err)
	}
	if len(t.Policies) == 0 {
		return rights{}, fmt.Errorf("%w: the token %q is answered without policies, so it cannot be copied", rotate.ErrTemporary, httpx.Clean(t.Name, 120))
	}
	return rights{t.Policies, t.Condition}, nil
}

// predecessor is the youngest token that the rotation whose new token has this name minted.
func predecessor(s *snapshot, name, except string) (token, bool) {
	i := strings.LastIndex(name, " ")
	if _, minted := rotate.Minted(rotate.Token{Name: name}); !minted || i < 0 {
		return token{}, false
	}
	stem, tail := name[:i+1], name[strings.LastIndex(name, "-")+1:]
	var young token
	for _, t := range s.rows {
		_, minted := rotate.Minted(t.public())
		at := strings.LastIndex(t.Name, "-") + 1
		if minted && t.ID != except && t.Name != name && strings.LastIndex(t.Name, " ")+1 == len(stem) && strings.HasPrefix(t.Name, stem) &&
			strings.HasPrefix(t.Name[at:], tail[:8]) && (young.ID == "" || t.Created.After(young.Created.Time)) {
			young = t
		}
	}
	return young, young.ID != ""
}
