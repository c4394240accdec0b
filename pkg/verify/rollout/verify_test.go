package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

const secretText = "newborn-0123456789"

var newborn = rotate.Credential{Token: rotate.Token{ID: "42", Name: "web"}, Secret: rotate.NewSecret(secretText)}

// workloadJSON is a workload of two replicas whose rollout is done, reading the Secret web-token.
func workloadJSON(name, more string) string {
	return `{"metadata": {"name": "` + name + `", "generation": 3}, "spec": {` + more + `"replicas": 2, "selector": {"matchLabels": {"app": "` + name + `"}},
		"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "web-token"}}}]}]}}},
		"status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
			"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2, "currentRevision": "r1", "updateRevision": "r1"}}`
}

// controller plays what the controllers do with each look after a restart: steps of status, the last of which stays.
func controller(steps ...string) func(method string, o kubetest.Object) {
	n := map[string]int{}
	return func(method string, o kubetest.Object) {
		name := kubetest.Dig(o, "metadata")["name"].(string)
		if method == "PATCH" {
			n[name] = 1
			return
		}
		if n[name] == 0 {
			return
		}
		step := steps[min(n[name], len(steps))-1]
		n[name]++
		s := kubetest.Dig(o, "status")
		for set := range strings.FieldsSeq(step) {
			k, v, _ := strings.Cut(set, "=")
			switch {
			case k == "observed":
				s["observedGeneration"] = kubetest.Dig(o, "metadata")["generation"]
			case k == "reason":
				s["conditions"] = []any{kubetest.Object{"type": "Progressing", "status": "False", "reason": v, "message": "rs has timed out"}}
			case k == "stamp":
				kubetest.Dig(o, "spec", "template", "metadata", "annotations")[stampKey] = v
			case k == "scale":
				kubetest.Dig(o, "spec")["replicas"] = float64(0)
			case strings.HasSuffix(k, "Revision"):
				s[k] = v
			default:
				var f float64
				_, _ = fmt.Sscan(v, &f)
				s[k] = f
			}
		}
	}
}

