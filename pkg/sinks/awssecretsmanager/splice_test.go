package awssecretsmanager

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestSplice(t *testing.T) {
	for _, c := range []struct {
		name, doc, key string
		create         bool
		want           string
		err            error
	}{
		{name: "plain", doc: `{"k":"old"}`, key: "k", want: `{"k":"NEW"}`},
		{name: "numbers, order, escapes, white space", key: "k",
			doc:  "\n{ \"z\" : 1.50e+3,\n\t\"k\"  :  \"o\\u006cd\" ,\"a\":12345678901234567890, \"\\u00e9\":\"\\u003c<\"}\r\n ",
			want: "\n{ \"z\" : 1.50e+3,\n\t\"k\"  :  \"NEW\" ,\"a\":12345678901234567890, \"\\u00e9\":\"\\u003c<\"}\r\n "},
		{name: "nested key of the same name", doc: `{"n":{"k":"in"},"l":["k"],"k":"old"}`, key: "k", want: `{"n":{"k":"in"},"l":["k"],"k":"NEW"}`},
		{name: "escaped key", doc: `{"a\u002fb":"old"}`, key: "a/b", want: `{"a\u002fb":"NEW"}`},
		{name: "key with brace and quote", doc: `{"}\"":"old","x":"}"}`, key: `}"`, want: `{"}\"":"NEW","x":"}"}`},
		{name: "null", doc: `{"k":null}`, key: "k", want: `{"k":"NEW"}`},
		{name: "other case", doc: `{"K":"old"}`, key: "k", err: errNoKey},
		{name: "missing", doc: `{"a":1}`, key: "k", err: errNoKey},
		{name: "only nested", doc: `{"a":{"k":"x"}}`, key: "k", err: errNoKey},
		{name: "create in empty", doc: ` { } `, key: "k", create: true, want: ` {"k":"NEW" } `},
		{name: "create in line", doc: `{"a": 1, "b":2}`, key: "k", create: true, want: `{"a": 1, "b":2,"k": "NEW"}`},
		{name: "create indented", doc: "{\n  \"a\": 1,\n  \"b\": [\n  ]\n}\n", key: "k", create: true, want: "{\n  \"a\": 1,\n  \"b\": [\n  ],\n  \"k\": \"NEW\"\n}\n"},
		{name: "create what is there", doc: `{"k":"old"}`, key: "k", create: true, want: `{"k":"NEW"}`},
		{name: "twice", doc: `{"k":"a","k":"b"}`, key: "k", err: rotate.ErrConfig},
		{name: "twice, once escaped", doc: `{"k":"a","\u006B":"b"}`, key: "k", err: rotate.ErrConfig},
		{name: "others twice", doc: `{"a":1,"k":"old","a":2}`, key: "k", want: `{"a":1,"k":"NEW","a":2}`},
		{name: "number", doc: `{"k":1}`, key: "k", err: rotate.ErrConfig},
		{name: "object", doc: `{"k":{"v":"x"}}`, key: "k", err: rotate.ErrConfig},
		{name: "list", doc: `["k"]`, key: "k", err: rotate.ErrConfig},
		{name: "text", doc: `"k"`, key: "k", err: rotate.ErrConfig},
		{name: "empty", doc: ``, key: "k", err: rotate.ErrConfig},
		{name: "two documents", doc: `{"k":"a"}{"k":"b"}`, key: "k", err: rotate.ErrConfig},
		{name: "trailing comma", doc: `{"k":"a",}`, key: "k", err: rotate.ErrConfig},
		{name: "byte order mark", doc: "\ufeff{\"k\":\"a\"}", key: "k", err: rotate.ErrConfig},
		{name: "deep", doc: strings.Repeat(`{"k":`, 20000), key: "k", err: rotate.ErrConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := splice(c.doc, c.key, "NEW", c.create)
			if !errors.Is(err, c.err) || got != c.want {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
	if got, _ := splice(`{"k":"old"}`, "k", "a<b>&\"\\\u2028\n", false); got != `{"k":"a<b>&\"\\\u2028\n"}` {
		t.Error(got)
	}
}

// FuzzSplice: whatever the object, only the bytes of one value change; the result is valid, and reads back.
func FuzzSplice(f *testing.F) {
	for _, doc := range []string{`{"k":"old"}`, `{ "a":1e99 ,"k" :"x","z":[{"k":1}]}`, `{"k":null}`, `{}`, `{"a":{}}`, "{\n \"b\": true\n}", `{"\u006b":"x"}`, `{"k":"x","k":"y"}`} {
		f.Add(doc, "k", "FlyV1 fm2_x,fm2_y", true)
	}
	f.Add(`{"a":"x\ud800","é":""}`, "é", "\x00\u2028", false)
	f.Fuzz(func(t *testing.T, doc, key, text string, create bool) {
		if !utf8.ValidString(key) || !utf8.ValidString(text) || !utf8.ValidString(doc) || text == "" {
			t.Skip()
		}
		got, err := splice(doc, key, text, create)
		if err != nil {
			if strings.Contains(err.Error(), doc) && len(doc) > 20 {
				t.Errorf("the error shows the document: %v", err)
			}
			return
		}
		back, err := pick(got, key)
		if err != nil || back != text {
			t.Fatalf("%q in %q reads back as %q, %v", text, got, back, err)
		}
		// What precedes and follows the new value is all of the old document but one value.
		at := strings.LastIndex(got, quote(text))
		if at < 0 {
			t.Fatalf("%q is not in %q", text, got)
		}
		var was, is map[string]json.RawMessage
		if err := json.Unmarshal([]byte(doc), &was); err != nil {
			t.Fatalf("a document that is no object was accepted: %q", doc)
		}
		if err := json.Unmarshal([]byte(got), &is); err != nil {
			t.Fatalf("not valid: %q", got)
		}
		old, had := was[key]
		delete(was, key)
		delete(is, key)
		if len(was) != len(is) {
			t.Fatalf("%q became %q", doc, got)
		}
		for k, v := range was {
			if !bytes.Equal(v, is[k]) {
				t.Errorf("%q changed from %s to %s", k, v, is[k])
			}
		}
		if had { // putting the old value back gives the old document, byte for byte
			sp, err := locate(got, key)
			if err != nil {
				t.Fatal(err)
			}
			if again := got[:sp.start] + string(old) + got[sp.end:]; again != doc {
				t.Errorf("%q became %q, and back %q", doc, got, again)
			}
		} else if sp, err := locate(got, key); err != nil || !strings.HasSuffix(doc, got[sp.end:]) {
			t.Errorf("%q became %q", doc, got)
		}
	})
}
