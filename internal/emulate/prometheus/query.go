package prometheus

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/pattern"
)

// This file evaluates the few queries that the server knows by itself. The caller holds the lock.

var (
	callRule     = pattern.New(`^\s*([a-z_]+)\s*\((.*)\)\s*$`)
	selectorRule = pattern.New(`^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(.*)\})?\s*$`)
	matcherRule  = pattern.New(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?:,|$)`)
)

// eval evaluates a query for a moment.
func (s *Server) eval(query string, at time.Time) (samples []Sample, scalar bool, err error) {
	call := callRule.FindStringSubmatch(query)
	if call != nil && call[1] == "time" && strings.TrimSpace(call[2]) == "" {
		return []Sample{{Value: seconds(at)}}, true, nil
	}
	if strings.TrimSpace(query) == "" {
		return nil, false, &Failure{"bad_data", `invalid parameter "query": 1:1: parse error: no expression found in input`}
	}
	s.scrape(at)
	if s.Eval != nil {
		if samples, err := s.Eval(query, at); !errors.Is(err, ErrUnknown) {
			return samples, false, err
		}
	}
	if call == nil {
		samples, err = s.selected(query, at)
		return samples, false, err
	}
	switch call[1] {
	case "vector":
		v, err := strconv.ParseFloat(strings.TrimSpace(call[2]), 64)
		if err != nil {
			return nil, false, refusal(query)
		}
		return []Sample{{Value: v}}, false, nil
	case "timestamp":
		samples, err := s.selected(call[2], at)
		for i := range samples {
			labels := maps.Clone(samples[i].Labels)
			delete(labels, "__name__")
			samples[i] = Sample{Labels: labels, Value: seconds(samples[i].Time)}
		}
		return samples, false, err
	case "min":
		if inner := callRule.FindStringSubmatch(call[2]); inner == nil || inner[1] != "timestamp" {
			return nil, false, refusal(query)
		}
		samples, _, err := s.eval(call[2], at)
		if err != nil || len(samples) == 0 {
			return nil, false, err
		}
		least := math.Inf(1)
		for _, x := range samples {
			least = math.Min(least, x.Value)
		}
		return []Sample{{Value: least}}, false, nil
	}
	return nil, false, refusal(query)
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func refusal(query string) error {
	return &Failure{"bad_data", fmt.Sprintf("invalid parameter \"query\": 1:1: parse error: this emulation does not know %q", query)}
}

// matcher is one condition on a label.
type matcher struct {
	label string
	holds func(string) bool
}

// matchers reads a plain selector.
func matchers(text string) ([]matcher, bool) {
	part := selectorRule.FindStringSubmatch(text)
	if part == nil || part[1] == "" && strings.TrimSpace(part[2]) == "" {
		return nil, false
	}
	var all []matcher
	if part[1] != "" {
		all = append(all, matcher{"__name__", func(v string) bool { return v == part[1] }})
	}
	for rest := part[2]; strings.TrimSpace(rest) != ""; {
		m := matcherRule.FindStringSubmatch(rest)
		if m == nil {
			return nil, false
		}
		rest = rest[len(m[0]):]
		literal := m[3]
		if literal[0] == '\'' {
			literal = `"` + strings.ReplaceAll(literal[1:len(literal)-1], `"`, `\"`) + `"`
		}
		want, err := strconv.Unquote(literal)
		if err != nil {
			return nil, false
		}
		equal := func(v string) bool { return v == want }
		if strings.HasSuffix(m[2], "~") {
			pattern, err := regexp.Compile("^(?:" + want + ")$")
			if err != nil {
				return nil, false
			}
			equal = pattern.MatchString
		}
		if strings.HasPrefix(m[2], "!") {
			holds := equal
			equal = func(v string) bool { return !holds(v) }
		}
		all = append(all, matcher{m[1], equal})
	}
	return all, true
}

// selected returns what a plain selector sees.
func (s *Server) selected(text string, at time.Time) ([]Sample, error) {
	all, ok := matchers(text)
	if !ok {
		return nil, refusal(text)
	}
	var found []Sample
	for _, t := range s.targets {
		for _, key := range t.order {
			history := t.series[key]
			i := len(history) - 1
			for i >= 0 && history[i].Time.After(at) {
				i--
			}
			if i < 0 || history[i].Labels == nil || !history[i].Time.After(at.Add(-lookBack)) {
				continue // never, gone, or too long ago
			}
			labels := history[i].Labels
			if !slices.ContainsFunc(all, func(m matcher) bool { return !m.holds(labels[m.label]) }) {
				found = append(found, history[i])
			}
		}
	}
	return found, nil
}

// scrape asks the targets whose time has come, for a moment that is not in the past.
func (s *Server) scrape(at time.Time) {
	at = at.Truncate(time.Millisecond)
	for _, t := range s.targets {
		if !at.After(t.last) || at.Sub(t.last) < s.Interval {
			continue
		}
		t.last = at
		samples, err := t.scrape()
		if err != nil {
			samples = nil
		}
		seen := map[string]bool{}
		for _, x := range samples {
			key := keyOf(x.Labels)
			seen[key] = true
			if x.Time.IsZero() {
				x.Time = at
			}
			if t.series[key] == nil {
				t.order = append(t.order, key)
			}
			t.series[key] = append(t.series[key], x)
		}
		for _, key := range t.order {
			if history := t.series[key]; !seen[key] && history[len(history)-1].Labels != nil {
				t.series[key] = append(history, Sample{Time: at}) // a staleness marker
			}
		}
	}
}

func keyOf(labels map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%q=%q,", k, labels[k])
	}
	return b.String()
}
