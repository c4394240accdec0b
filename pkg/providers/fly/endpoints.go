package fly

import (
	"cmp"
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

var _ rotate.Connector = (*Provider)(nil)

// Endpoints implements [rotate.Connector]. GraphQL is POST, whatever it asks.
func (p *Provider) Endpoints() []rotate.Endpoint {
	return []rotate.Endpoint{httpx.Endpoint(cmp.Or(p.URL, defaultURL), "mints, lists, proves and revokes tokens", http.MethodPost)}
}
