package externalsecret

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// forceKey is the annotation by which the operator's documentation asks for a sync; any change of an annotation is one.
const forceKey = "force-sync"

// Verify implements [rotate.Verifier]. Without the secret there is nothing to compare: [rotate.ErrUnproven].
func (s *Sync) Verify(ctx context.Context, c rotate.Credential) error {
	return s.fault("verify", s.verify(ctx, c.Secret))
}

func (s *Sync) verify(ctx context.Context, secret rotate.Secret) error {
	if err := s.Validate(); err != nil {
		return objects.Unproven(err)
	}
	if secret.IsZero() {
		return fmt.Errorf("%w: the credential is not known in this run, since no sink could be read back, so that the Secret cannot be compared", rotate.ErrUnproven)
	}
	end := time.Now().Add(s.timeout())
	pause := s.interval()
	for failed := 0; ; pause = min(2*pause, 8*s.interval()) {
		err := s.once(ctx, secret, min(time.Until(end), round))
		var again *retry
		if !errors.As(err, &again) {
			return err
		}
		if again.operator {
			failed++
		}
		switch over := !time.Now().Add(pause).Before(end); {
		case failed < faults && !over && httpx.Sleep(ctx, pause) == nil:
		case ctx.Err() != nil:
			return objects.Unproven(fmt.Errorf("%w; %w", context.Cause(ctx), again.why))
		case again.idle:
			return objects.Unproven(again.why)
		default:
			return again.why
		}
	}
}

// retry is the end of one forced sync after which another is worth trying.
type retry struct {
	operator bool // the operator reports an error
	idle     bool // nothing was seen of the credential
	why      error
}

func (r *retry) Error() string { return r.why.Error() }

// once forces one sync, waits for it and compares. An error is a verdict, but for a retry.
func (s *Sync) once(ctx context.Context, secret rotate.Secret, limit time.Duration) error {
	kind, err := s.resource(ctx)
	if err != nil {
		return objects.Unproven(err)
	}
	before, err := objects.Get[external](ctx, s.place(), kind, s.Name)
	if err != nil {
		return objects.Unproven(err)
	}
	if why := before.refusal(); why != "" {
		return fmt.Errorf("%w: %w: %s", rotate.ErrUnproven, rotate.ErrConfig, why)
	}
	stamp := next(before.Annotations[forceKey], time.Now())
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]any{forceKey: stamp}}}
	if _, err = objects.Merge[external](ctx, s.place(), kind, s.Name, patch); err != nil {
		return objects.Unproven(err)
	}
	var now external
	err = objects.Poll(ctx, max(limit, time.Second), s.interval(), func(ctx context.Context) (bool, string, error) {
		x, err := objects.Get[external](ctx, s.place(), kind, s.Name)
		if err != nil {
			return false, "", err
		}
		now = x
		// An error that was not there before is the answer to our request; one that was may be old.
		failed := x.ready().Status == "False" && x.ready() != before.ready()
		return failed || x.stirred(before), "the operator did not react to the forced sync (" + forceKey + "=" + stamp + "); see that it runs and watches this namespace", nil
	})
	switch {
	case ctx.Err() != nil:
		return objects.Unproven(context.Cause(ctx))
	case now.synced(before):
		return s.compare(ctx, now.target(), secret)
	case now.ready().Status == "False":
		return &retry{operator: true, why: fmt.Errorf("the operator cannot sync: %s", said(now.ready(), secret))}
	case err == nil:
		return &retry{idle: true, why: errors.New("the operator synced in the very second of an earlier sync, so that they cannot be told apart")}
	case settled(err):
		return err
	}
	return &retry{idle: true, why: err}
}

// settled reports that looking failed for good, so that another sync would show no more.
func settled(err error) bool {
	for _, kind := range []error{rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrConfig, rotate.ErrConflict} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// next is a value for the annotation that it does not have yet: the time, or one more than it was.
func next(last string, now time.Time) string {
	stamp := now.Unix()
	if n, err := strconv.ParseInt(last, 10, 64); err == nil && n >= stamp && n < stamp+int64(time.Hour/time.Second) {
		stamp = n + 1
	}
	return strconv.FormatInt(stamp, 10)
}

// compare looks whether the Secret holds the credential.
func (s *Sync) compare(ctx context.Context, name string, secret rotate.Secret) error {
	c, err := objects.Get[content](ctx, s.place(), objects.Secrets, name)
	if err != nil {
		if errors.Is(err, rotate.ErrNotFound) || errors.Is(err, rotate.ErrTemporary) {
			return &retry{idle: true, why: err}
		}
		return objects.Unproven(err)
	}
	if s.Key != "" {
		value, ok := c.Data[s.Key]
		switch {
		case !ok:
			return &retry{why: fmt.Errorf("the Secret %s has no key %q after the sync; it has %s", name, s.Key, keysOf(c))}
		case !secret.Equal(rotate.NewSecret(string(value))):
			return &retry{why: fmt.Errorf("key %s of the Secret %s does not hold the credential after the sync: the backend serves another value", s.Key, name)}
		}
		return nil
	}
	switch keys := c.equal(secret); len(keys) {
	case 0:
		return &retry{why: fmt.Errorf("no key of the Secret %s holds the credential after the sync: the backend serves another value (keys: %s)", name, keysOf(c))}
	case 1:
		return nil
	default:
		return fmt.Errorf("%w: %w: keys %s of the Secret %s hold the credential; say by key which one is read", rotate.ErrUnproven, rotate.ErrConfig, httpx.Clean(strings.Join(keys, " and "), 200), name)
	}
}
