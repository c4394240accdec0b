package rotate

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every attempt to print a [Secret] shows.
const redacted = "[secret]"

// Secret is the value of a credential. Printing, logging, encoding or formatting it with any verb shows
// "[secret]"; [Secret.Reveal] is the only way to the text, so that a search for Reveal finds every place
// where a secret leaves. The zero Secret is empty.
//
// The text sits behind a pointer: package fmt prints the unexported fields of a struct without asking
// their methods, and what it prints of a pointer is an address.
type Secret struct{ text *string }

// NewSecret guards text. An empty text gives the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the guarded text, or "" for the zero Secret.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether both guard the same text. Its time does not depend on where they differ.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Format implements [fmt.Formatter] for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return redacted }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it the JSON, XML and YAML encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
