package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// canary looks like what is rotated: two macaroons under one scheme.
const canary = "FlyV1 fm2_lJPECAAAAAAAAk7cxBDmU4Zq1Xw9Rt+KbVnZyQpL/gHdW,fm2_mNbVcXzLkJhGfDsApOiUyTrEwQ0918273645+aSdFgHjK"

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestEncodings(t *testing.T) {
	bare := strings.TrimPrefix(canary, "FlyV1 ")
	second := strings.Split(bare, ",")[1]
	awkward := `pass"word<&>'with \ all/of+it=`
	quoted, _ := json.Marshal(awkward)
	var xmled bytes.Buffer
	_ = xml.EscapeText(&xmled, []byte(awkward))
	wrapped := func(s string, at int) string {
		var b strings.Builder
		for i, c := range s {
			if i > 0 && i%at == 0 {
				b.WriteByte('\n')
			}
			b.WriteRune(c)
		}
		return b.String()
	}
	for name, c := range map[string]struct{ secret, text string }{
		"raw":                 {canary, canary},
		"bare":                {canary, bare},
		"part":                {canary, second},
		"base64":              {canary, b64(canary)},
		"base64 of a line":    {canary, b64(canary + "\n")},
		"base64 at 1":         {canary, b64("u" + canary)},
		"base64 at 2":         {canary, b64("u:" + canary)},
		"base64 of part at 1": {canary, b64("u" + second)},
		"base64 in JSON":      {canary, b64(`{"token":"` + canary + `"}`)},
		"base64url":           {canary, base64.RawURLEncoding.EncodeToString([]byte("x" + canary))},
		"base64 wrapped":      {canary, wrapped(b64(canary), 76)},
		"base64 twice":        {canary, b64(b64(canary))},
		"hex":                 {canary, hex.EncodeToString([]byte(canary))},
		"HEX":                 {canary, strings.ToUpper(hex.EncodeToString([]byte(canary)))},
		"URL":                 {awkward, url.QueryEscape(awkward)},
		"URL path":            {awkward, url.PathEscape(awkward)},
		"JSON":                {awkward, string(quoted)},
		"Go quoted":           {awkward, fmt.Sprintf("%q", awkward)},
		"XML":                 {awkward, xmled.String()},
		"shell quoted":        {awkward, `'` + strings.ReplaceAll(awkward, `'`, `'\''`) + `'`},
		"reversed":            {canary, reversed(canary)},
		"over two lines":      {canary, canary[:40] + "\n" + canary[40:]},
		"first 20":            {canary, canary[:20]},
		"last 20":             {canary, canary[len(canary)-20:]},
		"short":               {"s3cret-0", "s3cret-0"},
		"short, base64":       {"s3cret-0", b64("::s3cret-0::")},
	} {
		t.Run(name, func(t *testing.T) {
			var s Set
			s.Add("an unrelated secret that must not matter")
			s.Add(c.secret)
			got := s.String("before " + c.text + " after")
			// A few characters at either end encode a neighbour's bits, or are padding, quotes or a JSON key.
			rest := strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after")
			rest = strings.TrimPrefix(rest, b64(`{"token":"`)[:13])
			if left := strings.NewReplacer(s.mask, "", "\n", "").Replace(rest); len(left) > 8 || !strings.Contains(rest, s.mask) {
				t.Errorf("%q passed as %q", c.text, got)
			}
		})
	}
}

