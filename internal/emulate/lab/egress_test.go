package lab

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// meter stands on the wire of one adapter, below everything of ours, and writes down what leaves.
type meter struct {
	next http.RoundTripper
	by   []rotate.Connector // whose wire it is
	may  []rotate.Endpoint  // what they announced before anything was sent

	mu   sync.Mutex
	sent int
	bad  []string
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	at := httpx.Origin(r.URL.String())
	covered := slices.ContainsFunc(m.may, func(e rotate.Endpoint) bool {
		// Where the API server of a cluster of EKS is, AWS tells; it was announced without an address.
		told := e.Origin == "" && strings.HasSuffix(at, ".eks.amazonaws.com")
		return (e.Origin == at || told) && slices.Contains(e.Methods, r.Method)
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent++
	if !covered {
		m.bad = append(m.bad, r.Method+" "+at)
	}
	return m.next.RoundTrip(r)
}

// wiretap puts a meter on every wire of a configuration, with a hostile answer behind it if there is one. An adapter that
// does not say what it contacts is returned by name.
func wiretap(c *config.Config, x hostile.Answer) (meters []*meter, silent []string) {
	by := map[uintptr]*meter{} // by the address of the field Transport: some share what has one
	var find func(v reflect.Value, a rotate.Connector, depth int)
	find = func(v reflect.Value, a rotate.Connector, depth int) {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			if v.IsNil() {
				return
			}
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || depth > 3 {
			return
		}
		for i := range v.NumField() {
			f, t := v.Field(i), v.Type().Field(i)
			switch {
			case !t.IsExported():
			case t.Name == "Transport" && f.Type() == reflect.TypeFor[http.RoundTripper]() && !f.IsNil() && f.CanSet():
				m := by[f.Addr().Pointer()]
				if m == nil {
					next := f.Interface().(http.RoundTripper)
					m = &meter{next: &hostile.Wire{Next: next, Answer: x}}
					f.Set(reflect.ValueOf(m))
					by[f.Addr().Pointer()] = m
					meters = append(meters, m)
				}
				m.by, m.may = append(m.by, a), append(m.may, a.Endpoints()...)
			case strings.HasPrefix(indirectType(f.Type()).PkgPath(), "github.com/remint-dev/remint/pkg/"):
				find(f, a, depth+1)
			}
		}
	}
	for _, r := range c.Rotations {
		for _, a := range r.Adapters {
			says, ok := a.Value.(rotate.Connector)
			if !ok {
				silent = append(silent, fmt.Sprint(a.Value))
				continue
			}
			find(reflect.ValueOf(a.Value), says, 0)
		}
	}
	return meters, silent
}

func indirectType(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// TestEgress: whatever services answer, no adapter sends anything that it did not announce.
func TestEgress(t *testing.T) {
	answers := []hostile.Answer{{Name: "nothing hostile"}}
	for _, x := range hostile.Answers() {
		if strings.HasPrefix(x.Name, "redirect") || strings.HasPrefix(x.Name, "URLs") {
			answers = append(answers, x)
		}
	}
	runs, requests := 0, 0
	for name, text := range configurations(t) {
		for _, x := range answers {
			if name == "govuk" && x.Name != answers[0].Name {
				continue // the SDK's retries of a refused role take seconds for each adapter of EKS
			}
			l, c := begin(t, text, nil)
			meters, silent := wiretap(c, x)
			for _, s := range silent {
				if !strings.Contains(s, "command:") && !strings.Contains(s, "aws-secrets-manager:") {
					t.Errorf("%s: %s does not say what it contacts", name, s)
				}
			}
			if len(c.Rotations) > 4 {
				c.Rotations = c.Rotations[:2] // all alike
			}
			began := time.Now()
			for _, o := range []rotate.Options{{}, {Force: true, Alone: true}} {
				for _, r := range c.Rotations {
					for _, a := range r.Adapters { // a hostile answer ends many a run before its last adapter
						if check, ok := a.Value.(rotate.Checker); ok {
							_ = check.Check(t.Context())
						}
					}
					if _, err := r.Run(t.Context(), o); err != nil && x.Name == answers[0].Name {
						t.Errorf("%s: %v", name, err)
					}
				}
				if x.Name != answers[0].Name {
					break
				}
			}
			for _, m := range meters {
				requests += m.sent
				for _, b := range slices.Compact(m.bad) {
					t.Errorf("%s, %s: %v sends %s, which it did not announce", name, x.Name, m.by, b)
				}
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s, %s: took %s", name, x.Name, took)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			runs++
		}
	}
	t.Logf("%d runs of %d configurations under %d kinds of answers: %d requests, all announced", runs, len(configurations(t)), len(answers), requests)
	if requests < 500 {
		t.Errorf("only %d requests: is the meter on the wire?", requests)
	}
}
