package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

const day = 24 * time.Hour

var (
	began = time.Date(2026, 11, 5, 3, 17, 0, 0, time.UTC)
	ended = began.Add(112 * time.Second)

	old = rotate.Token{ID: "tok_1", Name: "web deploy 20260822T031500Z-k3vq7x2aab2c3d", Created: began.Add(-75 * day), Expires: began.Add(15 * day)}
	mid = rotate.Token{ID: "tok_2", Name: "web deploy 20261105T031702Z-k3vq7x2aqwerty", Created: began.Add(2 * time.Second), Expires: began.Add(90 * day)}
)

const (
	fly      = "fly:personal/web"
	github   = "github:example/web/FLY_DEPLOY_TOKEN"
	forgejo  = "forgejo:example/web/FLY_DEPLOY_TOKEN"
	aws      = "aws-secretsmanager:eu-west-1/web/deploy#token"
	dispatch = "dispatch:example/web/deploy.yml"
	runURL   = "https://github.example/example/web/actions/runs/4711"
)

func step(do rotate.Verb, at, what string, took time.Duration) rotate.StepResult {
	return rotate.StepResult{Step: rotate.Step{Do: do, At: at, What: what}, Result: rotate.Done, Took: took}
}

func wrong(s rotate.StepResult, err error) rotate.StepResult {
	s.Result, s.Err, s.Error = rotate.Wrong, err, err.Error()
	if errors.Is(err, rotate.ErrUnproven) {
		s.Result = rotate.Unsure
	}
	return s
}

func holds(sink string, t rotate.Token, verified bool) rotate.Holds {
	return rotate.Holds{Sink: sink, Token: t, State: stateHolds, Verified: verified}
}

// rotation is a whole rotation that went well; cases change what went otherwise.
func rotation(change func(e *Entry)) Entry {
	e := Entry{Result: rotate.Result{
		Name: "web deploy", Outcome: rotate.Rotated, Due: true,
		Reasons: []string{github + " holds " + old.Name + ", which is 75 days old (every 75 days)"},
		Steps: []rotate.StepResult{
			step(rotate.Check, fly, "", 212*time.Millisecond),
			step(rotate.Check, github, "", 380*time.Millisecond),
			step(rotate.Minting, fly, mid.Name, 1900*time.Millisecond),
			step(rotate.Proving, fly, "the newborn is what was asked for", 155*time.Millisecond),
			step(rotate.Writing, aws, "", 431*time.Millisecond),
			step(rotate.Writing, github, "", 512*time.Millisecond),
			step(rotate.Verify, dispatch, "", 104*time.Second),
			step(rotate.Marking, github, "verified", 95*time.Millisecond),
			step(rotate.Revoke, fly, old.Name, 640*time.Millisecond),
		},
		Newborn: mid, Revoked: []rotate.Token{old}, Live: []rotate.Token{mid},
		Sinks: []rotate.Holds{holds(aws, mid, true), holds(github, mid, true)},
		Next:  mid.Created.Add(75 * day), Begun: began, Ended: ended,
	}}
	if change != nil {
		change(&e)
	}
	return e
}

// idle is a tick on which nothing is done.
func idle(change func(e *Entry)) Entry {
	e := Entry{Result: rotate.Result{
		Name: "web deploy", Outcome: rotate.Idle, Live: []rotate.Token{mid},
		Sinks: []rotate.Holds{holds(aws, mid, true), holds(github, mid, true)},
		Next:  mid.Created.Add(75 * day), Begun: began.Add(20 * day), Ended: began.Add(20*day + 800*time.Millisecond),
	}}
	if change != nil {
		change(&e)
	}
	return e
}

func fail(op, at string, kind error, text string) error {
	return &rotate.Error{Op: op, At: at, Err: fmt.Errorf("%w: %s", kind, text)}
}

const nasty = "a|b`c`<img src=x onerror=alert(1)>\n::error::owned\r\n##[add-path]/evil *bold* _under_ [link](javascript:x) $x$ ~~y~~ # head @octocat 🎉 \u202egnirts \x1b[31mred \x00 &amp; :tada: ```mermaid"

