package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// Verify implements [rotate.Verifier].
func (r *Rollout) Verify(ctx context.Context, c rotate.Credential) error {
	return r.fault("verify", r.verify(ctx, c))
}

func (r *Rollout) verify(ctx context.Context, c rotate.Credential) error {
	if err := r.Validate(); err != nil {
		return objects.Unproven(err)
	}
	found, err := r.consumers(ctx)
	switch {
	case err != nil:
		return objects.Unproven(err)
	case len(found) == 0:
		return objects.Unproven(r.nobody())
	}
	var since time.Time
	if !r.Restart {
		if since, err = r.held(ctx, c.Secret); err != nil {
			return err
		}
	}
	ran := false
	for _, w := range found {
		if w.empty(w.kind) {
			r.warnings.Add("%s has no replicas, so nothing was verified with it", w)
			continue
		}
		if r.Restart {
			err = r.restart(ctx, w, c.Token)
		} else {
			err = r.await(ctx, w, since)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
		ran = true
	}
	if !ran {
		return fmt.Errorf("%w: not verified: no replicas; scale up what should run with the credential, and the next run looks again", rotate.ErrUnproven)
	}
	return nil
}

// restart restarts one workload and waits for its rollout.
func (r *Rollout) restart(ctx context.Context, w consumer, t rotate.Token) error {
	if why := w.hindrance(w.kind); why != "" {
		return fmt.Errorf("%w: not verified: %s", rotate.ErrUnproven, why)
	}
	// The fraction of a second makes two restarts within a second two.
	stamp := time.Now().UTC().Format(time.RFC3339Nano)
	wrote, err := objects.Merge[workload](ctx, r.place(), w.kind.gvr, w.Name, restartPatch(stamp, t.ID))
	if err != nil {
		return objects.Unproven(err)
	}
	err = objects.Poll(ctx, r.timeout(), r.interval(), func(ctx context.Context) (bool, string, error) {
		now, err := objects.Get[workload](ctx, r.place(), w.kind.gvr, w.Name)
		switch {
		case err != nil:
			return false, "", err
		case now.Generation < wrote.Generation:
			return false, "the restart is not yet visible", nil // an API server that lags behind
		case now.UID != wrote.UID || now.stamp() != stamp:
			return true, "", fmt.Errorf("%w: %w: somebody replaced the pod template after the restart; the next run looks again", rotate.ErrUnproven, rotate.ErrConflict)
		}
		return r.seen(consumer{w.kind, now})
	})
	if err != nil && errors.Is(err, rotate.ErrUnproven) && ctx.Err() == nil {
		if who := r.crashing(ctx, wrote.Spec.Selector, stamp); who != "" {
			return fmt.Errorf("the pods of the restart crash (%s), and the rollout is not done: %s", who, strings.TrimPrefix(err.Error(), rotate.ErrUnproven.Error()+": "))
		}
	}
	return err
}

// seen is the verdict on one look at a workload whose rollout is waited for.
func (r *Rollout) seen(w consumer) (bool, string, error) {
	if why := w.hindrance(w.kind); why != "" {
		return true, "", fmt.Errorf("%w: not verified: %s", rotate.ErrUnproven, why)
	}
	if w.empty(w.kind) {
		return true, "", fmt.Errorf("%w: not verified: no replicas", rotate.ErrUnproven)
	}
	done, progress, err := w.judge(w.kind)
	return done || err != nil, progress, err
}

// restartPatch changes the pod template as kubectl rollout restart does, and says for which token.
func restartPatch(stamp, token string) map[string]any {
	notes := map[string]any{stampKey: stamp}
	if token != "" {
		notes[objects.TokenKey] = token
	}
	return map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": notes}}}}
}

// crashing names a pod of the restart whose container crashes; "" if there is none, or that cannot be seen.
func (r *Rollout) crashing(ctx context.Context, selector metav1.LabelSelector, stamp string) string {
	pods, err := r.pods(ctx, selector)
	if err != nil {
		return ""
	}
	for _, p := range pods {
		if c := p.Crash(); c != "" && p.Annotations[stampKey] == stamp {
			return "container " + c + " of pod " + p.Name
		}
	}
	return ""
}

// pods lists the pods of a workload that are not being deleted.
func (r *Rollout) pods(ctx context.Context, selector metav1.LabelSelector) ([]objects.Pod, error) {
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil || s.Empty() {
		return nil, fmt.Errorf("%w: the selector of the workload is not understood", rotate.ErrConfig)
	}
	all, err := objects.List[objects.Pod](ctx, r.place(), objects.Pods, s.String())
	var live []objects.Pod
	for _, p := range all {
		if !p.Leaving() {
			live = append(live, p)
		}
	}
	return live, err
}

// held waits until the Secret holds the credential, and returns when it was last changed, by the API server's clock.
func (r *Rollout) held(ctx context.Context, secret rotate.Secret) (time.Time, error) {
	if secret.IsZero() {
		return time.Time{}, fmt.Errorf("%w: the credential is not known in this run, so that it cannot be seen whether the Secret %s holds it", rotate.ErrUnproven, r.Secret)
	}
	var since time.Time
	err := objects.Poll(ctx, r.timeout(), r.interval(), func(ctx context.Context) (bool, string, error) {
		s, err := objects.Get[secretObject](ctx, r.place(), objects.Secrets, r.Secret)
		if err != nil {
			return false, "", err
		}
		if !s.holds(secret) {
			return false, "the Secret " + r.Secret + " does not hold the credential", nil
		}
		if since = s.changed(); since.IsZero() {
			return true, "", fmt.Errorf("%w: the Secret %s does not say when it was changed (managedFields), so that it cannot be seen which pods started after that; use restart: true", rotate.ErrUnproven, r.Secret)
		}
		return true, "", nil
	})
	return since, err
}

// secretObject is what is looked at of a Secret. It must not be printed.
type secretObject struct {
	metav1.ObjectMeta `json:"metadata"`
	Data              map[string][]byte
}

// holds reports whether the credential is in the Secret, alone or inside a file of configuration.
func (s secretObject) holds(secret rotate.Secret) bool {
	for _, v := range s.Data {
		if strings.Contains(string(v), secret.Reveal()) {
			return true
		}
	}
	return false
}

// changed returns when the data was last changed; zero if that is not known. A manager's time moves when a value
// that it owns changes (kubernetes.io, "Server-Side Apply", field management).
func (s secretObject) changed() time.Time {
	last := s.CreationTimestamp.Time
	known := false
	for _, m := range s.ManagedFields {
		var fields map[string]json.RawMessage
		if m.Time == nil || m.FieldsV1 == nil || json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, ok := fields["f:data"]; !ok {
			continue
		}
		known = true
		if m.Time.After(last) {
			last = m.Time.Time
		}
	}
	if !known {
		return time.Time{}
	}
	return last
}

// await waits until a rollout that somebody else started is done, and every container started after since.
func (r *Rollout) await(ctx context.Context, w consumer, since time.Time) error {
	return objects.Poll(ctx, r.timeout(), r.interval(), func(ctx context.Context) (bool, string, error) {
		now, err := objects.Get[workload](ctx, r.place(), w.kind.gvr, w.Name)
		if err != nil {
			return false, "", err
		}
		c := consumer{w.kind, now}
		if final, progress, err := r.seen(c); !final || err != nil {
			return final, progress, err
		}
		pods, err := r.pods(ctx, now.Spec.Selector)
		if err != nil {
			return false, "", err
		}
		fresh := 0
		for _, p := range pods {
			if startedAfter(p, since) {
				fresh++
			}
		}
		if fresh < len(pods) || fresh == 0 {
			return false, fmt.Sprintf("%d of %d pods started after the Secret %s was changed; see that Reloader or its like restarts them, or use restart: true", fresh, len(pods), r.Secret), nil
		}
		return true, "", nil
	})
}

// startedAfter reports whether every container of the pod started later than the time, in whole seconds.
func startedAfter(p objects.Pod, since time.Time) bool {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running == nil || !c.State.Running.StartedAt.After(since) {
			return false
		}
	}
	return len(p.Status.ContainerStatuses) > 0 && len(p.Status.ContainerStatuses) == len(p.Spec.Containers)
}
