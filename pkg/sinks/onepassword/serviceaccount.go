//go:build onepassword_sdk

package onepassword

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	api "github.com/1password/onepassword-sdk-go"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reaches items as a service account, by 1Password's SDK (v0.3.1). It is built with the tag onepassword_sdk
// only: the SDK brings a WebAssembly program of 9 MB and the machine to run it, and takes seconds to start.
//
//   - The unit of a change is the whole item, guarded by its version: Put of an item that changed meanwhile fails. What
//     the SDK cannot carry (a field or category that it calls Unsupported) would be at risk, so such an item is refused.
//   - Its errors are texts but for the rate limit; texts are shown without any value of the item.
//   - A business account has 1,000 writes and 10,000 reads an hour for each token, others 100 and 1,000.

// sdk says whether this build can use a service account.
const sdk = true

// account is a service account.
type account struct {
	token rotate.Secret

	mu     sync.Mutex
	client *api.Client
	last   *item    // that was read last, and
	whole  api.Item // all of it
}

func openServiceAccount(token rotate.Secret) (store, error) { return &account{token: token}, nil }

// use returns the client, which signs in when it is made.
func (a *account) use(ctx context.Context) (*api.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if a.client == nil {
		c, err := api.NewClient(ctx, api.WithServiceAccountToken(a.token.Reveal()), api.WithIntegrationInfo("remint", "v1"))
		if err != nil {
			return nil, fmt.Errorf("%w; see that the token of the service account (OP_SERVICE_ACCOUNT_TOKEN) is whole and not revoked", a.explain(ctx, err, nil))
		}
		a.client = c
	}
	return a.client, nil
}

// explain gives an error of the SDK a sentinel. The kinds are told apart by its words, which are those of v0.3.1; what
// is not known is temporary.
func (a *account) explain(ctx context.Context, err error, it *item, more ...edit) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var limit *api.RateLimitExceededError
	text := strings.ReplaceAll(err.Error(), a.token.Reveal(), "[secret]")
	blot := func(s rotate.Secret) {
		if v := s.Reveal(); len(v) >= 4 {
			text = strings.ReplaceAll(text, v, "[secret]")
		}
	}
	if it != nil {
		for _, f := range it.fields {
			blot(f.value)
		}
	}
	for _, e := range more {
		blot(e.field.value)
	}
	says := strings.ToLower(text)
	kind := rotate.ErrTemporary
	switch {
	case errors.As(err, &limit):
		kind = rotate.ErrLimit
	case strings.Contains(says, "not found"), strings.Contains(says, "no such"):
		kind = rotate.ErrNotFound
	case strings.Contains(says, "permission"), strings.Contains(says, "unauthorized"), strings.Contains(says, "forbidden"), strings.Contains(says, "invalid service account token"):
		kind = rotate.ErrDenied
	}
	return fmt.Errorf("%w: 1Password: %s", kind, httpx.Clean(text, 300))
}

func (a *account) find(ctx context.Context, r reference) (vault, it string, err error) {
	c, err := a.use(ctx)
	if err != nil {
		return "", "", err
	}
	if vault = r.vault; !id.MatchString(vault) {
		list, err := c.Vaults().List(ctx)
		if err != nil {
			return "", "", a.explain(ctx, err, nil)
		}
		var all []named
		for _, v := range list {
			all = append(all, named{v.ID, v.Title})
		}
		if vault, err = choose("vault", r.vault, all); err != nil {
			return "", "", err
		}
	}
	if it = r.item; !id.MatchString(it) {
		list, err := c.Items().List(ctx, vault)
		if err != nil {
			return "", "", a.explain(ctx, err, nil)
		}
		var all []named
		for _, x := range list {
			if x.State != api.ItemStateArchived {
				all = append(all, named{x.ID, x.Title})
			}
		}
		if it, err = choose("item", r.item, all); err != nil {
			return "", "", err
		}
	}
	return vault, it, nil
}

