// Package protocol lets any program be a provider, a sink or a verifier: one request in on standard input, one answer out
// on standard output, both JSON. docs/protocol.md describes it to authors of programs. Its rules:
//
//   - The program is started anew for every request, and reads one line: the request. It must not wait for the end of its
//     input, which may never come when it runs in a pod.
//   - Its standard output is one JSON object, the answer, and nothing else. Standard error is for people.
//   - Secrets travel on these two pipes only: never in arguments, never in the environment.
//   - Time and output are bounded, and a program that is over leaves nobody behind.
//   - What is not a proper answer is a failure that may have taken effect: [rotate.ErrTemporary]. Nothing that the program
//     printed is repeated, except the message of its error, and its standard error where no new secret can be in it.
//
// The types here are the messages; unknown fields are ignored on both sides.
package protocol

import (
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Version is the version of the protocol. It is in every message as "remint". It grows only if a program that follows the
// older one would do harm; new fields and verbs do not make it grow.
const Version = 1

// The kinds of programs.
const (
	Provider = "provider"
	Sink     = "sink"
	Verifier = "verifier"
)

// The verbs. Which kind has which, and what it needs, is in [Verbs].
const (
	Check    = "check"
	Mint     = "mint"
	List     = "list"
	Identify = "identify"
	Revoke   = "revoke"
	Write    = "write"
	Held     = "held"
	Read     = "read"
	Mark     = "mark"
	Undo     = "undo"
	Verify   = "verify"
)

// Verbs are the verbs of each kind of program.
var Verbs = map[string][]Verb{
	Provider: {{Check, false}, {Mint, false}, {List, false}, {Revoke, false}, {Identify, true}},
	Sink:     {{Check, false}, {Write, false}, {Held, true}, {Mark, true}, {Read, true}, {Undo, true}},
	Verifier: {{Check, false}, {Verify, false}},
}

// Verb is a verb of a kind of program.
type Verb struct {
	Name     string
	Optional bool // the answer to check says whether the program has it
}

// Request is what a program reads: one line.
type Request struct {
	Version int    `json:"remint" doc:"The version of the protocol: 1."`
	Kind    string `json:"kind" doc:"What the program is used as: provider, sink or verifier."`
	Verb    string `json:"verb" doc:"What it is to do."`

	With    map[string]string `json:"with,omitempty" doc:"The settings of the configuration, as they stand under with."`
	Secrets map[string]string `json:"secrets,omitempty" doc:"The credentials that the configuration gives to the program, by the names under secrets."`

	Name   string `json:"name,omitempty" doc:"mint: the name that the token must bear, exactly."`
	Life   int64  `json:"life,omitempty" doc:"mint, check: the life of the token in seconds, if the configuration says expiry."`
	Token  *Token `json:"token,omitempty" doc:"revoke, write, mark, undo, verify: the token that is meant."`
	Secret string `json:"secret,omitempty" doc:"identify, write, verify: the value. verify may come without it, if no sink could be read back."`
}

// Answer is what a program prints.
type Answer struct {
	Version int      `json:"remint" doc:"The version of the protocol that the program speaks: 1. Needed in every answer."`
	Error   *Failure `json:"error,omitempty" doc:"Why it could not be done. Without it, it was done."`

	Can    []string `json:"can,omitempty" doc:"check: the optional verbs that the program has."`
	Token  *Token   `json:"token,omitempty" doc:"mint: the newborn; needed. identify: the token whose secret was asked about, without id if it works but cannot be told apart. held: the token that the sink holds; left out if it was never written."`
	Tokens []Token  `json:"tokens,omitempty" doc:"list: every live token, ours or not."`
	Secret string   `json:"secret,omitempty" doc:"mint: the value; needed. read: what the sink holds; left out if that is nothing."`
	// Verified belongs to held.
	Verified bool `json:"verified,omitempty" doc:"held: whether mark was called for this token since it was written."`
}

// Token describes a token. Nothing in it is secret.
type Token struct {
	ID       string    `json:"id,omitempty" doc:"The identity at the service. Needed, except in the answer to identify."`
	Name     string    `json:"name,omitempty" doc:"The name that it was minted under."`
	Created  time.Time `json:"created,omitzero" doc:"When it was made, by the clock of the service. Times are RFC 3339; one that is not known is left out."`
	Expires  time.Time `json:"expires,omitzero" doc:"When it ends; left out: never."`
	LastUsed time.Time `json:"last_used,omitzero" doc:"When it was used last, if the service says."`
}

// Failure is an error of a program.
type Failure struct {
	Kind    string `json:"kind" doc:"What the operator can do about it; see the table of kinds."`
	Message string `json:"message,omitempty" doc:"One sentence for people: what is wrong and what to do. Never a secret."`
}

// Describe is the description of a token, for a request.
func Describe(t rotate.Token) *Token { return &Token{t.ID, t.Name, t.Created, t.Expires, t.LastUsed} }

// Rotate is the token as the engine knows it; the zero one if there is none.
func (t *Token) Rotate() rotate.Token {
	if t == nil {
		return rotate.Token{}
	}
	return rotate.Token{ID: t.ID, Name: t.Name, Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed}
}
