// Package ssm writes a credential into a parameter of AWS Systems Manager Parameter Store. Its rules:
//
//   - A version that we write gets a label with a digest of the token's id, so that one GetParameterHistory, which
//     decrypts nothing, says what the parameter holds (held.go). Labels belong to versions, so a value that somebody
//     else put is never taken for ours. That a token was verified is another label on its version.
//   - There is no compare-and-swap and no idempotency token. Every put is preceded by a look and sent once; what was
//     put is read back, and a version that is higher than the next one shows that somebody else wrote (write.go).
//   - Key, tier, description and allowed pattern are sent as they are, since what a put leaves out may change:
//     the tier by a setting of the account, the key to the account's default.
//   - What is not encrypted is refused unless that is asked for; what somebody else will delete or split is refused
//     (check.go). No parameter is created or deleted.
//   - Labels of ours on versions before the current one are taken off: a parameter whose oldest version has a label
//     takes no hundred-and-first version.
//
// The rights needed are ssm:GetParameter, GetParameterHistory, PutParameter, LabelParameterVersion and
// UnlabelParameterVersion on the one parameter, and with a customer managed key kms:Decrypt and kms:Encrypt on it
// (kms:GenerateDataKey for the advanced tier). Consumers are those that read the latest version: one that reads a
// label of its own (name:label) sees nothing of a new one until the label is moved.
package ssm

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Largest values in bytes, by tier (api_op_PutParameter.go).
const (
	MaxStandard = 4096
	MaxAdvanced = 8192
)

// Parameter is one parameter. It must exist. It is safe for concurrent use.
type Parameter struct {
	Name             string `yaml:"name" required:"true" scalar:"true" example:"/govuk/fastly/api-token" doc:"Name of the parameter, with its whole path, or its ARN. It must exist; its key, tier, description and allowed pattern stay as they are. Consumers must read it without a version or label."`
	Plaintext        bool   `yaml:"plaintext" doc:"Write a parameter of type String too, which is not encrypted. Without this only a SecureString is written."`
	awsaccess.Access        // region, account, role, …
	Endpoint         string `yaml:"endpoint" env:"AWS_ENDPOINT_URL_SSM,AWS_ENDPOINT_URL" doc:"URL of Systems Manager, for a VPC endpoint or a test. Plain http only to loopback. Without it the region's own."`

	mu       sync.Mutex
	api      *sdk.Client
	known    *history // what was last seen of its versions
	undo     *change  // what the last write replaced
	read     int64    // version that the last Read saw
	warnings warn.List
}

var (
	_ rotate.Sink      = (*Parameter)(nil)
	_ rotate.Holder    = (*Parameter)(nil)
	_ rotate.Reader    = (*Parameter)(nil)
	_ rotate.Marker    = (*Parameter)(nil)
	_ rotate.Undoer    = (*Parameter)(nil)
	_ rotate.Checker   = (*Parameter)(nil)
	_ rotate.Warner    = (*Parameter)(nil)
	_ rotate.Accepter  = (*Parameter)(nil)
	_ rotate.Connector = (*Parameter)(nil)
)

// String implements [rotate.Sink]: "aws-parameter-store:eu-west-1:/path/name", with the account before the region if
// it is asserted.
func (p *Parameter) String() string {
	at := p.region()
	if a := p.account(); a != "" {
		at = a + "/" + at
	}
	return "aws-parameter-store:" + at + ":" + p.name()
}

// Format implements [fmt.Formatter] for every verb: Credentials may hold keys.
func (p *Parameter) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

var (
	// parameterARN takes names with a path only: that of "/x" and that of "x" cannot be told apart.
	parameterARN  = pattern.New(`^arn:aws[a-z-]*:ssm:([a-z0-9-]+):(\d{12}):parameter((?:/[a-zA-Z0-9_.-]+){2,})$`)
	parameterName = pattern.New(`^[a-zA-Z0-9_.-]+$|^(?:/[a-zA-Z0-9_.-]+)+$`)
)

// arn takes the ARN in the configuration apart.
func (p *Parameter) arn() (region, account, name string, ok bool) {
	m := parameterARN.FindStringSubmatch(p.Name)
	if m == nil {
		return "", "", "", false
	}
	return m[1], m[2], m[3], true
}

