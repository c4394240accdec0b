package objects

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Pod is what the verifiers look at of a pod.
type Pod struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Containers []struct{ Name string }
	}
	Status struct {
		Phase             string
		Reason            string
		ContainerStatuses []Container
	}
}

// Container is the state of one container of a pod.
type Container struct {
	Name         string
	RestartCount int64
	State        State
	LastState    State
}

// State is what a container does or did.
type State struct {
	Waiting    *struct{ Reason string }
	Running    *struct{ StartedAt metav1.Time }
	Terminated *struct {
		ExitCode int64
		Reason   string
	}
}

// Leaving reports whether the pod is being deleted.
func (p Pod) Leaving() bool { return p.DeletionTimestamp != nil }

// Crash returns the name of a container that ended by itself with a failure and was started again, or could not be; "" if
// there is none.
func (p Pod) Crash() string {
	for _, c := range p.Status.ContainerStatuses {
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			return c.Name
		}
		if t := c.LastState.Terminated; t != nil && t.ExitCode != 0 && c.RestartCount > 0 {
			return c.Name
		}
	}
	return ""
}

// ErrGone and ErrNotYet say why a log cannot be read now: the pod was replaced, or its container was not started yet.
var (
	ErrGone   = errors.New("the pod is gone")
	ErrNotYet = errors.New("the container has not started yet")
)

// Slice is the part of a log that is asked for.
type Slice struct {
	Since    time.Time // zero: from the start of the container; the server looks at whole seconds only
	Tail     int       // last lines; 0: all
	Bytes    int64     // most bytes, the first ones of what Since and Tail leave; 0: no limit
	Stamped  bool      // a time stands before each line
	Previous bool      // of the container that ran before the last restart
}

// Log reads a part of a container's log. It is somebody else's text, and may hold any secret: see [Shown].
func (p Place) Log(ctx context.Context, pod, container string, s Slice) (string, error) {
	if p.Cluster == nil {
		return "", rotate.Field("cluster", "the cluster is missing")
	}
	q := url.Values{}
	if container != "" {
		q.Set("container", container)
	}
	if !s.Since.IsZero() {
		q.Set("sinceTime", s.Since.UTC().Format(time.RFC3339))
	}
	if s.Tail > 0 {
		q.Set("tailLines", strconv.Itoa(s.Tail))
	}
	if s.Bytes > 0 {
		q.Set("limitBytes", strconv.FormatInt(s.Bytes, 10))
	}
	if s.Stamped {
		q.Set("timestamps", "true")
	}
	if s.Previous {
		q.Set("previous", "true")
	}
	path := "/api/v1/namespaces/" + p.Scope() + "/pods/" + pod + "/log"
	text, err := p.Cluster.Raw(ctx, http.MethodGet, path, q, nil, "")
	if err == nil {
		return string(text), nil
	}
	err = p.Cluster.Fault(err, "get", "pods/log", p.Scope(), pod)
	switch {
	case errors.Is(err, rotate.ErrNotFound):
		return "", ErrGone
	case errors.Is(err, rotate.ErrConfig): // 400: ContainerCreating, or nothing ran before
		return "", ErrNotYet
	}
	return "", err
}

// Shown makes a foreign text fit to be shown in a message: without the secret in any of its forms, in one line, the
// last bytes of it.
func Shown(text string, secret rotate.Secret, limit int) string {
	var known redact.Set
	if !secret.IsZero() {
		known.Add(secret.Reveal())
	}
	text = known.String(text)
	if len(text) > limit {
		text = text[len(text)-limit:]
		if _, rest, ok := strings.Cut(text, "\n"); ok && rest != "" {
			text = rest // from the beginning of a line
		}
	}
	return httpx.Clean(strings.ReplaceAll(strings.TrimSpace(text), "\n", " | "), 2*limit)
}
