package lab

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file stands for the user's environment: who and where come from it or are made up, with what right is
// always made up.

// identities are the variables that are read of the user's environment. None holds a credential, and none
// that does is ever added: what is not listed here is not set in a rehearsal.
var identities = []string{
	"GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "GITHUB_API_URL", "GITHUB_REF", "GITHUB_REF_NAME",
	"GITHUB_WORKFLOW_REF", "GITHUB_RUN_ID", "FORGEJO_ACTIONS", "GITEA_ACTIONS",
	"REMINT_GITHUB_APP_ID", "FLY_API_BASE_URL", "FASTLY_API_URL",
	"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_EKS", "AWS_ENDPOINT_URL_STS",
	"ACTIONS_ID_TOKEN_REQUEST_URL",
	"OP_CONNECT_HOST", "VAULT_ADDR", "BAO_ADDR", "VAULT_NAMESPACE", "BAO_NAMESPACE",
}

const (
	repository = "example/app"
	// somewhere is the address of the forge that would run the job. Every adapter takes it; situate replaces it by
	// one that tells GitHub from the others.
	somewhere = "https://forge.invalid"
	hubURL    = "https://api.github.com"
	forgeURL  = "https://forge.example"
)

// runner is what a runner would say.
var runner = map[string]string{
	"GITHUB_REPOSITORY":    repository,
	"GITHUB_SERVER_URL":    "https://github.com",
	"GITHUB_API_URL":       somewhere,
	"GITHUB_REF_NAME":      "main",
	"REMINT_GITHUB_APP_ID": "1",
	"OP_CONNECT_HOST":      "https://connect.example",
	"VAULT_ADDR":           "https://vault.example:8200",
}

// env is the environment of a rehearsal.
func (l *Lab) env(name string) string {
	if !slices.Contains(identities, name) {
		return ""
	}
	if name == "AWS_REGION" && l.getenv("AWS_REGION")+l.getenv("AWS_DEFAULT_REGION") == "" {
		return "eu-west-1"
	}
	return cmp.Or(l.getenv(name), runner[name])
}

// Options returns o changed so that a configuration can be loaded without a runner, an account and a network:
// what a runner would say is taken from the user's environment or made up, every credential is made up, no file is
// read, and what the adapters send arrives at no service before [Lab.Prepare].
func (l *Lab) Options(o config.Options) config.Options {
	o.Getenv = l.env
	o.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	o.Transport = &emulate.Wire{Route: func(string) http.Handler { return nil }}
	o.Invent = l.invent
	return o
}

// invent makes up the credential for a key of an adapter, the same one each time.
func (l *Lab) invent(adapter, key string) rotate.Secret {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := adapter + " " + key
	if s, ok := l.invented[at]; ok {
		return s
	}
	s := rotate.NewSecret(made(adapter, key))
	l.invented[at] = s
	return s
}

// made returns a text of the form that credentials of this kind have.
func made(adapter, key string) string {
	random := strings.ToLower(rand.Text() + rand.Text())
	switch {
	case adapter == "fly":
		return "fo1_" + random[:43]
	case strings.HasSuffix(key, "app.key"):
		return appKey()
	case adapter == "github":
		return "github_pat_" + random
	case adapter == "forgejo":
		b := make([]byte, 20)
		_, _ = rand.Read(b)
		return hex.EncodeToString(b)
	}
	return "made-up-" + random
}

// appKey makes the private key of a GitHub App.
func appKey() string {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}