// name returns what the service knows the parameter by: PutParameter takes no ARN.
func (p *Parameter) name() string {
	if _, _, name, ok := p.arn(); ok {
		return name
	}
	return p.Name
}

func (p *Parameter) region() string {
	if region, _, _, ok := p.arn(); ok {
		return region
	}
	return p.Region
}

// account returns the account that is asked for, "" if none is.
func (p *Parameter) account() string {
	if _, account, _, ok := p.arn(); ok {
		return account
	}
	return p.Account
}

// Limits of a name (docs.aws.amazon.com, "Requirements and constraints for parameter names").
const (
	maxName   = 1011 // with the part of the ARN that stands before it
	maxLevels = 15
)

// Validate reports all that is wrong with the fields, without any call.
func (p *Parameter) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	_, owner, _, full := p.arn()
	name := p.name()
	reserved := strings.ToLower(strings.TrimPrefix(name, "/"))
	switch {
	case p.Name == "":
		bad("name", "give the name of the parameter, with its whole path")
	case strings.HasPrefix(p.Name, "arn:") && !full:
		bad("name", "%q is not the ARN of a parameter with a path (…:parameter/path/name); give the name, and the region", p.Name)
	case strings.Contains(name, ":"):
		bad("name", "%q names one version or label, and what is written is the latest version; leave the colon and what follows out", name)
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		bad("name", "%q has a path, and so must begin with a slash", name)
	case !parameterName.MatchString(name):
		bad("name", "%q is not a name of a parameter: letters, digits and _.- only, parts divided by single slashes", name)
	case strings.HasPrefix(reserved, "aws"), strings.HasPrefix(reserved, "ssm"):
		bad("name", "names that begin with aws or ssm belong to AWS")
	case strings.Count(name, "/") > maxLevels:
		bad("name", "a path has at most %d levels", maxLevels)
	case len("arn:aws:ssm:"+p.region()+":111111111111:parameter/")+len(name) > maxName:
		bad("name", "it is too long: %d characters with its ARN, %d are allowed", len("arn:aws:ssm:"+p.region()+":111111111111:parameter/")+len(name), maxName)
	}
	if full && p.Account != "" && p.Account != owner {
		bad("account", "the parameter's ARN names account %s, not %s", owner, p.Account)
	}
	if r := p.RoleAccount(); r != "" && p.account() != "" && r != p.account() {
		bad("role", "it is one of account %s, and only credentials of account %s can write the parameter", r, p.account())
	}
	if p.Endpoint != "" {
		if _, err := httpx.Base(p.Endpoint); err != nil {
			bad("endpoint", "%w", err)
		}
	}
	return errors.Join(append(errs, p.ValidateIn(p.region()))...)
}

// Accept implements [rotate.Accepter]. Until the parameter was asked for, its tier is not known, and what fits into
// the larger one is taken.
func (p *Parameter) Accept(c rotate.Credential) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault("write", p.accept(c.Secret, p.known))
}

func (p *Parameter) accept(secret rotate.Secret, known *history) error {
	text := secret.Reveal()
	most, tier := MaxAdvanced, "a parameter"
	if known != nil && known.latest.Tier == types.ParameterTierStandard {
		most, tier = MaxStandard, "a parameter of the standard tier, which this is,"
	}
	switch {
	case text == "":
		return fmt.Errorf("%w: there is no secret to write", rotate.ErrConfig)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: the credential is not valid UTF-8, which Parameter Store demands", rotate.ErrConfig)
	case strings.Contains(text, "{{"):
		return fmt.Errorf("%w: the credential contains {{, which Parameter Store takes for a reference and refuses", rotate.ErrConfig)
	case len(text) > most:
		return fmt.Errorf("%w: the credential has %d bytes, %s at most %d", rotate.ErrLimit, len(text), tier, most)
	}
	return nil
}

// Warnings implements [rotate.Warner].
func (p *Parameter) Warnings() []string { return p.warnings.Take() }

// fault names the operation and the sink of an error.
func (p *Parameter) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: p.String(), Err: err}
}
