package httpcheck

import (
	"net/http"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

var _ rotate.Connector = (*Request)(nil)

// Endpoints implements [rotate.Connector].
func (r *Request) Endpoints() []rotate.Endpoint {
	return []rotate.Endpoint{httpx.Endpoint(r.URL, "tries the credential", r.method())}
}

var _ rotate.Repeater = (*Request)(nil)

// Repeatable implements [rotate.Repeater]: what only looks may look again.
func (r *Request) Repeatable() bool {
	switch r.method() {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}
