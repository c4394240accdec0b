package rollout

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// This file finds the workloads whose pods read a Secret.

// podSpec is where a pod template may name a Secret that its containers read. What only the kubelet reads, such as
// imagePullSecrets, is not in it: no restart makes it take up anything.
type podSpec struct {
	Containers, InitContainers []struct {
		Env []struct {
			ValueFrom struct{ SecretKeyRef struct{ Name string } }
		}
		EnvFrom []struct{ SecretRef struct{ Name string } }
	}
	Volumes []struct {
		Secret    struct{ SecretName string }
		Projected struct {
			Sources []struct{ Secret struct{ Name string } }
		}
	}
}

// reads reports whether a container of the pod reads the Secret.
func (p podSpec) reads(secret string) bool {
	for _, c := range slices.Concat(p.InitContainers, p.Containers) {
		for _, e := range c.Env {
			if e.ValueFrom.SecretKeyRef.Name == secret {
				return true
			}
		}
		for _, e := range c.EnvFrom {
			if e.SecretRef.Name == secret {
				return true
			}
		}
	}
	for _, v := range p.Volumes {
		if v.Secret.SecretName == secret {
			return true
		}
		for _, s := range v.Projected.Sources {
			if s.Secret.Name == secret {
				return true
			}
		}
	}
	return false
}

// consumer is a workload by kind.
type consumer struct {
	kind kind
	workload
}

func (c consumer) String() string { return c.kind.word + "/" + c.Name }

// consumers returns the workload that is named, or all that read the Secret, Deployments first and then by name.
func (r *Rollout) consumers(ctx context.Context) ([]consumer, error) {
	if k, name := r.named(); name != "" {
		w, err := objects.Get[workload](ctx, r.place(), k.gvr, name)
		if err != nil {
			return nil, err
		}
		return []consumer{{k, w}}, nil
	}
	var found []consumer
	var errs []error
	for _, k := range []kind{deployment, statefulSet, daemonSet} {
		all, err := objects.List[workload](ctx, r.place(), k.gvr, "")
		errs = append(errs, err)
		slices.SortFunc(all, func(a, b workload) int { return cmp.Compare(a.Name, b.Name) })
		for _, w := range all {
			if w.DeletionTimestamp == nil && w.Spec.Template.Spec.reads(r.Secret) {
				found = append(found, consumer{k, w})
			}
		}
	}
	return found, errors.Join(errs...)
}
