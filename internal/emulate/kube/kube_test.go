package kube

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// boss returns a cluster and its administrator.
func boss(t *testing.T) (*Server, conversation) {
	s := New()
	s.AddToken("boss", "admin", Everything)
	return s, emulated(t, s, "boss")
}

const web = "/apis/apps/v1/namespaces/n/deployments/web"

func restart(c conversation, path, stamp string) reply {
	return c.say("PATCH", path, merging, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"`+stamp+`"}}}}}`)
}

func condition(o object, kind string) string {
	for _, c := range items(o, "status", "conditions") {
		if c["type"] == kind {
			return text(c, "status") + " " + text(c, "reason")
		}
	}
	return ""
}

// A pod runs with what its Secret held when it started, whatever happens to the Secret, until it is replaced.
func TestRunsWithTheOld(t *testing.T) {
	for kind, resource := range map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"} {
		t.Run(kind, func(t *testing.T) {
			s, c := boss(t)
			s.AddSecret("n", "web", map[string]string{"token": "old"})
			o := Workload(kind, "n", "web", map[string]string{"TOKEN": "web/token", "ALL": "web"})
			child(o, "spec", "template", "spec")["volumes"] = []any{object{"name": "v", "secret": object{"secretName": "web"}}}
			app := items(o, "spec", "template", "spec", "containers")[0]
			app["volumeMounts"] = []any{object{"name": "v", "mountPath": "/all"}, object{"name": "v", "mountPath": "/one", "subPath": "token"}}
			s.Add(resource, o)
			s.Settle()
			s.AddSecret("n", "web", map[string]string{"token": "new"})
			s.Settle()
			look := func(env, all, one string) {
				t.Helper()
				running := s.Running("n")
				if len(running) == 0 {
					t.Fatal("nothing runs")
				}
				for _, p := range running {
					if p.Env["app"]["TOKEN"] != env || p.Env["app"]["token"] != env || p.Files["app"]["/all/token"] != all || p.Files["app"]["/one"] != one || p.Owner != "web" || p.Kind != kind {
						t.Errorf("%+v", p)
					}
				}
			}
			look("old", "new", "old")
			if got := restart(c, "/apis/apps/v1/namespaces/n/"+resource+"/web", "1"); got.code != http.StatusOK {
				t.Fatal(got.text)
			}
			look("old", "new", "old")
			s.Settle()
			look("new", "new", "new")
		})
	}
}

// A client that polls sees the rollout pass through its stages, and never a done one before its generation is observed.
func TestStages(t *testing.T) {
	s, c := boss(t)
	s.AddSecret("n", "web", map[string]string{"token": "old"})
	o := Workload("Deployment", "n", "web", map[string]string{"TOKEN": "web/token"})
	child(o, "spec")["replicas"] = 3
	s.Add("deployments", o)
	s.Settle()
	restart(c, web, "1")
	var seen []string
	for range 8 {
		got := c.say("GET", web, "", "").body
		st := child(got, "status")
		seen = append(seen, strings.TrimSpace(string(encode([]any{number(st, 0, "observedGeneration"), number(st, 0, "replicas"), number(st, 0, "updatedReplicas"), number(st, 0, "availableReplicas")}))))
	}
	if got, want := strings.Join(seen, " "), "[1,3,3,3] [2,3,0,3] [2,6,3,3] [2,6,3,3] [2,3,3,3] [2,3,3,3] [2,3,3,3] [2,3,3,3]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if sets := s.Names("replicasets", "n"); len(sets) != 2 {
		t.Errorf("%q", sets)
	}
	s.Add("deployments", func() object { o, _ := s.Object("deployments", "n", "web"); child(o, "spec")["replicas"] = 0; return o }())
	s.Settle()
	if running := s.Running("n"); len(running) != 0 {
		t.Errorf("%d pods run", len(running))
	}
}

// What cannot start, or starts and is not ready, ends at the deadline; the old pods stay.
func TestDeadline(t *testing.T) {
	for _, name := range []string{"not ready", "no such key"} {
		t.Run(name, func(t *testing.T) {
			s, c := boss(t)
			s.Ready = func(p Pod) bool { return p.Env["app"]["TOKEN"] != "bad" }
			s.AddSecret("n", "web", map[string]string{"token": "good"})
			s.Add("deployments", Workload("Deployment", "n", "web", map[string]string{"TOKEN": "web/token"}))
			s.Settle()
			if name == "not ready" {
				s.AddSecret("n", "web", map[string]string{"token": "bad"})
			} else {
				s.Add("secrets", object{"metadata": object{"name": "web", "namespace": "n"}})
			}
			restart(c, web, "1")
			s.Settle()
			o, _ := s.Object("deployments", "n", "web")
			if got := condition(o, "Progressing"); got != "False ProgressDeadlineExceeded" {
				t.Errorf("%s", got)
			}
			ready := 0
			for _, p := range s.Running("n") {
				if p.Ready && p.Env["app"]["TOKEN"] == "good" {
					ready++
				}
			}
			if ready != 1 {
				t.Errorf("%d old pods", ready)
			}
			s.AddSecret("n", "web", map[string]string{"token": "better"})
			restart(c, web, "2")
			s.Settle()
			if o, _ := s.Object("deployments", "n", "web"); condition(o, "Progressing") != "True NewReplicaSetAvailable" {
				t.Errorf("%v", o["status"])
			}
		})
	}
}

func TestPaused(t *testing.T) {
	s, c := boss(t)
	s.Add("deployments", Workload("Deployment", "n", "web", nil))
	s.Settle()
	before := s.Names("pods", "n")
	c.say("PATCH", web, merging, `{"spec":{"paused":true,"template":{"metadata":{"annotations":{"a":"b"}}}}}`)
	s.Settle()
	o, _ := s.Object("deployments", "n", "web")
	if after := s.Names("pods", "n"); after[0] != before[0] || number(o, 0, "status", "observedGeneration") != 2 {
		t.Errorf("%q, %v", after, o["status"])
	}
}

// A pod that is deleted is made again, with the Secret of that moment.
func TestDeletedPod(t *testing.T) {
	s, c := boss(t)
	s.AddSecret("n", "web", map[string]string{"token": "old"})
	s.Add("deployments", Workload("Deployment", "n", "web", map[string]string{"TOKEN": "web/token"}))
	s.Settle()
	s.AddSecret("n", "web", map[string]string{"token": "new"})
	pod := s.Names("pods", "n")[0]
	if got := c.say("DELETE", "/api/v1/namespaces/n/pods/"+pod, "", ""); got.code != http.StatusOK || got.body["kind"] != "Pod" {
		t.Fatal(got.text)
	}
	s.Settle()
	if p := s.Running("n"); len(p) != 1 || p[0].Name == pod || p[0].Env["app"]["TOKEN"] != "new" {
		t.Errorf("%+v", p)
	}
}

func TestJobs(t *testing.T) {
	for _, x := range []struct {
		name, token, spec string
		want, phase       string
	}{
		{"complete", "good", "", "Complete", "Succeeded"},
		{"failed", "bad", `"backoffLimit":1,`, "Failed", "Failed"},
		{"suspended", "good", `"suspend":true,`, "Suspended", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, c := boss(t)
			s.Exit = func(p Pod) int {
				if p.Env["app"]["TOKEN"] == "bad" {
					return 3
				}
				return 0
			}
			s.Output = func(p Pod, _ string) string { return "token " + p.Env["app"]["TOKEN"] + "\n" }
			s.AddSecret("n", "web", map[string]string{"token": x.token})
			const jobs = "/apis/batch/v1/namespaces/n/jobs"
			if got := c.say("POST", jobs, "application/json", `{"metadata":{"generateName":"sync-"},"spec":{`+x.spec+`"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"app","env":[{"name":"TOKEN","valueFrom":{"secretKeyRef":{"name":"web","key":"token"}}}]}]}}}}`); got.code != http.StatusCreated {
				t.Fatal(got.text)
			}
			name := s.Names("jobs", "n")[0]
			early := false
			for range 30 {
				o := c.say("GET", jobs+"/"+name, "", "").body
				if condition(o, "Complete")+condition(o, "Failed") == "" && condition(o, "SuccessCriteriaMet")+condition(o, "FailureTarget") != "" {
					early = true
				}
			}
			o, _ := s.Object("jobs", "n", name)
			if got := condition(o, x.want); !strings.HasPrefix(got, "True") || !early && x.name != "suspended" {
				t.Errorf("%s (early %t): %v", got, early, o["status"])
			}
			pods := c.say("GET", "/api/v1/namespaces/n/pods?labelSelector=job-name%3D"+name, "", "")
			for _, p := range items(pods.body, "items") {
				if text(p, "status", "phase") != x.phase {
					t.Errorf("%v", p["status"])
				}
				if got := c.say("GET", "/api/v1/namespaces/n/pods/"+text(p, "metadata", "name")+"/log", "", ""); got.text != "token "+x.token+"\n" {
					t.Error(got.text)
				}
			}
			if n := len(items(pods.body, "items")); n != map[string]int{"Succeeded": 1, "Failed": 2}[x.phase] {
				t.Errorf("%d pods", n)
			}
			if got := c.say("DELETE", jobs+"/"+name, "", ""); got.code != http.StatusOK || len(s.Names("pods", "n")) != 0 {
				t.Errorf("%s, pods %q", got.text, s.Names("pods", "n"))
			}
		})
	}
}

