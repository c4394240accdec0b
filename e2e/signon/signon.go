// Package signon is a Signon for tests: Doorkeeper, ActiveRecord and SQLite as Debian ships them (install.sh), with the
// models of Signon that matter (app.rb), its OAuth endpoints on loopback, and its rails program. Tests that use it are
// skipped unless REMINT_SIGNON is set.
package signon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The pair that every Signon has, with one live token made by hand.
const (
	User        = "short-url-manager@alphagov.co.uk"
	Application = "publishing-api"
	Secret      = "signon-token-short-url-manager-publishing-api"
)

// Signon is one, with a database of its own.
type Signon struct {
	URL   string // of the OAuth endpoints
	Rails string // its rails program
	ID    string // OAuth credentials of the application
	Key   string

	t   *testing.T
	mu  sync.Mutex
	in  io.Writer // of the process that stays
	out *bufio.Reader
}

// New makes a Signon, or skips the test.
func New(t *testing.T) *Signon {
	t.Helper()
	if os.Getenv("REMINT_SIGNON") == "" {
		t.Skip("REMINT_SIGNON is not set")
	}
	_, here, _, _ := runtime.Caller(0)
	folder := t.TempDir()
	s := &Signon{Rails: filepath.Join(folder, "rails"), t: t}
	// A program that is run in a played pod has none of our environment.
	wrapper := fmt.Sprintf("#!/bin/sh\nSIGNON_DIR=%s exec ruby %s \"$@\"\n", folder, filepath.Join(filepath.Dir(here), "rails"))
	if err := os.WriteFile(s.Rails, []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(s.Run(seed), " ")
	s.ID, s.Key = lines[0], lines[1]
	s.serve()
	return s
}

const seed = `
user = ApiUser.create!(name: "Short URL Manager", email: "short-url-manager@alphagov.co.uk", uid: "u-1")
User.create!(name: "A Person", email: "person@alphagov.co.uk", uid: "u-2")
ApiUser.create!(name: "Suspended", email: "suspended@alphagov.co.uk", uid: "u-3", suspended_at: Time.now)
other = ApiUser.create!(name: "Other", email: "other@alphagov.co.uk", uid: "u-4")
make = ->(name, **rest) { Doorkeeper::Application.create!(name: name, redirect_uri: "https://app.example/back", **rest) }
app = make.call("Publishing API")
make.call("Router API")
make.call("Old API", retired: true)
make.call("Twice API"); make.call("Twice (API)")
[user, other].each do |u|
  made = u.authorisations.create!(application_id: app.id, expires_in: ApiUser::DEFAULT_TOKEN_LIFE, created_at: 700.days.ago)
  u.grant_application_signin_permission(made.application)
end
puts "RESULT #{app.uid} #{app.secret}"
`

// Run evaluates Ruby in Signon and returns what stands after RESULT in what it printed.
func (s *Signon) Run(code string) string {
	s.t.Helper()
	out, err := s.Eval(code)
	if err != nil || strings.HasPrefix(out, "FAILED ") {
		s.t.Fatalf("in Signon: %v %s", err, out)
	}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "RESULT "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// Eval evaluates Ruby in a process that stays, which is faster than to start Rails each time, and returns all that it
// printed.
func (s *Signon) Eval(code string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		c := exec.Command(s.Rails, "session")
		in, err := c.StdinPipe()
		if err != nil {
			return "", err
		}
		out, err := c.StdoutPipe()
		if err != nil {
			return "", err
		}
		if err := c.Start(); err != nil {
			return "", err
		}
		s.t.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
		s.in, s.out = in, bufio.NewReader(out)
	}
	if _, err := fmt.Fprintln(s.in, base64.StdEncoding.EncodeToString([]byte(code))); err != nil {
		return "", err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	return string(text), err
}

// serve starts the OAuth endpoints.
func (s *Signon) serve() {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	c := exec.Command(s.Rails, "serve", port)
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	s.URL = "http://127.0.0.1:" + port
	for range 600 { // Rails on a busy machine
		if resp, err := http.Get(s.URL + "/user.json"); err == nil {
			_ = resp.Body.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatal("Signon's OAuth endpoints do not answer")
}

// Renew is the nightly renewal.
func (s *Signon) Renew() {
	s.t.Helper()
	if out, err := exec.Command(s.Rails, "renew").CombinedOutput(); err != nil {
		s.t.Fatalf("rails renew: %v\n%s", err, out)
	}
}

// Sync returns what the sync Job writes now, by Secret.
func (s *Signon) Sync() (map[string]string, error) {
	out, err := exec.Command(s.Rails, "sync").Output()
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	return values, json.Unmarshal(bytes.TrimSpace(out), &values)
}

// Kube is a namespace on a real API server whose pods kwok plays: programs that are run in them run on this machine.
type Kube struct {
	Cluster *cluster.Cluster // of an administrator
	t       *testing.T
	ns      string
}

// Deploy puts this Signon into a cluster that REMINT_KUBE_SERVER, REMINT_KUBE_CA and REMINT_KUBE_TOKEN name, or skips.
func (s *Signon) Deploy() *Kube {
	t := s.t
	t.Helper()
	of := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Skip(name + " is not set")
		}
		return v
	}
	ns := fmt.Sprintf("signon-%d", time.Now().UnixNano())
	k := &Kube{&cluster.Cluster{Server: of("REMINT_KUBE_SERVER"), CA: of("REMINT_KUBE_CA"), Token: rotate.NewSecret(of("REMINT_KUBE_TOKEN")), Namespace: ns}, t, ns}
	k.Do(http.MethodPost, "/api/v1/namespaces", `{"metadata": {"name": "NS"}}`)
	t.Cleanup(func() {
		_, _ = k.Cluster.Raw(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+ns, nil, nil, "")
	})
	k.Do(http.MethodPost, "/apis/apps/v1/namespaces/NS/deployments", `{"metadata": {"name": "signon"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "signon"}},
		"template": {"metadata": {"labels": {"app": "signon"}}, "spec": {"containers": [{"name": "app", "image": "signon"}]}}}}`)
	k.Do(http.MethodPost, "/apis/batch/v1/namespaces/NS/cronjobs", `{"metadata": {"name": "signon-sync-token-secrets-to-k8s"}, "spec": {"schedule": "9 1 * * *", "suspend": true,
		"jobTemplate": {"spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"fake-ready": "no"}}, "spec": {"restartPolicy": "Never",
		"containers": [{"name": "cron-task", "image": "signon", "command": ["rake"], "args": ["kubernetes:sync_token_secrets"]}]}}}}}}`)
	app, _ := json.Marshal(map[string]any{"metadata": map[string]any{"name": "signon-app-" + Application}, "stringData": map[string]string{"oauth_id": s.ID, "oauth_secret": s.Key}})
	k.Do(http.MethodPost, "/api/v1/namespaces/NS/secrets", string(app))
	for range 300 {
		o := k.Do(http.MethodGet, "/apis/apps/v1/namespaces/NS/deployments/signon", "")
		if status, _ := o["status"].(map[string]any); status["readyReplicas"] == float64(1) {
			return k
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the pod of Signon does not become ready")
	return nil
}

// Do sends a request that must succeed; NS in the path and the body stands for the namespace.
func (k *Kube) Do(method, path, body string) map[string]any {
	k.t.Helper()
	o, err := k.try(method, path, body)
	if err != nil {
		k.t.Fatalf("%s %s: %v", method, path, err)
	}
	return o
}

func (k *Kube) try(method, path, body string) (map[string]any, error) {
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	text, err := k.Cluster.Raw(context.Background(), method, strings.ReplaceAll(path, "NS", k.ns), nil, []byte(strings.ReplaceAll(body, "NS", k.ns)), kind)
	if err != nil {
		return nil, k.Cluster.Fault(err, strings.ToLower(method), path, "", "")
	}
	var o map[string]any
	return o, json.Unmarshal(text, &o)
}

// PlaySync plays the controller's part of the sync Job, whose pods kwok leaves pending: it writes the Secrets as Signon
// does and ends the pod. fail tells for each Job, counted from 0, whether it fails and changes nothing.
func (k *Kube) PlaySync(s *Signon, fail func(nth int) bool) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	k.t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		seen := map[string]bool{}
		for ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond)
			list, err := k.try(http.MethodGet, "/api/v1/namespaces/NS/pods", "")
			if err != nil {
				continue
			}
			items, _ := list["items"].([]any)
			for _, item := range items {
				meta, _ := item.(map[string]any)["metadata"].(map[string]any)
				labels, _ := meta["labels"].(map[string]any)
				name, _ := meta["name"].(string)
				if labels["job-name"] == nil || seen[name] {
					continue
				}
				phase := "Failed"
				if fail == nil || !fail(len(seen)) {
					phase = "Succeeded"
					k.write(s)
				}
				seen[name] = true
				_, err := k.try(http.MethodPatch, "/api/v1/namespaces/NS/pods/"+name+"/status", `{"status": {"phase": "`+phase+`"}}`)
				if err != nil {
					k.t.Errorf("the pod of a Job cannot be ended: %v", err)
				}
			}
		}
	}()
}

// write writes all Secrets by server-side apply, with the line breaks in base64 that Signon sends.
func (k *Kube) write(s *Signon) {
	values, err := s.Sync()
	if err != nil {
		k.t.Errorf("rails sync: %v", err)
	}
	for name, value := range values {
		text, _ := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name},
			"data": map[string]string{"bearer_token": base64.StdEncoding.EncodeToString([]byte(value)) + "\n"}})
		_, err := k.Cluster.Raw(context.Background(), http.MethodPatch, "/api/v1/namespaces/"+k.ns+"/secrets/"+name,
			url.Values{"fieldManager": {"signon"}, "force": {"true"}}, text, "application/apply-patch+yaml")
		if err != nil {
			k.t.Errorf("the Secret %s cannot be written: %v", name, k.Cluster.Fault(err, "patch", "secrets", k.ns, name))
		}
	}
}

// Sync writes the Secrets now, as the nightly Job does.
func (k *Kube) Sync(s *Signon) { k.write(s) }
