package podlogs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// This file finds the pods and reads what is new in their logs.

const (
	sliceBytes = 1 << 20  // of one answer
	podBytes   = 16 << 20 // of one container in one Verify; what comes after is not read
)

// application is what is looked at of a Deployment.
type application struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct{ Selector metav1.LabelSelector }
}

// hashKey is the label that the pods of one template of a Deployment have in common.
const hashKey = "pod-template-hash"

// pods lists the pods that count now.
func (l *Logs) pods(ctx context.Context) ([]objects.Pod, error) {
	selector := l.Selector
	if l.Deployment != "" {
		d, err := objects.Get[application](ctx, l.place(), objects.Deployments, l.Deployment)
		if err != nil {
			return nil, err
		}
		s, err := metav1.LabelSelectorAsSelector(&d.Spec.Selector)
		if err != nil || s.Empty() {
			return nil, fmt.Errorf("%w: the selector of the Deployment %s is not understood", rotate.ErrConfig, l.Deployment)
		}
		selector = s.String()
	}
	all, err := objects.List[objects.Pod](ctx, l.place(), objects.Pods, selector)
	if err != nil {
		return nil, err
	}
	return current(all, l.Deployment != ""), nil
}

// current leaves out pods that are being deleted and, if they are those of a Deployment, those of older templates: of
// other than the one that the youngest pod has.
func current(all []objects.Pod, byTemplate bool) []objects.Pod {
	var youngest objects.Pod
	var live []objects.Pod
	for _, p := range all {
		if p.Leaving() {
			continue
		}
		live = append(live, p)
		if len(live) == 1 || p.CreationTimestamp.After(youngest.CreationTimestamp.Time) {
			youngest = p
		}
	}
	if !byTemplate {
		return live
	}
	var same []objects.Pod
	for _, p := range live {
		if p.Labels[hashKey] == youngest.Labels[hashKey] {
			same = append(same, p)
		}
	}
	return same
}

// reader goes through the logs, container by container, and keeps where it is.
type reader struct {
	place    objects.Place
	since    time.Time
	at       map[string]*cursor // by pod's UID and container
	warnings *warn.List
}

// cursor is how far one log was read.
type cursor struct {
	next     time.Time // of the last line seen; lines of its second are seen again
	bytes    int
	restarts int64 // for which the log before the restart was read
	full     bool
}

// read gives every new line of the pod's containers to see, until see returns an error. A log that cannot be read now is
// read with a later look; started says that every container was read.
func (r *reader) read(ctx context.Context, pod objects.Pod, only string, see func(container, line string) error) (started bool, err error) {
	started = true
	any := false
	for _, c := range pod.Spec.Containers {
		if only != "" && c.Name != only {
			continue
		}
		any = true
		switch err := r.container(ctx, pod, c.Name, see); {
		case errors.Is(err, objects.ErrGone), errors.Is(err, objects.ErrNotYet):
			started = false
		case err != nil:
			return false, err
		}
	}
	if !any {
		return false, fmt.Errorf("%w: pod %s has no container %q", rotate.ErrConfig, pod.Name, only)
	}
	return started, nil
}

func (r *reader) container(ctx context.Context, pod objects.Pod, name string, see func(container, line string) error) error {
	key := string(pod.UID) + "/" + name
	c := r.at[key]
	if c == nil {
		c = &cursor{next: r.since}
		r.at[key] = c
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name != name || s.RestartCount <= c.restarts {
			continue
		}
		// What made it end stands in the log before the restart.
		err := r.slice(ctx, pod, name, c, true, see)
		if err != nil && !errors.Is(err, objects.ErrNotYet) && !errors.Is(err, objects.ErrGone) {
			return err
		}
		c.restarts = s.RestartCount
	}
	return r.slice(ctx, pod, name, c, false, see)
}

// slice reads one part of a log.
func (r *reader) slice(ctx context.Context, pod objects.Pod, name string, c *cursor, previous bool, see func(container, line string) error) error {
	if c.full {
		return nil
	}
	text, err := r.place.Log(ctx, pod.Name, name, objects.Slice{Since: c.next, Bytes: sliceBytes, Stamped: true, Previous: previous})
	if err != nil {
		return err
	}
	c.bytes += len(text)
	last := c.next
	for line := range strings.Lines(text) {
		at, line := split(strings.TrimRight(line, "\r\n"))
		if at.After(last) {
			last = at
		}
		if !r.since.IsZero() && !at.IsZero() && at.Before(r.since) {
			continue // the server looks at whole seconds only
		}
		if err := see(name, line); err != nil {
			return err
		}
	}
	if c.bytes > podBytes || len(text) >= sliceBytes && !last.Truncate(time.Second).After(c.next.Truncate(time.Second)) {
		c.full = true
		r.warnings.Add("pod %s, container %s logs more than is read of it: only the first %d MiB were looked at", pod.Name, name, max(1, c.bytes>>20))
	}
	if !previous {
		c.next = last
	}
	return nil
}

// split takes the time off a line of a log that was asked for with times; zero if there is none.
func split(line string) (time.Time, string) {
	stamp, rest, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return time.Time{}, line
	}
	return at, rest
}
