// Package cloudflare mints, lists, proves and deletes API tokens of Cloudflare: those of a user, and those that an account
// owns. Its rules:
//
//   - A successor is created and its predecessor deleted. A token is never rolled: that gives it another value at once, and
//     consumers of the old one fail.
//   - What a new token may do is said by the configuration, or copied from a token; a newborn that may do other things, lives
//     otherwise, or may be used from elsewhere is deleted at once.
//   - The credential in use is never deleted, and never copied.
//   - Cloudflare's word that a token does not exist is believed only in the form of its API, not that of a proxy.
//
// The facts are those of developers.cloudflare.com/api/resources/user/subresources/tokens and
// …/api/resources/accounts/subresources/tokens (paths, fields, pages of 5 to 50, names of at most 120 characters, statuses
// active, disabled and expired), and of developers.cloudflare.com/fundamentals/api/how-to/create-via-api (policies). Which
// errors Cloudflare answers with is known from reports only: 401 with code 1000 to a token that is not known or of the other
// kind (github.com/pl4nty/cloudflare-kubernetes-gateway/issues/262), 400 with 6003 to what is not in the form of a token
// (github.com/jeessy2/ddns-go/issues/916), 403 with 9109 from an address that the token does not allow
// (github.com/jeessy2/ddns-go/issues/1341).
//
// Not checked against the real service, for want of an account: what it answers to the deletion of a token that is gone (the
// list decides), how soon a deletion or a new token shows everywhere, whether last_used_on is given in lists, and how many
// tokens there may be.
package cloudflare

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultURL = "https://api.cloudflare.com/client/v4"
	leastLife  = time.Hour
	soon       = 30 * rotate.Tick // from when on the end of the credential is worth a word
)

// Provider mints tokens with one set of rights. The fields are set once, before the first use; the methods are safe for
// concurrent use.
type Provider struct {
	Account  string        `yaml:"account-id" example:"023e105f4ecef8ad9ca31a8372d0c353" doc:"The ID of the account that owns the tokens. Without it they are tokens of the user to whom the credential belongs."`
	Copy     string        `yaml:"copy" example:"dns-updater" doc:"The exact name, or the ID, of a token whose policies and conditions a new one gets. Once it is gone, the youngest token that the rotation minted is copied. Exactly one of copy and policies is given."`
	Policies []Policy      `yaml:"policies" example:"[{permissions: [DNS Write], resources: [com.cloudflare.api.account.zone.eb78d65290b24279ba6f44721b3ea3c4]}]" doc:"What a new token may do. Exactly one of copy and policies is given."`
	IPs      []string      `yaml:"ips" example:"192.0.2.0/24" doc:"The addresses and networks from which alone a new token may be used. With copy they are those of the copied token."`
	NotIPs   []string      `yaml:"not-ips" example:"192.0.2.7" doc:"The addresses and networks from which a new token may not be used. With copy they are those of the copied token."`
	Expiry   time.Duration `yaml:"expiry" example:"90d" doc:"How long a new token lives, in whole seconds, at least an hour. Without it a token never expires, and every must be given."`
	Token    rotate.Secret `yaml:"token" required:"true" env:"CLOUDFLARE_API_TOKEN" doc:"The credential that creates, lists and deletes: a token with the permission API Tokens Write (of the user), or Account API Tokens Write for the tokens of an account."`
	URL      string        `yaml:"url" default:"https://api.cloudflare.com/client/v4" doc:"Where the API is reached. Plain http is accepted for loopback only."`

	// Transport carries the requests; nil is the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`
	// Interval is the wait before the second look whether a deletion shows, of which 24 are waited in all; 0: 5 seconds.
	Interval time.Duration `yaml:"-"`

	once    sync.Once
	openErr error
	wire    *httpx.Transport
	client  *http.Client

	mu       sync.Mutex
	last     *snapshot                // the list seen last
	groups   []permission             // the permission groups seen last
	self     string                   // ID of the credential in use; "": not known
	newborns map[string]rotate.Secret // by ID
	warnings warn.List
}

