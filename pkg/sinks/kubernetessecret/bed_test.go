package kubernetessecret

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// bed is an emulated cluster with one Secret, web in namespace apps.
type bed struct{ *kube.Server }

const (
	bearer   = "bearer-of-the-cluster"
	byHand   = "made-by-hand-0123456789"
	neighbor = "value-of-the-neighbour"
)

var web = kube.Rule{Verbs: []string{"get", "patch"}, Resources: []string{"secrets"}, Names: []string{"web"}, Namespaces: []string{"apps"}}

func newBed(rules ...kube.Rule) *bed {
	if rules == nil {
		rules = []kube.Rule{web}
	}
	b := &bed{kube.New()}
	b.AddToken(bearer, "rotator", rules...)
	b.AddSecret("apps", "web", map[string]string{"TOKEN": byHand, "OTHER": neighbor})
	return b
}

// sink is the sink as a new process builds it.
func (b *bed) sink(changes ...func(*Secret)) *Secret {
	s := &Secret{Secret: "web/TOKEN", Namespace: "apps", Cluster: &cluster.Cluster{
		Server: "https://kube.example", Token: rotate.NewSecret(bearer),
		Transport: &emulate.Wire{Route: func(host string) http.Handler {
			if host != "kube.example" {
				return nil
			}
			return b.Server
		}},
	}}
	for _, change := range changes {
		change(s)
	}
	return s
}

func (b *bed) holds(t *testing.T, key, want string) {
	t.Helper()
	if got, _ := b.Secret("apps", "web", key); got != want {
		t.Errorf("%s is %q, want %q", key, got, want)
	}
}

// edit changes the object past the API's rules, as somebody else would.
func (b *bed) edit(t *testing.T, change func(object map[string]any)) {
	t.Helper()
	o, ok := b.Object("secrets", "apps", "web")
	if !ok {
		t.Fatal("there is no Secret web")
	}
	change(o)
	b.Add("secrets", o)
}

func meta(o map[string]any) map[string]any { return o["metadata"].(map[string]any) }

// put sets a label, an annotation or a value.
func put(o map[string]any, field, key, value string) {
	m, _ := o[field].(map[string]any)
	if m == nil {
		m = map[string]any{}
		o[field] = m
	}
	m[key] = value
}

// since returns the requests that were made after n.
func (b *bed) since(n int) string { return strings.Join(b.Operations()[n:], ", ") }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func credential(id string, created time.Time) rotate.Credential {
	return rotate.Credential{Token: rotate.Token{ID: id, Name: "web " + id, Created: created, Expires: created.Add(90 * 24 * time.Hour)},
		Secret: rotate.NewSecret("secret-of-" + id)}
}

var (
	older = credential("1", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	newer = credential("2", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// silent looks for what no message may hold.
func silent(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{bearer, byHand, neighbor, older.Secret.Reveal(), newer.Secret.Reveal()} {
		if strings.Contains(text, secret) || strings.Contains(text, encoded(secret)) {
			t.Errorf("a secret shows: %s", text)
		}
	}
}

func hasAll(text string, words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}
