package fly

// What Fly.io lists. Rules: every page is read, or the list fails; a revoked token stays listed for ever with
// the time of its revocation; tokens that flyctl mints for itself are not ours to see; times are judged
// by Fly.io's clock.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	pageSize = 100
	maxPages = 200
	// fresh is how old the list of another Provider may be to answer a survey.
	fresh = time.Minute
)

// Account lets the providers of one process share what they list, so that sixty rotations of one organisation
// ask for its tokens once when nothing is due, not sixty times. Set it as the field Shared of each; the
// zero value is ready. Lists are kept apart by address, credential, and app or organisation.
//
// Only the first List of each Provider, which is the survey's, may be answered with what another one fetched:
// less than a minute ago, and only if no Provider that shares the Account has since minted or revoked,
// or begun to. Every later List is asked of Fly.io.
type Account struct {
	mu      sync.Mutex
	changes uint64 // mutations begun and ended
	shelves map[[sha256.Size]byte]*shelf
}

// shelf holds one list. Whoever has put into turn may look and fetch.
type shelf struct {
	turn chan empty
	mu   sync.Mutex
	list *snapshot
	at   uint64 // Account.changes when list was begun
}

func (a *Account) shelf(key [sha256.Size]byte) *shelf {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.shelves[key]
	if s == nil {
		if a.shelves == nil {
			a.shelves = map[[sha256.Size]byte]*shelf{}
		}
		s = &shelf{turn: make(chan empty, 1)}
		a.shelves[key] = s
	}
	return s
}

// version counts the mutations; a nil Account knows of none.
func (a *Account) version() uint64 {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changes
}

// change is called before and after every mutation: what is listed between the two is not to be shared either.
func (a *Account) change() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
}

// key tells apart what must not be shared. The credential is in it only as a digest.
func (p *Provider) key() [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{p.wire.URL().String(), p.String(), p.Token.Reveal()}, "\x00")))
}

// snapshot is one list, all pages. It is never changed.
type snapshot struct {
	begun   time.Time
	skew    time.Duration
	clocked bool // skew is known
	place   place
	rows    []row
}

// place is what is listed, by all the names Fly.io has for it.
type place struct {
	org       string // node ID
	orgNumber uint64 // as in macaroons
	slug      string // which any principal understands; "personal" means another organisation to everybody
	app       string // App.id; "" with org
	appNumber uint64
}

// row is a token as listed.
type row struct {
	id, name, profile string
	created, expires  time.Time
	revoked           string // when; "": not
}

// own reports whether flyctl minted the token for itself.
func own(name string) bool { return name == "flyctl" || name == "flyctl-metrics" }

// kind reports whether a row is a deploy token of either profile that somebody may rotate.
func (r row) kind() bool {
	return (r.profile == profileApp || r.profile == profileOrg) && !own(r.name)
}

// dead reports whether a token no longer works at the time now.
func (r row) dead(now time.Time) bool {
	return r.revoked != "" || !r.expires.IsZero() && !now.Before(r.expires)
}

func (r row) token() rotate.Token {
	return rotate.Token{ID: r.id, Name: r.name, Created: r.created, Expires: r.expires}
}

func (s *snapshot) find(id string) (row, bool) {
	for _, r := range s.rows {
		if r.id == id {
			return r, true
		}
	}
	return row{}, false
}

// List returns every live deploy token of the app or organisation, of either profile. What an organisation
// lists includes tokens bound to one of its apps, if Fly.io lists them there. See [Account] for the first
// List of a Provider.
func (p *Provider) List(ctx context.Context) ([]rotate.Token, error) {
	if err := p.open(); err != nil {
		return nil, p.fail("list", err)
	}
	if !p.mints { // said at once: Fly.io would only answer that it is not authorized
		return nil, p.fail("list", p.cannotMint())
	}
	s, err := p.survey(ctx)
	if err != nil {
		return nil, p.fail("list", err)
	}
	now := p.now()
	var list []rotate.Token
	for _, r := range s.rows {
		if r.kind() && !r.dead(now) {
			list = append(list, r.token())
		}
	}
	return list, nil
}

