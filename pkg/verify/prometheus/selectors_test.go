package prometheus

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestScan(t *testing.T) {
	for _, c := range []struct {
		query string
		want  string // selectors by name, window and offset; or what the refusal says
	}{
		{`up`, "up"},
		{` up # a comment with "quotes`, "up"},
		{`up{job="a}b", pod=~'c"'}`, `up{job="a}b", pod=~'c"'}`},
		{`{__name__="up"}`, `{__name__="up"}`},
		{`{"my.metric", job="x"}`, `{"my.metric", job="x"}`},
		{"up{job=`a\\`}", "up{job=`a\\`}"},
		{`up{job="\"}"}`, `up{job="\"}"}`},
		{`sum by (pod) (up) / on (pod, a) group_left (b) down`, "up;down"},
		{`sum(up) by (pod)`, "up"},
		{`SUM WITHOUT (pod) (up) AND ON() down`, "up;down"},
		{`topk(5, up) or vector(0) unless bool_metric`, "up;bool_metric"},
		{`up > bool 1e-3`, "up"},
		{`up == Inf or up != nan`, "up;up"},
		{`histogram_quantile(0.9, sum by (le) (rate(http_bucket{a="b"}[2m])))`, `http_bucket{a="b"}[2m0s]`},
		{`rate(a:b:c[1h30m] offset 5m) > 0x1F`, "a:b:c[1h30m0s]+5m0s"},
		{`rate(a[90])`, "a[1m30s]"},
		{`a offset 5m + b`, "a offset 5m;b"},
		{`a OFFSET -5m`, "a OFFSET -5m"},
		{`label_replace(up, "a", "$1", "b", "(.*)")`, "up"},
		{`count_values("v", up)`, "up"},
		{`sum + by_metric`, "sum;by_metric"}, // a metric may bear the name of an aggregation
		{`on{a="b"}`, `on{a="b"}`},
		{`up{id="${token.id}"} == ${token.expires.unix}`, `up{id="${token.id}"}`},
		{`-up ^ 2 % 3 * (4 - down)`, "up;down"},
		{`time() - timestamp(up)`, "up"},
		{"sum(\n  up # one\n)\n+ down", "up;down"},

		{``, "reads no metric"},
		{`time()`, "reads no metric"},
		{`1 + 2`, "reads no metric"},
		{`up == ${token.id}`, "between quotes"},
		{`up{id=${token.id}}`, "between quotes"},
		{`sum by (${token.id}) (up)`, "between quotes"},
		{`${token.id}`, "between quotes"},
		{`up{id=~"${token.id}"}`, "match with ="},
		{`up{id!~"x|${token.id}"}`, "match with ="},
		{`absent(up)`, "shows nothing"},
		{`absent_over_time(up[5m])`, "shows nothing"},
		{`max_over_time(up[5m:1m])`, "subquery"},
		{`max_over_time(rate(up[1m])[5m:1m])`, "subquery"},
		{`up @ 1609746000`, "@ reads"},
		{`up offset 5m @ end()`, "@ reads"},
		{`rate(up[5m] @ start())`, "@ reads"},
		{`rate(up[5x])`, "not the length"},
		{`rate(up[1m1h])`, "not the length"},
		{`rate(up[])`, "not the length"},
		{`rate(up[-5m])`, "not the length"},
		{`rate(up[99999999999y])`, "not the length"},
		{`rate(up[4000000000w])`, "not the length"},
		{`up offset soon`, "not an offset"},
		{`(up) offset 5m`, "belongs to a selector"},
		{`up{`, "not closed"},
		{`up{a="b}`, "not closed"},
		{`up["5m`, "not closed"},
		{`sum by (a`, "not closed"},
		{"up{a=\"b\nc\"}", "not closed"},
		{`up;down`, "is not PromQL"},
		{`üp`, "is not PromQL"},
	} {
		found, err := scan(c.query)
		var all []string
		for _, s := range found {
			text := s.text
			if s.window > 0 {
				text += fmt.Sprintf("[%s]", s.window)
				if s.offset > 0 {
					text += "+" + s.offset.String()
				}
			}
			all = append(all, text)
		}
		switch {
		case err == nil && strings.Join(all, ";") == c.want:
		case err != nil && errors.Is(err, rotate.ErrConfig) && strings.Contains(err.Error(), c.want):
		default:
			t.Errorf("%s: got %q, %v; want %q", c.query, all, err, c.want)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, q := range []string{"up", `sum by (a) (rate(x{b="c"}[5m] offset 1m)) > 0`, `up{id="${token.id}"} == ${token.expires.unix}`, "a # b\n[5m]", "{", "`"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		found, err := scan(query)
		if err == nil && len(found) == 0 {
			t.Error("neither selectors nor an error")
		}
		for _, s := range found {
			if !strings.Contains(query, s.text) || s.text == "" || s.window < 0 || s.offset < 0 {
				t.Errorf("%+v of %q", s, query)
			}
			again, err := scan(s.text)
			if err != nil || len(again) != 1 {
				t.Errorf("%q is taken for a selector, and then for %+v, %v", s.text, again, err)
			}
		}
		// What a token puts into a query cannot change what is read.
		token := rotate.Token{ID: "a-b_c.1", Name: "web 1", Created: time.Unix(1, 0), Expires: time.Unix(2, 0)}
		text, expandErr := expand(query, token)
		if err != nil || expandErr != nil {
			return
		}
		if after, err := scan(text); err != nil || len(after) != len(found) {
			t.Errorf("%q reads %d selectors, and expanded %d, %v", query, len(found), len(after), err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"x"},"value":[1435781451.781,"1"]}]},"warnings":["w"]}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"NaN"]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"+Inf"]},{"histogram":[1,{}]}]}}`,
		`{"status":"error","errorType":"bad_data","error":"x"}`, `[]`, `null`,
	} {
		f.Add([]byte(body))
	}
	zero := 0.0
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = refusal(body)
		a, err := decode(body)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") || len(err.Error()) > 1000 {
				t.Errorf("%q", err)
			}
			return
		}
		s, why := limits{above: &zero}.judge(a)
		if (s == passes) != (why == nil) || s == passes && (len(a.points) == 0 || len(a.warnings) > 0) {
			t.Errorf("state %d, %v of %+v", s, why, a)
		}
	})
}
