package job

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

const secretText = "newborn-0123456789"

var newborn = rotate.Credential{Token: rotate.Token{ID: "42", Name: "web"}, Secret: rotate.NewSecret(secretText)}

const cronText = `{"metadata": {"name": "sync-tokens", "uid": "uid-cron"}, "spec": {"suspend": true, "schedule": "@daily", "jobTemplate": {
	"metadata": {"labels": {"app": "sync"}, "annotations": {"note": "n"}},
	"spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": "sync"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}, {"name": "side"}]}}}}}}`

// ends plays the controller: a Job gets the conditions, one after the other, with each look; the last stays.
func ends(conditions ...string) func(string, kubetest.Object) {
	n := map[any]int{}
	return func(method string, o kubetest.Object) {
		if o["kind"] != "Job" || method != "GET" {
			return
		}
		name := kubetest.Dig(o, "metadata")["name"]
		c := conditions[min(n[name], len(conditions)-1)]
		n[name]++
		if c == "" {
			return
		}
		s := kubetest.Dig(o, "status")
		all, _ := s["conditions"].([]any)
		s["conditions"] = append(all, kubetest.Object{"type": c, "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"})
	}
}

func start(t *testing.T, on func(string, kubetest.Object)) (*kubetest.API, *Run) {
	t.Helper()
	api := &kubetest.API{On: on}
	api.Put(t, "batch/v1", "CronJob", cronText)
	return api, &Run{CronJob: "sync-tokens", Cluster: api.Cluster()}
}

// again is the verifier as another process has it.
func again(api *kubetest.API) *Run { return &Run{CronJob: "sync-tokens", Cluster: api.Cluster()} }

func judgeError(t *testing.T, err, kind error, failed bool, says string) {
	t.Helper()
	switch {
	case kind == nil && !failed:
		if err != nil {
			t.Error(err)
		}
	case err == nil, kind != nil && !errors.Is(err, kind), failed == errors.Is(err, rotate.ErrUnproven):
		t.Errorf("want %v (failed: %t), got %v", kind, failed, err)
	case !strings.Contains(err.Error(), says):
		t.Errorf("%q does not say %q", err, says)
	case strings.Contains(err.Error(), secretText), strings.Contains(err.Error(), kubetest.Token):
		t.Errorf("%q shows a secret", err)
	}
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name   string
		ends   []string
		kind   error
		failed bool
		says   string
	}{
		{name: "complete", ends: []string{"", "", "SuccessCriteriaMet", "Complete"}},
		{name: "failed", ends: []string{"", "FailureTarget", "Failed"}, failed: true, says: "failed: BackoffLimitExceeded: Job has reached"},
		{name: "failure target is not final", ends: []string{"", "FailureTarget", ""}, kind: rotate.ErrUnproven, says: "not done"},
		{name: "success criteria are not final", ends: []string{"SuccessCriteriaMet", ""}, kind: rotate.ErrUnproven, says: "not done"},
		{name: "never done", ends: []string{""}, kind: rotate.ErrUnproven, says: "after 15m0s: the Job sync-tokens-remint-"},
		{name: "suspended", ends: []string{"Suspended", ""}, kind: rotate.ErrUnproven, says: "is suspended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, r := start(t, ends(c.ends...))
				judgeError(t, r.Verify(t.Context(), newborn), c.kind, c.failed, c.says)
				if n := len(api.All("batch/v1", "Job")); n != 1 {
					t.Errorf("%d Jobs", n)
				}
			})
		})
	}
}

