// Package fastly mints, lists, proves and revokes API tokens of Fastly: automation tokens and user tokens. Its rules:
//
//   - Only a superuser's user token, for five minutes after the superuser's password was given ("sudo"), mints an
//     automation token; none mints another, so a rotated token never rotates itself. Where the account forces single
//     sign-on or MFA nobody can mint by API; then a person does, and hands the token in.
//   - A password that Fastly refused is not sent a second time by this process, since Fastly locks accounts.
//   - A create is sent once, whatever is answered, except that Fastly may ask for sudo again, which shows that it
//     created nothing: then sudo and create are sent once more.
//   - Fastly takes a service limit that it does not understand for none. So a newborn is asked what it may see, and
//     one that may see more than was asked for is revoked at once.
//   - Neither the credential in use, nor the token "Global API Token" that old users have, nor a browser session is
//     ever revoked.
//
// Facts about the API are those of github.com/fastly/go-fastly (its code and its recorded exchanges) and of
// fastly.com/documentation/reference/api/auth-tokens.
package fastly

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	gofastly "github.com/fastly/go-fastly/v9/fastly"
	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The kinds of token that this package mints.
const (
	automation = "automation"
	user       = "user"
)

// Provider mints the tokens of one kind with one set of rights. The fields are set once, before the first use; the
// methods are safe for concurrent use.
type Provider struct {
	Type      string        `yaml:"type" enum:"automation,user" default:"automation" doc:"What is minted: automation, a token tied to no person, which only a superuser can mint; or user, a token of the user whose password is given, with the user's rights."`
	Role      string        `yaml:"role" enum:"billing,engineer,user" example:"user" doc:"What an automation token may do: billing (reads configuration and invoices), engineer (changes services) or user (reads configuration and controls). Required for automation; a user token has the role of its user."`
	Scope     []string      `yaml:"scope" required:"true" example:"global:read" doc:"What a new token may do within its role: one or more of global, global:read, purge_all and purge_select. A token that can do more is revoked at once."`
	Services  Services      `yaml:"services" required:"true" example:"{contains: production}" doc:"Which services a new token may see. The set is found out when the token is minted, and is not changed later: a service made since is seen by the next token only."`
	TLSAccess bool          `yaml:"tls-access" doc:"Whether a new automation token may manage TLS certificates."`
	Expiry    string        `yaml:"expiry" required:"true" example:"90d" doc:"How long a new token lives: a duration such as 90d, calendar years such as 1y (29 February becomes 28 February), or never. At least an hour."`
	Customer  string        `yaml:"customer" example:"x4xCwxxJxGCx123Rx5xTx" doc:"The ID of the account that the credential must belong to; nothing is minted in another one. Not checked if left out."`
	Token     rotate.Secret `yaml:"token" required:"true" env:"FASTLY_API_TOKEN" doc:"The credential that mints, lists and revokes: a user token with scope global that is not limited to services, of a superuser if automation tokens are minted."`
	Username  rotate.Secret `yaml:"username" env:"FASTLY_USERNAME" doc:"The login of the user to whom the credential belongs, usually an e-mail address. Needed to mint user tokens."`
	Password  rotate.Secret `yaml:"password" env:"FASTLY_PASSWORD" doc:"The password of that user, without which nothing can be minted. One that Fastly refuses is not sent again. Not needed where a person makes the tokens (hand-in)."`
	OTP       rotate.Secret `yaml:"otp" env:"FASTLY_OTP" doc:"A one-time code of that user, if two-factor authentication is on. It is good for one mint within seconds; totp serves a schedule."`
	TOTP      rotate.Secret `yaml:"totp" env:"FASTLY_TOTP_SECRET" doc:"The secret from which that user's one-time codes are made, in base32, as shown beside the QR code."`
	URL       string        `yaml:"url" env:"FASTLY_API_URL" default:"https://api.fastly.com" doc:"Where the API of Fastly is reached. Plain http is accepted for loopback only."`

	// Transport carries the requests; nil is the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`
	// Shared makes the providers of one process remember together which password Fastly refused; nil: each for itself.
	Shared *Account `yaml:"-"`
	// Interval is the wait before a request is sent again that Fastly may answer otherwise a little later, and between
	// looks whether a revocation shows, of which 24 intervals are waited in all. 0: 5 seconds.
	Interval time.Duration `yaml:"-"`

	once    sync.Once
	openErr error
	wire    *httpx.Transport
	sdk     *gofastly.Client
	own     Account // in place of Shared

	mu       sync.Mutex
	last     *snapshot                // the list seen last
	seen     *sighting                // the services seen last
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

// String returns the kind of token and which services it sees, such as "fastly:automation/production".
func (p *Provider) String() string {
	return "fastly:" + p.kind() + "/" + p.Services.label()
}

func (p *Provider) kind() string { return cmp.Or(p.Type, automation) }

// scopes that Fastly knows.
var scopes = []string{string(gofastly.GlobalScope), string(gofastly.GlobalReadScope), string(gofastly.PurgeAllScope), string(gofastly.PurgeSelectScope)}

// roles that an automation token may have.
var roles = []string{string(gofastly.BillingRole), string(gofastly.EngineerRole), string(gofastly.UserRole)}

// scope is the set asked for, sorted. A scope may also be written as Fastly does, separated by spaces.
func (p *Provider) scope() []string {
	return set(strings.Fields(strings.Join(p.Scope, " ")))
}

// set sorts words and removes duplicates.
func set(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

// Validate reports everything about the fields that can be known without a call.
func (p *Provider) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch p.kind() {
	case automation:
		if !slices.Contains(roles, p.Role) {
			fault("role", "an automation token needs a role: %s", strings.Join(roles, ", "))
		}
	case user:
		if p.Role != "" {
			fault("role", "a user token has the role of its user; remove role, or set type: automation")
		}
		if p.TLSAccess {
			fault("tls-access", "is for automation tokens only")
		}
	default:
		fault("type", "want automation or user, found %q", httpx.Clean(p.Type, 40))
	}
	if len(p.scope()) == 0 {
		fault("scope", "what a new token may do is required: %s", strings.Join(scopes, ", "))
	}
	for _, s := range p.scope() {
		if !slices.Contains(scopes, s) {
			fault("scope", "%q is none of %s", httpx.Clean(s, 40), strings.Join(scopes, ", "))
		}
	}
	errs = append(errs, p.Services.validate()...)
	if _, err := parseLife(p.Expiry); err != nil {
		fault("expiry", "%v", err)
	}
	if !isID(p.Customer) && p.Customer != "" {
		fault("customer", "%q is not the ID of an account: letters and digits only", httpx.Clean(p.Customer, 80))
	}
	if p.Token.IsZero() {
		fault("token", "the credential is missing: a user token, usually in the variable FASTLY_API_TOKEN")
	} else if !httpx.Presentable(p.Token.Reveal()) {
		fault("token", "the credential has a space, a control character or a character outside of ASCII inside")
	}
	if p.Password.IsZero() {
		for _, f := range []struct {
			key   string
			value rotate.Secret
		}{{"username", p.Username}, {"otp", p.OTP}, {"totp", p.TOTP}} {
			if !f.value.IsZero() {
				fault("password", "the password is missing, and %s is of no use without it", f.key)
			}
		}
	} else if p.kind() == user && p.Username.IsZero() {
		fault("username", "the login of the user is needed to mint user tokens, usually in the variable FASTLY_USERNAME")
	}
	if !p.OTP.IsZero() && !httpx.Presentable(p.OTP.Reveal()) {
		fault("otp", "is no one-time code")
	}
	if !p.TOTP.IsZero() {
		if _, err := seed(p.TOTP); err != nil {
			fault("totp", "is no secret in base32 (letters A to Z and digits 2 to 7)")
		}
		if !p.OTP.IsZero() {
			fault("otp", "otp and totp exclude each other")
		}
	}
	if p.URL != "" {
		if _, err := httpx.Base(p.URL); err != nil {
			fault("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
		}
	}
	return errors.Join(errs...)
}

// isID reports whether a text can be an ID of Fastly's, and a part of a path.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-'
	})
}

