//go:build !onepassword_sdk

package onepassword

import (
	"fmt"

	"github.com/remint-dev/remint/pkg/rotate"
)

// sdk says whether this build can use a service account.
const sdk = false

func openServiceAccount(rotate.Secret) (store, error) {
	return nil, fmt.Errorf("%w: this build cannot use a service account", rotate.ErrConfig)
}
