package github

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file knows what can be refused without a call. The rules of names are those of GitHub's page "Naming
// your secrets"; a path part that is more than a name would reach another resource.

var (
	secretName = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	ownerName  = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	repoName   = pattern.New(`^[A-Za-z0-9._-]{1,100}$`)
	appID      = pattern.New(`^[A-Za-z0-9.]+$`)
)

// Validate reports everything that is wrong with the configuration and can be known without a call.
func (s *Secret) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, rotate.Field(key, format, args...)) }

	if s.Name == "" {
		bad("name", "the name of the secret is missing")
	} else if why := refused(s.Name); why != "" {
		bad("name", "%q: %s", s.Name, why)
	}
	switch {
	case s.Marker == "":
	case refused(s.Marker) != "":
		bad("marker", "%q: %s", s.Marker, refused(s.Marker))
	}

	owner, name, slash := strings.Cut(s.Repository, "/")
	switch {
	case s.Org != "":
		if !ownerName.MatchString(s.Org) {
			bad("org", "%q is not the name of an organization", s.Org)
		}
		if s.Environment != "" {
			bad("environment", "an environment belongs to a repository, not to an organization; leave out org or environment")
		}
		if s.Create {
			bad("create", "an organization's secret is not created, since somebody has to choose who may read it; create it by hand once")
		}
	case s.Repository == "":
		bad("repository", "say whose secret it is: repository (owner/name) or org")
	case !slash || !ownerName.MatchString(owner) || !repoName.MatchString(name) || name == "." || name == "..":
		bad("repository", "%q is not owner/name", s.Repository)
	}
	if e := s.Environment; e == "." || e == ".." || len(e) > 255 || strings.ContainsFunc(e, unicode.IsControl) || strings.TrimSpace(e) != e {
		bad("environment", "%q is not the name of an environment", httpx.Clean(e, 300))
	}

	if u, err := httpx.Base(s.url()); err != nil {
		bad("url", "%s", strings.TrimPrefix(err.Error(), rotate.ErrConfig.Error()+": "))
	} else if strings.HasSuffix(u.Path, "/api/v1/") {
		bad("url", "%s is the API of a Forgejo or Gitea server; use the sink forgejo, or give the address of GitHub's API", s.url())
	}

	switch {
	case s.App != nil:
		if !appID.MatchString(s.App.ID) {
			bad("app.id", "%q is not the id or client id of a GitHub App", s.App.ID)
		}
		if s.App.Installation < 0 {
			bad("app.installation", "%d is not the number of an installation", s.App.Installation)
		}
		if _, err := parseKey(s.App.Key); err != nil {
			bad("app.key", "%w", err)
		}
	case s.Token.IsZero():
		bad("token", "a credential that may write Actions secrets is missing; give a token in REMINT_GITHUB_TOKEN, or an app (the job's own GITHUB_TOKEN can never write secrets)")
	case strings.ContainsFunc(s.Token.Reveal(), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		bad("token", "the access token contains a blank or a line break, which no token does")
	}
	return errors.Join(errs...)
}

// refused says why GitHub does not take a name for a secret or variable, or "".
func refused(name string) string {
	switch {
	case !secretName.MatchString(name):
		return "names have letters, digits and underscores only, and do not begin with a digit"
	case strings.HasPrefix(strings.ToUpper(name), "GITHUB_"):
		return "names that begin with GITHUB_ are GitHub's own"
	case len(name) > 255:
		return "names have 255 characters at the most"
	}
	return ""
}

// parseKey reads the private key of an App. What is wrong is said without showing any of it.
func parseKey(text rotate.Secret) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("the App's private key is missing or not PEM; take the file that GitHub gave when the key was generated")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if k, ok := k.(*rsa.PrivateKey); ok {
			return k, nil
		}
	}
	return nil, errors.New("the App's private key is not an RSA key in PKCS #1 or PKCS #8")
}

// setup makes the transport, once. Library users need not call Validate.
func (s *Secret) setup() error {
	s.once.Do(func() {
		if s.err = s.Validate(); s.err != nil {
			return
		}
		if s.App != nil {
			if s.key, s.err = parseKey(s.App.Key); s.err != nil {
				s.err = fmt.Errorf("%w: %w", rotate.ErrConfig, s.err)
				return
			}
		}
		if s.Since.IsZero() {
			s.Since = time.Now()
		}
		if s.wire, s.err = httpx.New(s.url(), s.Transport); s.err != nil {
			return
		}
		s.wire.Authorize = func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+s.bearer.Reveal())
			return nil
		}
		// GitHub asks for a second between changes; an emulated one does not.
		if s.Transport == nil && !httpx.Loopback(s.wire.URL().Hostname()) {
			s.wire.Gap = time.Second
		}
	})
	return s.err
}
