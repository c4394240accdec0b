package protocol

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

func FuzzDecode(f *testing.F) {
	for _, verb := range []string{Check, Mint, List, Identify, Held, Read, Verify} {
		for _, text := range []string{
			`{"remint":1}`, `{"remint":1,"token":{"id":"1","name":"n","created":"2026-11-22T06:00:00Z"},"secret":"s"}`,
			`{"remint":1,"tokens":[{"id":"1"},{"id":"2","expires":"2027-01-01T00:00:00+02:00"}]}`,
			`{"remint":1,"error":{"kind":"denied","message":"m"}}`, `{"remint":1,"error":null}`, `{"remint":"1"}`, `[]`, `null`, `{"remint":1}{}`, "{\"remint\":1}\n\n", `{"remint":1,"secret":"\ud800"}`,
		} {
			f.Add(verb, text)
		}
	}
	f.Fuzz(func(t *testing.T, verb, text string) {
		a, err := Decode(verb, []byte(text))
		if len(a.Secret) > MaxSecret && err == nil {
			t.Error("a secret that is too long")
		}
		if err != nil {
			// Nothing of the answer is repeated: no run of it that is not in our own words.
			said := err.Error()
			for i := 0; i+24 <= len(text); i++ {
				if strings.Contains(said, text[i:i+24]) {
					t.Errorf("%q repeats %q", said, text[i:i+24])
				}
			}
			return
		}
		if a.Version != Version {
			t.Errorf("version %d", a.Version)
		}
		if a.Error != nil {
			return
		}
		switch verb {
		case Mint:
			if a.Token == nil || a.Token.ID == "" || a.Secret == "" {
				t.Errorf("%+v is no newborn", a)
			}
		case Identify:
			if a.Token == nil {
				t.Errorf("%+v says nothing", a)
			}
		case List:
			for _, x := range a.Tokens {
				if x.ID == "" {
					t.Error("a token without id")
				}
			}
		}
	})
}

func TestKinds(t *testing.T) {
	for _, k := range Kinds {
		err := (&Failure{k.Word, "because"}).err(func(s string) string { return s })
		for _, is := range []error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict, rotate.ErrTemporary, rotate.ErrUnproven, errors.ErrUnsupported} {
			if errors.Is(err, is) != errors.Is(k.Is, is) {
				t.Errorf("%s is %v", k.Word, err)
			}
		}
		if !strings.HasSuffix(err.Error(), ": because") {
			t.Errorf("%s: %v", k.Word, err)
		}
	}
}

func TestTokenThereAndBack(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	want := rotate.Token{ID: "1", Name: "n", Created: at, Expires: at.Add(time.Hour), LastUsed: at.Add(time.Minute)}
	if got := Describe(want).Rotate(); got != want {
		t.Errorf("%+v", got)
	}
	if got := (*Token)(nil).Rotate(); got != (rotate.Token{}) {
		t.Errorf("%+v", got)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field   string
		program *Program
	}{
		{"run", &Program{}},
		{"run", &Program{Run: []string{"a", "b\x00"}}},
		{"pass", &Program{Run: []string{"a"}, Pass: []string{"A B"}}},
		{"pass", &Program{Run: []string{"a"}, Pass: []string{"REMINT_GITHUB_TOKEN"}}},
		{"pass", &Program{Run: []string{"a"}, Pass: []string{"GITHUB_OUTPUT"}}},
		{"timeout", &Program{Run: []string{"a"}, Timeout: -1}},
		{"secrets", &Program{Run: []string{"a"}, Secrets: map[string]rotate.Secret{"x": rotate.NewSecret(strings.Repeat("x", MaxSecret+1))}}},
		{"container", &Program{Run: []string{"a"}, Pod: Pod{Container: "web"}}},
		{"selector", &Program{Run: []string{"a"}, Pod: Pod{Pod: "web-0", Selector: "app=web"}}},
		{"selector", &Program{Run: []string{"a"}, Pod: Pod{Selector: "app in"}}},
		{"pod", &Program{Run: []string{"a"}, Pod: Pod{Pod: "../secrets"}}},
		{"cluster", &Program{Run: []string{"a"}, Pod: Pod{Pod: "web-0"}}},
		{"dir", &Program{Run: []string{"a"}, Dir: "/", Pod: Pod{Pod: "web-0"}}},
		{"pass", &Program{Run: []string{"a"}, Pass: []string{"HOME"}, Pod: Pod{Pod: "web-0"}}},
	} {
		err := c.program.Validate()
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			t.Errorf("%+v: got %v", c.program, err)
			continue
		}
		found := strings.Contains(err.Error(), "field "+c.field+":")
		if !found || len(joined.Unwrap()) == 0 || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	if err := (&Program{Run: []string{"a"}, Pass: []string{"AWS_REGION", "VAULT_TOKEN"}}).Validate(); err != nil {
		t.Error(err)
	}
}
