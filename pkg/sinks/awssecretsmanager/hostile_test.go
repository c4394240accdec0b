package awssecretsmanager_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/hostile"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestHostile: whatever is answered in place of Secrets Manager.
func TestHostile(t *testing.T) {
	hostile.Try(t, hostile.Adapter{Requests: 6, New: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hostile.Bench {
		const name, siblings, value = "example/web", `{"user":"bot-of-the-siblings","token":"old"}`, "newborn-secret-0123456789"
		s := aws.New("eu-west-1", "111111111111")
		s.AddSecret(name, siblings)
		key, err := s.Credentials().Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_ACCESS_KEY_ID", key.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", key.SecretAccessKey)
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		c, err := config.Load([]byte(`rotations: [{name: web, id: web, provider: {fly: {app: web, expiry: 90d}}, sinks: [{aws-secrets-manager: {secret: `+name+`, key: token, region: eu-west-1}}]}]`),
			config.Options{Getenv: func(name string) string { return map[string]string{"FLY_API_TOKEN": "fo1_nobody_0123"}[name] },
				Transport: wrap(&emulate.Wire{Route: func(string) http.Handler { return s }})})
		if err != nil {
			t.Fatal(err)
		}
		sink := c.Rotations[0].Sinks[0]
		now := time.Now()
		newborn := rotate.Credential{Token: rotate.Token{ID: "t2", Name: "web 2", Created: now, Expires: now.Add(time.Hour)}, Secret: rotate.NewSecret(value)}
		return hostile.Bench{
			Secrets: func() []string { return []string{value, key.SecretAccessKey, "bot-of-the-siblings"} },
			Calls: []hostile.Call{
				{Name: "held", Do: func(ctx context.Context) error { _, err := sink.(rotate.Holder).Held(ctx); return err }},
				{Name: "read", Do: func(ctx context.Context) error { _, err := sink.(rotate.Reader).Read(ctx); return err }},
				{Name: "check", Do: sink.(rotate.Checker).Check},
				{Name: "write", Do: func(ctx context.Context) error { return sink.Write(ctx, newborn) }, Wrong: func() string {
					if got := s.Current(name); got != `{"user":"bot-of-the-siblings","token":"`+value+`"}` {
						return "the secret holds something else"
					}
					return ""
				}},
			},
		}
	}})
}
