package rotate

import "time"

// Outcome is how a run ended.
type Outcome string

// Outcomes.
const (
	Idle     Outcome = "nothing to do"
	Waiting  Outcome = "waiting"  // something will be done later by itself (a grace, another run)
	Rotated  Outcome = "rotated"  // the newborn is held and verified; what it superseded is revoked, or in grace
	Retired  Outcome = "retired"  // superseded tokens were revoked or the held one verified; nothing was minted
	OnHold   Outcome = "held"     // not proven yet: both generations are alive, the next tick looks again
	Restored Outcome = "restored" // the verification failed, and the sinks hold what they held before
	Failed   Outcome = "failed"
	NotBegun Outcome = "not begun" // never said by Run: for whoever runs several, and stops
)

// How a step ended, in StepResult.Result.
const (
	Begun  = "begun"
	Done   = "done"
	Unsure = "not proven yet"
	Wrong  = "failed"
)

// StepResult is what became of one step.
type StepResult struct {
	Step
	Result string        `json:"result"`
	Took   time.Duration `json:"tookNanoseconds"`
	Err    error         `json:"-"`
	Error  string        `json:"error,omitempty"`
}

// Result is what a run did, and what it left. It is valid even if the run returned an error, and holds no
// secret.
type Result struct {
	Name     string       `json:"name"`
	Outcome  Outcome      `json:"outcome"`
	Person   bool         `json:"personNeeded"` // consumers may hold something that does not work, or a compromised token lives on
	Due      bool         `json:"due"`
	Reasons  []string     `json:"reasons,omitempty"`
	Plan     Plan         `json:"-"` // what the run set out to do
	Steps    []StepResult `json:"steps,omitempty"`
	Newborn  Token        `json:"newborn,omitzero"`
	Revoked  []Token      `json:"revoked,omitempty"`
	Kept     []Kept       `json:"kept,omitempty"`
	Sinks    []Holds      `json:"sinks,omitempty"`  // what consumers hold now, as far as this run knows
	Live     []Token      `json:"live,omitempty"`   // live generations, oldest first
	Left     []string     `json:"left,omitempty"`   // what is left to do, and by whom
	HandIn   []string     `json:"handIn,omitempty"` // what a person is to do: the steps that make a token to hand in
	Warnings []string     `json:"warnings,omitempty"`
	Overdue  bool         `json:"overdue,omitempty"` // by three ticks or more when the run began
	Next     time.Time    `json:"next,omitzero"`     // when the rotation is due next
	Begun    time.Time    `json:"begun"`
	Ended    time.Time    `json:"ended"`
}
