package github_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/github"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/github"
)

// A whole rotation at each level, with the requests it costs.
func TestLevels(t *testing.T) {
	atRepo := func(*github.Secret) {}
	atEnv := func(s *github.Secret) { s.Environment = envir.Environment }
	atOrg := func(s *github.Secret) { s.Org = "example" }
	const env = "/repos/example/web/environments/prod%2Feu%20west"
	for _, x := range []struct {
		name  string
		place emulated.Place
		level string
		who   emulated.Visibility
		at    func(*github.Secret)
		write []string // before the PUT
	}{
		{"repository", repo, "/repos/example/web/actions", emulated.Visibility{}, atRepo, nil},
		{"environment", envir, env, emulated.Visibility{}, atEnv, nil},
		{"organization, all", org, "/orgs/example/actions", emulated.Visibility{Visibility: "all"}, atOrg, []string{""}},
		{"organization, private", org, "/orgs/example/actions", emulated.Visibility{Visibility: "private"}, atOrg, []string{""}},
		{"organization, selected", org, "/orgs/example/actions", emulated.Visibility{Visibility: "selected", Selected: []string{"example/api", "example/web"}}, atOrg, []string{"", "/repositories"}},
		{"organization, none selected", org, "/orgs/example/actions", emulated.Visibility{Visibility: "selected"}, atOrg, []string{"", "/repositories"}},
		{"organization, many selected", org, "/orgs/example/actions", emulated.Visibility{Visibility: "selected", Selected: many(230)}, atOrg, []string{"", "/repositories", "/repositories", "/repositories"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			in(t, func(w *world) {
				if x.place.Org != "" {
					w.SetVisibility("example", name, x.who)
				}
				secret, variable := x.level+"/secrets/"+name, x.level+"/variables/"+name+"_REMINT"
				s := w.sink(x.at)

				h, err := s.Held(w.Context())
				w.must(err)
				if h.Mark.Token.ID != "" || h.Is != nil || !h.Secret.IsZero() {
					t.Errorf("a sink without a marker holds %+v", h)
				}
				w.wants("GET " + variable)

				w.must(s.Check(w.Context()))
				w.wants("GET "+x.level+"/secrets/public-key", "GET "+secret)

				w.must(s.Write(w.Context(), credentialOf(young)))
				var want []string
				for _, more := range x.write {
					want = append(want, "GET "+secret+more)
				}
				w.wants(append(want, "PUT "+secret, "POST "+x.level+"/variables")...)
				w.holds(x.place, value)
				if m := w.mark(x.place); m.Token != young || m.Verified {
					t.Errorf("the marker says %+v", m)
				}

				w.must(s.Mark(w.Context(), young))
				w.wants("PATCH " + variable)
				w.must(s.Mark(w.Context(), young))
				w.wants()
				if h, err = s.Held(w.Context()); err != nil || h.Mark != (rotate.Mark{Token: young, Verified: true}) {
					t.Errorf("holds %+v, %v", h, err)
				}
				w.wants("GET " + variable)

				if x.who.Visibility == "selected" && x.who.Selected == nil && !strings.Contains(strings.Join(w.bodies, ""), `"selected_repository_ids":[]`) {
					t.Error("an empty selection was not sent, which leaves open what it becomes")
				}
				if x.place.Org != "" {
					if got := w.SecretVisibility("example", name); fmt.Sprint(got) != fmt.Sprint(x.who) {
						t.Errorf("who may read the secret is now %.200v", got)
					}
					if got := w.VariableVisibility("example", name+"_REMINT"); fmt.Sprint(got) != fmt.Sprint(x.who) {
						t.Errorf("who may read the marker is %.200v", got)
					}
				}
				for _, b := range w.bodies {
					if strings.Contains(b, value) || strings.Contains(b, "newborn") {
						t.Errorf("a request carries the value unsealed: %s", b)
					}
				}
				if ws := s.Warnings(); len(ws) > 0 {
					t.Errorf("warnings: %q", ws)
				}
			})
		})
	}
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("example/r%03d", i)
	}
	return out
}

