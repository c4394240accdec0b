package awssecretsmanager

import (
	"fmt"
	"strings"

	"github.com/remint-dev/remint/pkg/awsaccess"
)

// This file says why a call of Secrets Manager failed, and what to do.

// explain says why a call failed. The message on a put may repeat what was put.
func (s *Secret) explain(action string, err error) error {
	return awsaccess.Call{Service: "Secrets Manager", Action: action, Sends: action == "PutSecretValue",
		Hint: func(code, message string) string { return s.hint(action, code, message) }}.Explain(err)
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
	}
	return ""
}
