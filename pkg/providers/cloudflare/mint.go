package cloudflare

// Minting. Rules: what can be refused beforehand is; the create is sent once; what came is returned even beside an error; a
// newborn that is other than asked for is deleted on the spot.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	longestName = 120 // characters
	// cleanupTime is how long the deletion of a newborn may take that must not live.
	cleanupTime = 30 * time.Second
)

// creation is the body of a create.
type creation struct {
	Name      string         `json:"name"`
	Policies  []policy       `json:"policies"`
	Expires   string         `json:"expires_on,omitempty"`
	Condition map[string]any `json:"condition,omitempty"`
}

// Mint creates a token under this name. One that is other than asked for (name, policies, conditions, expiry) is deleted at
// once and comes with an error. One request; one more if a token is copied, and what [Provider.Check] did not find out before.
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	c, err := p.mint(ctx, name)
	return c, p.fail("mint", err)
}

func (p *Provider) mint(ctx context.Context, name string) (rotate.Credential, error) {
	var c rotate.Credential
	if err := p.open(); err != nil {
		return c, err
	}
	if name == "" || utf8.RuneCountInString(name) > longestName || name != httpx.Clean(name, len(name)) {
		return c, fmt.Errorf("%w: %q cannot be the name of a token: Cloudflare allows %d characters, of which the stamp takes 32; shorten the rotation's name", rotate.ErrConfig, httpx.Clean(name, 160), longestName)
	}
	want, err := p.rights(ctx, name)
	if err != nil {
		return c, err
	}
	var ends time.Time
	send := want.sent()
	body := creation{Name: name, Policies: send.policies, Condition: send.condition}
	if p.Expiry > 0 {
		ends = p.now().UTC().Truncate(time.Second).Add(p.Expiry)
		body.Expires = ends.Format(time.RFC3339)
	}
	e, err := p.ask(ctx, call{method: http.MethodPost, path: p.tokens(), body: body})
	if err != nil {
		return c, p.refused(err)
	}
	var t token
	if err := httpx.Decode(e.Result, &t); err != nil {
		return c, fmt.Errorf("%w: the answer to the create is %w; the token may have been created", rotate.ErrTemporary, err)
	}
	c = rotate.Credential{Token: t.public(), Secret: rotate.NewSecret(t.Text)}
	if !isID(t.ID) || !presentable(c.Secret) {
		c.ID, c.Secret = "", rotate.Secret{}
		return c, fmt.Errorf("%w: Cloudflare answered without the token; it may have been created", rotate.ErrTemporary)
	}
	faults := want.differs(t)
	if t.Name != name {
		faults = append(faults, "it bears another name")
	}
	if t.dead() {
		faults = append(faults, "it is "+t.Status)
	}
	if off := t.Expires.Sub(ends).Abs(); t.Expires.IsZero() != ends.IsZero() || off > time.Second && !ends.IsZero() {
		faults = append(faults, fmt.Sprintf("it expires %s, not %s", when(t.Expires.Time), when(ends)))
	}
	if t.NotBefore.After(p.now()) {
		faults = append(faults, "it works only from "+when(t.NotBefore.Time)+" on")
	}
	if len(faults) > 0 {
		return c, p.discard(ctx, t, fmt.Errorf("%w: what was minted is not what was asked for: %s", rotate.ErrConflict, strings.Join(faults, "; ")))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.newborns == nil {
		p.newborns = map[string]rotate.Secret{}
	}
	p.newborns[t.ID] = c.Secret
	return c, nil
}

// refused explains an error of a create.
func (p *Provider) refused(err error) error {
	if r, ok := asRefusal(err); ok && !r.foreign && !r.malformed() && errors.Is(err, rotate.ErrConfig) {
		return fmt.Errorf("%w; Cloudflare does not accept what is asked for: compare policies (permissions that fit the resources; for tokens of an account, zones are named inside it: account/zone), conditions, expiry, and the number of tokens", err)
	}
	return p.explain(err)
}

// discard deletes a newborn that must not live, whatever became of ctx. The engine does so too.
func (p *Provider) discard(ctx context.Context, t token, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	self, err := p.me(ctx)
	if err != nil || t.ID == self {
		return fmt.Errorf("%w; it was not deleted, since it may be the credential in use: look at %q", why, httpx.Clean(t.Name, 120))
	}
	if err := p.remove(ctx, t.ID); err != nil && !errors.Is(err, rotate.ErrNotFound) {
		return fmt.Errorf("%w; it could not be deleted (%w): delete %q by hand unless a later run does", why, err, httpx.Clean(t.Name, 120))
	}
	return fmt.Errorf("%w; it was deleted", why)
}

// when puts a time into words, where zero means never.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
