package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads: what the secret holds by name (one DescribeSecret, no value), and its value. Every
// answer's ARN is held against the account and ARN that were configured, before anything is made of it.

// Held implements [rotate.Holder] with one request. If somebody else wrote the current version, by hand
// or for another key, Holding.Is knows no token and the value must be read.
// With previous the one request is that for the value.
func (s *Secret) Held(ctx context.Context) (rotate.Holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		h, err := s.kept().Held(ctx)
		return h, s.fault("held", err)
	}
	out, err := s.describe(ctx)
	if err != nil {
		return rotate.Holding{}, s.fault("held", err)
	}
	if out.DeletedDate != nil {
		return rotate.Holding{}, s.fault("held", deleted(out))
	}
	id, labels := currentVersion(out)
	if id == "" {
		return rotate.Holding{}, nil
	}
	arn, key := aws.ToString(out.ARN), s.Key
	return rotate.Holding{
		Is:       func(t rotate.Token) bool { return slices.Contains(versionIDs(arn, key, t), id) },
		Verified: slices.Contains(labels, s.label(verifiedLabel)),
	}, nil
}

// Read implements [rotate.Reader].
func (s *Secret) Read(ctx context.Context) (rotate.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.look(ctx)
	if err != nil {
		return rotate.Secret{}, s.fault("read", err)
	}
	text, err := s.valueIn(now)
	if err != nil {
		return rotate.Secret{}, s.fault("read", err)
	}
	s.read = now.id
	return rotate.NewSecret(text), nil
}

// Mark implements [rotate.Marker]. It puts a staging label on the current version, which must be one that
// was written with t, or the one that Read saw last. With previous the note says it, in a version of its own.
func (s *Secret) Mark(ctx context.Context, t rotate.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keeps() {
		return s.fault("mark", s.kept().Mark(ctx, t))
	}
	out, err := s.describe(ctx)
	if err != nil {
		return s.fault("mark", err)
	}
	id, labels := currentVersion(out)
	label := s.label(verifiedLabel)
	switch {
	case id == "" || !slices.Contains(versionIDs(aws.ToString(out.ARN), s.Key, t), id) && id != s.read:
		return s.fault("mark", fmt.Errorf("%w: its current version %q was not written with token %s", rotate.ErrConflict, id, t.ID))
	case slices.Contains(labels, label):
		return nil
	}
	var from *string
	for v, on := range out.VersionIdsToStages {
		if slices.Contains(on, label) {
			from = &v
		}
	}
	_, err = s.api.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &s.Secret, VersionStage: &label, MoveToVersionId: &id, RemoveFromVersionId: from,
	})
	if err != nil {
		return s.fault("mark", s.explain("UpdateSecretVersionStage", err))
	}
	return nil
}

// describe is DescribeSecret, of the right secret.
func (s *Secret) describe(ctx context.Context) (*secretsmanager.DescribeSecretOutput, error) {
	api, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	out, err := api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.Secret})
	if err != nil {
		return nil, s.explain("DescribeSecret", err)
	}
	if err := s.belongs(aws.ToString(out.ARN)); err != nil {
		return nil, err
	}
	s.replicated = aws.Bool(len(out.ReplicationStatus) > 0)
	return out, nil
}

// belongs refuses the answer about a secret that is not the configured one.
func (s *Secret) belongs(got string) error {
	a, ok := parseARN(got)
	switch {
	case !ok:
		return fmt.Errorf("%w: the answer's ARN %q is not that of a secret", rotate.ErrConfig, got)
	case s.Leads(a.account) != nil:
		return s.Leads(a.account)
	case len(s.Secret) > 4 && s.Secret[:4] == "arn:" && got != s.Secret:
		return fmt.Errorf("%w: %s is a partial ARN, which also matches %s; give the full one, or the name", rotate.ErrConfig, s.Secret, got)
	}
	return nil
}

func deleted(out *secretsmanager.DescribeSecretOutput) error {
	return fmt.Errorf("%w: it is scheduled for deletion on %s; restore it (RestoreSecret) or name another", rotate.ErrNotFound, out.DeletedDate.UTC().Format(time.DateOnly))
}

// currentVersion returns the version that has AWSCURRENT, and its labels.
func currentVersion(out *secretsmanager.DescribeSecretOutput) (id string, labels []string) {
	for v, on := range out.VersionIdsToStages {
		if slices.Contains(on, current) {
			return v, on
		}
	}
	return "", nil
}

// sight is what was read of the current version.
type sight struct {
	arn, id string // id "": the secret has no value yet
	labels  []string
	text    string
}

// look reads the current version. A secret that was made without a value has none.
func (s *Secret) look(ctx context.Context) (sight, error) {
	api, err := s.client(ctx)
	if err != nil {
		return sight{}, err
	}
	out, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.Secret, VersionStage: aws.String(current)})
	if awsaccess.Code(err) == "ResourceNotFoundException" {
		described, derr := s.describe(ctx)
		if derr != nil {
			return sight{}, derr
		}
		if id, _ := currentVersion(described); id == "" {
			return sight{arn: aws.ToString(described.ARN)}, nil
		}
	}
	if err != nil {
		return sight{}, s.explain("GetSecretValue", err)
	}
	if err := s.belongs(aws.ToString(out.ARN)); err != nil {
		return sight{}, err
	}
	if out.SecretString == nil {
		return sight{}, fmt.Errorf("%w: it holds SecretBinary, not text; remint writes text only", rotate.ErrConfig)
	}
	return sight{aws.ToString(out.ARN), aws.ToString(out.VersionId), out.VersionStages, *out.SecretString}, nil
}

// valueIn returns the credential's text in what was read, "" if there is none yet.
func (s *Secret) valueIn(now sight) (string, error) {
	if s.Key == "" {
		return now.text, nil
	}
	if now.id == "" {
		if s.CreateKey {
			return "", nil
		}
		return "", fmt.Errorf("%w: it has no value yet, and so no key %q; set create-key, or give it a JSON object first", rotate.ErrNotFound, s.Key)
	}
	value, err := pick(now.text, s.Key)
	if errors.Is(err, errNoKey) {
		if s.CreateKey {
			return "", nil
		}
		return "", s.noKey()
	}
	return value, err
}

func (s *Secret) noKey() error {
	return fmt.Errorf("%w: the JSON object lacks the key %q; see that it is written right, or set create-key", rotate.ErrNotFound, s.Key)
}
