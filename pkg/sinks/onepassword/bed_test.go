package onepassword

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/connect"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	ref      = "op://blumeops/fly.io admin/add more/deploy-token"
	token    = "eyJhbGciOiJFUzI1NiJ9.connect-token-of-the-test.c2lnbmF0dXJl"
	password = "the-password-of-somebody"
	marker   = "deploy-token remint"
)

// bed is an emulated Connect server with the item of a person, and the wire to it.
type bed struct {
	*connect.Server
	wire *emulate.Wire
}

func newBed() *bed {
	b := &bed{Server: connect.New()}
	b.wire = &emulate.Wire{Route: func(host string) http.Handler {
		if host == "connect.example" {
			return b.Server
		}
		return nil
	}}
	b.AddToken(connect.Token{Value: token})
	b.AddVault("blumeops")
	b.AddItem("blumeops", connect.Item{
		Title: "fly.io admin", Category: "LOGIN", Tags: []string{"ci"},
		Sections: []connect.Section{{ID: "add more"}, {ID: "sekt2", Label: "Old ones"}},
		Fields: []connect.Field{
			{ID: "username", Purpose: "USERNAME", Label: "username", Value: "admin"},
			{ID: "password", Purpose: "PASSWORD", Label: "password", Type: "CONCEALED", Value: password},
			{ID: "notesPlain", Purpose: "NOTES", Label: "notesPlain"},
			{ID: "f1", Section: "add more", Label: "deploy-token", Type: "CONCEALED", Value: "old"},
			{ID: "f2", Section: "sekt2", Label: "read-token", Type: "CONCEALED", Value: "other"},
		},
	})
	return b
}

// sink returns the sink as a fresh process has it.
func (b *bed) sink(change ...func(*Field)) *Field {
	f := &Field{Reference: ref, Host: "https://connect.example", Token: rotate.NewSecret(token), Transport: b.wire, Interval: time.Millisecond}
	for _, c := range change {
		c(f)
	}
	return f
}

func refers(text string) func(*Field) { return func(f *Field) { f.Reference = text } }

func (b *bed) value(label string) string {
	v, _ := b.Value("blumeops", "fly.io admin", label)
	return v
}

func (b *bed) set(label, value string) { b.SetValue("blumeops", "fly.io admin", label, value) }

func credential(id string) rotate.Credential {
	born := map[string]int{"a": 1, "b": 2, "c": 3}[id]
	return rotate.Credential{Token: rotate.Token{ID: id, Name: "web " + id, Created: time.Date(2026, 1, born, 0, 0, 0, 0, time.UTC)}, Secret: rotate.NewSecret("FlyV1 secret-of-" + id)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// took returns the operations of a call.
func (b *bed) took(t *testing.T, do func() error) string {
	t.Helper()
	n := len(b.Operations())
	must(t, do())
	return strings.Join(b.Operations()[n:], " ")
}

// rival calls act just before the service sees the first request of a method.
func (b *bed) rival(method string, act func()) {
	b.wire.Before = func(r *http.Request) error {
		if r.Method == method && act != nil {
			act()
			act = nil
		}
		return nil
	}
}

func held(t *testing.T, f *Field) rotate.Holding {
	t.Helper()
	h, err := f.Held(context.Background())
	must(t, err)
	return h
}