// kinds are Connect's words for the types of fields that matter here.
var kinds = map[api.ItemFieldType]string{
	api.ItemFieldTypeText: kindText, api.ItemFieldTypeConcealed: kindConcealed, api.ItemFieldTypeURL: "URL", api.ItemFieldTypeEmail: "EMAIL",
}

func (a *account) load(ctx context.Context, vault, itemID string) (*item, error) {
	c, err := a.use(ctx)
	if err != nil {
		return nil, err
	}
	got, err := c.Items().Get(ctx, vault, itemID)
	if err != nil {
		return nil, a.explain(ctx, err, nil)
	}
	it, err := reading(got, vault, itemID)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.whole = it, got
	return it, nil
}

// all returns the whole of an item, if it was the last to be read and can be written back as it is.
func (a *account) all(of *item) (api.Item, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if of != a.last {
		return api.Item{}, errStale
	}
	return a.whole, carried(a.whole)
}

// reading is an item of the SDK's as it is known here.
func reading(got api.Item, vault, itemID string) (*item, error) {
	if got.ID != itemID || got.VaultID != vault {
		return nil, fmt.Errorf("%w: 1Password gave another item than was asked for", rotate.ErrTemporary)
	}
	it := &item{vault: vault, id: itemID, category: strings.ToUpper(string(got.Category)), version: int64(got.Version)}
	labels := map[string]string{}
	for _, s := range got.Sections {
		it.sections = append(it.sections, named{s.ID, s.Title})
		labels[s.ID] = s.Title
	}
	for _, f := range got.Fields {
		x := field{id: f.ID, label: f.Title, kind: kinds[f.FieldType], password: f.ID == "password" && f.SectionID == nil, value: rotate.NewSecret(f.Value)}
		if x.kind == "" {
			x.kind = string(f.FieldType)
		}
		if f.SectionID != nil {
			x.section = named{*f.SectionID, labels[*f.SectionID]}
		}
		it.fields = append(it.fields, x)
	}
	return it, nil
}

// carried says whether the SDK can write an item back as it is.
func carried(it api.Item) error {
	bad := it.Category == api.ItemCategoryUnsupported
	for _, f := range it.Fields {
		bad = bad || f.FieldType == api.ItemFieldTypeUnsupported
	}
	if bad {
		return refusal{fmt.Errorf("%w: 1Password's SDK cannot carry all of this item, and writes items as a whole; move the field into an item of its own, or use a Connect server", rotate.ErrConfig)}
	}
	return nil
}

func (a *account) permitted(_ context.Context, was *item) error {
	_, err := a.all(was)
	return err // what the token may do is shown by doing it only
}

func (a *account) save(ctx context.Context, was *item, edits []edit) (version int64, err error) {
	whole, err := a.all(was)
	if err != nil {
		return 0, err
	}
	c, err := a.use(ctx)
	if err != nil {
		return 0, refusal{err}
	}
	got, err := c.Items().Put(ctx, edited(whole, edits))
	if err != nil {
		// The version guards the item: whatever becomes of a second attempt, it is made for what is there then.
		if strings.Contains(strings.ToLower(err.Error()), "version") {
			return 0, errStale
		}
		return 0, a.explain(ctx, err, was, edits...)
	}
	return int64(got.Version), nil
}

// edited is the item with the edits made. The item given stays as it is.
func edited(it api.Item, edits []edit) api.Item {
	it.Fields = slices.Clone(it.Fields)
	for _, e := range edits {
		at := slices.IndexFunc(it.Fields, func(f api.ItemField) bool { return f.ID == e.field.id })
		switch {
		case e.do == add:
			f := api.ItemField{ID: strings.ToLower(rand.Text()), Title: e.field.label, FieldType: api.ItemFieldTypeText, Value: e.field.value.Reveal()}
			if s := e.field.section.id; s != "" {
				f.SectionID = &s
			}
			it.Fields = append(it.Fields, f)
		case at < 0:
		case e.do == remove:
			it.Fields = slices.Delete(it.Fields, at, at+1)
		default:
			it.Fields[at].Value = e.field.value.Reveal()
		}
	}
	return it
}
