package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Days and longer have fixed lengths here: 24 hours, 7 days, 365 days. A month has none, so there is no
// unit for it.
var units = []struct {
	unit   byte
	length time.Duration
}{
	{'y', 365 * 24 * time.Hour},
	{'w', 7 * 24 * time.Hour},
	{'d', 24 * time.Hour},
	{'h', time.Hour},
	{'m', time.Minute},
	{'s', time.Second},
}

// durationForm is what [ParseDuration] accepts, for the schema.
const durationForm = `^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?)$`

// ParseDuration reads a duration as a configuration has it: whole numbers with units, the longest first, as
// in 90d, 2w, 1d12h or 45s. y is 365 days, w 7 days, d 24 hours, m minutes. 0 needs no unit.
func ParseDuration(text string) (time.Duration, error) {
	const form = "write a number with y, w, d, h, m or s, such as 90d or 1d12h"
	switch {
	case text == "0":
		return 0, nil
	case text == "":
		return 0, errors.New("no duration; " + form)
	case strings.HasPrefix(text, "-"):
		return 0, fmt.Errorf("%s is negative; %s", quote(text), form)
	}
	var sum time.Duration
	after := 0 // units that may still follow
	for rest := text; rest != ""; {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if n == 0 {
			return 0, fmt.Errorf("%s is no duration; %s", quote(text), form)
		}
		if n == len(rest) {
			if n = min(n, 12); len(rest) == len(text) {
				return 0, fmt.Errorf("%s has no unit; write %sd for days or %sh for hours", quote(text), rest[:n], rest[:n])
			}
			return 0, fmt.Errorf("%s: the last number has no unit; %s", quote(text), form)
		}
		if strings.HasPrefix(rest[n:], "mo") {
			return 0, fmt.Errorf("%s: months differ in length; write days, such as 90d", quote(text))
		}
		u := after
		for u < len(units) && units[u].unit != rest[n] {
			u++
		}
		if u == len(units) {
			return 0, fmt.Errorf("%s is no duration; %s", quote(text), form)
		}
		count, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil || count > int64((math.MaxInt64-sum)/units[u].length) {
			return 0, fmt.Errorf("%s is too long; the limit is 292 years", quote(text))
		}
		sum += time.Duration(count) * units[u].length
		after, rest = u+1, rest[n+1:]
	}
	return sum, nil
}

// FormatDuration writes a duration as [ParseDuration] reads it, in weeks and years only as days.
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range units[2:] {
		if n := d / u.length; n > 0 {
			fmt.Fprintf(&b, "%d%c", n, u.unit)
			d -= n * u.length
		}
	}
	if b.Len() == 0 {
		return "1s" // what is shorter than a second is not written in a configuration
	}
	return b.String()
}
