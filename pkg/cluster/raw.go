package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Raw sends one request for what the dynamic client has no verb for: the log of a pod, a service or pod behind the API
// server's proxy. The path begins with /api and is not escaped. Only a GET is sent again on failures that can heal, or
// what [httpx.Repeatable] marks; an answer of more than 10 MiB is an error.
//
// If the answer is an error, so is the result, for [Cluster.Fault]; the body is returned as well if it is not the API
// server's own but that of a service behind its proxy.
func (c *Cluster) Raw(ctx context.Context, method, at string, query url.Values, body []byte, contentType string) ([]byte, error) {
	l, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(at, "/api") || path.Clean(at) != strings.TrimSuffix(at, "/") {
		return nil, fmt.Errorf("%w: %q is no path of an API server", rotate.ErrConfig, at)
	}
	u := l.wire.under.URL()
	u.Path = strings.TrimSuffix(u.Path, "/") + at
	u.RawQuery = query.Encode()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %q is no request", rotate.ErrConfig, method, at)
	}
	req.Header.Set("Accept", "application/json, */*")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := l.wire.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	text, err := httpx.Drain(resp)
	if err != nil || resp.StatusCode < 300 {
		return text, err
	}
	status := metav1.Status{Status: metav1.StatusFailure, Code: int32(resp.StatusCode)} // #nosec G115 -- net/http reads three digits
	var said metav1.Status
	if json.Unmarshal(text, &said) == nil && said.Kind == "Status" {
		status.Reason, status.Details, status.Message, text = said.Reason, said.Details, said.Message, nil
	}
	return text, &apierrors.StatusError{ErrStatus: status}
}