// An ExternalSecret reads again when it is annotated, unless its policy forbids it.
func TestExternalSecret(t *testing.T) {
	for _, x := range []struct {
		name, spec string
		again      bool // reads again when annotated
	}{
		{"usual", `{"refreshInterval":"1h"}`, true},
		{"on change", `{"refreshPolicy":"OnChange","refreshInterval":"0"}`, true},
		{"once", `{"refreshPolicy":"CreatedOnce","refreshInterval":"1h"}`, false},
		{"no interval", `{"refreshInterval":"0"}`, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, c := boss(t)
			clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			s.Now = func() time.Time { return clock }
			value, there := `{"token":"old","n":7}`, true
			s.Remote = func(store, key, property string) (string, bool) {
				if store != "aws" || key != "web/fly" {
					return "", false
				}
				if property == "token" {
					return "direct", there
				}
				return value, there
			}
			const path = "/apis/external-secrets.io/v1/namespaces/n/externalsecrets"
			s.AddNamespace("n")
			body := `{"kind":"ExternalSecret","apiVersion":"external-secrets.io/v1","metadata":{"name":"web"},"spec":` + strings.TrimSuffix(x.spec, "}") +
				`,"secretStoreRef":{"name":"aws"},"target":{"name":"goal"},"dataFrom":[{"extract":{"key":"web/fly"}}],"data":[{"secretKey":"direct","remoteRef":{"key":"web/fly","property":"token"}}]}}`
			if got := c.say("POST", path, "application/json", body); got.code != http.StatusCreated {
				t.Fatal(got.text)
			}
			s.Settle()
			token := func() string { v, _ := s.Secret("n", "goal", "token"); return v }
			if n, _ := s.Secret("n", "goal", "n"); token() != "old" || n != "7" {
				t.Fatalf("%q %q", token(), n)
			}
			was, _ := s.Object("externalsecrets", "n", "web")
			value = `{"token":"new"}`
			s.Settle()
			if token() != "old" {
				t.Error("it read without reason")
			}
			clock = clock.Add(time.Minute)
			c.say("PATCH", path+"/web", merging, `{"metadata":{"annotations":{"force-sync":"1"}}}`)
			s.Settle()
			o, _ := s.Object("externalsecrets", "n", "web")
			if again := token() == "new"; again != x.again {
				t.Errorf("read again: %t", again)
			}
			if moved := text(o, "status", "refreshTime") != text(was, "status", "refreshTime") && text(o, "status", "syncedResourceVersion") != text(was, "status", "syncedResourceVersion"); moved != x.again {
				t.Errorf("%v, before %v", o["status"], was["status"])
			}
			if !x.again {
				return
			}
			there = false
			c.say("PATCH", path+"/web", merging, `{"metadata":{"annotations":{"force-sync":"2"}}}`)
			s.Settle()
			if o, _ := s.Object("externalsecrets", "n", "web"); condition(o, "Ready") != "False SecretSyncedError" || token() != "new" {
				t.Errorf("%v", o["status"])
			}
			there = true
			s.AddSecret("n", "goal", map[string]string{"token": "by hand"})
			s.Settle()
			if token() != "new" {
				t.Error("what was changed by hand stays")
			}
		})
	}
}

