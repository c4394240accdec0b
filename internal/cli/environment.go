package cli

import (
	"os"
	"strings"

	"github.com/remint-dev/remint/internal/pattern"
)

// credential is how variables that hold one are called. A name such as TOKEN_FILE or ACCESS_KEY_ID is another thing.
var credential = pattern.New(`(?i)(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|KEY|PAT)$`)

// guard makes the redactor know the credentials of the environment before the configuration says which of them it needs: they may
// stand in the arguments by a slip of the hand, and a message about those comes first.
func (c *command) guard() {
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if credential.MatchString(name) && c.getenv(name) == value {
			c.secrets.Add(strings.TrimRight(value, "\r\n"))
		}
	}
}
