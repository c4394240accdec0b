package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/contract"
	"github.com/remint-dev/remint/internal/httpx"
)

// trial is a test as the suites want one, which prints.
type trial struct {
	x       *conformity
	name    string
	faults  []string
	skipped bool
}

// ended is how a trial that cannot go on is left.
type ended struct{}

func (t *trial) Helper() {}

func (t *trial) Errorf(format string, args ...any) {
	t.faults = append(t.faults, httpx.Clean(fmt.Sprintf(format, args...), 1000))
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	panic(ended{})
}

func (t *trial) Skip(...any) {
	t.skipped = true
	panic(ended{})
}

// attempt runs f and survives its end.
func (t *trial) attempt(f func(contract.T)) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(ended); !ok {
				panic(r)
			}
		}
	}()
	if err := t.x.ctx.Err(); err != nil {
		t.Fatalf("stopped before it: %v", err)
	}
	f(t)
}

// Run implements [contract.T]: it prints one line, and what to do if the part fails.
func (t *trial) Run(name string, f func(contract.T)) bool {
	part := &trial{x: t.x, name: name}
	began := time.Now()
	part.attempt(f)
	part.print(time.Since(began))
	return len(part.faults) == 0
}

// whole runs a suite. What goes wrong between its parts is printed as a part.
func (t *trial) whole(suite func(contract.T)) {
	between := &trial{x: t.x, name: "the rest"}
	between.attempt(suite)
	if len(between.faults) > 0 {
		between.print(0)
	}
}

func (t *trial) print(took time.Duration) {
	switch {
	case len(t.faults) > 0:
		t.x.failed++
		t.x.line(fmt.Sprintf("FAIL  %s: %s", t.name, strings.Join(t.faults, "; ")))
		if advice[t.name] != "" {
			t.x.line("      " + advice[t.name])
		}
	case t.skipped:
		t.x.line(fmt.Sprintf("skip  %s: the program has no such verb", t.name))
	default:
		t.x.passed++
		t.x.line(fmt.Sprintf("ok    %s (%s)", t.name, took.Round(time.Millisecond)))
	}
}

// advice is what to do about a part that fails.
var advice = map[string]string{
	"answers check":        "Answer check with {\"remint\": 1, \"can\": […]}, the optional verbs that the program has, on standard output and nothing else.",
	"input may stay open":  "Read one line, not to the end: in a pod the end may never come.",
	"unknown fields":       "Ignore fields that you do not know: a later remint may send more.",
	"unknown verb":         "Answer a verb that you do not know with {\"remint\": 1, \"error\": {\"kind\": \"unsupported\"}}.",
	"other kind":           "Look at kind, and answer any other one than your own with the error kind unsupported.",
	"mint":                 "Every mint makes another token, with exactly the name that was asked for, and answers with token.id, token.name and secret.",
	"list":                 "Every live token is listed, with the id, the name and the created that its mint answered.",
	"identify":             "Answer with the token that has this secret, and with the error kind denied to any other secret.",
	"revoke":               "Kill exactly the token with this id; answer well if it is gone already; and list and identify must know at once.",
	"write":                "Writing a token twice is writing it once; held and read say at once what was written last, not verified yet.",
	"mark":                 "Remember that the token was verified, until the next write.",
	"back to an older one": "An older token may be written after a newer one: the last write counts.",
	"undo":                 "Put back what the last write replaced, value and marker.",
	"undo without a write": "Undo is only ever sent after a write.",
	"made-up credential":   "A credential that no service knows must not pass: answer with the error kind denied, or unproven if it cannot be said.",
	"good":                 "The credential from standard input works; answer {\"remint\": 1}.",
	"standard error":       "Never print a secret, whole or in part: standard error may end in a log.",
	"the rest":             "See docs/protocol.md.",
}