func TestRestart(t *testing.T) {
	const done = "observed updatedReplicas=2 replicas=2 availableReplicas=2"
	for _, c := range []struct {
		name    string
		kind    string // Deployment if empty
		more    string // of the spec
		steps   []string
		kind2   error
		failed  bool
		says    string
		patched int
	}{
		{name: "step 12: updated, available and observed", steps: []string{"", "observed updatedReplicas=1 replicas=3", "updatedReplicas=2 replicas=3", "replicas=2 availableReplicas=1", done}, patched: 1},
		{name: "step 12: progress deadline exceeded", steps: []string{"", "observed updatedReplicas=1 reason=ProgressDeadlineExceeded"}, failed: true, says: "progress deadline", patched: 1},
		{name: "step 12: no replicas", more: `"replicas": 0, "x": 0, `, kind2: rotate.ErrUnproven, says: "no replicas", patched: 0},
		{name: "deadline of before the restart", steps: []string{"reason=ProgressDeadlineExceeded", done + " reason=NewReplicaSetAvailable"}, patched: 1},
		{name: "scaled down meanwhile", steps: []string{"", "observed scale"}, kind2: rotate.ErrUnproven, says: "no replicas", patched: 1},
		{name: "never seen by the controller", steps: []string{""}, kind2: rotate.ErrUnproven, says: "not yet seen", patched: 1},
		{name: "too slow", steps: []string{"observed updatedReplicas=1"}, kind2: rotate.ErrUnproven, says: "1 of 2 replicas updated", patched: 1},
		{name: "paused", more: `"paused": true, `, kind2: rotate.ErrUnproven, says: "kubectl rollout resume", patched: 0},
		{name: "template replaced", steps: []string{"observed stamp=other"}, kind2: rotate.ErrUnproven, says: "replaced the pod template", patched: 1},

		{name: "stateful", kind: "StatefulSet", steps: []string{"observed readyReplicas=1 updatedReplicas=1 updateRevision=r2", "readyReplicas=2", "updatedReplicas=2", "currentRevision=r2"}, patched: 1},
		{name: "stateful, last ones", kind: "StatefulSet", steps: []string{"observed updatedReplicas=2 updateRevision=r2"}, kind2: rotate.ErrUnproven, says: "the last replicas", patched: 1},
		{name: "partition", kind: "StatefulSet", more: `"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, `, kind2: rotate.ErrUnproven, says: "partition 1", patched: 0},
		{name: "on delete", kind: "StatefulSet", more: `"updateStrategy": {"type": "OnDelete"}, `, kind2: rotate.ErrUnproven, says: "OnDelete", patched: 0},
		{name: "partition of zero", kind: "StatefulSet", more: `"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, `, steps: []string{"observed updatedReplicas=2 updateRevision=r2 currentRevision=r2"}, patched: 1},

		{name: "daemons", kind: "DaemonSet", steps: []string{"observed updatedNumberScheduled=1 numberAvailable=1", "updatedNumberScheduled=2", "numberAvailable=2"}, patched: 1},
		{name: "daemons without nodes", kind: "DaemonSet", steps: []string{"observed desiredNumberScheduled=0"}, kind2: rotate.ErrUnproven, says: "no replicas", patched: 1},
		{name: "daemons on delete", kind: "DaemonSet", more: `"updateStrategy": {"type": "OnDelete"}, `, kind2: rotate.ErrUnproven, says: "OnDelete", patched: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &kubetest.API{On: controller(append(c.steps, "")...)}
				if len(c.steps) > 0 {
					api.On = controller(c.steps...)
				}
				r := &Rollout{Restart: true, Cluster: api.Cluster()}
				text := workloadJSON("web", c.more)
				if strings.Contains(c.name, "no replicas") {
					text = strings.Replace(text, `"replicas": 2, "selector"`, `"selector"`, 1)
				}
				switch c.kind {
				case "":
					c.kind = "Deployment"
					r.Deployment = "web"
				case "StatefulSet":
					r.StatefulSet = "web"
				case "DaemonSet":
					r.DaemonSet = "web"
				}
				api.Put(t, "apps/v1", c.kind, text)
				began := time.Now()
				err := r.Verify(t.Context(), newborn)
				judgeError(t, err, c.kind2, c.failed, c.says)
				if got := api.Asked("PATCH"); len(got) != c.patched {
					t.Errorf("patched %d times, want %d: %q", len(got), c.patched, got)
				}
				if d := time.Since(began); d > defaultTimeout+time.Second {
					t.Errorf("took %s", d)
				}
			})
		})
	}
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
	case strings.Contains(err.Error(), secretText), strings.Contains(err.Error(), kubetest.Token):
		t.Errorf("%q shows a secret", err)
	}
}

// TestStamp: every Verify is a restart of its own, and says for which token; so is that with the old credential after a
// restore.
func TestStamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{On: controller("observed")}
		o := api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
		r := &Rollout{Deployment: "web", Restart: true, Cluster: api.Cluster()}
		seen := map[any]bool{}
		for _, token := range []string{"42", "42", "41"} {
			time.Sleep(time.Millisecond)
			if err := r.Verify(t.Context(), rotate.Credential{Token: rotate.Token{ID: token}}); err != nil {
				t.Fatal(err)
			}
			notes := kubetest.Dig(o, "spec", "template", "metadata", "annotations")
			at, err := time.Parse(time.RFC3339, notes[stampKey].(string))
			if err != nil || !at.Equal(time.Now()) || seen[notes[stampKey]] || notes["remint.dev/token"] != token {
				t.Errorf("got %v, %v", notes, err)
			}
			seen[notes[stampKey]] = true
		}
		if g := kubetest.Dig(o, "metadata")["generation"]; g != 6.0 {
			t.Errorf("generation %v after three restarts of generation 3", g)
		}
	})
}

// TestLostAnswer: a restart whose answer is lost is sent again, and is one restart.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{On: controller("observed")}
		o := api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
		api.Faults.Plant("PATCH deployments", emulate.Fault{After: true})
		api.Faults.Plant("GET deployments", emulate.Fault{Status: 503})
		r := &Rollout{Deployment: "web", Restart: true, Cluster: api.Cluster()}
		if err := r.Verify(t.Context(), newborn); err != nil {
			t.Fatal(err)
		}
		if g := kubetest.Dig(o, "metadata")["generation"]; g != 4.0 {
			t.Errorf("generation %v, want 4", g)
		}
	})
}

