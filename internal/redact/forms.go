package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Forms returns the texts by which a secret can be recognised, longest first, each of 8 bytes or more and
// each once:
//
//   - the secret, without surrounding space, each line of it, and for a Fly.io token ("FlyV1 fm2_…,fm2_…")
//     what follows the scheme and each part between commas;
//   - of each of these: base64 in both alphabets as it appears inside longer encoded text, at each of the three
//     offsets and without padding; base64 of base64; hexadecimal in both cases; escaped for a URL, JSON, XML
//     and a shell's single quotes; reversed.
//
// They are what a runner should mask too, since runners know few encodings or none.
func Forms(text string) []string {
	var all []string
	for _, part := range parts(text) {
		all = append(all, part)
		all = append(all, encodings(part)...)
	}
	all = slices.DeleteFunc(all, func(f string) bool { return len(f) < least })
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(all)
}

// parts returns the pieces of a secret that are secrets themselves.
func parts(text string) []string {
	all := []string{text}
	trimmed := strings.TrimSpace(text)
	if trimmed != text {
		all = append(all, trimmed)
	}
	if strings.Contains(trimmed, "\n") {
		for line := range strings.Lines(trimmed) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	if bare, ok := strings.CutPrefix(trimmed, "FlyV1 "); ok {
		all = append(all, bare)
		trimmed = bare
	}
	if strings.Contains(trimmed, ",") && !strings.ContainsAny(trimmed, " \t\r\n\"{}") { // a list of tokens, not a document
		for part := range strings.SplitSeq(trimmed, ",") {
			all = append(all, strings.TrimSpace(part))
		}
	}
	return slices.DeleteFunc(all, func(p string) bool { return len(p) < least })
}

func encodings(part string) []string {
	all := base64Forms(part)
	for _, inner := range []string{base64.StdEncoding.EncodeToString([]byte(part)), base64.URLEncoding.EncodeToString([]byte(part))} {
		all = append(all, base64Forms(inner)...)
	}
	low := hex.EncodeToString([]byte(part))
	all = append(all, low, strings.ToUpper(low),
		url.QueryEscape(part), url.PathEscape(part),
		strings.NewReplacer(`&`, `&amp;`, `<`, `&lt;`, `>`, `&gt;`, `"`, `&#34;`, `'`, `&#39;`).Replace(part),
		strings.NewReplacer(`&`, `&amp;`, `<`, `&lt;`, `>`, `&gt;`, `"`, `&quot;`, `'`, `&apos;`).Replace(part),
		strings.ReplaceAll(part, `'`, `'\''`), strings.ReplaceAll(part, `'`, `''`), strings.ReplaceAll(part, `"`, `\"`),
		reversed(part))
	return append(all, jsonForms(part)...)
}

// base64Forms returns the characters that encode nothing but bytes of text, when text stands 0, 1 or 2
// bytes after the start of a group of three.
func base64Forms(text string) []string {
	var all []string
	for offset, lost := range []int{0, 2, 3} {
		padded := append(make([]byte, offset), text...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			whole := enc.EncodeToString(padded)
			all = append(all, whole[lost:len(padded)*8/6])
		}
	}
	return all
}

// jsonForms returns text as it stands in a JSON string, by encoders that escape <, > and & and by those
// that do not.
func jsonForms(text string) []string {
	var all []string
	for _, escape := range []bool{true, false} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escape)
		if enc.Encode(text) == nil {
			quoted := strings.TrimSuffix(b.String(), "\n")
			all = append(all, quoted[1:len(quoted)-1])
		}
	}
	return all
}

// reversed reverses bytes, as rev does with a token's characters.
func reversed(text string) string {
	b := []byte(text)
	slices.Reverse(b)
	return string(b)
}
