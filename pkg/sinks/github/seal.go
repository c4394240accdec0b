package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file seals values as GitHub's guide "Encrypting secrets for the REST API" says: libsodium's
// crypto_box_seal for the public key of the place, in standard base64.

// publicKey is what values are sealed for.
type publicKey struct {
	id  keyID
	key [32]byte
	at  time.Time // when it was fetched; zero: not yet
}

// keyID is a string, or a number on Enterprise Server. The numbers are too large for a float64, through which
// the library reads them.
type keyID string

func (k *keyID) UnmarshalJSON(text []byte) error {
	*k = keyID(bytes.Trim(text, `"`))
	return nil
}

// keyAge is how long a public key is used without asking again.
const keyAge = 5 * time.Minute

// fetchKey asks for the public key of the place.
func (s *Secret) fetchKey(ctx context.Context) error {
	var in struct {
		ID  keyID  `json:"key_id"`
		Key string `json:"key"`
	}
	s.public = publicKey{}
	resp, err := s.call(ctx, http.MethodGet, s.level()+"/secrets/public-key", nil, &in)
	switch {
	case status(resp) == http.StatusNotFound && s.Environment != "":
		return s.explained(err, "there is no environment %q in %s, or the credential cannot see that repository: %s", s.Environment, s.Repository, s.rights())
	case status(resp) == http.StatusNotFound:
		return s.explained(err, "there is no %s, or the credential cannot see it: %s", s.place(), s.rights())
	case err != nil:
		return s.explain(err)
	}
	key, err := base64.StdEncoding.DecodeString(in.Key)
	if err != nil || len(key) != 32 || in.ID == "" {
		return fmt.Errorf("%w: GitHub answered with a public key that is none (%d bytes, 32 are right); nothing was sent", rotate.ErrTemporary, len(key))
	}
	s.public = publicKey{id: in.ID, key: [32]byte(key), at: time.Now()}
	return nil
}

// seal returns the value as only GitHub can read it.
func (p *publicKey) seal(value rotate.Secret) (string, error) {
	sealed, err := box.SealAnonymous(nil, []byte(value.Reveal()), &p.key, rand.Reader)
	return base64.StdEncoding.EncodeToString(sealed), err
}
