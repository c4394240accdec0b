package podlogs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

const secretText = "newborn-0123456789"

// Lines of the exporter in the field (github.com/fastly/fastly-exporter).
const (
	badLine      = `level=warn during="initial fetch of service IDs" err="api.fastly.com responded with Unauthorized" msg="service metrics unavailable, will retry"`
	badToken     = `level=error status_code=401 msg="token may be invalid"`
	harmlessLine = `level=warn msg="Disabling TLS certificate refresh. FASTLY_API_TOKEN must have the TLS management scope"`
	goodLine     = `level=info service=found service_id=abc`
)

// logs are the lines of pods: what a pod logs and when, since the start of the test.
type logs map[string][]line

type line struct {
	at        time.Duration
	container string
	text      string
	previous  bool
}

// serve answers as the kubelet does: whole seconds, the first bytes up to the limit.
func (l logs) serve(start time.Time) func(string, url.Values) (int, string) {
	return func(pod string, q url.Values) (int, string) {
		lines, ok := l[pod]
		if !ok {
			return 404, ""
		}
		since, _ := time.Parse(time.RFC3339, q.Get("sinceTime"))
		var limit int
		_, _ = fmt.Sscan(q.Get("limitBytes"), &limit)
		var b strings.Builder
		for _, x := range lines {
			at := start.Add(x.at)
			if at.Before(since) || at.After(time.Now()) || x.previous != (q.Get("previous") == "true") || x.container != "" && x.container != q.Get("container") {
				continue
			}
			b.WriteString(at.UTC().Format(time.RFC3339Nano) + " " + x.text + "\n")
		}
		text := b.String()
		return 200, text[:min(len(text), limit)]
	}
}

func pod(api *kubetest.API, t *testing.T, name, hash, more string) {
	api.Put(t, "v1", "Pod", `{"metadata": {"name": "`+name+`", `+more+` "labels": {"app": "web", "pod-template-hash": "`+hash+`"}}, "spec": {"containers": [{"name": "main"}, {"name": "side"}]},
		"status": {"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": 0, "state": {"running": {}}}]}}`)
}

// start returns a server with the Deployment web, one pod of an old template and one of the new.
func start(t *testing.T, l logs) (*kubetest.API, *Logs) {
	t.Helper()
	api := &kubetest.API{}
	api.Put(t, "apps/v1", "Deployment", `{"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}`)
	pod(api, t, "old", "h1", "")
	time.Sleep(time.Hour + 500*time.Millisecond) // within a second: the server looks at whole ones
	pod(api, t, "new", "h2", "")
	api.Logs = l.serve(time.Now())
	return api, &Logs{Deployment: "web", Refuse: []string{"Unauthorized", "token may be invalid"}, Cluster: api.Cluster()}
}

func newborn() rotate.Credential {
	return rotate.Credential{Token: rotate.Token{ID: "42", Created: time.Now()}, Secret: rotate.NewSecret(secretText)}
}

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
	case strings.Contains(err.Error(), secretText), strings.Contains(err.Error(), kubetest.Token), strings.Contains(err.Error(), "\x1b"):
		t.Errorf("%q shows too much", err)
	}
}

func TestVerify(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(secretText))
	for _, c := range []struct {
		name    string
		logs    logs
		change  func(*Logs)
		kind    error
		failed  bool
		says    string
		atLeast time.Duration
		atMost  time.Duration
	}{
		{name: "quiet", logs: logs{"new": {{at: time.Second, text: goodLine}}}, atLeast: 30 * time.Second, atMost: 36 * time.Second},
		{name: "step 13: an auth failure in the log", logs: logs{"new": {{at: time.Second, text: badLine}}}, failed: true, says: "pod new, container main logs what must not be logged (Unauthorized)", atMost: 6 * time.Second},
		{name: "step 13: an auth failure that comes late", logs: logs{"new": {{at: 20 * time.Second, text: badToken}}}, failed: true, says: "token may be invalid", atLeast: 20 * time.Second, atMost: 26 * time.Second},
		{name: "in the second container", logs: logs{"new": {{at: time.Second, text: badLine, container: "side"}}}, failed: true, says: "container side"},
		{name: "in the other container", logs: logs{"new": {{at: time.Second, text: badLine, container: "side"}}}, change: func(l *Logs) { l.Container = "main" }},
		{name: "no such container", logs: logs{"new": nil}, change: func(l *Logs) { l.Container = "web" }, kind: rotate.ErrUnproven, says: `no container "web"`},
		{name: "before the token was made", logs: logs{"new": {{at: -time.Minute, text: badLine}, {at: -time.Millisecond, text: badLine}}}},
		{name: "in a pod of the old template", logs: logs{"old": {{at: time.Second, text: badLine}}, "new": nil}},
		{name: "in any pod of the selector", logs: logs{"old": {{at: time.Second, text: badLine}}, "new": nil}, change: func(l *Logs) { l.Deployment, l.Selector = "", "app=web" }, failed: true, says: "pod old"},
		{name: "required", logs: logs{"new": {{at: 40 * time.Second, text: goodLine}}}, change: func(l *Logs) { l.Require = []string{"service=found"} }, atLeast: 40 * time.Second, atMost: 46 * time.Second},
		{name: "two required", logs: logs{"new": {{at: time.Second, text: goodLine}}}, change: func(l *Logs) { l.Require = []string{"service=found", "subscriber=create"} }, kind: rotate.ErrUnproven, says: "matches require (subscriber=create)"},
		{name: "the secret in the line", logs: logs{"new": {{at: time.Second, text: "\x1b[1mUnauthorized: " + secretText + " " + encoded}}}, failed: true, says: "Unauthorized:"},
		{name: "step 13: no log can be read", logs: logs{}, kind: rotate.ErrUnproven, says: "the logs of 0 of 1 pods can be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, l := start(t, c.logs)
				if c.change != nil {
					c.change(l)
				}
				began := time.Now()
				err := l.Verify(t.Context(), newborn())
				judgeError(t, err, c.kind, c.failed, c.says)
				if err != nil && strings.Contains(err.Error(), encoded) {
					t.Errorf("%q shows a secret", err)
				}
				if d := time.Since(began); d < c.atLeast || c.atMost > 0 && d > c.atMost || d > defaultTimeout+time.Second {
					t.Errorf("took %s, want %s to %s", d, c.atLeast, c.atMost)
				}
			})
		})
	}
}

