package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/emulate/lab"
	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// drill rehearses every fault at every step, and shows what came of each.
func (c *command) drill(ctx context.Context) int {
	first := true
	d := &lab.Drill{Getenv: c.getenv, Secrets: c.hide, Sabotage: c.sabotage, Load: func(l *lab.Lab) (*config.Config, error) {
		if first { // says what is wrong, once
			first = false
			cfg, ok := c.load(l.Options(config.Options{}))
			if !ok {
				return nil, errTold
			}
			return cfg, nil
		}
		text, name, err := c.read()
		if err != nil {
			return nil, err
		}
		cfg, err := config.Load(text, l.Options(config.Options{Path: name}))
		if err != nil {
			return nil, err
		}
		return cfg, c.choose(cfg)
	}}
	quarter := 0
	d.Watch = func(done, all int) {
		switch {
		case done == 0:
			c.line(fmt.Sprintf("Drill: %d faults, each against emulated services with made-up credentials; nothing leaves this machine.", all))
		case done < all && 4*done/all > quarter:
			quarter = 4 * done / all
			c.line(fmt.Sprintf("%d of %d", done, all))
		}
	}
	out, err := d.Run(ctx)
	switch {
	case errors.Is(err, errTold):
		return Misused
	case errors.Is(err, rotate.ErrConfig):
		return c.misused(err)
	case err != nil:
		c.alarm("drill", err.Error())
		fmt.Fprintf(c.err, "remint: %v\n", err)
		return c.outputs(nil, Failed)
	}
	code := report.DrillExit(out)
	if c.format == "json" {
		text, err := report.DrillJSON(out)
		if err != nil {
			return c.misused(err)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	} else {
		c.print(func(w *strings.Builder) error { return report.Drill(w, out) })
	}
	if code != Done {
		c.alarm("drill", report.DrillTally(out))
	}
	if c.acting {
		if err := c.runner.Summary(report.DrillMarkdown(out)); err != nil {
			c.runner.Error(action.Annotation{Title: "remint: summary", Text: err.Error()})
			code = max(code, Failed)
		}
	}
	return c.outputs(nil, code)
}

// errTold is the error of a configuration whose problems were printed.
var errTold = errors.New("the configuration is wrong")

// rehearse runs the configuration against emulated services, then shows what is where.
func (c *command) rehearse(ctx context.Context, o rotate.Options) int {
	if c.allFaults && c.fail != "" {
		return c.misused(errors.New("--all-faults and --fail: choose one"))
	}
	if c.allFaults {
		return c.drill(ctx)
	}
	l := lab.New(c.getenv)
	defer func() {
		if err := l.Close(); err != nil {
			c.warn(err.Error())
		}
	}()
	cfg, ok := c.load(l.Options(config.Options{}))
	if !ok {
		return Misused
	}
	if err := l.Prepare(cfg); err != nil {
		return c.misused(err)
	}
	if c.fail != "" {
		if err := l.Fail(c.fail); err != nil {
			return c.misused(err)
		}
	}
	c.line("Rehearsal: emulated services, made-up credentials, nothing leaves this machine.")
	began := time.Now()
	entries := c.all(ctx, cfg, func(ctx context.Context, r *config.Rotation, show func(string)) (rotate.Result, error) {
		o := o
		o.Watch = func(s rotate.StepResult) {
			if s.Result != rotate.Begun {
				show(report.Step(s))
			}
		}
		return r.Run(ctx, o)
	})
	c.line(fmt.Sprintf("What consumers hold after the rehearsal (%d requests, %s):", len(l.Requests()), time.Since(began).Round(time.Millisecond)))
	harmed := false
	for _, h := range l.Holdings() {
		state := "works"
		if !h.Works {
			state, harmed = "DOES NOT WORK", true
		}
		c.line(fmt.Sprintf("  %-60s %s: %s", h.Sink, h.Token, state))
	}
	code := c.conclude(entries)
	switch {
	case harmed:
		return Alarming
	case c.fail != "" && code == Failed:
		c.line(fmt.Sprintf("The step %q failed as asked; every consumer holds a token that works.", c.fail))
	}
	return code
}
