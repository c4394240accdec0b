package fastly

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	emulated "github.com/remint-dev/remint/internal/emulate/fastly"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	login    = "bot@example.com"
	password = "correct horse battery staple"
)

// world is an emulated Fastly behind a socket, with an account as the exporter's, and a wire that keeps what was sent.
type world struct {
	*emulated.Server
	t   *testing.T
	url string
	key string // the minting credential
	ids map[string]string

	mu   sync.Mutex
	sent []sent
}

// sent is a request that was sent.
type sent struct {
	line   string // method and path
	header http.Header
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: emulated.New(), t: t, ids: map[string]string{}}
	h := httptest.NewServer(w.Server)
	t.Cleanup(h.Close)
	w.url = h.URL
	w.key = w.AddUser(emulated.User{Login: login, Password: password})
	for _, name := range []string{"Integration GOV.UK", "Integration Assets", "GOV.UK App mobile backend - integration", "Staging GOV.UK", "Production GOV.UK"} {
		w.ids[name] = w.AddService(emulated.Service{Name: name})
	}
	return w
}

// RoundTrip implements [http.RoundTripper].
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent = append(w.sent, sent{r.Method + " " + r.URL.Path, r.Header.Clone()})
	w.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// lines are the requests sent so far, and forgets them.
func (w *world) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, s := range w.sent {
		out = append(out, s.line)
	}
	w.sent = nil
	return out
}

// count counts the requests that begin so.
func count(lines []string, begins string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, begins) {
			n++
		}
	}
	return n
}

// provider mints automation tokens for the services of the integration environment.
func (w *world) provider() *Provider {
	return &Provider{
		Role: "user", Scope: []string{"global:read"}, Services: Services{Contains: []string{"Integration"}}, Expiry: "90d",
		Token: rotate.NewSecret(w.key), Username: rotate.NewSecret(login), Password: rotate.NewSecret(password),
		URL: w.url, Transport: w, Interval: time.Millisecond,
	}
}

// user mints user tokens.
func (w *world) user() *Provider {
	p := w.provider()
	p.Type, p.Role = user, ""
	return p
}

// integration are the IDs of the three services meant.
func (w *world) integration() []string {
	return set([]string{w.ids["Integration GOV.UK"], w.ids["Integration Assets"], w.ids["GOV.UK App mobile backend - integration"]})
}

// live are the names of the tokens that work, the minting credential's aside.
func (w *world) live() []string {
	var out []string
	for _, r := range w.Tokens() {
		if r.Revoked.IsZero() && r.Name != "minting credential" {
			out = append(out, r.Name)
		}
	}
	return out
}

// minted is a name as the engine gives.
func minted(stem string, n byte) string {
	return stem + " " + time.Now().UTC().Format("20060102T150405Z") + "-aaaaaaaabbbbb" + string(rune(n))
}

// quiet fails if an error shows a credential.
func (w *world) quiet(err error, more ...string) {
	w.t.Helper()
	if err == nil {
		return
	}
	for _, s := range append(more, w.key, password, login) {
		if strings.Contains(err.Error(), s) {
			w.t.Errorf("the error shows a credential: %v", err)
		}
	}
}

// has fails unless the texts are in one of the lines.
func has(t *testing.T, lines []string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, text) }) {
			t.Errorf("nothing says %q:\n%s", text, strings.Join(lines, "\n"))
		}
	}
}

// says fails unless the error has all texts and wraps kind.
func says(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %v", kind)
	}
	if kind != nil && !isKind(err, kind) {
		t.Errorf("%v; want %v", err, kind)
	}
	has(t, []string{err.Error()}, texts...)
}
