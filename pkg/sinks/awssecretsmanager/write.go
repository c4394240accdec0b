package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file writes. The order, each step safe to be the last:
//
//  1. read AWSCURRENT and remember its version;
//  2. put the new value as a version with an id derived from the token, under a label of our own: nobody reads it;
//  3. move AWSCURRENT from the remembered version to the new one. If somebody moved it meanwhile, the
//     service refuses, and everything starts again from 1 with what is there now;
//  4. take our label off, wait for replicas, read back.
//
// A run that was killed after 2 finds its version again by the id. An error code alone never decides that
// there was a conflict, since a lost answer followed by the SDK's own retry looks the same: 1 does.

const (
	// rounds is how often a write starts over because others write at the same time.
	rounds = 4
	// looks is how often a read-back that still shows the old version is repeated.
	looks = 4
)

// swap is what a write did to AWSCURRENT.
type swap struct{ to, from string }

// Write implements [rotate.Sink]. If the secret holds the value already, but in a version that does not
// say so, it is written once more: from then on one DescribeSecret knows it.
func (s *Secret) Write(ctx context.Context, c rotate.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accept(c); err != nil {
		return s.fault("write", err)
	}
	if s.Keeps() {
		return s.fault("write", s.everywhere(ctx, s.kept().Write(ctx, c)))
	}
	return s.fault("write", s.write(ctx, c))
}

func (s *Secret) write(ctx context.Context, c rotate.Credential) error {
	var refused error // why AWSCURRENT was not moved, and from which version
	var from string
	for range rounds {
		now, err := s.look(ctx)
		if err != nil {
			return err
		}
		if refused != nil && now.id == from {
			return refused // nobody else moved it, so that was not the reason
		}
		doc, err := s.compose(now, c.Secret)
		if err != nil {
			return err
		}
		same := now.id != "" && doc == now.text
		ids := versionIDs(now.arn, s.Key, c.Token)
		if same && (ids == nil || slices.Contains(ids, now.id)) {
			return s.finish(ctx, now.id, now.labels)
		}
		if ids == nil {
			ids = randomID()
		}
		id, labels, err := s.put(ctx, ids, doc)
		if err != nil {
			return err
		}
		if id == "" { // every id of this token is taken
			if same {
				return s.finish(ctx, now.id, now.labels)
			}
			return fmt.Errorf("%w: token %s has %d versions with other neighbours already; a fresh token is needed", rotate.ErrLimit, c.ID, maxIDs)
		}
		s.undo = &swap{to: id, from: now.id}
		if !slices.Contains(labels, current) {
			err = s.move(ctx, current, id, now.id)
			if refusal(err) {
				refused, from = s.explain("UpdateSecretVersionStage", err), now.id
				continue
			}
			if err != nil {
				return s.explain("UpdateSecretVersionStage", err)
			}
		}
		if err := s.finish(ctx, id, labels); err != nil {
			return err
		}
		return s.readBack(ctx, c.Secret, id, now.id)
	}
	return fmt.Errorf("%w: somebody else wrote it %d times while this was being written; see what else writes this secret", rotate.ErrConflict, rounds)
}

// compose returns the whole text that the secret is to hold.
func (s *Secret) compose(now sight, secret rotate.Secret) (string, error) {
	doc := secret.Reveal()
	if s.Key != "" {
		text := now.text
		if now.id == "" && s.CreateKey {
			text = "{}"
		}
		held, err := s.valueIn(now)
		if err != nil {
			return "", err
		}
		if now.id != "" && held == doc {
			return now.text, nil // it may be escaped in another manner than ours
		}
		if doc, err = splice(text, s.Key, doc, s.CreateKey); err != nil {
			return "", err
		}
	}
	if err := fits(doc); err != nil {
		return "", err
	}
	return doc, nil
}

// fits refuses a text that is too long for a secret.
func fits(doc string) error {
	if len(doc) > MaxValue {
		return fmt.Errorf("%w: with the new value the secret would have %d bytes, %d are allowed", rotate.ErrLimit, len(doc), MaxValue)
	}
	return nil
}

// refusal reports whether the service refused to move a label, for whatever reason. Which code a failed
// compare-and-swap has is not documented.
func refusal(err error) bool {
	switch awsaccess.Code(err) {
	case "InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException":
		return true
	}
	return false
}

// put makes the version, or finds it, and returns its id and labels; "" if every id holds other data.
func (s *Secret) put(ctx context.Context, ids []string, doc string) (string, []string, error) {
	for _, id := range ids {
		out, err := s.api.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &s.Secret, ClientRequestToken: &id, SecretString: &doc, VersionStages: []string{s.label(pendingLabel)},
		})
		var exists *types.ResourceExistsException
		switch {
		case errors.As(err, &exists):
			continue
		case err != nil:
			return "", nil, s.explain("PutSecretValue", err)
		}
		return id, out.VersionStages, nil
	}
	return "", nil, nil
}

