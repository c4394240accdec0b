package rotate

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// minted says what a minted name is, in another way than parts does.
var minted = regexp.MustCompile(`^(.+) (\d{8}T\d{6}Z)-([a-z2-7]{14})$`)

// FuzzParts holds the two against each other.
func FuzzParts(f *testing.F) {
	good := mintName("id", "web deploy", time.Now())
	for _, text := range []string{
		good, "", "a", " " + good[10:], "a b" + good, strings.ToUpper(good), good + "x", good[1:], good[10:],
		"a\nb" + good[3:], strings.Replace(good, "Z-", "Z ", 1), strings.Replace(good, "T", "t", 1), "x 20260101T000000Z-aaaaaaaaaaaa01", "é 20260101T000000Z-aaaaaaaaaaaaaa",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, stamp, tail, ok := parts(text)
		m := minted.FindStringSubmatch(text)
		if ok != (m != nil) || ok && (name != m[1] || stamp != m[2] || tail != m[3]) {
			t.Errorf("%q: %q, %q, %q, %t; want %q", text, name, stamp, tail, ok, m)
		}
	})
}
