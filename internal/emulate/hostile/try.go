package hostile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Bounds of one call of an adapter under hostile answers.
const (
	// Memory is how many bytes it may allocate for each hostile answer: a large one is read, decoded and copied a few times.
	Memory = 256 << 20
	// Most is how many requests it may send, so that pages without end end.
	Most = 1100
	// Busy is for how long it may compute.
	Busy = 10 * time.Second
	// longest is the size in bytes of an error's text.
	longest = 8 << 10
)

// Bench is an adapter in its first state with the service behind it.
type Bench struct {
	Calls []Call
	// Secrets are asked for after a call: credentials, and what was minted. No error may show a part of one.
	Secrets func() []string
}

// Call is something that an adapter does.
type Call struct {
	Name string
	Do   func(ctx context.Context) error
	// Wrong is asked if Do returned nil: what is wrong then. It sees through a success that is none. Nil: nothing can be.
	Wrong func() string
	// Verdict says that an error without a sentinel is an answer too: a verifier saw the credential fail.
	Verdict bool
}

// Adapter describes an adapter.
type Adapter struct {
	// New makes a bench. The adapter's Transport is what wrap returns for the service's wire.
	New func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) Bench
	// Patience is how long a call may wait, by a clock that stands still while anybody computes; 0: 15 minutes.
	Patience time.Duration
	// Requests are as many of a call's first requests as are tried one by one; 0: 8.
	Requests int
}

// Try gives every hostile answer to every request of every call, and to all of them. Each call has to come to an end in time
// and without a panic, with a correct result or with a [rotate.Error] that wraps a sentinel and shows no part of a secret, and
// without a request to another host. It returns how many calls were made.
func Try(t *testing.T, a Adapter) (runs int) {
	if a.Patience == 0 {
		a.Patience = 15 * time.Minute
	}
	if a.Requests == 0 {
		a.Requests = 8
	}
	names, requests := a.survey(t)
	for i, name := range names {
		for _, x := range Answers() {
			last := min(requests[i], a.Requests)
			for nth := 0; nth <= last; nth++ {
				if x.Every && nth > 0 || last == 1 && nth == 1 { // the only one is all
					break
				}
				runs++
				began := time.Now()
				ok := a.try(t, i, x, nth)
				if took := time.Since(began); !ok || took > 2*time.Second {
					t.Logf("%s, %s, request %d: %s", name, x.Name, nth, took.Round(time.Millisecond))
				}
			}
		}
	}
	t.Logf("%d calls under %d hostile answers", runs, len(Answers()))
	return runs
}

// survey counts the requests of every call when nothing is wrong.
func (a Adapter) survey(t *testing.T) (names []string, requests []int) {
	for i, n := 0, 1; i < n; i++ {
		synctest.Test(t, func(t *testing.T) {
			var w *Wire
			b := a.New(t, func(next http.RoundTripper) http.RoundTripper { w = &Wire{Next: next}; return w })
			n = len(b.Calls)
			c := b.Calls[i]
			if err := c.Do(t.Context()); err != nil {
				t.Fatalf("%s fails when nothing is wrong: %v", c.Name, err)
			}
			if c.Wrong != nil && c.Wrong() != "" {
				t.Fatalf("%s, when nothing is wrong: %s", c.Name, c.Wrong())
			}
			seen, _ := w.Seen()
			names, requests = append(names, c.Name), append(requests, seen)
		})
	}
	return names, requests
}

func (a Adapter) try(t *testing.T, call int, x Answer, nth int) (ok bool) {
	fault := func(format string, args ...any) {
		ok = false
		t.Helper()
		t.Errorf(format, args...)
	}
	ok = true
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		var w *Wire
		b := a.New(t, func(next http.RoundTripper) http.RoundTripper { w = &Wire{Next: next, Answer: x, Nth: nth}; return w })
		c := b.Calls[call]
		ctx, cancel := context.WithTimeout(t.Context(), 2*a.Patience)
		defer cancel()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		waited := time.Now()
		var err error
		panicked := true
		func() {
			defer func() {
				if p := recover(); panicked {
					fault("%s panics: %v\n%s", c.Name, p, debug.Stack())
				}
			}()
			err = c.Do(ctx)
			panicked = false
		}()
		if panicked {
			return
		}
		runtime.ReadMemStats(&after)
		sent, gave := w.Seen()
		if sent > Most {
			fault("%s sends %d requests", c.Name, sent)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > Memory*uint64(max(gave, 1)) {
			fault("%s allocates %d MiB for %d answers", c.Name, used>>20, gave)
		}
		if took := time.Since(waited); took > a.Patience {
			fault("%s takes %s", c.Name, took)
		}
		if away := w.Away(); len(away) > 0 {
			fault("%s asks elsewhere: %q", c.Name, away)
		}
		believed := x.Plausible || x.Due && w.changes()
		switch {
		case err == nil && c.Wrong != nil && !believed:
			if wrong := c.Wrong(); wrong != "" {
				fault("%s succeeds, but %s", c.Name, wrong)
			}
		case err != nil && gave == 0:
			fault("%s fails although nothing was wrong: %v", c.Name, err)
		case err != nil:
			for _, wrong := range flaws(err, c.Verdict, b.Secrets()) {
				fault("%s: %s", c.Name, wrong)
			}
		}
	})
	if took := time.Since(began); took > Busy {
		fault("call %d computes for %s", call, took)
	}
	return ok
}

// flaws says what is wrong with an error.
func flaws(err error, verdict bool, secrets []string) (all []string) {
	text := err.Error()
	show := func() string { return fmt.Sprintf("%.300q", text) }
	var typed *rotate.Error
	if !errors.As(err, &typed) {
		all = append(all, "not a *rotate.Error: "+show())
	}
	known := verdict
	for _, s := range []error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict, rotate.ErrTemporary, rotate.ErrUnproven} {
		known = known || errors.Is(err, s)
	}
	if !known {
		all = append(all, "without a sentinel: "+show())
	}
	if len(text) > longest {
		all = append(all, fmt.Sprintf("a text of %d bytes: %s", len(text), show()))
	}
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\r") || strings.Contains(text, "\n::") || strings.Contains(text, "\n##[") {
		all = append(all, "control characters, or what a runner takes for a command: "+show())
	}
	for _, form := range []string{text, fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		for _, s := range secrets {
			if Shows(form, s) {
				return append(all, "it shows a secret: "+strings.ReplaceAll(show(), s, "[SECRET]"))
			}
		}
	}
	return all
}

// Shows reports whether a text has a run of twelve bytes of a secret, or all of a shorter one.
func Shows(text, secret string) bool {
	if secret == "" {
		return false
	}
	const run = 12
	if len(secret) <= run {
		return strings.Contains(text, secret)
	}
	for i := 0; i+run <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+run]) {
			return true
		}
	}
	return false
}
