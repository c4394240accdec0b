package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file turns errors of the SDK into sentences of ours. The SDK's errors are not wrapped: one of them
// keeps a copy of the answer, which may hold a secret.

// code returns the service's error code, "" if the service did not answer with one.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// kindOf returns the sentinel of an error code of Secrets Manager or STS.
func kindOf(code string) error {
	switch code {
	case "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "InvalidIdentityToken", "IDPRejectedClaim", "OptInRequired", "NotAuthorized",
		"DecryptionFailure", "EncryptionFailure":
		return rotate.ErrDenied
	case "ResourceNotFoundException":
		return rotate.ErrNotFound
	case "LimitExceededException", "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded":
		return rotate.ErrLimit
	case "ResourceExistsException", "PreconditionNotMetException":
		return rotate.ErrConflict
	case "InvalidParameterException", "InvalidRequestException", "ValidationException", "ValidationError", "UnknownOperationException",
		"SerializationException", "MalformedPolicyDocumentException", "RegionDisabledException":
		return rotate.ErrConfig
	}
	return rotate.ErrTemporary
}

// explain says why a call of Secrets Manager failed: the fitting sentinel, the action, the service's code
// and message, and what to do. The message on a put may repeat what was put, so it is kept only where the
// code says that it is about rights.
func (s *Secret) explain(action string, err error) error {
	var creds *credentialsError
	if errors.As(err, &creds) {
		return creds
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", action, context.Canceled)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s: %w", rotate.ErrTemporary, action, context.DeadlineExceeded)
	}
	var api smithy.APIError
	var resp *awshttp.ResponseError
	request := ""
	if errors.As(err, &resp) {
		request = httpx.Clean(resp.ServiceRequestID(), 80)
	}
	if errors.As(err, &api) && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError" {
		kind := kindOf(api.ErrorCode())
		text := action + ": " + httpx.Clean(api.ErrorCode(), 80)
		if action != "PutSecretValue" || kind == rotate.ErrDenied {
			if m := httpx.Clean(api.ErrorMessage(), 300); m != "" {
				text += ": " + m
			}
		}
		if request != "" {
			text += " (request " + request + ")"
		}
		if hint := s.hint(action, api.ErrorCode(), api.ErrorMessage()); hint != "" {
			text += "; " + hint
		}
		return fmt.Errorf("%w: %s", kind, text)
	}
	if resp != nil && resp.HTTPStatusCode() != 0 {
		// Some proxy answered, or the service did without its protocol. 403 and 404 then say nothing about rights.
		kind := rotate.ErrTemporary
		if resp.HTTPStatusCode() == http.StatusTooManyRequests {
			kind = rotate.ErrLimit
		}
		return fmt.Errorf("%w: %s: the answer (status %d) is not one of Secrets Manager", kind, action, resp.HTTPStatusCode())
	}
	var broken *smithy.DeserializationError
	if errors.As(err, &broken) {
		return fmt.Errorf("%w: %s: the answer is not one of Secrets Manager", rotate.ErrTemporary, action)
	}
	return httpx.Wrap(err)
}

// hint says what the operator does about an error code.
func (s *Secret) hint(action, code, message string) string {
	switch code {
	case "AccessDeniedException":
		if strings.Contains(message, "KMS") || strings.Contains(message, "kms:") {
			return "grant kms:Decrypt and kms:GenerateDataKey on the key that encrypts the secret, in the key's policy too if it is in another account"
		}
		return "grant secretsmanager:" + action + " on " + s.Secret
	case "DecryptionFailure", "EncryptionFailure":
		return "the KMS key of the secret cannot be used: see that it is enabled, and grant kms:Decrypt and kms:GenerateDataKey on it"
	case "ResourceNotFoundException":
		return fmt.Sprintf("see that it exists in region %s of the account that the credentials belong to", s.region())
	case "LimitExceededException":
		if action == "PutSecretValue" {
			return "a secret keeps every version of the last day, 100 at most; wait a day, or see who writes it so often"
		}
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch":
		return "the AWS credentials are wrong, or belong to another partition"
	case "ExpiredTokenException", "ExpiredToken":
		return "the AWS credentials have expired; get fresh ones"
	}
	return ""
}
