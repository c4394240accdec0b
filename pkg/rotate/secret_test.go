package rotate

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretIsSilent formats, logs and encodes a secret in every place of a value in which it could stand.
func TestSecretIsSilent(t *testing.T) {
	const text = "fo1_canary_0123456789"
	s := NewSecret(text)
	type inner struct {
		Exported   Secret
		unexported Secret
	}
	values := map[string]any{
		"itself": s, "pointer": &s, "struct": inner{s, s}, "struct pointer": &inner{s, s}, "slice": []Secret{s}, "map": map[string]Secret{"k": s}, "map key": map[Secret]int{s: 1},
		"any": []any{s, &s, inner{s, s}}, "credential": Credential{Token{ID: "1"}, s}, "holding": Holding{Secret: s},
		"error": &Error{"write", "x", fmt.Errorf("%w: %v", ErrDenied, s)},
	}
	look := func(t *testing.T, how, got string) {
		t.Helper()
		if strings.Contains(got, text) || strings.Contains(got, fmt.Sprintf("%x", text)) || strings.Contains(got, fmt.Sprintf("%d", []byte(text))) {
			t.Errorf("%s shows it", how)
		}
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			for _, verb := range "vsqxXdboctTUeEfFgGp" {
				for _, flag := range []string{"", "+", "#", " ", "0", "-", "20", ".3"} {
					f := "%" + flag + string(verb)
					look(t, f, fmt.Sprintf(f, v))
				}
			}
			look(t, "Sprint", fmt.Sprint(v))
			if b, err := json.Marshal(v); err == nil {
				look(t, "JSON", string(b))
			}
			if b, err := xml.Marshal(v); err == nil {
				look(t, "XML", string(b))
			}
			var buf bytes.Buffer
			if err := gob.NewEncoder(&buf).Encode(v); err == nil {
				look(t, "gob", buf.String())
			}
			buf.Reset()
			slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "v", v)
			slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "v", v)
			look(t, "slog", buf.String())
		})
	}
	if !s.Equal(NewSecret(text)) || s.Equal(NewSecret(text+"x")) || s.Equal(Secret{}) || !(Secret{}).IsZero() || NewSecret("").IsZero() != true {
		t.Error("Equal or IsZero is wrong")
	}
}

func TestMark(t *testing.T) {
	m := Mark{Token: Token{ID: "t1", Name: "web 1", Created: now, Expires: now.Add(90 * day)}, Verified: true}
	got, err := ParseMark(m.String())
	if err != nil || got != m {
		t.Errorf("%+v came back as %+v, %v", m, got, err)
	}
	for _, text := range []string{"", "{}", "null", "somebody else's", `{"remint":2,"id":"t1"}`, `{"remint":1,"id":""}`, `{"id":"t1"}`, "[1]"} {
		if m, err := ParseMark(text); err == nil {
			t.Errorf("ParseMark(%q) = %+v", text, m)
		}
	}
}
