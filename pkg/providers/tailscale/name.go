package tailscale

// How a minted name gets into a description. Rules: what fits stays as it is; of what does not, stamp and tail are written
// shorter, which can be undone exactly; nothing is ever cut off, since a token whose name was cut would belong to nobody.

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	longestDescription = 50 // characters
	stampForm          = "20060102T150405Z"
	tailLength         = 14
	packedLength       = 7 + tailLength // seconds since 1970 in base 36, until the year 4453
	longestStem        = longestDescription - 1 - packedLength
)

var (
	allowed = pattern.New(`^[A-Za-z0-9 -]+$`)
	packed  = pattern.New(`^(.+) ([0-9a-z]{7})([a-z2-7]{14})$`)
)

// Description returns how a key with this name is described at Tailscale, which allows 50 letters, digits, hyphens and spaces.
// A name that fits is its own description. One that is minted and too long has its 32 characters of stamp and tail packed
// into 22, so that the rotation's name may have 28 characters. It fails with [rotate.ErrConfig] if the name does not fit at all.
func Description(name string) (string, error) {
	if name == "" || !allowed.MatchString(name) || strings.TrimSpace(name) != name {
		return "", fmt.Errorf("%w: %q cannot describe a key of Tailscale: it may have letters, digits, hyphens and spaces only; change the rotation's name", rotate.ErrConfig, httpx.Clean(name, 80))
	}
	if len(name) <= longestDescription {
		return name, nil
	}
	birth, minted := rotate.Minted(rotate.Token{Name: name})
	if i := strings.LastIndexByte(name, ' '); minted && i <= longestStem && birth.Unix() > 0 {
		if stamp := fmt.Sprintf("%07s", strconv.FormatInt(birth.Unix(), 36)); len(stamp)+tailLength == packedLength {
			return name[:i] + " " + stamp + name[len(name)-tailLength:], nil
		}
	}
	return "", fmt.Errorf("%w: %q is too long for the description of a key of Tailscale: the rotation's name may have %d characters", rotate.ErrConfig, httpx.Clean(name, 120), longestStem)
}

// Name returns the name of a key with this description that was made then: the opposite of [Description]. What only looks
// packed is told by its birth: the stamp is within a day of it.
func Name(description string, created time.Time) string {
	m := packed.FindStringSubmatch(description)
	if m == nil {
		return description
	}
	seconds, err := strconv.ParseInt(m[2], 36, 64)
	birth := time.Unix(seconds, 0)
	if err != nil || birth.Sub(created).Abs() > rotate.Tick {
		return description
	}
	return m[1] + " " + birth.UTC().Format(stampForm) + "-" + m[3]
}
