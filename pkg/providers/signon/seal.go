package signon

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file keeps a newborn's value from everybody between the script and us: RSA-OAEP with SHA-256, by a key that is
// made for one mint and forgotten. Ruby's own openssl can do it (key.encrypt, since openssl 3.0 of Ruby 3.1); a box of
// NaCl would need a library that Signon does not have.

// keyBits outlast the token, which lives for two years.
const keyBits = 2048

type seal struct{ key *rsa.PrivateKey }

func newSeal() (*seal, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("%w: no key could be made: %w", rotate.ErrTemporary, err)
	}
	return &seal{key}, nil
}

// public is the key to seal with: SubjectPublicKeyInfo in DER, in base64.
func (s *seal) public() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		return "", fmt.Errorf("%w: the key cannot be written: %w", rotate.ErrConfig, err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

func (s *seal) open(sealed []byte) (rotate.Secret, error) {
	text, err := rsa.DecryptOAEP(sha256.New(), nil, s.key, sealed, nil)
	if err != nil || len(text) == 0 {
		return rotate.Secret{}, fmt.Errorf("%w: the value that the script sealed cannot be opened", rotate.ErrConflict)
	}
	return rotate.NewSecret(string(text)), nil
}
