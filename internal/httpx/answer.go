package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// This file reads answers in JSON. Its rule: no error repeats what was read, which may hold a secret.

// ErrForm says that an answer is of another form than its service documents. What it means for the caller, the caller adds.
var ErrForm = errors.New("not of the known form")

// Decode reads one JSON value and nothing else into a pointer. Nothing, and null, are [ErrForm] too.
func Decode(body []byte, into any) error {
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) || json.Unmarshal(body, into) != nil {
		return ErrForm
	}
	return nil
}

// Stamp is a time in JSON, by RFC 3339 and in UTC, that may also be null or "": not known.
type Stamp struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler]. Years that could not be written as JSON again are [ErrForm].
func (s *Stamp) UnmarshalJSON(b []byte) error {
	var text string // null leaves it empty
	if json.Unmarshal(b, &text) != nil {
		return ErrForm
	}
	s.Time = time.Time{}
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 {
		return ErrForm
	}
	s.Time = t
	return nil
}

// Presentable reports whether a text can stand in a header as a credential: visible ASCII, and not nothing.
func Presentable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