// TestReplaced: the pods of each look are those that are there now.
func TestReplaced(t *testing.T) {
	for _, bad := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := logs{"new": {{at: time.Second, text: goodLine}}, "newer": {{at: 11 * time.Second, text: goodLine}}}
			if bad {
				l["newer"] = append(l["newer"], line{at: 12 * time.Second, text: badLine})
			}
			api, v := start(t, l)
			time.AfterFunc(7*time.Second, func() {
				api.Delete("v1", "Pod", "new")
				pod(api, t, "newer", "h2", "")
			})
			err := v.Verify(t.Context(), newborn())
			if bad {
				judgeError(t, err, nil, true, "pod newer")
			} else {
				judgeError(t, err, nil, false, "")
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // what the container said before it was restarted counts
		l := logs{"new": {{text: badLine, previous: true}}}
		api, v := start(t, l)
		api.Put(t, "v1", "Pod", `{"metadata": {"name": "new", "labels": {"app": "web", "pod-template-hash": "h2"}}, "spec": {"containers": [{"name": "main"}]},
			"status": {"containerStatuses": [{"name": "main", "restartCount": 2}]}}`)
		judgeError(t, v.Verify(t.Context(), newborn()), nil, true, "Unauthorized")
	})
	synctest.Test(t, func(t *testing.T) { // a pod that is being deleted does not count
		api, v := start(t, logs{"new": {{at: time.Second, text: badLine}}})
		pod(api, t, "new", "h2", `"deletionTimestamp": "2026-01-01T00:00:00Z", `)
		api.Delete("v1", "Pod", "old")
		judgeError(t, v.Verify(t.Context(), newborn()), rotate.ErrUnproven, false, "there is no pod")
	})
	synctest.Test(t, func(t *testing.T) { // a container that has not started is waited for
		api, v := start(t, logs{"new": nil})
		began := time.Now()
		serve := api.Logs
		api.Logs = func(p string, q url.Values) (int, string) {
			if time.Since(began) < time.Minute {
				return 400, `container "main" in pod "new" is waiting to start: ContainerCreating`
			}
			return serve(p, q)
		}
		judgeError(t, v.Verify(t.Context(), newborn()), nil, false, "")
		if d := time.Since(began); d < time.Minute || d > time.Minute+6*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

// TestAgain: a second Verify does not see what the first one saw, also not with an older credential after a restore.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, v := start(t, logs{"new": {{at: time.Second, text: badLine}, {at: 30 * time.Second, text: goodLine}}})
		c := newborn()
		judgeError(t, v.Verify(t.Context(), c), nil, true, "Unauthorized")
		time.Sleep(time.Second)
		judgeError(t, v.Verify(t.Context(), c), nil, false, "")
		judgeError(t, v.Verify(t.Context(), rotate.Credential{Token: rotate.Token{ID: "41", Created: time.Now().Add(-1000 * time.Hour)}}), nil, false, "")
	})
}

