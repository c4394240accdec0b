package cloudflare

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	emulated "github.com/remint-dev/remint/internal/emulate/cloudflare"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	account = "023e105f4ecef8ad9ca31a8372d0c353"
	zone    = "com.cloudflare.api.account.zone.eb78d65290b24279ba6f44721b3ea3c4"
	key     = "minting-credential-of-the-tests-0123456789"
)

// world is an emulated Cloudflare with a minting credential of a user.
type world struct {
	*emulated.Server
	t *testing.T
}

func newWorld(t *testing.T) *world {
	w := &world{emulated.New(), t}
	w.AddGroups()
	w.AddCredential(key, "")
	return w
}

// provider mints tokens of the user.
func (w *world) provider() *Provider {
	return &Provider{
		Policies: []Policy{{Permissions: []string{"DNS Write", "c8fed203ed3043cba015a93ad1616f1f"}, Resources: []string{zone}}}, IPs: []string{"192.0.2.1"}, Expiry: 90 * rotate.Tick,
		Token: rotate.NewSecret(key), Interval: time.Millisecond, Transport: &emulate.Wire{Route: func(string) http.Handler { return w.Server }},
	}
}

// owned mints tokens of the account.
func (w *world) owned() *Provider {
	p := w.provider()
	p.Account = account
	p.Policies[0].Resources = []string{"com.cloudflare.api.account." + account + "/com.cloudflare.api.account.zone.*"}
	return p
}

// copying mints copies.
func (w *world) copying(of string) *Provider {
	p := w.provider()
	p.Policies, p.IPs, p.Copy = nil, nil, of
	return p
}

// byHand makes a token as a person does.
func (w *world) byHand(t emulated.Row) (emulated.Row, string) {
	if t.Policies == nil {
		t.Policies = []emulated.Policy{{ID: "x", Effect: "allow", Resources: map[string]any{zone: "*"},
			Groups: []emulated.PolicyGroup{{ID: "4755a26eedb94da69e1066d98aa820be", Name: "DNS Write"}, {ID: "c8fed203ed3043cba015a93ad1616f1f", Name: "Zone Read"}}}}
	}
	return w.AddToken(t)
}

// minted is a name as the engine gives.
func minted(stem string, n byte) string {
	return stem + " " + time.Now().UTC().Format("20060102T150405Z") + "-aaaaaaaabbbbb" + string('a'+n)
}

// says fails unless the error has all texts, wraps kind, and shows no credential.
func says(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %v", kind)
	}
	if !errors.Is(err, kind) {
		t.Errorf("%v; want %v", err, kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want it to say %q", err, text)
		}
	}
	if strings.Contains(err.Error(), key) {
		t.Errorf("it shows the credential: %v", err)
	}
}
