package kube

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
)

// conversation is a client of the emulation or of a real API server.
type conversation struct {
	t      *testing.T
	client *http.Client
	server string
	token  string
}

type reply struct {
	code int
	kind string // Content-Type
	text string
	body object // nil: no JSON
}

func (c conversation) say(method, path, content, body string, header ...string) reply {
	c.t.Helper()
	r, err := http.NewRequest(method, c.server+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	r.Header.Set("Accept", "application/json")
	if content != "" {
		r.Header.Set("Content-Type", content)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	out := reply{code: resp.StatusCode, kind: resp.Header.Get("Content-Type"), text: string(b)}
	_ = json.Unmarshal(b, &out.body)
	return out
}

// reals returns a client of the real API server, as administrator and as somebody without rights.
func reals(t *testing.T) (admin, rotator conversation) {
	t.Helper()
	server, ca := os.Getenv("REMINT_KUBE_SERVER"), os.Getenv("REMINT_KUBE_CA")
	if server == "" || ca == "" {
		t.Skip("REMINT_KUBE_SERVER and REMINT_KUBE_CA name no real API server")
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}, Timeout: 30 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return conversation{t, client, server, os.Getenv("REMINT_KUBE_TOKEN")}, conversation{t, client, server, os.Getenv("REMINT_KUBE_ROTATOR")}
}

func emulated(t *testing.T, s *Server, token string) conversation {
	return conversation{t, &http.Client{Transport: &emulate.Wire{Route: func(string) http.Handler { return s }}}, "https://kube.example", token}
}

// exchange is one request that both are sent. NS stands for the namespace.
type exchange struct {
	name          string
	who           string // admin, rotator, nobody, wrong
	method, path  string
	content, body string
	vague         bool // the real message is of an implementation; only code and reason are compared
}

const merging = "application/merge-patch+json"

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func exchanges() []exchange {
	const secrets = "/api/v1/namespaces/NS/secrets"
	const deployments = "/apis/apps/v1/namespaces/NS/deployments"
	const jobs = "/apis/batch/v1/namespaces/NS/jobs"
	secret := func(name, rest string) string {
		return `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"` + name + `"}` + rest + `}`
	}
	template := `{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"example/app:1","env":[{"name":"TOKEN","valueFrom":{"secretKeyRef":{"name":"a","key":"k"}}}]}]}}`
	deployment := `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web"},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"web"}},"template":` + template + `}}`
	job := strings.Replace(template, `"containers"`, `"restartPolicy":"Never","containers"`, 1)
	review := func(verb, resource string) string {
		return `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"resourceAttributes":{"namespace":"NS","verb":"` + verb + `","group":"","resource":"` + resource + `","name":"a"}}}`
	}
	return []exchange{
		{name: "version", method: "GET", path: "/version"},
		{name: "version for anybody", who: "nobody", method: "GET", path: "/version"},
		{name: "readyz", method: "GET", path: "/readyz"},
		{name: "core versions", method: "GET", path: "/api"},
		{name: "a group", method: "GET", path: "/apis/apps"},
		{name: "a version of a group", method: "GET", path: "/apis/apps/v1"},
		{name: "core resources", method: "GET", path: "/api/v1"},
		{name: "no such group", method: "GET", path: "/apis/nothing.example"},
		{name: "no such version", method: "GET", path: "/apis/apps/v9"},
		{name: "no such core resource", method: "GET", path: "/api/v1/namespaces/NS/things"},
		{name: "no such core version", method: "GET", path: "/api/v9/namespaces/NS/secrets"},
		{name: "nothing of a group that is not there", method: "GET", path: "/apis/nothing.example/v1/namespaces/NS/things"},
		{name: "no such subresource", method: "GET", path: secrets + "/a/status"},
		{name: "no such resource", method: "GET", path: "/apis/apps/v1/namespaces/NS/things"},
		{name: "a group for anybody", who: "nobody", method: "GET", path: "/apis/apps"},
		{name: "wrong token", who: "wrong", method: "GET", path: secrets},
		{name: "no token", who: "nobody", method: "GET", path: secrets},
		{name: "no right to list", who: "rotator", method: "GET", path: secrets},
		{name: "no right to get", who: "rotator", method: "GET", path: secrets + "/a"},
		{name: "no right to patch", who: "rotator", method: "PATCH", path: deployments + "/web", content: merging, body: `{}`},
		{name: "no right to a log", who: "rotator", method: "GET", path: "/api/v1/namespaces/NS/pods/p/log"},
		{name: "no right to a proxy", who: "rotator", method: "GET", path: "/api/v1/namespaces/NS/services/http:prometheus:9090/proxy/api/v1/query"},
		{name: "no right in the cluster", who: "rotator", method: "GET", path: "/api/v1/namespaces"},
		{name: "no right to what does not exist", who: "rotator", method: "GET", path: "/apis/apps/v1/namespaces/NS/things"},
		{name: "no right to create", who: "rotator", method: "POST", path: jobs, content: "application/json", body: `{}`},
		{name: "review denied", who: "rotator", method: "POST", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", content: "application/json", body: review("patch", "secrets")},
		{name: "review allowed", method: "POST", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", content: "application/json", body: review("patch", "secrets")},
		{name: "review of nobody", who: "nobody", method: "POST", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", content: "application/json", body: review("patch", "secrets")},

		{name: "no secret", method: "GET", path: secrets + "/a"},
		{name: "no deployment", method: "GET", path: deployments + "/web"},
		{name: "nothing to patch", method: "PATCH", path: secrets + "/a?fieldManager=remint", content: merging, body: `{"data":{"k":"eA=="}}`},
		{name: "nothing to replace", method: "PUT", path: secrets + "/a", content: "application/json", body: secret("a", ``)},
		{name: "nothing to delete", method: "DELETE", path: secrets + "/a"},
		{name: "create where no namespace is", method: "POST", path: "/api/v1/namespaces/nowhere-at-all/secrets", content: "application/json", body: secret("a", ``)},
		{name: "create without a name", method: "POST", path: secrets, content: "application/json", body: `{"kind":"Secret","apiVersion":"v1","metadata":{}}`},
		{name: "create in another namespace", method: "POST", path: secrets, content: "application/json", body: `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","namespace":"other"}}`},
		{name: "create another version", method: "POST", path: secrets, content: "application/json", body: `{"kind":"Secret","apiVersion":"v7","metadata":{"name":"a"}}`, vague: true},
		{name: "create with a bad key", method: "POST", path: secrets, content: "application/json", body: secret("a", `,"data":{"a b":"eA=="}`)},
		{name: "create with no base64", method: "POST", path: secrets, content: "application/json", body: secret("a", `,"data":{"k":"?"}`)},
		{name: "create too large", method: "POST", path: secrets, content: "application/json", body: secret("a", `,"data":{"k":"`+b64(strings.Repeat("x", 1<<20+1))+`"}`)},
		{name: "create dry", method: "POST", path: secrets + "?dryRun=All", content: "application/json", body: secret("a", `,"data":{"k":"eA=="}`)},
		{name: "create", method: "POST", path: secrets + "?fieldManager=remint", content: "application/json", body: secret("a", `,"data":{"k":"eA=="},"stringData":{"s":"plain"}`)},
		{name: "create again", method: "POST", path: secrets, content: "application/json", body: secret("a", ``)},
		{name: "read", method: "GET", path: secrets + "/a"},
		{name: "list", method: "GET", path: secrets},
		{name: "list by label", method: "GET", path: secrets + "?labelSelector=app%3Dweb"},
		{name: "list by a bad label", method: "GET", path: secrets + "?labelSelector=%3D%3D%3D", vague: true},
		{name: "list by name", method: "GET", path: secrets + "?fieldSelector=metadata.name%3Da"},
		{name: "merge patch", method: "PATCH", path: secrets + "/a?fieldManager=remint", content: merging, body: `{"metadata":{"annotations":{"example.com/a":"1"}},"data":{"k":"eQ==","s":null}}`},
		{name: "merge patch with the uid of another", method: "PATCH", path: secrets + "/a", content: merging, body: `{"metadata":{"uid":"11111111-1111-4111-8111-111111111111"}}`},
		{name: "merge patch of an old version", method: "PATCH", path: secrets + "/a", content: merging, body: `{"metadata":{"resourceVersion":"1"},"data":{"k":"eA=="}}`},
		{name: "replace an old version", method: "PUT", path: secrets + "/a", content: "application/json", body: `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"1"}}`},
		{name: "replace by another name", method: "PUT", path: secrets + "/a", content: "application/json", body: secret("b", ``)},
		{name: "replace the type", method: "PUT", path: secrets + "/a", content: "application/json", body: secret("a", `,"type":"example.com/t"`)},
		{name: "replace whatever is there", method: "PUT", path: secrets + "/a", content: "application/json", body: secret("a", `,"data":{"k":"eA=="}`)},
		{name: "replace the uid of another", method: "PUT", path: secrets + "/a", content: "application/json", body: `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","uid":"11111111-1111-4111-8111-111111111111"}}`},
		{name: "patch with no base64", method: "PATCH", path: secrets + "/a", content: merging, body: `{"data":{"other":"?"}}`, vague: true},
		{name: "patch that renames", method: "PATCH", path: secrets + "/a", content: merging, body: `{"metadata":{"name":"b"}}`},
		{name: "patch that is no JSON", method: "PATCH", path: secrets + "/a", content: merging, body: `{`, vague: true},
		{name: "patch of no known type", method: "PATCH", path: secrets + "/a", content: "application/json", body: `{}`, vague: true},
		{name: "strategic patch", method: "PATCH", path: secrets + "/a", content: "application/strategic-merge-patch+json", body: `{"metadata":{"annotations":{"example.com/b":"2"}}}`},
		{name: "freeze", method: "PATCH", path: secrets + "/a", content: merging, body: `{"immutable":true}`},
		{name: "change what is frozen", method: "PATCH", path: secrets + "/a", content: merging, body: `{"data":{"k":"eQ=="}}`},
		{name: "thaw", method: "PATCH", path: secrets + "/a", content: merging, body: `{"immutable":null}`},
		{name: "annotate what is frozen", method: "PATCH", path: secrets + "/a", content: merging, body: `{"metadata":{"annotations":{"example.com/c":"3"}}}`},

		{name: "create a deployment", method: "POST", path: deployments, content: "application/json", body: deployment},
		{name: "restart", method: "PATCH", path: deployments + "/web", content: merging, body: `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:05Z"}}}}}`},
		{name: "annotate a deployment", method: "PATCH", path: deployments + "/web", content: merging, body: `{"metadata":{"annotations":{"example.com/a":"1"}}}`},
		{name: "write a status that does not count", method: "PATCH", path: deployments + "/web", content: merging, body: `{"status":{"replicas":7}}`},
		{name: "another selector", method: "PATCH", path: deployments + "/web", content: merging, body: `{"spec":{"selector":{"matchLabels":{"app":"api"}}}}`, vague: true},
		{name: "deployment at an old version", method: "PATCH", path: deployments + "/web", content: merging, body: `{"metadata":{"resourceVersion":"1"}}`},

		{name: "create a job", method: "POST", path: jobs, content: "application/json", body: `{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"sync"},"spec":{"suspend":true,"template":` + job + `}}`},
		{name: "create a job again", method: "POST", path: jobs, content: "application/json", body: `{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"sync"},"spec":{"suspend":true,"template":` + job + `}}`},
		{name: "a job that always restarts", method: "POST", path: jobs, content: "application/json", body: `{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"bad"},"spec":{"template":` + strings.Replace(job, "Never", "Always", 1) + `}}`, vague: true},
		{name: "create a cron job", method: "POST", path: "/apis/batch/v1/namespaces/NS/cronjobs", content: "application/json", body: `{"kind":"CronJob","apiVersion":"batch/v1","metadata":{"name":"sync"},"spec":{"schedule":"0 3 * * *","jobTemplate":{"spec":{"template":` + job + `}}}}`},

		{name: "log of no pod", method: "GET", path: "/api/v1/namespaces/NS/pods/p/log"},
		{name: "proxy to no service", method: "GET", path: "/api/v1/namespaces/NS/services/prometheus:9090/proxy/", vague: true},
		{name: "the older of two", method: "DELETE", path: secrets + "/a", content: "application/json", body: `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"11111111-1111-4111-8111-111111111111"}}`, vague: true},
		{name: "delete", method: "DELETE", path: secrets + "/a"},
		{name: "gone", method: "GET", path: secrets + "/a"},
		{name: "delete a deployment", method: "DELETE", path: deployments + "/web", content: "application/json", body: `{"propagationPolicy":"Background"}`},
	}
}

var uids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// paths lists the fields of an answer and their types.
func paths(v any, at string, out map[string]string) {
	switch v := v.(type) {
	case object:
		for k, x := range v {
			paths(x, at+"."+k, out)
		}
	case []any:
		for _, x := range v {
			paths(x, at+"[]", out)
		}
	default:
		out[at] = fmt.Sprintf("%T", v)
	}
}

// TestReal sends the same requests to the emulation and to a real API server.
func TestReal(t *testing.T) {
	admin, rotator := reals(t)
	namespace := "emulate-" + strings.ToLower(rand.Text()[:8])
	if got := admin.say("POST", "/api/v1/namespaces", "application/json", `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"`+namespace+`"}}`); got.code != 201 {
		t.Fatal(got.text)
	}
	t.Cleanup(func() { admin.say("DELETE", "/api/v1/namespaces/"+namespace, "", "") })
	s := New()
	s.AddNamespace(namespace)
	s.AddToken("boss", "admin", Everything)
	s.AddToken("nothing", "rotator")
	ours, powerless := emulated(t, s, "boss"), emulated(t, s, "nothing")
	for _, x := range exchanges() {
		t.Run(x.name, func(t *testing.T) {
			a, b := admin, ours
			switch x.who {
			case "rotator":
				a, b = rotator, powerless
			case "nobody":
				a.token, b.token = "", ""
			case "wrong":
				a.token, b.token = "wrong", "wrong"
			}
			a.t, b.t = t, t
			fill := func(s string) string { return strings.ReplaceAll(s, "NS", namespace) }
			compare(t, x, a.say(x.method, fill(x.path), x.content, fill(x.body)), b.say(x.method, fill(x.path), x.content, fill(x.body)))
		})
	}
}

func compare(t *testing.T, x exchange, real, got reply) {
	t.Helper()
	if real.code != got.code {
		t.Fatalf("code %d, really %d\n%s\n%s", got.code, real.code, got.text, real.text)
	}
	kind := func(r reply) string { k, _, _ := strings.Cut(r.kind, ";"); return k }
	if kind(real) != kind(got) {
		t.Errorf("Content-Type %q, really %q", got.kind, real.kind)
	}
	if (real.body == nil) != (got.body == nil) {
		t.Fatalf("%s\nreally\n%s", got.text, real.text)
	}
	if real.body == nil {
		if strings.TrimSpace(real.text) != strings.TrimSpace(got.text) {
			t.Errorf("%q, really %q", got.text, real.text)
		}
		return
	}
	for _, key := range []string{"kind", "apiVersion", "status", "reason", "code", "type", "data", "immutable"} {
		if key == "status" && real.body["kind"] != "Status" {
			continue
		}
		if !same(real.body[key], got.body[key]) {
			t.Errorf("%s %v, really %v", key, got.body[key], real.body[key])
		}
	}
	if real.body["kind"] == "Status" {
		if x.vague {
			return
		}
		for _, key := range []string{"message", "details"} {
			want, have := uids.ReplaceAllString(string(encode(real.body[key])), "UID"), uids.ReplaceAllString(string(encode(got.body[key])), "UID")
			if want != have {
				t.Errorf("%s\n%sreally\n%s", key, have, want)
			}
		}
		return
	}
	if !same(dig(real.body, "metadata", "generation"), dig(got.body, "metadata", "generation")) {
		t.Errorf("generation %v, really %v", dig(got.body, "metadata", "generation"), dig(real.body, "metadata", "generation"))
	}
	want, have := map[string]string{}, map[string]string{}
	paths(real.body, "", want)
	paths(got.body, "", have)
	for _, path := range slices.Sorted(maps.Keys(have)) {
		if want[path] != have[path] {
			t.Errorf("%s is %s, really %q", path, have[path], want[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[path]; !ok && !left(path) {
			t.Logf("not emulated: %s", path)
		}
	}
}

// left are what the emulation leaves out, knowingly.
func left(path string) bool {
	return strings.Contains(path, "managedFields")
}

// TestRealRollout compares what a client sees that restarts a Deployment and waits, and that runs a Job.
func TestRealRollout(t *testing.T) {
	admin, _ := reals(t)
	namespace := "emulate-" + strings.ToLower(rand.Text()[:8])
	admin.say("POST", "/api/v1/namespaces", "application/json", `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"`+namespace+`"}}`)
	t.Cleanup(func() { admin.say("DELETE", "/api/v1/namespaces/"+namespace, "", "") })
	s := New()
	s.AddToken("boss", "admin", Everything)
	s.AddNamespace(namespace)
	ours := emulated(t, s, "boss")
	final := func(c conversation, path string, done func(object) bool) object {
		t.Helper()
		for range 400 {
			got := c.say("GET", path, "", "")
			if done(got.body) {
				return got.body
			}
			if c.server == admin.server {
				time.Sleep(50 * time.Millisecond)
			}
		}
		t.Fatalf("%s: not done: %s", path, encode(c.say("GET", path, "", "").body["status"]))
		return nil
	}
	for _, x := range []struct{ kind, resource string }{{"Deployment", "deployments"}, {"StatefulSet", "statefulsets"}, {"DaemonSet", "daemonsets"}} {
		path := "/apis/apps/v1/namespaces/" + namespace + "/" + x.resource
		o := Workload(x.kind, namespace, "web", nil)
		done := func(generation int) func(object) bool {
			return func(o object) bool {
				st := child(o, "status")
				switch want := number(o, 1, "spec", "replicas"); {
				case number(st, 0, "observedGeneration") != generation:
					return false
				case x.kind == "DaemonSet":
					return number(st, 0, "numberAvailable") > 0 && st["updatedNumberScheduled"] != nil && number(st, 0, "numberAvailable") == number(st, 0, "desiredNumberScheduled")
				case x.kind == "StatefulSet":
					return number(st, 0, "readyReplicas") == want && st["updateRevision"] == st["currentRevision"]
				default:
					return number(st, 0, "updatedReplicas") == want && number(st, 0, "availableReplicas") == want && number(st, 0, "replicas") == want
				}
			}
		}
		var ends [2]object
		for i, c := range []conversation{admin, ours} {
			if got := c.say("POST", path, "application/json", string(bytes.TrimSpace(encode(o)))); got.code != 201 {
				t.Fatal(got.text)
			}
			final(c, path+"/web", done(1))
			got := c.say("PATCH", path+"/web", merging, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:05Z"}}}}}`)
			if got.code != 200 || number(got.body, 0, "metadata", "generation") != 2 || number(got.body, 0, "status", "observedGeneration") != 1 {
				t.Fatalf("restart: %s", got.text)
			}
			ends[i] = final(c, path+"/web", done(2))
		}
		compare(t, exchange{name: x.kind}, reply{code: 200, body: ends[0]}, reply{code: 200, body: ends[1]})
	}
	path := "/apis/batch/v1/namespaces/" + namespace + "/jobs"
	var ends [2]object
	for i, c := range []conversation{admin, ours} {
		got := c.say("POST", path, "application/json", `{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"sync"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"app","image":"example/app:1"}]}}}}`)
		if got.code != 201 {
			t.Fatal(got.text)
		}
		ends[i] = final(c, path+"/sync", func(o object) bool {
			return slices.ContainsFunc(items(o, "status", "conditions"), func(c object) bool { return c["type"] == "Complete" })
		})
	}
	compare(t, exchange{name: "Job"}, reply{code: 200, body: ends[0]}, reply{code: 200, body: ends[1]})
	t.Logf("job: %s really %s", encode(ends[1]["status"]), encode(ends[0]["status"]))
}
