package awsaccess

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file speaks to the security token service, and says which hosts are spoken to.

// stsOrigin returns where STS is for a region, by the SDK's rules; with the configured endpoint, that.
func (a *Access) stsOrigin(ctx context.Context, o sts.Options) (*url.URL, error) {
	at, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint, UseGlobalEndpoint: aws.Bool(false),
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: no endpoint of STS: %w", rotate.ErrConfig, err)
	}
	return &at.URI, nil
}

func (a *Access) stsOptions(o *sts.Options) {
	if a.STS != "" {
		o.BaseEndpoint = &a.STS
	}
	o.Retryer = a.Retryer()
}

func (a *Access) stsClient(ctx context.Context, cfg aws.Config) (*sts.Client, error) {
	at, err := a.stsOrigin(ctx, sts.NewFromConfig(cfg, a.stsOptions).Options())
	if err != nil {
		return nil, err
	}
	pinned, err := a.Pinned(at.String())
	if err != nil {
		return nil, err
	}
	return sts.NewFromConfig(cfg, a.stsOptions, func(o *sts.Options) { o.HTTPClient = pinned }), nil
}

// Identity asks STS which account the credentials belong to (GetCallerIdentity, which needs no right), once. If
// Account is set and is another, that is an error that wraps [rotate.ErrConfig].
func (a *Access) Identity(ctx context.Context) (account string, err error) {
	return a.IdentityIn(ctx, a.Region)
}

// IdentityIn is Identity, asked in another region than the configured one.
func (a *Access) IdentityIn(ctx context.Context, region string) (account string, err error) {
	if account, err = a.identity(ctx, region); err != nil {
		return "", err
	}
	return account, a.Leads(account)
}

func (a *Access) identity(ctx context.Context, region string) (string, error) {
	a.mu.Lock()
	known := a.account
	a.mu.Unlock()
	if known != "" {
		return known, nil
	}
	cfg, err := a.ConfigIn(ctx, region)
	if err != nil {
		return "", err
	}
	client, err := a.stsClient(ctx, cfg)
	if err != nil {
		return "", err
	}
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", Call{Service: "STS", Action: "GetCallerIdentity"}.Explain(err)
	}
	account := aws.ToString(out.Account)
	if !accountID.MatchString(account) {
		return "", fmt.Errorf("%w: GetCallerIdentity: the answer has no account", rotate.ErrTemporary)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account = account
	return account, nil
}

// Leads refuses, with an error that wraps [rotate.ErrConfig], an account that an answer shows and that is not
// the configured one.
func (a *Access) Leads(account string) error {
	if a.Account != "" && account != a.Account {
		return fmt.Errorf("%w: the credentials lead to account %s, but account %s is asked for", rotate.ErrConfig, httpx.Clean(account, 20), a.Account)
	}
	return nil
}

// Endpoints implements [rotate.Connector]: what getting credentials may contact. [Access.EKSEndpoint] and the
// service itself are the adapter's to add, and, if it asks for the [Access.Identity], [Access.STSEndpoint].
func (a *Access) Endpoints() []rotate.Endpoint { return a.EndpointsIn(a.Region) }

// EndpointsIn is Endpoints for another region than the configured one.
func (a *Access) EndpointsIn(region string) []rotate.Endpoint {
	var out []rotate.Endpoint
	if a.byToken() {
		out = append(out, httpx.Endpoint(a.OIDCURL, "gives the job its OIDC token", http.MethodGet))
	} else if a.Credentials == nil {
		out = append(out, httpx.Endpoint("", "where the AWS SDK's default chain finds credentials, nowhere if they are in the environment",
			http.MethodGet, http.MethodPost, http.MethodPut))
	}
	if a.Role != "" {
		out = append(out, a.STSEndpoint(region, "assumes the role"))
	}
	return out
}

// STSEndpoint is the security token service of a region, contacted for the purpose.
func (a *Access) STSEndpoint(region, why string) rotate.Endpoint {
	o := sts.Options{Region: region}
	a.stsOptions(&o)
	address := ""
	if at, err := a.stsOrigin(context.Background(), o); err == nil {
		address = at.String()
	}
	return httpx.Endpoint(address, why, http.MethodPost)
}
