package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// errSkipped is the error of a rotation that did not begin since an earlier one of its matrix failed.
var errSkipped = errors.New("not begun: an earlier rotation of the same matrix failed")

func (c *command) rotate(ctx context.Context, o rotate.Options) int {
	cfg, ok := c.load(config.Options{Getenv: c.getenv})
	if !ok {
		return Misused
	}
	entries := c.all(ctx, cfg, func(ctx context.Context, r *config.Rotation, show func(string)) (rotate.Result, error) {
		o := o
		o.Watch = func(s rotate.StepResult) {
			// Only a verification takes so long that somebody asks what it is doing.
			if s.Result != rotate.Begun || s.Do == rotate.Verify {
				show(report.Step(s))
			}
		}
		return r.Run(ctx, o)
	})
	return c.conclude(entries)
}

// all runs every rotation: groups side by side as the configuration says, the rotations of one group one after
// the other unless it says otherwise, and none of a group after one of it failed.
func (c *command) all(ctx context.Context, cfg *config.Config, run func(context.Context, *config.Rotation, func(string)) (rotate.Result, error)) []report.Entry {
	at := map[*config.Rotation]int{}
	for i, r := range cfg.Rotations {
		at[r] = i
	}
	entries := make([]report.Entry, len(cfg.Rotations))
	var print sync.Mutex
	side := cfg.Parallel > 1
	ended := func(r *config.Rotation, res rotate.Result, err error) {
		entries[at[r]] = report.Entry{Result: res, Err: err}
		print.Lock()
		defer print.Unlock()
		var text strings.Builder
		_ = report.Result(&text, res, err)
		for line := range strings.Lines(text.String()) {
			c.line(strings.TrimRight(line, "\n"))
		}
	}
	one := func(r *config.Rotation, alone bool) error {
		show := c.progress(&print, r.Name, !alone)
		res, err := rotate.Result{Name: r.Name, Outcome: rotate.Failed}, error(nil)
		func() {
			defer c.rescue(&err)
			res, err = run(ctx, r, show)
		}()
		ended(r, res, err)
		if alone {
			c.endGroup()
		}
		return err
	}
	limit(cfg.Parallel, cfg.Groups(), func(group []*config.Rotation) {
		var mu sync.Mutex
		failed := false
		each := group[0].Parallel
		limit(each, group, func(r *config.Rotation) {
			mu.Lock()
			skip := failed
			mu.Unlock()
			if skip || ctx.Err() != nil {
				err := errSkipped
				if !skip {
					err = fmt.Errorf("not begun: %w", context.Cause(ctx))
				}
				ended(r, rotate.Result{Name: r.Name, Outcome: rotate.NotBegun}, err)
				return
			}
			if one(r, !side && each <= 1) != nil {
				mu.Lock()
				failed = true
				mu.Unlock()
			}
		})
	})
	return entries
}

// limit calls f for each item, at most n at a time, in order.
func limit[T any](n int, items []T, f func(T)) {
	if n <= 1 {
		for _, it := range items {
			f(it)
		}
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, n)
	for _, it := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(it)
		})
	}
	wg.Wait()
}

// line prints one line of progress. In a runner none may be taken for a command.
func (c *command) line(text string) {
	if c.runner.Present() && c.format != "json" {
		c.runner.Line(text)
		return
	}
	fmt.Fprintln(c.log(), text)
}

// log is where progress goes: beside a JSON document it must not stand on standard output.
func (c *command) log() io.Writer {
	if c.format == "json" {
		return c.err
	}
	return c.out
}

// progress returns what prints the lines of one rotation. Rotations that run side by side name themselves in
// every line.
func (c *command) progress(mu *sync.Mutex, name string, prefix bool) func(string) {
	if !prefix {
		if c.acting {
			c.runner.Group(name)
		} else {
			c.line(name)
		}
	}
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if prefix {
			line = name + ": " + strings.TrimSpace(line)
		}
		c.line(line)
	}
}

func (c *command) endGroup() {
	if c.acting {
		c.runner.EndGroup()
	}
}

// conclude prints what all rotations came to, and pays what an action owes its runner.
func (c *command) conclude(entries []report.Entry) int {
	code := report.Exit(entries)
	for _, e := range entries {
		if c.acting { // elsewhere the report has said it
			for _, w := range e.Result.Warnings {
				c.warn(e.Result.Name + ": " + w)
			}
		}
		if e.Result.Overdue {
			c.alarm(e.Result.Name, "the rotation was overdue by three days or more; are scheduled runs dropped, disabled or failing?")
		}
		if e.Err != nil {
			c.alarm(e.Result.Name, e.Err.Error())
		}
	}
	if c.format == "json" {
		text, err := report.JSON(entries)
		if err != nil {
			return c.misused(err)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	}
	return c.outputs(entries, code)
}

// alarm is an error annotation in a runner; elsewhere the report has said it.
func (c *command) alarm(name, text string) {
	if c.acting {
		c.runner.Error(action.Annotation{Title: "remint: " + name, Text: text})
	}
}

// outputs writes outputs and summary of the action, also after a failure. That they cannot be written fails
// the step: a workflow that reads them must not take "nothing" for an answer.
func (c *command) outputs(entries []report.Entry, code int) int {
	if !c.acting {
		return code
	}
	c.owed = false
	next := ""
	if at := report.Next(entries); !at.IsZero() {
		next = at.UTC().Format(time.RFC3339)
	}
	text, err := report.JSON(entries)
	errs := []error{err}
	for _, kv := range [][2]string{{"rotated", list(report.Rotated(entries))}, {"failed", list(report.Failed(entries))}, {"next", next}, {"result", string(text)}} {
		errs = append(errs, c.runner.Output(kv[0], kv[1]))
	}
	if len(entries) > 0 {
		errs = append(errs, c.runner.Summary(report.Markdown(entries)))
	}
	if err := errors.Join(errs...); err != nil {
		c.runner.Error(action.Annotation{Title: "remint: outputs", Text: err.Error()})
		if code == Done {
			return Failed
		}
	}
	c.runner.Flush()
	return code
}
