package action

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// A host shows ten annotations of a kind per step (actions/runner, ExecutionContext.cs) and 4,096 characters of
// each.
const (
	mostShown   = 10
	longestText = 4000 // bytes
)

// Annotation is a message that the host shows beside the code or on the page of the run.
type Annotation struct {
	File         string // path in the repository; empty: none
	Line, Column int    // from 1; 0: none
	Title        string // empty: the host's own
	Text         string
}

type kind int

const (
	notice kind = iota
	warning
	failure
	kinds // how many there are
)

func (k kind) String() string { return [kinds]string{"notice", "warning", "error"}[k] }

// Notice annotates the run with something good to know.
func (r *Runner) Notice(a Annotation) { r.annotate(notice, a) }

// Warning annotates the run with something that may become a failure.
func (r *Runner) Warning(a Annotation) { r.annotate(warning, a) }

// Error annotates the run with a failure.
func (r *Runner) Error(a Annotation) { r.annotate(failure, a) }

// annotate prints an annotation. The tenth of a kind is held back, since it may have to stand for all
// that follow; it and those are lines of the log meanwhile. Only GitHub's runner shows annotations, the others would
// print the command as it is.
func (r *Runner) annotate(k kind, a Annotation) {
	if r.Platform() != GitHub {
		r.Line(a.plain(k))
		return
	}
	r.mu.Lock()
	show := r.shown[k] < mostShown-1
	if show {
		r.shown[k]++
	} else {
		r.later[k] = append(r.later[k], a)
	}
	r.mu.Unlock()
	if show {
		r.show(k, a)
		return
	}
	r.Line(a.plain(k))
}

// Flush shows the annotations that were held back, those of each kind as one. It is to be called once, when
// no further annotation will come; what comes all the same is a line of the log.
func (r *Runner) Flush() {
	for k := range kinds {
		r.mu.Lock()
		rest := r.later[k]
		r.later[k] = nil
		full := r.shown[k] >= mostShown
		if len(rest) > 0 {
			r.shown[k] = mostShown
		}
		r.mu.Unlock()
		switch {
		case len(rest) == 0 || full: // they are in the log
		case len(rest) == 1:
			r.show(k, rest[0])
		default:
			texts := make([]string, len(rest))
			for i, a := range rest {
				texts[i] = strings.Join(strings.Fields(a.message()), " ")
			}
			r.show(k, Annotation{Text: fmt.Sprintf("and %d more: %s", len(rest), strings.Join(texts, "; "))})
		}
	}
}

// show prints the command.
func (r *Runner) show(k kind, a Annotation) {
	fields := map[string]string{}
	for name, value := range map[string]string{"file": oneLine(a.File), "title": oneLine(a.Title)} {
		if value != "" {
			fields[name] = value
		}
	}
	for name, value := range map[string]int{"line": a.Line, "col": a.Column} {
		if value > 0 {
			fields[name] = strconv.Itoa(value)
		}
	}
	text := strings.Join(lines(cut(a.Text)), "\n")
	r.issue(func(ga *githubactions.Action) {
		ga = ga.WithFieldsMap(fields)
		switch k {
		case notice:
			ga.Noticef("%s", text)
		case warning:
			ga.Warningf("%s", text)
		case failure:
			ga.Errorf("%s", text)
		}
	})
}

// plain is the annotation for people who read the log: "error: remint.yaml:7:13: title: text".
func (a Annotation) plain(k kind) string {
	return k.String() + ": " + strings.Join(lines(a.message()), "\n  ")
}

// message is where, title and text.
func (a Annotation) message() string {
	var b strings.Builder
	if a.File != "" {
		b.WriteString(oneLine(a.File))
		for _, n := range []int{a.Line, a.Column} {
			if n > 0 {
				fmt.Fprintf(&b, ":%d", n)
			}
		}
		b.WriteString(": ")
	}
	if a.Title != "" {
		b.WriteString(oneLine(a.Title) + ": ")
	}
	b.WriteString(cut(a.Text))
	return b.String()
}

func oneLine(text string) string { return strings.TrimSpace(strings.Join(lines(text), " ")) }

// cut shortens a text that is longer than a host shows.
func cut(text string) string {
	if len(text) <= longestText {
		return text
	}
	return strings.ToValidUTF8(text[:longestText], "") + "…"
}
