// Package rotate replaces API tokens without a gap: it mints a successor, proves it, writes it to every
// sink, verifies by use that consumers took it up, and only then revokes what it replaced.
//
// The package knows no service. A [Provider] mints, lists and revokes; a [Sink] is a place consumers
// read the credential from; a [Verifier] shows by use that a credential works. [Rotation] ties them
// together, [Rotation.Plan] says what would be done and [Rotation.Run] does it.
//
// There is no journal and no lock: the state is what the provider lists and what the sinks hold. Every
// run observes, decides and acts; the next run is the recovery of one that was killed. The rule that
// everything else serves: revoke only what is older than what every sink says it holds, after this run
// saw the holder proven, and after the grace.
package rotate

import (
	"context"
	"time"
)

// Token describes a token at its provider. All of it may be logged.
type Token struct {
	ID       string    // the provider's identity of the token; "" if the provider cannot name it
	Name     string    // the name it was minted under
	Created  time.Time // by the provider's clock; zero if the provider does not say
	Expires  time.Time // zero: never, or not known
	LastUsed time.Time // zero: never, or not known
}

// Credential is a token with its value.
type Credential struct {
	Token
	Secret Secret
}

// Provider is the service that mints, lists and revokes the tokens of one kind.
type Provider interface {
	// Mint creates a token under exactly this name. It must not be retried: it may have minted even if
	// it fails, and the engine then looks for the name. It fails if what was minted is other than what was
	// asked for (scope, owner, expiry).
	Mint(ctx context.Context, name string) (Credential, error)
	// List returns every live token of this kind, all pages, ours or not; revoked and expired ones are left out.
	List(ctx context.Context) ([]Token, error)
	// Revoke kills a token and returns once that is confirmed. A token already gone is no error.
	Revoke(ctx context.Context, t Token) error
	// String names the provider and its account for messages, such as "fly:personal/web". Never a secret.
	String() string
}

// Sink is a place consumers read the credential from.
type Sink interface {
	// Write makes the sink hold c. Writing the same credential twice is writing it once. If it fails, the
	// sink may hold either.
	Write(ctx context.Context, c Credential) error
	// String names the sink for messages, such as "github:example/web/FLY_DEPLOY_TOKEN". Never a secret.
	String() string
}

// Verifier shows by use that a credential works. c.Secret may be zero on a later tick, when no sink can
// be read back; a verifier that cannot do without it returns [ErrUnproven].
type Verifier interface {
	// Verify returns nil if c was seen to work, an error that wraps [ErrUnproven] if that cannot be said
	// yet, and any other error if it was seen to fail.
	Verify(ctx context.Context, c Credential) error
	// String names the verifier for messages, such as "dispatch:example/web/deploy.yml". Never a secret.
	String() string
}

// The following interfaces are optional. The engine finds them by type assertion, so an adapter must not
// be wrapped in another type: that would hide them.

// Identifier is a [Provider] that can tell whose secret a secret is.
type Identifier interface {
	// Identify asks the provider with the secret itself. It returns an error that wraps [ErrDenied] if the
	// secret is dead. A live secret whose token cannot be told apart from others has an empty ID, and what is
	// known (creation, expiry) otherwise.
	Identify(ctx context.Context, s Secret) (Token, error)
}

// Clock is a [Provider] that saw the service's clock.
type Clock interface {
	// Skew returns how far the service's clock was ahead of ours in its last answer; false if not known.
	Skew() (time.Duration, bool)
}

// Holder is a [Sink] that says what it holds.
type Holder interface {
	// Held asks the sink. A sink that was never written by this package answers with the zero Holding.
	Held(ctx context.Context) (Holding, error)
}

// Holding is a sink's answer to what it holds. At most one of Mark, Is and Secret is needed to settle it;
// they are tried in this order.
type Holding struct {
	// Mark is what a marker beside the secret says; zero Token.ID: no marker.
	Mark Mark
	// Is reports whether the sink holds t, for sinks that keep a digest of the token's ID; nil: it cannot say.
	Is func(t Token) bool
	// Verified belongs to Is: what the sink holds was verified.
	Verified bool
	// Secret is what was read back, if the sink could only say by reading.
	Secret Secret
	// Former is the token whose value the sink keeps beside the one it holds; zero Token.ID: none. See [Keeper].
	Former Token
	// Snapshot says that Secret was handed in by the workflow and was read when that was queued. It serves
	// the survey only.
	Snapshot bool
	// Unmarked says that the sink was set up to keep no marker, so that only its secret can ever say what it holds.
	Unmarked bool
}

