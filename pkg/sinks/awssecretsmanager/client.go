package awssecretsmanager

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file makes the SDK's clients. Each speaks to one host only, the one that the SDK's own endpoint
// rules give for the region, the partition and the environment; the SDK logs nothing, and its three
// attempts are safe: the calls read, name the version they put, or compare and swap.

func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 3
		o.MaxBackoff = 5 * time.Second
		// The services throttle with 400 and a code, which the SDK knows; what stands before them may use the status.
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
	})
}

// client returns the client of Secrets Manager, made at its first use.
func (s *Secret) client(ctx context.Context) (*secretsmanager.Client, error) {
	if s.api != nil {
		return s.api, nil
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	cfg, err := s.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	options := func(o *secretsmanager.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = &s.Endpoint
		}
		o.Retryer = retryer()
	}
	o := secretsmanager.NewFromConfig(cfg, options).Options()
	at, err := o.EndpointResolverV2.ResolveEndpoint(ctx, secretsmanager.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: no endpoint of Secrets Manager: %w", rotate.ErrConfig, err)
	}
	pinned, err := s.pinned(at.URI.String())
	if err != nil {
		return nil, err
	}
	s.api = secretsmanager.NewFromConfig(cfg, options, func(o *secretsmanager.Options) { o.HTTPClient = pinned })
	return s.api, nil
}

// stsClient returns a client of STS for assuming the role.
func (s *Secret) stsClient(cfg aws.Config) (*sts.Client, error) {
	options := func(o *sts.Options) {
		if s.STS != "" {
			o.BaseEndpoint = &s.STS
		}
		o.Retryer = retryer()
	}
	o := sts.NewFromConfig(cfg, options).Options()
	at, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), sts.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint, UseGlobalEndpoint: aws.Bool(false),
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: no endpoint of STS: %w", rotate.ErrConfig, err)
	}
	pinned, err := s.pinned(at.URI.String())
	if err != nil {
		return nil, err
	}
	return sts.NewFromConfig(cfg, options, func(o *sts.Options) { o.HTTPClient = pinned }), nil
}

func (s *Secret) pinned(base string) (*http.Client, error) {
	t, err := httpx.New(base, s.Transport)
	if err != nil {
		return nil, err
	}
	return t.Client(), nil
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