// move moves a label. The version that has it must be named; "" says that none has.
func (s *Secret) move(ctx context.Context, label, to, from string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.Secret, VersionStage: &label}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	_, err := s.api.UpdateSecretVersionStage(ctx, in)
	return err
}

// finish takes our own label off a version that has become current, and waits for the replicas.
func (s *Secret) finish(ctx context.Context, id string, labels []string) error {
	if err := s.unlabel(ctx, id, labels); err != nil {
		return err
	}
	return s.replicas(ctx)
}

// unlabel takes our own label off.
func (s *Secret) unlabel(ctx context.Context, id string, labels []string) error {
	if label := s.label(pendingLabel); slices.Contains(labels, label) {
		// The next write takes it along if this fails, so it is no reason to call a written secret unwritten.
		// A refusal of the label itself means that it is not there.
		if err := s.move(ctx, label, "", id); err != nil && !refusal(err) {
			if ctx.Err() != nil {
				return s.explain("UpdateSecretVersionStage", err)
			}
			s.warnings.Add("the staging label %s stays on version %s: %v", label, id, s.explain("UpdateSecretVersionStage", err))
		}
	}
	return nil
}

// replicas waits until every replica region holds what the primary holds. Without replicas, as
// DescribeSecret said earlier in this process, it asks nothing.
func (s *Secret) replicas(ctx context.Context) error {
	if s.replicated != nil && !*s.replicated {
		return nil
	}
	deadline := time.Now().Add(s.patience())
	for {
		out, err := s.describe(ctx)
		if err != nil {
			return err
		}
		behind := ""
		for _, r := range out.ReplicationStatus {
			switch r.Status {
			case types.StatusTypeInSync:
			case types.StatusTypeFailed:
				return fmt.Errorf("%w: the replica in %s failed: %s", rotate.ErrTemporary, aws.ToString(r.Region), clean(aws.ToString(r.StatusMessage)))
			default:
				behind = aws.ToString(r.Region)
			}
		}
		if behind == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: the replica in %s was not in sync after %s", rotate.ErrTemporary, behind, s.patience())
		}
		if err := httpx.Sleep(ctx, s.Wait()); err != nil {
			return err
		}
	}
}

// readBack reads what consumers read and compares. A version that another writer made on top of ours is
// right too if it has the value.
func (s *Secret) readBack(ctx context.Context, want rotate.Secret, id, replaced string) error {
	for n := 1; ; n++ {
		now, err := s.look(ctx)
		if err != nil {
			return err
		}
		text, err := s.valueIn(now)
		if err != nil {
			return err
		}
		if rotate.NewSecret(text).Equal(want) {
			return nil
		}
		if now.id != replaced && now.id != id {
			return fmt.Errorf("%w: somebody else wrote it just after this was written (version %s)", rotate.ErrConflict, now.id)
		}
		if n == looks {
			return fmt.Errorf("%w: what was written is not what is read back (version %s)", rotate.ErrTemporary, now.id)
		}
		if err := httpx.Sleep(ctx, s.Wait()); err != nil {
			return err
		}
	}
}

// Undo implements [rotate.Undoer]: AWSCURRENT goes back to the version that the last write took it from,
// unless somebody moved it since. The label of a verification stays on the version it was put on, and so
// comes back with it. With previous, value and former value change places in a version of their own.
func (s *Secret) Undo(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		return s.fault("undo", s.everywhere(ctx, s.kept().Undo(ctx)))
	}
	u := s.undo
	switch {
	case u == nil:
		return s.fault("undo", fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict))
	case u.from == "":
		return s.fault("undo", fmt.Errorf("%w: it held nothing before, and the service cannot take AWSCURRENT away again", rotate.ErrConflict))
	}
	err := s.move(ctx, current, u.from, u.to)
	if refusal(err) {
		// A lost answer that the SDK repeated looks like somebody else's change. The stages tell.
		out, derr := s.describe(ctx)
		if derr != nil {
			return s.fault("undo", derr)
		}
		switch id, _ := currentVersion(out); id {
		case u.from:
			err = nil
		case u.to:
		default:
			return s.fault("undo", fmt.Errorf("%w: somebody else wrote it since (version %s), so it was not put back", rotate.ErrConflict, id))
		}
	}
	if err != nil {
		return s.fault("undo", s.explain("UpdateSecretVersionStage", err))
	}
	s.undo = nil
	return s.fault("undo", s.replicas(ctx))
}
