package argocd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file speaks Argo CD's REST API. Errors come as {"error", "code", "message"} with codes of gRPC, but for wrong
// content types, which are refused in plain text before anything else is looked at. Permission denied also stands for an
// application that does not exist, unless the request names the project and the token may see it.

// api is a client for one application.
type api struct {
	wire                     *httpx.Transport
	client                   *http.Client
	name, project, namespace string
}

// open makes the client.
func (a *Application) open() (*api, error) {
	wire := a.Transport
	if wire == nil && a.CA != "" {
		var err error
		if wire, err = httpx.Trusting(a.CA); err != nil {
			return nil, err
		}
	}
	t, err := httpx.New(a.url(), wire)
	if err != nil {
		return nil, err
	}
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+a.Token.Reveal())
		return nil
	}
	return &api{t, t.Client(), a.Name, a.Project, a.AppNamespace}, nil
}

// What Argo CD says of an application, as far as it is looked at.
type (
	application struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Project string `json:"project"`
		} `json:"spec"`
		Operation json.RawMessage `json:"operation"` // asked for and not yet begun
		Status    status          `json:"status"`
	}
	status struct {
		ReconciledAt   time.Time  `json:"reconciledAt"`
		Sync           phase      `json:"sync"`
		Health         phase      `json:"health"`
		OperationState *operation `json:"operationState"`
		Resources      []resource `json:"resources"`
	}
	phase struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	operation struct {
		Phase     string    `json:"phase"`
		Message   string    `json:"message"`
		StartedAt time.Time `json:"startedAt"`
	}
	resource struct {
		Group     string `json:"group"`
		Version   string `json:"version"`
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		Health    *phase `json:"health"`
	}
)

// The words for states.
const (
	synced      = "Synced"
	healthy     = "Healthy"
	degraded    = "Degraded"
	progressing = "Progressing"

	running     = "Running"
	terminating = "Terminating"
	succeeded   = "Succeeded"
	failed      = "Failed"
)

// project is the project of the application.
func (x *application) project() string {
	if x.Spec.Project == "" {
		return "default"
	}
	return x.Spec.Project
}

// scope adds what tells the application apart from others of its name.
func (c *api) scope(q url.Values, app *application) url.Values {
	project := c.project
	if project == "" && app != nil {
		project = app.project()
	}
	if project != "" {
		q.Set("project", project)
	}
	if c.namespace != "" {
		q.Set("appNamespace", c.namespace)
	}
	return q
}

// application reads the application. With refresh it returns only once Argo CD has looked again.
func (c *api) application(ctx context.Context, refresh string) (*application, error) {
	q := url.Values{}
	if refresh != "" {
		q.Set("refresh", refresh)
	}
	body, err := c.send(ctx, http.MethodGet, "applications/"+c.name, c.scope(q, nil), nil)
	if err != nil {
		return nil, err
	}
	return decode(body, c.name)
}

// decode reads an application.
func decode(body []byte, name string) (*application, error) {
	var app application
	if err := json.Unmarshal(body, &app); err != nil || app.Metadata.Name != name {
		return nil, fmt.Errorf("%w: the answer is no application of this name; is this Argo CD's API, or a login in front of it?", rotate.ErrConfig)
	}
	return &app, nil
}