var (
	_ rotate.Provider   = (*Provider)(nil)
	_ rotate.Identifier = (*Provider)(nil)
	_ rotate.Inspector  = (*Provider)(nil)
	_ rotate.Clock      = (*Provider)(nil)
	_ rotate.Checker    = (*Provider)(nil)
	_ rotate.Warner     = (*Provider)(nil)
	_ rotate.Lifetime   = (*Provider)(nil)
	_ rotate.Connector  = (*Provider)(nil)
)

// String returns "cloudflare:user", or "cloudflare:" and the ID of the account.
func (p *Provider) String() string { return "cloudflare:" + cmp.Or(p.Account, "user") }

// Validate reports everything about the fields that can be known without a call.
func (p *Provider) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if p.Account != "" && !isID(p.Account) {
		fault("account-id", "%q is not the ID of an account: 32 hexadecimal digits", httpx.Clean(p.Account, 80))
	}
	switch {
	case p.Copy == "" && len(p.Policies) == 0:
		fault("policies", "say what a new token may do, or name a token under copy")
	case p.Copy != "" && len(p.Policies) > 0:
		fault("copy", "copy and policies exclude each other")
	case p.Copy != "" && len(p.IPs)+len(p.NotIPs) > 0:
		fault("copy", "the conditions are copied too: remove ips and not-ips, or give policies")
	}
	for i, x := range p.Policies {
		for _, err := range x.faults() {
			fault(fmt.Sprintf("policies[%d]", i), "%v", err)
		}
	}
	for _, f := range []struct {
		key  string
		list []string
	}{{"ips", p.IPs}, {"not-ips", p.NotIPs}} {
		for _, text := range f.list {
			if _, ok := network(text); !ok {
				fault(f.key, "%q is neither an address nor a network such as 192.0.2.0/24", httpx.Clean(text, 80))
			}
		}
	}
	if p.Expiry != 0 && (p.Expiry < leastLife || p.Expiry%time.Second != 0) {
		fault("expiry", "%s: want whole seconds, at least an hour, or nothing for a token that never expires", p.Expiry)
	}
	if p.Token.IsZero() {
		fault("token", "the credential is missing: an API token that may create tokens, usually in the variable CLOUDFLARE_API_TOKEN")
	} else if !presentable(p.Token) {
		fault("token", "the credential is not in the form of an API token: letters, digits, _ and - only")
	}
	if p.URL != "" {
		if _, err := httpx.Base(p.URL); err != nil {
			fault("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
		}
	}
	return errors.Join(errs...)
}

// presentable reports whether a secret can be a token of Cloudflare.
func presentable(s rotate.Secret) bool {
	text := s.Reveal()
	return text != "" && len(text) <= 1024 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-'
	})
}

// isID reports whether a text can be an ID of Cloudflare's, and a part of a path.
func isID(text string) bool {
	return len(text) == 32 && !strings.ContainsFunc(text, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}

// Life returns how long a newborn lives; 0: for ever.
func (p *Provider) Life() time.Duration { return p.Expiry }

// Skew returns how far Cloudflare's clock was ahead of ours in its last answer.
func (p *Provider) Skew() (time.Duration, bool) {
	if p.open() != nil {
		return 0, false
	}
	return p.wire.Skew()
}

// now returns the time by Cloudflare's clock, as far as it is known.
func (p *Provider) now() time.Time {
	d, _ := p.Skew()
	return time.Now().Add(d)
}

// Endpoints implements [rotate.Connector].
func (p *Provider) Endpoints() []rotate.Endpoint {
	return []rotate.Endpoint{httpx.Endpoint(cmp.Or(p.URL, defaultURL), "mints, lists, identifies and deletes tokens", http.MethodGet, http.MethodPost, http.MethodDelete)}
}

// Warnings returns what came up since it was last called. The same text is not said twice.
func (p *Provider) Warnings() []string { return p.warnings.Take() }

// fail wraps an error of the package for the engine.
func (p *Provider) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: p.String(), Err: err}
}

func (p *Provider) interval() time.Duration { return cmp.Or(p.Interval, 5*time.Second) }
