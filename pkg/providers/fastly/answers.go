package fastly

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The forms of Fastly's answers, as recorded in go-fastly's fixtures. Rules: one form reads all that Fastly says of a
// token, wherever it says it; what is null, missing or "" is not known; nothing that was read gets into an error.
// go-fastly's own types do not serve, since they lose the scope in lists and whether services were said at all.

// token is all that any answer says of a token.
type token struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Creator  string      `json:"creator_id"` // in the list of automation tokens
	Customer string      `json:"customer_id"`
	Role     string      `json:"role"` // of automation tokens
	Scope    words       `json:"scope"`
	Scopes   words       `json:"scopes"`   // a text in the list of automation tokens, an array in those of user tokens
	Services *[]string   `json:"services"` // nil: not said
	Limited  *bool       `json:"limit_services"`
	TLS      *bool       `json:"tls_access"`
	Created  httpx.Stamp `json:"created_at"`
	Expires  httpx.Stamp `json:"expires_at"`
	LastUsed httpx.Stamp `json:"last_used_at"`
	Text     string      `json:"access_token"` // in the answer to a create only
}

// scope is what the token may do, sorted; nil: not said.
func (t token) scope() []string {
	if len(t.Scope) > 0 {
		return set(t.Scope)
	}
	return set(t.Scopes)
}

// public is the part of it that all providers have.
func (t token) public() rotate.Token {
	return rotate.Token{ID: t.ID, Name: t.Name, Created: t.Created.Time, Expires: t.Expires.Time, LastUsed: t.LastUsed.Time}
}

// page is one page of the list of automation tokens.
type page struct {
	Rows *[]*token `json:"data"`
	Meta struct {
		Total int `json:"total_pages"`
	} `json:"meta"`
}

// service is a service as listed.
type service struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Deleted *string `json:"deleted_at"`
}

// person is the answer of /current_user.
type person struct {
	ID        string `json:"id"`
	Login     string `json:"login"`
	Role      string `json:"role"`
	Customer  string `json:"customer_id"`
	Locked    bool   `json:"locked"`
	TwoFactor bool   `json:"two_factor_auth_enabled"`
}

// words is a text of words, or an array of them.
type words []string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *words) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*w = strings.Fields(text)
		return nil
	}
	var list []string
	err := json.Unmarshal(b, &list)
	*w = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	return err
}
