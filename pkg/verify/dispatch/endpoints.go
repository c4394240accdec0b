package dispatch

import (
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

var _ rotate.Connector = (*Workflow)(nil)

// Endpoints implements [rotate.Connector].
func (w *Workflow) Endpoints() []rotate.Endpoint {
	return []rotate.Endpoint{httpx.Endpoint(w.apiURL(), "dispatches the workflow and follows its run", http.MethodGet, http.MethodPost)}
}