// TestObject holds the Job to the form that kubectl gives it.
func TestObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, r := start(t, ends("Complete"))
		if err := r.Verify(t.Context(), newborn); err != nil {
			t.Fatal(err)
		}
		j := api.All("batch/v1", "Job")[0]
		m := kubetest.Dig(j, "metadata")
		if name := m["name"].(string); len(name) > 63 || !strings.HasPrefix(name, "sync-tokens-remint-") {
			t.Errorf("name %s", name)
		}
		for _, x := range []struct{ got, want any }{
			{m["labels"], kubetest.Object{"app": "sync", "remint.dev/token": "42"}},
			{m["annotations"], kubetest.Object{"note": "n", "cronjob.kubernetes.io/instantiate": "manual", "remint.dev/token": "42"}},
			{m["ownerReferences"], []any{kubetest.Object{"apiVersion": "batch/v1", "kind": "CronJob", "name": "sync-tokens", "uid": "uid-cron", "controller": true}}},
			{kubetest.Dig(j, "spec")["ttlSecondsAfterFinished"], 86400.0},
			{kubetest.Dig(j, "spec")["backoffLimit"], 0.0},
			{kubetest.Dig(j, "spec")["suspend"], nil},
			{kubetest.Dig(j, "spec", "template", "spec")["restartPolicy"], "Never"},
		} {
			if !reflect.DeepEqual(x.got, x.want) {
				t.Errorf("got %v, want %v", x.got, x.want)
			}
		}
	})
}

func TestKeep(t *testing.T) {
	c := cronJob{}
	c.Name = "a"
	c.Spec.JobTemplate.Spec = map[string]any{"ttlSecondsAfterFinished": 60.0}
	if got := newJob(c, "42", time.Hour)["spec"].(map[string]any)["ttlSecondsAfterFinished"]; got != 60.0 {
		t.Errorf("got %v: the template's own is gone", got)
	}
	c.Spec.JobTemplate.Spec = nil
	if got := newJob(c, "42", time.Hour)["spec"].(map[string]any)["ttlSecondsAfterFinished"]; got != int64(3600) {
		t.Errorf("got %v", got)
	}
	for _, name := range []string{"a", strings.Repeat("a", 52), strings.Repeat("a", 47) + "-bcde"} {
		if got := jobName(name); len(got) > 63 || !nameRule.MatchString(got[:min(len(got), 52)]) || got == jobName(name) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestLabel(t *testing.T) {
	for token, want := range map[string]string{"42": "42", "7J-a_b.C": "7J-a_b.C", "": "sha256-e3b0c44298fc1c149afbf4c8996fb924", "gid://fly/1": "sha256-", "-a": "sha256-", strings.Repeat("a", 64): "sha256-"} {
		if got := label(token); !strings.HasPrefix(got, want) || !labelRule.MatchString(got) {
			t.Errorf("%q: %s", token, got)
		}
	}
}

// TestResume: a process takes up the Job of one that was killed; a second Verify makes a new one.
func TestResume(t *testing.T) {
	old := rotate.Credential{Token: rotate.Token{ID: "41"}}
	for _, c := range []struct {
		name   string
		before func(t *testing.T, api *kubetest.API)
		ends   []string
		with   rotate.Credential
		jobs   int
	}{
		{"a Job that runs", func(t *testing.T, api *kubetest.API) {}, []string{"", "", "", "", "Complete"}, newborn, 1},
		{"a Job that is done", func(t *testing.T, api *kubetest.API) { time.Sleep(time.Minute) }, []string{"Complete"}, newborn, 1},
		{"a Job that is done for long", func(t *testing.T, api *kubetest.API) { time.Sleep(time.Hour) }, []string{"Complete"}, newborn, 2},
		{"a Job for another token", func(t *testing.T, api *kubetest.API) {}, []string{"Complete"}, old, 2},
		{"a Job for another token came later", func(t *testing.T, api *kubetest.API) {
			time.Sleep(time.Second)
			_ = again(api).Verify(t.Context(), old)
			time.Sleep(time.Second)
		}, []string{"Complete"}, newborn, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, r := start(t, ends(c.ends...))
				ctx, kill := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, kill)
				_ = r.Verify(ctx, newborn)
				c.before(t, api)
				next := again(api)
				if err := next.Verify(t.Context(), c.with); err != nil {
					t.Fatal(err)
				}
				if n := len(api.All("batch/v1", "Job")); n != c.jobs {
					t.Errorf("%d Jobs, want %d", n, c.jobs)
				}
				if err := next.Verify(t.Context(), c.with); err != nil {
					t.Fatal(err)
				}
				if n := len(api.All("batch/v1", "Job")); n != c.jobs+1 {
					t.Errorf("%d Jobs after a second Verify, want %d", n, c.jobs+1)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // a failed Job is not taken up
		api, r := start(t, ends("Failed"))
		_ = r.Verify(t.Context(), newborn)
		api.On = ends("Complete")
		if err := again(api).Verify(t.Context(), newborn); err != nil || len(api.All("batch/v1", "Job")) != 2 {
			t.Errorf("%d Jobs, %v", len(api.All("batch/v1", "Job")), err)
		}
	})
}

// TestLostAnswer: a creation whose answer is lost is looked for, and never sent again.
func TestLostAnswer(t *testing.T) {
	for _, made := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			api, r := start(t, ends("Complete"))
			api.Faults.Plant("POST jobs", emulate.Fault{After: made})
			err := r.Verify(t.Context(), newborn)
			if made && err != nil || !made && !errors.Is(err, rotate.ErrUnproven) {
				t.Errorf("made %t: %v", made, err)
			}
			if q := api.Asked("POST"); len(q) != 1 {
				t.Errorf("created %d times", len(q))
			}
		})
	}
}

