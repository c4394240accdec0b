package rotatetest

import (
	"strings"
)

// Fault is what happens at one call.
type Fault string

// Faults.
const (
	FailBefore  Fault = "fail before"     // an error, no effect
	FailAfter   Fault = "fail after"      // the effect, but the answer is lost
	Limited     Fault = "limited"         // refused for now, as by status 429
	CrashBefore Fault = "crash before"    // the process ends before the effect
	CrashAfter  Fault = "crash after"     // the process ends after the effect
	Cancel      Fault = "cancel"          // the host cancels the run; the call is not carried out
	Stale       Fault = "stale"           // a read sees the state before the last change
	BlindList   Fault = "blind list"      // the list shows nothing
	Unclear     Fault = "unclear"         // the provider cannot tell whose a secret is
	Rival       Fault = "rival"           // another run begins and ends before the call
	Unproven    Fault = "unproven"        // a verifier cannot say yet
	Refused     Fault = "refused"         // a verifier sees consumers fail
	Slow        Fault = "slow"            // the call takes longer than a run may last
	ByHand      Fault = "by hand"         // a person puts the first token back into a sink that can be read
	Revoked     Fault = "revoked"         // a person revokes the newest token
	Lies        Fault = "lies"            // success is answered without the effect
	Duplicate   Fault = "duplicate"       // the service carries out the request twice
	ClockJump   Fault = "clock jump"      // from this call on, the provider's clock is ten minutes ahead
	ClockBack   Fault = "clock goes back" // from this call on, it is ten minutes behind
)

// Faults are all of them.
var Faults = []Fault{FailBefore, FailAfter, Limited, CrashBefore, CrashAfter, Cancel, Stale, BlindList, Unclear, Rival, Unproven, Refused, Slow, ByHand, Revoked, Lies, Duplicate, ClockJump, ClockBack}

// person reports whether somebody else than the run under test changes something.
func (f Fault) person() bool { return f == ByHand || f == Rival || f == Revoked }

// fits reports whether a fault means anything at an operation.
func (f Fault) fits(op string) bool {
	read := op == "list" || op == "drain" || strings.HasPrefix(op, "held") || strings.HasPrefix(op, "read") || op == "identify" || op == "check" || op == "inspect"
	switch f {
	case Stale:
		return read && op != "identify" && op != "drain" && op != "check" && op != "inspect"
	case BlindList:
		return op == "list"
	case Unclear:
		return op == "identify"
	case ClockJump, ClockBack:
		return op == "list" || op == "mint"
	case FailAfter, CrashBefore, CrashAfter, Duplicate:
		return !read // a read has no effect: its failure has one form, and a crash at it is one before the next effect
	case Unproven:
		return op == "verify" || op == "drain" || op == "prove"
	case Refused:
		return op == "verify" || op == "prove"
	case Limited:
		// To the engine it is a failure before the effect; what differs is what a mint's failure makes it believe.
		return op == "mint" || op == "list"
	case Lies:
		// "write only" is the write of a place that cannot be read back.
		// A place that can only be written, and lies, cannot be found out: consumers go on working with what it holds,
		// until that is revoked. That is not promised.
		return op == "write" || op == "undo" || op == "mark" || op == "revoke" || op == "forget"
	case Revoked:
		// Where nothing was minted yet, the newest is what consumers hold: whoever revokes that, breaks them.
		return true
	case ByHand:
		// Between the last look at a sink and the revocation a person wins the race; that is not promised.
		return op == "mint" || strings.HasPrefix(op, "write") || op == "verify"
	case Rival, Slow, Cancel, FailBefore:
		return true
	}
	return false
}
