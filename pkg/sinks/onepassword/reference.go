package onepassword

import (
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads secret references and finds the one thing that each part of one means. Names are compared without
// regard to capitals, as 1Password does.

// reference is a secret reference taken apart.
type reference struct {
	vault, item string
	section     string // only if sectioned
	sectioned   bool
	field       string
}

// id is the form of ids of vaults and items (1Password Connect's description: ^[\da-z]{26}$).
var id = pattern.New(`^[\da-z]{26}$`)

// parse reads op://vault/item/section/field or op://vault/item/field.
func parse(text string) (reference, error) {
	bad := func(format string, args ...any) (reference, error) {
		return reference{}, fmt.Errorf("%w: "+format, append([]any{rotate.ErrConfig}, args...)...)
	}
	const form = "op://vault/item/section/field, or op://vault/item/field"
	rest, ok := strings.CutPrefix(text, "op://")
	switch {
	case text == "":
		return bad("give the field as %s", form)
	case !ok:
		return bad("%q is no secret reference: %s", httpx.Clean(text, 100), form)
	case strings.Contains(rest, "?"):
		return bad("attributes (what follows a question mark) are for reading; a name with a question mark is given by its id")
	case strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return bad("a secret reference has no control characters")
	case len(text) > 1000:
		return bad("a secret reference has at most 1000 bytes")
	}
	parts := strings.Split(rest, "/")
	for _, p := range parts {
		if strings.TrimSpace(p) == "" {
			return bad("%q has an empty part: %s", text, form)
		}
	}
	switch len(parts) {
	case 3:
		return reference{vault: parts[0], item: parts[1], field: parts[2]}, nil
	case 4:
		return reference{vault: parts[0], item: parts[1], section: parts[2], sectioned: true, field: parts[3]}, nil
	}
	return bad("%q has %d parts, not three or four: %s; a name with a slash is given by its id", text, len(parts), form)
}

// named is something with an id and a name.
type named struct{ id, name string }

// choose returns the id of the one thing that a part means. An id in full goes before names.
func choose(kind, part string, all []named) (string, error) {
	var found []named
	for _, n := range all {
		if n.id == part {
			return n.id, nil
		}
		if strings.EqualFold(n.name, part) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 1:
		return found[0].id, nil
	case 0:
		return "", fmt.Errorf("%w: there is no %s %q among those that the credential sees; there are %s", rotate.ErrNotFound, kind, part, candidates(all))
	}
	return "", fmt.Errorf("%w: %d %ss are called %q: %s; give the id in place of the name", rotate.ErrConfig, len(found), kind, part, candidates(found))
}

// candidates lists things for an error.
func candidates(all []named) string {
	const most = 20
	if len(all) == 0 {
		return "none at all"
	}
	var texts []string
	for i, n := range all {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		texts = append(texts, fmt.Sprintf("%q (id %s)", httpx.Clean(n.name, 80), httpx.Clean(n.id, 80)))
	}
	return strings.Join(texts, ", ")
}

// locate finds the field in an item, and the marker beside it.
func (r reference) locate(it *item, marker string) (*sight, error) {
	among := it.fields
	if r.sectioned {
		among = nil
		known := false
		for _, s := range it.sections {
			known = known || s.is(r.section)
		}
		if !known {
			return nil, fmt.Errorf("%w: the item has no section %q; it has %s", rotate.ErrNotFound, r.section, candidates(it.sections))
		}
		for _, f := range it.fields {
			if f.section.is(r.section) {
				among = append(among, f)
			}
		}
	}
	found := r.matches(among)
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%w: there is no field %q; there are %s", rotate.ErrNotFound, r.field, listed(among))
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %d fields are meant by %q: %s; name the section, or give the field's id in place of its label", rotate.ErrConfig, len(found), r.field, listed(found))
	}
	now := &sight{item: it, field: found[0]}
	label := marker
	if label == "" {
		label = now.field.title() + " remint"
	}
	twins, markers := 0, []field{}
	for _, f := range it.fields {
		if f.id == now.field.id {
			twins++
			continue
		}
		if f.section.id == now.field.section.id && strings.EqualFold(f.label, label) {
			markers = append(markers, f)
		}
	}
	switch {
	case twins > 1:
		return nil, fmt.Errorf("%w: the item has %d fields with the id %q, and no change could say which is meant; delete one", rotate.ErrConfig, twins, httpx.Clean(now.field.id, 80))
	case len(markers) > 1:
		return nil, fmt.Errorf("%w: %d fields could be the marker: %s; delete the wrong one, or name another with marker", rotate.ErrConfig, len(markers), listed(markers))
	case strings.EqualFold(now.field.label, label):
		return nil, fmt.Errorf("%w: the marker is to be another field than the one that holds the credential", rotate.ErrConfig)
	}
	now.marker = field{label: label, section: now.field.section, kind: kindText}
	if len(markers) == 1 {
		now.marker = markers[0]
	}
	return now, nil
}

// matches returns the fields that the last part may mean. The fields that every item of a category has are called by
// their id (password, username), also where a section has a field of the same label.
func (r reference) matches(among []field) []field {
	var byID, byLabel []field
	for _, f := range among {
		if f.id == r.field {
			byID = append(byID, f)
		}
		if strings.EqualFold(f.label, r.field) {
			byLabel = append(byLabel, f)
		}
	}
	switch {
	case len(byID) == 0:
		return byLabel
	case len(byID) > 1, len(byLabel) == 0, strings.EqualFold(byID[0].label, r.field):
		return byID
	}
	return append(byID, byLabel...)
}

// listed lists fields for an error.
func listed(fields []field) string {
	var all []named
	for _, f := range fields {
		n := named{f.id, f.label}
		if s := f.section; s.id != "" {
			n.name = strings.TrimSpace(s.name + " / " + f.label)
			if s.name == "" {
				n.name = s.id + " / " + f.label
			}
		}
		all = append(all, n)
	}
	return candidates(all)
}

// is reports whether a part means this.
func (n named) is(part string) bool {
	return n.id != "" && (n.id == part || strings.EqualFold(n.name, part))
}
