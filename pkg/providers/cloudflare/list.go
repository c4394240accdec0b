package cloudflare

// What Cloudflare lists. Rules: every page is read, or the list fails; what is disabled or expired is left out, and so is the
// credential in use once it is known.

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	pageSize = 50 // the most that Cloudflare gives
	maxPages = 200
)

// snapshot is one list, all pages. It is never changed.
type snapshot struct {
	rows []token
	at   map[string]int // by ID
}

func (s *snapshot) find(id string) (token, bool) {
	if s == nil {
		return token{}, false
	}
	i, ok := s.at[id]
	if !ok {
		return token{}, false
	}
	return s.rows[i], true
}

func (p *Provider) live(t token) bool {
	return !t.dead() && (t.Expires.IsZero() || t.Expires.After(p.now()))
}

// List returns the live tokens of the user or account. One request for each fifty tokens.
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
		if p.live(t) && t.ID != self {
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

func (p *Provider) pages(ctx context.Context) (*snapshot, error) {
	s := &snapshot{at: map[string]int{}}
	wrong := func(n int, what string) error {
		return fmt.Errorf("%w: GET /%s: page %d %s, so the list cannot be trusted", rotate.ErrTemporary, p.tokens(), n, what)
	}
	seen := 0
	for n := 1; n <= maxPages; n++ {
		var rows []*token
		e, err := p.read(ctx, call{path: p.tokens(), query: url.Values{"page": {strconv.Itoa(n)}, "per_page": {strconv.Itoa(pageSize)}}}, &rows)
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, t := range rows {
			if t == nil || !isID(t.ID) {
				return nil, wrong(n, "has a token without an ID")
			}
			if _, ok := s.at[t.ID]; ok {
				continue
			}
			row := *t
			row.Text = "" // whatever a list says
			s.at[t.ID] = len(s.rows)
			s.rows, fresh = append(s.rows, row), true
		}
		seen += len(rows)
		switch more := e.Page != nil && seen < e.Page.Total; {
		case !more && (e.Page != nil || len(rows) < pageSize):
			return s, nil
		case !fresh && more:
			return nil, wrong(n, "brings nothing new before the count is full")
		case !fresh:
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: GET /%s: more than %d pages of %d", rotate.ErrLimit, p.tokens(), maxPages, pageSize)
}

// single reads one token.
func (p *Provider) single(ctx context.Context, id string) (token, error) {
	var t token
	if _, err := p.read(ctx, call{path: p.tokens(id)}, &t); err != nil {
		return token{}, err
	}
	t.Text = ""
	if t.ID != id {
		return token{}, fmt.Errorf("%w: GET /%s: the answer is of another token", rotate.ErrTemporary, p.tokens(id))
	}
	return t, nil
}