// TestCrash: pods of the restart that crash are a failure also where the API knows no deadline; others are not.
func TestCrash(t *testing.T) {
	pod := func(stamp string) string {
		return `{"metadata": {"name": "web-0", "labels": {"app": "web"}, "annotations": {"` + stampKey + `": "` + stamp + `"}}, "spec": {"containers": [{"name": "c"}]},
			"status": {"containerStatuses": [{"name": "c", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}]}}`
	}
	for _, ours := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			api := &kubetest.API{}
			steps := controller("observed readyReplicas=1 updateRevision=r2")
			api.On = func(method string, o kubetest.Object) { steps(method, o) }
			o := api.Put(t, "apps/v1", "StatefulSet", workloadJSON("web", ""))
			r := &Rollout{StatefulSet: "web", Restart: true, Cluster: api.Cluster()}
			go func() {
				time.Sleep(time.Minute)
				stamp := "2026-01-01T00:00:00Z"
				if ours {
					stamp = kubetest.Dig(o, "spec", "template", "metadata", "annotations")[stampKey].(string)
				}
				api.Put(t, "v1", "Pod", pod(stamp))
			}()
			err := r.Verify(t.Context(), newborn)
			if ours {
				judgeError(t, err, nil, true, "container c of pod web-0")
			} else {
				judgeError(t, err, rotate.ErrUnproven, false, "1 of 2 replicas ready")
			}
		})
	}
}

