package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/github"
)

// How a canary is found, whatever became of it on its way. Written apart from what the program hides by. Rules: every run
// of 16 characters of every encoding counts, and of the canaries themselves the first 8 characters alone; what stands on several
// lines is also looked at as one.

const (
	gramSize = 16
	headSize = 8
)

// written are the forms in which a secret is looked for, beside "first 8" and "split over lines".
var written = map[string]func(string) string{
	"raw":                 func(s string) string { return s },
	"base64":              func(s string) string { return aligned(rawBase64, s, 0) },
	"base64, 1 off":       func(s string) string { return aligned(rawBase64, s, 1) },
	"base64, 2 off":       func(s string) string { return aligned(rawBase64, s, 2) },
	"base64url":           func(s string) string { return aligned(rawBase64URL, s, 0) },
	"base64url, 1 off":    func(s string) string { return aligned(rawBase64URL, s, 1) },
	"base64 twice":        func(s string) string { return aligned(rawBase64, base64.StdEncoding.EncodeToString([]byte(s)), 0) },
	"hex":                 func(s string) string { return hex.EncodeToString([]byte(s)) },
	"HEX":                 func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"URL":                 url.QueryEscape,
	"URL path":            url.PathEscape,
	"JSON":                func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) },
	"Go":                  func(s string) string { q := fmt.Sprintf("%+q", s); return q[1 : len(q)-1] },
	"XML":                 func(s string) string { var b bytes.Buffer; _ = xml.EscapeText(&b, []byte(s)); return b.String() },
	"shell":               func(s string) string { return strings.ReplaceAll(s, `'`, `'\''`) },
	"PowerShell":          func(s string) string { return strings.ReplaceAll(s, `'`, `''`) },
	"reversed":            func(s string) string { b := []byte(s); slices.Reverse(b); return string(b) },
	"numbers of bytes":    func(s string) string { return strings.Trim(fmt.Sprint([]byte(s)), "[]") },
	"Go's hex of a slice": func(s string) string { return fmt.Sprintf("% x", s) },
}

// needle is whose secret it is, and how it is written.
type needle struct{ secret, form string }

// finder finds secrets in texts. The zero value knows none.
type finder struct {
	grams map[string]needle // of gramSize
	heads map[string]needle // of headSize
	names map[string]bool
}

// add makes a secret known by a name. public is how much of its beginning says nothing, such as "FlyV1 fm2_".
func (f *finder) add(name, secret string, public int) {
	if f.grams == nil {
		f.grams, f.heads, f.names = map[string]needle{}, map[string]needle{}, map[string]bool{}
	}
	f.names[name] = true
	secret = secret[public:]
	if public == 0 {
		f.heads[secret[:headSize]] = needle{name, "first 8"}
	}
	for _, form := range slices.Sorted(maps.Keys(written)) {
		text := written[form](secret)
		for i := 0; i+gramSize <= len(text); i++ {
			gram := text[i : i+gramSize]
			switch old, ok := f.grams[gram]; {
			case !ok || form == "raw" && old.secret == name:
				f.grams[gram] = needle{name, form}
			case old.form == form && old.secret != name: // such as %3F%3F%3F: it tells of neither
				f.grams[gram] = needle{form: form}
			}
		}
	}
}

// find returns what shows in a text. A run that goes on in the next line is one, too.
func (f *finder) find(text string) map[needle]bool {
	found := map[needle]bool{}
	for i := 0; i+headSize <= len(text); i++ {
		if n, ok := f.heads[text[i:i+headSize]]; ok {
			found[n] = true
		}
		if i+gramSize <= len(text) {
			if n, ok := f.grams[text[i:i+gramSize]]; ok && n.secret != "" {
				found[n] = true
			}
		}
	}
	var one []byte // the text as one line
	var at []int   // where each of its bytes was
	for i := range len(text) {
		if text[i] != '\r' && text[i] != '\n' {
			one, at = append(one, text[i]), append(at, i)
		}
	}
	for i := 0; i+gramSize <= len(one); i++ {
		if at[i+gramSize-1]-at[i] < gramSize {
			continue
		}
		if n, ok := f.grams[string(one[i:i+gramSize])]; ok && n.secret != "" {
			found[needle{n.secret, "split over lines"}] = true
		}
	}
	return found
}

// forms is how many forms are looked for.
func forms() int { return len(written) + 2 }

// planted returns the secret in every form, each as a program might let it slip, one a line.
func planted(secret string) map[string]string {
	all := map[string]string{"first 8": "token " + secret[:headSize] + "…", "split over lines": ""}
	for name, encode := range written {
		text := encode(secret)
		switch name {
		case "base64, 1 off":
			text = base64.StdEncoding.EncodeToString([]byte("u" + secret))
		case "base64, 2 off":
			text = base64.StdEncoding.EncodeToString([]byte("u:" + secret + "\n"))
		case "base64url, 1 off":
			text = base64.URLEncoding.EncodeToString([]byte("u" + secret))
		}
		all[name] = "<" + text + ">"
	}
	var lines []string
	for chunk := range slices.Chunk([]byte(secret[2:]), 7) { // without its head, and no line of it tells
		lines = append(lines, string(chunk))
	}
	all["split over lines"] = strings.Join(lines, "\n")
	return all
}

// canary makes up a credential with characters that every encoding writes in its own way, also in every run of 16.
func canary(name string) string {
	var b strings.Builder
	sum := sha256.Sum256([]byte(name)) // no run of one is in another
	seed := hex.EncodeToString(sum[:])
	awkward := []string{`"`, `<`, `&`, `'`, `\`, `%`, `/`, `+`, `=`, `?????`, `>>>>>`} // the last two are / and + in base64, wherever they stand
	b.WriteString("Cn" + seed[:6])
	for i := 0; b.Len() < 72; i++ {
		b.WriteString(seed[i*3%60:][:3] + string(rune('g'+i%19)) + awkward[i%len(awkward)])
	}
	return b.String()
}

// TestFinder: every form is found by its own name, in the midst of other text; and nothing else is.
func TestFinder(t *testing.T) {
	t.Parallel()
	var f finder
	secret := canary("fly")
	f.add("fly", secret, 0)
	f.add("minted", "FlyV1 fm2_lJPECAAAAAAAAk7cxBDmU4Zq1Xw9Rt+KbVnZyQpL/gHdW", 20)
	for form, text := range planted(secret) {
		found := f.find("2026-01-01 before\n" + text + "\nafter\n")
		if !found[needle{"fly", form}] {
			t.Errorf("%s is found as %v in %q", form, found, text)
		}
	}
	for _, text := range []string{"", "FlyV1 fm2_lJPECAAAAAAAAk", "FlyV1 [secret]", canary("github"), "token Cn", strings.Repeat("0", 100)} {
		if found := f.find(text); len(found) > 0 {
			t.Errorf("found %v in %q", found, text)
		}
	}
}

// hubToken is a personal token with all rights, or that of a job.
func hubToken(text string, job bool) github.Token {
	if job {
		return github.Token{Value: text, Kind: github.Job}
	}
	return github.Token{Value: text}
}
