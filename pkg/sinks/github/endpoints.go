package github

import (
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

var _ rotate.Connector = (*Secret)(nil)

// Endpoints implements [rotate.Connector]. The marker is made, changed and deleted; an App is lent a token and gives
// it back.
func (s *Secret) Endpoints() []rotate.Endpoint {
	methods, why := []string{http.MethodGet, http.MethodPut}, "writes the secret"
	if s.keepsMarker() {
		methods, why = append(methods, http.MethodPost, http.MethodPatch, http.MethodDelete), why+" and its marker"
	}
	if s.App != nil {
		methods, why = append(methods, http.MethodPost, http.MethodDelete), why+", with an App's token"
	}
	return []rotate.Endpoint{httpx.Endpoint(s.url(), why, methods...)}
}
