package rotate

import (
	"encoding/json"
	"fmt"
	"time"
)

// Mark is what a sink records beside a secret, so that a later run knows which token it holds without
// reading it. A sink writes the mark after the secret when the token is newer than the one marked, and
// before it when it is older: a mark may name an older token than the one held, never a newer one.
type Mark struct {
	Token    Token
	Verified bool // a verification succeeded while every sink held this token
}

// markText is the stored form. It holds no secret, and stays small: variables of CI hosts are limited.
type markText struct {
	Remint   int        `json:"remint"` // version of this form
	ID       string     `json:"id"`
	Name     string     `json:"name,omitempty"`
	Created  *time.Time `json:"created,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
	Verified bool       `json:"verified"`
}

// String returns the form in which a mark is stored: one line of JSON, without a secret.
func (m Mark) String() string {
	t := markText{Remint: 1, ID: m.Token.ID, Name: m.Token.Name, Verified: m.Verified}
	for _, x := range []struct {
		from time.Time
		to   **time.Time
	}{{m.Token.Created, &t.Created}, {m.Token.Expires, &t.Expires}} {
		if !x.from.IsZero() {
			u := x.from.UTC()
			*x.to = &u
		}
	}
	b, err := json.Marshal(t)
	if err != nil { // only a year beyond 9999 gets here
		return fmt.Sprintf(`{"remint":1,"id":%q,"verified":%t}`, m.Token.ID, m.Verified)
	}
	return string(b)
}

// ParseMark reads what [Mark.String] wrote. Text that is no mark, or of a later form, is an error that
// wraps [ErrConflict]: somebody else uses the place.
func ParseMark(text string) (Mark, error) {
	var t markText
	if err := json.Unmarshal([]byte(text), &t); err != nil || t.Remint == 0 || t.ID == "" {
		return Mark{}, fmt.Errorf("%w: not a mark of remint", ErrConflict)
	}
	if t.Remint > 1 {
		return Mark{}, fmt.Errorf("%w: mark of a newer remint (form %d)", ErrConflict, t.Remint)
	}
	m := Mark{Token: Token{ID: t.ID, Name: t.Name}, Verified: t.Verified}
	if t.Created != nil {
		m.Token.Created = *t.Created
	}
	if t.Expires != nil {
		m.Token.Expires = *t.Expires
	}
	return m, nil
}
