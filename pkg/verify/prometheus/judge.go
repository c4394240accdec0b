package prometheus

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file says what an answer means. NaN compares false with everything and infinite is what a division by nothing
// gives, so neither is taken for a number.

// state is what one look showed.
type state int

const (
	silent state = iota // Prometheus did not answer, or in part only: nothing was shown
	stale               // nothing was scraped since the verification began: nothing was shown
	empty               // no sample, or none with a number
	fails
	passes
)

// limits are what every sample must keep. A nil one is not asked for.
type limits struct{ above, below, equals *float64 }

// limits reads the numbers for a token. What is not known of it is an error that wraps ErrUnproven.
func (q *Query) limits(t rotate.Token) (limits, error) {
	var l limits
	for _, x := range []struct {
		field, text string
		to          **float64
	}{{"above", q.Above, &l.above}, {"below", q.Below, &l.below}, {"equals", q.Equals, &l.equals}} {
		if x.text == "" {
			continue
		}
		text, err := t.Expand(x.text)
		if err != nil {
			return limits{}, rotateField(x.field, err)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return limits{}, rotate.Field(x.field, "%q is not a number", httpx.Clean(text, 60))
		}
		*x.to = &v
	}
	return l, nil
}

// rotateField gives an error its field and keeps its sentinel.
func rotateField(field string, err error) error {
	return &rotate.Error{Op: "field", At: field, Err: err}
}

// broken says which limit a value does not keep; "" if it keeps all.
func (l limits) broken(v float64) string {
	show := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case l.above != nil && !(v > *l.above):
		return "not above " + show(*l.above)
	case l.below != nil && !(v < *l.below):
		return "not below " + show(*l.below)
	case l.equals != nil && v != *l.equals:
		return "not " + show(*l.equals)
	}
	return ""
}

// judge says what an answer of fresh samples means, and why it does not pass.
func (l limits) judge(a answer) (state, error) {
	if len(a.warnings) > 0 {
		return silent, fmt.Errorf("the answer is a partial one: %s", httpx.Clean(strings.Join(a.warnings, "; "), 200))
	}
	if len(a.points) == 0 {
		return empty, fmt.Errorf("the query has no sample")
	}
	var unknown error
	for _, p := range a.points {
		if math.IsNaN(p.value) || math.IsInf(p.value, 0) {
			unknown = fmt.Errorf("%s is %v", name(p.labels), p.value)
		} else if why := l.broken(p.value); why != "" {
			return fails, fmt.Errorf("%s is %s, %s", name(p.labels), strconv.FormatFloat(p.value, 'f', -1, 64), why)
		}
	}
	if unknown != nil {
		return empty, unknown
	}
	return passes, nil
}