func TestRights(t *testing.T) {
	s := New()
	s.AddSecret("n", "web", map[string]string{"token": "x"})
	s.AddSecret("n", "other", map[string]string{"token": "x"})
	s.AddSecret("m", "web", map[string]string{"token": "x"})
	s.AddToken("t", "rotator",
		Rule{Verbs: []string{"get", "patch"}, Resources: []string{"secrets"}, Names: []string{"web"}, Namespaces: []string{"n"}},
		Rule{Verbs: []string{"list"}, Groups: []string{"apps"}, Resources: []string{"deployments"}},
		Rule{Verbs: []string{"get"}, Resources: []string{"services/proxy"}, Names: []string{"prometheus:9090"}})
	s.Expose("n", "prometheus", "9090", http.NotFoundHandler())
	c := emulated(t, s, "t")
	for path, want := range map[string]int{
		"/api/v1/namespaces/n/secrets/web":                               200,
		"/api/v1/namespaces/n/secrets/other":                             403,
		"/api/v1/namespaces/m/secrets/web":                               403,
		"/api/v1/namespaces/n/secrets":                                   403,
		"/apis/apps/v1/deployments":                                      200,
		"/apis/apps/v1/namespaces/n/deployments":                         200,
		"/apis/apps/v1/namespaces/n/statefulsets":                        403,
		"/api/v1/namespaces/n/services/prometheus:9090/proxy/metrics":    404,
		"/api/v1/namespaces/n/services/prometheus:web/proxy/metrics":     403,
		"/api/v1/namespaces/n/services/http:prometheus:9090/proxy/":      403,
		"/api/v1/namespaces/n/services/prometheus:9090":                  403,
		"/apis/external-secrets.io/v1/namespaces/n/externalsecrets/none": 403,
	} {
		if got := c.say("GET", path, "", ""); got.code != want {
			t.Errorf("%s: %d, want %d", path, got.code, want)
		}
	}
	for body, want := range map[string]bool{
		`{"verb":"patch","resource":"secrets","namespace":"n","name":"web"}`:                                              true,
		`{"verb":"patch","resource":"secrets","namespace":"n"}`:                                                           false,
		`{"verb":"list","resource":"deployments","group":"apps"}`:                                                         true,
		`{"verb":"get","resource":"services","subresource":"proxy","name":"prometheus:9090","namespace":"n"}`:             true,
		`{"verb":"get","resource":"services","name":"prometheus:9090","namespace":"n"}`:                                   false,
		`{"verb":"patch","resource":"externalsecrets","group":"external-secrets.io","namespace":"n","name":"web/secret"}`: false,
	} {
		got := c.say("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json", `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"resourceAttributes":`+body+`}}`)
		if dig(got.body, "status", "allowed") != want {
			t.Errorf("%s: %s", body, got.text)
		}
	}
}

