package fastly

// Which services a token may see. Rules: the set is resolved to IDs before anything is minted; what names nothing, or
// more than one thing where one is meant, is refused; so is an empty set, which Fastly would take for all services.

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Services says which services a token may see: those that any of the keys names, or all.
type Services struct {
	ID       []string `yaml:"id" example:"SU1Z0isxPaozGVKXdv0eY" doc:"IDs of services."`
	Name     []string `yaml:"name" example:"Production www" doc:"Names of services, whole and exact. A name that several services bear is refused."`
	Contains []string `yaml:"contains" example:"production" doc:"Texts that the names of the services contain, in upper or lower case. Each must be in at least one."`
	All      bool     `yaml:"all" doc:"The token may see every service of the account, also those made later. Excludes the other keys."`
}

// validate reports bad keys.
func (s Services) validate() (errs []error) {
	fault := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	some := len(s.ID)+len(s.Name)+len(s.Contains) > 0
	switch {
	case s.All && some:
		fault("services.all", "all excludes id, name and contains")
	case !s.All && !some:
		fault("services", "which services a new token may see is required: contains, name, id, or all: true for the whole account")
	}
	for _, id := range s.ID {
		if !isID(id) {
			fault("services.id", "%q is not the ID of a service: letters and digits only", httpx.Clean(id, 80))
		}
	}
	for _, name := range s.Name {
		if strings.TrimSpace(name) == "" {
			fault("services.name", "an empty name")
		}
	}
	for _, text := range s.Contains {
		if strings.TrimSpace(text) == "" {
			fault("services.contains", "an empty text is in every name; write all: true if every service is meant")
		}
	}
	return errs
}

// label names the set in messages, shortly.
func (s Services) label() string {
	if s.All {
		return "all"
	}
	return httpx.Clean(strings.Join(slices.Concat(s.Contains, s.Name, s.ID), ","), 60)
}

// words describes the set to a person.
func (s Services) words() string {
	var parts []string
	add := func(what string, list []string) {
		for _, text := range list {
			parts = append(parts, what+strconv.Quote(httpx.Clean(text, 80)))
		}
	}
	add("every service whose name contains ", s.Contains)
	add("the service named ", s.Name)
	add("the service with the ID ", s.ID)
	return strings.Join(parts, ", ")
}

// sighting is what was found when the services were listed.
type sighting struct {
	at    time.Time
	set   []service // what a new token may see, by name; nil: all
	names map[string]string
}

// ids are those of the set, sorted; nil: all.
func (s *sighting) ids() []string {
	var ids []string
	for _, v := range s.set {
		ids = append(ids, v.ID)
	}
	slices.Sort(ids)
	return ids
}

// name names a service to a person.
func (s *sighting) name(id string) string {
	id = httpx.Clean(id, 40)
	if n := s.names[id]; n != "" {
		return fmt.Sprintf("%s (%s)", httpx.Clean(n, 80), id)
	}
	return id
}

// list names services to a person.
func (s *sighting) list(ids []string) string {
	const most = 40
	var names []string
	for i, id := range ids {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(ids)-most))
			break
		}
		names = append(names, s.name(id))
	}
	return strings.Join(names, ", ")
}

// sightLasts is how long a resolved set may be used.
const sightLasts = 10 * time.Minute

// resolve finds out which services are meant, or remembers.
func (p *Provider) resolve(ctx context.Context) (*sighting, error) {
	p.mu.Lock()
	seen := p.seen
	p.mu.Unlock()
	if seen != nil && time.Since(seen.at) < sightLasts {
		return seen, nil
	}
	s := &sighting{at: time.Now(), names: map[string]string{}}
	if !p.Services.All {
		all, err := p.listServices(ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range all {
			s.names[v.ID] = v.Name
		}
		if s.set, err = p.Services.pick(all); err != nil {
			return nil, err
		}
		p.warnings.Add("a new token sees %d of %d services: %s", len(s.set), len(all), s.list(s.ids()))
	}
	p.mu.Lock()
	p.seen = s
	p.mu.Unlock()
	return s, nil
}

// pick returns the services that are meant, by name.
func (s Services) pick(all []service) ([]service, error) {
	chosen := map[string]service{}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	choose := func(fits func(service) bool) (n int) {
		for _, v := range all {
			if fits(v) {
				chosen[v.ID] = v
				n++
			}
		}
		return n
	}
	for _, id := range s.ID {
		if choose(func(v service) bool { return v.ID == id }) == 0 {
			fault("there is no service with the ID %s", id)
		}
	}
	for _, name := range s.Name {
		switch n := choose(func(v service) bool { return v.Name == name }); {
		case n == 0:
			fault("there is no service named %q%s", httpx.Clean(name, 80), similar(name, all))
		case n > 1:
			fault("%d services are named %q; give their IDs", n, httpx.Clean(name, 80))
		}
	}
	for _, text := range s.Contains {
		if choose(func(v service) bool { return strings.Contains(strings.ToLower(v.Name), strings.ToLower(text)) }) == 0 {
			fault("no name of the %d services contains %q", len(all), httpx.Clean(text, 80))
		}
	}
	if len(chosen) == 0 && len(faults) == 0 {
		fault("no service is meant, which Fastly would take for all")
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %s; correct services, or the credential does not see them", rotate.ErrNotFound, strings.Join(faults, "; "))
	}
	var out []service
	for _, v := range all {
		if _, ok := chosen[v.ID]; ok {
			out = append(out, v)
			delete(chosen, v.ID)
		}
	}
	slices.SortStableFunc(out, func(a, b service) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// similar suggests a name that differs only in case or surrounding space.
func similar(name string, all []service) string {
	for _, v := range all {
		if strings.EqualFold(strings.TrimSpace(v.Name), strings.TrimSpace(name)) {
			return fmt.Sprintf(" (did you mean %q?)", httpx.Clean(v.Name, 80))
		}
	}
	return ""
}

// listServices lists every service that is not deleted, all pages.
func (p *Provider) listServices(ctx context.Context) ([]service, error) {
	var out []service
	known := map[string]bool{}
	for n := 1; n <= maxPages; n++ {
		var rows []service
		a, err := p.read(ctx, call{path: "service", query: paging(n)}, &rows)
		if err != nil {
			return nil, fmt.Errorf("the services could not be listed: %w", err)
		}
		fresh := false
		for _, v := range rows {
			if !isID(v.ID) {
				return nil, fmt.Errorf("%w: GET /service: the answer is %w", rotate.ErrTemporary, httpx.ErrForm)
			}
			if known[v.ID] {
				continue
			}
			known[v.ID], fresh = true, true
			if v.Deleted == nil || *v.Deleted == "" {
				out = append(out, v)
			}
		}
		if !a.next && len(rows) < pageSize {
			return out, nil
		}
		if !fresh {
			return nil, fmt.Errorf("%w: GET /service: page %d repeats what came before, so the list has no end", rotate.ErrTemporary, n)
		}
	}
	return nil, fmt.Errorf("%w: GET /service: more than %d pages of %d", rotate.ErrLimit, maxPages, pageSize)
}
