package dispatch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/forgejo"
	"github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/internal/emulate/github/contract"
	"github.com/remint-dev/remint/pkg/rotate"
)

// service is an emulated host with the repository example/web, its workflows deploy.yml, push.yml and rotate.yml,
// and the token dispatch-token-0123. Its deploy passes if it is given the secret "new".
type service struct {
	url     string
	handler http.Handler
	faults  *emulate.Faults
	set     func(secret string)
	push    func() (end func()) // a run that was started by a push, and goes on until it is ended
	runs    func() int          // of deploy.yml
}

func newGitHubService(s *github.Server, url string, h http.Handler) service {
	s.URL = url
	s.AddRepository(github.Repository{Name: "example/web"})
	s.AddWorkflow("example/web", github.Workflow{File: "deploy.yml", Inputs: []string{"id"}, RunName: "deploy ${{ inputs.id }}"})
	s.AddWorkflow("example/web", github.Workflow{File: "push.yml", NoDispatch: true})
	s.AddToken(github.Token{Value: "dispatch-token-0123", Kind: github.Job, Rights: map[string]string{"actions": "write"}})
	s.OnRun = func(r *github.Run) string {
		if r.Workflow == "deploy.yml" && r.Secrets["TOKEN"] != "new" {
			return "failure"
		}
		return "success"
	}
	return service{
		url: url, handler: h, faults: &s.Faults,
		set: func(v string) { s.SetSecret(github.Place{Repository: "example/web"}, "TOKEN", v) },
		push: func() func() {
			id := s.AddRun(github.Run{Repository: "example/web", Workflow: "push.yml", Event: "push", Stuck: true})
			return func() { s.Finish(id, "failure") }
		},
		runs: func() int {
			n := 0
			for _, r := range s.Runs("example/web") {
				if r.Workflow == "deploy.yml" {
					n++
				}
			}
			return n
		},
	}
}

func newForgeService(s *forgejo.Server) service {
	s.AddRepository("example/web")
	s.AddToken("bot", "dispatch-token-0123", "write:repository")
	s.AddCollaborator("example/web", "bot", "write")
	s.AddWorkflow("example/web", "deploy.yml", forgejo.Workflow{RunName: "deploy ${{ inputs.id }}", Inputs: []forgejo.Input{{Name: "id"}}})
	s.AddWorkflow("example/web", "push.yml", forgejo.Workflow{})
	s.Queue, s.Work = 3*time.Second, 40*time.Second
	s.OnRun = func(r forgejo.Run) bool { return r.Workflow != "deploy.yml" || r.Secrets["TOKEN"] == "new" }
	return service{
		url: "https://git.example/api/v1", handler: s, faults: &s.Faults,
		set: func(v string) { s.SetSecret("example/web", "TOKEN", v, "") },
		push: func() func() {
			id := s.AddRun("example/web", forgejo.Run{Workflow: "push.yml", Status: "running"})
			return func() { s.Finish(id, false) }
		},
		runs: func() int {
			n := 0
			for _, r := range s.Runs("example/web") {
				if r.Workflow == "deploy.yml" {
					n++
				}
			}
			return n
		},
	}
}

func emulated(t *testing.T, f func(t *testing.T, s service)) {
	for name, start := range map[string]func() service{
		"github": func() service {
			s := github.New()
			return newGitHubService(s, githubURL, contract.Wrap(t, s))
		},
		"github, lagging": func() service {
			s := github.New()
			s.Lag, s.Polls = 3, 6
			return newGitHubService(s, githubURL, contract.Wrap(t, s))
		},
		"ghes": func() service {
			s := github.New()
			s.GHES = true
			return newGitHubService(s, "https://ghe.example/api/v3", s)
		},
		"forgejo": func() service { return newForgeService(forgejo.New(forgejo.Forgejo)) },
		"gitea":   func() service { return newForgeService(forgejo.New(forgejo.Gitea)) },
		"forgejo 12": func() service {
			s := forgejo.New(forgejo.Forgejo)
			s.Major, s.NoRunInfo = 12, true
			return newForgeService(s)
		},
		"gitea 1.25": func() service { s := forgejo.New(forgejo.Gitea); s.NoRunInfo = true; return newForgeService(s) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start()
			synctest.Test(t, func(t *testing.T) { f(t, s) })
		})
	}
}

func (s service) workflow() *Workflow {
	return &Workflow{
		File: "deploy.yml", Repository: "example/web", URL: s.url, Token: rotate.NewSecret("dispatch-token-0123"),
		Transport: &emulate.Wire{Route: func(string) http.Handler { return s.handler }},
	}
}

func TestEmulated(t *testing.T) {
	emulated(t, func(t *testing.T, s service) {
		s.set("old")
		w := s.workflow()
		if err := w.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Verify(t.Context(), rotate.Credential{}); err == nil || errors.Is(err, rotate.ErrUnproven) || !strings.Contains(err.Error(), "/actions/runs/") {
			t.Errorf("with the old secret: %v", err)
		}
		s.set("new")
		if err := w.Verify(t.Context(), rotate.Credential{}); err != nil {
			t.Errorf("with the new one: %v", err)
		}
		if n := s.runs(); n != 2 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestEmulatedLostAnswer(t *testing.T) {
	for _, correlation := range []string{"", "id"} {
		emulated(t, func(t *testing.T, s service) {
			s.set("new")
			if strings.Contains(s.url, "ghe.") { // the first request is refused in any case
				return
			}
			s.faults.Plant("dispatch", emulate.Fault{After: true})
			w := s.workflow()
			w.Correlation = correlation
			if err := w.Verify(t.Context(), rotate.Credential{}); err != nil || s.runs() != 1 {
				t.Errorf("%d runs, %v", s.runs(), err)
			}
		})
	}
}

func TestEmulatedDrain(t *testing.T) {
	emulated(t, func(t *testing.T, s service) {
		end := s.push()
		since := time.Now()
		time.Sleep(time.Minute)
		s.push() // after the write
		time.AfterFunc(4*time.Minute, end)
		w := s.workflow()
		began := time.Now()
		if err := w.Drain(t.Context(), since); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 4*time.Minute || took > 5*time.Minute {
			t.Errorf("drained after %s", took)
		}
	})
}