// Life returns how long a newborn lives at the least; 0: for ever.
func (p *Provider) Life() time.Duration {
	l, err := parseLife(p.Expiry)
	if err != nil {
		return 0
	}
	return l.least()
}

// Skew returns how far Fastly's clock was ahead of ours in its last answer.
func (p *Provider) Skew() (time.Duration, bool) {
	if p.open() != nil {
		return 0, false
	}
	return p.wire.Skew()
}

// now returns the time by Fastly's clock, as far as it is known.
func (p *Provider) now() time.Time {
	d, _ := p.Skew()
	return time.Now().Add(d)
}

// Endpoints returns the API's address.
func (p *Provider) Endpoints() []rotate.Endpoint {
	origin := ""
	if u, err := httpx.Base(cmp.Or(p.URL, defaultURL)); err == nil {
		origin = u.Scheme + "://" + u.Host
	}
	return []rotate.Endpoint{{Origin: origin, Methods: []string{http.MethodDelete, http.MethodGet, http.MethodPost}, Why: "mints, lists, identifies and revokes tokens"}}
}

// Warnings returns what came up since it was last called: which services a new token sees, in what that differs from
// the token it replaces, and what is odd about the credential. The same text is not said twice.
func (p *Provider) Warnings() []string { return p.warnings.Take() }

// fail wraps an error of the package for the engine.
func (p *Provider) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: p.String(), Err: err}
}

// interval is Interval with its default.
func (p *Provider) interval() time.Duration {
	if p.Interval > 0 {
		return p.Interval
	}
	return 5 * time.Second
}

// handIn is what to do where Fastly does not let the API mint.
const handIn = "where the account forces single sign-on or MFA, Fastly mints no automation token by API: make it by hand and give it under hand-in"