func TestProxy(t *testing.T) {
	s, c := boss(t)
	s.Expose("monitoring", "prometheus", "9090", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery+" "+string(b)+r.Header.Get("Authorization"))
	}))
	s.Expose("monitoring", "empty", "80", nil)
	const services = "/api/v1/namespaces/monitoring/services/"
	for _, x := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"GET", "prometheus:9090/proxy/api/v1/query?query=up%7Ba%3D%22b%22%7D", 200, `GET /api/v1/query?query=up%7Ba%3D%22b%22%7D `},
		{"POST", "http:prometheus:9090/proxy/api/v1/query", 200, `POST /api/v1/query? body`},
		{"GET", "prometheus/proxy/a%2Fb", 200, `GET /a%2Fb? `},
		{"GET", "prometheus:9090/proxy", 200, `GET /? `},
		{"GET", "prometheus:1/proxy/", 503, `no service port \"1\" found for service \"prometheus\"`},
		{"GET", "empty:80/proxy/", 503, `no endpoints available for service \"empty:80\"`},
		{"GET", "none:80/proxy/", 404, `services \"none\" not found`},
	} {
		body := ""
		if x.method == "POST" {
			body = "body"
		}
		got := c.say(x.method, services+x.path, "application/x-www-form-urlencoded", body)
		if got.code != x.code || !strings.Contains(got.text, x.text) {
			t.Errorf("%s: %d %s", x.path, got.code, got.text)
		}
	}
}

