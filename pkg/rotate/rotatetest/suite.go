package rotatetest

import (
	"testing"

	"github.com/remint-dev/remint/internal/contract"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file hands adapters to the suites, which are in internal/contract, since `remint conform` uses them too.

// suite is a test as the suites want one.
type suite struct{ *testing.T }

// Run implements [contract.T].
func (s suite) Run(name string, f func(contract.T)) bool {
	return s.T.Run(name, func(t *testing.T) { f(suite{t}) })
}

// with passes the test on to a function of the caller's.
func with[V any](f func(*testing.T) V) func(contract.T) V {
	if f == nil {
		return nil
	}
	return func(t contract.T) V { return f(t.(suite).T) }
}

// ProviderUnderTest describes a provider for the suite.
type ProviderUnderTest struct {
	// New returns a provider as a new process would build it; all talk to the same service.
	New func(t *testing.T) rotate.Provider
	// Credentials are the texts that must never be printed: what the provider authenticates with.
	Credentials []string
	// Garbage is a secret that is none of the service's; "": the suite's own.
	Garbage string
}

// Provider checks the contracts of [rotate.Provider] and of the optional interfaces that it has.
func Provider(t *testing.T, u ProviderUnderTest) {
	contract.Provider(suite{t}, contract.ProviderCase{New: with(u.New), Credentials: u.Credentials, Garbage: u.Garbage})
}

// SinkUnderTest describes a sink for the suite.
type SinkUnderTest struct {
	// New returns a sink as a new process would build it; all write the same place.
	New func(t *testing.T) rotate.Sink
	// Content returns what a consumer reads there.
	Content func(t *testing.T) string
	// Old and New are two credentials, New the younger one; zero: the suite's own.
	Old, Newer rotate.Credential
	// Credentials are the texts that must never be printed: what the sink authenticates with.
	Credentials []string
}

// Sink checks the contracts of [rotate.Sink] and of the optional interfaces that it has.
func Sink(t *testing.T, u SinkUnderTest) {
	contract.Sink(suite{t}, contract.SinkCase{New: with(u.New), Content: with(u.Content), Old: u.Old, Newer: u.Newer, Credentials: u.Credentials})
}

// VerifierUnderTest describes a verifier for the suite. A nil function is not tried.
type VerifierUnderTest struct {
	// Good, Bad and Open return a verifier in a world in which the credential works, does not, or in which it
	// cannot be said yet.
	Good, Bad, Open func(t *testing.T) rotate.Verifier
	Credential      rotate.Credential
	Credentials     []string // must never be printed
}

// Verifier checks the contract of [rotate.Verifier].
func Verifier(t *testing.T, u VerifierUnderTest) {
	contract.Verifier(suite{t}, contract.VerifierCase{Good: with(u.Good), Bad: with(u.Bad), Open: with(u.Open), Credential: u.Credential, Credentials: u.Credentials})
}

// Silent formats an adapter in every way and looks for texts that must not appear.
func Silent(t *testing.T, adapter any, secrets []string) {
	t.Helper()
	contract.Silent(suite{t}, adapter, secrets)
}
