package dispatch

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Drain implements [rotate.Drainer]: it waits until no run of the repository is left that was given its
// secrets before since. On GitHub those are all unfinished runs queued before; on Forgejo and Gitea those
// that were running. Runs of the workflow that remint runs in are left out: they wait for each other.
func (w *Workflow) Drain(ctx context.Context, since time.Time) error {
	if w.SkipDrain {
		return nil
	}
	h, err := w.connect()
	if err != nil {
		return w.fault("drain", err)
	}
	bounded, cancel := context.WithTimeout(ctx, w.timeout())
	defer cancel()
	if err := w.drain(bounded, h, since); err != nil {
		return w.fault("drain", err)
	}
	return nil
}

func (w *Workflow) drain(ctx context.Context, h host, since time.Time) error {
	old, err := h.carrying(ctx, since.Add(margin))
	if err != nil {
		return unproven("whether older runs still use the old value cannot be told (skip-drain would not ask): %w", err)
	}
	old = w.others(old)
	for wait := w.interval(); len(old) > 0; wait = min(wait+wait/2, 3*w.interval()) {
		if !pause(ctx, wait) {
			return undrained(old, ctx.Err())
		}
		var left []run
		for i, r := range old {
			seen, err := h.run(ctx, r.id)
			switch {
			case err == nil && h.carries(seen):
				left = append(left, seen)
			case err == nil, errors.Is(err, rotate.ErrNotFound): // only a run that is over can be deleted
			case errors.Is(err, rotate.ErrTemporary), errors.Is(err, rotate.ErrLimit):
				left = append(left, r)
			default:
				return undrained(append(left, old[i:]...), err)
			}
		}
		old = left
	}
	return nil
}

// others leaves out what belongs to remint's own workflow, in its own repository.
func (w *Workflow) others(runs []run) []run {
	repository, file := w.own()
	if repository != w.Repository || !w.atHome() {
		return runs
	}
	self, _ := strconv.ParseInt(w.RunnerRun, 10, 64)
	for _, r := range runs {
		if file == "" && self != 0 && r.id == self {
			file = r.file // the runner did not say which workflow this is, but this run does
		}
	}
	return slices.DeleteFunc(runs, func(r run) bool {
		return self != 0 && r.id == self || file != "" && r.file == file
	})
}

func undrained(old []run, why error) error {
	return unproven("runs older than the write still use the old value: %s; nothing is revoked before they end (cancel them, or set skip-drain if they do not use this secret): %w", urls(old), why)
}