func TestLeavesTheRest(t *testing.T) {
	var s Set
	text := "deploy of web\n\n[secret] is a word, \xff is no rune, s3cret is short\r\n"
	if got := s.String(text); got != text {
		t.Errorf("empty set: %q", got)
	}
	s.Add("main")
	s.Add("")
	s.Add("1234567")
	s.Add(canary)
	if got := s.String(text); got != text {
		t.Errorf("got %q", got)
	}
	if got, want := s.String("a "+canary+" b "+canary+canary), "a [secret] b [secret]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestForms(t *testing.T) {
	if f := Forms("main"); f != nil {
		t.Errorf("short text has forms: %q", f)
	}
	forms := Forms(canary)
	for _, want := range []string{canary, canary[6:], strings.Split(canary[6:], ",")[0], hex.EncodeToString([]byte(canary))} {
		if !slices.Contains(forms, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for i, f := range forms {
		if len(f) < least || i > 0 && (len(f) > len(forms[i-1]) || f == forms[i-1]) {
			t.Errorf("form %d %q: too short, or not in order", i, f)
		}
	}
	lines := Forms("-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nshort\n-----END KEY-----\n")
	if !slices.Contains(lines, "MIIEowIBAAKCAQEA") || slices.Contains(lines, "short") {
		t.Errorf("lines: %q", lines)
	}
	if slices.Contains(Forms(`{"type": "account", "key": "0123456789"}`), `{"type": "account"`) {
		t.Error("a document was split at its commas")
	}
}

// splits writes text to a Writer in pieces.
func splits(t *testing.T, s *Set, text string, pieces func() int) string {
	t.Helper()
	var b bytes.Buffer
	w := s.Writer(&b)
	for rest := text; rest != ""; {
		n := min(pieces(), len(rest))
		if _, err := io.WriteString(w, rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriterAcrossWrites(t *testing.T) {
	multi := "abc\ndef\nghi\njkl\nmno"
	for _, secret := range []string{canary, "s3cret-0", multi} {
		var s Set
		s.Add(secret)
		text := "x" + secret + "\nand " + secret + secret + "\n" + b64(secret) + " end"
		want := s.String(text)
		if strings.Contains(want, secret) {
			t.Fatalf("%q passed", secret)
		}
		for n := 1; n < 40; n++ {
			if got := splits(t, &s, text, func() int { return n }); got != want {
				t.Fatalf("in pieces of %d: %q, want %q", n, got, want)
			}
		}
	}
}

func TestWriterIsPrompt(t *testing.T) {
	var s Set
	s.Add(canary)
	var b bytes.Buffer
	w := s.Writer(&b)
	_, _ = io.WriteString(w, "one line\nand a beginning")
	if got := b.String(); !strings.HasPrefix(got, "one line\n") {
		t.Errorf("a whole line waits: %q", got)
	}
	if err := w.Flush(); err != nil || b.String() != "one line\nand a beginning" {
		t.Errorf("flushed %q, %v", b.String(), err)
	}
	// Registered in the middle of a stream: from then on.
	_, _ = io.WriteString(w, "another-secret-text\n")
	s.Add("another-secret-text")
	_, _ = io.WriteString(w, "another-secret-text\n")
	if got := b.String(); !strings.HasSuffix(got, "another-secret-text\n[secret]\n") {
		t.Errorf("got %q", got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterReportsErrors(t *testing.T) {
	w := new(Set).Writer(broken{})
	if _, err := io.WriteString(w, "x\n"); err != io.ErrClosedPipe {
		t.Errorf("got %v", err)
	}
}

func TestMaskSpellsNoSecret(t *testing.T) {
	var s Set
	s.Add("ab[secret]cd")
	s.Add("some-other-token")
	s.Add("[secret]")
	if got := s.String("ab" + "some-other-token" + "cd and [secret]"); strings.Contains(got, "[secret]") {
		t.Errorf("got %q", got)
	}
}

// FuzzWriter: no registered secret of 8 bytes or more comes out, however the text is cut; text that shares no
// run of 8 bytes with a form comes out unchanged.
func FuzzWriter(f *testing.F) {
	f.Add("s3cret-0", canary, "a s3cret-0 b", uint64(1))
	f.Add("abc\ndef\nghi", "[secret]x***", "abc\ndef\nghi\nabc", uint64(2))
	f.Add("aaaaaaaa", "aaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", uint64(3))
	f.Fuzz(func(t *testing.T, one, two, text string, seed uint64) {
		var s Set
		s.Add(one)
		s.Add(two)
		r := rand.New(rand.NewPCG(seed, 0))
		text += one + text + two
		got := splits(t, &s, text, func() int { return 1 + r.IntN(20) })
		if got != s.String(text) {
			t.Fatalf("in pieces %q, whole %q", got, s.String(text))
		}
		if s.mask == "\uFFFD" {
			t.Skip("every byte is part of a secret")
		}
		for _, secret := range []string{one, two} {
			if len(secret) >= least && strings.Contains(got, secret) {
				t.Fatalf("%q is in %q", secret, got)
			}
		}
		forms := append(Forms(one), Forms(two)...)
		for i := 0; i+least <= len(text); i++ {
			for _, form := range forms {
				if strings.Contains(form, text[i:i+least]) {
					return
				}
			}
		}
		if got != text {
			t.Fatalf("%q was changed to %q", text, got)
		}
	})
}

func BenchmarkString(b *testing.B) {
	var s Set
	for i := range 6 {
		s.Add(fmt.Sprintf("FlyV1 fm2_%s,fm2_%s", strings.Repeat(fmt.Sprintf("%x", i*7919+104729), 60), b64(strings.Repeat(fmt.Sprint(i), 200))))
	}
	text := strings.Repeat("2026-01-02T03:04:05Z deploy web: machine 91857 is healthy, checks 3/3 passing\n", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.String(text)
	}
}

func BenchmarkAdd(b *testing.B) {
	secret := "FlyV1 fm2_"
	r := rand.New(rand.NewPCG(1, 2))
	for len(secret) < 900 {
		secret += string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)])
	}
	b.ReportAllocs()
	for b.Loop() {
		var s Set
		s.Add(secret[:500] + ",fm2_" + secret[500:])
	}
}
