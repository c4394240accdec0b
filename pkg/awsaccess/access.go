// Package awsaccess is how adapters get at AWS: the region, the account, the role and where credentials come
// from, as keys of the configuration and as the library's type. Its rules:
//
//   - Every connection is bound to the one host that the SDK's own endpoint rules give for the region, the
//     partition and the environment, or to the endpoint that was configured ([Access.Pinned]).
//   - Credentials are fetched once and kept until they expire. Why they cannot be had is said in sentences of
//     ours; what a credential_process printed is in none of them (chain.go, role.go, oidc.go).
//   - The SDK logs nothing, its retries are bounded, and its errors are not wrapped: one of them keeps a copy
//     of the answer (errors.go).
//   - EKS is spoken to without its SDK module: one signed GET, and one URL of STS that is signed and not
//     requested (eks.go).
package awsaccess

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Access is a way into one account of AWS. Adapters embed it, which lends them its keys. The zero value is the
// default chain of the SDK, without a region. It is safe for concurrent use.
//
// It promotes Format, so that no adapter shows credentials for want of one; an adapter whose String says more
// has a Format of its own.
type Access struct {
	Region     string        `yaml:"region" env:"AWS_REGION,AWS_DEFAULT_REGION" example:"eu-west-1" doc:"AWS region; of something that is replicated, the primary one. A full ARN says it itself and outranks this."`
	Account    string        `yaml:"account" example:"\"111111111111\"" doc:"The twelve digits of the account that must be meant; if the credentials lead to any other, nothing is done."`
	Role       string        `yaml:"role" example:"arn:aws:iam::111111111111:role/remint" doc:"ARN of a role to assume: with the job's OIDC token where the job has one (id-token: write), else with the credentials of the default chain. Without it the default chain is used as it is."`
	Audience   string        `yaml:"audience" default:"sts.amazonaws.com" doc:"Audience of the job's OIDC token; the trust policy of the role must name it."`
	STS        string        `yaml:"sts-endpoint" env:"AWS_ENDPOINT_URL_STS,AWS_ENDPOINT_URL" doc:"URL of the security token service, used with role. Plain http only to loopback. Without it the region's own."`
	OIDCURL    string        `yaml:"oidc-url" env:"ACTIONS_ID_TOKEN_REQUEST_URL" doc:"Where the runner gives the job its OIDC token; runners set the variable for jobs with id-token: write. Used with role."`
	OIDCBearer rotate.Secret `yaml:"oidc-token" env:"ACTIONS_ID_TOKEN_REQUEST_TOKEN" doc:"What the job shows the runner to get its OIDC token; set by runners like oidc-url."`

	// EKS is the URL of EKS; "": the region's own. An adapter that needs EKS has a key for it, such as
	// `eks-endpoint` with AWS_ENDPOINT_URL_EKS and AWS_ENDPOINT_URL, and puts it here.
	EKS string `yaml:"-" json:"-"`
	// Interval is the wait between two attempts at something that is not there yet; 0: 2 s.
	Interval time.Duration `yaml:"-" json:"-"`
	// Transport carries all requests but those of the default chain; nil is the process's pool.
	Transport http.RoundTripper `yaml:"-" json:"-"`
	// OnSecret is told the short-lived credentials that are had on the way, before they are used: the place to mask them.
	// It may be called by several goroutines. Nil: nobody is told.
	OnSecret func(rotate.Secret) `yaml:"-" json:"-"`
	// Credentials replaces the default chain; nil: the chain.
	Credentials aws.CredentialsProvider `yaml:"-" json:"-"`

	mu      sync.Mutex
	configs map[string]aws.Config // by region
	account string                // that the credentials belong to; "": not asked yet
}

var _ rotate.Connector = (*Access)(nil)

// Format implements [fmt.Formatter] for every verb: Credentials may hold keys.
func (a *Access) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "aws:"+a.Region) }

var (
	regionName = pattern.New(`^([a-z]+-)+\d+$`)
	accountID  = pattern.New(`^\d{12}$`)
	roleARN    = pattern.New(`^arn:aws[a-z-]*:iam::(\d{12}):role/[\w+=,.@/-]{1,576}$`)
)

// Validate reports all that is wrong with the fields, without any call.
func (a *Access) Validate() error { return a.ValidateIn(a.Region) }

// ValidateIn is Validate where something else may say the region, such as an ARN.
func (a *Access) ValidateIn(region string) error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if region == "" {
		bad("region", "give the region, set AWS_REGION, or name what is meant by its full ARN")
	} else if !regionName.MatchString(region) {
		bad("region", "%q is not a region, such as eu-west-1", region)
	}
	if a.Account != "" && !accountID.MatchString(a.Account) {
		bad("account", "%q is not an account: twelve digits, quoted in YAML", a.Account)
	}
	if a.Role != "" && !roleARN.MatchString(a.Role) {
		bad("role", "%q is not the ARN of a role, such as arn:aws:iam::111111111111:role/remint", a.Role)
	}
	if a.STS != "" {
		if _, err := httpx.Base(a.STS); err != nil {
			bad("sts-endpoint", "%w", err)
		}
	}
	if a.EKS != "" {
		if _, err := httpx.Base(a.EKS); err != nil {
			bad("eks-endpoint", "%w", err)
		}
	}
	if a.Role != "" && a.OIDCURL != "" {
		if u, err := url.Parse(a.OIDCURL); err != nil {
			bad("oidc-url", "not a URL")
		} else if _, err := httpx.Base(origin(u)); err != nil {
			bad("oidc-url", "%w", err)
		}
	}
	return errors.Join(errs...)
}

// RoleAccount returns the account of the role, which is the one that its credentials belong to; "" without a role.
func (a *Access) RoleAccount() string {
	if m := roleARN.FindStringSubmatch(a.Role); m != nil {
		return m[1]
	}
	return ""
}

// Pinned returns a client that speaks to the host of base only, follows no redirect and refuses what
// [httpx.Base] refuses.
func (a *Access) Pinned(base string) (*http.Client, error) {
	t, err := httpx.New(base, a.Transport)
	if err != nil {
		return nil, err
	}
	return t.Client(), nil
}

// Retryer returns how clients of the SDK try again: three attempts, for calls that read, name what they make,
// or compare and swap. Between them they wait 5 s at most, or [Access.Interval] if that is shorter.
func (a *Access) Retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 3
		o.MaxBackoff = 5 * time.Second
		if a.Interval > 0 {
			o.MaxBackoff = min(o.MaxBackoff, a.Interval)
		}
		// The services throttle with 400 and a code, which the SDK knows; what stands before them may use the status.
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
	})
}

// Wait returns [Access.Interval], or 2 s.
func (a *Access) Wait() time.Duration {
	if a.Interval > 0 {
		return a.Interval
	}
	return 2 * time.Second
}

// origin is the part of a URL that a transport is bound to.
func origin(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String()
}
