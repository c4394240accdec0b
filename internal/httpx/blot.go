package httpx

import (
	"net/http"
	"strings"
)

// plain are headers that carry no credential; every other one may.
var plain = map[string]bool{"Accept": true, "Accept-Encoding": true, "Content-Length": true, "Content-Type": true, "User-Agent": true,
	"If-None-Match": true, "X-Github-Api-Version": true, "X-Amz-Target": true, "X-Amz-Date": true}

// Blot removes from a text what the headers of a request carried, should a service or a proxy before it repeat them. r is
// the request of an answer; nil changes nothing. Pieces under 8 bytes stay: they are words.
func Blot(text string, r *http.Request) string {
	if r == nil || text == "" {
		return text
	}
	for name, values := range r.Header {
		if plain[http.CanonicalHeaderKey(name)] {
			continue
		}
		for _, value := range values {
			pieces := strings.FieldsFunc(value, func(c rune) bool { return c == ' ' || c == ',' || c == ';' })
			for _, piece := range append([]string{value}, pieces...) {
				if len(piece) >= 8 {
					text = strings.ReplaceAll(text, piece, "[secret]")
				}
			}
		}
	}
	return text
}