// TestLong: a log larger than one answer is read on; one that is too large is not read to its end, and that is said.
func TestLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []line
		for i := range 3000 {
			lines = append(lines, line{at: time.Duration(i) * time.Millisecond, text: strings.Repeat("x", 1000)})
		}
		lines = append(lines, line{at: 4 * time.Second, text: badLine})
		_, v := start(t, logs{"new": lines})
		time.Sleep(5 * time.Second)
		c := newborn()
		c.Created = c.Created.Add(-5 * time.Second)
		judgeError(t, v.Verify(t.Context(), c), nil, true, "Unauthorized")
	})
	synctest.Test(t, func(t *testing.T) {
		var lines []line
		for range 2000 {
			lines = append(lines, line{at: time.Second, text: strings.Repeat("x", 1000)})
		}
		_, v := start(t, logs{"new": append(lines, line{at: 2 * time.Second, text: badLine})})
		judgeError(t, v.Verify(t.Context(), newborn()), nil, false, "")
		if w := v.Warnings(); len(w) == 0 || !strings.Contains(w[0], "logs more than is read of it") {
			t.Errorf("warns %q", w)
		}
	})
}

func TestHindered(t *testing.T) {
	for _, c := range []struct {
		fault string
		with  emulate.Fault
		also  error
	}{
		{"GET log", emulate.Fault{Status: 403, Body: `{"apiVersion":"v1","kind":"Status","code":403,"message":"User \"x\" cannot get resource \"pods/log\""}`, Times: -1}, rotate.ErrDenied},
		{"GET pods", emulate.Fault{Status: 503, Times: -1}, rotate.ErrTemporary},
		{"GET deployments", emulate.Fault{Status: 404, Body: `{"apiVersion":"v1","kind":"Status","code":404,"details":{"name":"web"}}`, Times: -1}, rotate.ErrNotFound},
		{"GET log", emulate.Fault{Times: -1}, rotate.ErrTemporary},
	} {
		synctest.Test(t, func(t *testing.T) {
			api, v := start(t, logs{"new": nil})
			api.Faults.Plant(c.fault, c.with)
			judgeError(t, v.Verify(t.Context(), newborn()), rotate.ErrUnproven, false, "")
			if err := v.Verify(t.Context(), newborn()); !errors.Is(err, c.also) {
				t.Errorf("%s: %v", c.fault, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, v := start(t, logs{"new": nil})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(7*time.Second, cancel)
		if err := v.Verify(ctx, newborn()); !errors.Is(err, context.Canceled) || !errors.Is(err, rotate.ErrUnproven) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, v := start(t, logs{})
		if err := v.Check(t.Context()); err != nil || len(v.Warnings()) > 0 {
			t.Error(err)
		}
		api.Denied = []string{"list pods", "get pods/log", "get deployments"}
		for _, s := range []string{"list pods", "get pods/log", "get deployments/web", "grant verb"} {
			judgeError(t, v.Check(t.Context()), rotate.ErrDenied, true, s)
		}
		api.Denied = nil
		api.Delete("v1", "Pod", "new")
		api.Delete("v1", "Pod", "old")
		if err := v.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if w := v.Warnings(); len(w) != 1 || !strings.Contains(w[0], "there is no pod now") {
			t.Errorf("warns %q", w)
		}
		api.Delete("apps/v1", "Deployment", "web")
		judgeError(t, v.Check(t.Context()), rotate.ErrNotFound, true, "deployments/web")
	})
}

func TestValidate(t *testing.T) {
	cluster := (&kubetest.API{}).Cluster()
	refuse := []string{"x"}
	for _, c := range []struct {
		field string
		l     *Logs
	}{
		{"deployment", &Logs{Refuse: refuse}},
		{"deployment", &Logs{Deployment: "a/b", Refuse: refuse}},
		{"selector", &Logs{Deployment: "a", Selector: "app=a", Refuse: refuse}},
		{"selector", &Logs{Selector: "app==!", Refuse: refuse}},
		{"container", &Logs{Deployment: "a", Container: "A B", Refuse: refuse}},
		{"refuse", &Logs{Deployment: "a"}},
		{"refuse", &Logs{Deployment: "a", Refuse: []string{"("}}},
		{"refuse", &Logs{Deployment: "a", Refuse: []string{"x*"}}},
		{"require", &Logs{Deployment: "a", Require: []string{"ok", "["}}},
		{"watch", &Logs{Deployment: "a", Refuse: refuse, Watch: -1}},
	} {
		c.l.Cluster = cluster
		err := c.l.Validate()
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	if err := (&Logs{Deployment: "a", Refuse: refuse}).Validate(); err == nil {
		t.Error("without a cluster: valid")
	}
	for want, l := range map[string]*Logs{
		"pod-logs:apps/deployment/web":   {Deployment: "web", Refuse: refuse},
		"pod-logs:apps/app in (a,b),!no": {Selector: "app in (a,b),!no", Require: refuse},
	} {
		l.Cluster = cluster
		if err := l.Validate(); err != nil || l.String() != want || !l.Advisory() || !l.Repeatable() || len(l.Endpoints()) != 1 {
			t.Errorf("%s: %s, %v", want, l, err)
		}
	}
}
