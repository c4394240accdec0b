package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/lab"
	"github.com/remint-dev/remint/pkg/rotate"
)

// trial is one of a drill; what it came to is settled by held.
func trial(nth int, step, request string, f lab.Fault, held lab.Held) lab.Trial {
	t := lab.Trial{Rotation: "web deploy", Nth: nth, Step: step, Request: request, Fault: f, Held: held, Ended: rotate.Failed, Next: rotate.Rotated}
	if held == lab.Newborn {
		t.Next = rotate.Retired
	}
	return t
}

func went(t lab.Trial) lab.Trial {
	t.Ended, t.Next = rotate.Rotated, rotate.Idle
	return t
}

func drills() map[string]lab.Drilled {
	const list, put, marker, del = "POST api.fly.example /graphql appTokens", "PUT api.github.example /repos/example/web/actions/secrets/T", "PATCH api.github.example /repos/example/web/actions/variables/T_REMINT", "POST api.fly.example /graphql delete"
	orphan := trial(2, "mint "+fly, "POST api.fly.example /graphql mint", lab.Killed, lab.Old)
	orphan.Ended, orphan.Orphan = "", true
	twice := trial(3, "write "+github, put, lab.Killed, lab.Newborn)
	twice.Ended, twice.Next = "", rotate.Rotated
	doubted := trial(0, "verify "+dispatch, "", lab.Refuted, lab.Newborn)
	doubted.Person = true
	whole := []lab.Trial{
		trial(1, "survey "+fly, list, lab.Refused, lab.Old), went(trial(1, "survey "+fly, list, lab.Busy, lab.Newborn)), went(trial(1, "survey "+fly, list, lab.Away, lab.Newborn)),
		trial(1, "survey "+fly, list, lab.Unstarted, lab.Old), trial(1, "survey "+fly, list, lab.Killed, lab.Old), trial(1, "survey "+fly, list, lab.Rival, lab.Newborn),
		orphan,
		trial(3, "write "+github, put, lab.Refused, lab.Both), went(trial(3, "write "+github, put, lab.Lost, lab.Newborn)), twice,
		trial(4, "write "+github, marker, lab.Killed, lab.Newborn),
		doubted,
		trial(0, "prove "+fly, "", lab.Refuted, lab.Old),
	}
	broken := append([]lab.Trial(nil), whole...)
	dead := went(trial(5, "revoke "+fly, del, lab.Busy, lab.Dead))
	dead.Broken = []string{github + " held " + old.Name + ", which does not work, after revoke " + fly + " (" + del + ")"}
	for range 8 {
		broken = append(broken, dead)
	}
	open := trial(6, "look "+github, list, lab.Lost, lab.Newborn)
	open.Broken = []string{"the next run ended with \"failed\": " + nasty}
	open.Rotation = nasty
	broken = append(broken, open)
	return map[string]lab.Drilled{
		"drill":        {Trials: whole, Requests: 4, Took: 2345 * time.Millisecond, Like: map[string]string{"api deploy": "web deploy", "docs deploy": "web deploy"}},
		"drill-broken": {Trials: broken, Requests: 6, Took: 61 * time.Second},
		"drill-none":   {},
	}
}

func TestDrill(t *testing.T) {
	for file, d := range drills() {
		t.Run(file, func(t *testing.T) {
			var text strings.Builder
			if err := Drill(&text, d); err != nil {
				t.Fatal(err)
			}
			out, err := DrillJSON(d)
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, out, "", " "); err != nil {
				t.Fatal(err)
			}
			golden(t, file+".txt", text.String())
			golden(t, file+".md", DrillMarkdown(d))
			golden(t, file+".json", pretty.String()+"\n")
			harmless(t, text.String())
			harmless(t, DrillMarkdown(d))
			want := Fine
			if file == "drill-broken" {
				want = Urgent
			}
			if got := DrillExit(d); got != want {
				t.Errorf("exit %d, want %d", got, want)
			}
		})
	}
}
