package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file looks whether a write would succeed, and changes nothing. The rights to write are shown by
// calls that are documented to do nothing: putting the current version again under its own id, and taking
// off a label that is on no version.

// probeLabel is on no version.
const probeLabel = "REMINT-CHECK"

// Check implements [rotate.Checker].
func (s *Secret) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.describe(ctx)
	if err != nil && !missingRight(err) {
		return s.fault("check", err) // nothing else can be known
	}
	var errs []error
	if err != nil {
		errs = append(errs, err)
	} else {
		errs = s.refusals(out)
	}
	managed := len(errs) > 0
	now, err := s.look(ctx)
	if err != nil {
		if out == nil || out.DeletedDate == nil { // said already
			errs = append(errs, err)
		}
	} else if _, err := s.valueIn(now); err != nil {
		errs = append(errs, err)
	} else if err := s.unsuited(now); err != nil {
		errs = append(errs, err)
	}
	if !managed && now.id != "" {
		errs = append(errs, s.probe(ctx, now)...)
	}
	for i, err := range errs {
		errs[i] = s.fault("check", err)
	}
	return errors.Join(errs...)
}

func missingRight(err error) bool {
	var c *awsaccess.CredentialsError
	return errors.Is(err, rotate.ErrDenied) && !errors.As(err, &c)
}

// refusals says what DescribeSecret shows that forbids writing.
func (s *Secret) refusals(out *secretsmanager.DescribeSecretOutput) []error {
	var errs []error
	no := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{rotate.ErrConfig}, args...)...))
	}
	if out.DeletedDate != nil {
		errs = append(errs, deleted(out))
	}
	if aws.ToBool(out.RotationEnabled) || aws.ToString(out.RotationLambdaARN) != "" {
		no("Secrets Manager's own rotation is set up for it, and two rotators would undo each other's work; cancel it (CancelRotateSecret) or leave this secret to it")
	}
	if o := aws.ToString(out.OwningService); o != "" {
		no("it is managed by another service (%s), which alone may write it", clean(o))
	}
	if p := aws.ToString(out.PrimaryRegion); p != "" && p != s.region() {
		no("it is a replica in %s of the secret in %s; write it there: set region to %s", s.region(), clean(p), clean(p))
	}
	return errs
}

// probe shows that the rights to write are there.
func (s *Secret) probe(ctx context.Context, now sight) []error {
	var errs []error
	_, err := s.api.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &s.Secret, ClientRequestToken: &now.id, SecretString: &now.text, VersionStages: []string{s.label(pendingLabel)},
	})
	if err != nil && awsaccess.Code(err) != "ResourceExistsException" {
		errs = append(errs, s.explain("PutSecretValue", err))
	}
	err = s.move(ctx, probeLabel, "", now.id)
	if err != nil && !refusal(err) {
		errs = append(errs, s.explain("UpdateSecretVersionStage", err))
	}
	return errs
}

func clean(text string) string { return httpx.Clean(text, 200) }