// find returns the resource of an action: what the configuration leaves out is looked up in what the application manages.
func (x Action) resource(app *application) (resource, error) {
	fits := func(want, is string) bool { return want == "" || want == is }
	var found []resource
	for _, r := range app.Status.Resources {
		if r.Kind == x.Kind && r.Name == x.Resource && fits(x.Group, r.Group) && fits(x.Version, r.Version) && fits(x.Namespace, r.Namespace) {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return resource{}, fmt.Errorf("%w: the application has %d of it: give group and namespace", rotate.ErrConfig, len(found))
	case x.Version == "" || x.Namespace == "":
		return resource{}, fmt.Errorf("%w: the application does not manage such a resource; if it is a child of one, give group, version and namespace", rotate.ErrNotFound)
	}
	return resource{Group: x.Group, Version: x.Version, Kind: x.Kind, Namespace: x.Namespace, Name: x.Resource}, nil
}

// offers checks that a resource has an action.
func (c *api) offers(ctx context.Context, app *application, r resource, action string) error {
	q := url.Values{"kind": {r.Kind}, "resourceName": {r.Name}, "version": {r.Version}, "group": {r.Group}, "namespace": {r.Namespace}}
	body, err := c.send(ctx, http.MethodGet, "applications/"+c.name+"/resource/actions", c.scope(q, app), nil)
	if err != nil {
		return err
	}
	var in struct {
		Actions []struct {
			Name     string
			Disabled bool
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("%w: the list of actions cannot be read", rotate.ErrTemporary)
	}
	var names []string
	for _, x := range in.Actions {
		switch {
		case x.Name == action && x.Disabled:
			return fmt.Errorf("%w: the action is disabled now", rotate.ErrConfig)
		case x.Name == action:
			return nil
		}
		names = append(names, httpx.Clean(x.Name, 40))
	}
	return fmt.Errorf("%w: there is no such action; there are: %s", rotate.ErrConfig, strings.Join(names, ", "))
}

// maySync checks the right to sync.
func (c *api) maySync(ctx context.Context, app *application) error {
	object := app.project() + "/" + c.name
	if c.namespace != "" {
		object = app.project() + "/" + c.namespace + "/" + c.name
	}
	body, err := c.send(ctx, http.MethodGet, "account/can-i/applications/sync/"+object, nil, nil)
	if err != nil {
		return err
	}
	var in struct{ Value string }
	if json.Unmarshal(body, &in) == nil && in.Value == "no" {
		return fmt.Errorf("%w: the token may not sync; grant: p, SUBJECT, applications, sync, %s, allow", rotate.ErrDenied, object)
	}
	return nil
}

// run runs an action, once.
func (c *api) run(ctx context.Context, app *application, r resource, action string) error {
	body := map[string]any{
		"kind": r.Kind, "resourceName": r.Name, "version": r.Version, "group": r.Group, "namespace": r.Namespace, "action": action,
	}
	_, err := c.send(ctx, http.MethodPost, "applications/"+c.name+"/resource/actions/v2", nil, c.with(body, app))
	if err != nil {
		return fmt.Errorf("%w (the right is: p, SUBJECT, applications, action/%s/%s/%s, %s/%s, allow)", err, r.Group, r.Kind, action, app.project(), c.name)
	}
	return nil
}

// sync begins a sync, once.
func (c *api) sync(ctx context.Context, app *application) error {
	_, err := c.send(ctx, http.MethodPost, "applications/"+c.name+"/sync", nil, c.with(map[string]any{"prune": false, "dryRun": false}, app))
	return err
}

// with adds scope to a body.
func (c *api) with(body map[string]any, app *application) map[string]any {
	for k, v := range c.scope(url.Values{}, app) {
		body[k] = v[0]
	}
	return body
}

// send sends one request and returns the body of its answer. A POST is never repeated.
func (c *api) send(ctx context.Context, method, path string, q url.Values, body any) ([]byte, error) {
	u := c.wire.URL()
	u.Path += "api/v1/" + path
	at := u.Path
	u.RawQuery = q.Encode()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("%w: the request cannot be made", rotate.ErrConfig)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be made", rotate.ErrConfig)
	}
	req.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json") // else 415
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, httpx.Wrap(err)
	}
	answer, err := httpx.Drain(resp)
	if err != nil {
		return nil, err
	}
	if err := httpx.Status(method, at, resp, c.explain(resp.StatusCode, answer)); err != nil {
		return nil, err
	}
	return answer, nil
}

// vague are messages that need a word of explanation.
var vague = []string{"", "permission denied"}

// explain adds to an error what its text does not say.
func (c *api) explain(code int, body []byte) string {
	var in struct{ Message string }
	_ = json.Unmarshal(body, &in) // a text in another form may hold anything
	said := httpx.Clean(in.Message, 200)
	hint := ""
	switch code {
	case http.StatusUnauthorized:
		hint = "the token is not accepted (expired, revoked, or of another Argo CD); renew ARGOCD_AUTH_TOKEN"
	case http.StatusForbidden:
		if slices.Contains(vague, said) && c.project == "" {
			hint = "the token lacks the right, or there is no application " + c.name + " (Argo CD does not tell which unless project is given)"
		} else if slices.Contains(vague, said) {
			hint = "the token lacks the right in project " + c.project
		}
	case http.StatusNotFound:
		if said == "" {
			hint = "is this Argo CD's API server?"
		}
	case http.StatusUnsupportedMediaType:
		hint = "something in between changed the Content-Type, which must be application/json"
	}
	return strings.Trim(said+"; "+hint, "; ")
}

// word shows a state that may be missing.
func word(s string) string {
	if s == "" {
		return "Unknown"
	}
	return httpx.Clean(s, 40)
}
