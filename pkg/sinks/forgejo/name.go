package forgejo

import (
	"strings"

	"github.com/remint-dev/remint/internal/pattern"
)

// Names of secrets and variables. They are kept in upper case and compared without case.

var (
	wellFormed = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// reserved is Gitea's rule (services/secrets/validation.go), and was Forgejo's until 2024.
	reserved = pattern.New(`(?i)^GIT(EA|HUB)_`)
	// reservedForgejo is Forgejo's expression as it stands in its source: ^ binds to the first alternative only, so
	// that GITEA_ and GITHUB_ are refused anywhere in a name.
	reservedForgejo = pattern.New(`(?i)^FORGEJO_|GITEA_|GITHUB_`)
)

// refusedByAll says why both servers refuse a name, or "".
func refusedByAll(name string) string {
	switch {
	case !wellFormed.MatchString(name):
		return "only letters, digits and underscores are allowed, and no digit at the beginning"
	case reserved.MatchString(name):
		return "names that begin with GITEA_ or GITHUB_ are reserved"
	}
	return ""
}

// refusedBy says why this kind of server refuses a name that the other may allow, or "".
func refusedBy(k kind, name string, variable bool) string {
	upper := strings.ToUpper(name)
	switch {
	case k == kindGitea && upper == "CI":
		return "Gitea reserves the name CI"
	case k == kindForgejo && reservedForgejo.MatchString(name):
		return "Forgejo refuses names that begin with FORGEJO_ or contain GITEA_ or GITHUB_ anywhere"
	case k == kindForgejo && variable && strings.HasPrefix(upper, "CI"):
		return "Forgejo refuses variables whose names begin with CI"
	}
	return ""
}

// contested reports whether it depends on the kind of server if the name is allowed.
func contested(name string, variable bool) bool {
	return refusedBy(kindGitea, name, variable) != refusedBy(kindForgejo, name, variable)
}
