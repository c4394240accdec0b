package awssecretsmanager

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file makes the SDK's client. It speaks to one host only, the one that the SDK's own endpoint rules give
// for the region, the partition and the environment; its three attempts are safe: the calls read, name the
// version they put, or compare and swap.

func (s *Secret) options(o *secretsmanager.Options) {
	if s.Endpoint != "" {
		o.BaseEndpoint = &s.Endpoint
	}
	o.Retryer = s.Retryer()
}

// origin returns where Secrets Manager is.
func (s *Secret) origin(ctx context.Context, o secretsmanager.Options) (*url.URL, error) {
	at, err := secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, secretsmanager.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: no endpoint of Secrets Manager: %w", rotate.ErrConfig, err)
	}
	return &at.URI, nil
}

// client returns the client of Secrets Manager, made at its first use.
func (s *Secret) client(ctx context.Context) (*secretsmanager.Client, error) {
	if s.api != nil {
		return s.api, nil
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	cfg, err := s.ConfigIn(ctx, s.region())
	if err != nil {
		return nil, err
	}
	at, err := s.origin(ctx, secretsmanager.NewFromConfig(cfg, s.options).Options())
	if err != nil {
		return nil, err
	}
	pinned, err := s.Pinned(at.String())
	if err != nil {
		return nil, err
	}
	s.api = secretsmanager.NewFromConfig(cfg, s.options, func(o *secretsmanager.Options) { o.HTTPClient = pinned })
	return s.api, nil
}

// Endpoints implements [rotate.Connector].
func (s *Secret) Endpoints() []rotate.Endpoint {
	o := secretsmanager.Options{Region: s.region()}
	s.options(&o)
	address := ""
	if at, err := s.origin(context.Background(), o); err == nil {
		address = at.String()
	}
	return append(s.EndpointsIn(s.region()), httpx.Endpoint(address, "reads and writes the secret", http.MethodPost))
}
