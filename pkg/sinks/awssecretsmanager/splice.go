package awssecretsmanager

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file replaces one value of a JSON object in place. Whatever is not that value keeps its bytes:
// the order of the keys, numbers too large for a float, escapes, white space. Errors never show a part of
// the document.

// errNoKey says that the object lacks the key.
var errNoKey = errors.New("the JSON object lacks the key")

// span is where things are in a document, as offsets of bytes.
type span struct {
	start, end int    // the value of the key; both 0 if the object lacks it
	last       int    // the end of the last value, or just behind the opening brace
	lead       string // white space before the first key
	colon      string // what stands between the first key and its value
	empty      bool   // the object has no member
}

// locate finds the value of a key of the object that doc is.
func locate(doc, key string) (span, error) {
	if !json.Valid([]byte(doc)) {
		return span{}, fmt.Errorf("%w: the secret does not hold valid JSON", rotate.ErrConfig)
	}
	dec := json.NewDecoder(strings.NewReader(doc))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return span{}, fmt.Errorf("%w: the secret holds JSON, but not an object", rotate.ErrConfig)
	}
	sp := span{last: int(dec.InputOffset()), empty: true}
	for dec.More() {
		begin := sp.last
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return span{}, fmt.Errorf("%w: the secret does not hold valid JSON", rotate.ErrConfig)
		}
		behind := int(dec.InputOffset())
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return span{}, fmt.Errorf("%w: the secret does not hold valid JSON", rotate.ErrConfig)
		}
		end := int(dec.InputOffset())
		start := end - len(raw)
		if start < behind || doc[start:end] != string(raw) {
			return span{}, fmt.Errorf("%w: the value in the secret could not be located", rotate.ErrConfig)
		}
		if sp.empty {
			sp.empty = false
			sp.lead = doc[begin : begin+strings.IndexByte(doc[begin:], '"')]
			sp.colon = doc[behind:start]
		}
		if name == key {
			if sp.end != 0 {
				return span{}, fmt.Errorf("%w: the JSON object has the key %q twice; readers may disagree on which one counts, remove one", rotate.ErrConfig, key)
			}
			sp.start, sp.end = start, end
		}
		sp.last = end
	}
	return sp, nil
}

// pick returns the string under a key.
func pick(doc, key string) (string, error) {
	sp, err := locate(doc, key)
	if err != nil {
		return "", err
	}
	if sp.end == 0 {
		return "", errNoKey
	}
	raw := doc[sp.start:sp.end]
	var text *string
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		return "", fmt.Errorf("%w: the key %q holds a %s, not a string", rotate.ErrConfig, key, kind(raw))
	}
	if text == nil { // null
		return "", nil
	}
	return *text, nil
}

// splice returns doc with text under the key. A key that is missing is added at the end, in the manner of
// the first member, if create is set.
func splice(doc, key, text string, create bool) (string, error) {
	sp, err := locate(doc, key)
	if err != nil {
		return "", err
	}
	if sp.end != 0 {
		if _, err := pick(doc, key); err != nil {
			return "", err
		}
		return doc[:sp.start] + quote(text) + doc[sp.end:], nil
	}
	if !create {
		return "", errNoKey
	}
	if sp.empty {
		return doc[:sp.last] + quote(key) + ":" + quote(text) + doc[sp.last:], nil
	}
	return doc[:sp.last] + "," + sp.lead + quote(key) + sp.colon + quote(text) + doc[sp.last:], nil
}

// quote writes a JSON string, and leaves <, > and & as they are.
func quote(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

func kind(raw string) string {
	switch raw[0] {
	case '{':
		return "object"
	case '[':
		return "list"
	case 't', 'f':
		return "boolean"
	}
	return "number"
}
