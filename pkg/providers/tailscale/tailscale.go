// Package tailscale makes, lists and deletes auth keys of a tailnet: what devices register with. Its rules:
//
//   - Nothing but the registration of a device shows that an auth key works, and that adds a device to the tailnet. So the
//     provider does not identify secrets: a sink needs a marker, or a verifier has to register a device.
//   - A newborn that may do other things than asked for, or lives otherwise, is deleted at once.
//   - Only auth keys are ever deleted: not API access tokens, OAuth clients or federated identities, which the same API lists
//     and deletes under the same path.
//   - That a key is deleted does not disconnect the devices that registered with it.
//
// A key's description holds 50 letters, digits, hyphens and spaces, and a minted name has 32 characters besides the rotation's
// name; see [Description] for how longer ones are kept, and which do not fit.
//
// The facts are those of Tailscale's OpenAPI description (tailscale.com/api; github.com/tailscale/tailscale-client-go-v2,
// tools/openapi/spec/tailscale-v2-openapi.yaml) and of tailscale.com/kb/1215/oauth-clients: access tokens of a client live an
// hour, its keys are owned by the tailnet and need tags that the client has or owns; a list names active keys only and has no
// pages; a deleted or expired key is read as invalid.
//
// Not checked against the real service, for want of a tailnet: that a list has all fields (the official Go client says that
// there are ids only; then each key is read), what is answered to the deletion of a key that is gone (reading it decides), how
// soon a deletion shows, and whether the stated form of descriptions is enforced.
package tailscale

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultURL = "https://api.tailscale.com"
	shortest   = time.Hour
	longest    = 90 * rotate.Tick
)

// Provider makes the auth keys of one tailnet with one set of rights. The fields are set once, before the first use; the
// methods are safe for concurrent use.
type Provider struct {
	Tailnet       string        `yaml:"tailnet" env:"TAILSCALE_TAILNET" default:"-" example:"example.com" doc:"The tailnet, by its ID or name in the admin console. - is the one to which the credential belongs."`
	Expiry        time.Duration `yaml:"expiry" default:"90d" doc:"How long a new key can register devices: whole seconds, from an hour to 90 days, the most that Tailscale allows. Devices stay registered when it ends."`
	OneOff        bool          `yaml:"one-off" doc:"Whether a new key registers one device only. It is replaced at the next run once it was used."`
	Ephemeral     bool          `yaml:"ephemeral" doc:"Whether devices registered with a new key are removed when they go offline."`
	Preauthorized bool          `yaml:"preauthorized" doc:"Whether devices registered with a new key need no approval, where the tailnet demands it of others."`
	Tags          []string      `yaml:"tags" example:"[tag:server]" doc:"The tags of devices registered with a new key. Required with an OAuth client, which must have these tags or own them."`
	Token         rotate.Secret `yaml:"token" env:"TAILSCALE_API_KEY" doc:"An API access token (tskey-api-…) of an owner or admin, which lives 90 days at the most. Either this or client-id and client-secret is given."`
	ClientID      string        `yaml:"client-id" env:"TS_OAUTH_CLIENT_ID,TAILSCALE_OAUTH_CLIENT_ID" doc:"The ID of an OAuth client with the scope auth_keys, which does not expire. Left aside if token is given."`
	ClientSecret  rotate.Secret `yaml:"client-secret" env:"TS_OAUTH_CLIENT_SECRET,TS_OAUTH_SECRET,TAILSCALE_OAUTH_CLIENT_SECRET" doc:"The secret of that OAuth client (tskey-client-…)."`
	URL           string        `yaml:"url" default:"https://api.tailscale.com" doc:"Where the API is reached. Plain http is accepted for loopback only."`

	// OnSecret is told the short-lived credentials that are had on the way, before they are used: the place to mask them.
	// It may be called by several goroutines. Nil: nobody is told.
	OnSecret func(rotate.Secret) `yaml:"-" json:"-"`
	// Transport carries the requests; nil is the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`
	// Interval is the wait before the second look whether a deletion shows, of which 24 are waited in all; 0: 5 seconds.
	Interval time.Duration `yaml:"-"`

	once    sync.Once
	openErr error
	wire    *httpx.Transport
	client  *http.Client

	granting sync.Mutex // held while an access token is asked for
	mu       sync.Mutex
	granted  grant
	keys     map[string]key // by ID, as read one by one: what is kept of them never changes
}

