package github

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// App is a GitHub App; its JSON web tokens are verified with Key.
type App struct {
	ID       int64
	ClientID string
	Key      *rsa.PublicKey
}

// Installation is an App installed on an account.
type Installation struct {
	ID           int64
	App          int64
	Account      string            // the owner: a user or an organization
	Rights       map[string]string // "read" or "write" by permission
	Repositories []string          // "owner/name"; nil: all of the account
}

// AddApp adds an App.
func (s *Server) AddApp(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = append(s.apps, &a)
}

// AddInstallation installs an App and returns the installation's id, which is made up if it is 0.
func (s *Server) AddInstallation(i Installation) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.ID == 0 {
		i.ID = s.id()
	}
	s.installations = append(s.installations, &i)
	return i.ID
}

// app settles whose JSON web token a request carries, or answers 401. The caller holds mu.
func (s *Server) app(c *call) *App {
	scheme, text, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	a, message := s.verify(text)
	if !strings.EqualFold(scheme, "bearer") || a == nil {
		if message == "" {
			message = "A JSON web token could not be decoded"
		}
		fail(c.w, 401, message)
		return nil
	}
	return a
}

// verify checks a JSON web token as GitHub's page "Generating a JSON Web Token" says.
func (s *Server) verify(text string) (*App, string) {
	part := strings.Split(text, ".")
	if len(part) != 3 {
		return nil, ""
	}
	var head struct{ Alg, Typ string }
	var claims struct {
		Iat, Exp int64
		Iss      json.RawMessage
	}
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return nil, ""
		}
	}
	sig, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil || head.Alg != "RS256" {
		return nil, ""
	}
	iss := strings.Trim(string(claims.Iss), `"`)
	i := slices.IndexFunc(s.apps, func(a *App) bool {
		return iss == strconv.FormatInt(a.ID, 10) || a.ClientID != "" && iss == a.ClientID
	})
	if i < 0 {
		return nil, "Integration not found"
	}
	sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
	if rsa.VerifyPKCS1v15(s.apps[i].Key, crypto.SHA256, sum[:], sig) != nil {
		return nil, ""
	}
	now := s.now().Unix()
	switch {
	case claims.Iat > now:
		return nil, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case claims.Exp > now+600, claims.Exp > claims.Iat+600:
		return nil, "'Expiration time' claim ('exp') is too far in the future"
	case claims.Exp <= now:
		return nil, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	}
	return s.apps[i], ""
}

func (s *Server) getInstallation(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(c)
	if a == nil {
		return
	}
	for _, i := range s.installations {
		account := c.r.PathValue("org")
		if owner := c.r.PathValue("owner"); owner != "" {
			account = owner
			if !i.has(owner + "/" + c.r.PathValue("repo")) {
				continue
			}
		}
		if i.App == a.ID && strings.EqualFold(i.Account, account) {
			reply(c.w, 200, s.installation(i, a))
			return
		}
	}
	fail(c.w, 404, "Not Found")
}

func (i *Installation) has(name string) bool {
	if i.Repositories == nil {
		owner, _, _ := strings.Cut(name, "/")
		return strings.EqualFold(owner, i.Account)
	}
	return slices.ContainsFunc(i.Repositories, func(n string) bool { return strings.EqualFold(n, name) })
}

func (s *Server) installation(i *Installation, a *App) object {
	selection := "all"
	if i.Repositories != nil {
		selection = "selected"
	}
	return object{
		"id": i.ID, "app_id": a.ID, "app_slug": "remint", "account": s.user(i.Account, 3), "target_id": 3, "target_type": "Organization",
		"repository_selection": selection, "permissions": i.Rights, "events": []string{}, "single_file_name": nil,
		"access_tokens_url": fmt.Sprintf("%s/app/installations/%d/access_tokens", s.url(), i.ID),
		"repositories_url":  s.url() + "/installation/repositories",
		"html_url":          fmt.Sprintf("%s/organizations/%s/settings/installations/%d", s.site(), i.Account, i.ID),
		"created_at":        time.Unix(0, 0).UTC(), "updated_at": time.Unix(0, 0).UTC(), "suspended_at": nil, "suspended_by": nil,
	}
}

func (s *Server) createToken(c *call) {
	var in struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(c)
	if a == nil {
		return
	}
	if c.r.ContentLength != 0 && !decode(c, &in) {
		return
	}
	n := slices.IndexFunc(s.installations, func(i *Installation) bool {
		return strconv.FormatInt(i.ID, 10) == c.r.PathValue("installation") && i.App == a.ID
	})
	if n < 0 {
		fail(c.w, 404, "Not Found")
		return
	}
	i := s.installations[n]
	rights := i.Rights
	if in.Permissions != nil {
		rights = in.Permissions
		for k, v := range rights {
			if have := i.Rights[k]; have != v && have != "write" {
				fail(c.w, 422, "The permissions requested are not granted to this installation.")
				return
			}
		}
	}
	repositories := i.Repositories
	if in.Repositories != nil {
		repositories = nil
		for _, name := range in.Repositories {
			full := i.Account + "/" + name
			if r := s.repositories[strings.ToLower(full)]; r == nil || !i.has(full) {
				fail(c.w, 422, "There is at least one repository that does not exist or is not accessible to the parent installation.")
				return
			}
			repositories = append(repositories, full)
		}
	} else if repositories == nil {
		for _, r := range s.repositories {
			if i.has(r.Name) {
				repositories = append(repositories, r.Name)
			}
		}
	}
	t := &Token{
		Value: fmt.Sprintf("ghs_%036d", s.id()), Kind: Installed, Login: "remint[bot]", Rights: maps.Clone(rights),
		Repositories: append([]string{}, repositories...), Expires: s.second().Add(time.Hour),
	}
	if t.Rights == nil {
		t.Rights = map[string]string{}
	}
	s.tokens[t.Value] = t
	reply(c.w, 201, object{"token": t.Value, "expires_at": t.Expires, "permissions": t.Rights, "repository_selection": "selected"})
}

func (s *Server) revokeToken(c *call) {
	if c.token.Kind != Installed {
		fail(c.w, 403, "Resource not accessible by personal access token")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, c.token.Value)
	c.w.WriteHeader(204)
}
