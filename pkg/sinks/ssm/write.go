package ssm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file writes. The order, each step safe to be the last:
//
//  1. read the latest value and remember it with its version;
//  2. take our labels off older versions;
//  3. put the new value, once. If it is not known whether that took effect, start again from 1: a value that is
//     there already is not put twice;
//  4. a version that is not the next one: somebody else wrote between 1 and 3. Theirs is gone, which is a conflict;
//  5. label the version, read back.
//
// A run that was killed after 3 leaves a version without a label: nothing is known of it until its value is read.

const (
	// rounds is how often a put is tried.
	rounds = 4
	// looks is how often a read-back that still shows an older version is repeated.
	looks = 4
	// gaps is how many versions in between are looked at.
	gaps = 5
)

// change is what a write did.
type change struct {
	to     sight                  // what was put; version 0: it is not known whether it was
	from   sight                  // what it replaced; version 0: nothing was put
	about  types.ParameterHistory // of what it replaced
	labels []string               // ours, on what it replaced
}

// Write implements [rotate.Sink].
func (p *Parameter) Write(ctx context.Context, c rotate.Credential) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault("write", p.write(ctx, c))
}

func (p *Parameter) write(ctx context.Context, c rotate.Credential) error {
	if err := p.accept(c.Secret, nil); err != nil {
		return err
	}
	done, err := p.set(ctx, c.Secret, nil, func(h *history, _ sight) error {
		return errors.Join(append(p.refusals(h), p.accept(c.Secret, h))...)
	})
	if done.from.version != 0 {
		p.undo = &done
	}
	if err != nil && !errors.Is(err, errRival) {
		return err
	}
	if err := errors.Join(err, p.label(ctx, done.to.version, labelOf(c.Token))); err != nil || done.from.version == 0 {
		return err
	}
	for _, l := range done.about.Labels {
		if !ourLabel.MatchString(l) {
			p.warnings.Add("the label %s stays on version %d; consumers that read it by that label do not see version %d", l, done.from.version, done.to.version)
		}
	}
	return p.readBack(ctx, done.to)
}

// errRival says that somebody else's version was replaced.
var errRival = errors.New("a rival wrote")

// set makes the latest version hold a value, and says what it did. about is how the version is to be; nil: like the
// one it replaces. may is asked before anything is put.
func (p *Parameter) set(ctx context.Context, value rotate.Secret, about *types.ParameterHistory, may func(*history, sight) error) (change, error) {
	var done change
	for n := 1; ; n++ {
		now, err := p.value(ctx, 0)
		if err != nil {
			return done, err
		}
		if now.secret.Equal(value) {
			done.to = now
			return done, p.between(ctx, &done)
		}
		if done.from.version != 0 && now.version != done.from.version {
			return done, fmt.Errorf("%w: somebody else wrote version %d at the same time; see what else writes this parameter", rotate.ErrConflict, now.version)
		}
		h, err := p.seen(ctx, now.version)
		if err != nil {
			return done, err
		}
		if h.latest.Version > now.version && n < rounds { // one of the two answers is old
			if err := httpx.Sleep(ctx, p.Wait()); err != nil {
				return done, err
			}
			continue
		}
		if err := may(h, now); err != nil {
			return done, err
		}
		p.tidy(ctx, h)
		done = change{to: sight{0, value}, from: now, about: h.latest, labels: only(h.latest.Labels, ourLabel.MatchString)}
		as := h.latest
		if about != nil {
			as = *about
		}
		version, err := p.put(ctx, as, value)
		if err == nil {
			done.to = sight{version, value}
			return done, p.between(ctx, &done)
		}
		if !mayHeal(err) { // it was refused
			return change{}, p.explain("PutParameter", err)
		}
		if n == rounds || ctx.Err() != nil {
			return done, p.explain("PutParameter", err)
		}
		if err := httpx.Sleep(ctx, time.Duration(n)*p.Wait()); err != nil {
			return done, err
		}
	}
}

// only returns the labels that are wanted, in a list of their own.
func only(labels []string, wanted func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return !wanted(l) })
}

// mayHeal reports whether a put may succeed later: nobody refused it, or it was one too many.
func mayHeal(err error) bool {
	code := awsaccess.Code(err)
	return awsaccess.Kind(code) == rotate.ErrTemporary || strings.HasPrefix(code, "Throttling") || code == "TooManyRequestsException" || code == "RequestLimitExceeded"
}