var (
	_ rotate.Provider  = (*Provider)(nil)
	_ rotate.Clock     = (*Provider)(nil)
	_ rotate.Checker   = (*Provider)(nil)
	_ rotate.Lifetime  = (*Provider)(nil)
	_ rotate.Connector = (*Provider)(nil)
)

// String returns "tailscale:" and the tailnet, and the tags if there are any: "tailscale:example.com/tag:server".
func (p *Provider) String() string {
	return "tailscale:" + strings.Join(append([]string{p.tailnet()}, set(p.Tags)...), "/")
}

func (p *Provider) tailnet() string { return cmp.Or(p.Tailnet, "-") }

func (p *Provider) life() time.Duration { return cmp.Or(p.Expiry, longest) }

// set sorts words and removes duplicates; nil if there are none.
func set(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

var (
	tagForm     = pattern.New(`^tag:[A-Za-z][A-Za-z0-9-]*$`)
	tailnetForm = pattern.New(`^[A-Za-z0-9-][A-Za-z0-9@._+-]{0,252}$`)
	keyID       = pattern.New(`^[A-Za-z0-9]{1,64}$`)
)

// Validate reports everything about the fields that can be known without a call.
func (p *Provider) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if !tailnetForm.MatchString(p.tailnet()) {
		fault("tailnet", "%q is not the ID or name of a tailnet", httpx.Clean(p.Tailnet, 80))
	}
	if l := p.life(); l < shortest || l > longest || l%time.Second != 0 {
		fault("expiry", "%s: want whole seconds, from an hour to 90 days", p.Expiry)
	}
	for _, t := range p.Tags {
		if !tagForm.MatchString(t) {
			fault("tags", "%q is not a tag, such as tag:server", httpx.Clean(t, 80))
		}
	}
	switch client := p.ClientID != "" || !p.ClientSecret.IsZero(); {
	case !p.Token.IsZero():
		if !httpx.Presentable(p.Token.Reveal()) {
			fault("token", "the access token has a space, a control character or a character outside of ASCII inside")
		}
	case !client:
		fault("token", "the credential is missing: an API access token, usually in the variable TAILSCALE_API_KEY, or an OAuth client (TS_OAUTH_CLIENT_ID and TS_OAUTH_CLIENT_SECRET)")
	case p.ClientID == "":
		fault("client-id", "is missing beside client-secret, usually in the variable TS_OAUTH_CLIENT_ID")
	case p.ClientSecret.IsZero():
		fault("client-secret", "is missing beside client-id, usually in the variable TS_OAUTH_CLIENT_SECRET")
	case !httpx.Presentable(p.ClientSecret.Reveal()) || !httpx.Presentable(p.ClientID):
		fault("client-secret", "the ID or the secret of the client has a space, a control character or a character outside of ASCII inside")
	case len(p.Tags) == 0:
		fault("tags", "keys that an OAuth client makes are owned by the tailnet and must have tags: those of the client, or such as they own")
	}
	if p.URL != "" {
		if _, err := httpx.Base(p.URL); err != nil {
			fault("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
		}
	}
	return errors.Join(errs...)
}

// Life returns how long a newborn lives.
func (p *Provider) Life() time.Duration { return p.life() }

// Skew returns how far Tailscale's clock was ahead of ours in its last answer.
func (p *Provider) Skew() (time.Duration, bool) {
	if p.open() != nil {
		return 0, false
	}
	return p.wire.Skew()
}

// now returns the time by Tailscale's clock, as far as it is known.
func (p *Provider) now() time.Time {
	d, _ := p.Skew()
	return time.Now().Add(d)
}

// Endpoints implements [rotate.Connector].
func (p *Provider) Endpoints() []rotate.Endpoint {
	return []rotate.Endpoint{httpx.Endpoint(cmp.Or(p.URL, defaultURL), "makes, lists and deletes auth keys", http.MethodGet, http.MethodPost, http.MethodDelete)}
}

// fail wraps an error of the package for the engine.
func (p *Provider) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: p.String(), Err: err}
}

func (p *Provider) interval() time.Duration { return cmp.Or(p.Interval, 5*time.Second) }

// untouchable reports whether an ID is that of the credential in use, which carries it: tskey-api-ID-….
func (p *Provider) untouchable(id string) bool {
	for _, s := range []rotate.Secret{p.Token, p.ClientSecret, rotate.NewSecret(p.ClientID)} {
		if slices.Contains(strings.Split(s.Reveal(), "-"), id) {
			return true
		}
	}
	return false
}