func TestLog(t *testing.T) {
	pods := func(t *testing.T, api *kubetest.API) {
		var made []kubetest.Object
		for i, n := range []string{"first", "last"} {
			made = append(made, api.Put(t, "v1", "Pod", `{"metadata": {"name": "`+n+`", "creationTimestamp": "2026-01-01T00:00:0`+string(rune('0'+i))+`Z"},
				"spec": {"containers": [{"name": "main"}, {"name": "side"}]},
				"status": {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0}}}, {"name": "side", "state": {"terminated": {"exitCode": 3}}}]}}`))
		}
		api.On = func(method string, o kubetest.Object) {
			if o["kind"] != "Job" {
				return
			}
			for _, p := range made {
				kubetest.Dig(p, "metadata", "labels")["job-name"] = kubetest.Dig(o, "metadata")["name"]
			}
			kubetest.Dig(o, "status")["conditions"] = []any{kubetest.Object{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}}
		}
	}
	for _, c := range []struct {
		name string
		logs func(pod string, q url.Values) (int, string)
		say  []string
	}{
		{"shown", func(pod string, q url.Values) (int, string) {
			if pod != "last" || q.Get("container") != "side" || q.Get("tailLines") == "" || q.Get("limitBytes") == "" {
				return 400, "wrong pod or container"
			}
			return 200, "begin\n\x1b[31mtoken=" + secretText + "\nlast line\n"
		}, []string{"the end of the log of its pod last: begin |", "token=", "| last line"}},
		{"long", func(string, url.Values) (int, string) {
			return 200, strings.Repeat("line of the log\n", 1000) + "last line"
		}, []string{"line of the log | last line"}},
		{"none", func(string, url.Values) (int, string) { return 200, "" }, []string{"its pod last logged nothing"}},
		{"denied", func(string, url.Values) (int, string) { return 403, `User "x" cannot get resource "pods/log"` }, []string{"may not get pods/last/log", "grant verb get on pods/log"}},
		{"gone", func(string, url.Values) (int, string) { return 404, "" }, []string{"the pod is gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, r := start(t, nil)
				pods(t, api)
				api.Logs = c.logs
				time.Sleep(time.Second)
				err := r.Verify(t.Context(), newborn)
				for _, s := range append(c.say, "failed: BackoffLimitExceeded: m") {
					judgeError(t, err, nil, true, s)
				}
				if len(err.Error()) > 2500 || strings.ContainsAny(err.Error(), "\n\x1b") {
					t.Errorf("%d bytes: %q", len(err.Error()), err)
				}
			})
		})
	}
}

