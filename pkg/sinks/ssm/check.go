package ssm

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file looks whether a write would succeed, and changes nothing. The rights to write are shown by calls that
// are documented to be refused for another reason: putting the same value without the overwrite flag, a label that
// no label may be, and taking off a label that is on no version.

const (
	// forbiddenLabel begins with a word that labels must not begin with.
	forbiddenLabel = "ssm-remint-check"
	// absentLabel is on no version.
	absentLabel = "remint-check"
)

// Check implements [rotate.Checker].
func (p *Parameter) Check(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, err := p.look(ctx)
	if err != nil && !missingRight(err) {
		return p.fault("check", err) // nothing else can be known
	}
	var errs []error
	if err != nil {
		errs = append(errs, err)
	} else {
		errs = p.refusals(h)
	}
	refused := len(errs) > 0
	now, err := p.value(ctx, 0)
	if err != nil {
		errs = append(errs, err)
	}
	if !refused && err == nil {
		errs = append(errs, p.probe(ctx, h, now)...)
	}
	for i, err := range errs {
		errs[i] = p.fault("check", err)
	}
	return errors.Join(errs...)
}

func missingRight(err error) bool {
	var c *awsaccess.CredentialsError
	return errors.Is(err, rotate.ErrDenied) && !errors.As(err, &c)
}

// refusals says what the versions show that forbids writing.
func (p *Parameter) refusals(h *history) []error {
	var errs []error
	no := func(kind error, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{kind}, args...)...))
	}
	switch h.latest.Type {
	case types.ParameterTypeSecureString:
	case types.ParameterTypeString:
		if !p.Plaintext {
			no(rotate.ErrConfig, "it is a String, which is not encrypted, and its type cannot be changed; make a SecureString of another name, or set plaintext if everybody who may read it may have the credential")
		}
	case types.ParameterTypeStringList:
		no(rotate.ErrConfig, "it is a StringList, which its consumers split at commas; make a SecureString of another name")
	default:
		no(rotate.ErrConfig, "its type %q is none that remint knows", httpx.Clean(string(h.latest.Type), 40))
	}
	if d := aws.ToString(h.latest.DataType); d != "" && d != "text" {
		no(rotate.ErrConfig, "its data type is %s, not text", httpx.Clean(d, 40))
	}
	for _, policy := range h.latest.Policies {
		if aws.ToString(policy.PolicyType) == "Expiration" {
			no(rotate.ErrConfig, "it has an Expiration policy, which deletes it with the credential in it, whenever that was renewed; put it without that policy first")
		}
	}
	if h.count >= 100 {
		for _, l := range h.labels[h.oldest] {
			if !ourLabel.MatchString(l) { // ours are taken off before a write
				no(rotate.ErrLimit, "it has %d versions, and the oldest, %d, has the label %s, which keeps it from making room; take the label off (UnlabelParameterVersion) or move it", h.count, h.oldest, httpx.Clean(l, 100))
				break
			}
		}
	}
	return errs
}

// probe shows that the rights to write are there.
func (p *Parameter) probe(ctx context.Context, h *history, now sight) []error {
	var errs []error
	_, err := p.api.PutParameter(ctx, p.input(h.latest, now.secret, false))
	if err != nil && awsaccess.Code(err) != "ParameterAlreadyExists" {
		errs = append(errs, p.explain("PutParameter", err))
	}
	version := now.version
	_, err = p.api.LabelParameterVersion(ctx, &sdk.LabelParameterVersionInput{Name: aws.String(p.name()), ParameterVersion: &version, Labels: []string{forbiddenLabel}})
	if err != nil && !harmless(err) {
		errs = append(errs, p.explain("LabelParameterVersion", err))
	}
	_, err = p.api.UnlabelParameterVersion(ctx, &sdk.UnlabelParameterVersionInput{Name: aws.String(p.name()), ParameterVersion: &version, Labels: []string{absentLabel}})
	if err != nil && !harmless(err) {
		errs = append(errs, p.explain("UnlabelParameterVersion", err))
	}
	return errs
}

// harmless reports whether a probe was refused for what it asked rather than for who asked.
func harmless(err error) bool {
	return awsaccess.Kind(awsaccess.Code(err)) == rotate.ErrConfig
}
