package protocol

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Known refuses what is no optional verb of a kind of program.
func Known(kind string, can []string) error {
	names := Optional(kind)
	for _, verb := range can {
		if !slices.Contains(names, verb) {
			return rotate.Field("can", "%q is no optional verb of a %s; there are: %s", verb, kind, strings.Join(names, ", "))
		}
	}
	return nil
}

// Optional lists the optional verbs of a kind of program.
func Optional(kind string) []string {
	var names []string
	for _, v := range Verbs[kind] {
		if v.Optional {
			names = append(names, v.Name)
		}
	}
	return names
}

// Ready asks the program whether it could do its work, and makes sure that it can all that the configuration says, can.
// Nothing is changed.
func (p *Program) Ready(ctx context.Context, r Request, can []string) error {
	if err := p.Find(); err != nil {
		return err
	}
	if err := p.Permitted(ctx); err != nil {
		return err
	}
	r.Verb = Check
	a, err := p.Call(ctx, r)
	if err != nil {
		return err
	}
	for _, verb := range can {
		if !slices.Contains(a.Can, verb) {
			return fmt.Errorf("%w: the program says that it cannot %s (it can: %s); correct can", rotate.ErrConfig, verb, listed(a.Can, Optional(r.Kind)))
		}
	}
	return nil
}

// listed repeats only words that we know.
func listed(said, known []string) string {
	said = slices.DeleteFunc(slices.Clone(said), func(s string) bool { return !slices.Contains(known, s) })
	if len(said) == 0 {
		return "only what every program can"
	}
	return strings.Join(said, ", ")
}
