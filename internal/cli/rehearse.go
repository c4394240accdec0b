package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/emulate/lab"
	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// rehearse runs the configuration against emulated services, then shows what is where.
func (c *command) rehearse(ctx context.Context, o rotate.Options) int {
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