// Whatever fails in a write, the marker never names a newer token than the secret holds.
func TestOrderOfWrite(t *testing.T) {
	const (
		get    = "GET /repos/example/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
		key    = "GET /repos/example/web/actions/secrets/public-key"
		put    = "PUT /repos/example/web/actions/secrets/FLY_DEPLOY_TOKEN"
		post   = "POST /repos/example/web/actions/variables"
		patch  = "PATCH /repos/example/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
		remove = "DELETE /repos/example/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT"
	)
	sameAge := rotate.Token{ID: "t9", Created: young.Created}
	ageless := rotate.Token{ID: "t9"}
	for _, x := range []struct {
		name   string
		marked *rotate.Token
		writes rotate.Token
		want   []string
	}{
		{"no marker", nil, young, []string{get, key, put, post}},
		{"marker names an older token", &old, young, []string{get, key, put, patch}},
		{"marker names a newer token", &young, old, []string{get, patch, key, put}},
		{"marker names the same token", &young, young, []string{get, key, put}},
		{"marker names one of the same age", &sameAge, young, []string{get, remove, key, put, post}},
		{"age unknown", &ageless, young, []string{get, remove, key, put, post}},
	} {
		t.Run(x.name, func(t *testing.T) {
			in(t, func(w *world) {
				if x.marked != nil {
					w.setMark(repo, *x.marked, true)
				}
				s := w.sink(nil)
				w.must(s.Write(w.Context(), credentialOf(x.writes)))
				w.wants(x.want...)
				w.holds(repo, value)
				same := x.marked != nil && x.marked.ID == x.writes.ID
				if m := w.mark(repo); m.Token != x.writes || m.Verified != same {
					t.Errorf("the marker says %+v", m)
				}
			})
			for _, operation := range []string{"public-key", "put-secret", "put-variable", "delete-variable"} {
				for _, after := range []bool{false, true} {
					in(t, func(w *world) {
						holds := old // what the secret holds
						if x.marked != nil {
							w.setMark(repo, *x.marked, true)
							holds = *x.marked
						}
						w.Faults.Plant(operation, emulate.Fault{After: after, Times: -1})
						err := w.sink(nil).Write(w.Context(), credentialOf(x.writes))
						if err == nil {
							return // the operation is none of this case's
						}
						fails(t, err, rotate.ErrTemporary)
						if v, _ := w.Secret(repo, name); v == value {
							holds = x.writes
						}
						m := w.mark(repo).Token
						if m.ID != "" && m.ID != holds.ID && !m.Created.Before(holds.Created) {
							t.Errorf("%s failed (after: %v): the marker names %s, the secret holds %s", operation, after, m.ID, holds.ID)
						}
						w.Faults.Clear()
						w.must(w.sink(nil).Write(w.Context(), credentialOf(x.writes)))
						if m := w.mark(repo).Token; m != x.writes {
							t.Errorf("written again, the marker names %s", m.ID)
						}
					})
				}
			}
		})
	}
}

func TestWriteRepeats(t *testing.T) {
	for _, x := range []struct {
		name      string
		operation string
		fault     emulate.Fault
	}{
		{"the PUT's answer is lost", "put-secret", emulate.Fault{After: true}},
		{"the PUT is limited", "put-secret", emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"5"}}}},
		{"the PUT meets a gateway", "put-secret", emulate.Fault{Status: 502, Times: 2}},
		{"the creation of the marker is lost after it happened", "put-variable", emulate.Fault{After: true}},
		{"the key's answer is lost", "public-key", emulate.Fault{}},
	} {
		t.Run(x.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.Faults.Plant(x.operation, x.fault)
				w.must(w.sink(nil).Write(w.Context(), credentialOf(young)))
				w.holds(repo, value)
				if m := w.mark(repo); m.Token != young {
					t.Errorf("the marker says %+v", m)
				}
			})
		})
	}
}

