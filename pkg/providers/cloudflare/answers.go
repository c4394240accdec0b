package cloudflare

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

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
	Created   stamp          `json:"issued_on"`
	Expires   stamp          `json:"expires_on"`
	NotBefore stamp          `json:"not_before"`
	LastUsed  stamp          `json:"last_used_on"`
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

// stamp is a time that may also be null or "".
type stamp struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *stamp) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	s.Time = time.Time{}
	if text == nil || *text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, *text)
	if t.Year() > 9999 || t.Year() < 1 {
		return errForm
	}
	s.Time = t.UTC()
	return err
}

var errForm = errors.New("not of the known form")

// decode reads one JSON value and nothing else. Its error never repeats what was read.
func decode(body []byte, into any) error {
	if body = bytes.TrimSpace(body); len(body) == 0 || bytes.Equal(body, []byte("null")) || json.Unmarshal(body, into) != nil {
		return errForm
	}
	return nil
}
