package awsaccess

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file asks the runner for the job's OIDC token, which lives for minutes and is never kept.

func (a *Access) audience() string {
	if a.Audience != "" {
		return a.Audience
	}
	return "sts.amazonaws.com"
}

// identityToken asks the runner for the job's OIDC token.
func (a *Access) identityToken(ctx context.Context) (string, error) {
	u, err := url.Parse(a.OIDCURL)
	if err != nil {
		return "", &CredentialsError{fmt.Errorf("%w: oidc-url is not a URL", rotate.ErrConfig)}
	}
	q := u.Query()
	q.Set("audience", a.audience())
	u.RawQuery = q.Encode()
	t, err := httpx.New(origin(u), a.Transport)
	if err != nil {
		return "", &CredentialsError{err}
	}
	t.MaxBody = 1 << 20
	t.Backoff = a.Wait() / 4
	t.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+a.OIDCBearer.Reveal())
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", &CredentialsError{fmt.Errorf("%w: oidc-url is not a URL", rotate.ErrConfig)}
	}
	wrong := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &CredentialsError{fmt.Errorf("the runner gave no OIDC token: %w", err)}
	}
	resp, err := t.Client().Do(req)
	if err != nil {
		return "", wrong(httpx.Wrap(err))
	}
	body, err := httpx.Drain(resp)
	if err != nil {
		return "", wrong(err)
	}
	if err := httpx.Status(http.MethodGet, u.Path, resp, ""); err != nil {
		return "", wrong(err)
	}
	var answer struct{ Value string }
	if json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return "", wrong(fmt.Errorf("%w: its answer has no value", rotate.ErrTemporary))
	}
	a.tell(answer.Value)
	return answer.Value, nil
}
