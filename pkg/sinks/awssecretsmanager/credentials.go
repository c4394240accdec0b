package awssecretsmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file finds the credentials: those handed in, the role by the job's OIDC token, the SDK's default
// chain, or the role assumed from that. Errors are fixed sentences or the service's own code and message;
// the text of other errors of the chain is not passed on, since it may hold what a credential_process
// printed. A credential that cannot be had is not asked for again by the SDK's retries.

// session is the name under which CloudTrail shows what was done with an assumed role.
const session = "remint"

// metadataLimit bounds the wait for the metadata endpoint of an instance. Where there is no instance the
// SDK alone would try for five seconds, and three times.
const metadataLimit = 2 * time.Second

// credentialsError marks an error about credentials, already explained.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// RetryableError tells the SDK not to retry: what could heal was retried here.
func (e *credentialsError) RetryableError() bool { return false }

// awsConfig returns the SDK's configuration with the credentials in it.
func (s *Secret) awsConfig(ctx context.Context) (aws.Config, error) {
	cfg := aws.Config{Region: s.region(), Logger: logging.Nop{}}
	byToken := s.Role != "" && s.OIDCURL != "" && !s.OIDCBearer.IsZero()
	switch {
	case s.Credentials != nil:
		cfg.Credentials = s.Credentials
	case byToken: // nothing of the chain is needed
	default:
		var err error
		cfg, err = config.LoadDefaultConfig(ctx, config.WithRegion(s.region()), config.WithLogger(logging.Nop{}))
		if err != nil {
			return cfg, chainError(err)
		}
		cfg.ClientLogMode = 0
		limit := time.Duration(0)
		if aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
			limit = metadataLimit // nothing else was found, and the chain would ask the instance
		}
		cfg.Credentials = aws.NewCredentialsCache(&chain{from: cfg.Credentials, limit: limit})
	}
	if s.Role == "" {
		return cfg, nil
	}
	client, err := s.stsClient(cfg)
	if err != nil {
		return cfg, err
	}
	if byToken {
		cfg.Credentials = aws.NewCredentialsCache(&webIdentity{s, client})
		return cfg, nil
	}
	cfg.Credentials = aws.NewCredentialsCache(&assumed{s.Role,
		stscreds.NewAssumeRoleProvider(client, s.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = session })})
	return cfg, nil
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
		return got, &credentialsError{fmt.Errorf("%w: no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "+
			"or set role and give the job the permission id-token: write, or run on an instance with a role", rotate.ErrDenied)}
	}
	return got, &credentialsError{chainError(err)}
}

// chainError explains a failure of the default chain by what is known to be harmless in it.
func chainError(err error) error {
	var profile config.SharedConfigProfileNotExistError
	var api smithy.APIError
	switch {
	case errors.As(err, &profile):
		return fmt.Errorf("%w: there is no AWS profile %q; see AWS_PROFILE", rotate.ErrConfig, httpx.Clean(profile.Profile, 100))
	case errors.As(err, &api):
		return fmt.Errorf("%w: the AWS credentials could not be had: %s: %s", kindOf(api.ErrorCode()), httpx.Clean(api.ErrorCode(), 80), httpx.Clean(api.ErrorMessage(), 300))
	}
	return fmt.Errorf("%w: the AWS credentials could not be had from the environment, the profile or the container; try `aws sts get-caller-identity` in the same place", rotate.ErrDenied)
}

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
	var known *credentialsError
	if ctx.Err() != nil || errors.As(err, &known) {
		return got, err
	}
	return got, &credentialsError{assumeError("AssumeRole", a.role, err,
		"let the caller use sts:AssumeRole on it, and name the caller in the role's trust policy")}
}

// webIdentity is the role, assumed with the job's OIDC token.
type webIdentity struct {
	*Secret
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
		heals := code(err) == "IDPCommunicationError" || code(err) == "InvalidIdentityToken" && strings.Contains(err.Error(), "verification key")
		var known *credentialsError
		switch {
		case errors.As(err, &known):
			return got, err
		case !heals || n == attempts:
			return got, &credentialsError{assumeError("AssumeRoleWithWebIdentity", w.Role, err, fmt.Sprintf(
				"see that the account has an identity provider for this runner's issuer, and that the role's trust policy allows the audience %s and this job's subject (repository, and branch or environment)", w.audience()))}
		}
		if err := sleep(ctx, time.Duration(n)*w.interval()); err != nil {
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
		return aws.Credentials{}, &credentialsError{fmt.Errorf("%w: STS answered without credentials for %s", rotate.ErrTemporary, w.Role)}
	}
	return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: aws.ToString(c.SessionToken),
		Source: "job's OIDC token", CanExpire: c.Expiration != nil, Expires: aws.ToTime(c.Expiration)}, nil
}

func (s *Secret) audience() string {
	if s.Audience != "" {
		return s.Audience
	}
	return "sts.amazonaws.com"
}

// origin is the part of a URL that a transport is bound to.
func origin(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String()
}

// identityToken asks the runner for the job's OIDC token.
func (s *Secret) identityToken(ctx context.Context) (string, error) {
	u, err := url.Parse(s.OIDCURL)
	if err != nil {
		return "", &credentialsError{fmt.Errorf("%w: oidc-url is not a URL", rotate.ErrConfig)}
	}
	q := u.Query()
	q.Set("audience", s.audience())
	u.RawQuery = q.Encode()
	t, err := httpx.New(origin(u), s.Transport)
	if err != nil {
		return "", &credentialsError{err}
	}
	t.MaxBody = 1 << 20
	t.Backoff = s.interval() / 4
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+s.OIDCBearer.Reveal())
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", &credentialsError{fmt.Errorf("%w: oidc-url is not a URL", rotate.ErrConfig)}
	}
	wrong := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &credentialsError{fmt.Errorf("the runner gave no OIDC token: %w", err)}
	}
	resp, err := t.Client().Do(req)
	if err != nil {
		return "", wrong(httpx.Wrap(err))
	}
	body, err := httpx.Drain(resp)
	if err != nil {
		return "", wrong(err)
	}
	if err := httpx.Status(http.MethodGet, u.Path, resp, ""); err != nil {
		return "", wrong(err)
	}
	var answer struct{ Value string }
	if json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return "", wrong(fmt.Errorf("%w: its answer has no value", rotate.ErrTemporary))
	}
	return answer.Value, nil
}

// assumeError explains why a role could not be assumed.
func assumeError(action, role string, err error, advice string) error {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == "" {
		return fmt.Errorf("%s of %s: %w", action, role, httpx.Wrap(err))
	}
	kind := kindOf(api.ErrorCode())
	text := fmt.Sprintf("%s of %s: %s: %s", action, role, httpx.Clean(api.ErrorCode(), 80), httpx.Clean(api.ErrorMessage(), 300))
	if kind == rotate.ErrDenied {
		text += "; " + advice
	}
	return fmt.Errorf("%w: %s", kind, text)
}
