// Package prometheus verifies a credential by what the consumer that runs with it reports of itself. Its rules:
//
//   - Only what was scraped after the verification began counts (fresh.go). A verification begins when the verifiers
//     before it are done, so after the rollout.
//   - No sample is no pass, and neither is NaN, an infinite value, or an answer with warnings, which is a partial one.
//     Of several samples all must pass (judge.go).
//   - Prometheus being down, slow or forbidden says nothing about the credential: [rotate.ErrUnproven].
//   - The credential itself is never part of a query. What is said of its token is put between quotes only, and refused
//     if it could end them (expand.go).
//   - Everything is read: a query may be asked again, and so may the whole verification.
//
// Source of the forms: prometheus.io, "HTTP API", and a server of version 2.42.
package prometheus

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	defaultWithin   = 5 * time.Minute
	defaultInterval = 10 * time.Second

	patience = 30 * time.Second // for one answer; Prometheus itself gives a query two minutes
)

// Query is a condition on the answer to an instant query. Query, one of Above, Below and Equals, and one of URL and
// Service are needed. It is safe for concurrent use; its fields must not be changed after the first use.
type Query struct {
	Query    string        `yaml:"query" required:"true" example:"fastly_rt_token_expiration{token_id=\"${token.id}\"}" doc:"Instant query in PromQL. ${token.id}, ${token.name}, ${token.expires.unix} and the like stand for the token that is verified; outside of quotes only those that end in .unix. Only samples that were scraped after the verification began count: a plain selector must have such a sample for each of its series, and a window such as [2m] must lie after the beginning as a whole. Subqueries, @ and absent() are refused, since nothing can be said of the age of what they read."`
	Above    string        `yaml:"above" example:"0" doc:"Every sample must be greater than this number."`
	Below    string        `yaml:"below" example:"1" doc:"Every sample must be less than this number."`
	Equals   string        `yaml:"equals" example:"${token.expires.unix}" doc:"Every sample must be this number. Like above and below it may be, or contain, ${token.expires.unix} and the like."`
	Within   time.Duration `yaml:"within" default:"5m" doc:"For how long the query is repeated until it passes. It must leave time for a scrape, for the windows of the query, and for the time of for."`
	For      time.Duration `yaml:"for" example:"2m" doc:"For how long every answer must pass, without a break. By default one answer is enough."`
	Interval time.Duration `yaml:"interval" default:"10s" doc:"Time between two looks."`
	Empty    string        `yaml:"empty" default:"fail" enum:"fail,hold" doc:"What it means that there is still no sample, or none with a finite number, when within is over: fail counts it as a failure of the credential, so that the old one is put back; hold leaves both alive, and the next run verifies again. It never passes. That Prometheus does not answer, or has not scraped since, is never a failure."`

	URL      string        `yaml:"url" example:"https://prometheus.example.com" doc:"Prometheus, with its path prefix if it has one, without /api/v1. Plain http is accepted for loopback only. Either this or service."`
	Token    rotate.Secret `yaml:"token" doc:"Bearer token for url."`
	User     string        `yaml:"user" doc:"User name for url, with password."`
	Password rotate.Secret `yaml:"password" doc:"Password for user."`
	CA       string        `yaml:"ca" example:"/etc/remint/prometheus-ca.pem" doc:"File with the certificates, in PEM, that sign the certificate of url. Without it the system's roots are used."`

	Service   string           `yaml:"service" example:"prometheus:9090" doc:"Service name and port of a Prometheus in the cluster, which is reached through the API server, past any login in front of it; it needs the right to get services/proxy. Begins with https: if the port speaks TLS, and a path prefix may follow: https:prometheus:web/prefix."`
	Namespace string           `yaml:"namespace" example:"monitoring" doc:"Namespace of service. By default that of the cluster, else default."`
	Cluster   *cluster.Cluster `yaml:"cluster" doc:"The cluster of service."`

	// Transport is the wire below url; nil is the process's pool of connections, or one of its own with CA.
	Transport http.RoundTripper `yaml:"-"`

	once sync.Once
	ready
	err error

	warnings warn.List
}

// ready is what a Query comes to.
type ready struct {
	selectors []selector
	server    server
}

var (
	_ rotate.Verifier  = (*Query)(nil)
	_ rotate.Checker   = (*Query)(nil)
	_ rotate.Warner    = (*Query)(nil)
	_ rotate.Repeater  = (*Query)(nil)
	_ rotate.Connector = (*Query)(nil)
)

// String names the server and the first metric of the query, such as
// "prometheus:prometheus.example.com/fastly_rt_edge_total".
func (q *Query) String() string {
	name := "prometheus:" + q.at()
	if s, err := scan(q.Query); err == nil && len(s) > 0 && s[0].name != "" {
		name += "/" + s[0].name
	}
	return name
}

// at names the server.
func (q *Query) at() string {
	if q.Service != "" {
		if namespace := q.scope(); namespace != "" {
			return namespace + "/" + q.Service
		}
		return q.Service
	}
	if u, err := httpx.Base(q.URL); err == nil {
		return u.Host + strings.TrimSuffix(u.Path, "/")
	}
	return "?" // its text may hold a credential
}

func (q *Query) scope() string {
	if q.Cluster == nil {
		return q.Namespace
	}
	return q.Cluster.Scope(q.Namespace)
}

