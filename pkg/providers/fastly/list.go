package fastly

// What Fastly lists. Rules: every page is read, or the list fails; expired tokens are left out, and so is what is
// never ours to touch; times are judged by Fastly's clock.

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	pageSize = 100 // the most that Fastly gives
	maxPages = 200
	// mostTokens is how many live tokens Fastly lets one user have.
	mostTokens = 100
	// unusedLong is from when on a token that nobody uses is worth a word. Fastly deletes it after two years.
	unusedLong = 180 * 24 * time.Hour
)

// snapshot is one list, all pages. It is never changed.
type snapshot struct{ rows []token }

func (s *snapshot) find(id string) (token, bool) {
	if s != nil && id != "" {
		for _, t := range s.rows {
			if t.ID == id {
				return t, true
			}
		}
	}
	return token{}, false
}

// untouchable are the names of tokens that no rotation made or may adopt: the legacy token of a user, and what the
// web interface makes for a login.
func untouchable(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return name == "global api token" || strings.HasPrefix(name, "manage.fastly.com browser session")
}

func (p *Provider) live(t token) bool {
	return t.Expires.IsZero() || t.Expires.After(p.now())
}

// List returns the live tokens of this kind: all automation tokens of the account, or all user tokens of the user to
// whom the credential belongs, without those that are never to be touched. One request for each hundred automation
// tokens, one for all user tokens.
func (p *Provider) List(ctx context.Context) ([]rotate.Token, error) {
	s, err := p.fetch(ctx)
	if err != nil {
		return nil, p.fail("list", err)
	}
	p.mu.Lock()
	self := p.self
	p.mu.Unlock()
	var out []rotate.Token
	for _, t := range s.rows {
		if p.live(t) && !untouchable(t.Name) && (self == "" || t.ID != self) {
			out = append(out, t.public())
		}
	}
	return out, nil
}

// known returns the list seen last, or fetches it.
func (p *Provider) known(ctx context.Context) (*snapshot, error) {
	p.mu.Lock()
	s := p.last
	p.mu.Unlock()
	if s != nil {
		return s, nil
	}
	return p.fetch(ctx)
}

// row finds a token in the list seen last, or in a fresh one.
func (p *Provider) row(ctx context.Context, id string) (token, bool, error) {
	p.mu.Lock()
	t, ok := p.last.find(id)
	p.mu.Unlock()
	if ok {
		return t, true, nil
	}
	s, err := p.fetch(ctx)
	if err != nil {
		return token{}, false, err
	}
	t, ok = s.find(id)
	return t, ok, nil
}

func (p *Provider) fetch(ctx context.Context) (*snapshot, error) {
	s, err := p.pages(ctx)
	if err != nil {
		return nil, p.explain(err)
	}
	p.mu.Lock()
	p.last = s
	p.mu.Unlock()
	return s, nil
}

func paging(n int) map[string]string {
	return map[string]string{"page": strconv.Itoa(n), "per_page": strconv.Itoa(pageSize)}
}

func (p *Provider) pages(ctx context.Context) (*snapshot, error) {
	s := &snapshot{}
	if p.kind() == user {
		var rows []*token
		if _, err := p.read(ctx, call{path: "tokens"}, &rows); err != nil {
			return nil, err
		}
		s.add(rows)
		return s, nil
	}
	for n := 1; n <= maxPages; n++ {
		var list page
		if _, err := p.read(ctx, call{path: "automation-tokens", query: paging(n)}, &list); err != nil {
			return nil, err
		}
		if list.Rows == nil {
			return nil, fmt.Errorf("%w: GET /automation-tokens: the answer is %w", rotate.ErrTemporary, httpx.ErrForm)
		}
		fresh := s.add(*list.Rows)
		switch full := len(*list.Rows) >= pageSize; {
		case n >= list.Meta.Total && (!full || list.Meta.Total > 0):
			return s, nil
		case !fresh:
			return nil, fmt.Errorf("%w: GET /automation-tokens: page %d of %d brings nothing new, so the list cannot be trusted", rotate.ErrTemporary, n, list.Meta.Total)
		}
	}
	return nil, fmt.Errorf("%w: GET /automation-tokens: more than %d pages of %d", rotate.ErrLimit, maxPages, pageSize)
}