// Reader is a [Sink] whose secret can be read back. It is asked when Held did not settle what the sink
// holds, and before a write, so that the old value can be restored.
type Reader interface {
	// Read returns the secret that the sink holds now; the zero Secret if it holds none.
	Read(ctx context.Context) (Secret, error)
}

// Marker is a [Sink] that records that what it holds was verified, for a [Holder] to say later.
type Marker interface {
	// Mark records that t, which the sink was just seen to hold, was verified.
	Mark(ctx context.Context, t Token) error
}

// Undoer is a [Sink] that can put back what the last Write of this process replaced.
type Undoer interface {
	// Undo puts back what the last Write replaced, value and marker. Without such a Write it is an error.
	Undo(ctx context.Context) error
}

// Feed is an [Undoer] that hands out whichever token of its provider lives longest, so that its Undo can only revoke the
// newborn. It is put back last, and only if every other sink was; and a newborn that it may have handed out before
// anything was written is not revoked.
type Feed interface {
	Feeds() bool
}

// Checker is any adapter that can say beforehand whether it could do its work.
type Checker interface {
	// Check changes nothing. It returns all that is wrong at once, joined.
	Check(ctx context.Context) error
}

// Warner is any adapter with something to say that is no error: a credential that expires soon, a scope
// wider than needed.
type Warner interface {
	// Warnings returns what came up since it was last called. The texts do not begin with the adapter's name: the engine adds
	// it.
	Warnings() []string
}

// Lifetime is a [Provider] that knows how long the tokens it mints live.
type Lifetime interface {
	// Life returns the life of a newborn token; 0: it never expires, or that is not known.
	Life() time.Duration
}

// Accepter is a [Sink] that can say, without any call, whether it could take a value (its size, its
// characters). It is asked after the mint and before any sink is touched.
type Accepter interface {
	Accept(c Credential) error
}

// Drainer is a [Verifier] that knows of consumers which still work with what a sink held earlier: runs
// that were queued before the write carry the old value.
type Drainer interface {
	// Drain waits, bounded, until no such consumer is left that started before since. It returns an error
	// that wraps [ErrUnproven] if some are left.
	Drain(ctx context.Context, since time.Time) error
}

// Closer is any adapter that holds something to give back when the run is over, such as a short-lived
// token it made for itself.
type Closer interface {
	// Close may be called more than once; the adapter may be used again after it.
	Close(ctx context.Context) error
}

// Inspector is a [Provider] that can tell whether a token which it did not mint is what its configuration asks
// for. A rotation whose tokens are handed in by a person needs it.
type Inspector interface {
	// Inspect asks the provider with the secret itself. It returns all that is other than what a mint would have made
	// (kind, scope, owner, life), joined; an error that wraps [ErrDenied] if the secret is dead. It changes nothing.
	Inspect(ctx context.Context, s Secret) error
	// Instructions tell a person how to make such a token, with exactly this name: one step each, no secret.
	Instructions(name string) []string
}

// Nameless is a [Provider] whose service keeps no names. It lists nothing but tokens that the rotation may care for,
// and gives the name asked for only to a token that a Mint of the same process answered with. The rotation takes
// every other one that Adopt names for a generation of its own. A token whose mint lost its answer is left to the
// next run: that it is the only new one does not show whose it is.
type Nameless interface {
	Nameless() bool
}

// Repeater is a [Verifier] that may run more than once in one run, since it makes consumers take up what they
// already should have, or only looks. What starts a deployment pipeline is none.
type Repeater interface {
	Repeatable() bool
}

// Connector is any adapter that says which hosts it may contact.
type Connector interface {
	// Endpoints are all the adapter may contact, whatever a service answers. It makes no call.
	Endpoints() []Endpoint
}

// Endpoint is a host that an adapter may contact.
type Endpoint struct {
	Origin  string   // scheme and host, and the port if it is not the scheme's own: "https://api.fly.io"; "" if only Why can say
	Methods []string // of HTTP, sorted: GET, POST
	Why     string   // a few words: "mints, lists and revokes tokens"
}
