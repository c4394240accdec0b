package lab

import (
	"errors"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/providers/cloudflare"
	providercommand "github.com/remint-dev/remint/pkg/providers/command"
	"github.com/remint-dev/remint/pkg/providers/fastly"
	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/providers/random"
	"github.com/remint-dev/remint/pkg/providers/signon"
	"github.com/remint-dev/remint/pkg/providers/tailscale"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/awssecretsmanager"
	sinkcommand "github.com/remint-dev/remint/pkg/sinks/command"
	"github.com/remint-dev/remint/pkg/sinks/file"
	"github.com/remint-dev/remint/pkg/sinks/forgejo"
	"github.com/remint-dev/remint/pkg/sinks/github"
	"github.com/remint-dev/remint/pkg/sinks/kubernetessecret"
	"github.com/remint-dev/remint/pkg/sinks/onepassword"
	"github.com/remint-dev/remint/pkg/sinks/signonsync"
	"github.com/remint-dev/remint/pkg/sinks/ssm"
	"github.com/remint-dev/remint/pkg/sinks/vault"
	"github.com/remint-dev/remint/pkg/verify/argocd"
	"github.com/remint-dev/remint/pkg/verify/command"
	"github.com/remint-dev/remint/pkg/verify/dispatch"
	"github.com/remint-dev/remint/pkg/verify/externalsecret"
	"github.com/remint-dev/remint/pkg/verify/httpcheck"
	"github.com/remint-dev/remint/pkg/verify/job"
	"github.com/remint-dev/remint/pkg/verify/podlogs"
	"github.com/remint-dev/remint/pkg/verify/prometheus"
	"github.com/remint-dev/remint/pkg/verify/rollout"
)

// This file is the list of what is emulated: a new emulation is one line in each switch it belongs to.

// fit finds the emulation of every adapter of a rotation.
func (l *Lab) fit(r *config.Rotation) (*rotation, error) {
	x := &rotation{Rotation: r}
	var errs []error
	cannot := func(a any) {
		name := fmt.Sprintf("%s", a)
		for _, known := range r.Adapters {
			if known.Value == a {
				name = fmt.Sprintf("%s (line %d, %s)", known.Name, known.Line, known.Key)
			}
		}
		errs = append(errs, fmt.Errorf("%w: rehearse cannot emulate %s; leave this rotation out with --only", rotate.ErrConfig, name))
	}
	switch p := r.Provider.(type) {
	case *fly.Provider:
		x.mint = l.fitFly(p)
	case *fastly.Provider:
		x.mint = l.fitFastly(p)
	case *signon.Provider:
		x.mint = l.fitSignon(p)
	case *cloudflare.Provider:
		x.mint = l.fitCloudflare(p)
	case *tailscale.Provider:
		x.mint = l.fitTailscale(p)
	case *random.Provider:
		x.mint = l.fitRandom(x, p)
	case interface {
		Configured() *providercommand.Provider
	}:
		x.mint = l.fitProvider(x, p.Configured())
	default:
		cannot(p)
	}
	for i, s := range r.Sinks {
		var made *sink
		switch s := s.(type) {
		case *github.Secret:
			made = l.fitGitHub(s)
		case *forgejo.Secret:
			made = l.fitForgejo(s)
		case *file.File:
			var err error
			var in *practice
			if made, in, err = l.fitFile(s); err != nil {
				errs = append(errs, err)
				break
			}
			replace(r, s, in)
			r.Sinks[i] = in
		case *ssm.Parameter:
			made = l.fitSSM(s)
		case *awssecretsmanager.Secret:
			var err error
			if made, err = l.fitAWS(s); err != nil {
				errs = append(errs, err)
			}
		case *onepassword.Field:
			made = l.fitOnePassword(s)
		case *vault.Secret:
			made = l.fitVault(s)
		case *kubernetessecret.Secret:
			made = l.fitSecret(s)
		case *signonsync.Sync:
			if made = l.fitSignonSync(x, s); made == nil {
				cannot(s)
			}
		case interface{ Configured() *sinkcommand.Sink }:
			made = l.fitSink(x, i, s.Configured())
		default:
			cannot(s)
		}
		x.sinks = append(x.sinks, made)
	}
	verifiers := func(list []rotate.Verifier) (made []*verifier) {
		for i, v := range list {
			var y *verifier
			switch v := v.(type) {
			case *dispatch.Workflow:
				y = l.fitDispatch(x, v)
			case *httpcheck.Request:
				y = l.fitHTTP(x, v)
			case *command.Program:
				y = l.fitCommand(x, v)
				list[i] = y.instead
				replace(r, v, y.instead)
			case *externalsecret.Sync:
				y = l.fitExternalSecret(x, v)
			case *rollout.Rollout:
				y = l.fitRollout(x, v)
			case *job.Run:
				y = l.fitJob(x, v)
			case *podlogs.Logs:
				y = l.fitLogs(x, v)
			case *argocd.Application:
				y = l.fitArgoCD(x, v)
			case *prometheus.Query:
				y = l.fitPrometheus(x, v)
			default:
				cannot(v)
			}
			made = append(made, y)
		}
		return made
	}
	verifiers(r.Prove)
	x.verify = verifiers(r.Verify)
	return x, errors.Join(errs...)
}

// replace puts another adapter in the place of one.
func replace(r *config.Rotation, old, instead any) {
	for i := range r.Adapters {
		if r.Adapters[i].Value == old {
			r.Adapters[i].Value = instead
		}
	}
}

// situate decides which forge `somewhere` is, for each adapter that is there: a rotation's workflow runs where
// its secrets are.
func (l *Lab) situate(c *config.Config) {
	type home struct{ url, repository string }
	usual := home{url: hubURL}
	homes := make([]home, len(c.Rotations))
	for i, r := range c.Rotations {
		for _, s := range r.Sinks {
			var at home
			switch s := s.(type) {
			case *github.Secret:
				if s.URL == somewhere {
					s.URL = hubURL
				}
				at = home{s.URL, s.Repository}
				if at.url == "" {
					at.url = hubURL
				}
			case *forgejo.Secret:
				if s.URL == somewhere {
					s.URL = forgeURL
				}
				at = home{strings.TrimSuffix(strings.TrimRight(s.URL, "/"), "/api/v1") + "/api/v1", s.Repository}
			}
			if homes[i].url == "" {
				homes[i] = at
			}
		}
		if homes[i].url != "" && usual.url == hubURL {
			usual.url = homes[i].url
		}
	}
	for i, r := range c.Rotations {
		at := homes[i]
		if at.url == "" {
			at = usual
		}
		for _, a := range r.Adapters {
			w, ok := a.Value.(*dispatch.Workflow)
			if !ok {
				continue
			}
			if l.getenv("GITHUB_REPOSITORY") == "" && w.Repository == repository && at.repository != "" {
				w.Repository, w.RunnerRepository = at.repository, at.repository
			}
			isForge := strings.HasSuffix(at.url, "/api/v1")
			switch {
			case w.URL != somewhere:
			case w.Forge == "forgejo" && !isForge:
				w.URL = forgeURL + "/api/v1"
			case w.Forge == "github" && isForge:
				w.URL = hubURL
			default:
				w.URL = at.url
			}
			if w.RunnerURL == somewhere {
				w.RunnerURL = w.URL
			}
		}
	}
}