// add takes rows that were not there yet and reports whether there was one.
func (s *snapshot) add(rows []*token) (fresh bool) {
	for _, t := range rows {
		if t == nil {
			continue
		}
		if _, ok := s.find(t.ID); !ok {
			row := *t
			row.Text = "" // whatever a list says
			s.rows, fresh = append(s.rows, row), true
		}
	}
	return fresh
}

// explain adds what to do to an error of a call with the credential itself.
func (p *Provider) explain(err error) error {
	r, ok := asRefusal(err)
	if !ok || r.foreign {
		return err
	}
	switch r.status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w; Fastly does not accept the credential (FASTLY_API_TOKEN): it is expired, revoked or mistyped, or lacks the right", err)
	case http.StatusForbidden:
		return fmt.Errorf("%w; the credential (FASTLY_API_TOKEN) lacks the right: it must be a user token of %s, with scope global and not limited to services", err, p.owner())
	}
	return err
}

func (p *Provider) owner() string {
	if p.kind() == user {
		return "the user whose tokens are rotated"
	}
	return "a superuser"
}

// predecessor is the token that a new one with this name takes the place of, as far as names tell: the youngest that
// the same rotation minted, or that a person made under the rotation's name.
func predecessor(s *snapshot, name string) (token, bool) {
	i := strings.LastIndex(name, " ")
	if _, minted := rotate.Minted(rotate.Token{Name: name}); s == nil || !minted || i < 0 {
		return token{}, false
	}
	stem := name[:i]
	tail := name[strings.LastIndex(name, "-")+1:]
	ours := func(t token) bool {
		if t.Name == stem {
			return true
		}
		_, minted := rotate.Minted(t.public())
		at := strings.LastIndex(t.Name, "-") + 1
		return minted && strings.HasPrefix(t.Name, stem+" ") && strings.HasPrefix(t.Name[at:], tail[:8]) && t.Name != name
	}
	rows := slices.DeleteFunc(slices.Clone(s.rows), func(t token) bool { return !ours(t) })
	if len(rows) == 0 {
		return token{}, false
	}
	return slices.MaxFunc(rows, func(a, b token) int { return a.Created.Compare(b.Created.Time) }), true
}

// compare warns of what differs between a token and the one that takes its place.
func (p *Provider) compare(old token, seen *sighting) {
	p.idle(old)
	if old.Services == nil || p.Services.All {
		return // not said
	}
	if len(*old.Services) == 0 {
		p.warnings.Add("%q is listed without services, which may mean all of the account; its successor sees %d", httpx.Clean(old.Name, 120), len(seen.set))
		return
	}
	before, after := set(*old.Services), seen.ids()
	without := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(id string) bool { return slices.Contains(b, id) })
	}
	if added := without(after, before); len(added) > 0 {
		p.warnings.Add("new in comparison with %q: %s", httpx.Clean(old.Name, 120), seen.list(added))
	}
	if lost := without(before, after); len(lost) > 0 {
		p.warnings.Add("%q sees services that its successor does not: %s", httpx.Clean(old.Name, 120), seen.list(lost))
	}
}

// idle warns of a token that nobody uses.
func (p *Provider) idle(t token) {
	since, what := t.LastUsed.Time, "was last used"
	if since.IsZero() {
		since, what = t.Created.Time, "was never used since it was made"
	}
	if age := p.now().Sub(since); !since.IsZero() && age > unusedLong {
		p.warnings.Add("%q %s %d days ago, on %s; is it still needed? Fastly deletes what is unused for two years",
			httpx.Clean(t.Name, 120), what, int(age.Hours()/24), since.UTC().Format(time.DateOnly))
	}
}
