package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// list is a JSON array on one line.
func list(names []string) string {
	if names == nil {
		names = []string{}
	}
	b, err := json.Marshal(names)
	if err != nil { // strings always encode
		return "[]"
	}
	return string(b)
}

// plan prints what run would do. It changes nothing.
func (c *command) plan(ctx context.Context, o rotate.Options) int {
	cfg, ok := c.load(config.Options{Getenv: c.getenv})
	if !ok {
		return Misused
	}
	type planned struct {
		rotate.Plan
		Error string `json:"error,omitempty"` // there is no plan
	}
	code := Done
	plans := []planned{}
	for _, r := range cfg.Rotations {
		p, err := r.Plan(ctx, o)
		p.Warnings = append(p.Warnings, r.Warnings()...)
		err = errors.Join(err, r.Close(ctx))
		if err != nil {
			code = Failed
			c.failed(r.Name, err)
			plans = append(plans, planned{rotate.Plan{Name: r.Name}, err.Error()})
			continue
		}
		plans = append(plans, planned{Plan: p})
		if c.format == "text" {
			var text strings.Builder
			_ = report.Plan(&text, p, c.started)
			for line := range strings.Lines(text.String()) {
				c.line(strings.TrimRight(line, "\n"))
			}
		}
	}
	if c.format == "json" {
		return c.document(map[string]any{"plans": plans}, code)
	}
	return code
}

// check probes every permission and target. It changes nothing.
func (c *command) check(ctx context.Context, o rotate.Options) int {
	cfg, ok := c.load(config.Options{Getenv: c.getenv})
	if !ok {
		return Misused
	}
	type finding struct {
		Name     string   `json:"name"`
		Right    bool     `json:"right"`
		Faults   []string `json:"faults,omitempty"`
		Warnings []string `json:"warnings,omitempty"`
	}
	code := Done
	found := []finding{}
	for _, r := range cfg.Rotations {
		err := r.Check(ctx, o)
		f := finding{Name: r.Name, Right: err == nil, Warnings: r.Warnings()}
		for _, w := range f.Warnings {
			c.warn(r.Name + ": " + w)
		}
		if err := r.Close(ctx); err != nil {
			c.warn(r.Name + ": " + err.Error())
		}
		if err != nil {
			code = Failed
			f.Faults = strings.Split(err.Error(), "\n")
			for _, line := range f.Faults {
				c.failed(r.Name, errors.New(line))
			}
		} else if c.format == "text" {
			c.line(r.Name + ": everything that can be probed is right")
		}
		found = append(found, f)
	}
	if c.format == "json" {
		return c.document(map[string]any{"rotations": found}, code)
	}
	return code
}

func (c *command) failed(name string, err error) {
	if c.acting {
		c.runner.Error(action.Annotation{Title: "remint: " + name, Text: err.Error()})
		return
	}
	fmt.Fprintf(c.err, "%s: %v\n", name, err)
}

func (c *command) document(v any, code int) int {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return c.misused(err)
	}
	fmt.Fprintf(c.out, "%s\n", b)
	return code
}
