package tailscale

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// cleanupTime is how long the deletion of a newborn may take that must not live.
const cleanupTime = 30 * time.Second

// creation is the body of a create.
type creation struct {
	Type         string `json:"keyType"`
	Description  string `json:"description"`
	Seconds      int64  `json:"expirySeconds"`
	Capabilities struct {
		Devices struct {
			Create rights `json:"create"`
		} `json:"devices"`
	} `json:"capabilities"`
}

// wanted is what a new key is to be good for.
func (p *Provider) wanted() rights {
	return rights{Reusable: !p.OneOff, Ephemeral: p.Ephemeral, Preauthorized: p.Preauthorized, Tags: set(p.Tags)}
}

// Mint makes a key under this name; see [Description] for which names there can be. One that is other than asked for is deleted
// at once and comes with an error. One request.
func (p *Provider) Mint(ctx context.Context, name string) (rotate.Credential, error) {
	c, err := p.mint(ctx, name)
	return c, p.fail("mint", err)
}

func (p *Provider) mint(ctx context.Context, name string) (rotate.Credential, error) {
	var c rotate.Credential
	description, err := Description(name)
	if err != nil {
		return c, err
	}
	body := creation{Type: "auth", Description: description, Seconds: int64(p.life() / time.Second)}
	body.Capabilities.Devices.Create = p.wanted()
	raw, err := p.ask(ctx, call{method: http.MethodPost, body: body})
	if r, ok := asRefusal(err); ok && !r.foreign && errors.Is(err, rotate.ErrConfig) {
		return c, fmt.Errorf("%w; Tailscale does not accept what is asked for: tags must be in the tailnet's policy file and belong to the credential (%s), and a key lives 90 days at the most", err, strings.Join(set(p.Tags), " "))
	}
	if err != nil {
		return c, p.explain(err)
	}
	var k key
	if err := httpx.Decode(raw, &k); err != nil {
		return c, fmt.Errorf("%w: POST …/keys: the answer is %w; the key may have been made", rotate.ErrTemporary, err)
	}
	if !keyID.MatchString(k.ID) || p.untouchable(k.ID) || !httpx.Presentable(k.Text) {
		return c, fmt.Errorf("%w: Tailscale answered without the key; it may have been made", rotate.ErrTemporary)
	}
	c = rotate.Credential{Token: k.public(), Secret: rotate.NewSecret(k.Text)}
	if c.Created.IsZero() {
		c.Created = p.now().UTC().Truncate(time.Second)
		c.Name = Name(k.Description, c.Created)
	}
	if faults := p.differs(k, c.Token, name); len(faults) > 0 {
		return c, p.discard(ctx, k.ID, c.Name, fmt.Errorf("%w: what was minted is not what was asked for: %s", rotate.ErrConflict, strings.Join(faults, "; ")))
	}
	return c, nil
}

// differs says what of a newborn is other than asked for.
func (p *Provider) differs(k key, t rotate.Token, name string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if t.Name != name {
		fault("it bears another name")
	}
	if !k.auth() || k.Capabilities == nil || k.Capabilities.Devices == nil {
		fault("it is no auth key")
		return faults
	}
	got, want := k.Capabilities.Devices.Create, p.wanted()
	for _, f := range []struct {
		what      string
		got, want bool
	}{{"reusable", got.Reusable, want.Reusable}, {"ephemeral", got.Ephemeral, want.Ephemeral}, {"preauthorized", got.Preauthorized, want.Preauthorized}} {
		if f.got != f.want {
			fault("%s is %t, not %t", f.what, f.got, f.want)
		}
	}
	if !slices.Equal(set(got.Tags), want.Tags) {
		fault("its tags are %q, not %q", httpx.Clean(strings.Join(set(got.Tags), " "), 120), strings.Join(want.Tags, " "))
	}
	if off := t.Expires.Sub(t.Created) - p.life(); t.Expires.IsZero() || off.Abs() > time.Minute {
		fault("it lives from %s to %s, not for %s", t.Created.UTC().Format(time.RFC3339), t.Expires.UTC().Format(time.RFC3339), rotate.Days(p.life()))
	}
	if !p.live(k) {
		fault("it is invalid")
	}
	return faults
}

// discard deletes a newborn that must not live, whatever became of ctx. The engine does so too.
func (p *Provider) discard(ctx context.Context, id, name string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if k, err := p.single(ctx, id); err == nil && !k.auth() {
		return fmt.Errorf("%w; it was not deleted, since it is no auth key: look at %s", why, id)
	}
	if _, err := p.ask(ctx, call{method: http.MethodDelete, below: "/" + id}); err != nil && !errors.Is(err, rotate.ErrNotFound) {
		return fmt.Errorf("%w; it could not be deleted (%w): delete %q by hand unless a later run does", why, err, httpx.Clean(name, 120))
	}
	return fmt.Errorf("%w; it was deleted", why)
}
