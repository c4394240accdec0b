package fly

// Issuing and checking macaroons, by the library Fly.io itself uses.

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/auth"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// issue gives r its number and its token, and keeps it.
func (s *Server) issue(r *row) {
	r.number = uint64(len(s.rows) + 1)
	r.id = opaque("LimitedAccessToken", r.number, s.key)
	m := must(macaroon.New(binary.BigEndian.AppendUint64(nil, r.number), flyio.LocationPermission, s.key))
	var app uint64
	if r.app != nil {
		app = r.app.number
	}
	scope := s.scope(r.org.number, app)
	if s.quirks.Caveats != nil {
		scope = s.quirks.Caveats(r.org.number, app)
	}
	from, until := r.created.Add(-s.quirks.Backdated), r.expires.Add(-s.quirks.Backdated)
	check(m.Add(scope...))
	check(m.Add(&macaroon.ValidityWindow{NotBefore: from.Unix(), NotAfter: until.Unix()}))
	check(m.Add3P(s.ours, flyio.LocationAuthentication))
	tickets := m.AllThirdPartyTickets()[flyio.LocationAuthentication]
	_, d, err := macaroon.DischargeTicket(s.ours, flyio.LocationAuthentication, tickets[0])
	check(err)
	id := auth.FlyioUserID(r.user.number)
	if s.quirks.DischargeLife > 0 {
		until = r.created.Add(s.quirks.DischargeLife)
	}
	check(d.Add(&id, &macaroon.ValidityWindow{NotBefore: from.Unix(), NotAfter: until.Unix()}))
	if s.quirks.Undischarged {
		check(m.Add3P(s.theirs, flyio.LocationNewAuthentication))
	}
	root := must(m.Encode())
	r.header = macaroon.ToAuthorizationHeader(root, must(d.Encode()))
	r.root, _ = macaroon.StripAuthorizationScheme(macaroon.ToAuthorizationHeader(root))
	s.rows = append(s.rows, r)
}

// scope is what a token is bound to; app 0 means none.
func (s *Server) scope(org, app uint64) []macaroon.Caveat {
	scope := []macaroon.Caveat{&flyio.Organization{ID: org, Mask: resset.ActionAll}}
	if app == 0 {
		return scope
	}
	apps := &flyio.Apps{Apps: resset.New(resset.ActionAll, app)}
	if s.quirks.PlainApps {
		return append(scope, apps)
	}
	features := &flyio.FeatureSet{Features: resset.New(resset.ActionAll, flyio.FeatureWireGuard, flyio.FeatureRemoteBuilders)}
	return append(scope, &resset.IfPresent{Ifs: macaroon.NewCaveatSet(features, apps), Else: resset.ActionRead})
}

func must[T any](v T, err error) T { check(err); return v }

// check stops on what only a mistake in this package can cause.
func check(err error) {
	if err != nil {
		panic("emulated Fly.io: " + err.Error())
	}
}

// principal is who asks: a user, or the bearer of a macaroon.
type principal struct {
	user    *user
	row     *row
	caveats *macaroon.CaveatSet
	address string
	now     time.Time
}

// access is a request for access at the service's time.
type access struct {
	*flyio.Access
	now time.Time
}

func (a access) Now() time.Time { return a.now }

// allows reports whether the caveats let the principal do action in the organisation, or to the app.
func (p *principal) allows(org uint64, app *uint64, action resset.Action) bool {
	return p.caveats.Validate(access{&flyio.Access{OrgID: &org, AppID: app, Action: action}, p.now}) == nil
}

// sees reports whether o exists for the principal. A token of an app sees its organisation too.
func (p *principal) sees(o *org) bool {
	if p.user != nil {
		return p.user.member(o)
	}
	n, err := flyio.OrganizationScope(p.caveats)
	return err == nil && n == o.number
}

func (p *principal) reads(a *app) bool {
	return p.user != nil && p.user.member(a.org) || p.user == nil && p.allows(a.org.number, &a.number, resset.ActionRead)
}

// principal tells who presents header, in either scheme.
func (s *Server) principal(header string) (*principal, *failure) {
	stranger := &failure{Message: "You must be authenticated to view this.", Extensions: map[string]any{"code": "UNAUTHORIZED"}}
	bare, _ := macaroon.StripAuthorizationScheme(header)
	for part := range strings.SplitSeq(bare, ",") {
		if u := s.users[part]; u != nil {
			return &principal{user: u}, nil
		}
	}
	r, set := s.decode(header)
	if r == nil || set == nil {
		return nil, stranger
	}
	now := s.now()
	if !r.revoked.IsZero() && !now.Before(r.revoked.Add(s.quirks.RevocationDelay)) {
		return nil, stranger
	}
	for _, w := range macaroon.GetCaveats[*macaroon.ValidityWindow](set) {
		if w.Prohibits(access{&flyio.Access{}, now}) != nil {
			return nil, stranger
		}
	}
	perm, _, _ := flyio.ParsePermissionAndDischargeTokens(header)
	nonce, _ := macaroon.DecodeNonce(perm)
	return &principal{row: r, caveats: set, address: flyio.NonceEmail(nonce), now: now}, nil
}

// decode finds the row of a token, and its caveats if signature and discharges are in order.
func (s *Server) decode(header string) (*row, *macaroon.CaveatSet) {
	perm, discharges, err := flyio.ParsePermissionAndDischargeTokens(header)
	if err != nil {
		return nil, nil
	}
	m, err := macaroon.Decode(perm)
	if err != nil || len(m.Nonce.KID) != 8 {
		return nil, nil
	}
	n := binary.BigEndian.Uint64(m.Nonce.KID)
	i := slices.IndexFunc(s.rows, func(r *row) bool { return r.number == n })
	if i < 0 {
		return nil, nil
	}
	set, err := m.Verify(s.key, discharges, nil)
	if err != nil {
		set = nil
	}
	return s.rows[i], set
}
