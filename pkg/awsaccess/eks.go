package awsaccess

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file gets at a cluster of EKS: where its API server is (DescribeCluster, docs.aws.amazon.com, "Amazon
// EKS API Reference"), and a bearer token for it. The token is a presigned URL of STS's GetCallerIdentity with
// the cluster's name among the signed headers; the cluster requests it to learn who is there, so nothing is
// requested here (github.com/kubernetes-sigs/aws-iam-authenticator, "API Authorization from Outside a Cluster").

const (
	tokenPrefix = "k8s-aws-v1."
	// tokenHeader binds a token to one cluster.
	tokenHeader = "X-K8s-Aws-Id"
	// tokenExpires is X-Amz-Expires in seconds, as every client of EKS sends it. The cluster goes by the time of
	// the signature instead, and takes a token for fifteen minutes.
	tokenExpires = "60"
	// tokenLife is how long a token is used: one minute less than the cluster takes it.
	tokenLife = 14 * time.Minute
)

// emptySum is the SHA-256 of no body.
var emptySum = func() string { sum := sha256.Sum256(nil); return hex.EncodeToString(sum[:]) }()

// clusterName is ClusterName of the service model.
var clusterName = pattern.New(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)

func checkCluster(name string) error {
	if !clusterName.MatchString(name) {
		return fmt.Errorf("%w: %q is not the name of an EKS cluster: letters, digits, hyphens and underscores, 100 at most", rotate.ErrConfig, httpx.Clean(name, 120))
	}
	return nil
}

// signing returns the configuration, and credentials to sign with.
func (a *Access) signing(ctx context.Context) (aws.Config, aws.Credentials, error) {
	cfg, err := a.Config(ctx)
	if err != nil {
		return cfg, aws.Credentials{}, err
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	var known *CredentialsError
	switch {
	case err == nil, errors.As(err, &known):
	case ctx.Err() != nil:
		err = ctx.Err()
	default: // of a provider that a library's user made
		err = &CredentialsError{fmt.Errorf("%w: the AWS credentials could not be had", rotate.ErrDenied)}
	}
	return cfg, keys, err
}

// EKSToken returns a bearer token for the API server of a cluster of EKS in the region, and until when to use
// it. Beyond getting credentials, if none are kept, it makes no request. Which Kubernetes user the token stands
// for is the cluster's to say, by its access entries.
func (a *Access) EKSToken(ctx context.Context, cluster string) (token rotate.Secret, expires time.Time, err error) {
	if err := checkCluster(cluster); err != nil {
		return rotate.Secret{}, time.Time{}, err
	}
	cfg, keys, err := a.signing(ctx)
	if err != nil {
		return rotate.Secret{}, time.Time{}, err
	}
	// The public host of the region, whatever is configured for our own requests: clusters know no other.
	at, err := a.stsOrigin(ctx, sts.Options{Region: cfg.Region})
	if err != nil {
		return rotate.Secret{}, time.Time{}, err
	}
	at.Path = "/"
	at.RawQuery = url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}, "X-Amz-Expires": {tokenExpires}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return rotate.Secret{}, time.Time{}, fmt.Errorf("%w: the endpoint of STS is no URL", rotate.ErrConfig)
	}
	r.Header.Set(tokenHeader, cluster)
	now := time.Now()
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, keys, r, emptySum, "sts", cfg.Region, now)
	if err != nil {
		return rotate.Secret{}, time.Time{}, fmt.Errorf("%w: the token for cluster %s could not be signed", rotate.ErrDenied, cluster)
	}
	expires = now.Add(tokenLife)
	if keys.CanExpire && keys.Expires.Before(expires) {
		expires = keys.Expires
	}
	token = rotate.NewSecret(tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(signed)))
	a.tell(token.Reveal())
	return token, expires, nil
}

// eksOrigin returns where EKS is: what the SDK's rules give for STS in the same region, with the other name.
// Only FIPS endpoints are named otherwise (fips.eks.…), and not in GovCloud, where every endpoint is one.
func (a *Access) eksOrigin(ctx context.Context, cfg aws.Config) (string, error) {
	if a.EKS != "" {
		return a.EKS, nil
	}
	o := sts.NewFromConfig(cfg).Options()
	fips := o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled
	o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled
	o.BaseEndpoint = nil
	at, err := a.stsOrigin(ctx, o)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(at.Host, "sts.")
	if !ok {
		return "", fmt.Errorf("%w: no endpoint of EKS in region %s is known; set the endpoint", rotate.ErrConfig, cfg.Region)
	}
	name := "eks."
	if fips && !strings.HasPrefix(cfg.Region, "us-gov-") {
		name = "fips.eks."
	}
	return "https://" + name + rest, nil
}

// EKSEndpoint is EKS of the region, for an adapter's Endpoints.
func (a *Access) EKSEndpoint() rotate.Endpoint {
	address, _ := a.eksOrigin(context.Background(), aws.Config{Region: a.Region})
	return httpx.Endpoint(address, "says where the cluster's API server is", http.MethodGet)
}