// The marker came or went between our reading and our writing of it.
func TestMarkerRaces(t *testing.T) {
	in(t, func(w *world) {
		s := w.sink(nil)
		_, err := s.Held(w.Context())
		w.must(err)
		w.setMark(repo, old, false)
		w.must(s.Write(w.Context(), credentialOf(young)))
		if m := w.mark(repo); m.Token != young {
			t.Errorf("made meanwhile: the marker says %+v", m)
		}
	})
	in(t, func(w *world) {
		w.setMark(repo, old, false)
		s := w.sink(nil)
		_, err := s.Held(w.Context())
		w.must(err)
		q, err := http.NewRequestWithContext(w.Context(), "DELETE", "https://api.github.com/repos/example/web/actions/variables/"+name+"_REMINT", nil)
		w.must(err)
		q.Header.Set("Authorization", "Bearer "+credential)
		resp, err := w.wire.RoundTrip(q)
		if err != nil || resp.StatusCode != 204 {
			t.Fatal(resp, err)
		}
		w.must(s.Write(w.Context(), credentialOf(young)))
		if m := w.mark(repo); m.Token != young {
			t.Errorf("deleted meanwhile: the marker says %+v", m)
		}
	})
}

func TestMark(t *testing.T) {
	in(t, func(w *world) {
		fails(t, w.sink(nil).Mark(w.Context(), young), rotate.ErrConflict, "is gone")
		w.setMark(repo, old, false)
		fails(t, w.sink(nil).Mark(w.Context(), young), rotate.ErrConflict, "names token t1, not t2")
		w.SetVariable(repo, name+"_REMINT", "mine")
		fails(t, w.sink(nil).Mark(w.Context(), young), rotate.ErrConflict, "name another variable with marker")
		_, err := w.sink(nil).Held(w.Context())
		fails(t, err, rotate.ErrConflict, "variable FLY_DEPLOY_TOKEN_REMINT")
		fails(t, w.sink(nil).Write(w.Context(), credentialOf(young)), rotate.ErrConflict)
		w.holds(repo, "old value")
	})
}

func TestAccept(t *testing.T) {
	in(t, func(w *world) {
		w.setMark(repo, young, true)
		for _, x := range []struct {
			c    rotate.Credential
			want error
		}{
			{rotate.Credential{Token: young, Secret: rotate.NewSecret(strings.Repeat("x", 48<<10))}, nil},
			{rotate.Credential{Token: young, Secret: rotate.NewSecret(strings.Repeat("x", 48<<10+1))}, rotate.ErrLimit},
			{rotate.Credential{Token: young}, rotate.ErrConfig},
			{rotate.Credential{Secret: rotate.NewSecret(value)}, rotate.ErrConfig},
		} {
			s := w.sink(nil)
			if err := s.Accept(x.c); x.want != nil {
				fails(t, err, x.want)
				fails(t, s.Write(w.Context(), x.c), x.want)
				w.wants() // nothing was called
			} else {
				w.must(err)
				w.must(s.Write(w.Context(), x.c))
				w.take()
			}
		}
		// Without a marker no id is needed.
		s := w.sink(func(s *github.Secret) { s.Current = rotate.NewSecret("old value") })
		w.must(s.Accept(rotate.Credential{Secret: rotate.NewSecret(value)}))
	})
}

