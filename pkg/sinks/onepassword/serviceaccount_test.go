//go:build onepassword_sdk

package onepassword

import (
	"errors"
	"reflect"
	"testing"

	api "github.com/1password/onepassword-sdk-go"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestWholeItem: what is written back is the item that was read, but for the two fields.
func TestWholeItem(t *testing.T) {
	more := "add more"
	got := api.Item{ID: "i", VaultID: "v", Title: "fly.io admin", Category: api.ItemCategoryLogin, Version: 7, Notes: "n", Tags: []string{"ci"},
		Sections: []api.ItemSection{{ID: more}}, Websites: []api.Website{{URL: "https://fly.io"}},
		Fields: []api.ItemField{{ID: "password", Title: "password", FieldType: api.ItemFieldTypeConcealed, Value: password},
			{ID: "f1", Title: "deploy-token", SectionID: &more, FieldType: api.ItemFieldTypeConcealed, Value: "old"}}}
	it, err := reading(got, "v", "i")
	must(t, err)
	r, _ := parse(ref)
	now, err := r.locate(it, "")
	must(t, err)
	if now.field.id != "f1" || now.version != 7 {
		t.Fatalf("%+v", now)
	}
	c := credential("a")
	edits := now.marked(now.valued(nil, c.Secret), markText(now, rotate.Mark{Token: c.Token}, c.Secret))
	made := edited(got, edits)
	if len(got.Fields) != 2 || got.Fields[1].Value != "old" {
		t.Error("what was read changed")
	}
	if len(made.Fields) != 3 || made.Fields[1].Value != c.Secret.Reveal() || made.Fields[2].Title != marker || *made.Fields[2].SectionID != more || made.Version != 7 {
		t.Errorf("%+v", made)
	}
	made.Fields = made.Fields[:2]
	made.Fields[1].Value = "old"
	if !reflect.DeepEqual(made, got) {
		t.Errorf("%+v became %+v", got, made)
	}
	got.Fields[0].FieldType = api.ItemFieldTypeUnsupported
	if err := carried(got); !errors.Is(err, rotate.ErrConfig) {
		t.Error(err)
	}
}

// TestSignIn: a token that is none is refused without a call, by the SDK itself.
func TestSignIn(t *testing.T) {
	f := &Field{Reference: ref, ServiceAccount: rotate.NewSecret("ops_none-of-theirs-at-all")}
	err := f.Check(t.Context())
	var e *rotate.Error
	if !errors.As(err, &e) {
		t.Errorf("%v", err)
	}
	fails(t, err, e.Err)
	t.Log(err)
}
