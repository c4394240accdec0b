// Package awssecretsmanager writes a credential into AWS Secrets Manager: as the whole value of a secret,
// or as one key of the JSON object in it. Its rules:
//
//   - A version that we write has an id derived from the token's id, so that one DescribeSecret, which reads
//     no value, says what the secret holds (identity.go).
//   - A write is put aside under a label of our own and becomes AWSCURRENT by compare-and-swap; somebody
//     else's change in between is never overwritten (write.go). AWSPENDING, which belongs to the service's own
//     rotation, is never touched.
//   - Of a JSON object, the bytes of one value change and no others (splice.go).
//   - With previous, the value that is replaced stays beside the new one: value, former value and a note about both are
//     three keys that change in one version (previous.go).
//   - What another rotator or service manages is refused (check.go).
//   - That a token was verified is a staging label on its version. Tags would need another right, cannot be
//     swapped, and may decide about access themselves, so none are written.
//
// The rights needed are secretsmanager:DescribeSecret, GetSecretValue, PutSecretValue and
// UpdateSecretVersionStage on the one secret, and with a customer managed key kms:Decrypt and
// kms:GenerateDataKey on it.
package awssecretsmanager

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// MaxValue is the largest value of a secret in bytes (SecretStringType in the service model).
const MaxValue = 65536

// Secret is one secret in AWS Secrets Manager, or one key of the JSON object in it. It must exist; the
// secret itself is never created or deleted. It is safe for concurrent use.
type Secret struct {
	Secret           string `yaml:"secret" required:"true" scalar:"true" example:"govuk/fastly/api" doc:"Name or full ARN of the secret, which must exist. Partial ARNs are refused."`
	Key              string `yaml:"key" example:"fastly-api-token" doc:"Key of the JSON object that the secret holds; its neighbours are kept byte for byte. Without it the whole value is the credential."`
	CreateKey        bool   `yaml:"create-key" doc:"Add the key if the JSON object lacks it. Without this a missing key is an error."`
	Previous         string `yaml:"previous" example:"webhook-secret-previous" doc:"Only with the provider random, and with key: key of the JSON object where the value that was replaced is kept, for consumers that still present it. It is added if it is missing; when nothing is kept, it has the same value as key. A third key of the same name with _remint behind holds a note of remint's about both values."`
	awsaccess.Access        // region, account, role, …
	Endpoint         string `yaml:"endpoint" env:"AWS_ENDPOINT_URL_SECRETS_MANAGER,AWS_ENDPOINT_URL" doc:"URL of Secrets Manager, for a VPC endpoint or a test. Plain http only to loopback. Without it the region's own."`

	// Patience bounds the wait for replicas; 0: 2 minutes.
	Patience time.Duration `yaml:"-" json:"-"`

	mu         sync.Mutex
	api        *secretsmanager.Client
	replicated *bool         // whether the secret has replicas; nil: not known yet
	undo       *swap         // what the last write replaced
	read       string        // version id that the last Read saw
	last       *keeping.Seen // with previous: as it was last read; nil: not known
	keeping    keeping.Sink
	warnings   warn.List
}

var (
	_ rotate.Sink      = (*Secret)(nil)
	_ rotate.Holder    = (*Secret)(nil)
	_ rotate.Reader    = (*Secret)(nil)
	_ rotate.Marker    = (*Secret)(nil)
	_ rotate.Undoer    = (*Secret)(nil)
	_ rotate.Keeper    = (*Secret)(nil)
	_ rotate.Checker   = (*Secret)(nil)
	_ rotate.Warner    = (*Secret)(nil)
	_ rotate.Accepter  = (*Secret)(nil)
	_ rotate.Connector = (*Secret)(nil)
)

