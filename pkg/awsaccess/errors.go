package awsaccess

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file turns errors of the SDK into sentences of ours. The SDK's errors are not wrapped: one of them
// keeps a copy of the answer, which may hold a secret.

// Code returns the service's error code, "" if the service did not answer with one.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Kind returns the sentinel of an error code of Secrets Manager, Parameter Store, EKS or STS.
func Kind(code string) error {
	switch code {
	case "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "InvalidIdentityToken", "IDPRejectedClaim", "OptInRequired", "NotAuthorized",
		"DecryptionFailure", "EncryptionFailure", "InvalidKeyId":
		return rotate.ErrDenied
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound":
		return rotate.ErrNotFound
	case "LimitExceededException", "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded",
		"ParameterLimitExceeded", "ParameterMaxVersionLimitExceeded", "ParameterVersionLabelLimitExceeded":
		return rotate.ErrLimit
	case "ResourceExistsException", "PreconditionNotMetException", "ParameterAlreadyExists":
		return rotate.ErrConflict
	case "InvalidParameterException", "InvalidRequestException", "ValidationException", "ValidationError", "UnknownOperationException",
		"SerializationException", "MalformedPolicyDocumentException", "RegionDisabledException", "ClientException",
		"HierarchyTypeMismatchException", "IncompatiblePolicyException", "InvalidAllowedPatternException", "InvalidPolicyAttributeException",
		"InvalidPolicyTypeException", "ParameterPatternMismatchException", "PoliciesLimitExceededException", "UnsupportedParameterType":
		return rotate.ErrConfig
	}
	return rotate.ErrTemporary
}

// Call is one call of a service, for saying why it failed.
type Call struct {
	Service string // as in a sentence: "Secrets Manager"
	Action  string // "PutSecretValue"
	// Sends says that the call sends a secret. The service's message may repeat it, and is kept only where the
	// code says that it is about rights.
	Sends bool
	// Hint says what the operator does about an error code; nil or "": what holds for every service is said.
	Hint func(code, message string) string
}

// Explain says why the call failed: the fitting sentinel, the action, the service's code and message, and what
// to do. A [*CredentialsError] is returned as it is.
func (c Call) Explain(err error) error {
	if err == nil {
		return nil
	}
	var creds *CredentialsError
	if errors.As(err, &creds) {
		return creds
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", c.Action, context.Canceled)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s: %w", rotate.ErrTemporary, c.Action, context.DeadlineExceeded)
	}
	var api smithy.APIError
	var resp *awshttp.ResponseError
	request := ""
	if errors.As(err, &resp) {
		request = resp.ServiceRequestID()
	}
	if errors.As(err, &api) && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError" {
		return c.refused(api.ErrorCode(), api.ErrorMessage(), request)
	}
	if resp != nil && resp.HTTPStatusCode() != 0 {
		return c.foreign(resp.HTTPStatusCode())
	}
	var broken *smithy.DeserializationError
	if errors.As(err, &broken) {
		return fmt.Errorf("%w: %s: the answer is not one of %s", rotate.ErrTemporary, c.Action, c.Service)
	}
	return httpx.Wrap(err)
}

// refused explains an error answer of the service.
func (c Call) refused(code, message, request string) error {
	kind := Kind(code)
	text := c.Action + ": " + httpx.Clean(code, 80)
	if !c.Sends || kind == rotate.ErrDenied {
		if m := httpx.Clean(message, 300); m != "" {
			text += ": " + m
		}
	}
	if request = httpx.Clean(request, 80); request != "" {
		text += " (request " + request + ")"
	}
	hint := ""
	if c.Hint != nil {
		hint = c.Hint(code, message)
	}
	if hint == "" {
		hint = advice(code)
	}
	if hint != "" {
		text += "; " + hint
	}
	return fmt.Errorf("%w: %s", kind, text)
}

// foreign explains an answer that is not one of the service: some proxy answered, or the service did without
// its protocol. 403 and 404 then say nothing about rights.
func (c Call) foreign(status int) error {
	kind := rotate.ErrTemporary
	if status == http.StatusTooManyRequests {
		kind = rotate.ErrLimit
	}
	return fmt.Errorf("%w: %s: the answer (status %d) is not one of %s", kind, c.Action, status, c.Service)
}

// advice says what the operator does about an error code that means the same everywhere.
func advice(code string) string {
	switch code {
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch":
		return "the AWS credentials are wrong, or belong to another partition"
	case "ExpiredTokenException", "ExpiredToken":
		return "the AWS credentials have expired; get fresh ones"
	}
	return ""
}