func TestLogs(t *testing.T) {
	s, c := boss(t)
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.Now = func() time.Time { return clock }
	s.Add("deployments", Workload("Deployment", "n", "web", nil))
	s.Settle()
	pod := s.Names("pods", "n")[0]
	for _, l := range []string{"one", "two", "three"} {
		s.Log("n", pod, "app", l)
		clock = clock.Add(time.Minute)
	}
	path := "/api/v1/namespaces/n/pods/" + pod + "/log"
	for query, want := range map[string]string{
		"":                                     "one\ntwo\nthree\n",
		"?container=app&tailLines=1":           "three\n",
		"?sinceTime=2026-01-02T03:05:00Z":      "two\nthree\n",
		"?sinceSeconds=90":                     "three\n",
		"?limitBytes=5":                        "one\nt",
		"?timestamps=true&tailLines=1":         "2026-01-02T03:06:05Z three\n",
		"?container=other":                     "container other is not valid for pod " + pod,
		"?previous=true":                       "previous terminated container",
		"?sinceTime=2026-01-02T03:05:00+01:00": "parsing time",
	} {
		if got := c.say("GET", path+query, "", ""); got.text != want && !(got.code == 400 && strings.Contains(got.text, want)) {
			t.Errorf("%s: %d %s", query, got.code, got.text)
		}
	}
	s.Add("deployments", Workload("Deployment", "n", "stuck", map[string]string{"TOKEN": "none/token"}))
	s.Settle()
	for _, name := range s.Names("pods", "n") {
		if strings.HasPrefix(name, "stuck") {
			if got := c.say("GET", "/api/v1/namespaces/n/pods/"+name+"/log", "", ""); got.code != 400 || !strings.Contains(got.text, "is waiting to start: CreateContainerConfigError") {
				t.Errorf("%d %s", got.code, got.text)
			}
		}
	}
}

