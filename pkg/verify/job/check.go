package job

import (
	"context"
	"errors"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// Check implements [rotate.Checker]: the rights, and a CronJob whose Jobs begin. Without the rights to find and read a
// log only the log is missing: a warning.
func (r *Run) Check(ctx context.Context) error { return r.fault("check", r.check(ctx)) }

func (r *Run) check(ctx context.Context) error {
	if err := r.Validate(); err != nil {
		return err
	}
	at := r.place()
	read := at.May(ctx, "get", objects.CronJobs, r.CronJob)
	errs := []error{read}
	for _, verb := range []string{"create", "get", "list"} {
		errs = append(errs, at.May(ctx, verb, objects.Jobs, ""))
	}
	log := objects.Pods
	log.Resource += "/log"
	if err := errors.Join(at.May(ctx, "list", objects.Pods, ""), at.May(ctx, "get", log, "")); errors.Is(err, rotate.ErrDenied) {
		r.warnings.Add("should the Job fail, its log will not be shown: %v", err)
	}
	if read == nil {
		c, err := objects.Get[cronJob](ctx, at, objects.CronJobs, r.CronJob)
		errs = append(errs, err)
		if err == nil && c.stuck() {
			errs = append(errs, r.stuck())
		}
	}
	return errors.Join(errs...)
}

func (r *Run) stuck() error {
	return fmt.Errorf("%w: the Job template of the CronJob has suspend: true, so that its Jobs never begin", rotate.ErrConfig)
}
