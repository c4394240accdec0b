package cluster

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file puts client-go on our transport. What client-go would do by itself and must not: send a request again
// that changes something (it does, ten times, whenever an answer has Retry-After), hold requests back (five a second),
// print warnings and read errors to standard error.

// link is the connection.
type link struct {
	wire *wire
	api  dynamic.Interface
	way  *way // for what is no plain request: exec.go
}

func newLink(w *way, given http.RoundTripper) (*link, error) {
	under := given
	if under == nil {
		under = connections(w)
	}
	t, err := httpx.New(w.server, under)
	if err != nil {
		return nil, fmt.Errorf("its address: %w", err)
	}
	own := &wire{under: t, authorize: w.authorize}
	conf := dynamic.ConfigFor(&rest.Config{
		Host:           t.URL().String(),
		UserAgent:      httpx.UserAgent,
		QPS:            -1, // no limit of the client's own; the server has one, with fairness
		WarningHandler: rest.NoWarnings{},
	})
	client, err := rest.UnversionedRESTClientForConfigAndClient(conf, &http.Client{Transport: own})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	return &link{wire: own, api: dynamic.New(once{client}), way: w}, nil
}

// connections is a pool for one cluster, since what it trusts is the cluster's own.
func connections(w *way) *http.Transport {
	pool := httpx.Pool(w.tls)
	if w.proxy != nil {
		pool.Proxy = w.proxy
	}
	return pool
}

// wire carries requests with our credential to the one server, and reads answers whole.
type wire struct {
	under     *httpx.Transport
	authorize func(*http.Request) error
}

// lost marks an error of the way to the server, or of our own credential. Its text is ours, unlike that of others that
// client-go returns.
type lost struct{ err error }

func (l *lost) Error() string { return l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// RoundTrip implements [http.RoundTripper].
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.Clone(r.Context())
	if err := w.authorize(q); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, &lost{err}
	}
	resp, err := w.under.RoundTrip(q)
	if err != nil {
		return nil, &lost{err}
	}
	body, err := httpx.Drain(resp) // what client-go fails to read it prints
	if err != nil {
		return nil, &lost{err}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// once is a client of which every request is sent as often as our transport decides, and not by client-go's rules.
type once struct{ rest.Interface }

func (o once) Verb(verb string) *rest.Request         { return o.Interface.Verb(verb).MaxRetries(0) }
func (o once) Post() *rest.Request                    { return o.Interface.Post().MaxRetries(0) }
func (o once) Put() *rest.Request                     { return o.Interface.Put().MaxRetries(0) }
func (o once) Patch(pt types.PatchType) *rest.Request { return o.Interface.Patch(pt).MaxRetries(0) }
func (o once) Get() *rest.Request                     { return o.Interface.Get().MaxRetries(0) }
func (o once) Delete() *rest.Request                  { return o.Interface.Delete().MaxRetries(0) }
