// Package contract holds adapters to the contracts of pkg/rotate. It is what the suites of rotatetest check, free of package
// testing, so that `remint conform` checks the same in the release. Its rules:
//
//   - A check looks at an adapter only as the engine would, and at most at what a consumer reads.
//   - A check that fails says what is wrong; the texts of secrets are never in it.
package contract

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T is what a suite needs of a test. Fatalf and Skip do not return.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
	// Run runs a part and reports whether it passed.
	Run(name string, f func(T)) bool
}

// Silent formats an adapter in every way and looks for texts that must not appear.
func Silent(t T, adapter any, secrets []string) {
	t.Helper()
	if s, ok := adapter.(fmt.Stringer); ok {
		if first := s.String(); first == "" || s.String() != first {
			t.Errorf("String() is %q, then %q", first, s)
		}
		silent(t, "String", s.String(), secrets)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		silent(t, verb, fmt.Sprintf(verb, adapter), secrets)
	}
	if b, err := json.Marshal(adapter); err == nil {
		silent(t, "JSON", string(b), secrets)
	}
}

func silent(t T, where, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if s != "" && (strings.Contains(text, s) || strings.Contains(text, fmt.Sprintf("%x", s))) {
			t.Errorf("%s shows a secret", where)
		}
	}
}