// survey answers List: shared the first time, live later.
func (p *Provider) survey(ctx context.Context) (*snapshot, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	first := !p.listed
	p.mu.Unlock()
	if !first {
		return p.fetch(ctx)
	}
	s, err := p.shared(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.listed = true
	p.mu.Unlock()
	return s, nil
}

// known returns the list seen last, or the first.
func (p *Provider) known(ctx context.Context) (*snapshot, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	s := p.last
	p.mu.Unlock()
	if s != nil {
		return s, nil
	}
	return p.shared(ctx)
}

// shared returns a list that another Provider fetched just now, or fetches one, while others wait for it.
func (p *Provider) shared(ctx context.Context) (*snapshot, error) {
	if p.Shared == nil {
		return p.fetch(ctx)
	}
	h := p.Shared.shelf(p.key())
	select {
	case h.turn <- empty{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	s, at := h.list, h.at
	h.mu.Unlock()
	if s != nil && at == p.Shared.version() && time.Since(s.begun) < fresh {
		p.mu.Lock()
		p.last = s
		p.mu.Unlock()
		return s, nil
	}
	return p.fetch(ctx)
}

// fetch lists now, and leaves the list for others, who see whether something changed since it was begun.
func (p *Provider) fetch(ctx context.Context) (*snapshot, error) {
	at := p.Shared.version()
	s, err := p.pages(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.last == nil || !s.begun.Before(p.last.begun) {
		p.last = s
	}
	p.mu.Unlock()
	if p.Shared != nil {
		h := p.Shared.shelf(p.key())
		h.mu.Lock()
		if h.list == nil || h.list.begun.Before(s.begun) {
			h.list, h.at = s, at
		}
		h.mu.Unlock()
	}
	return s, nil
}

func (p *Provider) pages(ctx context.Context) (*snapshot, error) {
	s := &snapshot{begun: time.Now()}
	c := call{query: queryOrgTokens, vars: map[string]any{"slug": p.Org, "first": pageSize}}
	if p.App != "" {
		c = call{query: queryAppTokens, vars: map[string]any{"name": p.App, "first": pageSize}}
	}
	after := map[string]bool{}
	for range maxPages {
		a, err := p.ask(ctx, c)
		if err != nil {
			return nil, p.missing(err)
		}
		here, list, err := p.where(a)
		if err != nil {
			return nil, err
		}
		if len(after) == 0 {
			s.place = here
			s.skew, s.clocked = p.wire.Skew()
		} else if here != s.place {
			return nil, fmt.Errorf("%w: the pages of the list are not of one organisation", rotate.ErrTemporary)
		}
		for _, n := range list.Nodes {
			if n == nil || n.ID == "" { // a token that is not seen is one that is not revoked, and nobody would know
				return nil, fmt.Errorf("%w: the list has an entry without an id", rotate.ErrTemporary)
			}
			r := row{id: n.ID, name: n.Name, profile: n.Profile, created: n.CreatedAt.Time, expires: n.ExpiresAt.Time}
			if n.RevokedAt != nil {
				r.revoked = *n.RevokedAt
				if r.revoked == "" {
					r.revoked = "an unknown time"
				}
			}
			s.rows = append(s.rows, r)
		}
		if !list.PageInfo.HasNextPage {
			return s, nil
		}
		next := list.PageInfo.EndCursor
		if next == "" || after[next] {
			return nil, fmt.Errorf("%w: the list says that there is more, and does not say where", rotate.ErrTemporary)
		}
		after[next] = true
		c.vars["after"] = next
	}
	return nil, fmt.Errorf("%w: the list has more than %d pages of %d tokens", rotate.ErrLimit, maxPages, pageSize)
}

// where reads the place out of an answer to a list or a check.
func (p *Provider) where(a answer) (place, listAnswer, error) {
	org, app := a.Organization, a.App
	if p.App != "" {
		if app == nil {
			return place{}, listAnswer{}, p.missing(fmt.Errorf("%w: Fly.io answered without an app", rotate.ErrNotFound))
		}
		org = app.Organization
	}
	if org == nil {
		return place{}, listAnswer{}, p.missing(fmt.Errorf("%w: Fly.io answered without an organisation", rotate.ErrNotFound))
	}
	w := place{org: org.ID, orgNumber: uint64(org.Number), slug: org.RawSlug}
	if w.slug == "" {
		w.slug = org.Slug
	}
	list := org.Tokens
	if p.App != "" {
		w.app, w.appNumber, list = app.ID, uint64(app.Number), app.Tokens
	}
	if w.org == "" || w.orgNumber == 0 || p.App != "" && (w.app == "" || w.appNumber == 0) {
		return place{}, listAnswer{}, fmt.Errorf("%w: Fly.io answered without the identifiers of the organisation or app", rotate.ErrTemporary)
	}
	return w, list, nil
}

// missing adds what to do to an error that wraps ErrNotFound.
func (p *Provider) missing(err error) error {
	if !errors.Is(err, rotate.ErrNotFound) {
		return err
	}
	if p.App != "" {
		return fmt.Errorf("%w; there is no app %q that this credential may see: check the name (`fly apps list`), and that the credential's user is a member of the app's organisation", err, p.App)
	}
	return fmt.Errorf("%w; there is no organisation %q that this credential may see: check the slug (`fly orgs list`), and that the credential's user is a member", err, p.Org)
}
