package onepassword

import (
	"errors"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]reference{
		ref:                                     {"blumeops", "fly.io admin", "add more", true, "deploy-token"},
		"op://abcdefghijklmnopqrstuvwxyz/it/fi": {"abcdefghijklmnopqrstuvwxyz", "it", "", false, "fi"},
	} {
		if got, err := parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"":                                      "give the field",
		"blumeops/fly/x":                        "no secret reference",
		"OP://a/b/c":                            "no secret reference",
		"op://a/b":                              "2 parts",
		"op://a/b/c/d/e":                        "5 parts",
		"op://a//c":                             "empty part",
		"op://a/ /c":                            "empty part",
		"op://a/b/c?attribute=otp":              "question mark",
		"op://a/b/c\n":                          "control",
		"op://a/b/" + strings.Repeat("x", 1000): "1000",
	} {
		if _, err := parse(text); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// sample is an item with all that can be confused.
func sample() *item {
	conceal := func(id, label, section, name string) field {
		return field{id: id, label: label, section: named{section, name}, kind: kindConcealed}
	}
	return &item{
		sections: []named{{"add more", ""}, {"s1", "Tokens"}, {"s2", "Tokens"}, {"s3", "Empty"}},
		fields: []field{
			conceal("password", "password", "", ""), conceal("f0", "password", "s1", "Tokens"),
			conceal("f1", "deploy", "add more", ""), conceal("f2", "deploy", "s1", "Tokens"), conceal("f3", "Read", "s2", "Tokens"),
			conceal("f4", "twin", "s1", "Tokens"), conceal("f5", "Twin", "s1", "Tokens"),
			conceal("username", "login", "", ""), conceal("f6", "username", "s1", "Tokens"),
			conceal("same", "one", "", ""), conceal("same", "other", "", ""),
			conceal("f7", "marked", "", ""), conceal("f8", "marked remint", "", ""), conceal("f9", "Marked Remint", "", ""),
			conceal("a/~b", "odd", "", ""),
		},
	}
}

func TestLocate(t *testing.T) {
	for last, want := range map[string]string{
		"add more/deploy": "f1", "ADD MORE/DEPLOY": "", "Tokens/deploy": "f2", "s1/deploy": "f2", "tokens/read": "f3", "read": "f3",
		"f2": "f2", "password": "password", "Tokens/password": "f0", "f5": "f5", "odd": "a/~b",
		// None or several:
		"deploy": "", "Tokens/twin": "", "twin": "", "username": "", "one": "", "same": "", "marked": "", "Empty/deploy": "", "none/deploy": "", "nothing": "",
	} {
		r, err := parse("op://v/i/" + last)
		must(t, err)
		now, err := r.locate(sample(), "")
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: %s", last, now.field.id)
		case want == "" && !errors.Is(err, rotate.ErrConfig) && !errors.Is(err, rotate.ErrNotFound):
			t.Errorf("%s: %v", last, err)
		case want != "" && (err != nil || now.field.id != want):
			t.Errorf("%s: %v, %v", last, now, err)
		}
	}
	for last, says := range map[string]string{
		"twin": `2 fields are meant by "twin": "Tokens / twin" (id f4), "Tokens / Twin" (id f5)`, "none/deploy": `no section "none"; it has "" (id add more), "Tokens" (id s1)`,
		"Empty/deploy": "none at all", "nothing": `there is no field "nothing"; there are "password" (id password), "Tokens / password" (id f0)`, "one": "2 fields with the id", "marked": "could be the marker",
	} {
		r, _ := parse("op://v/i/" + last)
		if _, err := r.locate(sample(), ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", last, err)
		}
	}
	r, _ := parse("op://v/i/marked")
	if now, err := r.locate(sample(), "odd"); err != nil || now.marker.id != "a/~b" {
		t.Errorf("another marker: %v, %v", now, err)
	}
	if _, err := r.locate(sample(), "MARKED"); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("the field as its own marker: %v", err)
	}
}

// FuzzReference: whatever a reference says, it means one field of an item or is an error.
func FuzzReference(f *testing.F) {
	for _, s := range []string{ref, "op://a/b/c", "op://a/b/Tokens/twin", "op://a/b/username", "op://%2f/\xff/\u2028/x", "op:////"} {
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, text, label string) {
		r, err := parse(text)
		if err != nil {
			if !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("%v", err)
			}
			return
		}
		now, err := r.locate(sample(), label)
		if err != nil {
			return
		}
		n := 0
		for _, x := range sample().fields {
			if x.id == now.field.id {
				n++
			}
		}
		if n != 1 || now.field.id == now.marker.id || r.sectioned && now.field.section.id == "" {
			t.Errorf("%q means %q", text, now.field.id)
		}
	})
}

// FuzzPointer: an escaped id is one part of a JSON pointer and means the id.
func FuzzPointer(f *testing.F) {
	f.Add("a/b~c")
	f.Fuzz(func(t *testing.T, id string) {
		p := pointer(id)
		if strings.Contains(p, "/") || strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~") != id {
			t.Errorf("%q: %q", id, p)
		}
	})
}
