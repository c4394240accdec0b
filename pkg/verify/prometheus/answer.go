package prometheus

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads what Prometheus answers to an instant query: {"status", "data": {"resultType", "result"}, "warnings"}
// or {"status": "error", "errorType", "error"}. Values are texts, since JSON has no NaN.

// answer is a vector; a scalar is one sample without labels.
type answer struct {
	points   []point
	warnings []string // the answer is a partial one
}

// point is one sample.
type point struct {
	labels map[string]string
	value  float64
}

// errExecution: the query is right and could not be carried out on what there is now, such as two series where one
// side of an operator may have but one. During a rollout that heals.
var errExecution = errors.New("the query could not be carried out")

// decode reads a successful answer.
func decode(body []byte) (answer, error) {
	var in struct {
		Status string
		Data   struct {
			ResultType string
			Result     json.RawMessage
		}
		Warnings []string
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Status != "success" {
		return answer{}, fmt.Errorf("%w: the answer is not one of Prometheus; does a login stand in front of it? service reaches it through the cluster", rotate.ErrConfig)
	}
	a := answer{warnings: in.Warnings}
	switch in.Data.ResultType {
	case "scalar":
		var p pair
		if err := json.Unmarshal(in.Data.Result, &p); err != nil {
			return answer{}, garbled(err)
		}
		a.points = []point{{value: p.value}}
	case "vector":
		var series []struct {
			Metric    map[string]string
			Value     *pair
			Histogram json.RawMessage
		}
		if err := json.Unmarshal(in.Data.Result, &series); err != nil {
			return answer{}, garbled(err)
		}
		for _, s := range series {
			switch {
			case s.Value != nil:
				a.points = append(a.points, point{s.Metric, s.Value.value})
			case s.Histogram != nil:
				return answer{}, fmt.Errorf("%w: %s is a histogram, which is no number; take histogram_count or histogram_quantile of it", rotate.ErrConfig, name(s.Metric))
			default:
				return answer{}, garbled(errors.New("a sample without a value"))
			}
		}
	default:
		return answer{}, fmt.Errorf("%w: the query gives a %s; an instant vector or a scalar is needed", rotate.ErrConfig, httpx.Clean(in.Data.ResultType, 20))
	}
	return a, nil
}

// pair is [time, "value"].
type pair struct{ value float64 }

func (p *pair) UnmarshalJSON(text []byte) error {
	var in []json.RawMessage
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	var at float64
	var value string
	if len(in) != 2 || json.Unmarshal(in[0], &at) != nil || json.Unmarshal(in[1], &value) != nil {
		return errors.New("a value is a list of a time and a text")
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return errors.New("a value is not a number")
	}
	p.value = v
	return nil
}

func garbled(err error) error {
	return fmt.Errorf("%w: the answer cannot be read: %s", rotate.ErrTemporary, httpx.Clean(err.Error(), 120))
}

// refusal reads why a query was not answered, as "bad_data: parse error: …"; nil if the body does not say it.
func refusal(body []byte) error {
	var in struct{ Status, ErrorType, Error string }
	if json.Unmarshal(body, &in) != nil || in.Status != "error" {
		return nil
	}
	text := httpx.Clean(in.ErrorType+": "+in.Error, 300)
	switch in.ErrorType {
	case "bad_data":
		return fmt.Errorf("%w: Prometheus refuses the query: %s", rotate.ErrConfig, text)
	case "execution":
		return fmt.Errorf("%w: %s", errExecution, text)
	}
	return fmt.Errorf("%w: %s", rotate.ErrTemporary, text)
}

// name writes the labels of a series as PromQL does.
func name(labels map[string]string) string {
	var b strings.Builder
	b.WriteString(labels["__name__"])
	b.WriteByte('{')
	first := true
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if k == "__name__" {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		fmt.Fprintf(&b, "%s=%q", k, labels[k])
	}
	b.WriteByte('}')
	return httpx.Clean(b.String(), 200)
}
