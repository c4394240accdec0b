package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/remint-dev/remint/internal/emulate"
)

// client is the real SDK in front of the emulation.
func client(s *Server, change ...func(*sm.Options)) *sm.Client {
	o := sm.Options{Region: s.region, Credentials: s.Credentials(), RetryMaxAttempts: 1, HTTPClient: wire(s)}
	for _, c := range change {
		c(&o)
	}
	return sm.New(o)
}

func wire(h http.Handler) *http.Client {
	return &http.Client{Transport: &emulate.Wire{Route: func(string) http.Handler { return h }}}
}

func id(n int) string { return fmt.Sprintf("%032d", n) }

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func put(c *sm.Client, n int, value string, labels ...string) error {
	_, err := c.PutSecretValue(context.Background(), &sm.PutSecretValueInput{
		SecretId: sdk.String("x"), ClientRequestToken: sdk.String(id(n)), SecretString: &value, VersionStages: labels})
	return err
}

func move(c *sm.Client, label string, to, from int) error {
	in := &sm.UpdateSecretVersionStageInput{SecretId: sdk.String("x"), VersionStage: &label}
	if to > 0 {
		in.MoveToVersionId = sdk.String(id(to))
	}
	if from > 0 {
		in.RemoveFromVersionId = sdk.String(id(from))
	}
	_, err := c.UpdateSecretVersionStage(context.Background(), in)
	return err
}

