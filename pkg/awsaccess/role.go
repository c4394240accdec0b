package awsaccess

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file assumes the role: with other credentials, or with the job's OIDC token.

// session is the name under which CloudTrail shows what was done with an assumed role.
const session = "remint"

// assumed is a role assumed with other credentials.
type assumed struct {
	role string
	from aws.CredentialsProvider
}

func (a *assumed) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := a.from.Retrieve(ctx)
	if err == nil {
		return got, nil
	}
	var known *CredentialsError
	if ctx.Err() != nil || errors.As(err, &known) {
		return got, err
	}
	return got, &CredentialsError{assumeError("AssumeRole", a.role, err,
		"let the caller use sts:AssumeRole on it, and name the caller in the role's trust policy")}
}

// webIdentity is the role, assumed with the job's OIDC token.
type webIdentity struct {
	*Access
	client *sts.Client
}

// attempts is how often an OIDC token is fetched and shown. Only a failure that can heal, such as STS not
// reaching the runner's keys, is tried again, each time with a fresh token: they live for minutes.
const attempts = 3

func (w *webIdentity) Retrieve(ctx context.Context) (aws.Credentials, error) {
	for n := 1; ; n++ {
		got, err := w.once(ctx)
		if err == nil || ctx.Err() != nil {
			return got, err
		}
		heals := Code(err) == "IDPCommunicationError" || Code(err) == "InvalidIdentityToken" && strings.Contains(err.Error(), "verification key")
		var known *CredentialsError
		switch {
		case errors.As(err, &known):
			return got, err
		case !heals || n == attempts:
			return got, &CredentialsError{assumeError("AssumeRoleWithWebIdentity", w.Role, err, fmt.Sprintf(
				"see that the account has an identity provider for this runner's issuer, and that the role's trust policy allows the audience %s and this job's subject (repository, and branch or environment)", w.audience()))}
		}
		if err := httpx.Sleep(ctx, time.Duration(n)*w.Wait()); err != nil {
			return got, err
		}
	}
}

func (w *webIdentity) once(ctx context.Context) (aws.Credentials, error) {
	jwt, err := w.identityToken(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	out, err := w.client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &w.Role, RoleSessionName: aws.String(session), WebIdentityToken: &jwt,
	})
	if err != nil {
		return aws.Credentials{}, err
	}
	c := out.Credentials
	if c == nil || c.AccessKeyId == nil || c.SecretAccessKey == nil {
		return aws.Credentials{}, &CredentialsError{fmt.Errorf("%w: STS answered without credentials for %s", rotate.ErrTemporary, w.Role)}
	}
	return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: aws.ToString(c.SessionToken),
		Source: "job's OIDC token", CanExpire: c.Expiration != nil, Expires: aws.ToTime(c.Expiration)}, nil
}

// assumeError explains why a role could not be assumed.
func assumeError(action, role string, err error, advice string) error {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == "" {
		return fmt.Errorf("%s of %s: %w", action, role, httpx.Wrap(err))
	}
	kind := Kind(api.ErrorCode())
	text := fmt.Sprintf("%s of %s: %s: %s", action, role, httpx.Clean(api.ErrorCode(), 80), httpx.Clean(api.ErrorMessage(), 300))
	if kind == rotate.ErrDenied {
		text += "; " + advice
	}
	return fmt.Errorf("%w: %s", kind, text)
}
