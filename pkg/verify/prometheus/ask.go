package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file carries a query to Prometheus: to its URL, or through the API server's proxy for services, which needs the
// right to get services/proxy. Queries go by GET: both ways it needs the least rights, and it may be repeated.

// server answers instant queries. Its errors wrap a sentinel; errExecution stands for itself.
type server interface {
	query(ctx context.Context, values url.Values) ([]byte, error)
}

// ask asks for a query at a moment of the server's clock; zero: its now.
func (q *Query) ask(ctx context.Context, query string, at time.Time) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	values := url.Values{"query": {query}}
	if !at.IsZero() {
		values.Set("time", strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64))
	}
	body, err := q.server.query(ctx, values)
	if err != nil {
		return answer{}, err
	}
	return decode(body)
}

// find makes the server that is configured.
func (q *Query) find() (server, error) {
	if q.Service != "" {
		part := serviceRule.FindStringSubmatch(q.Service)
		scheme := part[1]
		if scheme == "" {
			scheme = "http"
		}
		name := scheme + ":" + part[2] + ":" + part[3] // as resourceNames of a Role has it, too
		return &proxied{q.Cluster, q.scope(), name,
			"/api/v1/namespaces/" + q.scope() + "/services/" + name + "/proxy" + part[4] + "/api/v1/query"}, nil
	}
	wire := q.Transport
	if wire == nil && q.CA != "" {
		var err error
		if wire, err = httpx.Trusting(q.CA); err != nil {
			return nil, err
		}
	}
	t, err := httpx.New(q.URL, wire)
	if err != nil {
		return nil, err
	}
	t.Authorize = func(r *http.Request) error {
		switch {
		case !q.Token.IsZero():
			r.Header.Set("Authorization", "Bearer "+q.Token.Reveal())
		case q.User != "":
			r.SetBasicAuth(q.User, q.Password.Reveal())
		}
		return nil
	}
	return &direct{t, t.Client()}, nil
}

// direct is a Prometheus at a URL.
type direct struct {
	wire   *httpx.Transport
	client *http.Client
}

func (d *direct) query(ctx context.Context, values url.Values) ([]byte, error) {
	u := d.wire.URL()
	u.Path += "api/v1/query"
	path := u.Path
	u.RawQuery = values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be made", rotate.ErrConfig)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, httpx.Wrap(err)
	}
	body, err := httpx.Drain(resp)
	if err != nil {
		return nil, err
	}
	if err := refusal(body); resp.StatusCode >= 300 && err != nil {
		return nil, err
	}
	why := ""
	switch resp.StatusCode {
	case http.StatusNotFound:
		why = "is this Prometheus, and its path prefix right?"
	case http.StatusUnauthorized, http.StatusForbidden:
		why = "Prometheus, or a login in front of it, wants another credential: give token, or user and password"
	}
	return body, httpx.Status(http.MethodGet, path, resp, why)
}

// proxied is a Prometheus behind the API server of a cluster.
type proxied struct {
	cluster               *cluster.Cluster
	namespace, name, path string
}

func (p *proxied) query(ctx context.Context, values url.Values) ([]byte, error) {
	body, err := p.cluster.Raw(ctx, http.MethodGet, p.path, values, nil, "")
	if err == nil {
		return body, nil
	}
	if said := refusal(body); said != nil {
		return nil, said
	}
	if err = p.cluster.Fault(err, "get", "services/proxy", p.namespace, p.name); ctx.Err() == nil && !known(err) {
		err = httpx.Wrap(err)
	}
	return nil, err
}

// known reports whether an error says what the operator does next.
func known(err error) bool {
	for _, s := range []error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict, rotate.ErrTemporary, rotate.ErrUnproven} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}
