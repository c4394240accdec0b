package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/config"
)

// TestScripts tells the stories in testdata/script. Each drives the real program, as a process of its own, in a
// world of its own (see world_test.go). Beside the commands of testscript there are
//
//	remint ARGS…                     run the program; it must succeed, or fail with ! before it
//	exit CODE ARGS…                  run it; it must end with this exit code
//	handmade NAME DAYS PLACE…        make a token by hand, DAYS ago, and put it into places; $HANDMADE is its text
//	place PLACE                      put the last one made by hand into a place
//	holds PLACE GLOB                 the place holds a token with such a name, and it works
//	live N [GLOB]                    so many tokens with such a name were not revoked
//	token GLOB                       $TOKEN is the id of the only live token with such a name
//	minted N                         so many tokens were ever minted by the program
//	untouched                        the last run sent nothing that could change anything
//	requests                         print the requests of the last run, for stdout to match
//	fail SERVICE OPERATION STATUS N  the next N requests of the operation fail; 0: the answer is lost; N -1: all
//	heal                             nothing fails any more
//	deploys fail [GLOB]              from now on deploys fail with tokens of such a name
//	deploys work                     they fail with dead tokens only
//	json FILE                        the file is one JSON document
//	same-steps PLAN RESULT           the run did what the plan said, in JSON both
//
// Places are github:NAME, forgejo:NAME, aws:SECRET and file:PATH. After every run, what the program printed is
// searched for every secret of that world.
func TestScripts(t *testing.T) {
	t.Parallel()
	path := build(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			w, env := newWorld(e.WorkDir, e.Defer)
			for _, name := range slices.Sorted(maps.Keys(env)) {
				e.Setenv(name, env[name])
			}
			e.Values["world"] = w
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"remint": func(ts *testscript.TestScript, neg bool, args []string) {
				if code := program(ts, path, args); (code == 0) == neg {
					ts.Fatalf("exit code %d", code)
				}
			},
			"exit": func(ts *testscript.TestScript, neg bool, args []string) {
				want := number(ts, args[0])
				if code := program(ts, path, args[1:]); (code == want) == neg {
					ts.Fatalf("exit code %d", code)
				}
			},
			"handmade": func(ts *testscript.TestScript, _ bool, args []string) {
				text, err := at(ts).handmade(args[0], number(ts, args[1]), args[2:]...)
				ts.Check(err)
				ts.Setenv("HANDMADE", text)
			},
			"place": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(at(ts).put(args[0], ts.Getenv("HANDMADE")))
			},
			"holds": func(ts *testscript.TestScript, neg bool, args []string) {
				err := at(ts).check(args[0], args[1])
				if (err == nil) == neg {
					ts.Fatalf("holds %s: %v", strings.Join(args, " "), err)
				}
			},
			"live": func(ts *testscript.TestScript, _ bool, args []string) {
				glob := "web *" // those of the app, and not what the world has beside
				if len(args) > 1 {
					glob = args[1]
				}
				expect(ts, args[0], at(ts).live(glob), "live tokens")
			},
			"token": func(ts *testscript.TestScript, _ bool, args []string) {
				var ids []string
				for _, row := range at(ts).fly.Tokens() {
					if row.Revoked.IsZero() && config.Match(args[0], row.Name) {
						ids = append(ids, row.ID)
					}
				}
				if len(ids) != 1 {
					ts.Fatalf("%d live tokens %s", len(ids), args[0])
				}
				ts.Setenv("TOKEN", ids[0])
			},
			"minted": func(ts *testscript.TestScript, _ bool, args []string) {
				expect(ts, args[0], at(ts).minted(), "tokens minted")
			},
			"untouched": func(ts *testscript.TestScript, neg bool, _ []string) {
				if wrote := at(ts).writes(); (len(wrote) == 0) == neg {
					ts.Fatalf("wrote: %q", wrote)
				}
			},
			"requests": func(ts *testscript.TestScript, _ bool, _ []string) {
				out := ts.Stdout() // also if there are none
				for _, r := range at(ts).requests() {
					fmt.Fprintln(out, r)
				}
			},
			"fail": func(ts *testscript.TestScript, _ bool, args []string) {
				f := emulate.Fault{Status: number(ts, args[2]), Times: number(ts, args[3])}
				ts.Check(at(ts).plant(args[0], args[1], f))
			},
			"heal": func(ts *testscript.TestScript, _ bool, _ []string) { at(ts).heal() },
			"deploys": func(ts *testscript.TestScript, _ bool, args []string) {
				w := at(ts)
				w.mu.Lock()
				defer w.mu.Unlock()
				switch {
				case args[0] == "work":
					w.broken = ""
				case len(args) > 1:
					w.broken = args[1]
				default:
					w.broken = "*"
				}
			},
			"json": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(decode(ts.ReadFile(args[0]), new(any)))
			},
			"same-steps": func(ts *testscript.TestScript, _ bool, args []string) {
				type step struct{ Do, At string }
				var plan struct{ Plans []struct{ Steps []step } }
				var result struct{ Rotations []struct{ Steps []step } }
				ts.Check(decode(ts.ReadFile(args[0]), &plan))
				ts.Check(decode(ts.ReadFile(args[1]), &result))
				if len(plan.Plans) != 1 || len(result.Rotations) != 1 || len(plan.Plans[0].Steps) == 0 || !slices.Equal(plan.Plans[0].Steps, result.Rotations[0].Steps) {
					ts.Fatalf("planned %v, done %v", plan.Plans, result.Rotations)
				}
			},
		},
	})
}

// decode reads a text that is one JSON document and nothing else.
func decode(text string, to any) error {
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more follows the document: %v", err)
	}
	return nil
}

func at(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func expect(ts *testscript.TestScript, want string, got int, what string) {
	if number(ts, want) != got {
		ts.Fatalf("%d %s", got, what)
	}
}

// program runs the program, looks for secrets in what it printed, and returns its exit code.
func program(ts *testscript.TestScript, path string, args []string) int {
	w := at(ts)
	w.begin()
	code := 0
	if err := ts.Exec(path, args...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	for _, name := range []string{"stdout", "stderr"} {
		if found := w.leaks(unmasked(ts.ReadFile(name))); len(found) > 0 {
			ts.Fatalf("%s: %s", name, strings.Join(found, "; "))
		}
	}
	return code
}
