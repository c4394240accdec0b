package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestPanic: what an adapter throws costs its own rotation, is said without the secret in it, and names the place.
func TestPanic(t *testing.T) {
	const secret = "a-credential-0123456789"
	for _, parallel := range []int{1, 2} {
		set := &redact.Set{}
		set.Add(secret)
		var out, errs bytes.Buffer
		c := &command{format: "text", getenv: func(string) string { return "" }, out: newStream(set, &out), err: newStream(set, &errs), secrets: set}
		c.runner = &action.Runner{Getenv: c.getenv, Out: c.out}
		cfg := &config.Config{Parallel: parallel}
		for i, name := range []string{"one", "two"} {
			cfg.Rotations = append(cfg.Rotations, &config.Rotation{Rotation: &rotate.Rotation{Name: name}, Group: i, Parallel: 1})
		}
		entries := c.all(t.Context(), cfg, func(_ context.Context, r *config.Rotation, _ func(string)) (rotate.Result, error) {
			if r.Name == "one" {
				panic(errors.New("index out of range in " + secret + "\n::error::x"))
			}
			return rotate.Result{Name: r.Name, Outcome: rotate.Idle}, nil
		})
		if !errors.Is(entries[0].Err, errInternal) || entries[0].Result.Outcome != rotate.Failed || entries[1].Err != nil {
			t.Errorf("%+v", entries)
		}
		if err := errors.Join(c.out.Close(), c.err.Close()); err != nil {
			t.Fatal(err)
		}
		if text := out.String() + errs.String(); strings.Contains(text, secret) || strings.Contains(text, "\n::") || !strings.Contains(text, "panic_test.go") {
			t.Errorf("printed %s", text)
		}
	}
}
