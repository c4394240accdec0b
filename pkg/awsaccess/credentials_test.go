package awsaccess

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/rotate"
)

func byToken(arn string) func(*Access) {
	return func(s *Access) {
		s.Role, s.Credentials = arn, nil
		s.OIDCURL, s.OIDCBearer = "https://"+oidc+"/run/1?api-version=2.0", rotate.NewSecret("bearer-of-the-job")
	}
}

func TestWebIdentity(t *testing.T) {
	const fault = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%</Code><Message>%%</Message></Error></ErrorResponse>`
	xml := func(code, message string) string {
		return strings.NewReplacer("%%", message, "%", code).Replace(fault)
	}
	for _, c := range []struct {
		name   string
		role   aws.Role
		access func(*Access)
		plant  func(*bed)
		err    error
		text   string
		ops    string // all
	}{
		{name: "works", ops: "oidc assume-role identity"},
		{name: "own audience", role: aws.Role{Audience: "urn:ours"}, access: func(s *Access) { s.Audience = "urn:ours" }, ops: "oidc assume-role identity"},
		{name: "wrong audience", role: aws.Role{Audience: "urn:ours"}, err: rotate.ErrDenied, text: "Incorrect token audience; see that the account has", ops: "oidc assume-role"},
		{name: "wrong subject", role: aws.Role{Audience: "sts.amazonaws.com", Subject: "repo:example/other:*"}, err: rotate.ErrDenied, text: "Not authorized to perform sts:AssumeRoleWithWebIdentity; see that", ops: "oidc assume-role"},
		{name: "no such role", access: func(s *Access) { s.Role += "x" }, err: rotate.ErrDenied, text: "remintx", ops: "oidc assume-role"},
		{name: "wrong bearer", plant: func(b *bed) { b.RunnerToken = "other" }, err: rotate.ErrDenied, text: "the runner gave no OIDC token: permission denied: GET /run/1: 401", ops: "oidc"},
		{name: "runner hiccup", plant: func(b *bed) { b.Faults.Plant(aws.OIDC, emulate.Fault{Status: 502}) }, ops: "oidc oidc assume-role identity"},
		{name: "runner talks nonsense", plant: func(b *bed) { b.Faults.Plant(aws.OIDC, emulate.Fault{Status: 200, Body: "jwt-of-the-job", Times: -1}) }, err: rotate.ErrTemporary, text: "no value", ops: "oidc"},
		{name: "keys of the issuer not reached", plant: func(b *bed) {
			b.Faults.Plant(aws.AssumeRole, emulate.Fault{Status: 400, Body: xml("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")})
		}, ops: "oidc assume-role oidc assume-role identity"},
		{name: "for ever", plant: func(b *bed) {
			b.Faults.Plant(aws.AssumeRole, emulate.Fault{Status: 400, Times: -1, Body: xml("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")})
		}, err: rotate.ErrDenied, text: "verification key", ops: "oidc assume-role oidc assume-role oidc assume-role"},
		{name: "STS down", plant: func(b *bed) { b.Faults.Plant(aws.AssumeRole, emulate.Fault{Status: 503}) }, ops: "oidc assume-role assume-role identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed()
				if c.role.Audience == "" {
					c.role.Audience = "sts.amazonaws.com"
				}
				s := b.access(byToken(b.AddRole("remint", c.role)))
				if c.access != nil {
					c.access(s)
				}
				if c.plant != nil {
					c.plant(b)
				}
				_, err := s.Identity(t.Context())
				if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, want %v with %q", err, c.err, c.text)
				}
				if err != nil && (strings.Contains(err.Error(), "bearer-of") || strings.Contains(err.Error(), "jwt-of") || strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "operation error")) {
					t.Errorf("shows the token, or the SDK's own text: %v", err)
				}
				if got := b.since(0); got != c.ops {
					t.Errorf("took %q, want %q", got, c.ops)
				}
				n := len(b.Operations())
				if c.err == nil {
					s.account = "" // so that it asks again
					if _, err := s.Identity(t.Context()); err != nil || b.since(n) != "identity" {
						t.Errorf("credentials are not kept: %q, %v", b.since(n), err)
					}
				}
			})
		})
	}
}

func TestAssumeRole(t *testing.T) {
	b := newBed()
	arn := b.AddRole("remint", aws.Role{})
	s := b.access(func(s *Access) { s.Role = arn })
	_, err := s.Identity(t.Context())
	check(t, err)
	if got := b.since(0); !strings.HasPrefix(got, "assume-role identity") {
		t.Error(got)
	}
	b.Deny("sts:AssumeRole")
	_, err = b.access(func(s *Access) { s.Role = arn }).Identity(t.Context())
	if !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "let the caller use sts:AssumeRole") {
		t.Error(err)
	}
}

// noAWS gives the test an environment without any trace of AWS.
func noAWS(t *testing.T) {
	t.Helper()
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestNoCredentials(t *testing.T) {
	chainOnly := func(s *Access) { s.Credentials = nil }
	t.Run("nothing", func(t *testing.T) {
		noAWS(t)
		b := newBed()
		_, err := b.access(chainOnly).Identity(t.Context())
		if !errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "no AWS credentials found: set AWS_ACCESS_KEY_ID") || len(b.Operations()) != 0 {
			t.Error(err)
		}
	})
	t.Run("no such profile", func(t *testing.T) {
		noAWS(t)
		t.Setenv("AWS_PROFILE", "nobody")
		_, err := newBed().access(chainOnly).Identity(t.Context())
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), `no AWS profile "nobody"`) {
			t.Error(err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		noAWS(t)
		b := newBed()
		c, err := b.Credentials().Retrieve(t.Context())
		check(t, err)
		t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
		_, err = b.access(chainOnly).Identity(t.Context())
		check(t, err)
	})
	t.Run("a metadata endpoint that does not answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c := &chain{limit: metadataLimit, from: sdk.CredentialsProviderFunc(func(ctx context.Context) (sdk.Credentials, error) {
				<-ctx.Done()
				return sdk.Credentials{}, ctx.Err()
			})}
			_, err := c.Retrieve(t.Context())
			var known *CredentialsError
			if !errors.As(err, &known) || known.RetryableError() || time.Since(start) != metadataLimit {
				t.Errorf("%v after %s", err, time.Since(start))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &known) {
				t.Errorf("the end of the run is told as missing credentials: %v", err)
			}
		})
	})
	t.Run("the chain asks the instance, and once", func(t *testing.T) {
		noAWS(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		defer func() { _ = l.Close() }()
		asked := make(chan string, 100)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.URL.Path
			http.NotFound(w, r)
		}), ReadHeaderTimeout: time.Second}
		go func() { _ = srv.Serve(l) }()
		defer func() { _ = srv.Close() }()
		t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
		t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+l.Addr().String())
		_, err = newBed().access(chainOnly).Identity(t.Context())
		if !errors.Is(err, rotate.ErrDenied) || len(asked) == 0 || len(asked) > 4 {
			t.Errorf("%v after %d requests", err, len(asked))
		}
	})
	t.Run("a credential_process that talks", func(t *testing.T) {
		err := chainError(errors.New("parse failed of process output: secret-of-b"))
		if strings.Contains(err.Error(), "secret-of-b") {
			t.Error(err)
		}
	})
}
