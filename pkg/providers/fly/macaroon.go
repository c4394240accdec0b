package fly

// What the text of a token says by itself. Rules: text from a sink may be anything, so it is measured before
// the decoder sees it; no error repeats any of it; what a caveat says is a claim until Fly.io accepts the token.

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/superfly/fly-go/tokens"
	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// maxToken is the longest text taken for a token, in bytes. Real ones have less than 2000.
const maxToken = 64 << 10

// passport is what a token says about itself.
type passport struct {
	header  string         // the whole token as it is presented
	org     uint64         // the only organisation, by its internalNumericId
	apps    []uint64       // the only apps, by internalNumericId; nil: every app. Empty but not nil: no app at all
	rights  resset.Action  // what may be done in the organisation, and to the app if there is just one
	from    time.Time      // when the permission begins, as it was issued; zero: not said
	until   time.Time      // when the permission ends, as it was issued; zero: never
	perm    time.Time      // when the permission ends, attenuations included; zero: never
	ends    time.Time      // when the whole token ends: permission, attenuations and discharges; zero: never
	open    []string       // third parties whose demands no part discharges
	nonce   macaroon.Nonce // identity of the permission; attenuating keeps it
	address string         // what Fly.io calls the bearer of this token
}

// decode reads the text of a token, with or without its scheme.
func decode(text string) (m *passport, err error) {
	defer func() {
		if recover() != nil { // the decoder panics on maps with keys that cannot be hashed
			m, err = nil, errors.New("a part of it is no macaroon")
		}
	}()
	if len(text) > maxToken {
		return nil, fmt.Errorf("it is longer than %d bytes", maxToken)
	}
	bare := tokens.StripAuthorizationScheme(text)
	parts := strings.Split(bare, ",")
	for i, part := range parts {
		kind, body, ok := strings.Cut(part, "_")
		switch {
		case ok && (kind == "fm2" || kind == "fm1r" || kind == "fm1a"):
		case ok && kind == "fo1":
			return nil, fmt.Errorf("part %d of %d is a user's token", i+1, len(parts))
		default:
			return nil, fmt.Errorf("part %d of %d does not begin as a macaroon does", i+1, len(parts))
		}
		raw, err := base64.StdEncoding.DecodeString(body)
		if err != nil || !sound(raw) {
			return nil, fmt.Errorf("part %d of %d is damaged", i+1, len(parts))
		}
	}
	permission, discharges, err := flyio.ParsePermissionAndDischargeTokens(bare)
	if err != nil {
		return nil, errors.New("it has not exactly one permission part of Fly.io")
	}
	if len(parts) != 1+len(discharges) { // the parser leaves out silently what it cannot decode
		return nil, fmt.Errorf("%d of its %d parts are no macaroons", len(parts)-1-len(discharges), len(parts))
	}
	perm, err := macaroon.Decode(permission)
	if err != nil {
		return nil, errors.New("its permission part is no macaroon")
	}
	set := &perm.UnsafeCaveats
	m = &passport{
		header:  macaroon.AuthorizationSchemeFlyV1 + " " + bare,
		apps:    flyio.AppScope(set),
		perm:    end(perm),
		nonce:   perm.Nonce,
		address: flyio.NonceEmail(perm.Nonce),
	}
	if m.org, err = flyio.OrganizationScope(set); err != nil {
		return nil, errors.New("it is not bound to one organisation")
	}
	m.rights = rights(set, m.apps)
	m.from, m.until = issued(set)
	for location := range perm.AllThirdPartyTickets(discharges...) {
		m.open = append(m.open, location)
	}
	var tied time.Time // when the first discharge ends
	for _, d := range discharges {
		dm, err := macaroon.Decode(d)
		if err != nil {
			return nil, errors.New("a discharge is no macaroon")
		}
		tied = sooner(tied, end(dm))
	}
	m.ends = sooner(m.perm, tied)
	return m, nil
}

