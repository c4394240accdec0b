package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// abreast is how many rotations are surveyed at a time: looking is harmless, and whoever asks is in a hurry.
const abreast = 4

// survey looks at all rotations, in the order of the configuration.
func (c *command) survey(ctx context.Context, cfg *config.Config, o rotate.Options) []report.Seen {
	all := make([]report.Seen, len(cfg.Rotations))
	each := make([]int, len(all))
	for i := range each {
		each[i] = i
	}
	limit(max(cfg.Parallel, abreast), each, func(i int) {
		r := cfg.Rotations[i]
		st, err := r.Status(ctx, o)
		st.Warnings = append(st.Warnings, r.Warnings()...)
		if gone := r.Close(context.WithoutCancel(ctx)); gone != nil {
			st.Warnings = append(st.Warnings, gone.Error())
		}
		all[i] = report.Seen{Status: st, Err: err}
	})
	return all
}

// status prints what is there, and what is to come. It changes nothing.
func (c *command) status(ctx context.Context, o rotate.Options) int {
	cfg, ok := c.load(config.Options{Getenv: c.getenv})
	if !ok {
		return Misused
	}
	all := c.survey(ctx, cfg, o)
	code := report.StatusExit(all)
	switch c.format {
	case "json":
		text, err := report.StatusJSON(all, false)
		if err != nil {
			return c.misused(err)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	case "markdown":
		fmt.Fprint(c.out, report.StatusMarkdown(all))
	case "openmetrics":
		fmt.Fprint(c.out, report.StatusMetrics(all, c.started))
	default:
		for _, s := range all {
			c.print(func(w *strings.Builder) error { return report.Status(w, s) })
		}
		if len(all) > 1 {
			c.line(fmt.Sprintf("%d rotations: %s", len(all), report.StatusTally(all)))
		}
	}
	for _, s := range all {
		if s.Err != nil && (c.acting || c.format != "text") {
			c.failed(s.Status.Name, s.Err)
		}
		for _, text := range s.Status.Alarms {
			c.alarm(s.Status.Name, text)
		}
	}
	return c.owes(all, code)
}

// owes pays what an action owes its runner.
func (c *command) owes(all []report.Seen, code int) int {
	if !c.acting {
		return code
	}
	c.owed = false
	next := ""
	if at := report.StatusNext(all); !at.IsZero() {
		next = at.UTC().Format(time.RFC3339)
	}
	text, err := report.StatusJSON(all, true)
	errs := []error{err}
	for _, kv := range [][2]string{{"rotated", list(nil)}, {"failed", list(report.StatusNames(all))}, {"next", next}, {"result", string(text)}} {
		errs = append(errs, c.runner.Output(kv[0], kv[1]))
	}
	errs = append(errs, c.runner.Summary(report.StatusMarkdown(all)))
	if err := errors.Join(errs...); err != nil {
		c.runner.Error(action.Annotation{Title: "remint: outputs", Text: err.Error()})
		if code == Done {
			code = Failed
		}
	}
	c.runner.Flush()
	return code
}

// print prints a text line by line.
func (c *command) print(write func(w *strings.Builder) error) {
	var text strings.Builder
	_ = write(&text)
	for line := range strings.Lines(text.String()) {
		c.line(strings.TrimRight(line, "\n"))
	}
}
