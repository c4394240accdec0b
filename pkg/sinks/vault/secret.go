// Package vault writes a credential into one key of a secret in HashiCorp Vault or OpenBao, in a KV secrets engine of
// version 2. Its rules:
//
//   - Every write is a check-and-set: it names the version that it was made for, and starts over if there is a later one.
//     If somebody else changed this key meanwhile, they are not overwritten (write.go).
//   - The other keys are sent back as they were read, byte for byte. (Vault itself keeps numbers as 64-bit floats.)
//   - The marker is an entry of the secret's custom metadata, and says beside the token's description whether the value
//     is still the one it was written with. Reading it takes no right beyond the secret's own; writing it takes patch on
//     the metadata path. Without that right the sink works, says so, and is known by its value (marker.go).
//   - With previous, the value that is replaced stays beside the new one: value, former value and a note about both are
//     three keys that change in one check-and-set, and there is no other marker (previous.go).
//   - What an engine of version 1 would make of our requests is harm: nothing is written before a read has shown
//     version 2. A deleted or destroyed version, and a secret that is not there, are refused; none is created or deleted.
//   - A redirect is not followed, since it would take the token along.
//
// The policy needed, for mount secret and path ci/fly:
//
//	path "secret/data/ci/fly"     { capabilities = ["read", "update"] }
//	path "secret/metadata/ci/fly" { capabilities = ["patch"] }   (not with previous)
package vault

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

// MaxValue is the largest credential in bytes that is written: an entry in Vault's storage has 1 MiB, with all keys.
const MaxValue = 256 << 10

// Secret is one key of a secret. It is safe for concurrent use.
type Secret struct {
	Mount     string        `yaml:"mount" default:"secret" doc:"Where the KV secrets engine is mounted; it must be of version 2."`
	Path      string        `yaml:"path" required:"true" example:"ci/fly" doc:"Path of the secret below the mount, without data/, as the program vault kv takes it. The secret must exist."`
	Key       string        `yaml:"key" required:"true" example:"token" doc:"Key of the secret; all others are left as they are."`
	CreateKey bool          `yaml:"create-key" doc:"Add the key if the secret lacks it. Without this a missing key is an error."`
	Previous  string        `yaml:"previous" example:"token-previous" doc:"Only with the provider random: key where the value that was replaced is kept, for consumers that still present it. It is added if it is missing; when nothing is kept, it has the same value as key. A third key of the same name with _remint behind holds a note of remint's about both values."`
	Address   string        `yaml:"address" env:"VAULT_ADDR,BAO_ADDR" example:"https://vault.example.com:8200" doc:"Address of Vault or OpenBao: the active node, or a load balancer that forwards to it. Plain http only to loopback."`
	Token     rotate.Secret `yaml:"token" env:"VAULT_TOKEN,BAO_TOKEN" doc:"Token to authenticate with, unless auth says how to get one."`
	Namespace string        `yaml:"vault-namespace" env:"VAULT_NAMESPACE,BAO_NAMESPACE" example:"teams/web" doc:"Namespace of Vault Enterprise, HCP Vault or OpenBao."`
	Auth      *Auth         `yaml:"auth" doc:"How to get a token for this run; it is revoked at the end."`

	// Interval is the wait before something is looked at again; 0: 1 s.
	Interval time.Duration `yaml:"-" json:"-"`
	// OnSecret is told the short-lived credentials that are had on the way, before they are used: the place to mask them.
	// It may be called by several goroutines. Nil: nobody is told.
	OnSecret func(rotate.Secret) `yaml:"-" json:"-"`
	// Transport carries all requests; nil is the process's pool.
	Transport http.RoundTripper `yaml:"-" json:"-"`

	once     sync.Once
	invalid  error // what Validate said at the first use
	mu       sync.Mutex
	wire     *httpx.Transport
	session  rotate.Secret // token that a login gave
	last     *sight        // as it was last read; nil: not known
	undo     *change       // what the last write replaced
	unmarked bool          // the marker may not be written
	keeping  keeping.Sink
	warnings warn.List
}

// Auth is how to get a token.
type Auth struct {
	JWT *JWT `yaml:"jwt" doc:"Log in with the OIDC token that the runner gives the job (id-token: write)."`
}

// JWT is a login at the auth method jwt with the job's OIDC token.
type JWT struct {
	Role       string        `yaml:"role" required:"true" scalar:"true" example:"remint" doc:"Role of the auth method. It must be bound to this repository and branch."`
	Path       string        `yaml:"path" default:"jwt" doc:"Where the auth method is mounted."`
	Audience   string        `yaml:"audience" example:"https://vault.example.com" doc:"Audience of the OIDC token, which the role must name in bound_audiences. Without it the runner's own default."`
	OIDCURL    string        `yaml:"oidc-url" env:"ACTIONS_ID_TOKEN_REQUEST_URL" doc:"Where the runner gives the job its OIDC token; runners set the variable for jobs with id-token: write."`
	OIDCBearer rotate.Secret `yaml:"oidc-token" env:"ACTIONS_ID_TOKEN_REQUEST_TOKEN" doc:"What the job shows the runner to get its OIDC token; set by runners like oidc-url."`
}

var (
	_ rotate.Sink      = (*Secret)(nil)
	_ rotate.Holder    = (*Secret)(nil)
	_ rotate.Reader    = (*Secret)(nil)
	_ rotate.Marker    = (*Secret)(nil)
	_ rotate.Undoer    = (*Secret)(nil)
	_ rotate.Keeper    = (*Secret)(nil)
	_ rotate.Checker   = (*Secret)(nil)
	_ rotate.Warner    = (*Secret)(nil)
	_ rotate.Accepter  = (*Secret)(nil)
	_ rotate.Closer    = (*Secret)(nil)
	_ rotate.Connector = (*Secret)(nil)
)

