package dispatch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	looks  = 12              // how often an unnamed run is looked for in the list
	margin = 2 * time.Second // between two clocks that are compared by headers with whole seconds
	misses = 5               // answers "not found" in a row before a run that was seen is taken for gone
)

// Verify implements [rotate.Verifier]: it dispatches the workflow and follows the run to its end. The
// credential itself is not needed; the run reads it from the sink.
func (w *Workflow) Verify(ctx context.Context, _ rotate.Credential) error {
	h, err := w.connect()
	if err != nil {
		return w.fault("verify", unproven("nothing was dispatched: %w", err))
	}
	began := time.Now()
	follow, cancel := context.WithTimeout(ctx, w.timeout())
	defer cancel()
	r, err := w.dispatch(follow, h)
	if err == nil {
		err = w.follow(follow, h, r, began)
	}
	if err != nil {
		return w.fault("verify", err)
	}
	return nil
}

// dispatch starts a run and returns it, named at least by its id. All its errors are unproven.
func (w *Workflow) dispatch(ctx context.Context, h host) (run, error) {
	ref, err := w.ref(ctx, h)
	if err != nil {
		return run{}, unproven("nothing was dispatched: %w", err)
	}
	inputs, id := maps.Clone(w.Inputs), ""
	if w.Correlation != "" {
		if inputs == nil {
			inputs = map[string]string{}
		}
		id = "remint-" + strings.ToLower(rand.Text()[:16])
		inputs[w.Correlation] = id
	}
	l := look{id: id, ref: ref}
	before := func() error {
		if id != "" {
			return nil
		}
		runs, err := h.dispatched(ctx)
		if err != nil {
			return unproven("nothing was dispatched, since the runs before it cannot be listed: %w", err)
		}
		l.listed = true
		l.before = runs
		return nil
	}
	if !h.names() {
		if err := before(); err != nil {
			return run{}, err
		}
	}
	l.sent = time.Now()
	r, sent, err := h.start(ctx, ref, inputs, true)
	if errors.Is(err, errNoDetails) {
		if err := before(); err != nil {
			return run{}, err
		}
		l.sent = time.Now()
		r, sent, err = h.start(ctx, ref, inputs, false)
	}
	switch {
	case err != nil && !sent:
		return run{}, unproven("the dispatch was refused: %w", err)
	case err != nil:
		found, lookErr := w.find(ctx, h, l)
		if lookErr != nil {
			return run{}, unproven("a dispatch was sent and not answered (%w), and %w; it is not sent again", err, lookErr)
		}
		return found, nil
	case r.id == 0:
		found, lookErr := w.find(ctx, h, l)
		if lookErr != nil {
			return run{}, unproven("the workflow was dispatched, and %w; it is not dispatched again", lookErr)
		}
		return found, nil
	}
	return r, nil
}

// ref returns the branch or tag to dispatch on.
func (w *Workflow) ref(ctx context.Context, h host) (string, error) {
	if w.Ref != "" {
		return w.Ref, nil
	}
	w.mu.Lock()
	known := w.branch
	w.mu.Unlock()
	if known != "" {
		return known, nil
	}
	b, err := h.defaultBranch(ctx)
	if err != nil {
		return "", err
	}
	if b == "" {
		return "", fmt.Errorf("%w: %s has no default branch: give ref", rotate.ErrConfig, w.Repository)
	}
	w.know(b)
	return b, nil
}

func (w *Workflow) know(branch string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.branch = branch
}

// look is what is known of a run that has to be found in the list.
type look struct {
	id     string // correlation; "": none
	ref    string
	sent   time.Time // by our clock
	listed bool      // before was asked for
	before []run
}

// can reports whether r can be the run. Without a correlation id that takes a run of the same workflow
// and branch, dispatched, never re-run, not in the list before, and created since.
func (l look) can(r run, file string, skew time.Duration) bool {
	if r.file != "" && r.file != file || r.event != "" && r.event != "workflow_dispatch" || r.attempt > 1 {
		return false
	}
	if l.id != "" {
		return strings.Contains(r.text, l.id)
	}
	if r.branch != "" && r.branch != shortRef(l.ref) {
		return false
	}
	last := int64(0)
	for _, b := range l.before {
		if b.id == r.id {
			return false
		}
		last = max(last, b.id)
	}
	if r.created.IsZero() {
		return l.listed && r.id > last // ids grow
	}
	return !r.created.Before(l.sent.Add(skew - margin))
}

func shortRef(ref string) string {
	for _, p := range []string{"refs/heads/", "refs/tags/"} {
		ref = strings.TrimPrefix(ref, p)
	}
	return ref
}

