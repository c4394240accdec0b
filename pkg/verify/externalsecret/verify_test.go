package externalsecret

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

const (
	secretText = "newborn-0123456789"
	oldText    = "old-secret-9876543210"
)

var newborn = rotate.Credential{Token: rotate.Token{ID: "42", Name: "web"}, Secret: rotate.NewSecret(secretText)}

// operator plays the External Secrets Operator: it syncs delay after a change of the annotations, unless it is told
// otherwise.
type operator struct {
	delay   time.Duration
	dead    bool
	errors  int                              // syncs that fail, from the first
	serve   func(sync int) map[string]string // the Secret's data of that sync, from 1
	message string

	api    *kubetest.API
	secret kubetest.Object
	done   string // annotation of the last sync
	due    time.Time
	syncs  int
}

func (p *operator) on() func(string, kubetest.Object) {
	return func(method string, o kubetest.Object) {
		if o["kind"] != "ExternalSecret" || p.dead {
			return
		}
		notes := kubetest.Dig(o, "metadata", "annotations")
		stamp := fmt.Sprint(notes[forceKey])
		if method == "PATCH" && stamp != p.done {
			p.due = time.Now().Add(p.delay)
			p.done = stamp
			return
		}
		if method != "GET" || p.due.IsZero() || time.Now().Before(p.due) {
			return
		}
		p.due = time.Time{}
		p.syncs++
		s := kubetest.Dig(o, "status")
		if p.syncs <= p.errors {
			s["conditions"] = []any{kubetest.Object{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": p.message}}
			return
		}
		s["conditions"] = []any{kubetest.Object{"type": "Ready", "status": "True", "reason": "SecretSynced"}}
		s["refreshTime"] = time.Now().UTC().Format(time.RFC3339)
		s["syncedResourceVersion"] = "1-" + stamp
		p.write(p.serve(p.syncs))
	}
}

// write puts data into the Secret. It is called while the server is locked, or before it is asked.
func (p *operator) write(data map[string]string) {
	encoded := kubetest.Object{}
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	p.secret["data"] = encoded
}

// start returns a server with an ExternalSecret web that was synced an hour ago, and the verifier of it.
func start(t *testing.T, p *operator, spec string) *Sync {
	t.Helper()
	p.api = &kubetest.API{Versions: []string{"v1", "v1beta1"}}
	if p.serve == nil {
		p.serve = func(int) map[string]string { return map[string]string{"token": secretText, "other": "x"} }
	}
	p.api.On = p.on()
	if spec == "" {
		spec = `"refreshInterval": "1h0m0s"`
	}
	object := `{"metadata": {"name": "web"}, "spec": {` + spec + `}, "status": {"refreshTime": "` + time.Now().UTC().Format(time.RFC3339) + `",
		"syncedResourceVersion": "1-old", "conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced"}]}}`
	for _, v := range p.api.Versions {
		p.api.Put(t, "external-secrets.io/"+v, "ExternalSecret", object)
	}
	p.secret = p.api.Put(t, "v1", "Secret", `{"metadata": {"name": "web"}}`)
	p.write(map[string]string{"token": oldText, "other": "x"})
	time.Sleep(time.Hour)
	return &Sync{Name: "web", Cluster: p.api.Cluster()}
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
	}
	if err != nil {
		for _, s := range []string{secretText, oldText, base64.StdEncoding.EncodeToString([]byte(secretText)), kubetest.Token} {
			if strings.Contains(err.Error(), s) {
				t.Errorf("%q shows a secret", err)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	late := func(n int) func(int) map[string]string {
		return func(sync int) map[string]string {
			if sync < n {
				return map[string]string{"token": oldText}
			}
			return map[string]string{"token": secretText}
		}
	}
	is := func(data map[string]string) func(int) map[string]string {
		return func(int) map[string]string { return data }
	}
	for _, c := range []struct {
		name     string
		operator operator
		spec     string
		key      string
		kind     error
		failed   bool
		says     string
		syncs    int
	}{
		{name: "synced", operator: operator{delay: 5 * time.Second}, syncs: 1},
		{name: "synced, by key", operator: operator{delay: 5 * time.Second}, key: "token", syncs: 1},
		{name: "policy OnChange", spec: `"refreshPolicy": "OnChange", "refreshInterval": "0s"`, syncs: 1},
		{name: "step 11: not Ready, then Ready", operator: operator{errors: 2, message: "AccessDenied"}, syncs: 3},
		{name: "step 11: not Ready for good", operator: operator{errors: 99, message: "could not get secret: value " + secretText + "\nseen"}, failed: true, says: "SecretSyncedError: could not get secret", syncs: 3},
		{name: "step 11: the old value for a while, as AWS reads late", operator: operator{serve: late(4)}, syncs: 4},
		{name: "step 11: the old value for good", operator: operator{serve: late(9999)}, failed: true, says: "the backend serves another value", syncs: -1},
		{name: "old value stays, by key", operator: operator{serve: is(map[string]string{"token": oldText, "x": secretText})}, key: "token", failed: true, says: "key token of the Secret web does not hold", syncs: -1},
		{name: "missing key", operator: operator{serve: is(map[string]string{"api": secretText})}, key: "token", failed: true, says: `no key "token" after the sync; it has api`, syncs: -1},
		{name: "step 11: two keys of the Secret that match", operator: operator{serve: is(map[string]string{"a": secretText, "b": secretText})}, kind: rotate.ErrUnproven, says: "keys a and b", syncs: 1},
		{name: "two keys that match, one is named", operator: operator{serve: is(map[string]string{"a": secretText, "b": secretText})}, key: "b", syncs: 1},
		{name: "almost", operator: operator{serve: is(map[string]string{"a": secretText + "\n"})}, failed: true, says: "another value", syncs: -1},
		{name: "operator does not run", operator: operator{dead: true}, kind: rotate.ErrUnproven, says: "did not react", syncs: 0},
		{name: "operator is slow", operator: operator{delay: 15 * time.Second}, syncs: 1},
		{name: "step 11: CreatedOnce since the check", spec: `"refreshPolicy": "CreatedOnce"`, kind: rotate.ErrUnproven, says: "CreatedOnce", syncs: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := c.operator
				s := start(t, &p, c.spec)
				s.Key = c.key
				began := time.Now()
				judgeError(t, s.Verify(t.Context(), newborn), c.kind, c.failed, c.says)
				if c.syncs >= 0 && p.syncs != c.syncs || c.syncs < 0 && (p.syncs < 10 || p.syncs > 40) {
					t.Errorf("%d syncs, want %d", p.syncs, c.syncs)
				}
				if d := time.Since(began); d > defaultTimeout+defaultInterval {
					t.Errorf("took %s", d)
				}
				if w := s.Warnings(); len(w) > 0 {
					t.Errorf("warns %q", w)
				}
			})
		})
	}
}

// TestSecond: a sync in the very second of the one before it shows no new refreshTime; another one is forced.
func TestSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p operator
		s := start(t, &p, "")
		if err := s.Verify(t.Context(), newborn); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(t.Context(), newborn); err != nil { // in the same second
			t.Fatal(err)
		}
		if p.syncs != 3 {
			t.Errorf("%d syncs", p.syncs)
		}
		// After a restore it runs with the old credential, which the backend serves again.
		p.serve = func(int) map[string]string { return map[string]string{"token": oldText} }
		time.Sleep(time.Second)
		old := rotate.Credential{Token: rotate.Token{ID: "41"}, Secret: rotate.NewSecret(oldText)}
		if err := s.Verify(t.Context(), old); err != nil || p.syncs != 4 {
			t.Errorf("%d syncs, %v", p.syncs, err)
		}
	})
}

