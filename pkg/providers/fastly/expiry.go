package fastly

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
)

// How long a token lives. Rules: a year is a calendar year in UTC, and the year after a 29 February ends on 28
// February; days and weeks are of 24 hours and 7 days; Fastly keeps whole seconds.

// life is a parsed expiry; zero: for ever.
type life struct {
	years int // exclusive with fixed
	fixed time.Duration
}

const leastLife = time.Hour

// parseLife reads "1y", "90d", "1w2d12h" or "never".
func parseLife(text string) (life, error) {
	const form = "write 90d, calendar years such as 1y, or never"
	switch text {
	case "":
		return life{}, errors.New("how long a new token lives is required: " + form)
	case "never":
		return life{}, nil
	}
	bad := fmt.Errorf("%q is no life of a token; %s", httpx.Clean(text, 40), form)
	if digits, ok := strings.CutSuffix(text, "y"); ok {
		n, err := strconv.ParseUint(digits, 10, 8)
		if err != nil || n == 0 || n > 100 {
			return life{}, bad
		}
		return life{years: int(n)}, nil
	}
	units := []struct {
		name   byte
		length time.Duration
	}{{'w', 7 * 24 * time.Hour}, {'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}
	var sum time.Duration
	after := 0 // units that may still follow
	for rest := text; rest != ""; {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if n == 0 || n == len(rest) {
			return life{}, bad
		}
		u := after
		for u < len(units) && units[u].name != rest[n] {
			u++
		}
		if u == len(units) {
			return life{}, bad
		}
		count, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil || count > int64((math.MaxInt64-sum)/units[u].length) {
			return life{}, bad
		}
		sum += time.Duration(count) * units[u].length
		after, rest = u+1, rest[n+1:]
	}
	if sum < leastLife {
		return life{}, fmt.Errorf("%s is too short: a new token must live for at least an hour", sum)
	}
	return life{fixed: sum}, nil
}

// end is when a token born at ends, in whole seconds UTC; zero: never.
func (l life) end(at time.Time) time.Time {
	at = at.UTC().Truncate(time.Second)
	switch {
	case l.years > 0:
		end := at.AddDate(l.years, 0, 0)
		if end.Day() != at.Day() { // there is no 29 February that year, and AddDate went on to 1 March
			end = end.AddDate(0, 0, -1)
		}
		return end
	case l.fixed > 0:
		return at.Add(l.fixed)
	}
	return time.Time{}
}

// least is the shortest that the life can be; 0: for ever.
func (l life) least() time.Duration {
	return l.fixed + time.Duration(l.years)*365*24*time.Hour
}

// when puts a time into words, where zero means never.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
