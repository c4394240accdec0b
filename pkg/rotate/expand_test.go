package rotate

import (
	"errors"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	token := Token{ID: "T1", Name: "web", Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))}
	for _, tt := range []struct {
		text, want string
		err        error
	}{
		{"plain ${other}", "plain ${other}", nil},
		{`up{id="${token.id}"} ${token.name}`, `up{id="T1"} web`, nil},
		{"${token.expires} ${token.expires.unix}", "2027-01-02T02:04:05Z 1798855445", nil},
		{"${token.created.unix}", "", ErrUnproven},
		{"${token.secret}", "", ErrConfig},
		{"${token.id", "", ErrConfig},
	} {
		got, err := token.Expand(tt.text)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Expand(%q) = %q, %v; want %q, %v", tt.text, got, err, tt.want, tt.err)
		}
	}
}