// rights is what every caveat leaves: of the organisation, and of the app if apps names just one. A caveat
// that holds only under a condition counts as if it always held.
func rights(set *macaroon.CaveatSet, apps []uint64) resset.Action {
	all := resset.ActionAll
	for _, c := range macaroon.GetCaveats[*flyio.Organization](set) {
		all &= c.Mask
	}
	for _, c := range macaroon.GetCaveats[*resset.Action](set) {
		all &= *c
	}
	if len(apps) == 1 {
		for _, c := range macaroon.GetCaveats[*flyio.Apps](set) {
			mask, ok := c.Apps[apps[0]]
			if !ok {
				mask = c.Apps[0] // 0 stands for every app
			}
			all &= mask
		}
	}
	return all
}

// issued returns the window the permission was issued with: the first, since attenuating appends.
func issued(set *macaroon.CaveatSet) (from, until time.Time) {
	for _, c := range set.Caveats {
		if w, ok := c.(*macaroon.ValidityWindow); ok {
			return second(w.NotBefore), second(w.NotAfter)
		}
	}
	return time.Time{}, time.Time{}
}

// end returns when a macaroon ends by its own caveats; zero: never. (Its own Expiration says the year
// 292277024627 for never, which neither JSON nor a person can read.)
func end(m *macaroon.Macaroon) time.Time {
	var at time.Time
	for _, w := range macaroon.GetCaveats[*macaroon.ValidityWindow](&m.UnsafeCaveats) {
		after := w.NotAfter
		if after <= 0 {
			after = 1 // long ago; second would take it for not said
		}
		at = sooner(at, second(after))
	}
	return at
}

// second turns Unix seconds into a time; what is no date before the year 10000 is the zero time.
func second(unix int64) time.Time {
	if unix <= 0 || unix > latest {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// sooner returns the earlier of two times, where zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sound reports whether raw is MessagePack whose announced lengths are all there. The decoder makes room for
// as many caveats as an array announces before it reads the first: five bytes of a damaged token would
// otherwise ask for gigabytes.
func sound(raw []byte) bool {
	rest, ok := skip(raw, 0)
	return ok && len(rest) == 0
}

// skip returns what follows the first value in b.
func skip(b []byte, depth int) ([]byte, bool) {
	if len(b) == 0 || depth > 32 {
		return nil, false
	}
	c := b[0]
	b = b[1:]
	// length reads a length of n bytes.
	length := func(n int) (v uint64, ok bool) {
		if len(b) < n {
			return 0, false
		}
		for _, x := range b[:n] {
			v = v<<8 | uint64(x)
		}
		b = b[n:]
		return v, true
	}
	bytes := func(n uint64, ok bool) ([]byte, bool) {
		if !ok || n > uint64(len(b)) {
			return nil, false
		}
		return b[n:], true
	}
	values := func(n uint64, ok bool) ([]byte, bool) {
		if !ok || n > uint64(len(b)) { // each takes a byte at least
			return nil, false
		}
		for ; n > 0; n-- {
			if b, ok = skip(b, depth+1); !ok {
				return nil, false
			}
		}
		return b, true
	}
	pairs := func(n uint64, ok bool) ([]byte, bool) {
		if n > math.MaxUint32 {
			return nil, false
		}
		return values(2*n, ok)
	}
	switch {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small numbers, nil, false, true
		return b, true
	case c <= 0x8f:
		return pairs(uint64(c&0x0f), true)
	case c <= 0x9f:
		return values(uint64(c&0x0f), true)
	case c <= 0xbf:
		return bytes(uint64(c&0x1f), true)
	case c == 0xc4, c == 0xc5, c == 0xc6: // binary
		return bytes(length(1 << (c - 0xc4)))
	case c == 0xca, c == 0xcb: // floating point
		return bytes(4<<(c-0xca), true)
	case c >= 0xcc && c <= 0xcf: // unsigned
		return bytes(1<<(c-0xcc), true)
	case c >= 0xd0 && c <= 0xd3: // signed
		return bytes(1<<(c-0xd0), true)
	case c >= 0xd9 && c <= 0xdb: // text
		return bytes(length(1 << (c - 0xd9)))
	case c == 0xdc, c == 0xdd:
		return values(length(2 << (c - 0xdc)))
	case c == 0xde, c == 0xdf:
		return pairs(length(2 << (c - 0xde)))
	}
	return nil, false // extensions, which no macaroon has
}
