package lab

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	forge "github.com/remint-dev/remint/internal/emulate/forgejo"
	hub "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
	"github.com/remint-dev/remint/pkg/verify/command"
	"github.com/remint-dev/remint/pkg/verify/dispatch"
	"github.com/remint-dev/remint/pkg/verify/httpcheck"
)

// This file plays the consumers: what a dispatched workflow, a service behind a URL and a program of the
// user's would make of a credential. All ask the provider whether it works.

// verifier is a verifier of a rotation, as far as a failure can be planted there.
type verifier struct {
	fails   atomic.Bool     // newborns do not work for it, though the provider accepts them
	at      workflowAt      // of a dispatch
	instead rotate.Verifier // takes the place of one that must not run
}

// workflowAt says which workflow.
type workflowAt struct {
	forge            any // *hub.Server or *forge.Server
	repository, file string
}

// run is a run of a workflow, and the secrets it was handed.
type run struct {
	forge            any
	repository, file string
	secrets          map[string]string
}

// reads reports whether the run is handed secrets of the owner, or, if that is "", of the repository.
func (x run) reads(owner, repository string) bool {
	if owner != "" {
		mine, _, _ := strings.Cut(x.repository, "/")
		return strings.EqualFold(owner, mine)
	}
	return strings.EqualFold(repository, x.repository)
}

// workflow is what all rotations together want of a workflow.
type workflow struct {
	inputs      []string
	correlation string
	ref         string
	environment string
}

// fitDispatch makes the repository of a workflow, and a credential that may dispatch it.
func (l *Lab) fitDispatch(r *rotation, w *dispatch.Workflow) *verifier {
	text := w.Token.Reveal()
	if text == "" {
		w.Token = l.invent("dispatch", "token")
		text = w.Token.Reveal()
	}
	v := &verifier{at: workflowAt{repository: w.Repository, file: w.File}}
	if w.Forge == "forgejo" || w.Forge == "" && strings.HasSuffix(strings.TrimRight(w.URL, "/"), "/api/v1") {
		f := l.forgeAt(w.URL)
		f.AddRepository(w.Repository)
		f.AddToken(l.person(), text, "all")
		v.at.forge = f
		w.Transport = l.wire(f, nil)
	} else {
		h := l.hubAt(w.URL)
		h.AddToken(hub.Token{Value: text, Kind: hub.Job})
		v.at.forge = h
		w.Transport = l.wire(h, nil)
	}
	w.Interval, w.Approval, w.Timeout = interval, patience, patience
	x := l.workflows[v.at]
	if x == nil {
		x = &workflow{}
		l.workflows[v.at] = x
	}
	for name := range w.Inputs {
		x.input(name)
	}
	x.input(w.Correlation)
	x.correlation = cmp.Or(x.correlation, w.Correlation)
	x.ref = cmp.Or(x.ref, w.Ref)
	for _, s := range r.Sinks {
		if s, ok := s.(*github.Secret); ok && s.Org == "" && s.Repository == w.Repository {
			x.environment = cmp.Or(x.environment, s.Environment)
		}
	}
	return v
}

func (w *workflow) input(name string) {
	if name != "" && !slices.Contains(w.inputs, name) {
		w.inputs = append(w.inputs, name)
	}
}

// addWorkflows puts the workflows into their repositories.
func (l *Lab) addWorkflows() {
	for at, w := range l.workflows {
		title := ""
		if w.correlation != "" {
			title = "deploy ${{ inputs." + w.correlation + " }}"
		}
		branch := strings.TrimPrefix(strings.TrimPrefix(w.ref, "refs/heads/"), "refs/tags/")
		switch s := at.forge.(type) {
		case *hub.Server:
			made := hub.Workflow{File: at.file, Inputs: w.inputs, RunName: title, Environment: w.environment}
			if branch != "" {
				made.Refs = []string{"main", branch}
			}
			s.AddWorkflow(at.repository, made)
		case *forge.Server:
			if branch != "" {
				s.AddBranch(at.repository, branch)
			}
			made := forge.Workflow{RunName: title}
			for _, name := range w.inputs {
				made.Inputs = append(made.Inputs, forge.Input{Name: name})
			}
			s.AddWorkflow(at.repository, at.file, made)
		}
	}
}

// deploy is the work of a run: it deploys with every secret of the rotations that dispatch its workflow, as the
// run was handed them, or as it reads them elsewhere. It succeeds if all of them work.
func (l *Lab) deploy(x run) bool {
	at := workflowAt{x.forge, x.repository, x.file}
	for _, r := range l.rotations {
		for _, v := range r.verify {
			if v.at != at {
				continue
			}
			for _, s := range r.sinks {
				text := s.value(x)
				if _, live, _ := r.mint.whose(text); !live || v.fails.Load() && l.newborn(r.mint, text) {
					return false
				}
			}
		}
	}
	return true
}

// fitHTTP puts a service behind the URL that accepts exactly the tokens that live, whichever header carries
// them. Its answers have no body to speak of, so none is looked for.
func (l *Lab) fitHTTP(r *rotation, q *httpcheck.Request) *verifier {
	v := &verifier{}
	good, bad := http.StatusOK, 0
	if len(q.Status) > 0 {
		good, _ = strconv.Atoi(strings.ReplaceAll(q.Status[0], "x", "0"))
	}
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, 299, 300} {
		if !slices.ContainsFunc(q.Status, func(text string) bool { return covers(text, status) }) && bad == 0 {
			bad = status
		}
	}
	q.Body, q.Refuse = "", ""
	q.Within, q.Interval = interval, interval
	q.Transport = l.wire(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, values := range req.Header {
			for _, text := range values {
				_, rest, _ := strings.Cut(text, " ")
				for _, text := range []string{text, rest} {
					if _, live, _ := r.mint.whose(text); live && !(v.fails.Load() && l.newborn(r.mint, text)) {
						w.WriteHeader(good)
						return
					}
				}
			}
		}
		w.WriteHeader(bad)
	}), nil)
	return v
}

// covers reports whether a status is meant by a text such as 204 or 2xx.
func covers(text string, status int) bool {
	digits := strconv.Itoa(status)
	return text == digits || strings.HasSuffix(text, "xx") && text[:1] == digits[:1]
}

// standIn takes the place of a program of the user's, which may do anything.
type standIn struct {
	name string
	try  func(rotate.Credential) error
}

func (s *standIn) String() string { return s.name + " (not run in a rehearsal)" }

// Verify implements [rotate.Verifier].
func (s *standIn) Verify(_ context.Context, c rotate.Credential) error {
	if err := s.try(c); err != nil {
		return &rotate.Error{Op: "verify", At: s.String(), Err: err}
	}
	return nil
}

// fitCommand makes the stand-in of a program. It believes what the provider says.
func (l *Lab) fitCommand(r *rotation, p *command.Program) *verifier {
	v := &verifier{}
	v.instead = &standIn{p.String(), func(c rotate.Credential) error {
		live := slices.ContainsFunc(r.mint.tokens(), func(t rotate.Token) bool { return t.ID == c.ID })
		switch {
		case !live:
			return fmt.Errorf("%w: the provider does not accept %s", rotate.ErrDenied, c.Name)
		case v.fails.Load() && !l.seeded[c.ID]:
			return fmt.Errorf("%w: the program would have failed", rotate.ErrDenied)
		}
		return nil
	}}
	return v
}