// TestStages plays the stage machine, one step after the other.
func TestStages(t *testing.T) {
	s := New("eu-west-1", "111111111111")
	s.AddSecret("x")
	c := client(s)
	for i, step := range []struct {
		do   func() error
		code string
		want string // labels as "AWSCURRENT=1 …", versions by number
	}{
		{do: func() error { return put(c, 1, "one", "A") }, want: "A=1 AWSCURRENT=1"}, // the first becomes current whatever its labels
		{do: func() error { return put(c, 2, "two") }, want: "A=1 AWSCURRENT=2 AWSPREVIOUS=1"},
		{do: func() error { return put(c, 3, "three", "A", "B") }, want: "A=3 AWSCURRENT=2 AWSPREVIOUS=1 B=3"},
		{do: func() error { return put(c, 3, "three") }, want: "A=3 AWSCURRENT=2 AWSPREVIOUS=1 B=3"}, // again: nothing is done
		{do: func() error { return put(c, 3, "other", "A") }, code: "ResourceExistsException", want: "A=3 AWSCURRENT=2 AWSPREVIOUS=1 B=3"},
		{do: func() error { return move(c, "AWSCURRENT", 3, 0) }, code: "InvalidParameterException", want: "A=3 AWSCURRENT=2 AWSPREVIOUS=1 B=3"},
		{do: func() error { return move(c, "AWSCURRENT", 3, 1) }, code: "InvalidParameterException", want: "A=3 AWSCURRENT=2 AWSPREVIOUS=1 B=3"},
		{do: func() error { return move(c, "AWSCURRENT", 3, 2) }, want: "A=3 AWSCURRENT=3 AWSPREVIOUS=2 B=3"},
		{do: func() error { return move(c, "AWSCURRENT", 3, 2) }, code: "InvalidParameterException", want: "A=3 AWSCURRENT=3 AWSPREVIOUS=2 B=3"}, // once more
		{do: func() error { return move(c, "AWSCURRENT", 3, 3) }, want: "A=3 AWSCURRENT=3 AWSPREVIOUS=2 B=3"},
		{do: func() error { return move(c, "AWSCURRENT", 0, 3) }, code: "InvalidParameterException", want: "A=3 AWSCURRENT=3 AWSPREVIOUS=2 B=3"},
		{do: func() error { return move(c, "A", 0, 2) }, code: "InvalidParameterException", want: "A=3 AWSCURRENT=3 AWSPREVIOUS=2 B=3"},
		{do: func() error { return move(c, "A", 0, 3) }, want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3"},
		{do: func() error { return move(c, "A", 0, 0) }, code: "InvalidParameterException", want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3"},
		{do: func() error { return move(c, "C", 1, 0) }, want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3 C=1"}, // on no version: no swap
		{do: func() error { return move(c, "C", 2, 1) }, want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3 C=2"}, // no other label moves along
		{do: func() error { return move(c, "C", 1, 2) }, want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3 C=1"},
		{do: func() error { return move(c, "D", 1, 2) }, code: "InvalidParameterException", want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3 C=1"},
		{do: func() error { return move(c, "C", 9, 1) }, code: "ResourceNotFoundException", want: "AWSCURRENT=3 AWSPREVIOUS=2 B=3 C=1"},
		{do: func() error { return move(c, "AWSCURRENT", 2, 3) }, want: "AWSCURRENT=2 AWSPREVIOUS=3 B=3 C=1"}, // and back
		{do: func() error { return put(c, 4, "four", "AWSPENDING") }, want: "AWSCURRENT=2 AWSPENDING=4 AWSPREVIOUS=3 B=3 C=1"},
	} {
		if got := code(step.do()); got != step.code {
			t.Errorf("step %d: %q, want %q", i, got, step.code)
		}
		var got []string
		stages := s.Stages("x")
		for _, l := range []string{"A", "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", "B", "C", "D"} {
			if v := stages[l]; v != "" {
				got = append(got, l+"="+strings.TrimLeft(v, "0"))
			}
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("step %d: %v, want %s", i, got, step.want)
		}
	}
	if !s.RotationStuck("x") {
		t.Error("AWSPENDING on another version than AWSCURRENT does not block rotation")
	}
	// Reads follow the labels, which known emulators get wrong.
	ctx := context.Background()
	for _, c2 := range []struct {
		in   sm.GetSecretValueInput
		want string
		code string
	}{
		{in: sm.GetSecretValueInput{}, want: "two"},
		{in: sm.GetSecretValueInput{VersionStage: sdk.String("AWSPREVIOUS")}, want: "three"},
		{in: sm.GetSecretValueInput{VersionId: sdk.String(id(1))}, want: "one"},
		{in: sm.GetSecretValueInput{VersionId: sdk.String(id(1)), VersionStage: sdk.String("C")}, want: "one"},
		{in: sm.GetSecretValueInput{VersionId: sdk.String(id(1)), VersionStage: sdk.String("B")}, code: "InvalidRequestException"},
		{in: sm.GetSecretValueInput{VersionId: sdk.String(id(7))}, code: "ResourceNotFoundException"},
		{in: sm.GetSecretValueInput{VersionStage: sdk.String("Z")}, code: "ResourceNotFoundException"},
	} {
		c2.in.SecretId = sdk.String("x")
		out, err := c.GetSecretValue(ctx, &c2.in)
		if code(err) != c2.code || err == nil && *out.SecretString != c2.want {
			t.Errorf("%+v: %v %v", c2.in, out, err)
		}
	}
}

func TestQuotas(t *testing.T) {
	now := time.Unix(1.7e9, 0)
	s := New("eu-west-1", "111111111111")
	s.Now = func() time.Time { return now }
	s.AddSecret("x")
	c := client(s)
	for n := 1; n <= maxVersions; n++ {
		if err := put(c, n, "v"); err != nil {
			t.Fatal(n, err)
		}
	}
	if got := code(put(c, 999, "v")); got != "LimitExceededException" {
		t.Error(got)
	}
	now = now.Add(keepVersion)
	if err := put(c, 999, "v"); err != nil {
		t.Error(err)
	}
	if n := len(s.Versions("x")); n != 3 { // current, previous and the new one; the rest was deprecated
		t.Errorf("%d versions are left", n)
	}
	for n := range maxLabels - 1 {
		if err := move(c, fmt.Sprint("L", n), 999, 0); err != nil {
			t.Fatal(n, err)
		}
	}
	if got := code(move(c, "L20", 999, 0)); got != "LimitExceededException" {
		t.Error(got)
	}
	for _, value := range []string{strings.Repeat("x", 65536), strings.Repeat("x", 65537)} {
		if got := code(put(c, len(value), value)); (got == "") != (len(value) == 65536) {
			t.Errorf("%d bytes: %q", len(value), got)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, x := range []struct {
		name      string
		change    func(*Server)
		get, put  string
		moves     string
		describes string
	}{
		{"deleted", func(s *Server) { s.Change("x", func(m *Meta) { m.DeletedDate = time.Now() }) }, "InvalidRequestException", "InvalidRequestException", "InvalidRequestException", ""},
		{"owned", func(s *Server) { s.Change("x", func(m *Meta) { m.OwningService = "rds" }) }, "", "InvalidRequestException", "InvalidRequestException", ""},
		{"replica", func(s *Server) { s.Change("x", func(m *Meta) { m.PrimaryRegion = "us-east-1" }) }, "", "InvalidParameterException", "InvalidParameterException", ""},
		{"denied", func(s *Server) {
			for _, a := range []string{"DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"} {
				s.Deny("secretsmanager:" + a)
			}
		}, "AccessDeniedException", "AccessDeniedException", "AccessDeniedException", "AccessDeniedException"},
		{"KMS", func(s *Server) { s.Deny("kms:Decrypt"); s.Deny("kms:GenerateDataKey") }, "AccessDeniedException", "AccessDeniedException", "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := New("eu-west-1", "111111111111")
			s.AddSecret("x", "v")
			cur := s.Stages("x")[current]
			x.change(s)
			c := client(s)
			ctx := context.Background()
			_, get := c.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: sdk.String("x")})
			_, describe := c.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: sdk.String("x")})
			_, mv := c.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{SecretId: sdk.String("x"), VersionStage: sdk.String("L"), MoveToVersionId: &cur})
			got := []string{code(get), code(put(c, 1, "w")), code(mv), code(describe)}
			if want := []string{x.get, x.put, x.moves, x.describes}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestSignature: a request that is not signed as it should be is refused.
func TestSignature(t *testing.T) {
	s := New("eu-west-1", "111111111111")
	s.AddSecret("x", "v")
	key, err := s.Credentials().Retrieve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tamper := func(f func(*http.Request)) func(*sm.Options) {
		return func(o *sm.Options) {
			inner := o.HTTPClient
			o.HTTPClient = do(func(r *http.Request) (*http.Response, error) { f(r); return inner.Do(r) })
		}
	}
	for _, c := range []struct {
		name   string
		change func(*sm.Options)
		code   string
	}{
		{"right", func(*sm.Options) {}, ""},
		{"wrong key", func(o *sm.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(key.AccessKeyID, "wrong", "")
		}, "InvalidSignatureException"},
		{"unknown key", func(o *sm.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider("AKIAOTHER", key.SecretAccessKey, "")
		}, "UnrecognizedClientException"},
		{"wrong session", func(o *sm.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, "session")
		}, "UnrecognizedClientException"},
		{"wrong region", func(o *sm.Options) { o.Region = "us-east-1" }, "InvalidSignatureException"},
		{"anonymous", func(o *sm.Options) { o.Credentials = sdk.AnonymousCredentials{} }, "MissingAuthenticationTokenException"},
		{"other body", tamper(func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"SecretId":"y"}`)), 16
		}), "InvalidSignatureException"},
		{"other operation", tamper(func(r *http.Request) { r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue") }), "InvalidSignatureException"},
		{"old", tamper(func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }), "IncompleteSignatureException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := client(s, c.change).DescribeSecret(context.Background(), &sm.DescribeSecretInput{SecretId: sdk.String("x")})
			if got := code(err); got != c.code {
				t.Errorf("%q, want %q", got, c.code)
			}
		})
	}
}

type do func(*http.Request) (*http.Response, error)

func (f do) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestSTS(t *testing.T) {
	ctx := context.Background()
	s := New("eu-west-1", "111111111111")
	s.AddSecret("x", "v")
	s.Subject = "repo:example/web:environment:production"
	role := s.AddRole("remint", Role{Audience: "sts.amazonaws.com", Subject: "repo:example/web:*"})
	other := s.AddRole("other", Role{Audience: "sts.amazonaws.com", Subject: "repo:example/api:*"})
	jwt := s.sign(claims{Subject: s.Subject, Audience: "sts.amazonaws.com", Expires: time.Now().Add(time.Minute).Unix()})
	c := sts.New(sts.Options{Region: "eu-west-1", Credentials: s.Credentials(), RetryMaxAttempts: 1, HTTPClient: wire(s)})
	for _, x := range []struct{ name, role, jwt, session, code string }{
		{"right", role, jwt, "remint", ""},
		{"forged", role, jwt[:len(jwt)-4] + "AAAA", "remint", "InvalidIdentityToken"},
		{"no JWT", role, "x", "remint", "InvalidIdentityToken"},
		{"other repository", other, jwt, "remint", "AccessDenied"},
		{"unknown role", role + "x", jwt, "remint", "AccessDenied"},
		{"audience", role, s.sign(claims{Subject: s.Subject, Audience: "x", Expires: time.Now().Add(time.Minute).Unix()}), "remint", "InvalidIdentityToken"},
		{"expired", role, s.sign(claims{Subject: s.Subject, Audience: "sts.amazonaws.com", Expires: 1}), "remint", "ExpiredTokenException"},
		{"session name", role, jwt, "re mint", "ValidationError"},
	} {
		out, err := c.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &x.role, RoleSessionName: &x.session, WebIdentityToken: &x.jwt})
		if got := code(err); got != x.code {
			t.Errorf("%s: %q, want %q", x.name, got, x.code)
		}
		if err != nil {
			continue
		}
		k := out.Credentials
		got := credentials.NewStaticCredentialsProvider(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)
		if time.Until(*k.Expiration) < 59*time.Minute || *out.AssumedRoleUser.Arn != "arn:aws:sts::111111111111:assumed-role/remint/remint" {
			t.Errorf("%+v", out)
		}
		if _, err := client(s, func(o *sm.Options) { o.Credentials = got }).GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: sdk.String("x")}); err != nil {
			t.Errorf("what was given out does not work: %v", err)
		}
		as := sts.New(sts.Options{Region: "eu-west-1", Credentials: got, HTTPClient: wire(s)})
		who, err := as.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil || *who.Account != "111111111111" || *who.Arn != *out.AssumedRoleUser.Arn {
			t.Errorf("%+v, %v", who, err)
		}
		s.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		_, err = client(s, func(o *sm.Options) { o.Credentials = got }).GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: sdk.String("x")})
		if code(err) != "ExpiredTokenException" {
			t.Error(err)
		}
		s.Now = nil
	}
}
