// Package fly mints, lists, proves and revokes deploy tokens of Fly.io: for one app (profile deploy) or for
// a whole organisation (profile deploy_organization). Its rules:
//
//   - Fly.io lets only a user's credential mint (fo1_…). A deploy token is a macaroon, and no macaroon may
//     mint, so a rotated token can never rotate itself; Check says so before anything is minted.
//   - A token is stored and presented whole, "FlyV1 fm2_…,fm2_…": the first part is the permission, the others
//     discharge what it demands of third parties. One part alone is refused by Fly.io without explanation.
//   - A newborn is proven from its own caveats inside Mint, before anybody sees it. What the caveats say is
//     believed only of a token that Fly.io itself just handed out or accepts, since the signature cannot be
//     checked without Fly.io's key.
//   - Fly.io answers with HTTP 200 to nearly everything, errors included, and an error may come with data.
//   - Whatever is answered to a mutation, exactly one request was sent for it. Queries are repeated.
//
// The facts about the API are those of the schema in github.com/superfly/fly-go and of flyctl.
package fly

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/tokens"
)

// Profiles of the tokens that this package mints and lists. A token attenuated by its user (read-only, ssh,
// …) is listed under the profile it was minted with.
const (
	profileApp = "deploy"
	profileOrg = "deploy_organization"
)

// defaultURL is the API of Fly.io.
const defaultURL = "https://api.fly.io"

// Provider mints the deploy tokens of one app or of one organisation. The fields are set once, before the
// first use; the methods are safe for concurrent use.
type Provider struct {
	App     string        `yaml:"app" example:"web" doc:"Name of the app whose deploy tokens are rotated (profile deploy). Exactly one of app and org is given."`
	Org     string        `yaml:"org" example:"personal" doc:"Slug of the organisation whose deploy tokens are rotated (profile deploy_organization). Such a token reaches every app of the organisation. Exactly one of app and org is given."`
	Expiry  time.Duration `yaml:"expiry" required:"true" example:"90d" doc:"How long a new token lives: at least a minute, in whole seconds."`
	MaxApps int           `yaml:"max-apps" default:"1" doc:"With org, a warning is given when the organisation has more apps than this, since an organisation token reaches all of them. Remote builders are not counted."`
	Token   rotate.Secret `yaml:"token" required:"true" env:"FLY_API_TOKEN" doc:"The credential that mints, lists and revokes: a user's token (fo1_…), best of a bot user that is a member of this organisation only. A deploy or organisation token cannot mint."`
	URL     string        `yaml:"url" env:"FLY_API_BASE_URL" default:"https://api.fly.io" doc:"Where the API of Fly.io is reached. Plain http is accepted for loopback only."`

	// Transport carries the requests; nil is the process's own pool of connections.
	Transport http.RoundTripper `yaml:"-"`
	// Shared lets the providers of one process share the list of a survey; nil: nothing is shared. See [Account].
	Shared *Account `yaml:"-"`
	// Interval is the wait before a query that Fly.io refused without reason is asked again, and between looks
	// whether a revocation shows, where it grows fourfold and 24 intervals are waited in all. 0: 5 seconds.
	Interval time.Duration `yaml:"-"`

	once    sync.Once
	openErr error
	wire    *httpx.Transport
	client  *flygo.Client
	mints   bool // the credential has a part that is no macaroon

	mu       sync.Mutex
	listed   bool                // the first List has been answered
	last     *snapshot           // the list seen last
	newborns []rotate.Credential // what this Provider minted
	warnings warn.List
}

type empty struct{}

var (
	_ rotate.Provider   = (*Provider)(nil)
	_ rotate.Identifier = (*Provider)(nil)
	_ rotate.Clock      = (*Provider)(nil)
	_ rotate.Checker    = (*Provider)(nil)
	_ rotate.Warner     = (*Provider)(nil)
	_ rotate.Lifetime   = (*Provider)(nil)
)

// String returns "fly:app/NAME" or "fly:org/SLUG".
func (p *Provider) String() string {
	if p.App != "" {
		return "fly:app/" + p.App
	}
	return "fly:org/" + p.Org
}

// Validate reports everything about the fields that can be known without a call.
func (p *Provider) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch {
	case p.App == "" && p.Org == "":
		fault("app", "give the name of an app, or the slug of an organisation under org")
	case p.App != "" && p.Org != "":
		fault("org", "app and org exclude each other: a token is either for one app or for a whole organisation")
	case p.App != "" && !plain(p.App):
		fault("app", "%q is not the name of an app", httpx.Clean(p.App, 80))
	case p.Org != "" && !plain(p.Org):
		fault("org", "%q is not the slug of an organisation", httpx.Clean(p.Org, 80))
	}
	switch {
	case p.Expiry == 0:
		fault("expiry", "how long a new token lives is required, such as 90d")
	case p.Expiry < time.Minute:
		fault("expiry", "%s is too short: a new token must live for at least a minute", p.Expiry)
	case p.Expiry%time.Second != 0:
		fault("expiry", "%s is not a number of whole seconds", p.Expiry)
	}
	if p.MaxApps < 0 {
		fault("max-apps", "%d is negative", p.MaxApps)
	}
	if p.Token.IsZero() {
		fault("token", "the minting credential is missing: a user's token (fo1_…), usually in the variable FLY_API_TOKEN")
	} else if !whole(tokens.Parse(p.Token.Reveal())) {
		fault("token", "the minting credential is empty in part, or has a space or control character inside")
	}
	if p.URL != "" {
		if _, err := httpx.Base(p.URL); err != nil {
			fault("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
		}
	}
	return errors.Join(errs...)
}

// plain reports whether a name of an app or organisation can be one: short, printable, without spaces.
func plain(name string) bool {
	return len(name) <= 100 && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '/'
	})
}

// whole reports whether every part of a credential can stand in a header.
func whole(t *tokens.Tokens) bool {
	parts := slices.Concat(t.GetUserTokens(), t.GetMacaroonTokens())
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(part string) bool { return !httpx.Presentable(part) })
}

// Life returns how long a newborn lives.
func (p *Provider) Life() time.Duration { return p.Expiry }

// Skew returns how far Fly.io's clock was ahead of ours in its last answer, or in the answer of a list that
// was shared.
func (p *Provider) Skew() (time.Duration, bool) {
	if p.open() != nil {
		return 0, false
	}
	if d, ok := p.wire.Skew(); ok {
		return d, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.last.clocked {
		return p.last.skew, true
	}
	return 0, false
}

// now returns the time by Fly.io's clock, as far as it is known.
func (p *Provider) now() time.Time {
	d, _ := p.Skew()
	return time.Now().Add(d)
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

// interval is Interval with its default.
func (p *Provider) interval() time.Duration {
	if p.Interval > 0 {
		return p.Interval
	}
	return 5 * time.Second
}

// maxApps is MaxApps with its default.
func (p *Provider) maxApps() int {
	if p.MaxApps > 0 {
		return p.MaxApps
	}
	return 1
}

// profile is the profile of the tokens to mint.
func (p *Provider) profile() string {
	if p.App != "" {
		return profileApp
	}
	return profileOrg
}

// cannotMint is the answer to a minting credential made of macaroons only.
func (p *Provider) cannotMint() error {
	return fmt.Errorf("%w: the minting credential is an organisation or deploy token, and Fly.io lets no such token mint; "+
		"give a user's token (fo1_…, from `fly auth token`), best of a bot user that is a member of this organisation only", rotate.ErrDenied)
}
