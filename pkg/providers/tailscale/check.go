package tailscale

import "context"

// Check asks whether the credential is accepted and may see auth keys. Whether it may make them, and with these tags, no request
// tells but the creation itself, which Tailscale refuses then without having made anything. One request; one more for the
// access token of an OAuth client.
func (p *Provider) Check(ctx context.Context) error {
	_, err := p.list(ctx)
	return p.fail("check", err)
}
