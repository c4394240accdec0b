//go:build e2e

package e2e

// Fly.io, emulated on a socket of this machine, and what it saw.

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/fly"
)

// deployAgent is the User-Agent by which the deploy workflow is told apart from remint.
const deployAgent = "e2e-deploy"

// flyio is a Fly.io with one organisation, and a user of it who may mint.
type flyio struct {
	*fly.Server
	t   *testing.T
	url string
	bot string // the credential that mints

	mu      sync.Mutex
	deploys []string           // names of the tokens that deploys came with, in order
	minted  []string           // texts of tokens that were seen in an Authorization header
	during  func(token string) // called before a deploy is answered
}

const flyOrg = "acme"

func newFly(t *testing.T) *flyio {
	t.Helper()
	x := &flyio{Server: fly.New(), t: t}
	x.AddOrg(flyOrg, "web")
	x.bot = x.AddUser("bot@example.com", flyOrg)
	s := httptest.NewServer(x) // on 127.0.0.1
	t.Cleanup(s.Close)
	x.url = s.URL
	return x
}

// ServeHTTP notes who asks with what, and answers.
func (x *flyio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text := r.Header.Get("Authorization")
	row, known := x.Which(text)
	x.mu.Lock()
	if known && !slices.Contains(x.minted, text) {
		x.minted = append(x.minted, text)
	}
	var during func(string)
	if strings.HasPrefix(r.Header.Get("User-Agent"), deployAgent) {
		name := row.Name
		if !known {
			name = "(no token)"
		}
		x.deploys = append(x.deploys, name)
		during = x.during
	}
	x.mu.Unlock()
	if during != nil {
		during(row.Name)
	}
	x.Server.ServeHTTP(w, r)
}

// onDeploy calls f, with the name of the deploy's token, before a deploy is answered; nil: nothing.
func (x *flyio) onDeploy(f func(token string)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.during = f
}

// deployed returns the names of the tokens that deploys came with so far.
func (x *flyio) deployed() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.deploys)
}

// texts returns the texts of all tokens that anybody used.
func (x *flyio) texts() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.minted)
}

// row is a token as Fly.io keeps it.
type row = fly.Row

// byHand makes a token as a person would, so old that remint replaces it (it mints for 90 days and replaces after 75).
func (x *flyio) byHand(name string) (fly.Row, string) {
	return x.AddToken(fly.Row{Name: name, Org: flyOrg, Created: time.Now().Add(-80 * 24 * time.Hour), Expires: time.Now().Add(10 * 24 * time.Hour)})
}

// live returns the tokens that are not revoked, oldest first.
func (x *flyio) live() []fly.Row {
	return slices.DeleteFunc(x.Tokens(), func(r fly.Row) bool { return !r.Revoked.IsZero() })
}

func names(rows []fly.Row) []string {
	all := []string{}
	for _, r := range rows {
		all = append(all, r.Name)
	}
	return all
}

// onlyLive makes sure that exactly these tokens are alive, in any order.
func (x *flyio) onlyLive(want ...string) {
	x.t.Helper()
	got := names(x.live())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		x.t.Errorf("alive are %q, want %q", got, want)
	}
}

// since returns what was served after an earlier look at Served.
func (x *flyio) since(before map[string]int) map[string]int {
	n := x.Served()
	for op, was := range before {
		if n[op] -= was; n[op] == 0 {
			delete(n, op)
		}
	}
	return n
}