func TestSelectors(t *testing.T) {
	s, c := boss(t)
	for name, labels := range map[string]object{"a": {"app": "web", "tier": "1"}, "b": {"app": "web"}, "c": {"app": "api"}, "d": {}} {
		s.Add("configmaps", object{"metadata": object{"name": name, "namespace": "n", "labels": labels}})
	}
	for query, want := range map[string]string{
		"labelSelector=app%3Dweb":              "ab",
		"labelSelector=app==web,tier=1":        "a",
		"labelSelector=app!=web":               "cd",
		"labelSelector=app+in+(web,api)":       "abc",
		"labelSelector=app+notin+(web),app":    "c",
		"labelSelector=!app":                   "d",
		"labelSelector=tier":                   "a",
		"fieldSelector=metadata.name%3Db":      "b",
		"fieldSelector=metadata.name!%3Db":     "acd",
		"limit=3":                              "abc",
		"":                                     "abcd",
		"labelSelector=app%3Dweb&limit=1":      "a",
		"fieldSelector=spec.nodeName%3Dnode-1": "400",
	} {
		r := c.say("GET", "/api/v1/namespaces/n/configmaps?"+query, "", "")
		got := ""
		for _, o := range items(r.body, "items") {
			got += text(o, "metadata", "name")
		}
		if next := text(r.body, "metadata", "continue"); next != "" {
			r := c.say("GET", "/api/v1/namespaces/n/configmaps?"+query+"&continue="+next, "", "")
			if len(items(r.body, "items")) == 0 {
				t.Error("nothing on the next page")
			}
		}
		if r.code == 400 {
			got = "400"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	s, c := boss(t)
	s.AddSecret("n", "web", map[string]string{"token": "x"})
	s.Faults.Plant("get secrets", Refusal(429, "TooManyRequests", "too many requests", 1))
	if got := c.say("GET", "/api/v1/namespaces/n/secrets/web", "", ""); got.code != 429 || got.body["reason"] != "TooManyRequests" {
		t.Error(got.text)
	}
	if got := c.say("GET", "/api/v1/namespaces/n/secrets/web", "", ""); got.code != 200 {
		t.Error(got.text)
	}
	if got := strings.Join(s.Operations(), ", "); got != "get secrets, get secrets" {
		t.Error(got)
	}
}

// Lists of built-in kinds do not repeat the kind, those of others do; and what is served in another version only is.
func TestVersions(t *testing.T) {
	s, c := boss(t)
	s.AddKind(Kind{Group: "external-secrets.io", Versions: []string{"v1beta1"}, Resource: "externalsecrets", Name: "ExternalSecret", Custom: true})
	s.Add("externalsecrets", object{"metadata": object{"name": "web", "namespace": "n"}, "spec": object{}})
	if got := c.say("GET", "/apis/external-secrets.io/v1/namespaces/n/externalsecrets/web", "", ""); got.code != 404 {
		t.Error(got.text)
	}
	got := c.say("GET", "/apis/external-secrets.io/v1beta1/namespaces/n/externalsecrets", "", "")
	if list := items(got.body, "items"); len(list) != 1 || list[0]["apiVersion"] != "external-secrets.io/v1beta1" {
		t.Error(got.text)
	}
	s.RemoveGroup("external-secrets.io")
	if got := c.say("GET", "/apis/external-secrets.io", "", ""); got.code != 404 {
		t.Error(got.text)
	}
}

// Reloader restarts what reads a Secret that changed, and the Secret says when that was.
func TestReloader(t *testing.T) {
	s, c := boss(t)
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.Now = func() time.Time { clock = clock.Add(time.Second); return clock }
	s.AddSecret("n", "web", map[string]string{"token": "old", "other": "x"})
	o := Workload("Deployment", "n", "web", map[string]string{"TOKEN": "web/token"})
	child(o, "metadata", "annotations")[reload] = "true"
	s.Add("deployments", o)
	s.Settle()
	pod := s.Names("pods", "n")[0]
	s.Settle()
	if now := s.Names("pods", "n")[0]; now != pod {
		t.Fatal("restarted for nothing")
	}
	got := c.say("PATCH", "/api/v1/namespaces/n/secrets/web?fieldManager=remint", merging, `{"data":{"token":"bmV3"}}`)
	managers := map[string]object{}
	for _, e := range items(got.body, "metadata", "managedFields") {
		managers[text(e, "manager")] = e
	}
	if managers["seed"] == nil || dig(managers["seed"], "fieldsV1", "f:data", "f:token") != nil || dig(managers["remint"], "fieldsV1", "f:data", "f:token") == nil || text(managers["remint"], "time") <= text(managers["seed"], "time") {
		t.Errorf("%s", encode(managers))
	}
	again := c.say("PATCH", "/api/v1/namespaces/n/secrets/web?fieldManager=remint", merging, `{"metadata":{"annotations":{"a":"b"}}}`)
	if !same(dig(got.body, "metadata", "managedFields"), dig(again.body, "metadata", "managedFields")) {
		t.Errorf("%v", dig(again.body, "metadata", "managedFields"))
	}
	s.Settle()
	running := s.Running("n")
	if len(running) != 1 || running[0].Name == pod || running[0].Env["app"]["TOKEN"] != "new" {
		t.Errorf("%+v", running)
	}
}