func TestPublicKey(t *testing.T) {
	const key = "GET /repos/example/web/actions/secrets/public-key"
	t.Run("fetched for the check, used for the write", func(t *testing.T) {
		in(t, func(w *world) {
			s := w.sink(nil)
			w.must(s.Check(w.Context()))
			w.take()
			time.Sleep(4 * time.Minute)
			w.must(s.Write(w.Context(), credentialOf(young)))
			if got := w.take(); len(got) != 2 {
				t.Errorf("asked %q", got)
			}
			time.Sleep(2 * time.Minute)
			w.must(s.Write(w.Context(), credentialOf(young)))
			if got := w.take(); len(got) != 2 || got[0] != key {
				t.Errorf("asked %q, want a fresh key", got)
			}
		})
	})
	t.Run("replaced", func(t *testing.T) {
		in(t, func(w *world) {
			s := w.sink(nil)
			w.must(s.Check(w.Context()))
			w.RotateKey(repo)
			w.must(s.Write(w.Context(), credentialOf(young)))
			w.holds(repo, value)
		})
	})
	t.Run("not replaced", func(t *testing.T) {
		in(t, func(w *world) {
			w.Faults.Plant("put-secret", emulate.Fault{Status: 422, Body: `{"message":"Improperly encrypted secret","documentation_url":"https://x"}`, Times: -1})
			fails(t, w.sink(nil).Write(w.Context(), credentialOf(young)), rotate.ErrConfig, "422: Improperly encrypted secret")
			puts := 0
			for _, a := range w.take() {
				if strings.HasPrefix(a, "PUT") {
					puts++
				}
			}
			if puts != 1 {
				t.Errorf("%d PUTs", puts)
			}
		})
	})
	// 33 bytes is what the key in GitHub's own description decodes to.
	for name, body := range map[string]string{
		"33 bytes":  `{"key_id":"1","key":"hBT5WZEj8ZoOv6TYJsfWq7MxTEQopZO5/IT3ZCVQPzs9"}`,
		"31 bytes":  `{"key_id":"1","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}`,
		"no base64": `{"key_id":"1","key":"*"}`,
		"no id":     `{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				s := w.sink(nil)
				s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "public-key") {
						return w.answer(r, 200, body), nil
					}
					return w.wire.RoundTrip(r)
				})
				fails(t, s.Write(w.Context(), credentialOf(young)), rotate.ErrTemporary, "public key")
				w.holds(repo, "old value")
			})
		})
	}
}

// Enterprise Server's key ids are numbers that a float64 does not hold; the contract has strings only.
func TestEnterpriseServer(t *testing.T) {
	in(t, func(w *world) {
		w.GHES = true
		s := w.sink(func(s *github.Secret) { s.URL = "https://github.example.com/api/v3" })
		s.Transport = &emulate.Wire{Route: func(host string) http.Handler {
			if host != "github.example.com" {
				t.Errorf("asked %s", host)
			}
			return w.Server
		}}
		w.must(s.Write(w.Context(), credentialOf(young)))
		w.holds(repo, value)
		if got := s.String(); got != "github:github.example.com/example/web/FLY_DEPLOY_TOKEN" {
			t.Error(got)
		}
	})
}

// An organization's secret is not written if its readers cannot be told for sure.
func TestReadersUnsure(t *testing.T) {
	in(t, func(w *world) {
		w.SetVisibility("example", name, emulated.Visibility{Visibility: "selected", Selected: []string{"example/web"}})
		atOrg := func(s *github.Secret) { s.Org = "example" }
		s := w.sink(atOrg)
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/repositories") {
				return w.answer(r, 200, `{"total_count":2,"repositories":[{"id":1}]}`), nil
			}
			return w.wire.RoundTrip(r)
		})
		fails(t, s.Write(w.Context(), credentialOf(young)), rotate.ErrConflict, "would drop the others")
		s = w.sink(atOrg)
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/secrets/"+name) && r.Method == "GET" {
				return w.answer(r, 200, `{"name":"N"}`), nil
			}
			return w.wire.RoundTrip(r)
		})
		fails(t, s.Write(w.Context(), credentialOf(young)), rotate.ErrTemporary, "who may read")
		w.holds(org, "old value")
	})
}

func TestCurrent(t *testing.T) {
	const get = "GET /repos/example/web/actions/secrets/FLY_DEPLOY_TOKEN"
	current := func(s *github.Secret) { s.Current = rotate.NewSecret("old value") }
	t.Run("unchanged", func(t *testing.T) {
		in(t, func(w *world) {
			time.Sleep(time.Hour)
			s := w.sink(current)
			h, err := s.Held(w.Context())
			w.must(err)
			if h.Secret.Reveal() != "old value" || !h.Snapshot || h.Mark.Token.ID != "" {
				t.Errorf("holds %+v", h)
			}
			w.wants(get)
			w.must(s.Check(w.Context()))
			w.take()
			w.must(s.Write(w.Context(), credentialOf(young)))
			w.wants("PUT /repos/example/web/actions/secrets/FLY_DEPLOY_TOKEN")
			if _, ok := w.Variable(repo, name+"_REMINT"); ok {
				t.Error("a marker was made")
			}
			// What this run wrote is known.
			time.Sleep(time.Minute)
			for _, verified := range []bool{false, true} {
				h, err = s.Held(w.Context())
				w.must(err)
				if h.Is == nil || !h.Is(young) || h.Is(old) || h.Verified != verified || h.Snapshot {
					t.Errorf("holds %+v after the write", h)
				}
				w.must(s.Mark(w.Context(), young))
			}
			// Until somebody else writes.
			w.SetSecret(repo, name, "a person's")
			_, err = s.Held(w.Context())
			fails(t, err, rotate.ErrConflict, "after this run wrote it")
		})
	})
	t.Run("changed since", func(t *testing.T) {
		in(t, func(w *world) {
			queued := time.Now()
			time.Sleep(time.Hour)
			w.SetSecret(repo, name, "another")
			time.Sleep(time.Hour)
			_, err := w.sink(func(s *github.Secret) { current(s); s.Since = queued }).Held(w.Context())
			fails(t, err, rotate.ErrConflict, "looked at again next tick")
			if _, err := w.sink(func(s *github.Secret) { current(s); s.Since = time.Now() }).Held(w.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("missing", func(t *testing.T) {
		in(t, func(w *world) {
			h, err := w.sink(func(s *github.Secret) { current(s); s.Name = "OTHER" }).Held(w.Context())
			if err != nil || !h.Secret.IsZero() {
				t.Errorf("holds %+v, %v", h, err)
			}
		})
	})
}

func TestCheck(t *testing.T) {
	const job = "ghs_job"
	for _, x := range []struct {
		name   string
		change func(*github.Secret)
		plant  func(*world)
		want   error
		texts  []string
	}{
		{"good", nil, nil, nil, nil},
		{"classic token", nil, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Kind: emulated.Classic, Scopes: []string{"read:org", "repo"}})
		}, nil, nil},
		{"classic token without the scope", nil, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Kind: emulated.Classic, Scopes: []string{"read:org"}})
		}, rotate.ErrNotFound, []string{"classic token the scope repo"}},
		{"classic token that only reads the organization", func(s *github.Secret) { s.Org = "example" }, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Kind: emulated.Classic, Scopes: []string{"repo"}})
		}, rotate.ErrDenied, []string{"admin:org"}},
		{"missing secret", func(s *github.Secret) { s.Name = "OTHER" }, nil, rotate.ErrNotFound, []string{"repository example/web has no Actions secret OTHER", "create: true"}},
		{"missing secret to be created", func(s *github.Secret) { s.Name, s.Create = "OTHER", true }, nil, nil, nil},
		{"missing repository", func(s *github.Secret) { s.Repository = "example/none" }, nil, rotate.ErrNotFound, []string{"no repository example/none", "cannot see it"}},
		{"missing environment", func(s *github.Secret) { s.Environment = "staging" }, nil, rotate.ErrNotFound, []string{`no environment "staging" in example/web`}},
		{"missing organization", func(s *github.Secret) { s.Org = "none" }, nil, rotate.ErrNotFound, []string{"no organization none"}},
		{"wrong token", func(s *github.Secret) { s.Token = rotate.NewSecret("github_pat_wrong") }, nil, rotate.ErrDenied, []string{"401: Bad credentials", "REMINT_GITHUB_TOKEN", "make a new one"}},
		{"no right to secrets", nil, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Rights: map[string]string{"actions": "write"}})
		}, rotate.ErrDenied, []string{"Secrets: write", "Variables: write", "secrets=read"}},
		{"no right to variables", nil, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Rights: map[string]string{"secrets": "write"}})
		}, rotate.ErrDenied, []string{"variable FLY_DEPLOY_TOKEN_REMINT", "hand in current", "actions_variables=read"}},
		{"no right to variables, none needed", func(s *github.Secret) { s.Current = rotate.NewSecret("x") }, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Rights: map[string]string{"secrets": "write"}})
		}, nil, nil},
		{"no right to environments", func(s *github.Secret) { s.Environment = envir.Environment }, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Rights: map[string]string{"secrets": "write"}})
		}, rotate.ErrDenied, []string{"Environments: write"}},
		{"no right to the organization", func(s *github.Secret) { s.Org = "example" }, func(w *world) {
			w.AddToken(emulated.Token{Value: credential, Rights: map[string]string{"secrets": "write"}})
		}, rotate.ErrDenied, []string{"organization permissions Secrets: write"}},
		{"the job's own token", func(s *github.Secret) { s.Token = rotate.NewSecret(job) }, func(w *world) {
			w.AddToken(emulated.Token{Value: job, Kind: emulated.Job, Repositories: []string{"example/web"}})
		}, rotate.ErrDenied, []string{"Resource not accessible by integration", "job's own GITHUB_TOKEN can never write secrets or variables", "REMINT_GITHUB_TOKEN"}},
		{"unreachable", func(s *github.Secret) { s.URL = "https://unreachable.example.com" }, nil, rotate.ErrTemporary, []string{"unreachable.example.com"}},
		{"a secondary limit without headers", nil, func(w *world) {
			w.Faults.Plant("public-key", emulate.Fault{Status: 403, Body: `{"message":"You have exceeded a secondary rate limit. Wait.","documentation_url":"https://x"}`, Times: -1})
		}, rotate.ErrLimit, []string{"secondary"}},
		{"an abuse limit", nil, func(w *world) {
			w.Faults.Plant("public-key", emulate.Fault{Status: 403, Body: `{"message":"Slow down","documentation_url":"https://docs.github.com/x#abuse-rate-limits"}`, Times: -1})
		}, rotate.ErrLimit, []string{"Slow down"}},
		{"429 for long", nil, func(w *world) {
			w.Faults.Plant("public-key", emulate.Fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}, Times: -1})
		}, rotate.ErrLimit, []string{"429"}},
		{"a page instead of JSON", nil, func(w *world) {
			w.Faults.Plant("get-secret", emulate.Fault{Status: 503, Body: "<html>", Times: -1})
		}, rotate.ErrTemporary, []string{"503"}},
		{"a server that repeats the credential", nil, func(w *world) {
			w.Faults.Plant("public-key", emulate.Fault{Status: 400, Body: `{"message":"bad header Bearer ` + credential + `","documentation_url":"https://x"}`, Times: -1})
		}, rotate.ErrConfig, []string{"bad header Bearer [secret]"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			in(t, func(w *world) {
				if x.plant != nil {
					x.plant(w)
				}
				err := w.sink(x.change).Check(w.Context())
				for _, a := range w.take() {
					if !strings.HasPrefix(a, "GET ") {
						t.Errorf("a check must not change anything: %s", a)
					}
				}
				if x.want == nil {
					w.must(err)
					return
				}
				fails(t, err, x.want, x.texts...)
				if !strings.HasPrefix(err.Error(), "check github:") {
					t.Errorf("%v does not begin with the operation and the place", err)
				}
			})
		})
	}
}

// A classic token that may read secrets, but says that it may not write them.
func TestCheckScopes(t *testing.T) {
	for _, x := range []struct {
		scopes, org string
		ok          bool
	}{
		{"repo", "", true}, {"gist, repo", "", true}, {"public_repo", "", false}, {"", "", false},
		{"admin:org", "example", true}, {"repo, write:org", "example", false},
	} {
		in(t, func(w *world) {
			s := w.sink(func(s *github.Secret) { s.Org = x.org })
			s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := w.wire.RoundTrip(r)
				if err == nil {
					resp.Header.Set("X-OAuth-Scopes", x.scopes)
				}
				return resp, err
			})
			err := s.Check(w.Context())
			if x.ok {
				w.must(err)
				return
			}
			fails(t, err, rotate.ErrDenied, "has the scopes \""+x.scopes+"\"")
		})
	}
}

// All that is wrong is reported at once.
func TestCheckReportsAll(t *testing.T) {
	in(t, func(w *world) {
		w.SetVariable(repo, "OTHER_REMINT", "mine")
		err := w.sink(func(s *github.Secret) { s.Name = "OTHER" }).Check(w.Context())
		fails(t, err, rotate.ErrNotFound, "no Actions secret OTHER")
		fails(t, err, rotate.ErrConflict, "variable OTHER_REMINT")
	})
}

func TestWarnings(t *testing.T) {
	for left, warned := range map[time.Duration]bool{0: false, 13 * 24 * time.Hour: true, 15 * 24 * time.Hour: false} {
		in(t, func(w *world) {
			token := emulated.Token{Value: credential}
			if left > 0 {
				token.Expires = time.Now().Add(left)
			}
			w.AddToken(token)
			s := w.sink(nil)
			w.must(s.Check(w.Context()))
			got := strings.Join(s.Warnings(), "\n")
			if strings.Contains(got, "expires at") != warned {
				t.Errorf("%s left: warnings %q", left, got)
			}
			if again := s.Warnings(); len(again) > 0 {
				t.Errorf("said twice: %q", again)
			}
		})
	}
	in(t, func(w *world) {
		s := w.sink(nil)
		w.must(s.Check(w.Context()))
		s.Name = name
		q, err := http.NewRequestWithContext(w.Context(), "DELETE", "https://api.github.com/repos/example/web/actions/secrets/"+name, nil)
		w.must(err)
		q.Header.Set("Authorization", "Bearer "+credential)
		_, err = w.wire.RoundTrip(q)
		w.must(err)
		w.must(s.Write(w.Context(), credentialOf(young)))
		if got := strings.Join(s.Warnings(), "\n"); !strings.Contains(got, "did not exist and was created") {
			t.Errorf("warnings %q", got)
		}
	})
	in(t, func(w *world) {
		s := w.sink(func(s *github.Secret) { s.Name, s.Create = "OTHER", true })
		w.must(s.Check(w.Context()))
		w.must(s.Write(w.Context(), credentialOf(young)))
		if got := s.Warnings(); len(got) > 0 {
			t.Errorf("warnings %q for a creation that was asked for", got)
		}
	})
}

// The library remembers that a limit was used up and would refuse by itself; we ask GitHub again.
func TestRateLimit(t *testing.T) {
	in(t, func(w *world) {
		w.Limit = 2
		s := w.sink(nil)
		for range 2 {
			_, err := s.Held(w.Context())
			w.must(err)
		}
		w.take()
		_, err := s.Held(w.Context())
		fails(t, err, rotate.ErrLimit, "used up until")
		w.wants("GET /repos/example/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT")
		// A limit that ends soon is waited for.
		time.Sleep(59 * time.Minute)
		if _, err = s.Held(w.Context()); err != nil {
			t.Error(err)
		}
		if got := len(w.take()); got != 2 {
			t.Errorf("%d requests", got)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*github.Secret)
		field  string // "" is valid
		says   string
	}{
		{"good", func(*github.Secret) {}, "", ""},
		{"lower case", func(s *github.Secret) { s.Name = "fly_token" }, "", ""},
		{"organization beside the runner's repository", func(s *github.Secret) { s.Org = "example" }, "", ""},
		{"environment with odd letters", func(s *github.Secret) { s.Environment = "prod/eu west ä" }, "", ""},
		{"plain http to loopback", func(s *github.Secret) { s.URL = "http://127.0.0.1:8080" }, "", ""},
		{"no name", func(s *github.Secret) { s.Name = "" }, "name", "missing"},
		{"blank in the name", func(s *github.Secret) { s.Name = "A B" }, "name", "letters, digits"},
		{"digit first", func(s *github.Secret) { s.Name = "1A" }, "name", "digit"},
		{"GitHub's prefix", func(s *github.Secret) { s.Name = "github_token" }, "name", "GITHUB_"},
		{"path in the name", func(s *github.Secret) { s.Name = "../A" }, "name", "letters, digits"},
		{"bad marker", func(s *github.Secret) { s.Marker = "A-B" }, "marker", "letters, digits"},
		{"no place", func(s *github.Secret) { s.Repository = "" }, "repository", "owner/name"},
		{"no owner", func(s *github.Secret) { s.Repository = "web" }, "repository", "owner/name"},
		{"three parts", func(s *github.Secret) { s.Repository = "a/b/c" }, "repository", "owner/name"},
		{"dots", func(s *github.Secret) { s.Repository = "example/.." }, "repository", "owner/name"},
		{"query", func(s *github.Secret) { s.Repository = "example/web?x" }, "repository", "owner/name"},
		{"dots as environment", func(s *github.Secret) { s.Environment = ".." }, "environment", "not the name"},
		{"line break in the environment", func(s *github.Secret) { s.Environment = "a\nb" }, "environment", "not the name"},
		{"environment of an organization", func(s *github.Secret) { s.Org, s.Environment = "example", "x" }, "environment", "leave out"},
		{"path as organization", func(s *github.Secret) { s.Org = "a/b" }, "org", "organization"},
		{"creation in an organization", func(s *github.Secret) { s.Org, s.Create = "example", true }, "create", "by hand"},
		{"plain http", func(s *github.Secret) { s.URL = "http://github.example.com/api/v3" }, "url", "https"},
		{"Forgejo's API", func(s *github.Secret) { s.URL = "https://forge.example.com/api/v1" }, "url", "sink forgejo"},
		{"no credential", func(s *github.Secret) { s.Token = rotate.Secret{} }, "token", "REMINT_GITHUB_TOKEN"},
		{"line break in the token", func(s *github.Secret) { s.Token = rotate.NewSecret(credential + "\n") }, "token", "line break"},
		{"an App without a key", func(s *github.Secret) { s.App = &github.App{ID: "1"} }, "app.key", "PEM"},
		{"an App with another key", func(s *github.Secret) {
			s.App = &github.App{ID: "1", Key: rotate.NewSecret("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}
		}, "app.key", "RSA"},
		{"an App without an id", func(s *github.Secret) { s.App = &github.App{} }, "app.id", "client id"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := &github.Secret{Name: name, Repository: "example/web", Token: rotate.NewSecret(credential)}
			x.change(s)
			err := s.Validate()
			if x.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			fails(t, err, rotate.ErrConfig, "field "+x.field+":", x.says)
			// The same is refused without Validate, and without a call.
			s.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				t.Error("something was called")
				return nil, http.ErrAbortHandler
			})
			_, err = s.Held(t.Context())
			fails(t, err, rotate.ErrConfig)
			fails(t, s.Check(t.Context()), rotate.ErrConfig)
			fails(t, s.Write(t.Context(), credentialOf(young)), rotate.ErrConfig)
			fails(t, s.Mark(t.Context(), young), rotate.ErrConfig)
		})
	}
}

func TestString(t *testing.T) {
	for want, s := range map[string]*github.Secret{
		"github:example/web/A":                    {Name: "a", Repository: "example/web"},
		"github:example/web/prod%2Feu/A":          {Name: "A", Repository: "example/web", Environment: "prod/eu"},
		"github:example/A":                        {Name: "A", Repository: "example/web", Org: "example"},
		"github:github.example.com/example/web/A": {Name: "A", Repository: "example/web", URL: "https://github.example.com/api/v3"},
		"github:127.0.0.1:3000/example/web/A":     {Name: "A", Repository: "example/web", URL: "http://127.0.0.1:3000"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// No verb shows a credential, before or after use.
func TestFormatting(t *testing.T) {
	in(t, func(w *world) {
		key, pem := rsaKey(t)
		w.AddApp(emulated.App{ID: 7, Key: &key.PublicKey})
		w.AddInstallation(emulated.Installation{App: 7, Account: "example", Rights: map[string]string{"secrets": "write", "actions_variables": "write"}})
		for _, change := range []func(*github.Secret){
			nil,
			func(s *github.Secret) { s.Current = rotate.NewSecret("current-value") },
			func(s *github.Secret) { s.App = &github.App{ID: "7", Key: rotate.NewSecret(pem)} },
		} {
			s := w.sink(change)
			w.must(s.Write(w.Context(), credentialOf(young)))
			hidden := []string{credential, value, "current-value", pem[40:80], "ghs_0"}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				text := fmt.Sprintf(verb, s) + fmt.Sprintf(verb, s.App)
				for _, h := range hidden {
					if strings.Contains(text, h) || strings.Contains(text, fmt.Sprintf("%x", h)) {
						t.Errorf("%s shows %q", verb, h)
					}
				}
			}
			if b, err := json.Marshal(s); err == nil {
				for _, h := range hidden {
					if strings.Contains(string(b), h) {
						t.Errorf("JSON shows %q", h)
					}
				}
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is an answer that no emulation gives.
func (w *world) answer(r *http.Request, status int, body string) *http.Response {
	w.Helper()
	resp, err := (&emulate.Wire{Route: func(string) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body))
		})
	}}).RoundTrip(r)
	w.must(err)
	return resp
}