func hostile() Entry {
	evil := rotate.Token{ID: "id|`\n::x::", Name: nasty, Created: began.Add(-10 * day), Expires: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}
	return rotation(func(e *Entry) {
		e.Result.Name = nasty
		e.Result.Outcome = rotate.Failed
		e.Err = fail("write", nasty, rotate.ErrDenied, nasty+strings.Repeat(" very long", 500))
		e.Result.Steps = []rotate.StepResult{
			step(rotate.Check, "1. item", nasty, time.Millisecond),
			wrong(step(rotate.Writing, nasty, nasty, time.Second), e.Err),
			{Step: rotate.Step{Do: "|::verb::", At: ""}, Result: "|" + nasty},
		}
		e.Result.Sinks = []rotate.Holds{
			holds(nasty, evil, true),
			{Sink: "-", State: nasty},
			{Sink: strings.Repeat("long/", 100), State: stateUnknown, Token: evil},
		}
		e.Result.Newborn, e.Result.Revoked, e.Result.Live = evil, []rotate.Token{{ID: nasty}, {}}, []rotate.Token{evil, {Name: "section gantt", Created: began}}
		e.Result.Kept = []rotate.Kept{{Token: evil, Why: nasty}}
		e.Result.Left = []string{"1. " + nasty, "- " + nasty, "=== x", "", "   # head"}
		e.Result.Reasons, e.Result.Warnings = []string{nasty}, []string{nasty, nasty}
		e.Result.Next = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	})
}

func twelve() []Entry {
	var all []Entry
	for i := range 12 {
		all = append(all, rotation(func(e *Entry) {
			e.Result.Name = fmt.Sprintf("service-%02d deploy", i+1)
			e.Result.Outcome = rotate.Failed
			e.Err = fail("check", forgejo, rotate.ErrDenied, "PUT https://code.example/api/v1/repos/example/web/actions/secrets/FLY_DEPLOY_TOKEN: 403: the token lacks write:repository")
			e.Result.Steps = []rotate.StepResult{wrong(step(rotate.Check, forgejo, "", 90*time.Millisecond), e.Err)}
			e.Result.Sinks = []rotate.Holds{holds(forgejo, old, true)}
			e.Result.Newborn, e.Result.Revoked, e.Result.Live = rotate.Token{}, nil, []rotate.Token{old}
			e.Result.Next = old.Created.Add(75 * day)
		}))
	}
	return all
}

type scene struct {
	name    string
	entries []Entry
	exit    int
}

func one(name string, exit int, e Entry) scene { return scene{name, []Entry{e}, exit} }

