// Package action speaks the protocol of the Actions runners of GitHub, Forgejo and Gitea, and of act: inputs, masks,
// groups, annotations, outputs and the step summary.
//
// Its rules:
//
//   - Nothing that a server said can become a command. Every line that is printed passes through neutral; what
//     goes into a command is escaped. All four runners act on commands in stdout and in stderr, and all but GitHub's
//     even set environment variables from them.
//   - Outside a runner no command is printed: there "::add-mask::" would show the secret that it should hide.
//   - Nothing panics. A log that cannot be written is no reason to leave a rotation half done, so failures to print are
//     dropped; failures to write a command file are returned, because somebody waits for the outputs.
//   - A command is printed by one call of Write, so that others who write to the same file do not break it apart.
package action

import (
	"io"
	"os"
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"
)

// Runner is the runner that started this process, if any. The zero value is the real one; it is safe for
// concurrent use and must not be copied after first use.
type Runner struct {
	Getenv func(string) string // nil: os.Getenv
	Out    io.Writer           // the log; nil: os.Stdout
	Masks  io.Writer           // where masks go, if Out hides what they name; nil: Out
	Redact func(string) string // hides secrets in what is written to files, as Out does in the log; nil: nothing is hidden

	mu    sync.Mutex          // guards Out, Masks, and what follows
	shown [kinds]int          // annotations shown
	later [kinds][]Annotation // annotations held back, see Flush
}

// Platform is the kind of a runner.
type Platform string

// Platforms. They differ in masking, in annotations and in how they parse files.
const (
	None    Platform = ""        // no runner
	GitHub  Platform = "GitHub"  // github.com, GitHub Enterprise Server
	Forgejo Platform = "Forgejo" // any version of its runner
	Gitea   Platform = "Gitea"
	Act     Platform = "act" // github.com/nektos/act
)

// Present reports whether a runner started this process.
func (r *Runner) Present() bool { return r.getenv("GITHUB_ACTIONS") == "true" }

// Platform says which one. Forgejo's runner also claims to be Gitea's and act, Gitea's also act; Forgejo's runners
// before version 7 are known only by the API that they name.
func (r *Runner) Platform() Platform {
	switch {
	case !r.Present():
		return None
	case r.getenv("FORGEJO_ACTIONS") == "true":
		return Forgejo
	case r.getenv("GITEA_ACTIONS") == "true":
		return Gitea
	case strings.HasSuffix(strings.TrimRight(r.getenv("GITHUB_API_URL"), "/"), "/api/v1"):
		return Forgejo
	case r.getenv("ACT") == "true":
		return Act
	}
	return GitHub
}

// Input returns the input with this name of the action, without surrounding space; false if it is not set or
// empty, which runners do not tell apart. Names of lower-case letters, digits and hyphens arrive the same way
// everywhere; for others both rules are tried: GitHub's runner only turns spaces into "_", the others everything but
// letters, digits and hyphens.
func (r *Runner) Input(name string) (string, bool) {
	a := r.ga(io.Discard)
	if v := a.GetInput(name); v != "" {
		return v, true
	}
	v := a.GetInput(strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, strings.ToUpper(name)))
	return v, v != ""
}

// Group begins a part of the log that the host can fold; outside a runner it is a line. The title is shown on one line.
func (r *Runner) Group(title string) {
	// The runners other than GitHub's take everything up to the last "::" for the command's name.
	title = strings.TrimLeft(strings.Join(lines(title), " "), ": ")
	for strings.Contains(title, "::") { // of ":::" one replacement leaves another
		title = strings.ReplaceAll(title, "::", ": :")
	}
	if !r.Present() {
		r.Line(title)
		return
	}
	r.issue(func(a *githubactions.Action) { a.Group(title) })
}

// EndGroup ends what Group began.
func (r *Runner) EndGroup() {
	if r.Present() {
		r.issue((*githubactions.Action).EndGroup)
	}
}

func (r *Runner) getenv(key string) string {
	if r.Getenv == nil {
		return os.Getenv(key)
	}
	return r.Getenv(key)
}

func (r *Runner) ga(w io.Writer) *githubactions.Action {
	return githubactions.New(githubactions.WithWriter(w), githubactions.WithGetenv(r.getenv))
}

// issue prints the commands that f makes. The library panics if it cannot write, so it writes to memory.
func (r *Runner) issue(f func(a *githubactions.Action)) {
	r.print(r.command(f))
}

// command returns the commands that f makes.
func (r *Runner) command(f func(a *githubactions.Action)) string {
	var b strings.Builder
	f(r.ga(&b))
	return b.String()
}

func (r *Runner) print(text string) { r.printTo(r.Out, text) }

func (r *Runner) printTo(w io.Writer, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w == nil {
		w = os.Stdout
	}
	_, _ = io.WriteString(w, text)
}
