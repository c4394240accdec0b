package awssecretsmanager

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file derives version ids and staging labels. A version's id is chosen by who puts it
// (ClientRequestToken), never changes, and its value never changes either; so an id derived from the
// token says which token a version holds, and a put that is repeated after a crash finds its own work.
//
// The ARN that the service returns is part of it, not the name in the configuration: it names region,
// account and secret, and stays the same however the secret is referred to.

const (
	current = "AWSCURRENT"
	// pendingLabel marks a version that is about to become current. A put without a label would make it current at once.
	pendingLabel = "REMINT-PENDING"
	// verifiedLabel marks the version whose token was verified.
	verifiedLabel = "REMINT-VERIFIED"
	// maxIDs is how many versions one token may have: the neighbours of its key may change between two
	// writes of it, and an id that holds other data cannot be used again.
	maxIDs = 4
)

// versionIDs returns the ids that versions with the token have, in the order in which they are tried;
// none if the provider cannot name the token.
func versionIDs(arn, key string, t rotate.Token) []string {
	if t.ID == "" {
		return nil
	}
	ids := make([]string, maxIDs)
	for n := range ids {
		h := sha256.New()
		for _, part := range []string{"remint aws-secrets-manager 1", arn, key, t.ID, fmt.Sprint(n)} {
			var length [8]byte // so that no two lists of parts run together into the same text
			binary.BigEndian.PutUint64(length[:], uint64(len(part)))
			h.Write(length[:])
			h.Write([]byte(part))
		}
		ids[n] = uuid(h.Sum(nil))
	}
	return ids
}

// randomID is the id of a version whose token has no name.
func randomID() []string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return []string{uuid(b)}
}

// uuid writes the first 16 bytes as a UUID of version 8, the one for forms of one's own (RFC 9562, 5.8).
func uuid(b []byte) string {
	b = slices.Clone(b[:16])
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	x := hex.EncodeToString(b)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// label returns a staging label of this sink. Sinks for several keys of one secret have labels of their
// own, so that none speaks for another.
func (s *Secret) label(kind string) string {
	if s.Key == "" {
		return kind
	}
	sum := sha256.Sum256([]byte(s.Key))
	return kind + "-" + hex.EncodeToString(sum[:4])
}