// put puts the value as a version that is like another. It is sent once.
func (p *Parameter) put(ctx context.Context, as types.ParameterHistory, value rotate.Secret) (version int64, err error) {
	out, err := p.api.PutParameter(ctx, p.input(as, value, true), func(o *sdk.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return 0, err
	}
	return out.Version, nil
}

// input is the request that puts a value as a version that is like another.
func (p *Parameter) input(as types.ParameterHistory, value rotate.Secret, overwrite bool) *sdk.PutParameterInput {
	in := &sdk.PutParameterInput{
		Name: aws.String(p.name()), Value: aws.String(value.Reveal()), Overwrite: &overwrite, Type: as.Type, Tier: as.Tier,
		Description: as.Description, AllowedPattern: as.AllowedPattern, DataType: as.DataType,
	}
	if as.Type == types.ParameterTypeSecureString {
		in.KeyId = as.KeyId
	}
	return in
}

// tidy takes our labels off the versions before the latest. They say nothing that anybody asks for, and would keep
// the versions for ever.
func (p *Parameter) tidy(ctx context.Context, h *history) {
	for v, labels := range h.labels {
		ours := only(labels, ourLabel.MatchString)
		if v == h.latest.Version || len(ours) == 0 {
			continue
		}
		_, err := p.api.UnlabelParameterVersion(ctx, &sdk.UnlabelParameterVersionInput{Name: aws.String(p.name()), ParameterVersion: &v, Labels: ours})
		if err != nil {
			if ctx.Err() == nil {
				p.warnings.Add("the label %s stays on version %d: %v", ours[0], v, p.explain("UnlabelParameterVersion", err))
			}
			return
		}
		h.labels[v] = only(labels, func(l string) bool { return !ourLabel.MatchString(l) })
	}
}

// between looks at the versions between the one that was read and the one that was put. What holds the same value
// was our own put, of which the answer was lost. Anything else was somebody else's, and is what was replaced.
func (p *Parameter) between(ctx context.Context, done *change) error {
	if done.from.version == 0 {
		return nil
	}
	for v := done.to.version - 1; v > done.from.version && v >= done.to.version-gaps; v-- {
		theirs, err := p.value(ctx, v)
		if err != nil {
			return err
		}
		if theirs.secret.Equal(done.to.secret) {
			continue
		}
		done.from, done.labels = theirs, nil
		return fmt.Errorf("%w: %w version %d at the same time, and version %d replaced it; see what else writes this parameter", rotate.ErrConflict, errRival, v, done.to.version)
	}
	return nil
}

// readBack reads what consumers read and compares. A version that another writer made on top of ours is right too
// if it has the value.
func (p *Parameter) readBack(ctx context.Context, want sight) error {
	for n := 1; ; n++ {
		now, err := p.value(ctx, 0)
		switch {
		case err != nil:
			return err
		case now.secret.Equal(want.secret):
			return nil
		case now.version > want.version:
			return fmt.Errorf("%w: somebody else wrote version %d just after this was written as version %d", rotate.ErrConflict, now.version, want.version)
		case n == looks:
			return fmt.Errorf("%w: what was written as version %d is not what is read back (version %d)", rotate.ErrTemporary, want.version, now.version)
		}
		if err := httpx.Sleep(ctx, p.Wait()); err != nil {
			return err
		}
	}
}

// Undo implements [rotate.Undoer]: what the last write replaced is put once more, with its labels, unless somebody
// wrote since.
func (p *Parameter) Undo(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault("undo", p.takeBack(ctx))
}

func (p *Parameter) takeBack(ctx context.Context) error {
	u := p.undo
	if u == nil {
		return fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict)
	}
	done, err := p.set(ctx, u.from.secret, &u.about, func(_ *history, now sight) error {
		if now.version != u.to.version && !now.secret.Equal(u.to.secret) {
			return fmt.Errorf("%w: somebody else wrote it since (version %d), so it was not put back", rotate.ErrConflict, now.version)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.label(ctx, done.to.version, u.labels...); err != nil {
		return err
	}
	p.undo = nil
	if done.from.version == 0 {
		return nil
	}
	return p.readBack(ctx, done.to)
}
