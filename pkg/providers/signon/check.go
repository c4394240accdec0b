package signon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"

	"github.com/remint-dev/remint/pkg/rotate"
)

// right is a right in the cluster.
type right struct{ verb, group, resource, name string }

// Check implements [rotate.Checker]: the rights in the cluster; that the API user and the application are there, alone
// under their names and alive; that a new token would be the one which Signon hands out; and that the application's
// credentials are accepted. Nothing is changed.
func (p *Provider) Check(ctx context.Context) error { return p.fault("check", p.check(ctx)) }

func (p *Provider) check(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	need := []right{{"get", "", "secrets", p.appSecret()}, {"list", "", "pods", ""}}
	if p.Via == viaJob {
		need = append(need, right{"get", "batch", "cronjobs", cmp.Or(p.CronJob, defaultCronJob)}, right{"create", "batch", "jobs", ""},
			right{"get", "batch", "jobs", ""}, right{"get", "", "pods/log", ""})
	} else {
		need = append(need, right{"get", "apps", "deployments", cmp.Or(p.Deployment, defaultDeployment)}, right{"create", "", "pods/exec", ""})
	}
	var errs []error
	for _, r := range need {
		errs = append(errs, p.Cluster.Permitted(ctx, r.verb, r.group, r.resource, p.namespace(), r.name))
	}
	if errors.Join(errs...) != nil { // what follows would say the same in other words
		return errors.Join(errs...)
	}
	if _, err := p.ask(ctx, request{Verb: verbCheck}); err != nil {
		return err
	}
	c, err := p.credentials(ctx)
	if err != nil {
		return err
	}
	_, _, err = p.introspect(ctx, c, rotate.NewSecret(rand.Text()))
	return err
}