// cluster is what DescribeCluster says of a cluster, as far as it matters.
type cluster struct {
	ARN                  string `json:"arn"`
	Status               string `json:"status"`
	Endpoint             string `json:"endpoint"`
	CertificateAuthority struct {
		Data []byte `json:"data"` // base64
	} `json:"certificateAuthority"`
}

// clusterARN is arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME.
var clusterARN = pattern.New(`^arn:aws[a-z-]*:eks:([a-z0-9-]+):(\d{12}):cluster/(.+)$`)

// EKSCluster asks EKS where the API server of a cluster in the region is, and for the certificate authority (PEM)
// that its certificate is signed by. A cluster of another account than Account is refused with
// [rotate.ErrConfig]; one that does not exist is [rotate.ErrNotFound], one that is being made
// [rotate.ErrTemporary]. The right needed is eks:DescribeCluster.
func (a *Access) EKSCluster(ctx context.Context, name string) (endpoint string, ca []byte, err error) {
	if err := checkCluster(name); err != nil {
		return "", nil, err
	}
	cfg, keys, err := a.signing(ctx)
	if err != nil {
		return "", nil, err
	}
	at, err := a.eksOrigin(ctx, cfg)
	if err != nil {
		return "", nil, err
	}
	t, err := httpx.New(at, a.Transport)
	if err != nil {
		return "", nil, err
	}
	t.MaxBody = 1 << 20
	t.Backoff = a.Wait() / 4
	t.Authorize = func(r *http.Request) error {
		return v4.NewSigner().SignHTTP(r.Context(), keys, r, emptySum, "eks", cfg.Region, time.Now())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL().JoinPath("clusters", name).String(), nil)
	if err != nil {
		return "", nil, fmt.Errorf("%w: the endpoint of EKS is no URL", rotate.ErrConfig)
	}
	call := Call{Service: "EKS", Action: "DescribeCluster", Hint: func(code, _ string) string {
		switch code {
		case "AccessDeniedException":
			return "grant eks:DescribeCluster on cluster " + name
		case "ResourceNotFoundException":
			return fmt.Sprintf("see that cluster %s exists in region %s of the account that the credentials belong to", name, cfg.Region)
		}
		return ""
	}}
	resp, err := t.Client().Do(r)
	if err != nil {
		return "", nil, call.Explain(err)
	}
	body, err := httpx.Drain(resp)
	if err != nil {
		return "", nil, call.Explain(err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", nil, call.rest(resp, body)
	}
	var answer struct {
		Cluster cluster `json:"cluster"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", nil, call.foreign(resp.StatusCode)
	}
	if err := a.usable(name, cfg.Region, answer.Cluster); err != nil {
		return "", nil, err
	}
	return answer.Cluster.Endpoint, answer.Cluster.CertificateAuthority.Data, nil
}

// usable refuses a cluster that is not the one that is meant, or that has no API server now.
func (a *Access) usable(name, region string, c cluster) error {
	m := clusterARN.FindStringSubmatch(c.ARN)
	switch {
	case m == nil || m[1] != region || m[3] != name:
		return fmt.Errorf("%w: DescribeCluster: the answer is not about cluster %s in %s (%q)", rotate.ErrConfig, name, region, httpx.Clean(c.ARN, 200))
	case a.Leads(m[2]) != nil:
		return a.Leads(m[2])
	}
	switch c.Status {
	case "ACTIVE", "UPDATING": // the API server answers during an update
	case "CREATING", "PENDING":
		return fmt.Errorf("%w: cluster %s is %s, not ACTIVE; wait until it is", rotate.ErrTemporary, name, c.Status)
	default: // DELETING, FAILED
		return fmt.Errorf("%w: cluster %s is %s, not ACTIVE; name another, or see in the console what became of it", rotate.ErrConfig, name, httpx.Clean(c.Status, 40))
	}
	u, err := httpx.Base(c.Endpoint)
	if err != nil {
		return fmt.Errorf("%w: cluster %s has no endpoint that could be used: %w", rotate.ErrConfig, name, err)
	}
	if len(c.CertificateAuthority.Data) == 0 && u.Scheme == "https" {
		return fmt.Errorf("%w: DescribeCluster says no certificate authority of cluster %s; a connected cluster (EKS Connector) has none, and needs a kubeconfig", rotate.ErrConfig, name)
	}
	return nil
}

// rest explains an error answer of the REST protocol: the code is in a header or in the body.
func (c Call) rest(resp *http.Response, body []byte) error {
	var answer struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &answer)
	code := resp.Header.Get("X-Amzn-Errortype")
	for _, other := range []string{answer.Code, answer.Type} {
		if code == "" {
			code = other
		}
	}
	code, _, _ = strings.Cut(code, ":")          // "AccessDeniedException:http://…"
	code = code[strings.LastIndex(code, "#")+1:] // "com.amazonaws.eks#…"
	if code == "" {
		return c.foreign(resp.StatusCode)
	}
	return c.refused(code, answer.Message, resp.Header.Get("X-Amzn-Requestid"))
}