// TestStale: a status that is Ready and has the new value, but is older than the request, does not count.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := operator{dead: true}
		s := start(t, &p, "")
		p.write(map[string]string{"token": secretText})
		judgeError(t, s.Verify(t.Context(), newborn), rotate.ErrUnproven, false, "did not react")
	})
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		served []string
		want   string
		kind   error
	}{
		{[]string{"v1", "v1beta1"}, "v1", nil},
		{[]string{"v1beta1", "v1alpha1"}, "v1beta1", nil},
		{[]string{"v1alpha1"}, "", rotate.ErrNotFound},
		{nil, "", rotate.ErrNotFound},
	} {
		synctest.Test(t, func(t *testing.T) {
			var p operator
			s := start(t, &p, "")
			p.api.Versions = c.served
			err := s.Verify(t.Context(), newborn)
			if c.kind != nil {
				judgeError(t, err, c.kind, false, "External Secrets")
				judgeError(t, s.Check(t.Context()), c.kind, true, "External Secrets")
				return
			}
			if err != nil || len(p.api.Asked("PATCH /apis/external-secrets.io/"+c.want+"/")) != 1 || len(p.api.Asked("GET /apis/external-secrets.io?")) != 0 {
				t.Errorf("%v: %v, %q", c.served, err, p.api.Asked(""))
			}
			if err := s.Verify(t.Context(), newborn); err != nil || len(p.api.Asked("GET /apis/external-secrets.io")) > 1+len(p.api.Asked("GET /apis/external-secrets.io/")) {
				t.Errorf("asked for the version again: %v", err)
			}
		})
	}
}