// find looks for a run in the list, a bounded number of times, since lists lag. Without a correlation id
// the only run that can be it must be so in two lists in a row.
func (w *Workflow) find(ctx context.Context, h host, l look) (run, error) {
	var last run
	var failure error
	for n := range looks {
		if n > 0 && !pause(ctx, w.interval()) {
			break
		}
		runs, err := h.dispatched(ctx)
		if err != nil {
			failure = err
			if errors.Is(err, rotate.ErrTemporary) || errors.Is(err, rotate.ErrLimit) {
				continue
			}
			break
		}
		failure = nil
		runs = slices.DeleteFunc(runs, func(r run) bool { return !l.can(r, w.File, h.skew()) })
		switch {
		case len(runs) > 1:
			return run{}, fmt.Errorf("%d runs can be its: %s; name an input of the workflow as correlation to tell them apart", len(runs), urls(runs))
		case len(runs) == 1 && (l.id != "" || runs[0].id == last.id):
			return runs[0], nil
		case len(runs) == 1:
			last = runs[0]
		default:
			last = run{}
		}
	}
	switch {
	case failure != nil:
		return run{}, fmt.Errorf("its run cannot be looked for: %w", failure)
	case ctx.Err() != nil:
		return run{}, fmt.Errorf("its run was not found: %w", ctx.Err())
	case l.id != "":
		return run{}, fmt.Errorf("no run with %s was found; does the workflow declare the input %s, and its run-name contain it?", l.id, w.Correlation)
	}
	return run{}, errors.New("its run was not found")
}

// follow waits for the end of r.
func (w *Workflow) follow(ctx context.Context, h host, r run, began time.Time) error {
	var (
		wait    = w.interval()
		asked   time.Time // when it was first seen waiting for a person
		missing int
		trouble error // why the last look failed
	)
	for {
		if !pause(ctx, wait) {
			return late(ctx, r, began, trouble)
		}
		wait = min(wait+wait/2, 3*w.interval())
		seen, err := h.run(ctx, r.id)
		trouble = err
		switch {
		case err == nil:
			missing = 0
		case ctx.Err() != nil:
			return late(ctx, r, began, nil)
		case errors.Is(err, rotate.ErrNotFound) && missing < misses: // a newborn run is not everywhere at once
			missing++
			continue
		case errors.Is(err, rotate.ErrTemporary), errors.Is(err, rotate.ErrLimit):
			continue
		default:
			return unproven("run %s was started and cannot be followed: %w", r.at(), err)
		}
		if seen.attempt > 1 && r.attempt <= 1 {
			w.warnings.Add("run %s was re-run by somebody (attempt %d)", seen.at(), seen.attempt)
		}
		r = seen
		switch {
		case r.state == done && r.result == "success":
			return nil
		case r.state == done && r.result == "action_required":
			return unproven("run %s needs a person: approve it; the next run of remint verifies again", r.at())
		case r.state == done:
			return fmt.Errorf("run %s ended with %s%s", r.at(), httpx.Clean(r.result, 40), r.nth())
		case r.state != held:
			asked = time.Time{}
		case asked.IsZero():
			asked = time.Now()
		case time.Since(asked) >= w.approval():
			return unproven("run %s waits for approval since %s: approve it, or let this workflow run without; the next run of remint verifies again", r.at(), w.approval())
		}
	}
}

// late says that a run did not end in time, be it the verifier's or the rotation's, or that we were told to stop.
func late(ctx context.Context, r run, began time.Time, trouble error) error {
	why := fmt.Sprintf("is still %s after %s", r.state, time.Since(began).Round(time.Second))
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = fmt.Sprintf("was %s when remint was stopped", r.state)
	}
	if r.state == waiting {
		why += " (is a runner free for it? the job of remint itself occupies one)"
	}
	if trouble != nil {
		return unproven("run %s %s; the last look at it failed: %w", r.at(), why, trouble)
	}
	return unproven("run %s %s", r.at(), why)
}

// at names a run for people.
func (r run) at() string {
	if r.url != "" {
		return httpx.Clean(r.url, 300)
	}
	return strconv.FormatInt(r.id, 10)
}

// nth adds which attempt it was, if it was not the first.
func (r run) nth() string {
	if r.attempt > 1 {
		return fmt.Sprintf(" (attempt %d)", r.attempt)
	}
	return ""
}

func urls(runs []run) string {
	var all []string
	for _, r := range runs {
		all = append(all, r.at())
	}
	return strings.Join(all, ", ")
}

// pause waits for d, more or less a fifth, and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	d += time.Duration((mathrand.Float64() - 0.5) * 0.4 * float64(d)) // #nosec G404 -- spreads requests, hides nothing
	return httpx.Sleep(ctx, d) == nil
}
