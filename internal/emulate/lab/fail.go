package lab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// steps is what [Lab.Fail] knows, for messages.
const steps = "mint, mint-lost, prove, write, write:N, verify, verify:N, revoke"

// Fail plants a failure in every rotation, for the rest of the rehearsal:
//
//	mint       the provider refuses to mint
//	mint-lost  it mints, and its answer is lost
//	prove      it does not accept the newborn
//	write      the sink that is written last refuses it; write:N the Nth sink of the rotation
//	verify     the first verifier fails with the newborn; verify:N the Nth
//	revoke     the provider refuses to revoke
//
// Another step, or one that no rotation has, is an error that wraps [rotate.ErrConfig] and names the known ones.
func (l *Lab) Fail(step string) error {
	if !l.prepared {
		return errors.New("a failure is planted after Prepare")
	}
	kind, number, given := strings.Cut(step, ":")
	nth := 0
	if given {
		var err error
		if nth, err = strconv.Atoi(number); err != nil || nth < 1 || kind != "write" && kind != "verify" {
			return unknown(step)
		}
	}
	switch kind {
	case "mint", "mint-lost", "revoke":
		for _, r := range l.rotations {
			r.mint.fail(kind)
		}
		return nil
	case "prove":
		l.mu.Lock()
		l.unproven = true
		l.mu.Unlock()
		return nil
	case "write":
		return l.failWrite(step, nth)
	case "verify":
		return l.failVerify(step, max(nth, 1))
	}
	return unknown(step)
}

func unknown(step string) error {
	return fmt.Errorf("%w: no step %q can fail; known: %s", rotate.ErrConfig, step, steps)
}

func (l *Lab) failWrite(step string, nth int) error {
	found := false
	for _, r := range l.rotations {
		i := nth - 1
		if nth == 0 {
			i = last(r.Sinks)
		}
		if i < len(r.sinks) {
			r.sinks[i].refuse()
			found = true
		}
	}
	return some(found, step, "sinks")
}

// last is the sink that the engine writes last: those that can be undone come first.
func last(sinks []rotate.Sink) int {
	for i := len(sinks) - 1; i >= 0; i-- {
		if _, ok := sinks[i].(rotate.Undoer); !ok {
			return i
		}
	}
	return len(sinks) - 1
}

func (l *Lab) failVerify(step string, nth int) error {
	found := false
	for _, r := range l.rotations {
		if nth <= len(r.verify) {
			r.verify[nth-1].fails.Store(true)
			found = true
		}
	}
	return some(found, step, "verifiers")
}

func some(found bool, step, what string) error {
	if found {
		return nil
	}
	return fmt.Errorf("%w: %s: no rotation has that many %s; known: %s", rotate.ErrConfig, step, what, steps)
}