func TestHindered(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault string
		with  emulate.Fault
		also  error
	}{
		{"gone", "GET deployments", emulate.Fault{Status: 404, Body: `{"kind":"Status","code":404,"details":{"name":"web"}}`, Times: -1}, rotate.ErrNotFound},
		{"denied", "PATCH deployments", emulate.Fault{Status: 403, Body: `{"kind":"Status","code":403,"message":"User \"x\" cannot patch resource \"deployments\""}`, Times: -1}, rotate.ErrDenied},
		{"server down", "GET deployments", emulate.Fault{Status: 503, Times: -1}, rotate.ErrTemporary},
		{"no JSON", "GET deployments", emulate.Fault{Status: 200, Body: `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":"many"}}`, Times: -1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &kubetest.API{On: controller("observed")}
				api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
				api.Faults.Plant(c.fault, c.with)
				r := &Rollout{Deployment: "web", Restart: true, Cluster: api.Cluster()}
				err := r.Verify(t.Context(), newborn)
				if !errors.Is(err, rotate.ErrUnproven) || c.also != nil && !errors.Is(err, c.also) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{On: controller("")}
		api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		err := (&Rollout{Deployment: "web", Restart: true, Cluster: api.Cluster()}).Verify(ctx, newborn)
		if !errors.Is(err, rotate.ErrUnproven) || !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestConsumers: those that read the Secret are restarted, one after the other; the first that fails ends it.
func TestConsumers(t *testing.T) {
	put := func(t *testing.T, api *kubetest.API) {
		api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
		api.Put(t, "apps/v1", "Deployment", strings.ReplaceAll(workloadJSON("other", ""), "web-token", "other-token"))
		api.Put(t, "apps/v1", "Deployment", strings.Replace(workloadJSON("idle", ""), `"replicas": 2, "selector"`, `"replicas": 0, "selector"`, 1))
		api.Put(t, "apps/v1", "StatefulSet", workloadJSON("queue", ""))
		api.Put(t, "apps/v1", "DaemonSet", workloadJSON("agent", ""))
	}
	patches := func(api *kubetest.API) string {
		var names []string
		for _, q := range api.Asked("PATCH") {
			q, _, _ = strings.Cut(q, "?")
			names = append(names, q[strings.LastIndex(q, "/")+1:])
		}
		return strings.Join(names, " ")
	}
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{On: controller("observed")}
		put(t, api)
		r := &Rollout{Consumers: "auto", Secret: "web-token", Restart: true, Cluster: api.Cluster()}
		if err := r.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := r.Verify(t.Context(), newborn); err != nil || patches(api) != "web queue agent" {
			t.Errorf("restarted %s, %v", patches(api), err)
		}
		if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], "deployment/idle has no replicas") {
			t.Errorf("warnings %q", w)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{On: controller("observed reason=ProgressDeadlineExceeded")}
		put(t, api)
		r := &Rollout{Consumers: "auto", Secret: "web-token", Restart: true, Cluster: api.Cluster()}
		judgeError(t, r.Verify(t.Context(), newborn), nil, true, "deployment/web: the rollout exceeded")
		if patches(api) != "web" {
			t.Errorf("restarted %s", patches(api))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{}
		r := &Rollout{Consumers: "auto", Secret: "web-token", Restart: true, Cluster: api.Cluster()}
		judgeError(t, r.Check(t.Context()), rotate.ErrNotFound, true, "no Deployment, StatefulSet or DaemonSet in namespace apps reads the Secret web-token")
		judgeError(t, r.Verify(t.Context(), newborn), rotate.ErrUnproven, false, "reads the Secret web-token")
	})
}

func TestReads(t *testing.T) {
	for _, c := range []struct {
		spec string
		want bool
	}{
		{`{"containers": [{"env": [{"name": "A", "value": "s"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}`, true},
		{`{"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}`, true},
		{`{"initContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}`, true},
		{`{"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}`, true},
		{`{"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "s"}}, {"secret": {"name": "s"}}]}}]}`, true},
		{`{"containers": [{"envFrom": [{"configMapRef": {"name": "s"}}], "env": [{"valueFrom": {"configMapKeyRef": {"name": "s"}}}]}]}`, false},
		{`{"volumes": [{"name": "s", "configMap": {"name": "s"}}, {"secret": {"secretName": "t"}}]}`, false},
		{`{"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]}`, true},
		{`{"imagePullSecrets": [{"name": "s"}]}`, false},
		{`{}`, false},
	} {
		api := &kubetest.API{}
		api.Put(t, "apps/v1", "Deployment", `{"metadata": {"name": "web"}, "spec": {"template": {"spec": `+c.spec+`}}}`)
		found, err := (&Rollout{Consumers: "auto", Secret: "s", Cluster: api.Cluster()}).consumers(t.Context())
		if err != nil || len(found) == 1 != c.want {
			t.Errorf("%s: %v, %v", c.spec, found, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		r      *Rollout
		more   string
		denied []string
		kind   error
		says   []string
		warns  string
	}{
		{name: "fine", r: &Rollout{Deployment: "web", Restart: true}},
		{name: "fine, with its Secret", r: &Rollout{Deployment: "web", Secret: "web-token", Restart: true}},
		{name: "step 12: a missing right is named", r: &Rollout{Deployment: "web", Restart: true}, denied: []string{"get deployments", "patch deployments"}, kind: rotate.ErrDenied, says: []string{"may not get deployments/web", "grant verb patch on deployments.apps (resourceNames: [web])"}},
		{name: "only the restart denied", r: &Rollout{Deployment: "web", Restart: true}, denied: []string{"patch deployments"}, kind: rotate.ErrDenied, says: []string{"grant verb patch"}},
		{name: "not there", r: &Rollout{Deployment: "nothing", Restart: true}, kind: rotate.ErrNotFound, says: []string{"deployments/nothing"}},
		{name: "another Secret", r: &Rollout{Deployment: "web", Secret: "mine", Restart: true}, kind: rotate.ErrConfig, says: []string{"do not read the Secret mine"}},
		{name: "paused", r: &Rollout{Deployment: "web", Restart: true}, more: `"paused": true, `, kind: rotate.ErrConflict, says: []string{"kubectl rollout resume deployment/web"}},
		{name: "waiting", r: &Rollout{Deployment: "web", Secret: "web-token"}, denied: []string{"patch deployments"}},
		{name: "waiting, denied", r: &Rollout{Deployment: "web", Secret: "web-token"}, denied: []string{"get secrets", "list pods"}, kind: rotate.ErrDenied, says: []string{"get secrets/web-token", "list pods"}},
		{name: "auto, denied", r: &Rollout{Consumers: "auto", Secret: "web-token", Restart: true}, denied: []string{"list statefulsets", "list daemonsets"}, kind: rotate.ErrDenied, says: []string{"list statefulsets", "list daemonsets"}},
		{name: "on delete", r: &Rollout{StatefulSet: "web", Restart: true}, more: `"updateStrategy": {"type": "OnDelete"}, `, warns: "OnDelete"},
		{name: "invalid", r: &Rollout{}, kind: rotate.ErrConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := &kubetest.API{Denied: c.denied}
			api.Put(t, "apps/v1", "Deployment", workloadJSON("web", c.more))
			api.Put(t, "apps/v1", "StatefulSet", workloadJSON("web", c.more))
			c.r.Cluster = api.Cluster()
			err := c.r.Check(t.Context())
			if c.kind == nil && err != nil || c.kind != nil && !errors.Is(err, c.kind) {
				t.Fatalf("got %v", err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if w := strings.Join(c.r.Warnings(), " "); c.warns == "" && w != "" || !strings.Contains(w, c.warns) {
				t.Errorf("warns %q, want %q", w, c.warns)
			}
			if q := api.Asked(http.MethodPatch); len(q) > 0 {
				t.Errorf("changed something: %q", q)
			}
		})
	}
}

// TestWaitForReloader: without restart it is waited until the Secret holds the credential and every container started
// after that; a workload that nobody restarts is not proven.
func TestWaitForReloader(t *testing.T) {
	for _, c := range []struct {
		name        string
		credential  rotate.Credential
		written     time.Duration // when the Secret gets the credential; negative: never
		reloaded    time.Duration // when the pods are replaced; negative: never
		unmanaged   bool
		says        string
		wantedAfter time.Duration
	}{
		{name: "reloaded", credential: newborn, written: time.Minute, reloaded: 2 * time.Minute, wantedAfter: 2 * time.Minute},
		{name: "reloaded before we looked", credential: newborn, written: 0, reloaded: 2 * time.Second, wantedAfter: 0},
		{name: "nobody restarts", credential: newborn, written: 0, reloaded: -1, says: "0 of 2 pods started after the Secret web-token was changed"},
		{name: "restarted too early", credential: newborn, written: 2 * time.Minute, reloaded: time.Minute, says: "0 of 2 pods"},
		{name: "never written", credential: newborn, written: -1, reloaded: time.Minute, says: "does not hold the credential"},
		{name: "no secret at hand", credential: rotate.Credential{Token: newborn.Token}, written: 0, reloaded: time.Minute, says: "not known in this run"},
		{name: "no managed fields", credential: newborn, written: 0, reloaded: time.Minute, unmanaged: true, says: "managedFields"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &kubetest.API{}
				api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
				secret := func(value string) {
					managed := `[{"time": "` + time.Now().UTC().Format(time.RFC3339) + `", "fieldsV1": {"f:data": {"f:k": {}}}}, {"time": "2036-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {}}}]`
					if c.unmanaged {
						managed = "[]"
					}
					api.Put(t, "v1", "Secret", `{"metadata": {"name": "web-token", "creationTimestamp": "1999-01-01T00:00:00Z", "managedFields": `+managed+`}, "data": {"config": "`+value+`"}}`)
				}
				pods := func() {
					for _, n := range []string{"web-1", "web-2"} {
						api.Put(t, "v1", "Pod", `{"metadata": {"name": "`+n+`", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]},
							"status": {"phase": "Running", "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "`+time.Now().UTC().Format(time.RFC3339)+`"}}}]}}`)
					}
				}
				secret("b2xk")
				pods()
				time.Sleep(time.Hour)
				at := func(d time.Duration, do func()) {
					if d >= 0 {
						time.AfterFunc(d, do)
					}
				}
				at(c.written, func() { secret("dG9rZW46IG5ld2Jvcm4tMDEyMzQ1Njc4OQo=") }) // "token: newborn-0123456789\n"
				at(c.reloaded, pods)
				time.Sleep(time.Second)
				if c.name == "reloaded before we looked" {
					time.Sleep(10 * time.Second)
				}
				began := time.Now()
				r := &Rollout{Deployment: "web", Secret: "web-token", Cluster: api.Cluster()}
				err := r.Verify(t.Context(), c.credential)
				if c.says == "" {
					judgeError(t, err, nil, false, "")
					if took := time.Since(began); took < c.wantedAfter-2*time.Second || took > c.wantedAfter+2*defaultInterval {
						t.Errorf("took %s, want about %s", took, c.wantedAfter)
					}
				} else {
					judgeError(t, err, rotate.ErrUnproven, false, c.says)
				}
				if q := api.Asked(http.MethodPatch); len(q) > 0 {
					t.Errorf("changed something: %q", q)
				}
			})
		})
	}
}

func TestValidate(t *testing.T) {
	cluster := (&kubetest.API{}).Cluster()
	for _, c := range []struct {
		field string
		r     *Rollout
	}{
		{"deployment", &Rollout{Restart: true}},
		{"statefulset", &Rollout{Deployment: "a", StatefulSet: "b", Restart: true}},
		{"consumers", &Rollout{Deployment: "a", Consumers: "auto", Secret: "s", Restart: true}},
		{"consumers", &Rollout{Consumers: "all", Secret: "s", Restart: true}},
		{"secret", &Rollout{Consumers: "auto", Restart: true}},
		{"secret", &Rollout{Deployment: "a"}},
		{"secret", &Rollout{Deployment: "a", Secret: "../b", Restart: true}},
		{"deployment", &Rollout{Deployment: "a/b", Restart: true}},
		{"timeout", &Rollout{Deployment: "a", Restart: true, Timeout: -1}},
	} {
		c.r.Cluster = cluster
		err := c.r.Validate()
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	if err := (&Rollout{Deployment: "web", Restart: true}).Validate(); err == nil || !strings.Contains(err.Error(), "cluster") {
		t.Errorf("without a cluster: %v", err)
	}
	for want, r := range map[string]*Rollout{
		"rollout:apps/deployment/web":         {Deployment: "web", Restart: true},
		"rollout:other/daemonset/agent":       {DaemonSet: "agent", Restart: true, Namespace: "other"},
		"rollout:apps/consumers of web-token": {Consumers: "auto", Secret: "web-token"},
	} {
		r.Cluster = cluster
		if err := r.Validate(); err != nil || r.String() != want {
			t.Errorf("%s: %s, %v", want, r, err)
		}
		if e := r.Endpoints(); len(e) != 1 || e[0].Origin != "https://kube.example:6443" {
			t.Errorf("endpoints %v", e)
		}
	}
}

// TestJudge: one table row for each condition of kubectl rollout status, alone unmet.
func TestJudge(t *testing.T) {
	done := map[kind]map[string]any{
		deployment:  {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
		statefulSet: {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "currentRevision": "r", "updateRevision": "r"},
		daemonSet:   {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2},
	}
	for _, c := range []struct {
		kind  kind
		field string
		value any
		says  string // "": done
	}{
		{deployment, "", nil, ""},
		{deployment, "observedGeneration", 2, "not yet seen"},
		{deployment, "observedGeneration", 0, "not yet seen"},
		{deployment, "updatedReplicas", 1, "1 of 2 replicas updated"},
		{deployment, "replicas", 3, "1 old replicas"},
		{deployment, "availableReplicas", 1, "1 of 2 updated replicas available"},
		{statefulSet, "", nil, ""},
		{statefulSet, "observedGeneration", 2, "not yet seen"},
		{statefulSet, "readyReplicas", 1, "1 of 2 replicas ready"},
		{statefulSet, "updateRevision", "s", "the last replicas"},
		{daemonSet, "", nil, ""},
		{daemonSet, "observedGeneration", 2, "not yet seen"},
		{daemonSet, "updatedNumberScheduled", 1, "1 of 2 pods updated"},
		{daemonSet, "numberAvailable", 1, "1 of 2 pods available"},
	} {
		status := map[string]any{"observedGeneration": 3}
		maps.Copy(status, done[c.kind])
		if c.field != "" {
			status[c.field] = c.value
		}
		w, err := objects.Decode[workload](map[string]any{"metadata": map[string]any{"generation": 3}, "spec": map[string]any{"replicas": 2}, "status": status})
		if err != nil {
			t.Fatal(err)
		}
		done, progress, err := w.judge(c.kind)
		if err != nil || done != (c.says == "") || !strings.Contains(progress, c.says) {
			t.Errorf("%s, %s %v: %t, %q, %v", c.kind.word, c.field, c.value, done, progress, err)
		}
	}
}

// TestStaleRead: an answer from before the restart, of an API server that lags behind, counts for nothing.
func TestStaleRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &kubetest.API{On: controller("observed")}
		api.Put(t, "apps/v1", "Deployment", workloadJSON("web", ""))
		stale := `{"apiVersion": "apps/v1", "kind": "Deployment", ` + workloadJSON("web", "")[1:]
		api.Faults.Plant("GET deployments", emulate.Fault{Status: 200, Body: stale, Times: 2})
		began := time.Now()
		err := (&Rollout{Deployment: "web", Restart: true, Cluster: api.Cluster()}).Verify(t.Context(), newborn)
		if err != nil || time.Since(began) != defaultInterval {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
