package tailscale

// Keys as Tailscale describes them. Rules: what is missing is not known; of other things than auth keys nothing is kept;
// whatever an answer says, the text of a key is taken from the answer to its creation only.

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// most is how many keys are read one by one where a list has nothing but ids.
const most = 500

// key is all that any answer says of a key.
type key struct {
	ID           string      `json:"id"`
	Type         string      `json:"keyType"` // "": an older answer
	Text         string      `json:"key"`     // in the answer to a creation only
	Description  string      `json:"description"`
	Created      httpx.Stamp `json:"created"`
	Expires      httpx.Stamp `json:"expires"`
	Revoked      httpx.Stamp `json:"revoked"`
	Invalid      bool        `json:"invalid"`
	Capabilities *struct {
		Devices *struct {
			Create rights `json:"create"`
		} `json:"devices"`
	} `json:"capabilities"`
}

// rights are what a key is good for.
type rights struct {
	Reusable      bool     `json:"reusable"`
	Ephemeral     bool     `json:"ephemeral"`
	Preauthorized bool     `json:"preauthorized"`
	Tags          []string `json:"tags,omitempty"`
}

// auth reports whether it is an auth key, and no API access token, client or identity.
func (k key) auth() bool {
	return k.Type == "auth" || k.Type == "" && k.Capabilities != nil && k.Capabilities.Devices != nil
}

// bare reports whether nothing is said but the ID.
func (k key) bare() bool { return k.Type == "" && k.Created.IsZero() && k.Capabilities == nil }

func (k key) public() rotate.Token {
	return rotate.Token{ID: k.ID, Name: Name(k.Description, k.Created.Time), Created: k.Created.Time, Expires: k.Expires.Time}
}

func (p *Provider) live(k key) bool {
	return !k.Invalid && k.Revoked.IsZero() && (k.Expires.IsZero() || k.Expires.After(p.now()))
}

// List returns the live auth keys of the tailnet, whoever owns them, as far as the credential sees them. One request; one more
// for each key that was not seen before where Tailscale lists ids only.
func (p *Provider) List(ctx context.Context) ([]rotate.Token, error) {
	out, err := p.list(ctx)
	return out, p.fail("list", err)
}

func (p *Provider) list(ctx context.Context) ([]rotate.Token, error) {
	var all struct {
		Keys *[]*key `json:"keys"`
	}
	if err := p.read(ctx, "", url.Values{"all": {"true"}}, &all); err != nil {
		return nil, p.explain(err)
	}
	if all.Keys == nil {
		return nil, fmt.Errorf("%w: GET …/keys: the answer is %w", rotate.ErrTemporary, httpx.ErrForm)
	}
	var out []rotate.Token
	read := 0
	for _, listed := range *all.Keys {
		if listed == nil || !keyID.MatchString(listed.ID) {
			return nil, fmt.Errorf("%w: GET …/keys: a key is listed without an ID, so the list cannot be trusted", rotate.ErrTemporary)
		}
		k := *listed
		if k.bare() {
			var err error
			if k, err = p.remembered(ctx, k.ID, &read); errors.Is(err, rotate.ErrNotFound) {
				continue // gone meanwhile
			} else if err != nil {
				return nil, p.explain(err)
			}
		}
		if k.auth() && p.live(k) {
			out = append(out, k.public())
		}
	}
	return out, nil
}

// remembered reads a key, unless it was read before.
func (p *Provider) remembered(ctx context.Context, id string, read *int) (key, error) {
	p.mu.Lock()
	k, ok := p.keys[id]
	p.mu.Unlock()
	if ok {
		return k, nil
	}
	if *read++; *read > most {
		return key{}, fmt.Errorf("%w: GET …/keys: more than %d keys, each of which would have to be read", rotate.ErrLimit, most)
	}
	k, err := p.single(ctx, id)
	if err != nil {
		return key{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]key{}
	}
	p.keys[id] = k
	return k, nil
}

// single reads one key.
func (p *Provider) single(ctx context.Context, id string) (key, error) {
	var k key
	if err := p.read(ctx, "/"+id, nil, &k); err != nil {
		return key{}, err
	}
	k.Text = ""
	if k.ID != id || k.bare() && !k.Invalid {
		return key{}, fmt.Errorf("%w: GET …/keys/%s: the answer is %w", rotate.ErrTemporary, id, httpx.ErrForm)
	}
	return k, nil
}
