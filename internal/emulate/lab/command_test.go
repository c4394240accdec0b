package lab

import (
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// programs is a rotation of nothing but programs of the user's, none of which exists.
const programs = `rotations:
  - name: web key
    provider: {command: {run: [./no-such-provider], can: [identify], expiry: 90d, secrets: {api: {env: SOME_TOKEN}}}}
    sinks:
      - command: {run: [./no-such-sink], can: [held, mark, undo]}
      - command: {run: [./no-such-sink, other], can: [read, undo]}
    verify: [{command: {run: [./no-such-test], protocol: true}}]
`

// TestPrograms: programs are not run in a rehearsal; what stands in for them fails as they would.
func TestPrograms(t *testing.T) {
	mute := strings.NewReplacer("can: [identify], ", "", "can: [read, undo]", "can: [held, mark]").Replace(programs)
	for _, x := range []struct {
		config, step string
		outcome      rotate.Outcome
		moved        []bool // by sink: it holds the newborn
		live         int
	}{
		{programs, "", rotate.Rotated, []bool{true, true}, 1},
		{programs, "mint", rotate.Failed, []bool{false, false}, 1},
		{programs, "mint-lost", rotate.Failed, []bool{false, false}, 1},
		{programs, "prove", rotate.Failed, []bool{false, false}, 1},
		{programs, "write", rotate.Failed, []bool{true, false}, 2},
		{programs, "verify", rotate.Restored, []bool{false, false}, 1},
		{programs, "revoke", rotate.Failed, []bool{true, true}, 2},
		{mute, "", rotate.Rotated, []bool{true, true}, 1},
		{mute, "verify", rotate.Failed, []bool{true, true}, 2},
		{programs + "    adopt: [\"web key\"]\n", "", rotate.Rotated, []bool{true, true}, 1},
	} {
		l, c := begin(t, x.config, nil)
		if x.step != "" {
			if err := l.Fail(x.step); err != nil {
				t.Fatal(err)
			}
		}
		before := l.Holdings()
		res, err := runAll(t, c, rotate.Options{})
		if (err == nil) != (x.step == "") || res.Outcome != x.outcome {
			t.Errorf("%s: %s, want %s: %v", x.step, res.Outcome, x.outcome, err)
		}
		works(t, l)
		for i, h := range l.Holdings() {
			if (h.Token != before[i].Token) != x.moved[i] || !strings.HasSuffix(h.Sink, "(not run in a rehearsal)") {
				t.Errorf("%s: %s holds %s", x.step, h.Sink, h.Token)
			}
		}
		if live := l.Tokens(); len(live) != x.live {
			t.Errorf("%s: %d tokens live, want %d", x.step, len(live), x.live)
		}
	}
}
