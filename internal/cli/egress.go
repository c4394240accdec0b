package cli

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/emulate/lab"
	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// contact is a host that a configuration may contact.
type contact struct {
	Origin  string   `json:"origin"`
	Scheme  string   `json:"scheme"`
	Host    string   `json:"host"`
	Port    string   `json:"port"`
	Methods []string `json:"methods"` // sorted
	Via     string   `json:"via,omitempty"`
	Why     []string `json:"why"` // in the order of the configuration
}

// open is an adapter of which nobody can say what it contacts.
type open struct {
	Adapter string `json:"adapter"`
	Why     string `json:"why"`
}

// egress prints every host that a configuration may contact, for somebody who has to let that through and nothing
// else. It calls nobody, and needs no credential: those that are missing are made up.
func (c *command) egress() int {
	invent := lab.New(c.getenv).Options(config.Options{}).Invent
	cfg, ok := c.load(config.Options{Getenv: c.getenv, Invent: invent})
	if !ok {
		return Misused
	}
	contacts, opens := reach(cfg.Rotations)
	if c.format == "json" {
		return c.document(map[string]any{"endpoints": contacts, "unknown": opens}, Done)
	}
	wide, many := 0, 0
	for _, x := range contacts {
		wide, many = max(wide, len(x.Origin)), max(many, len(strings.Join(x.Methods, ",")))
	}
	for _, x := range contacts {
		why := strings.Join(x.Why, "; ")
		if x.Via != "" {
			why += " (through the proxy " + x.Via + ")"
		}
		c.line(fmt.Sprintf("%-*s  %-*s  %s", wide, x.Origin, many, strings.Join(x.Methods, ","), why))
	}
	for _, x := range opens {
		c.line(fmt.Sprintf("anything: %s: %s", x.Adapter, x.Why))
	}
	if len(contacts)+len(opens) == 0 {
		c.line("nothing is contacted")
	}
	return Done
}

// reach gathers what all adapters may contact, by host, and those that cannot say it.
func reach(rotations []*config.Rotation) ([]contact, []open) {
	contacts, opens := []contact{}, []open{}
	at := map[string]int{}
	for _, r := range rotations {
		for _, a := range r.Adapters {
			x, ok := a.Value.(rotate.Connector)
			if !ok {
				opens = insert(opens, open{fmt.Sprint(a.Value), "it does not say what it contacts"})
				continue
			}
			for _, e := range x.Endpoints() {
				u, err := url.Parse(e.Origin)
				if e.Origin == "" || err != nil {
					opens = insert(opens, open{fmt.Sprint(a.Value), e.Why})
					continue
				}
				i, known := at[e.Origin]
				if !known {
					i = len(contacts)
					at[e.Origin] = i
					port := cmp.Or(u.Port(), map[string]string{"https": "443", "http": "80"}[u.Scheme])
					contacts = append(contacts, contact{Origin: e.Origin, Scheme: u.Scheme, Host: u.Hostname(), Port: port, Via: httpx.Proxy(e.Origin)})
				}
				contacts[i].Why = insert(contacts[i].Why, e.Why)
				contacts[i].Methods = append(contacts[i].Methods, e.Methods...)
			}
		}
	}
	for i := range contacts {
		slices.Sort(contacts[i].Methods)
		contacts[i].Methods = slices.Compact(contacts[i].Methods)
	}
	slices.SortFunc(contacts, func(a, b contact) int { return cmp.Compare(a.Origin, b.Origin) })
	return contacts, opens
}

// insert adds what is not there yet.
func insert[T comparable](list []T, x T) []T {
	if slices.Contains(list, x) {
		return list
	}
	return append(list, x)
}
