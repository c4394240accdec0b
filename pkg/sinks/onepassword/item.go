package onepassword

import (
	"cmp"
	"context"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file says what an item is here, whichever way it is reached.

// store is a way to the items of an account.
type store interface {
	// find returns the ids of the vault and the item that a reference names.
	find(ctx context.Context, r reference) (vault, item string, err error)
	// load reads an item.
	load(ctx context.Context, vault, item string) (*item, error)
	// save makes all edits of an item as it was read, in one step, and returns the version that this made. A refusal
	// says that nothing was changed; after any other error nobody knows.
	save(ctx context.Context, was *item, edits []edit) (version int64, err error)
	// permitted says whether an edit would be allowed, and changes nothing.
	permitted(ctx context.Context, was *item) error
}

// refusal is an error after which nothing was changed.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// Kinds of fields that a credential or a marker may be in, as Connect calls them.
const (
	kindText      = "STRING"
	kindConcealed = "CONCEALED"
)

// field is one field of an item.
type field struct {
	id, label string
	section   named // zero: in none
	kind      string
	password  bool // it is the password of an item that has such a field
	value     rotate.Secret
}

// title is what to call a field.
func (f field) title() string { return cmp.Or(f.label, f.id) }

// item is an item with all of its fields.
type item struct {
	vault, id string
	category  string // as Connect calls it
	archived  bool
	version   int64
	sections  []named
	fields    []field
}

// edit changes the value of a field, adds one or removes one.
type edit struct {
	do    doing
	field field // with the value it is to have
	was   rotate.Secret
}

type doing int

const (
	put doing = iota
	add
	remove
)

// sight is an item with what matters of it. The marker has no id if there is none yet.
type sight struct {
	*item
	field, marker field
}

// same reports whether both have the same value.
func (s *sight) same(t *sight) bool { return s.field.value.Equal(t.field.value) }

// valued adds the edit that makes the field hold a value, if it does not.
func (s *sight) valued(edits []edit, value rotate.Secret) []edit {
	if s.field.value.Equal(value) {
		return edits
	}
	f := s.field
	f.value = value
	return append(edits, edit{do: put, field: f, was: s.field.value})
}
