package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strings"
	"testing"
)

// inside is what of the encoding of before+secret depends on nothing but the secret.
func inside(enc *base64.Encoding, before, secret string) string {
	whole := enc.EncodeToString([]byte(before + secret))
	return whole[[]int{0, 2, 3}[len(before)%3]+len(before)/3*4 : (len(before)+len(secret))*8/6]
}

// FuzzEncodings: of no encoding of a secret do twelve bytes in a row come out, whatever stands around it and however the text
// is cut into lines or writes.
func FuzzEncodings(f *testing.F) {
	f.Add([]byte("FlyV1 fm2_lJPECAAAAAAAAk7cxBDmU4Zq1Xw9Rt,fm2_mNbVcXzLkJhGfDsA"), "user:", "\n", 7)
	f.Add([]byte(`pass"word<&>'with \ all/of+it=%?~`), "a", "b", 1)
	f.Add([]byte("0123456789ab"), "", "", 40)
	f.Fuzz(func(t *testing.T, raw []byte, before, after string, cut int) {
		if len(raw) < run || len(raw) > 300 || len(before)+len(after) > 200 || cut < 1 {
			return
		}
		for i := range raw {
			raw[i] = '!' + raw[i]%94 // what a header can carry
		}
		secret := string(raw)
		quoted, _ := json.Marshal(secret)
		var escaped bytes.Buffer
		_ = xml.EscapeText(&escaped, raw)
		forms := map[string]string{
			"raw": secret, "hex": hex.EncodeToString(raw), "HEX": strings.ToUpper(hex.EncodeToString(raw)),
			"URL": url.QueryEscape(secret), "path": url.PathEscape(secret), "JSON": string(quoted[1 : len(quoted)-1]), "XML": escaped.String(),
			"shell": strings.ReplaceAll(secret, `'`, `'\''`), "PowerShell": strings.ReplaceAll(secret, `'`, `''`), "reversed": reversed(secret),
			"base64": inside(base64.RawStdEncoding, "", secret), "base64, 1 off": inside(base64.RawStdEncoding, "u", secret), "base64, 2 off": inside(base64.RawStdEncoding, "u:", secret),
			"base64url": inside(base64.RawURLEncoding, "", secret), "base64url, 1 off": inside(base64.RawURLEncoding, "u", secret), "base64url, 2 off": inside(base64.RawURLEncoding, "u:", secret),
			"base64 twice": inside(base64.RawStdEncoding, "", base64.StdEncoding.EncodeToString(raw)),
		}
		var s Set
		s.Add(secret)
		for name, form := range forms {
			text := before + form + after
			got := splits(t, &s, text, func() int { return min(cut, 64) })
			for i := 0; i+run <= len(form); i++ {
				if strings.Contains(got, form[i:i+run]) {
					t.Fatalf("%s: %q shows in %q", name, form[i:i+run], got)
				}
			}
			// Over several lines each piece of twelve is hidden, and so is a beginning that was cut off.
			if cut >= run {
				var b strings.Builder
				for i := 0; i < len(form); i += cut {
					b.WriteString(form[i:min(i+cut, len(form))] + "\n")
				}
				got := s.String(b.String())
				for i := 0; i+run <= len(form); i++ {
					if strings.Contains(got, form[i:i+run]) {
						t.Fatalf("%s over lines of %d: %q shows in %q", name, cut, form[i:i+run], got)
					}
				}
			}
		}
	})
}