func TestHindered(t *testing.T) {
	denied := emulate.Fault{Status: 403, Body: `{"kind":"Status","code":403,"message":"User \"x\" cannot get resource \"secrets\""}`, Times: -1}
	for _, c := range []struct {
		fault string
		with  emulate.Fault
		also  error
		says  string
	}{
		{"PATCH externalsecrets", denied, rotate.ErrDenied, "grant verb patch on externalsecrets"},
		{"GET secrets", denied, rotate.ErrDenied, "may not get secrets/web in namespace apps"},
		{"GET externalsecrets", emulate.Fault{Status: 404, Body: `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"NotFound","code":404,"details":{"name":"web","kind":"externalsecrets"}}`, Times: -1}, rotate.ErrNotFound, "externalsecrets/web"},
		{"GET secrets", emulate.Fault{Status: 503, Times: -1}, rotate.ErrTemporary, "secrets/web"},
		{"GET externalsecrets", emulate.Fault{Status: 200, Body: `{"apiVersion":"external-secrets.io/v1","kind":"ExternalSecret","metadata":{"name":"web"},"status":[]}`, Times: -1}, nil, "not understood"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var p operator
			s := start(t, &p, "")
			p.api.Faults.Plant(c.fault, c.with)
			err := s.Verify(t.Context(), newborn)
			judgeError(t, err, rotate.ErrUnproven, false, c.says)
			if c.also != nil && !errors.Is(err, c.also) {
				t.Errorf("got %v", err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // what heals is looked over, and a lost answer is one sync
		p := operator{delay: 4 * time.Second}
		s := start(t, &p, "")
		p.api.Faults.Plant("PATCH externalsecrets", emulate.Fault{After: true})
		p.api.Faults.Plant("GET secrets", emulate.Fault{Status: 500})
		if err := s.Verify(t.Context(), newborn); err != nil || p.syncs != 1 {
			t.Errorf("%d syncs, %v", p.syncs, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := operator{dead: true}
		s := start(t, &p, "")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		err := s.Verify(ctx, newborn)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, rotate.ErrUnproven) || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var p operator
		s := start(t, &p, "")
		judgeError(t, s.Verify(t.Context(), rotate.Credential{Token: newborn.Token}), rotate.ErrUnproven, false, "not known in this run")
		if q := p.api.Asked(""); len(q) > 0 {
			t.Errorf("asked %q", q)
		}
	})
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		spec   string
		key    string
		denied []string
		kind   error
		says   []string
	}{
		{name: "fine"},
		{name: "fine, with its key", key: "token"},
		{name: "step 11: CreatedOnce is refused", spec: `"refreshPolicy": "CreatedOnce"`, kind: rotate.ErrConfig, says: []string{"refreshPolicy is CreatedOnce"}},
		{name: "step 11: an interval of 0 is refused", spec: `"refreshPolicy": "Periodic", "refreshInterval": "0s"`, kind: rotate.ErrConfig, says: []string{`refreshInterval is "0s"`}},
		{name: "no policy, interval 0", spec: `"refreshInterval": "0"`, kind: rotate.ErrConfig, says: []string{`refreshInterval is "0"`}},
		{name: "no policy, interval below 0", spec: `"refreshInterval": "-1m"`, kind: rotate.ErrConfig, says: []string{"refreshInterval"}},
		{name: "OnChange, interval 0", spec: `"refreshPolicy": "OnChange", "refreshInterval": "0s"`},
		{name: "no interval", spec: `"secretStoreRef": {"name": "aws"}`},
		{name: "no Secret", spec: `"target": {"creationPolicy": "None"}`, kind: rotate.ErrConfig, says: []string{"creationPolicy None"}},
		{name: "immutable", spec: `"target": {"immutable": true}`, kind: rotate.ErrConfig, says: []string{"immutable"}},
		{name: "a ConfigMap", spec: `"target": {"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}`, kind: rotate.ErrConfig, says: []string{"not a Secret"}},
		{name: "missing key", key: "api-token", kind: rotate.ErrConfig, says: []string{`no key "api-token"; it has other, token`}},
		{name: "no Secret yet", spec: `"target": {"name": "later"}`, key: "token"},
		{name: "step 11: a missing right is named", denied: []string{"get externalsecrets", "patch externalsecrets", "get secrets"}, kind: rotate.ErrDenied,
			says: []string{"get externalsecrets/web in namespace apps", "patch externalsecrets/web", "get secrets/web", "grant verb"}},
		{name: "RBAC denied, and the policy", denied: []string{"patch externalsecrets", "get secrets"}, spec: `"refreshPolicy": "CreatedOnce", "target": {"name": "elsewhere"}`, kind: rotate.ErrDenied,
			says: []string{"patch externalsecrets/web", "get secrets/elsewhere", "CreatedOnce"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p operator
				s := start(t, &p, c.spec)
				s.Key = c.key
				p.api.Denied = c.denied
				err := s.Check(t.Context())
				if c.kind == nil {
					judgeError(t, err, nil, false, "")
				}
				for _, text := range c.says {
					judgeError(t, err, c.kind, true, text)
				}
				if q := p.api.Asked(http.MethodPatch); len(q) > 0 {
					t.Errorf("changed something: %q", q)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := operator{errors: 99, message: "store is down"}
		s := start(t, &p, "")
		_ = s.Verify(t.Context(), newborn)
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "not Ready even now: SecretSyncedError: store is down") {
			t.Errorf("warns %q", w)
		}
	})
	if err := (&Sync{Name: "gone", Cluster: (&kubetest.API{Versions: []string{"v1"}}).Cluster()}).Check(t.Context()); !errors.Is(err, rotate.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	cluster := (&kubetest.API{}).Cluster()
	for _, c := range []struct {
		field string
		s     *Sync
	}{
		{"name", &Sync{Cluster: cluster}},
		{"name", &Sync{Name: "../secrets", Cluster: cluster}},
		{"key", &Sync{Name: "a", Key: "a/b", Cluster: cluster}},
		{"interval", &Sync{Name: "a", Interval: -1, Cluster: cluster}},
		{"cluster", &Sync{Name: "a"}},
	} {
		err := c.s.Validate()
		var field *rotate.Error
		if !errors.As(err, &field) || field.At != c.field || !errors.Is(err, rotate.ErrConfig) {
			t.Errorf("%s: got %v", c.field, err)
		}
		if err := c.s.Verify(t.Context(), newborn); !errors.Is(err, rotate.ErrUnproven) {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	s := &Sync{Name: "web", Cluster: cluster}
	if err := s.Validate(); err != nil || s.String() != "external-secret:apps/web" || len(s.Endpoints()) != 1 {
		t.Errorf("%s, %v, %v", s, s.Endpoints(), err)
	}
}

func TestNext(t *testing.T) {
	now := time.Unix(1000, 0)
	for last, want := range map[string]string{"": "1000", "999": "1000", "1000": "1001", "1007": "1008", "true": "1000", "99999999999999999999": "1000", "9999999": "1000"} {
		if got := next(last, now); got != want {
			t.Errorf("after %q: %s, want %s", last, got, want)
		}
	}
}