func scenes() []scene {
	failed := func(e *Entry) {
		e.Result.Outcome = rotate.Failed
		e.Result.Newborn, e.Result.Revoked, e.Result.Live = rotate.Token{}, nil, []rotate.Token{old}
		e.Result.Sinks = []rotate.Holds{holds(aws, old, true), holds(github, old, true)}
		e.Result.Next = old.Created.Add(75 * day)
	}
	deployFailed := fail("verify", dispatch, errors.New("the deploy failed"), "run "+runURL+" ended with failure")
	return []scene{
		{"none", nil, Fine},
		one("idle", Fine, idle(nil)),
		one("idle-mute", Unwell, idle(func(e *Entry) {
			e.Err = fail("held", github, rotate.ErrTemporary, "GET https://api.github.com/repos/example/web/actions/variables/FLY_DEPLOY_TOKEN_REMINT: 502")
			e.Result.Sinks[1] = rotate.Holds{Sink: github, State: stateMute}
			e.Result.Warnings = []string{github + " could not be asked: " + e.Err.Error()}
		})),
		one("waiting-grace", Fine, idle(func(e *Entry) {
			e.Result.Outcome = rotate.Waiting
			e.Result.Live = []rotate.Token{old, mid}
			e.Result.Kept = []rotate.Kept{{Token: old, Why: "in grace until 2026-12-05T03:17:02Z"}}
		})),
		one("waiting-young", Fine, idle(func(e *Entry) {
			e.Result.Outcome = rotate.Waiting
			e.Result.Left = []string{"conflict: " + mid.Name + " was minted 12m0s ago, so another run may be alive; nothing was changed. Run again after 2026-11-05T04:17:02Z, or with --alone if you know that no other run is alive"}
		})),
		one("rotated", Fine, rotation(nil)),
		one("rotated-grace", Fine, rotation(func(e *Entry) {
			e.Result.Revoked, e.Result.Live = nil, []rotate.Token{old, mid}
			e.Result.Kept = []rotate.Kept{{Token: old, Why: "in grace for 30 days after its successor's birth"}}
			e.Result.Steps = e.Result.Steps[:8]
			e.Result.Overdue = true
			e.Result.Warnings = []string{"web deploy: the rotation is overdue by 4 days; are scheduled runs dropped or failing?"}
		})),
		one("rotated-first-never-expires", Fine, rotation(func(e *Entry) {
			born := rotate.Token{ID: "7", Name: mid.Name, Created: mid.Created}
			e.Result.Reasons = []string{github + " holds no token that remint knows"}
			e.Result.Newborn, e.Result.Live, e.Result.Revoked = born, []rotate.Token{born}, nil
			e.Result.Sinks = []rotate.Holds{holds(github, born, false)}
			e.Result.Steps = e.Result.Steps[:6]
		})),
		one("retired", Fine, idle(func(e *Entry) {
			e.Result.Outcome = rotate.Retired
			e.Result.Revoked = []rotate.Token{old}
			e.Result.Steps = []rotate.StepResult{step(rotate.Check, fly, "", 201*time.Millisecond), step(rotate.Proving, fly, "what the sinks hold works", 99*time.Millisecond), step(rotate.Revoke, fly, old.Name, 455*time.Millisecond)}
		})),
		one("retired-verified-only", Fine, idle(func(e *Entry) {
			e.Result.Outcome = rotate.Retired
			e.Result.Live = []rotate.Token{old, mid}
			e.Result.Kept = []rotate.Kept{{Token: old, Why: "still in use: last used 2026-11-24T22:10:00Z"}}
			e.Result.Steps = []rotate.StepResult{step(rotate.Verify, dispatch, "", 93*time.Second), step(rotate.Marking, github, "verified", 88*time.Millisecond)}
		})),
		one("held", Unwell, rotation(func(e *Entry) {
			e.Err = fail("verify", dispatch, rotate.ErrUnproven, "run "+runURL+" waits for approval in environment production")
			e.Result.Outcome = rotate.OnHold
			e.Result.Steps[6] = wrong(e.Result.Steps[6], e.Err)
			e.Result.Steps = e.Result.Steps[:7]
			e.Result.Revoked, e.Result.Live = nil, []rotate.Token{old, mid}
			e.Result.Sinks = []rotate.Holds{holds(aws, mid, false), holds(github, mid, false)}
			e.Result.Left = []string{"not proven yet; both generations are alive, and the next run looks again"}
		})),
		one("restored", Unwell, rotation(func(e *Entry) {
			failed(e)
			e.Err = deployFailed
			e.Result.Outcome = rotate.Restored
			e.Result.Steps[6] = wrong(e.Result.Steps[6], e.Err)
			e.Result.Steps = append(e.Result.Steps[:7], step(rotate.Restore, github, old.Name, 402*time.Millisecond), step(rotate.Restore, aws, old.Name, 377*time.Millisecond),
				step(rotate.Verify, dispatch, "with what was restored", 96*time.Second), step(rotate.Revoke, fly, "the newborn "+mid.Name, 512*time.Millisecond))
			e.Result.Newborn, e.Result.Revoked = mid, []rotate.Token{mid}
		})),
		one("failed-survey", Unwell, Entry{
			Result: rotate.Result{Name: "web deploy", Outcome: rotate.Failed, Begun: began, Ended: began.Add(31 * time.Second)},
			Err:    fail("list", fly, rotate.ErrTemporary, "POST https://api.fly.io/graphql: 503 Service Unavailable"),
		}),
		one("failed-check", Unwell, rotation(func(e *Entry) {
			failed(e)
			a := fail("check", github, rotate.ErrDenied, "the credential may not write secrets of example/web: grant it Secrets, write")
			b := fail("check", aws, rotate.ErrNotFound, "there is no secret web/deploy in eu-west-1")
			e.Err = errors.Join(a, b)
			e.Result.Steps = []rotate.StepResult{step(rotate.Check, fly, "", 212*time.Millisecond), wrong(step(rotate.Check, aws, "", 80*time.Millisecond), b), wrong(step(rotate.Check, github, "", 81*time.Millisecond), a)}
		})),
		one("failed-write", Unwell, rotation(func(e *Entry) {
			failed(e)
			e.Err = fail("write", github, rotate.ErrTemporary, "PUT https://api.github.com/repos/example/web/actions/secrets/FLY_DEPLOY_TOKEN: 502")
			e.Result.Steps = e.Result.Steps[:6]
			e.Result.Steps[5] = wrong(e.Result.Steps[5], e.Err)
			e.Result.Newborn, e.Result.Live = mid, []rotate.Token{old, mid}
			e.Result.Sinks = []rotate.Holds{holds(aws, mid, false), {Sink: github, State: stateUnknown, Token: old}}
			e.Result.Left = []string{github + " may not hold the newborn; the next run repairs"}
		})),
		one("failed-stopped", Unwell, rotation(func(e *Entry) {
			failed(e)
			e.Err = &rotate.Error{Op: "write", At: aws, Err: fmt.Errorf("the run was stopped before this step: %w", context.Canceled)}
			e.Result.Steps = append(e.Result.Steps[:4], step(rotate.Revoke, fly, "the newborn "+mid.Name, 512*time.Millisecond))
			e.Result.Newborn, e.Result.Revoked = mid, []rotate.Token{mid}
		})),
		one("failed-dead", Urgent, rotation(func(e *Entry) {
			failed(e)
			e.Err = fail("mint", fly, rotate.ErrDenied, "the credential is a deploy token, which cannot mint")
			e.Result.Reasons = []string{github + " holds a token that no longer works"}
			e.Result.Steps = []rotate.StepResult{wrong(step(rotate.Minting, fly, "web deploy …", 300*time.Millisecond), e.Err)}
			e.Result.Sinks = []rotate.Holds{holds(aws, rotate.Token{ID: "0", Name: "web deploy 20260801T000000Z-k3vq7x2aaaaaaa", Created: began.Add(-96 * day), Expires: began.Add(-6 * day)}, true), {Sink: github, State: stateDead}}
			e.Result.Live, e.Result.Next = nil, time.Time{}
		})),
		one("person-verify", Urgent, rotation(func(e *Entry) {
			failed(e)
			e.Err = errors.Join(deployFailed, fmt.Errorf("nothing was restored: %w", fail("restore", github, rotate.ErrConflict, "it can only be written, and the secret it held before is not known")))
			e.Result.Person = true
			e.Result.Steps[6] = wrong(e.Result.Steps[6], deployFailed)
			e.Result.Steps = e.Result.Steps[:7]
			e.Result.Newborn, e.Result.Live = mid, []rotate.Token{old, mid}
			e.Result.Sinks = []rotate.Holds{holds(aws, mid, false), holds(github, mid, false)}
			e.Result.Left = []string{"all sinks keep the newborn, whose verification failed; a later run only verifies again"}
		})),
		one("emergency", Fine, rotation(func(e *Entry) {
			e.Result.Reasons = []string{github + " holds " + old.Name + ", born before 2026-11-05T03:00:00Z: compromised"}
		})),
		one("emergency-held", Unwell, rotation(func(e *Entry) {
			e.Err = fail("verify", dispatch, rotate.ErrUnproven, "no run was seen")
			e.Result.Outcome = rotate.OnHold
			e.Result.Steps = append(e.Result.Steps[:6], e.Result.Steps[8], wrong(e.Result.Steps[6], e.Err))
		})),
		one("emergency-person", Urgent, rotation(func(e *Entry) {
			e.Err = fail("write", github, rotate.ErrDenied, "PUT https://api.github.com/repos/example/web/actions/secrets/FLY_DEPLOY_TOKEN: 403")
			e.Result.Outcome, e.Result.Person = rotate.Failed, true
			e.Result.Reasons = []string{github + " holds " + old.Name + ", born before 2026-11-05T03:00:00Z: compromised"}
			e.Result.Steps = append(e.Result.Steps[:5], wrong(e.Result.Steps[5], e.Err), step(rotate.Revoke, fly, old.Name, 640*time.Millisecond))
			e.Result.Sinks = []rotate.Holds{holds(aws, mid, false), {Sink: github, State: stateUnknown, Token: old}}
			e.Result.Left = []string{github + " may not hold the newborn; the next run repairs", "consumers of " + github + " break: it holds " + old.Name + ", which was revoked as compromised"}
		})),
		one("hostile", Unwell, hostile()),
		{"twelve-failures", twelve(), Unwell},
		{"mixed", []Entry{
			idle(func(e *Entry) { e.Result.Name = "api deploy" }),
			rotation(nil),
			rotation(func(e *Entry) {
				failed(e)
				e.Result.Name, e.Err = "docs deploy", deployFailed
				e.Result.Person = true
				e.Result.Steps = []rotate.StepResult{wrong(step(rotate.Verify, dispatch, "", 40*time.Second), deployFailed)}
			}),
			idle(func(e *Entry) { e.Result.Name = "<b>`shop`</b> deploy" }),
		}, Urgent},
	}
}