// String implements [rotate.Sink]: "vault:vault.example.com:8200/secret/ci/fly#token", with the namespace after the host.
func (s *Secret) String() string {
	at := ""
	if u, err := url.Parse(s.Address); err == nil && u.Host != "" {
		at = u.Host + "/"
	}
	if n := strings.Trim(s.Namespace, "/"); n != "" {
		at += n + "/"
	}
	return httpx.Clean("vault:"+at+s.mount()+"/"+s.Path+"#"+s.Key, 400)
}

// Format implements [fmt.Formatter] for every verb: what was read is kept for an undo.
func (s *Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

func (s *Secret) mount() string {
	if s.Mount == "" {
		return "secret"
	}
	return strings.Trim(s.Mount, "/")
}

// plainPath reports whether a text is a path that means itself.
func plainPath(text string) bool {
	for _, part := range strings.Split(text, "/") {
		if part == "" || part == "." || part == ".." || strings.TrimSpace(part) != part {
			return false
		}
	}
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '*' || r == '+' })
}

// Validate reports all that is wrong with the fields, without any call.
func (s *Secret) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if !plainPath(s.mount()) {
		bad("mount", "%q is not the path of a mount", s.Mount)
	}
	switch {
	case s.Path == "":
		bad("path", "give the path of the secret below the mount, such as ci/fly")
	case strings.HasPrefix(s.Path, "/") || strings.HasSuffix(s.Path, "/"):
		bad("path", "%q begins or ends with a slash; give the path below the mount, such as ci/fly", s.Path)
	case !plainPath(s.Path):
		bad("path", "%q is not the path of a secret", s.Path)
	case strings.HasPrefix(s.Path, s.mount()+"/data/"):
		bad("path", "%q is the path of the HTTP API; leave %s/data/ out", s.Path, s.mount())
	}
	if s.Key == "" {
		bad("key", "give the key of the secret")
	} else if len(s.Key) > 500 || !utf8.ValidString(s.Key) {
		bad("key", "it is too long or no text")
	}
	switch {
	case s.Previous == "":
	case len(s.Previous) > 500 || !utf8.ValidString(s.Previous):
		bad("previous", "it is too long or no text")
	case s.Previous == s.Key:
		bad("previous", "it is the key itself; give another for the former value")
	case keeping.NoteKey(s.Previous) == s.Key:
		bad("previous", "the note about both values goes under %q, which is the key itself; give another for the former value", s.Key)
	}
	if s.Address == "" {
		bad("address", "give the address of Vault, or set VAULT_ADDR")
	} else if _, err := httpx.Base(s.Address); err != nil {
		bad("address", "%w", err)
	}
	if strings.ContainsAny(s.Namespace, " \t\r\n") {
		bad("vault-namespace", "a namespace has no spaces")
	}
	var jwt *JWT
	if s.Auth != nil {
		jwt = s.Auth.JWT
	}
	switch {
	case s.Auth != nil && jwt == nil:
		bad("auth", "say how: auth: {jwt: {role: NAME}}")
	case jwt == nil && s.Token.IsZero():
		bad("token", "give a token, set VAULT_TOKEN, or let the job log in with auth: {jwt: {role: NAME}}")
	case jwt == nil && strings.ContainsAny(s.Token.Reveal(), " \t\r\n"):
		bad("token", "it holds a space or line break; no token does")
	case jwt != nil:
		errs = append(errs, jwt.validate()...)
	}
	return errors.Join(errs...)
}

// open makes the connection at its first use.
func (s *Secret) open() error {
	s.once.Do(func() {
		if s.invalid = s.Validate(); s.invalid != nil {
			return
		}
		if s.wire, s.invalid = httpx.New(s.Address, s.Transport); s.invalid != nil {
			return
		}
		s.wire.MaxBody = maxAnswer
		s.wire.Authorize = s.authorize
	})
	return s.invalid
}

// Endpoints implements [rotate.Connector].
func (s *Secret) Endpoints() []rotate.Endpoint {
	all := []rotate.Endpoint{httpx.Endpoint(s.Address, "reads and writes the secret", http.MethodGet, http.MethodPost, http.MethodPatch)}
	if s.Auth != nil && s.Auth.JWT != nil {
		all = append(all, httpx.Endpoint(s.Auth.JWT.OIDCURL, "gives the job its OIDC token", http.MethodGet))
	}
	return all
}

// Accept implements [rotate.Accepter]. With previous, what the secret holds counts as far as it is known.
func (s *Secret) Accept(c rotate.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault("accept", s.accept(c))
}

func (s *Secret) accept(c rotate.Credential) error {
	switch text := c.Secret.Reveal(); {
	case text == "":
		return fmt.Errorf("%w: there is no secret to write", rotate.ErrConfig)
	case len(text) > MaxValue:
		return fmt.Errorf("%w: the credential has %d bytes, and %d are written at the most", rotate.ErrLimit, len(text), MaxValue)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: the credential is no text in UTF-8, which JSON demands", rotate.ErrConfig)
	}
	return s.roomy(c)
}

// Warnings implements [rotate.Warner].
func (s *Secret) Warnings() []string { return s.warnings.Take() }

// fault names the operation and the sink of an error.
func (s *Secret) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: s.String(), Err: err}
}
