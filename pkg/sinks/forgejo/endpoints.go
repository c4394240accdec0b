package forgejo

import (
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

var _ rotate.Connector = (*Secret)(nil)

// Endpoints implements [rotate.Connector]. The marker is made, changed and deleted.
func (s *Secret) Endpoints() []rotate.Endpoint {
	methods, why := []string{http.MethodGet, http.MethodPut}, "writes the secret"
	if s.keepsMarker() {
		methods, why = append(methods, http.MethodPost, http.MethodDelete), why+" and its marker"
	}
	return []rotate.Endpoint{httpx.Endpoint(s.URL, why, methods...)}
}
