package podlogs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// Check implements [rotate.Checker]: the rights, and that there is what is looked at.
func (l *Logs) Check(ctx context.Context) error { return l.fault("check", l.check(ctx)) }

func (l *Logs) check(ctx context.Context) error {
	if err := l.Validate(); err != nil {
		return err
	}
	log := objects.Pods
	log.Resource += "/log"
	at := l.place()
	errs := []error{at.May(ctx, "list", objects.Pods, ""), at.May(ctx, "get", log, "")}
	if l.Deployment != "" {
		errs = append(errs, at.May(ctx, "get", objects.Deployments, l.Deployment))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	pods, err := l.pods(ctx)
	if err == nil && len(pods) == 0 {
		l.warnings.Add("there is no pod now; without one nothing will be proven and nothing revoked")
	}
	return err
}

// Verify implements [rotate.Verifier]. It does without the secret, but then cannot keep it out of the refused line.
func (l *Logs) Verify(ctx context.Context, c rotate.Credential) error {
	return l.fault("verify", l.verify(ctx, c))
}

func (l *Logs) verify(ctx context.Context, c rotate.Credential) error {
	p, err := l.prepare()
	if err != nil {
		return objects.Unproven(err)
	}
	began := time.Now()
	r := &reader{place: l.place(), since: l.since(c.Token, began), at: map[string]*cursor{}, warnings: &l.warnings}
	defer func() {
		l.mu.Lock()
		l.last = time.Now()
		l.mu.Unlock()
	}()
	missing := p.require
	return objects.Poll(ctx, l.timeout(), l.interval(), func(ctx context.Context) (bool, string, error) {
		pods, err := l.pods(ctx)
		if err != nil {
			return false, "", err
		}
		var refused error
		read := 0
		for _, pod := range pods {
			started, err := r.read(ctx, pod, l.Container, func(container, line string) error {
				for _, re := range p.refuse {
					if re.MatchString(line) {
						refused = fmt.Errorf("pod %s, container %s logs what must not be logged (%s): %s", pod.Name, container, httpx.Clean(re.String(), 80), objects.Shown(line, c.Secret, 300))
						return refused
					}
				}
				missing = without(missing, line)
				return nil
			})
			switch {
			case refused != nil:
				return true, "", refused
			case err != nil:
				return false, "", err
			case started:
				read++
			}
		}
		switch {
		case len(pods) == 0:
			return false, "there is no pod", nil
		case read < len(pods):
			return false, fmt.Sprintf("the logs of %d of %d pods can be read", read, len(pods)), nil
		case len(missing) > 0:
			return false, fmt.Sprintf("no line of %d pods matches require (%s)", len(pods), httpx.Clean(missing[0].String(), 80)), nil
		case time.Since(began) < l.watch():
			return false, "no refused line yet", nil
		}
		return true, "", nil
	})
}

// since is the time before which lines are not of this credential's time.
func (l *Logs) since(t rotate.Token, began time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := t.Created
	if from.IsZero() {
		from = began
	}
	if l.last.After(from) {
		from = l.last
	}
	return from
}

// without leaves out the patterns that the line matches.
func without(all []*regexp.Regexp, line string) []*regexp.Regexp {
	var left []*regexp.Regexp
	for _, re := range all {
		if !re.MatchString(line) {
			left = append(left, re)
		}
	}
	return left
}
