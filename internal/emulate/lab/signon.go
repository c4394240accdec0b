package lab

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate/kube"
	gov "github.com/remint-dev/remint/internal/emulate/signon"
	"github.com/remint-dev/remint/pkg/providers/signon"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/signonsync"
)

// This file plays Signon in a cluster. The wire of a rehearsal carries no streams, so the script is run as a Job also
// where the configuration says exec; the pod that it would run in is there for a process that brings streams.

// signonMint is the emulated Signon, as one provider of the configuration sees it.
type signonMint struct {
	*gov.Server
	p *signon.Provider
}

// fitSignon makes the API user, the application and the CronJobs.
func (l *Lab) fitSignon(p *signon.Provider) mint {
	k := l.clusterOf(p.Cluster)
	m := &signonMint{p: p}
	for _, r := range l.rotations {
		if other, ok := r.mint.(*signonMint); ok && other.p.URL == p.URL {
			m.Server = other.Server
		}
	}
	namespace := p.Cluster.Scope(p.Namespace)
	if m.Server == nil {
		m.Server = gov.New()
		k.runScript(m.Server)
	}
	person, _, _ := strings.Cut(p.User, "@")
	m.AddUser(p.User, strings.ReplaceAll(person, "-", " "))
	id, secret := m.AddApplication(p.Application)
	k.AddSecret(namespace, "signon-app-"+p.Application, map[string]string{"oauth_id": id, "oauth_secret": secret})
	p.Via, p.Interval = "job", interval
	p.CronJob = cmp.Or(p.CronJob, "signon-auto-rotate-internal-tokens")
	k.Add("cronjobs", task(namespace, p.CronJob))
	itself := kube.Workload("Deployment", namespace, cmp.Or(p.Deployment, "signon"), nil)
	template := itself["spec"].(map[string]any)["template"].(map[string]any)
	template["spec"] = map[string]any{"containers": []any{map[string]any{"name": cmp.Or(p.Container, "app"), "image": "signon"}}}
	k.Add("deployments", itself)
	p.Transport = l.wire(m.Server, func(r *http.Request, body []byte) http.HandlerFunc {
		l.mu.Lock()
		refused := l.unproven
		l.mu.Unlock()
		text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !refused || !l.newborn(m, text) {
			return nil
		}
		return refusal(http.StatusUnauthorized, "")
	})
	return m
}

// task is a CronJob of Signon's.
func task(namespace, name string) map[string]any {
	return map[string]any{"metadata": map[string]any{"namespace": namespace, "name": name}, "spec": map[string]any{"schedule": "0 1 * * *", "suspend": true,
		"jobTemplate": map[string]any{"spec": map[string]any{"backoffLimit": int64(0), "template": map[string]any{"spec": map[string]any{"restartPolicy": "Never",
			"containers": []any{map[string]any{"name": "cron-task", "image": "signon", "command": []any{"rake"}}}}}}}}}
}

// runScript makes Jobs that were made to run remint's script run it, each once, and pods that are told to.
func (k *kubernetes) runScript(s *gov.Server) {
	var mu sync.Mutex
	logs := map[string]string{}
	output, exit := k.Output, k.Exit
	k.Exec = func(_ kube.Pod, _ string, _ []string, input []byte) string {
		_, request, _ := bytes.Cut(input, []byte("\n")) // the first line is the script
		return s.Run(bytes.TrimSuffix(request, []byte("\n")))
	}
	request := func(p kube.Pod) (string, bool) {
		for _, env := range p.Env {
			if text, ok := env["REMINT_REQUEST"]; ok {
				return text, true
			}
		}
		return "", false
	}
	k.Output = func(p kube.Pod, container string) string {
		text, ok := request(p)
		if !ok {
			return output(p, container)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, ran := logs[p.Name]; !ran {
			line, _ := base64.StdEncoding.DecodeString(text)
			logs[p.Name] = s.Run(line)
		}
		return logs[p.Name]
	}
	k.Exit = func(p kube.Pod) int {
		if _, ok := request(p); ok || p.Kind == "Job" && k.of(p) == nil {
			return 0
		}
		return exit(p)
	}
}

func (m *signonMint) past(name string, born time.Time) rotate.Credential {
	row, text := m.AddToken(gov.Row{Name: name, User: m.p.User, Application: m.p.Application, Created: born})
	return rotate.Credential{Token: signonToken(row), Secret: rotate.NewSecret(text)}
}

func (m *signonMint) whose(text string) (rotate.Token, bool, bool) {
	row, live, ok := m.Which(text)
	return signonToken(row), live, ok
}

func (m *signonMint) tokens() []rotate.Token {
	var live []rotate.Token
	for _, row := range m.Tokens() {
		if row.User == m.p.User && row.Application == m.p.Application && row.Revoked.IsZero() && time.Now().Before(row.Expires) {
			live = append(live, signonToken(row))
		}
	}
	return live
}

func (m *signonMint) fail(step string) {
	switch step {
	case "mint":
		m.Break("mint", gov.Failure{Kind: "denied"})
	case "mint-lost":
		m.Break("mint", gov.Failure{After: true})
	case "revoke":
		m.Break("revoke", gov.Failure{Kind: "denied"})
	}
}

func signonToken(r gov.Row) rotate.Token {
	return rotate.Token{ID: strconv.Itoa(r.ID), Name: r.Name, Created: r.Created, Expires: r.Expires}
}

// fitSignonSync makes the sync Job copy what Signon says into Secrets. The rotation's provider must be Signon.
func (l *Lab) fitSignonSync(r *rotation, s *signonsync.Sync) *sink {
	k := l.clusterOf(s.Cluster)
	namespace := s.Cluster.Scope(s.Namespace)
	m, ok := r.mint.(*signonMint)
	if !ok || s.Beside(r.Provider) != nil {
		return nil
	}
	s.Interval, s.Timeout = interval, patience
	s.CronJob = cmp.Or(s.CronJob, "signon-sync-token-secrets-to-k8s")
	k.Add("cronjobs", task(namespace, s.CronJob))
	copies := func() {
		for name, value := range m.Sync() {
			k.AddSecret(namespace, name, map[string]string{"bearer_token": value})
		}
	}
	refused := false
	s.Cluster.Transport = after{s.Cluster.Transport, func(q *http.Request, body []byte) {
		if !refused && q.Method == http.MethodPost && strings.HasSuffix(q.URL.Path, "/namespaces/"+namespace+"/jobs") && bytes.Contains(body, []byte(`"`+s.CronJob+`"`)) {
			copies()
		}
	}}
	if s.Secret == "" { // else rollouts would look for another
		s.Secret = m.SecretName(m.p.User, m.p.Application)
	}
	return &sink{
		stored: &stored{k, namespace, s.Secret, "bearer_token"},
		look:   func() string { text, _ := k.Secret(namespace, s.Secret, "bearer_token"); return text },
		hold:   func(rotate.Credential, bool) error { copies(); return nil },
		refuse: func() { refused = true },
	}
}

// after tells somebody of each request that was answered.
type after struct {
	next http.RoundTripper
	tell func(r *http.Request, body []byte)
}

// RoundTrip implements [http.RoundTripper].
func (a after) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := a.next.RoundTrip(r)
	if err == nil && resp.StatusCode < 300 {
		a.tell(r, body)
	}
	return resp, err
}
