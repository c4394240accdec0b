package lab

// The steps of the manual procedure for a Fastly token that only a whole rotation shows, on the example for it.
// docs/fastly-exporter.md has the steps.

import (
	"slices"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// positions are those of the requests that have all the texts, in order.
func positions(requests []string, texts ...string) []int {
	var at []int
	for i, q := range requests {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(q, text) }) {
			at = append(at, i)
		}
	}
	return at
}

func TestProcedure(t *testing.T) {
	t.Run("step 3: the old token is deleted last of all", func(t *testing.T) {
		l, c := begin(t, govuk(t), nil)
		before := len(l.Requests())
		if res, err := c.Rotations[0].Run(t.Context(), rotate.Options{}); res.Outcome != rotate.Rotated {
			t.Fatalf("%s: %v", res.Outcome, err)
		}
		did := l.Requests()[before:]
		gone := positions(did, "DELETE", "api.fastly.com")
		if len(gone) != 1 {
			t.Fatalf("%d deletions:%s", len(gone), lines(did))
		}
		for _, earlier := range [][]string{{"POST", "/automation-tokens"}, {"PutSecretValue"}, {"PATCH", "externalsecrets"}, {"PATCH", "deployments"}, {"/api/v1/query"}} {
			at := positions(did, earlier...)
			if len(at) == 0 || at[len(at)-1] > gone[0] {
				t.Errorf("%q came at %v, the deletion at %d:%s", earlier, at, gone[0], lines(did))
			}
		}
	})
	t.Run("step 9: a lost answer costs one create and touches no consumer", func(t *testing.T) {
		l, c := begin(t, govuk(t), nil)
		if err := l.Fail("mint-lost"); err != nil {
			t.Fatal(err)
		}
		r := c.Rotations[0]
		before := len(l.Requests())
		if _, err := r.Run(t.Context(), rotate.Options{}); err == nil {
			t.Error("a token whose secret nobody knows is no success")
		}
		works(t, l)
		did := l.Requests()[before:]
		if at := positions(did, "POST", "/automation-tokens"); len(at) != 1 {
			t.Errorf("%d creates:%s", len(at), lines(did))
		}
		if at := positions(did, "PATCH"); len(at) > 0 {
			t.Errorf("consumers were touched:%s", lines(did))
		}
	})
	t.Run("step 13: sync and restart are repeated, then the old token is put back", func(t *testing.T) {
		l, c := begin(t, govuk(t), nil)
		if err := l.Fail("verify:3"); err != nil { // the proof in the metrics
			t.Fatal(err)
		}
		r := c.Rotations[0]
		before := len(l.Requests())
		if res, err := r.Run(t.Context(), rotate.Options{}); res.Outcome != rotate.Restored || err == nil {
			t.Fatalf("%s: %v", res.Outcome, err)
		}
		did := l.Requests()[before:]
		for _, what := range []string{"externalsecrets", "deployments"} {
			if at := positions(did, "PATCH", what); len(at) != r.Attempts+1 { // and once with what was put back
				t.Errorf("%d times %s, want %d:%s", len(at), what, r.Attempts+1, lines(did))
			}
		}
	})
	t.Run("step 14: without a proof the old token stays, and the new one goes", func(t *testing.T) {
		l, c := begin(t, govuk(t), nil)
		if err := l.Fail("verify:4"); err != nil {
			t.Fatal(err)
		}
		r := c.Rotations[0]
		if res, _ := r.Run(t.Context(), rotate.Options{}); res.Outcome != rotate.Restored {
			t.Fatal(res.Outcome)
		}
		works(t, l)
		for _, token := range l.Tokens() {
			if _, ours := rotate.Minted(token); ours {
				t.Errorf("%s is alive", token.Name)
			}
		}
		if n := len(l.Tokens()); n < len(c.Rotations) {
			t.Errorf("%d tokens are alive, want the old ones of %d environments", n, len(c.Rotations))
		}
	})
}

// purger is the procedure's sibling: one token that may only purge three services and never expires, in the parameters
// of three accounts. It is replaced when somebody says so.
const purger = `rotations:
  - name: emergency purge
    provider: {fastly: {role: engineer, scope: [purge_all, purge_select], services: {name: [www, assets, api]}, expiry: never}}
    every: 3650d
    sinks:
      - aws-parameter-store: {name: fastly-api-key, region: eu-west-1, account: "111111111111", role: "arn:aws:iam::111111111111:role/remint"}
      - aws-parameter-store: {name: fastly-api-key, region: eu-west-1, account: "222222222222", role: "arn:aws:iam::222222222222:role/remint"}
      - aws-parameter-store: {name: fastly-api-key, region: eu-west-1, account: "333333333333", role: "arn:aws:iam::333333333333:role/remint"}
    verify: [{http: {url: "https://app.example/health"}}]
`

func TestPurger(t *testing.T) {
	t.Run("sibling: one token in three accounts is replaced as one", func(t *testing.T) {
		l, c := begin(t, purger, nil)
		if res, err := c.Rotations[0].Run(t.Context(), rotate.Options{Force: true}); res.Outcome != rotate.Rotated {
			t.Fatalf("%s: %v", res.Outcome, err)
		}
		works(t, l)
		for at, tokens := range held(l) {
			if !slices.Equal(tokens, []string{"newborn"}) {
				t.Errorf("%s holds %s", at, tokens)
			}
		}
		if n := len(held(l)); n != 3 {
			t.Errorf("%d places", n)
		}
	})
	t.Run("sibling: an account that cannot be written to is named, and no consumer is harmed", func(t *testing.T) {
		l, c := begin(t, purger, nil)
		if err := l.Fail("write:2"); err != nil {
			t.Fatal(err)
		}
		res, err := c.Rotations[0].Run(t.Context(), rotate.Options{Force: true})
		if err == nil || !strings.Contains(err.Error(), c.Rotations[0].Sinks[1].String()) {
			t.Errorf("%s: %v; want it to name %s", res.Outcome, err, c.Rotations[0].Sinks[1])
		}
		works(t, l)
	})
}
