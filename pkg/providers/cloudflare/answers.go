package cloudflare

import (
	"encoding/json"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The forms of Cloudflare's answers. Rules: one form reads all that is said of a token, wherever it is said; what is null or
// missing is not known; nothing that was read gets into an error, except the messages of [note].

// envelope is around every answer.
type envelope struct {
	Success *bool           `json:"success"`
	Errors  []note          `json:"errors"`
	Result  json.RawMessage `json:"result"`
	Page    *struct {
		Total int `json:"total_count"`
	} `json:"result_info"`
}

// note says what was wrong.
type note struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Chain   []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error_chain"`
}

// token is all that any answer says of a token.
type token struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Status    string         `json:"status"`
	Created   httpx.Stamp    `json:"issued_on"`
	Expires   httpx.Stamp    `json:"expires_on"`
	NotBefore httpx.Stamp    `json:"not_before"`
	LastUsed  httpx.Stamp    `json:"last_used_on"`
	Policies  []policy       `json:"policies"`
	Condition map[string]any `json:"condition"`
	Text      string         `json:"value"` // in the answer to a create only
}

// public is the part of it that all providers have.
func (t token) public() rotate.Token {
	return rotate.Token{ID: t.ID, Name: t.Name, Created: t.Created.Time, Expires: t.Expires.Time, LastUsed: t.LastUsed.Time}
}

// dead are the statuses of tokens that do not work.
func (t token) dead() bool { return t.Status == "disabled" || t.Status == "expired" }

// permission is a permission group as listed.
type permission struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}