func TestHindered(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, api *kubetest.API)
		also error
		says string
	}{
		{"no CronJob", func(_ *testing.T, api *kubetest.API) { api.Delete("batch/v1", "CronJob", "sync-tokens") }, rotate.ErrNotFound, "no cronjobs/sync-tokens"},
		{"create denied", func(_ *testing.T, api *kubetest.API) { api.Denied = []string{"create jobs"} }, rotate.ErrDenied, "may not create jobs"},
		{"template suspended", func(t *testing.T, api *kubetest.API) {
			api.Put(t, "batch/v1", "CronJob", strings.Replace(cronText, `"backoffLimit"`, `"suspend": true, "backoffLimit"`, 1))
		}, rotate.ErrConfig, "suspend: true"},
		{"deleted meanwhile", func(_ *testing.T, api *kubetest.API) {
			api.Faults.Plant("GET jobs", emulate.Fault{Delay: time.Millisecond})
			api.Faults.Plant("GET jobs", emulate.Fault{Status: 404, Body: `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"NotFound","code":404,"details":{"name":"j","kind":"jobs"}}`})
		}, rotate.ErrNotFound, "there is no jobs/"},
		{"replaced meanwhile", func(_ *testing.T, api *kubetest.API) {
			api.On = func(method string, o kubetest.Object) {
				if method == "GET" && o["kind"] == "Job" {
					kubetest.Dig(o, "metadata")["uid"] = "another"
					ends("Complete")(method, o)
				}
			}
		}, rotate.ErrConflict, "replaced by another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, r := start(t, ends(""))
				c.do(t, api)
				err := r.Verify(t.Context(), newborn)
				judgeError(t, err, c.also, false, c.says)
			})
		})
	}
}

func TestCheck(t *testing.T) {
	api, r := start(t, nil)
	if err := r.Check(t.Context()); err != nil || len(r.Warnings()) > 0 {
		t.Error(err)
	}
	api.Denied = []string{"get pods/log"}
	if err := r.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], "its log will not be shown") || !strings.Contains(w[0], "grant verb get on pods/log") {
		t.Errorf("warns %q", w)
	}
	api.Denied = []string{"get cronjobs", "create jobs", "list jobs"}
	err := r.Check(t.Context())
	for _, s := range []string{"get cronjobs/sync-tokens", "create jobs", "list jobs", "grant verb"} {
		judgeError(t, err, rotate.ErrDenied, true, s)
	}
	api.Denied = nil
	api.Put(t, "batch/v1", "CronJob", strings.Replace(cronText, `"backoffLimit"`, `"suspend": true, "backoffLimit"`, 1))
	judgeError(t, r.Check(t.Context()), rotate.ErrConfig, true, "suspend: true")
	api.Delete("batch/v1", "CronJob", "sync-tokens")
	judgeError(t, r.Check(t.Context()), rotate.ErrNotFound, true, "cronjobs")
	for _, q := range api.Asked(http.MethodPost) {
		if !strings.Contains(q, "selfsubjectaccessreviews") {
			t.Errorf("made something: %s", q)
		}
	}
}

func TestValidate(t *testing.T) {
	cluster := (&kubetest.API{}).Cluster()
	for _, c := range []struct {
		field string
		r     *Run
	}{
		{"cronjob", &Run{Cluster: cluster}},
		{"cronjob", &Run{CronJob: "a/b", Cluster: cluster}},
		{"cronjob", &Run{CronJob: strings.Repeat("a", 53), Cluster: cluster}},
		{"keep", &Run{CronJob: "a", Keep: time.Second, Cluster: cluster}},
		{"timeout", &Run{CronJob: "a", Timeout: -1, Cluster: cluster}},
		{"cluster", &Run{CronJob: "a"}},
	} {
		err := c.r.Validate()
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	r := &Run{CronJob: "a", Cluster: cluster}
	if err := r.Validate(); err != nil || r.String() != "job-from-cronjob:apps/a" || len(r.Endpoints()) != 1 {
		t.Errorf("%s, %v, %v", r, r.Endpoints(), err)
	}
}