// String implements [rotate.Sink]: "aws-secrets-manager:eu-west-1/name", "…/name#key", with the account
// before the region if it is asserted.
func (s *Secret) String() string {
	id := s.Secret
	if a, ok := parseARN(s.Secret); ok {
		id = a.account + "/" + a.region + "/" + a.name + "-" + a.tail
	} else {
		id = s.Region + "/" + id
		if s.Account != "" {
			id = s.Account + "/" + id
		}
	}
	if s.Key != "" {
		id += "#" + s.Key
	}
	return "aws-secrets-manager:" + id
}

// Format implements [fmt.Formatter] for every verb: Credentials may hold keys, and what was read is kept.
func (s *Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// arn is a full ARN of a secret. The tail is six characters that the service chose.
type arn struct{ partition, region, account, name, tail string }

var (
	secretARN  = pattern.New(`^arn:(aws[a-z-]*):secretsmanager:([a-z0-9-]+):(\d{12}):secret:([A-Za-z0-9/_+=.@-]{1,512})-([A-Za-z0-9]{6})$`)
	secretName = pattern.New(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
)

func parseARN(text string) (arn, bool) {
	m := secretARN.FindStringSubmatch(text)
	if m == nil {
		return arn{}, false
	}
	return arn{m[1], m[2], m[3], m[4], m[5]}, true
}

// region returns where the secret is.
func (s *Secret) region() string {
	if a, ok := parseARN(s.Secret); ok {
		return a.region
	}
	return s.Region
}

// Validate reports all that is wrong with the fields, without any call.
func (s *Secret) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	a, full := parseARN(s.Secret)
	switch {
	case s.Secret == "":
		bad("secret", "give the name or the full ARN of the secret")
	case len(s.Secret) > 4 && s.Secret[:4] == "arn:" && !full:
		bad("secret", "%q is not the full ARN of a secret, which ends in a hyphen and six characters; copy all of it, or give the name", s.Secret)
	case !full && !secretName.MatchString(s.Secret):
		bad("secret", "%q is not a name of a secret: letters, digits and /_+=.@- only", s.Secret)
	}
	if s.Account != "" && full && a.account != s.Account {
		bad("account", "the secret's ARN names account %s, not %s", a.account, s.Account)
	}
	if !utf8.ValidString(s.Key) {
		bad("key", "not valid UTF-8")
	}
	if s.CreateKey && s.Key == "" {
		bad("create-key", "there is no key to create")
	}
	switch {
	case s.Previous == "":
	case s.Key == "":
		bad("previous", "it is a key of a JSON object; say with key which other key of that holds the value")
	case !utf8.ValidString(s.Previous):
		bad("previous", "not valid UTF-8")
	case s.Previous == s.Key:
		bad("previous", "it is the key itself; give another for the former value")
	case keeping.NoteKey(s.Previous) == s.Key:
		bad("previous", "the note about both values goes under %q, which is the key itself; give another for the former value", s.Key)
	}
	if s.Endpoint != "" {
		if _, err := httpx.Base(s.Endpoint); err != nil {
			bad("endpoint", "%w", err)
		}
	}
	return errors.Join(append(errs, s.ValidateIn(s.region()))...)
}

// Accept implements [rotate.Accepter]. With previous, what the secret holds counts as far as it is known.
func (s *Secret) Accept(c rotate.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault("write", s.accept(c))
}

func (s *Secret) accept(c rotate.Credential) error {
	text := c.Secret.Reveal()
	switch {
	case text == "":
		return fmt.Errorf("%w: there is no secret to write", rotate.ErrConfig)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: the credential is not valid UTF-8, which Secrets Manager demands of text", rotate.ErrConfig)
	case len(text) > MaxValue:
		return fmt.Errorf("%w: the credential has %d bytes, a secret at most %d", rotate.ErrLimit, len(text), MaxValue)
	}
	return s.roomy(c)
}

// Warnings implements [rotate.Warner].
func (s *Secret) Warnings() []string { return s.warnings.Take() }

// fault names the operation and the sink of an error.
func (s *Secret) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}

func (s *Secret) patience() time.Duration {
	if s.Patience > 0 {
		return s.Patience
	}
	return 2 * time.Minute
}
