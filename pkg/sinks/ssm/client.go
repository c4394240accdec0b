package ssm

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file makes the SDK's client, which speaks to one host only, makes sure of the account, and explains errors.
// The SDK tries reads and labels again; a put is its own affair (write.go).

func (p *Parameter) options(o *sdk.Options) {
	if p.Endpoint != "" {
		o.BaseEndpoint = &p.Endpoint
	}
	o.Retryer = p.Retryer()
}

// origin returns where Systems Manager is.
func (p *Parameter) origin(ctx context.Context, o sdk.Options) (*url.URL, error) {
	at, err := sdk.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sdk.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: no endpoint of Systems Manager: %w", rotate.ErrConfig, err)
	}
	return &at.URI, nil
}

// client returns the client, made at its first use, once the credentials are known to lead to the right account.
func (p *Parameter) client(ctx context.Context) (*sdk.Client, error) {
	if p.api != nil {
		return p.api, nil
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	cfg, err := p.ConfigIn(ctx, p.region())
	if err != nil {
		return nil, err
	}
	if p.asksWho() {
		owner, err := p.IdentityIn(ctx, p.region())
		if err == nil && owner != p.account() { // by its ARN
			err = fmt.Errorf("%w: the credentials lead to account %s, but the parameter is in account %s", rotate.ErrConfig, owner, p.account())
		}
		if err != nil {
			return nil, err
		}
	}
	at, err := p.origin(ctx, sdk.NewFromConfig(cfg, p.options).Options())
	if err != nil {
		return nil, err
	}
	pinned, err := p.Pinned(at.String())
	if err != nil {
		return nil, err
	}
	p.api = sdk.NewFromConfig(cfg, p.options, func(o *sdk.Options) { o.HTTPClient = pinned })
	return p.api, nil
}

// asksWho reports whether STS must be asked for the account: GetParameterHistory does not say it. The credentials of
// a role belong to the role's account, which Validate compares.
func (p *Parameter) asksWho() bool { return p.account() != "" && p.Role == "" }

// Endpoints implements [rotate.Connector].
func (p *Parameter) Endpoints() []rotate.Endpoint {
	out := p.EndpointsIn(p.region())
	if p.asksWho() {
		out = append(out, p.STSEndpoint(p.region(), "says which account the credentials belong to"))
	}
	o := sdk.Options{Region: p.region()}
	p.options(&o)
	address := ""
	if at, err := p.origin(context.Background(), o); err == nil {
		address = at.String()
	}
	return append(out, httpx.Endpoint(address, "reads and writes the parameter", http.MethodPost))
}

// explain says why a call failed. The message on a put may repeat what was put.
func (p *Parameter) explain(action string, err error) error {
	return awsaccess.Call{Service: "Systems Manager", Action: action, Sends: action == "PutParameter",
		Hint: func(code, message string) string { return p.hint(action, code, message) }}.Explain(err)
}

// hint says what the operator does about an error code.
func (p *Parameter) hint(action, code, message string) string {
	switch code {
	case "AccessDeniedException":
		if strings.Contains(message, "kms:") || strings.Contains(message, "KMS") || strings.Contains(message, "customer master key") {
			return "grant kms:Decrypt and kms:Encrypt (kms:GenerateDataKey for the advanced tier) on the key that encrypts the parameter, in the key's policy too"
		}
		hint := "grant ssm:" + action + " on parameter " + p.name()
		if action == "PutParameter" {
			hint += "; if a policy has a condition on ssm:Overwrite, it must allow false as well, which is how the check asks without writing"
		}
		return hint
	case "InvalidKeyId":
		return "the KMS key of the parameter cannot be used: see that it exists and is enabled"
	case "ParameterNotFound":
		return fmt.Sprintf("see that parameter %s exists in region %s of the account that the credentials belong to", p.name(), p.region())
	case "ParameterMaxVersionLimitExceeded":
		return "it has a hundred versions, and the oldest has a label, which keeps it from making room; take the label off (UnlabelParameterVersion) or move it"
	case "ParameterVersionLabelLimitExceeded":
		return "the version has ten labels; take one off"
	case "ParameterPatternMismatchException":
		return "the credential does not match the parameter's allowed pattern"
	case "HierarchyTypeMismatchException":
		return "its type was changed meanwhile; run again"
	}
	return ""
}
