package awssecretsmanager

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/rotate"
)

// How credentials are had is package awsaccess's; here is what the sink makes of it.

func byToken(arn string) func(*Secret) {
	return func(s *Secret) {
		s.Role, s.Credentials = arn, nil
		s.OIDCURL, s.OIDCBearer = "https://"+oidc+"/run/1?api-version=2.0", rotate.NewSecret("bearer-of-the-job")
	}
}

func TestRole(t *testing.T) {
	b := newBed()
	b.AddSecret(name, "old")
	s := b.sink(byToken(b.AddRole("remint", aws.Role{Audience: "sts.amazonaws.com"})))
	check(t, s.Write(t.Context(), credential("b")))
	if got := b.since(0); !strings.HasPrefix(got, "oidc assume-role get put") {
		t.Error(got)
	}
	s = b.sink(func(s *Secret) { s.Role = "arn:aws:iam::" + account + ":role/remint" })
	check(t, s.Write(t.Context(), credential("b")))
}

// TestNoRole: a fault of the credentials is said once, however much needed them.
func TestNoRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, "old")
		s := b.sink(byToken(b.AddRole("remint", aws.Role{Audience: "urn:ours"})))
		err := s.Check(t.Context())
		if !errors.Is(err, rotate.ErrDenied) || strings.Count(err.Error(), "check ") != 1 || !strings.Contains(err.Error(), "Incorrect token audience") {
			t.Error(err)
		}
	})
}

func TestCancelled(t *testing.T) {
	b := newBed()
	b.AddSecret(name, "old")
	ctx, cancel := context.WithCancel(t.Context())
	b.rival("PutSecretValue", 1, cancel)
	err := b.sink().Write(ctx, credential("b"))
	if !errors.Is(err, context.Canceled) || slices.Contains(b.Operations(), aws.Stage) {
		t.Errorf("%v after %v", err, b.Operations())
	}
}
