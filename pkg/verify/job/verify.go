package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

const (
	tailLines = 20      // of the log of a Job that did not pass
	tailBytes = 1500    // of these lines
	logBytes  = 1 << 18 // that are read for them
)

// Verify implements [rotate.Verifier]. It does without the secret.
func (r *Run) Verify(ctx context.Context, c rotate.Credential) error {
	return r.fault("verify", r.verify(ctx, c))
}

func (r *Run) verify(ctx context.Context, c rotate.Credential) error {
	if err := r.Validate(); err != nil {
		return objects.Unproven(err)
	}
	cron, err := objects.Get[cronJob](ctx, r.place(), objects.CronJobs, r.CronJob)
	if err != nil {
		return objects.Unproven(err)
	}
	if cron.stuck() {
		return objects.Unproven(r.stuck())
	}
	j, err := r.begin(ctx, cron, c.ID)
	if err != nil {
		return objects.Unproven(err)
	}
	return r.follow(ctx, j, c.Secret)
}

// begin takes up the Job of a run that was killed, or creates one.
func (r *Run) begin(ctx context.Context, cron cronJob, token string) (batchJob, error) {
	r.mu.Lock()
	first := !r.ran
	r.ran = true
	r.mu.Unlock()
	if first {
		all, err := objects.List[batchJob](ctx, r.place(), objects.Jobs, objects.TokenKey)
		if err != nil {
			return batchJob{}, err
		}
		// The newest of any token, since one for another token means that something else was written meanwhile.
		if j, ok := newest(all, cron); ok && j.Labels[objects.TokenKey] == label(token) && !j.is("Failed") && time.Since(j.CreationTimestamp.Time) < r.timeout() {
			return j, nil
		}
	}
	return r.create(ctx, newJob(cron, token, objects.Or(r.Keep, defaultKeep)))
}

// create creates the Job. If the answer is lost, it looks for it by its name, which nobody else has.
func (r *Run) create(ctx context.Context, job map[string]any) (batchJob, error) {
	j, err := objects.Create[batchJob](ctx, r.place(), objects.Jobs, job)
	if err == nil || !errors.Is(err, rotate.ErrTemporary) || ctx.Err() != nil {
		return j, err
	}
	name := job["metadata"].(map[string]any)["name"].(string)
	for range 3 {
		if httpx.Sleep(ctx, r.interval()) != nil {
			break
		}
		j, look := objects.Get[batchJob](ctx, r.place(), objects.Jobs, name)
		if look == nil {
			return j, nil
		}
		if errors.Is(look, rotate.ErrNotFound) {
			return j, fmt.Errorf("no Job was made: %w", err)
		}
	}
	return j, fmt.Errorf("whether the Job %s was made is not known: %w", name, err)
}

// follow waits for the end of the Job.
func (r *Run) follow(ctx context.Context, j batchJob, secret rotate.Secret) error {
	var last batchJob
	err := objects.Poll(ctx, r.timeout(), r.interval(), func(ctx context.Context) (bool, string, error) {
		now, err := objects.Get[batchJob](ctx, r.place(), objects.Jobs, j.Name)
		if err != nil {
			return false, "", err
		}
		last = now
		switch {
		case now.UID != j.UID:
			return true, "", fmt.Errorf("%w: %w: the Job %s was replaced by another of its name", rotate.ErrUnproven, rotate.ErrConflict, j.Name)
		case now.is("Complete"):
			return true, "", nil
		case now.is("Failed"):
			c := objects.Find(now.Status.Conditions, "Failed")
			return true, "", fmt.Errorf("the Job %s failed: %s", j.Name, objects.Shown(c.Reason+": "+c.Message, secret, 200))
		case now.is("Suspended"):
			return false, fmt.Sprintf("the Job %s is suspended", j.Name), nil
		}
		return false, fmt.Sprintf("the Job %s is not done (%d active, %d failed)", j.Name, now.Status.Active, now.Status.Failed), nil
	})
	if err == nil || ctx.Err() != nil || last.Name == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, r.tail(ctx, j.Name, secret))
}

// tail is the end of the log of the Job's last pod, fit to be shown, or why there is none.
func (r *Run) tail(ctx context.Context, job string, secret rotate.Secret) string {
	pods, err := objects.List[objects.Pod](ctx, r.place(), objects.Pods, "job-name="+job)
	if err != nil {
		return fmt.Sprintf("its log cannot be shown: %v", err)
	}
	if len(pods) == 0 {
		return "it has no pod whose log could be shown"
	}
	last := pods[0]
	for _, p := range pods {
		if p.CreationTimestamp.After(last.CreationTimestamp.Time) {
			last = p
		}
	}
	container := last.Crash()
	if container == "" && len(last.Spec.Containers) > 0 {
		container = last.Spec.Containers[0].Name
	}
	text, err := r.place().Log(ctx, last.Name, container, objects.Slice{Tail: tailLines, Bytes: logBytes})
	switch shown := objects.Shown(text, secret, tailBytes); {
	case err != nil:
		return fmt.Sprintf("the log of its pod %s cannot be shown: %v", last.Name, err)
	case shown == "":
		return "its pod " + last.Name + " logged nothing"
	default:
		return "the end of the log of its pod " + last.Name + ": " + shown
	}
}
