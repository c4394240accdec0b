package awsaccess

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file finds the credentials: those handed in, the role by the job's OIDC token, the SDK's default
// chain, or the role assumed from that. Errors are fixed sentences or the service's own code and message;
// the text of other errors of the chain is not passed on, since it may hold what a credential_process
// printed. A credential that cannot be had is not asked for again by the SDK's retries.

// metadataLimit bounds the wait for the metadata endpoint of an instance. Where there is no instance the
// SDK alone would try for five seconds, and three times.
const metadataLimit = 2 * time.Second

// CredentialsError is an error about credentials, not about the call that needed them. It is already explained.
type CredentialsError struct{ Err error }

// Error implements error.
func (e *CredentialsError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *CredentialsError) Unwrap() error { return e.Err }

// RetryableError tells the SDK not to retry: what could heal was retried here.
func (e *CredentialsError) RetryableError() bool { return false }

// byToken reports whether the role is assumed with the job's OIDC token. Nothing of the chain is needed then.
func (a *Access) byToken() bool {
	return a.Role != "" && a.OIDCURL != "" && !a.OIDCBearer.IsZero()
}

// Config returns the SDK's configuration for the region, with the credentials in it. They are those of the
// role, if there is one. Clients made of it still need [Access.Pinned] and [Retryer].
func (a *Access) Config(ctx context.Context) (aws.Config, error) { return a.ConfigIn(ctx, a.Region) }

// ConfigIn is Config for another region than the configured one.
func (a *Access) ConfigIn(ctx context.Context, region string) (aws.Config, error) {
	if err := a.ValidateIn(region); err != nil {
		return aws.Config{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if cfg, ok := a.configs[region]; ok {
		return cfg, nil
	}
	cfg, err := a.config(ctx, region)
	if err != nil {
		return cfg, err
	}
	if a.configs == nil {
		a.configs = map[string]aws.Config{}
	}
	a.configs[region] = cfg
	return cfg, nil
}

func (a *Access) config(ctx context.Context, region string) (aws.Config, error) {
	cfg := aws.Config{Region: region, Logger: logging.Nop{}}
	switch {
	case a.Credentials != nil:
		cfg.Credentials = a.Credentials
	case a.byToken():
	default:
		var err error
		cfg, err = config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithLogger(logging.Nop{}))
		if err != nil {
			return cfg, chainError(err)
		}
		cfg.ClientLogMode = 0
		limit := time.Duration(0)
		if aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
			limit = metadataLimit // nothing else was found, and the chain would ask the instance
		}
		cfg.Credentials = a.cached(&chain{from: cfg.Credentials, limit: limit})
	}
	if a.Role == "" {
		return cfg, nil
	}
	client, err := a.stsClient(ctx, cfg)
	if err != nil {
		return cfg, err
	}
	if a.byToken() {
		cfg.Credentials = a.cached(&webIdentity{a, client})
		return cfg, nil
	}
	cfg.Credentials = a.cached(&assumed{a.Role,
		stscreds.NewAssumeRoleProvider(client, a.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = session })})
	return cfg, nil
}

// cached keeps credentials until they expire, and tells of them.
func (a *Access) cached(from aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		got, err := from.Retrieve(ctx)
		a.tell(got.SecretAccessKey)
		a.tell(got.SessionToken)
		return got, err
	}))
}

func (a *Access) tell(text string) {
	if a.OnSecret != nil && text != "" {
		a.OnSecret(rotate.NewSecret(text))
	}
}

// chain is the SDK's default chain, bounded and explained.
type chain struct {
	from  aws.CredentialsProvider
	limit time.Duration // 0: none
}

func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	bounded := ctx
	if c.limit > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	got, err := c.from.Retrieve(bounded)
	if err == nil {
		return got, nil
	}
	if ctx.Err() != nil {
		return got, ctx.Err()
	}
	if c.limit > 0 {
		return got, &CredentialsError{fmt.Errorf("%w: no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "+
			"or set role and give the job the permission id-token: write, or run on an instance with a role", rotate.ErrDenied)}
	}
	return got, &CredentialsError{chainError(err)}
}

// chainError explains a failure of the default chain by what is known to be harmless in it.
func chainError(err error) error {
	var profile config.SharedConfigProfileNotExistError
	var api smithy.APIError
	switch {
	case errors.As(err, &profile):
		return fmt.Errorf("%w: there is no AWS profile %q; see AWS_PROFILE", rotate.ErrConfig, httpx.Clean(profile.Profile, 100))
	case errors.As(err, &api):
		return fmt.Errorf("%w: the AWS credentials could not be had: %s: %s", Kind(api.ErrorCode()), httpx.Clean(api.ErrorCode(), 80), httpx.Clean(api.ErrorMessage(), 300))
	}
	return fmt.Errorf("%w: the AWS credentials could not be had from the environment, the profile or the container; try `aws sts get-caller-identity` in the same place", rotate.ErrDenied)
}