// Repeatable implements [rotate.Repeater]: it only looks.
func (q *Query) Repeatable() bool { return true }

// Endpoints implements [rotate.Connector].
func (q *Query) Endpoints() []rotate.Endpoint {
	if q.Service != "" && q.Cluster != nil {
		return q.Cluster.Reach("queries metrics through "+q.at(), http.MethodGet)
	}
	u, err := httpx.Base(q.URL)
	if err != nil {
		return nil
	}
	return []rotate.Endpoint{{Origin: u.Scheme + "://" + u.Host, Methods: []string{http.MethodGet}, Why: "queries metrics"}}
}

// Warnings implements [rotate.Warner].
func (q *Query) Warnings() []string { return q.warnings.Take() }

// serviceRule is [scheme:]name:port[/prefix], as the API server writes the name of a service it is proxy for.
var serviceRule = pattern.New(`^(?:(https?):)?([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?):([0-9]{1,5}|[a-z0-9][a-z0-9-]{0,14})((?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/?$`)

// Validate implements the configuration's check; it calls nobody and reads no file.
func (q *Query) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }

	reach := time.Duration(0)
	if selectors, err := scan(q.Query); err != nil {
		bad("query", "%w", err)
	} else if _, err := expand(q.Query, sample(time.Now())); err != nil {
		bad("query", "%w", err)
	} else {
		reach = reachOf(selectors)
	}
	if q.Above == "" && q.Below == "" && q.Equals == "" {
		bad("above", "nothing is asked of the answer: give above, below or equals")
	}
	if _, err := q.limits(sample(time.Now())); err != nil {
		errs = append(errs, err)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"within", q.Within}, {"for", q.For}, {"interval", q.Interval}} {
		if d.value < 0 {
			bad(d.field, "must not be negative")
		}
	}
	if within := or(q.Within, defaultWithin); reach+q.For >= within && q.Within >= 0 && q.For >= 0 {
		bad("within", "%s is not enough: the windows of the query (%s) and the time of for (%s) have to fit in after the beginning", within, reach, q.For)
	}
	switch q.Empty {
	case "", "fail", "hold":
	default:
		bad("empty", "%q is neither fail nor hold", q.Empty)
	}
	errs = append(errs, q.validatePlace()...)
	return errors.Join(errs...)
}

// validatePlace checks where Prometheus is, and how it is spoken to.
func (q *Query) validatePlace() []error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch {
	case q.URL == "" && q.Service == "":
		bad("url", "where is Prometheus? give url, or service to reach it through the cluster's API server")
	case q.URL != "" && q.Service != "":
		bad("service", "url and service are both given; which one is meant?")
	case q.Service != "":
		if !serviceRule.MatchString(q.Service) {
			bad("service", "%q is not a service's name and port, such as prometheus:9090", q.Service)
		}
		if q.Cluster == nil {
			bad("service", "a service is reached through the API server of a cluster, and none is given: give cluster, or url")
		} else if err := q.Cluster.Validate(); err != nil {
			bad("cluster", "%w", err)
		}
		if !q.Token.IsZero() || q.User != "" || !q.Password.IsZero() || q.CA != "" {
			bad("service", "token, user, password and ca are for url; the API server passes no credential on")
		}
		return errs
	default:
		if _, err := httpx.Base(q.URL); err != nil {
			bad("url", "%w", err)
		} else if strings.Contains(q.URL, "/api/v1") {
			bad("url", "leave out /api/v1 and what follows")
		}
	}
	switch {
	case !q.Token.IsZero() && (q.User != "" || !q.Password.IsZero()):
		bad("token", "token and user with password are two ways to log in; give one")
	case (q.User == "") != q.Password.IsZero():
		bad("user", "user and password go together")
	case strings.ContainsAny(q.User, ":\r\n"):
		bad("user", "a user name has no colon or line break")
	}
	return errs
}

// connect validates once and finds the server, for library users who called Validate or did not.
func (q *Query) connect() error {
	q.once.Do(func() {
		if q.err = q.Validate(); q.err != nil {
			return
		}
		if q.selectors, q.err = scan(q.Query); q.err == nil {
			q.server, q.err = q.find()
		}
	})
	return q.err
}

// Check implements [rotate.Checker]: Prometheus answers the query, asked of a token that does not exist.
func (q *Query) Check(ctx context.Context) error {
	if err := q.check(ctx); err != nil {
		return q.fault("check", err)
	}
	return nil
}

func (q *Query) check(ctx context.Context) error {
	if err := q.connect(); err != nil {
		return err
	}
	query, err := expand(q.Query, sample(time.Now()))
	if err != nil {
		return err
	}
	a, err := q.ask(ctx, query, time.Time{})
	switch {
	case errors.Is(err, errExecution): // depends on what there is when it is asked
		return nil
	case err != nil:
		return err
	case len(a.warnings) > 0:
		q.warnings.Add("Prometheus answers with a warning (%s); as long as it does, nothing can be proven", httpx.Clean(strings.Join(a.warnings, "; "), 200))
	}
	return nil
}

// sample is a token to try texts with.
func sample(now time.Time) rotate.Token {
	return rotate.Token{ID: "0", Name: "remint-check", Created: now, Expires: now.AddDate(1, 0, 0)}
}

// fault gives an error its place.
func (q *Query) fault(op string, err error) error {
	return &rotate.Error{Op: op, At: q.String(), Err: err}
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
