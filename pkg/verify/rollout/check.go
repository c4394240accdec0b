package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// Check implements [rotate.Checker]: the rights, the workloads, and whether a rollout of them could begin. What may be
// over until it is due (no replicas, a partition) is a warning.
func (r *Rollout) Check(ctx context.Context) error {
	if err := r.Validate(); err != nil {
		return r.fault("check", err)
	}
	at := r.place()
	var errs []error
	k, name := r.named()
	if name != "" {
		errs = append(errs, at.May(ctx, "get", k.gvr, name))
	} else {
		for _, k := range []kind{deployment, statefulSet, daemonSet} {
			errs = append(errs, at.May(ctx, "list", k.gvr, ""))
		}
	}
	if !r.Restart {
		errs = append(errs, at.May(ctx, "get", objects.Secrets, r.Secret), at.May(ctx, "list", objects.Pods, ""))
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, r.checkConsumers(ctx))
	} else if name != "" && r.Restart {
		errs = append(errs, at.May(ctx, "patch", k.gvr, name))
	}
	return r.fault("check", errors.Join(errs...))
}

func (r *Rollout) checkConsumers(ctx context.Context) error {
	found, err := r.consumers(ctx)
	if err != nil {
		if _, name := r.named(); name != "" && r.Restart {
			return errors.Join(err, r.mayRestart(ctx, name))
		}
		return err
	}
	if len(found) == 0 {
		return r.nobody()
	}
	var errs []error
	empty := 0
	for _, c := range found {
		if r.Restart {
			errs = append(errs, r.place().May(ctx, "patch", c.kind.gvr, c.Name))
		}
		why := c.hindrance(c.kind)
		switch {
		case r.Secret != "" && !c.Spec.Template.Spec.reads(r.Secret):
			errs = append(errs, fmt.Errorf("%w: the pods of %s do not read the Secret %s", rotate.ErrConfig, c, r.Secret))
		case c.kind == deployment && why != "":
			errs = append(errs, fmt.Errorf("%w: %s: %s", rotate.ErrConflict, c, why))
		case why != "":
			r.warnings.Add("%s: %s; as it is, nothing will be proven and nothing revoked", c, why)
		case c.empty(c.kind):
			empty++
		}
	}
	if empty == len(found) {
		r.warnings.Add("no replicas; as it is, nothing will be proven and nothing revoked")
	}
	return errors.Join(errs...)
}

// mayRestart asks for the right to restart the workload that is named.
func (r *Rollout) mayRestart(ctx context.Context, name string) error {
	k, _ := r.named()
	return r.place().May(ctx, "patch", k.gvr, name)
}

func (r *Rollout) nobody() error {
	return fmt.Errorf("%w: no Deployment, StatefulSet or DaemonSet in namespace %s reads the Secret %s; see that both names are right, or name the workload", rotate.ErrNotFound, r.place().Scope(), r.Secret)
}
