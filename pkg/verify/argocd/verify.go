package argocd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Verify implements [rotate.Verifier]. The credential is not needed: the application has it from its sink.
func (a *Application) Verify(ctx context.Context, _ rotate.Credential) error {
	if err := a.verify(ctx); err != nil {
		return a.fault("verify", err)
	}
	return nil
}

func (a *Application) verify(ctx context.Context) error {
	if err := a.connect(); err != nil {
		return unproven("nothing was asked: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, or(a.Timeout, defaultTimeout))
	defer cancel()
	before, err := a.api.application(ctx, "")
	if err != nil {
		return unproven("nothing was done: %w", err)
	}
	targets := make([]resource, len(a.Actions))
	for i, x := range a.Actions {
		if targets[i], err = x.resource(before); err != nil {
			return unproven("nothing was done: %s: %w", x, err)
		}
	}
	for i, x := range a.Actions {
		if err := a.api.run(ctx, before, targets[i], x.Action); err != nil {
			return unproven("%s%s: %w", x, lost(err), err)
		}
	}
	if a.Sync {
		if err := a.api.sync(ctx, before); err != nil {
			return unproven("sync%s: %w", lost(err), err)
		}
	}
	return a.wait(ctx, a.since(before))
}

// since is the moment, by Argo CD's clock, that a state must be later than to count. Its times have whole seconds, and
// so has the Date of its answers that its clock is known by: a second more, so that none from before is taken for later.
func (a *Application) since(before *application) mark {
	skew, _ := a.api.wire.Skew()
	m := mark{reconciled: time.Now().Add(skew + time.Second).Truncate(time.Second)}
	if at := before.Status.ReconciledAt; at.After(m.reconciled) {
		m.reconciled = at
	}
	if o := before.Status.OperationState; o != nil {
		m.operation = o.StartedAt
	}
	return m
}

// mark is what was so before.
type mark struct {
	reconciled time.Time
	operation  time.Time // when the last operation before ours began
}

// view is what a look shows.
type view int

const (
	old   view = iota // worked out before our last request
	open              // on its way, or in the way
	bad               // seen to fail, and may still recover
	ended             // seen to fail
	good
)

// judge says what an application's state means, and why it is not good. asked is whether a sync was asked for.
func (m mark) judge(app *application, asked bool) (view, error) {
	s, o := app.Status, app.Status.OperationState
	ours := o != nil && o.StartedAt.After(m.operation)
	switch {
	case !s.ReconciledAt.After(m.reconciled):
		return old, errors.New("the application was not looked at again by Argo CD")
	case len(app.Operation) > 0 && string(app.Operation) != "null":
		return open, errors.New("an operation has not begun yet")
	case o != nil && (o.Phase == running || o.Phase == terminating):
		return open, fmt.Errorf("an operation is %s%s", o.Phase, said(o.Message))
	case asked && !ours:
		return open, errors.New("the sync has not begun yet")
	case asked && o.Phase == failed:
		return ended, fmt.Errorf("the sync ended with Failed%s", said(o.Message))
	case o != nil && o.Phase != succeeded:
		return open, fmt.Errorf("the last operation ended with %s%s; sync the application, or give sync: true", word(o.Phase), said(o.Message))
	case s.Health.Status == degraded:
		return bad, fmt.Errorf("the application is Degraded%s%s", said(s.Health.Message), app.sick())
	case s.Health.Status != healthy:
		return open, fmt.Errorf("the application is %s%s%s", word(s.Health.Status), said(s.Health.Message), app.sick())
	case s.Sync.Status != synced:
		return open, fmt.Errorf("the application is %s; sync it, or give sync: true", word(s.Sync.Status))
	}
	return good, nil
}

// sick names the resources that are not healthy, the first few.
func (x *application) sick() string {
	var all []string
	for _, r := range x.Status.Resources {
		if r.Health != nil && slices.Contains([]string{degraded, progressing}, r.Health.Status) && len(all) < 3 {
			all = append(all, httpx.Clean(r.Kind+"/"+r.Name, 100)+" is "+r.Health.Status+said(r.Health.Message))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "; " + strings.Join(all, "; ")
}

func said(message string) string {
	if message = httpx.Clean(message, 200); message == "" {
		return ""
	}
	return " (" + message + ")"
}

// settle is waited before the first look, so that its time can be told from that of our last request.
const settle = 2 * time.Second

// wait looks until the application is good twice in a row: right after a restart it is healthy for an instant, as its
// controller has not noticed yet.
func (a *Application) wait(ctx context.Context, m mark) error {
	refresh := a.Refresh
	if refresh == "" {
		refresh = "normal"
	}
	var v view
	var why error
	for wait := min(or(a.Interval, defaultInterval), settle); ; wait = or(a.Interval, defaultInterval) {
		if httpx.Sleep(ctx, wait) != nil {
			return a.over(ctx, v, why)
		}
		app, err := a.api.application(ctx, refresh)
		last := v
		switch {
		case ctx.Err() != nil:
			return a.over(ctx, v, why)
		case errors.Is(err, rotate.ErrConfig), errors.Is(err, rotate.ErrDenied), errors.Is(err, rotate.ErrNotFound):
			return unproven("%w", err)
		case err != nil:
			v, why = open, err
		default:
			if v, why = m.judge(app, a.Sync); v == good && last == good {
				return nil
			}
			switch v {
			case old:
			case ended:
				return why
			case good:
				why = errors.New("the application was good once only")
				fallthrough
			default:
				refresh = "normal" // rendering the manifests once is enough
			}
		}
	}
}

// over says what the last look means when the time is up or we are told to stop.
func (a *Application) over(ctx context.Context, v view, why error) error {
	if why == nil {
		why = errors.New("it was not looked at")
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return unproven("%w; the last look: %w", ctx.Err(), why)
	}
	if v == bad {
		return fmt.Errorf("after %s: %w", or(a.Timeout, defaultTimeout), why)
	}
	return unproven("after %s: %w", or(a.Timeout, defaultTimeout), why)
}

// lost says that a request may have taken effect all the same.
func lost(err error) string {
	if errors.Is(err, rotate.ErrTemporary) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return " was sent, without an answer that says what became of it, and is not sent again"
	}
	return " was refused"
}

// unproven says that nothing was shown, and why.
func unproven(format string, args ...any) error {
	return fmt.Errorf("%w: %w", rotate.ErrUnproven, fmt.Errorf(format, args...))
}
